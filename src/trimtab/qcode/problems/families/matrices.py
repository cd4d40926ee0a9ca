"""Problems on matrices: lists of rows of equal length."""

from __future__ import annotations

from typing import Any

from trimtab.qcode.problems.source import draw, problem

M = draw(least=1, most=4, width=(1, 4))
SQUARE = draw(least=1, most=4, square=True)
BINARY = draw(least=1, most=4, width=(1, 4), low=0, high=1)


def _t(m: list[list[Any]]) -> list[list[Any]]:
    return [list(r) for r in zip(*m, strict=True)]


def _spiral(m: list[list[Any]]) -> list[Any]:
    out: list[Any] = []
    while m:
        out += m[0]
        m = _t(m[1:])[::-1] if m[1:] else []
    return out


def _neighbours(m: list[list[int]]) -> list[list[int]]:
    h, w = len(m), len(m[0])
    return [
        [
            sum(m[a][b] for a in range(max(0, i - 1), min(h, i + 2)) for b in range(max(0, j - 1), min(w, j + 2)))
            - m[i][j]
            for j in range(w)
        ]
        for i in range(h)
    ]


def _product(a: list[list[Any]], b: list[list[Any]]) -> list[list[Any]]:
    return [[sum(x * y for x, y in zip(r, c, strict=True)) for c in zip(*b, strict=True)] for r in a]


PROBLEMS = [
    problem(
        "transpose_negate",
        "arithmetic",
        "m:JJ -> JJ",
        "Exchange rows and columns of a matrix and change the sign of every item. It has at least one row and column.",
        "neg flip m",
        lambda m: [[-v for v in r] for r in _t(m)],
        M,
    ),
    problem(
        "trace",
        "arithmetic",
        "m:JJ -> j",
        "Add up the main diagonal of a square matrix.",
        "sum m@'til count m",
        lambda m: sum(r[i] for i, r in enumerate(m)),
        SQUARE,
    ),
    problem(
        "rotate_clockwise",
        "lists",
        "m:JJ -> JJ",
        "Turn a matrix by 90 degrees clockwise. It has at least one row and column.",
        "reverse each flip m",
        lambda m: [r[::-1] for r in _t(m)],
        M,
    ),
    problem(
        "row_maxima_positions",
        "searching",
        "m:JJ -> J",
        "For each row of a matrix give the column of its largest item, the first when there are several.",
        "{x?max x} each m",
        lambda m: [r.index(max(r)) for r in m],
        M,
    ),
    problem(
        "spiral",
        "iteration",
        "m:JJ -> J",
        "Read a matrix in a spiral: along the first row, down the last column, back along the last row, "
        "up the first column, and on inwards.",
        "r:`long$(); while[count m;r,:first m;m:$[1<count m;reverse flip 1_m;()]]; r",
        _spiral,
        M,
    ),
    problem(
        "is_symmetric",
        "logic",
        "m:JJ -> b",
        "Is a square matrix equal to its transpose?",
        "m~flip m",
        lambda m: m == _t(m),
        draw(least=1, most=3, square=True, low=0, high=1),
        edges=[([[1, 2], [2, 1]],), ([[1, 2], [3, 1]],)],
    ),
    problem(
        "matrix_product",
        "arithmetic",
        "a:JJ b:JJ -> JJ",
        "Multiply two matrices of whole numbers, keeping whole numbers. a has as many columns as b has rows.",
        "{sum each x*/:y}[;flip b] each a",
        _product,
        draw(least=2, most=4, width=(3, 3)),
        draw(least=3, most=3, width=(1, 3)),
    ),
    problem(
        "saddle_points",
        "searching",
        "m:JJ -> JJ",
        "List the positions (row, column) of all items that are the largest of their row and the "
        "smallest of their column (ties allowed), row by row. None: an empty list.",
        "raze til[count m],/:'where each (m=max each m)&m=\\:min m",
        lambda m: [[i, j] for i, r in enumerate(m) for j, v in enumerate(r) if v == max(r) and v == min(_t(m)[j])],
        draw(least=1, most=3, width=(1, 3), low=0, high=5),
    ),
    problem(
        "column_sums",
        "statistics",
        "m:JJ -> J",
        "Add up each column of a matrix.",
        "sum m",
        lambda m: [sum(c) for c in _t(m)],
        M,
    ),
    problem(
        "identity",
        "logic",
        "n:j -> JJ",
        "Build the identity matrix of size n (at least 1): ones on the main diagonal, zeros elsewhere, as longs.",
        "`long$(til n)=/:til n",
        lambda n: [[int(i == j) for j in range(n)] for i in range(n)],
        draw(low=1, high=6),
    ),
    problem(
        "neighbour_sums",
        "lists",
        "m:JJ -> JJ",
        "Replace each item of a matrix by the sum of its neighbours (up to eight: sideways, up and down, "
        "diagonal); beyond the border is nothing.",
        "g:{(0^prev x)+x+0^next x}; (flip g each flip g each m)-m",
        _neighbours,
        M,
    ),
    problem(
        "clear_crosses",
        "logic",
        "m:JJ -> JJ",
        "Wherever a matrix holds a zero, set its whole row and its whole column to zero (zeros set this "
        "way do not spread).",
        "m*(all each m<>0)&\\:all m<>0",
        lambda m: [[v if all(m[i]) and all(_t(m)[j]) else 0 for j, v in enumerate(r)] for i, r in enumerate(m)],
        draw(least=1, most=4, width=(1, 4), low=0, high=5),
    ),
    problem(
        "reshape",
        "nested",
        "xs:J w:j -> JJ",
        "Fill a matrix of width w row by row with the items of a list; pad the last row with zeros. An "
        "empty list gives an empty list. w is at least 1.",
        "w cut xs,((neg count xs) mod w)#0",
        lambda xs, w: [(xs[i : i + w] + [0] * w)[:w] for i in range(0, len(xs), w)],
        None,
        draw(low=1, high=4),
    ),
    problem(
        "islands_in_row",
        "grouping",
        "m:JJ -> J",
        "In each row of a matrix of zeros and ones, how many separate runs of ones are there?",
        "{sum 0<deltas x} each m",
        lambda m: [sum(v == 1 and (i == 0 or r[i - 1] == 0) for i, v in enumerate(r)) for r in m],
        BINARY,
    ),
    problem(
        "antidiagonals",
        "grouping",
        "m:JJ -> J",
        "Add up the antidiagonals of a matrix (the items whose row and column positions have the same "
        "sum), the one of the top left corner first.",
        "sum {(x#0),y,z#0}'[til count m;m;reverse til count m]",
        lambda m: [
            sum(m[i][s - i] for i in range(len(m)) if 0 <= s - i < len(m[0])) for s in range(len(m) + len(m[0]) - 1)
        ],
        M,
    ),
]
