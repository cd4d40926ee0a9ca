"""Which functions of ``.h`` make whole pages and answers? HTML documents, HTTP responses, files of several formats."""

from __future__ import annotations

import re

from trimtab.qcode.q import markup
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.lists import items
from trimtab.qcode.q.markup import htc, text_line, text_lines
from trimtab.qcode.q.registry import PRIMS, function
from trimtab.qcode.q.state import State
from trimtab.qcode.q.values import Dict, Q, Vec, chars, syms
from trimtab.qcode.q.variables import SPECIAL

TYPES = {
    "htm": "text/html",
    "html": "text/html",
    "csv": "text/comma-separated-values",
    "txt": "text/plain",
    "xml": "text/plain",
    "xls": "application/msexcel",
    "gif": "image/gif",
    "png": "image/png",
    "ico": "image/x-icon",
    "jpg": "image/jpeg",
    "js": "application/javascript",
    "css": "text/css",
    "json": "application/json",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "woff": "application/font-woff",
    "swf": "application/x-shockwave-flash",
}
"""Media types by the ending of a file's name."""
ANCHORS = "a{text-decoration:none}a:link{color:024C7E}a:visited{color:024C7E}a:active{color:958600}"
BODY = "body{font:10pt verdana;text-align:justify}"


@function(".h.hn", 3)
def response(status: Q, kind: Q, x: Q) -> Q:
    """An HTTP response: status, content type, content."""
    if type(kind) is not str:
        raise QError("type")
    content = text_line(x)
    head = [f"HTTP/1.1 {text_line(status)}", f"Content-Type: {TYPES.get(kind, '')}", "Connection: close"]
    head.append(f"Content-Length: {len(content.encode('utf-8', 'surrogateescape'))}")
    return chars("\r\n".join([*head, "", content]))


@function(".h.hy", 2)
def good(kind: Q, x: Q) -> Q:
    """The response of a request that succeeds."""
    return response(chars("200 OK"), kind, x)


@function(".h.he", 1)
def bad(x: Q) -> Q:
    """The response of a request that fails: a quote and the text."""
    text = text_line(x).replace("<", "&lt;")
    return response(chars("400 Bad Request"), "txt", chars(f"'{text}"))


@function(".h.hp", 1)
def preformatted(x: Q) -> Q:
    """A response that shows lines as they are."""
    style = htc("style", chars(BODY))
    page = text_line(htc("head", style)) + text_line(htc("body", markup.pre(x)))
    return good("htm", htc("html", chars(page)))


@function(".h.html", 1)
def document(x: Q) -> Q:
    """A document with q's style around a body."""
    head = htc("head", htc("style", chars(ANCHORS + BODY)))
    return htc("html", chars(text_line(head) + text_line(htc("body", x))))


@function(".h.fram", 3)
def frames(title: Q, lines: Q, sources: Q) -> Q:
    """A page of two frames, the left as wide as the lines of a text."""
    left, right = [text_line(s) for s in items(sources)] if type(sources) is Vec and len(sources) == 2 else ("", "")
    width = 26 + 10 * max([len(line) for line in text_lines(lines)], default=0)
    frame = f'<frameset cols="{width},*"><frame src="{left}"><frame name=v src="{right}"></frameset>'
    return htc("html", htc("head", chars(text_line(htc("title", title)) + frame)))


@function(".h.xmp", 1)
def xmp(x: Q) -> Q:
    """Lines in an ``xmp`` element."""
    return htc("xmp", chars("".join([line + "\n" for line in text_lines(x)])))


@function(".h.http", 1)
def linked(x: Q) -> Q:
    """A text whose addresses are links."""
    return chars(re.sub(r"http://[^\s<]+", lambda m: f'<a href="{m.group()}">{m.group()}</a>', text_line(x)))


@function(".h.hug", 1)
def escapes(x: Q) -> Q:
    """What each character becomes in a URI where those of ``x`` are left as they are."""
    safe = set(text_line(x).encode("latin-1", "replace"))
    keys = chars(bytes(range(256)))
    return Dict(keys, Vec(0, [chars(bytes([c])) if c in safe else chars(f"%{c:02x}") for c in range(256)]))


@function(".h.val", 1)
def evaluated(x: Q) -> Q:
    """The value of a request."""
    return PRIMS["value"].fns[1](x)


@function(".h.xt", 2)
def read_lines(kind: Q, x: Q) -> Q:
    """Lines of JSON as a list of values."""
    if kind != "json":
        raise QError("type")
    return Vec(0, [PRIMS[".j.k"].fns[1](v) for v in items(x)])


@function(".h.ed", 1)
def workbook(x: Q) -> Q:
    """A table as an Excel workbook in XML."""
    return workbooks(Dict(syms(["Sheet1"]), Vec(0, [x])))


@function(".h.edsn", 1)
def workbooks(x: Q) -> Q:
    """Tables by name as the sheets of an Excel workbook in XML."""
    if type(x) is not Dict:
        raise QError("type")
    sheets = [_sheet(text_line(k), v) for k, v in zip(items(x.k), items(x.v), strict=True)]
    urn = "urn:schemas-microsoft-com:office:spreadsheet"
    body = f'<Workbook xmlns="{urn}" xmlns:ss="{urn}">{"".join(sheets)}</Workbook>'
    return Vec(0, [chars('<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?>'), chars(body)])


def _sheet(name: str, x: Q) -> str:
    table = markup.plain_table(x)
    rows = [_row([("String", n) for n in table.names])]
    for i in range(len(table)):
        cells = [items(c)[i] for c in table.cols]
        rows.append(_row([("Number" if type(v) in (int, float) else "String", markup.as_text(v)) for v in cells]))
    return f'<Worksheet ss:Name="{name}"><Table>{"".join(rows)}</Table></Worksheet>'


def _row(cells: list[tuple[str, str]]) -> str:
    return "<Row>" + "".join([f'<Cell><Data ss:Type="{t}">{v}</Data></Cell>' for t, v in cells]) + "</Row>"


@function(".h.jl", 1)
def json_lines(x: Q) -> Q:
    """The rows of a table, or the items of a list, each as a line of JSON."""
    return Vec(0, [PRIMS[".j.j"].fns[1](v) for v in items(x)])


def _types(_: State) -> Q:
    return Dict(syms(list(TYPES)), Vec(0, [chars(v) for v in TYPES.values()]))


def _formats(_: State) -> Q:
    writers = {"raw": "enlist", "json": ".h.jl", "csv": ".h.cd", "txt": ".h.td", "xml": ".h.xd", "xls": ".h.ed"}
    return Dict(syms(list(writers)), Vec(0, [PRIMS[name] for name in writers.values()]))


SPECIAL[".h.ty"] = _types
SPECIAL[".h.tx"] = _formats
for _name, _value in {"sa": ANCHORS, "sb": BODY, "sc": markup.SAFE_TEXT, "HOME": "html", "logo": ""}.items():
    SPECIAL[f".h.{_name}"] = lambda _, value=_value: chars(value)
