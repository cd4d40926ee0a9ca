"""Problems on repeating a step: simulations, fixed points, state machines."""

from __future__ import annotations

from trimtab.qcode.problems.source import draw, problem


def _robot(moves: str) -> list[int]:
    x = y = 0
    for m in moves:
        x, y = x + (m == "R") - (m == "L"), y + (m == "U") - (m == "D")
    return [x, y]


def _turtle(s: str) -> list[int]:
    x, y, dx, dy = 0, 0, 0, 1
    for c in s:
        if c == "F":
            x, y = x + dx, y + dy
        else:
            dx, dy = (-dy, dx) if c == "L" else (dy, -dx)
    return [x, y]


def _look_say(s: str, n: int) -> str:
    from itertools import groupby

    for _ in range(n):
        s = "".join(str(len(list(g))) + k for k, g in groupby(s))
    return s


def _happy(n: int) -> bool:
    seen: set[int] = set()
    while n not in seen:
        seen.add(n)
        n = sum(int(c) ** 2 for c in str(n))
    return n == 1


def _rpn(s: str) -> int:
    stack: list[int] = []
    for token in s.split(" "):
        if token in "+-*":
            b, a = stack.pop(), stack.pop()
            stack.append(a + b if token == "+" else a - b if token == "-" else a * b)
        else:
            stack.append(int(token))
    return stack[0]


def _floor(xs: list[int], start: int, low: int) -> list[int]:
    out, level = [], start
    for v in xs:
        level = max(low, level + v)
        out.append(level)
    return out


def _blocks(xs: list[int]) -> int:
    rounds = 0
    while any(xs):
        xs = [max(0, v - 1 - i % 2) for i, v in enumerate(xs)]
        rounds += 1
    return rounds


def _fill(heights: list[int]) -> int:
    return sum(max(0, min(max(heights[: i + 1]), max(heights[i:])) - h) for i, h in enumerate(heights))


def _queue(arrivals: list[int], service: int) -> list[int]:
    ends: list[int] = []
    for a in arrivals:
        ends.append(max(a, ends[-1] if ends else 0) + service)
    return ends


def _josephus_order(n: int, k: int) -> list[int]:
    people, out, i = list(range(n)), [], 0
    while people:
        i = (i + k - 1) % len(people)
        out.append(people.pop(i))
    return out


