"""What does q's console print for a value? Lists, matrices, dictionaries, tables in columns, cut to ``\\c``."""

from __future__ import annotations

from trimtab.qcode.q.formats import FULL, bare, enum_symbol, one_line
from trimtab.qcode.q.state import current
from trimtab.qcode.q.values import BOOL, BYTE, CHAR, ELIDED, ENUM, NULL, Dict, Q, Table, Vec, count

__all__ = ["lines", "one_line", "render", "show"]

_UNSPLIT = (BOOL, BYTE, CHAR)


def show(x: Q) -> str:
    """The console text of a value, within ``\\c``, each line with its newline; nothing for ``::`` and ``()``."""
    state = current()
    return render(x, state.rows, state.cols)


def render(x: Q, rows: int, cols: int) -> str:
    """The console text in a window of ``rows`` lines of ``cols`` characters."""
    if x is NULL or x is ELIDED:
        return ""
    if type(x) is Vec and x.t == 0 and not x.a:
        return ""
    out = [fitted(line, cols) for line in lines(x, rows, cols)]
    if len(out) > max(rows - 2, 1):
        out = [*out[: rows - 3], ".."]
    return "".join([line + "\n" for line in out])


def fitted(line: str, cols: int) -> str:
    """A line cut to the width of the console, with two dots where it was longer."""
    return line if len(line) < cols else line[: cols - 3] + ".."


def lines(x: Q, rows: int = FULL, cols: int = FULL) -> list[str]:
    """The lines of a value: at least ``rows`` of them, and ``cols`` characters of each, where there are more."""
    if type(x) is Table:
        return _table_lines(x, rows, cols)
    if type(x) is Dict:
        return _dict_lines(x, rows, cols)
    if type(x) is Vec and x.t == 0 and x.a and not x.attr:
        return list_lines(x, rows, cols)
    return one_line(x, cols).split("\n")


def _head(x: Q, n: int) -> Q:
    """The first ``n`` items of a list or table."""
    if len(x) <= n:
        return x
    if type(x) is Table:
        return Table(x.names, [_head(c, n) for c in x.cols])
    return Vec(x.t, x.a[:n], "", x.dom)


def list_lines(x: Vec, rows: int = FULL, cols: int = FULL) -> list[str]:
    """A line for each item of a list: as a matrix where all are lists of one length, by itself otherwise."""
    grid = _grid(x, rows, cols)
    if grid:
        return _aligned(grid)
    return [one_line(v, cols).replace("\n", " ") if type(v) is not Vec else one_line(v, cols) for v in x.a[:rows]]


def _grid(x: Vec, rows: int, cols: int) -> list[list[str]]:
    """The cells of a matrix; empty where the list is none."""
    n = -1
    for v in x.a:
        if type(v) is not Vec or v.attr or not len(v) or n not in (-1, len(v)):
            return []
        n = len(v)
    if all(v.t in _UNSPLIT for v in x.a):
        return []
    return [cells(_head(v, cols), cols) for v in x.a[:rows]]


def _aligned(grid: list[list[str]]) -> list[str]:
    """Rows of cells, in columns padded to the right, one blank apart."""
    columns = [_padded(list(column)) for column in zip(*grid, strict=True)]
    return [" ".join(row) for row in zip(*columns, strict=True)]


def _padded(column: list[str]) -> list[str]:
    width = max(map(len, column), default=0)
    return [cell.ljust(width) for cell in column]


def cells(x: Q, cols: int = FULL) -> list[str]:
    """The items of a column: atoms of one type bare, anything else in one line."""
    if type(x) is Table:
        return _aligned_columns([_padded(cells(c, cols)) for c in x.cols], len(x))
    if x.t == 0:
        return [one_line(v, cols) for v in x.a]
    if x.t == ENUM:
        return cells(enum_symbol(x), cols)
    t = x.t
    return [bare(t, v) for v in x.a.tolist()]


def _aligned_columns(columns: list[list[str]], n: int) -> list[str]:
    if not columns:
        return [""] * n
    return [" ".join(row) for row in zip(*columns, strict=True)]


def _titled(x: Table, rows: int, cols: int) -> list[str]:
    """A table with its header: columns of cells under their names, all of one width."""
    head = _head(x, rows)
    columns = [_padded([name, *cells(c, cols)]) for name, c in zip(head.names, head.cols, strict=True)]
    return _aligned_columns(columns, len(head) + 1)


def _ruled(titled: list[str]) -> list[str]:
    return [titled[0], "-" * len(titled[0]), *titled[1:]]


def _table_lines(x: Table, rows: int, cols: int) -> list[str]:
    return _ruled(_titled(x, rows, cols))


def _side(x: Q, rows: int, cols: int, titled: bool) -> list[str]:
    """The lines of a dictionary's keys or values; with a header where the other side has one."""
    if type(x) is Table:
        return _titled(x, rows, cols)
    if type(x) is not Vec:
        return [one_line(v, cols) for v in [x]]
    head = _head(x, rows)
    if head.t == 0 and all(type(v) is Vec and not v.t and not v.a for v in head.a):
        body = [""] * len(head)
    else:
        body = _aligned(grid) if head.t == 0 and (grid := _grid(head, rows, cols)) else cells(head, cols)
    return ["", *body] if titled else body


def _dict_lines(x: Dict, rows: int, cols: int) -> list[str]:
    titled = type(x.k) is Table or type(x.v) is Table
    left = _side(x.k, rows, cols, titled)
    right = _side(x.v, rows, cols, titled)
    if titled:
        left, right = _ruled(_padded(left)), _ruled(_padded(right))
        joints = ["| ", "| ", *["| "] * count(x.k)]
        joints[1] = "| "
        return [a + j + b for a, j, b in zip(left, joints, right, strict=False)]
    return [f"{a}| {b}" for a, b in zip(_padded(left), right, strict=False)]
