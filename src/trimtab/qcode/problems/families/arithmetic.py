"""Problems on whole numbers: digits, divisors, remainders."""

from __future__ import annotations

import math

from trimtab.qcode.problems.source import draw, problem

N = draw(low=0, high=99999)


def _factors(n: int) -> list[int]:
    found, p = [], 2
    while n > 1:
        while n % p == 0:
            found.append(p)
            n //= p
        p += 1
    return found


PROBLEMS = [
    problem(
        "digit_sum",
        "casting",
        "n:j -> j",
        "Add up the decimal digits of a number that is not negative.",
        "sum 10 vs n",
        lambda n: sum(map(int, str(n))),
        N,
        edges=[(0,), (9,), (1000,)],
    ),
    problem(
        "divisors",
        "lists",
        "n:j -> J",
        "List all positive divisors of a positive number, from 1 up to the number itself.",
        "d where 0=n mod d:1+til n",
        lambda n: [d for d in range(1, n + 1) if n % d == 0],
        draw(low=1, high=200),
        edges=[(1,), (36,), (97,)],
    ),
    problem(
        "is_prime",
        "logic",
        "n:j -> b",
        "Is the number prime? Numbers below 2 are not.",
        "$[n<2;0b;all 0<n mod 2_til n]",
        lambda n: n > 1 and all(n % d for d in range(2, n)),
        draw(low=-3, high=120),
        edges=[(0,), (1,), (2,), (9,), (97,)],
    ),
    problem(
        "gcd",
        "iteration",
        "a:j b:j -> j",
        "Find the greatest common divisor of two numbers that are not negative. The greatest common "
        "divisor of a number and 0 is the number; of 0 and 0 it is 0.",
        "first {(x 1;$[0=x 1;0;x[0] mod x 1])}/[{0<x 1};(a;b)]",
        math.gcd,
        draw(low=0, high=60),
        draw(low=0, high=60),
        edges=[(0, 0), (0, 7), (12, 18), (7, 0)],
    ),
    problem(
        "reverse_digits",
        "strings",
        "n:j -> j",
        "Write the decimal digits of a number backwards and read the result as a number. Zeros that come "
        "to the front vanish; the sign of a negative number stays.",
        'signum[n]*"J"$reverse string abs n',
        lambda n: (1 if n > 0 else -1) * int(str(abs(n))[::-1]),
        draw(low=-9999, high=9999),
        edges=[(0,), (120,), (-45,)],
    ),
    problem(
        "collatz_length",
        "iteration",
        "n:j -> j",
        "Start from a positive number. An even number is halved, an odd one is tripled and increased by "
        "one, until 1 is reached. How many such steps are taken? (For 1 it is 0.)",
        "-1+count {$[x=1;1;0=x mod 2;x div 2;1+3*x]}\\[n]",
        lambda n: (lambda f: f(f, n))(lambda f, m: 0 if m == 1 else 1 + f(f, m // 2 if m % 2 == 0 else 3 * m + 1)),
        draw(low=1, high=40),
        edges=[(1,), (6,), (16,)],
    ),
    problem(
        "prime_factors",
        "iteration",
        "n:j -> J",
        "Factor a positive number into primes, in ascending order, each as often as it divides the "
        "number. For 1 the list is empty.",
        "r:`long$(); p:2; while[n>1; $[0=n mod p; [r,:p; n:n div p]; p+:1]]; r",
        _factors,
        draw(low=1, high=300),
        edges=[(1,), (2,), (8,), (60,), (97,)],
    ),
    problem(
        "clamp",
        "lists",
        "xs:J lo:j hi:j -> J",
        "Limit every item of a list to the range from lo to hi: smaller items become lo, larger ones hi. "
        "lo is not above hi.",
        "lo|hi&xs",
        lambda xs, lo, hi: [max(lo, min(hi, v)) for v in xs],
        None,
        draw(low=-5, high=0),
        draw(low=0, high=5),
    ),
    problem(
        "round_to_multiple",
        "casting",
        "x:j m:j -> j",
        "Round a number to the nearest multiple of the positive number m. Halfway goes up (to the larger "
        "multiple), for negative numbers too.",
        "m*(m+2*x) div 2*m",
        lambda x, m: m * ((m + 2 * x) // (2 * m)),
        draw(low=-40, high=40),
        draw(low=1, high=12),
        edges=[(5, 10), (-5, 10), (0, 3), (7, 2)],
    ),
    problem(
        "perfect_number",
        "logic",
        "n:j -> b",
        "A number is perfect when it equals the sum of its divisors smaller than itself. Is this "
        "positive number perfect?",
        "n=sum d where 0=n mod d:1_til n",
        lambda n: n == sum(d for d in range(1, n) if n % d == 0),
        draw(low=1, high=60),
        edges=[(1,), (6,), (28,), (12,), (496,)],
    ),
    problem(
        "digital_root",
        "iteration",
        "n:j -> j",
        "Add up the decimal digits of a number that is not negative, then the digits of the sum, and so "
        "on until one digit is left. Which digit?",
        "{sum 10 vs x}/[n]",
        lambda n: 0 if n == 0 else 1 + (n - 1) % 9,
        N,
        edges=[(0,), (9,), (99,), (38,)],
    ),
    problem(
        "split_quotient",
        "lists",
        "n:j k:j -> J",
        "Share n objects among k people as evenly as possible (k at least 1, n at least 0): return the k "
        "shares, the larger ones first.",
        "(n div k)+(til k)<n mod k",
        lambda n, k: [n // k + (i < n % k) for i in range(k)],
        draw(low=0, high=40),
        draw(low=1, high=7),
        edges=[(0, 3), (7, 3), (2, 5)],
    ),
    problem(
        "sum_of_multiples",
        "sets",
        "a:j b:j n:j -> j",
        "Add up all numbers from 1 up to, not including, n that are multiples of a or of b (or both; "
        "those count once). a and b are positive.",
        "sum v where (0=v mod a)|0=(v:1_til n) mod b",
        lambda a, b, n: sum(v for v in range(1, n) if v % a == 0 or v % b == 0),
        draw(low=1, high=9),
        draw(low=1, high=9),
        draw(low=1, high=60),
        edges=[(3, 5, 10), (2, 4, 1), (3, 3, 7)],
    ),
    problem(
        "lcm_of_list",
        "iteration",
        "xs:J -> j",
        "Find the least common multiple of all numbers of a list of positive numbers. For an empty list it is 1.",
        "g:{$[0=y;x;.z.s[y;x mod y]]}; {[g;a;b] a*b div g[a;b]}[g]/[1;xs]",
        lambda xs: math.lcm(*xs),
        draw(low=1, high=12, most=5),
    ),
]