PROBLEMS = [
    problem(
        "robot_position",
        "strings",
        "moves:C -> J",
        "A robot starts at 0 0 and obeys the letters U (y up by one), D (down), L (x down by one) and R "
        "(x up). Where is it at the end? Return x and y.",
        '(sum (moves="R")-moves="L";sum (moves="U")-moves="D")',
        _robot,
        draw(of="UDLR", most=10),
        edges=[("",), ("UULR",)],
    ),
    problem(
        "turtle_walk",
        "recursion",
        "s:C -> J",
        "A turtle starts at 0 0 and looks up (towards larger y). F moves it one step ahead, L turns it "
        "left, R right by 90 degrees. Where is it at the end? Return x and y.",
        'first {[st;c] p:st 0;d:st 1; $[c="F";(p+d;d);c="L";(p;(neg d 1;d 0));(p;(d 1;neg d 0))]}/[(0 0;0 1);s]',
        _turtle,
        draw(of="FFLR", most=10),
        edges=[("",), ("FLFLF",), ("RF",)],
    ),
    problem(
        "look_and_say",
        "encoding",
        "s:C n:j -> C",
        "Read a string of digits aloud, run by run (21 is one 2, one 1: 1211), and write down what is "
        "read. Do so n times. The string is not empty.",
        "n {raze {string[count x],x 0} each (where differ x) cut x}/ s",
        _look_say,
        draw(of="123", least=1, most=4),
        draw(low=0, high=4),
        edges=[("1", 0), ("1", 4), ("11", 1)],
    ),
    problem(
        "compound_until",
        "finance",
        "start:f rate:f goal:f -> j",
        "A balance grows by the given rate every year (0.05 is five per cent). After how many full years "
        "is it first at least the goal? 0 if it is at once. start and rate are positive.",
        "-1+count {[r;b] b*1+r}[rate]\\[goal>;start]",
        lambda start, rate, goal: next(n for n in range(10000) if _grown(start, rate, n) >= goal),
        draw(of=[100.0, 250.0, 80.0]),
        draw(of=[0.05, 0.1, 0.25, 0.5]),
        draw(of=[90.0, 150.0, 333.0, 1000.0]),
    ),
    problem(
        "happy_number",
        "arithmetic",
        "n:j -> b",
        "Replace a positive number by the sum of the squares of its decimal digits, again and again. It "
        "is happy when 1 is reached. Is it?",
        "1=30 {sum d*d:10 vs x}/ n",
        _happy,
        draw(low=1, high=200),
        edges=[(1,), (7,), (4,), (19,), (20,)],
    ),
    problem(
        "rpn",
        "text",
        "s:C -> j",
        "Evaluate an expression in reverse Polish notation: whole numbers and the operators + - * "
        "separated by single blanks (3 4 + is 7; 5 2 - is 3). It is well formed.",
        'first {[st;w] $[first[w] in "+-*";(-2_st),("+-*"!(+;-;*))[first w] . -2#st;st,"J"$w]}/[();" " vs s]',
        _rpn,
        draw(words=["1 2 +", "7 3 -", "2 5 *", "4 1 2 + *", "9 8 7 - -", "6"], least=1, most=1),
        edges=[("3 4 + 2 *",), ("5",), ("1 2 3 * +",), ("10 2 8 * + 3 -",)],
    ),
    problem(
        "bounded_walk",
        "logic",
        "xs:J start:j low:j -> J",
        "A level begins at start and changes by each item in turn, but never falls below low (it stays "
        "at low instead). Give the level after each change. start is not below low.",
        "{[low;l;d] low|l+d}[low]\\[start;xs]",
        _floor,
        draw(low=-5, high=5, most=9),
        draw(low=0, high=5),
        draw(low=-3, high=0),
    ),
    problem(
        "erode",
        "lists",
        "xs:J -> j",
        "In each round every item of a list at an even position (0, 2, ...) falls by 1 and every item at "
        "an odd position by 2, but not below 0. After how many rounds are all items 0? The items are not "
        "negative.",
        "$[count xs;max ceiling xs%1+(til count xs) mod 2;0]",
        _blocks,
        draw(low=0, high=9),
        edges=[([],), ([0, 0],), ([1, 2, 3],), ([0, 9],)],
    ),
    problem(
        "trapped_rain",
        "moving",
        "heights:J -> j",
        "The numbers are heights of walls of width 1, side by side. How much rain water stays between them?",
        "sum 0|((maxs heights)&reverse maxs reverse heights)-heights",
        _fill,
        draw(low=0, high=5, most=10),
        edges=[([],), ([3, 0, 2],), ([0, 1, 0, 2, 1, 0, 1, 3, 2, 1, 2, 1],)],
    ),
    problem(
        "queue_ends",
        "temporal",
        "arrivals:J service:j -> J",
        "Customers arrive at the given times (ascending, not negative) at one counter and are served in "
        "turn, each taking the same service time. When is each of them done?",
        "{[s;e;a] s+e|a}[service]\\[0;arrivals]",
        _queue,
        draw(low=0, high=20, order="ascending"),
        draw(low=1, high=5),
    ),
    problem(
        "elimination_order",
        "lists",
        "n:j k:j -> J",
        "n people numbered from 0 stand in a circle. Counting begins at person 0, every k-th person "
        "leaves, counting goes on with the next. In which order do they leave? n may be 0, k is at least "
        "1.",
        "r:`long$(); p:til n; i:0; while[count p;i:(i+k-1) mod count p;r,:p i;p:p _ i]; r",
        _josephus_order,
        draw(low=0, high=9),
        draw(low=1, high=5),
        edges=[(0, 1), (5, 2), (7, 3)],
    ),
    problem(
        "kaprekar_steps",
        "sorting",
        "n:j -> j",
        "Take a four-digit number whose digits are not all equal: sort its digits descending and "
        "ascending (leading zeros allowed, always four digits) and subtract. How many steps until 6174 "
        "is reached?",
        "-1+count {a:asc (x div 1000 100 10 1) mod 10; (10 sv reverse a)-10 sv a}\\[6174<>;n]",
        lambda n: (lambda f: f(f, n))(
            lambda f, m: (
                0 if m == 6174 else 1 + f(f, int("".join(sorted(f"{m:04d}"))[::-1]) - int("".join(sorted(f"{m:04d}"))))
            )
        ),
        draw(of=[3524, 1000, 2111, 9998, 6174, 1234, 8532, 5200, 7641, 1112, 2005, 4321]),
    ),
    problem(
        "pascal_row",
        "combinatorics",
        "n:j -> J",
        "Return row n of Pascal's triangle (row 0 is the single 1; each number is the sum of the two above it).",
        "n {(x,0)+0,x}/ enlist 1",
        lambda n: (lambda m: [m.comb(n, k) for k in range(n + 1)])(__import__("math")),
        draw(low=0, high=12),
        edges=[(0,), (1,), (4,)],
    ),
    problem(
        "newton_root",
        "arithmetic",
        "a:f n:j -> f",
        "Approximate the square root of a positive number by n steps of Newton's method: start with x = "
        "a, each step replaces x by the mean of x and a divided by x.",
        "n {[a;x] .5*x+a%x}[a]/ a",
        lambda a, n: __import__("functools").reduce(lambda x, _: 0.5 * (x + a / x), range(n), a),
        draw(low=1, high=90),
        draw(low=0, high=6),
    ),
    problem(
        "pour_until_equal",
        "statistics",
        "xs:J -> j",
        "While the largest and the smallest item of a list differ by more than 1, take 1 from the first "
        "largest and give it to the first smallest. How many moves does it take? 0 for an empty list.",
        "if[0=count xs;:0]; n:0; while[1<max[xs]-min xs;a:xs?max xs;b:xs?min xs;xs[a]-:1;xs[b]+:1;n+:1]; n",
        lambda xs: (
            sum(
                max(0, v - w)
                for v, w in zip(sorted(xs), sorted((sum(xs) + i) // len(xs) for i in range(len(xs))), strict=True)
            )
            if xs
            else 0
        ),
        draw(low=0, high=9, most=5),
        edges=[([],), ([1, 2],), ([0, 5],)],
    ),
]


def _grown(start: float, rate: float, years: int) -> float:
    for _ in range(years):
        start *= 1 + rate
    return start
