"""How are tables and texts turned into each other? ``0:`` writes and reads delimited, fixed and keyed text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from trimtab.qcode.q import files, formats
from trimtab.qcode.q.casts import LETTERS, parse
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.lists import as_list, items
from trimtab.qcode.q.patterns import data_of
from trimtab.qcode.q.registry import dyad
from trimtab.qcode.q.values import (
    ATOMS,
    CHAR,
    DATE,
    DATETIME,
    TIMESTAMP,
    Q,
    Table,
    Vec,
    chars,
    is_string,
    qtype,
    raw,
    text_of,
)


@dyad("0:", infix=False)
def text_file(x: Q, y: Q) -> Q:
    """``delimiter 0: table``, ``(types;delimiter) 0: text``, ``(types;widths) 0: text``, ``"S=;" 0: text``."""
    if type(x) is str and x.startswith(":"):
        return files.write_lines(x, y)
    if type(y) is str or (type(y) is Vec and y.t == 0 and y.a and type(y.a[0]) is str and y.a[0].startswith(":")):
        y = Vec(0, [chars(line) for line in files.text(y).split(b"\n")])
    if qtype(x) == -CHAR:
        return _prepare(data_of(x).decode("latin-1"), y)
    if is_string(x):
        return _key_values(text_of(x), y)
    if type(x) is not Vec or x.t != 0 or len(x) < 2:
        raise QError("type")
    types = text_of(x.a[0])
    if qtype(x.a[1]) in (7, 6):
        return _fixed(types, [int(v) for v in x.a[1].a], y)
    return _delimited(types, x.a[1], bool(raw(x.a[2])) if len(x) > 2 else False, y)


def _prepare(delimiter: str, y: Q) -> Q:
    """A table (or a list of columns) as lines of text."""
    table = y if type(y) is Table else None
    columns = table.cols if table is not None else [as_list(c) for c in items(y)]
    texts = [[_field(v, delimiter) for v in _column(c)] for c in columns]
    if len({len(c) for c in texts}) > 1:
        raise QError("length")
    rows = [delimiter.join(row) for row in zip(*texts, strict=True)] if texts else []
    if table is not None:
        rows.insert(0, delimiter.join([_field(name, delimiter) for name in table.names]))
    return Vec(0, [chars(row) for row in rows])


def _column(c: Vec) -> list[str]:
    if c.t != 0:
        return [_text(v) for v in items(c)]
    if not all(is_string(v) for v in c.a) and not all(type(v) in ATOMS for v in c.a):
        raise QError("type")
    return [text_of(v) if is_string(v) else _text(v) for v in c.a]


def _text(v: Q) -> str:
    t = -qtype(v)
    if t == 20:
        v, t = formats.enum_symbol(v), 11
    text = formats.bare(t, raw(v))
    if t in (DATE, DATETIME, TIMESTAMP):
        text = text.replace(".", "-", 2)
    return text


def _field(text: str, delimiter: str) -> str:
    if delimiter in text or "\n" in text:
        return '"' + text.replace('"', '""') + '"'
    return text


def _lines(y: Q) -> list[str]:
    if is_string(y):
        text = text_of(y)
        return text.split("\n")[: -1 if text.endswith("\n") else None]
    if type(y) is Vec and y.t == 0:
        return [text_of(v) for v in y.a]
    raise QError("type")


def _columns(types: str, columns: Iterable[list[str]]) -> list[Q]:
    out: list[Q] = []
    for letter, column in zip(types, columns, strict=False):
        if letter == " ":
            continue
        if letter == "*":
            out.append(Vec(0, [chars(v) for v in column]))
            continue
        t = LETTERS.get(letter.lower())
        if t is None:
            raise QError("type")
        if t == CHAR:
            out.append(chars("".join([v[:1] or " " for v in column])))
        else:
            out.append(parse(t, Vec(0, [chars(v) for v in column])))
    return out


def _delimited(types: str, delimiter: Q, multiline: bool, y: Q) -> Q:
    titled = is_string(delimiter) or (type(delimiter) is Vec and delimiter.t == 0)
    mark = data_of(delimiter if not (type(delimiter) is Vec and delimiter.t == 0) else delimiter.a[0])
    if len(mark) != 1:
        raise QError("length")
    rows = _rows(_lines(y), mark.decode("latin-1"), multiline)
    names = rows.pop(0) if titled and rows else []
    columns = [[row[i] if i < len(row) else "" for row in rows] for i in range(len(types))]
    read = _columns(types, columns)
    if titled:
        kept = [name for name, letter in zip(names, types, strict=False) if letter != " "]
        return Table(kept, [as_list(c) for c in read])
    if is_string(y) and len(rows) == 1:
        return _first(read)
    return Vec(0, read)


def _first(columns: list[Q]) -> Q:
    from trimtab.qcode.q.lists import at, collect

    return collect([at(c, 0) for c in columns])


def _rows(lines: list[str], delimiter: str, multiline: bool) -> list[list[str]]:
    source = io.StringIO("\n".join(lines)) if multiline else None
    csv.field_size_limit(1 << 30)
    if source is not None:
        return [row for row in csv.reader(source, delimiter=delimiter) if row]
    return [_split(line.rstrip("\r"), delimiter) for line in lines]


def _split(line: str, delimiter: str) -> list[str]:
    """Fields of a line; a quoted field may hold the delimiter, a doubled quote stands for one."""
    if '"' not in line:
        return line.split(delimiter)
    fields: list[str] = []
    i, n = 0, len(line)
    while i <= n:
        if line[i : i + 1] == '"':
            text, i = _quoted(line, i + 1)
            end = line.find(delimiter, i)
            end = n if end < 0 else end
            fields.append(text + line[i:end])
        else:
            end = line.find(delimiter, i)
            end = n if end < 0 else end
            fields.append(line[i:end])
        i = end + 1
    return fields


def _quoted(line: str, i: int) -> tuple[str, int]:
    out: list[str] = []
    while i < len(line):
        if line[i] != '"':
            out.append(line[i])
        elif line[i + 1 : i + 2] == '"':
            out.append('"')
            i += 1
        else:
            return "".join(out), i + 1
        i += 1
    return "".join(out), i


def _fixed(types: str, widths: list[int], y: Q) -> Q:
    columns: list[list[str]] = [[] for _ in widths]
    for line in _lines(y):
        at = 0
        for column, width in zip(columns, widths, strict=True):
            column.append(line[at : at + width])
            at += width
    return Vec(0, _columns(types, columns))


def _key_values(form: str, y: Q) -> Q:
    """``"S=;"``: keys of a type, what parts key and value, what parts the pairs; ``*`` where quotes may hold the latter."""
    if len(form) not in (3, 4):
        raise QError("length")
    letter, equals, separator = form[0], form[1], form[-1]
    text = text_of(y)
    pairs = _split_pairs(text, separator) if len(form) == 4 and form[2] == "*" else text.split(separator)
    keys: list[str] = []
    values: list[Q] = []
    for pair in pairs:
        if not pair:
            continue
        key, _, value = pair.partition(equals)
        if len(form) == 4 and value.startswith('"'):
            value = _quoted(value, 1)[0]
        keys.append(key)
        values.append(chars(value))
    read = _columns(letter, [keys])
    if not read:
        raise QError("type")
    return Vec(0, [read[0], Vec(0, values)])


def _split_pairs(text: str, separator: str) -> list[str]:
    out, start, inside = list[str](), 0, False
    for i, c in enumerate(text):
        if c == '"':
            inside = not inside
        elif c == separator and not inside:
            out.append(text[start:i])
            start = i + 1
    return [*out, text[start:]]
