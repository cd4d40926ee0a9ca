"""The functions of ``.Q`` that make text or read it: display, fixed decimals, base 64 and other encodings, valid names."""

from __future__ import annotations

import base64
import gzip
import hashlib
import ipaddress
import string as alphabets
import zlib
from collections.abc import Callable

from trimtab.qcode.q import calendar, display, formats
from trimtab.qcode.q.casts import cast_raw
from trimtab.qcode.q.errors import QError
from trimtab.qcode.q.lists import collect, items
from trimtab.qcode.q.patterns import data_of
from trimtab.qcode.q.registry import PRIMS, function
from trimtab.qcode.q.state import current
from trimtab.qcode.q.values import (
    ATOMS,
    BYTE,
    CHAR,
    CHARS,
    DATE,
    DATETIME,
    FLOAT,
    INT,
    MONTH,
    SYM,
    TIMESTAMP,
    Atom,
    Dict,
    Q,
    Table,
    Vec,
    box,
    chars,
    qtype,
    raw,
    syms,
    vec,
)

ALPHANUMERIC = alphabets.ascii_lowercase + alphabets.ascii_uppercase + "_" + alphabets.digits
BASE64 = alphabets.ascii_uppercase + alphabets.ascii_lowercase + alphabets.digits + "+/"
BASE36 = alphabets.digits + alphabets.ascii_uppercase


@function(".Q.s", 1)
def console_text(x: Q) -> Q:
    """The console text of a value, as a string."""
    return chars(display.show(x))


@function(".Q.s1", 1)
def one_line(x: Q) -> Q:
    """The one-line form of a value, as a string."""
    return chars(formats.one_line(x))


@function(".Q.s2", 1)
def console_lines(x: Q) -> Q:
    """The lines of the console text."""
    return Vec(0, [chars(line) for line in display.lines(x)])


def _decimals(places: int, x: Q) -> str:
    if type(x) not in ATOMS:
        raise QError("type")
    v = cast_raw(FLOAT, x)
    if v != v or v in (float("inf"), float("-inf")):
        return formats.float_text(v)
    if abs(places) > 100:
        raise QError("length")
    places = max(places, 0)
    units = abs(v) * 10.0**places
    if units >= 1e15:
        return f"{v:.{places}f}"
    digits = str(int(units + 0.5)).rjust(places + 1, "0")
    text = f"{digits[: len(digits) - places]}.{digits[len(digits) - places :]}" if places else digits
    return f"-{text}" if v < 0 else text


def _count(x: Q) -> int:
    if type(x) not in ATOMS or type(raw(x)) is not int:
        raise QError("type")
    return raw(x)


@function(".Q.f", 2)
def fixed(places: Q, x: Q) -> Q:
    """A number with so many decimals."""
    return chars(_decimals(_count(places), x))


@function(".Q.fmt", 3)
def fmt(width: Q, places: Q, x: Q) -> Q:
    """A number with so many decimals in a field of a width; asterisks where it does not fit."""
    w, text = _count(width), _decimals(_count(places), x)
    if w > 1 << 20:
        raise QError("wsfull")
    return chars(text.rjust(w) if len(text) <= w else "*" * w)


@function(".Q.btoa", 1)
def btoa(x: Q) -> Q:
    """A text in base 64."""
    return chars(base64.b64encode(data_of(x)))


@function(".Q.atob", 1)
def atob(x: Q) -> Q:
    """The bytes of a text in base 64."""
    try:
        return vec(BYTE, base64.b64decode(data_of(x)))
    except ValueError:
        raise QError("length") from None


@function(".Q.gz", 1)
def gz(x: Q) -> Q:
    """``(level;text)`` compressed as gzip does; a compressed text expanded."""
    if type(x) is Vec and x.t == 0 and len(x) == 2:
        return chars(gzip.compress(data_of(x.a[1]), min(max(_count(x.a[0]), 0), 9), mtime=0))
    engine = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        out = engine.decompress(data_of(x), current().limits.memory_bytes // 4)
    except zlib.error:
        raise QError("zlib") from None
    if engine.unconsumed_tail:
        raise QError("wsfull")
    return chars(out)


@function(".Q.sha1", 1)
def sha1(x: Q) -> Q:
    """The SHA-1 digest of a text."""
    return vec(BYTE, hashlib.sha1(data_of(x), usedforsecurity=False).digest())


def _encoder(alphabet: str, length: int) -> Callable[[Q], Q]:
    def encode(x: Q) -> Q:
        v = _count(x) % len(alphabet) ** length
        out = ""
        for _ in range(length):
            v, digit = divmod(v, len(alphabet))
            out = alphabet[digit] + out
        return chars(out)

    return encode


def _decoder(alphabet: str) -> Callable[[Q], Q]:
    def decode(x: Q) -> Q:
        v = 0
        for c in data_of(x).decode("latin-1"):
            v = v * len(alphabet) + max(alphabet.find(c), 0)
        v &= (1 << 64) - 1
        return v - (1 << 64) if v >> 63 else v

    return decode


function(".Q.x10", 1)(_encoder(BASE64, 10))
function(".Q.j10", 1)(_decoder(BASE64))
function(".Q.x12", 1)(_encoder(BASE36, 12))
function(".Q.j12", 1)(_decoder(BASE36))


@function(".Q.addmonths", 2)
def addmonths(x: Q, y: Q) -> Q:
    """Dates so many months later; days past the end of a month run into the next."""
    if type(y) is Vec or (type(x) is Vec and x.t == 0):
        if type(y) is Vec and type(x) is Vec:
            raise QError("rank")
        return collect([addmonths(x, v) for v in items(y)])
    if type(x) is Vec:
        return collect([addmonths(v, y) for v in items(x)])
    if type(x) not in ATOMS or qtype(x) not in (-DATE, -TIMESTAMP, -MONTH, -DATETIME):
        raise QError("type")
    days, months = cast_raw(DATE, x), _count(y)
    year, month, day = calendar.civil(days)
    total = year * 12 + month - 1 + months
    if not 0 <= total < 120_000:
        raise QError("domain")
    return box(DATE, calendar.days_of(total // 12, total % 12 + 1, 1) + day - 1)


def _valid(name: str) -> str:
    name = "".join([c for c in name if c in ALPHANUMERIC])
    if not name or name[0] in "_0123456789":
        name = "a" + name
    return name + "1" if name in PRIMS or name in ("select", "exec", "update", "delete", "if", "do", "while") else name


def _distinct(names: list[str]) -> list[str]:
    out: list[str] = []
    for name in map(_valid, names):
        new, n = name, 0
        while new in out:
            n += 1
            new = f"{name}{n}"
        out.append(new)
    return out


@function(".Q.id", 1)
def identifier(x: Q) -> Q:
    """Names that q can read: of a symbol, of the columns of a table, of the keys of a dictionary."""
    if type(x) is str:
        return _valid(x)
    if type(x) is Vec and x.t == SYM:
        return syms([_valid(v) for v in x.a])
    if type(x) is Table:
        return Table(_distinct(x.names), x.cols)
    if type(x) is Dict and type(x.k) is Table and type(x.v) is Table:
        names = _distinct([*x.k.names, *x.v.names])
        n = len(x.k.names)
        return Dict(Table(names[:n], x.k.cols), Table(names[n:], x.v.cols))
    if type(x) is Dict and type(x.k) is Vec and x.k.t == SYM:
        return Dict(syms(_distinct(x.k.a.tolist())), x.v)
    raise QError("type")


@function(".Q.addr", 1)
def addr(x: Q) -> Q:
    """An IP address as an int; -1i for a host that is not known here."""
    if type(x) is not str:
        raise QError("type")
    name = "127.0.0.1" if x == "localhost" else x
    try:
        v = int(ipaddress.IPv4Address(name))
    except ValueError:
        v = -1
    return box(INT, v - (1 << 32) if v >> 31 > 0 else v)


@function(".Q.ty", 1)
def ty(x: Q) -> Q:
    """The letter of a list's type; a capital for a list of lists of one type; a blank for others."""
    t = abs(qtype(x))
    if t == 0 and type(x) is Vec and x.a:
        kinds = {qtype(v) for v in x.a}
        t = kinds.pop() if len(kinds) == 1 else 0
        return Atom(CHAR, ord(CHARS[t].upper() if 0 < t < 20 else " "))
    letter = "s" if 20 <= t < 77 else CHARS[t] if t < 20 else " "
    return Atom(CHAR, ord(letter))
