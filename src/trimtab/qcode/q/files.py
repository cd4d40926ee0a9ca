"""What do file handles stand for? Files that live in the session's memory, where it allows them; the disk is out of reach.

A file is bytes (text) or a q value; a splayed table is a folder with a file for each column and their order in ``.d``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from trimtab.qcode.q import serial
from trimtab.qcode.q.errors import QError, Unsupported
from trimtab.qcode.q.listops import sized, whole
from trimtab.qcode.q.lists import as_list, items
from trimtab.qcode.q.patterns import data_of
from trimtab.qcode.q.registry import PRIMS, dyad, monad
from trimtab.qcode.q.state import current
from trimtab.qcode.q.values import BYTE, EMPTY, Q, Table, Vec, chars, is_string, syms

Stored = Any
"""Bytes, or a q value."""


def refuse(what: str) -> dict[str, Stored]:
    """The files of the session; Unsupported, with what was asked for, where it has none."""
    files = current().files
    if files is None:
        raise Unsupported(what)
    return files


def is_handle(x: Q) -> bool:
    """Whether a value is the symbol of a file."""
    return type(x) is str and x.startswith(":")


def path_of(x: Q, what: str) -> str:
    """The normal form of a handle's path."""
    refuse(what)
    if not isinstance(x, str):
        raise QError("type")
    return x.removeprefix(":").removeprefix("./").rstrip("/")


def read(x: Q, what: str = "reading of files") -> Q:
    """The value in a file, the table in a folder."""
    path = path_of(x, what)
    files = refuse(what)
    if f"{path}/.d" in files:
        names = files[f"{path}/.d"].a.tolist()
        return Table(names, [files[f"{path}/{n}"] for n in names])
    found = _found(path)
    if isinstance(found, bytes):
        raise QError(path)
    return found


def _found(path: str) -> Stored:
    files = refuse("files")
    if path not in files:
        raise QError(f"{path}. OS reports: No such file or directory")
    return files[path]


def write(x: str, value: Q, what: str = "writing of files") -> Q:
    """Keep a value in a file; a table in a folder where the handle ends in a slash."""
    path = path_of(x, what)
    files = refuse(what)
    if not x.endswith("/"):
        files[path] = value
        return x
    if type(value) is not Table:
        raise QError("type")
    files[f"{path}/.d"] = syms(value.names)
    files.update({f"{path}/{n}": c for n, c in zip(value.names, value.cols, strict=True)})
    return x


def key(x: str) -> Q:
    """The handle itself of a file, the names in a folder; an empty list where there is neither."""
    path = path_of(x, "files (key of a handle)")
    files = refuse("files")
    if path in files:
        return x
    top = path in ("", ".")
    inside = [n if top else n[len(path) + 1 :] for n in files if top or n.startswith(path + "/")]
    return syms(sorted({n.split("/")[0] for n in inside})) if inside or top else EMPTY


def lines(x: Q) -> Vec:
    """The lines of a text file."""
    return Vec(0, [chars(line) for line in text(x, "reading of files (read0)").split(b"\n")])


def content(x: Q, what: str = "reading of files (read0)") -> bytes:
    """The bytes of a file, or of a part of it (handle; offset; length)."""
    if type(x) is Vec and x.t == 0 and 1 < len(x) < 4:
        handle, *part = items(x)
        start = sized(whole(part[0]))
        return content(handle, what)[start : start + sized(whole(part[1])) if len(part) > 1 else None]
    found = _found(path_of(x, what))
    return found if isinstance(found, bytes) else serial.serialized(found)


def text(x: Q, what: str = "reading of files (0:)") -> bytes:
    """The text of a file without the end of its last line."""
    return content(x, what).removesuffix(b"\n")


def write_lines(x: str, y: Q) -> Q:
    """Keep lines as a text file."""
    path = path_of(x, "writing of files (0:)")
    refuse("files")[path] = b"".join([data_of(line) + b"\n" for line in items(as_list(y))])
    return x


@monad("read0")
def read0(x: Q) -> Q:
    """The lines of a text file; of a part of one (handle; offset; length), too."""
    if type(x) is Vec and x.t == 0 and x.a and not is_string(x.a[0]) and len(x) == 3:
        return chars(content(x))
    return lines(x)


@monad("read1")
def read1(x: Q) -> Q:
    """The bytes of a file."""
    found = content(x, "reading of files (read1)")
    return Vec(BYTE, np.frombuffer(found, dtype=np.uint8))


@monad("hcount")
def hcount(x: Q) -> Q:
    """The size of a file in bytes."""
    found = _found(path_of(x, "files (hcount)"))
    return len(found if isinstance(found, bytes) else serial.serialized(found))


@monad("hdel")
def hdel(x: Q) -> Q:
    """Delete a file."""
    path = path_of(x, "files (hdel)")
    _found(path)
    del refuse("files")[path]
    return x


def _name(path: str) -> tuple[str, str]:
    """The name of the variable that a file is for, and the file's ending."""
    name, _, ending = path.rsplit("/", 1)[-1].partition(".")
    return name, ending


@monad("save")
def save(x: Q) -> Q:
    """Keep a global variable in the file of its name: as a value, or as text by the ending (csv, txt, xml, xls)."""
    path = path_of(x, "files (save)")
    name, ending = _name(path)
    value = PRIMS["value"].fns[1](name)
    writers = {"csv": ".h.cd", "txt": ".h.td", "xml": ".h.xd", "xls": ".h.ed"}
    if ending in writers:
        return write_lines(f":{path}", PRIMS[writers[ending]].fns[1](value))
    write(f":{path}/" if isinstance(x, str) and x.endswith("/") else f":{path}", value)
    return x if is_handle(x) else f":{path}"


@monad("load")
def load(x: Q) -> Q:
    """Set the global variable of a file's name to the value in it."""
    path = path_of(x, "files (load)")
    name, _ = _name(path)
    PRIMS["set"].fns[2](name, read(f":{path}"))
    return name


@monad("rsave")
def rsave(x: Q) -> Q:
    """Keep a table in a folder of its name."""
    path = path_of(x, "files (rsave)")
    return write(f":{path}/", PRIMS["value"].fns[1](_name(path)[0]))


@monad("rload")
def rload(x: Q) -> Q:
    """Set a table from the folder of its name."""
    path_of(x, "files (rload)")
    return load(x)


@dyad("dsave")
def dsave(x: Q, y: Q) -> Q:
    """Keep tables in folders below another."""
    folder = path_of(x, "files (dsave)")
    names = [y] if type(y) is str else items(as_list(y))
    for name in names:
        write(f":{folder}/{name}/", PRIMS["value"].fns[1](name))
    return y


def enumerated(folder: Q, domain: str) -> None:
    """Keep a domain in a folder; read it first, where it is not a variable."""
    path = f"{path_of(folder, '.Q.en to a file')}/{domain}"
    names = current().names
    if domain not in names and path in refuse("files"):
        names[domain] = refuse("files")[path]
    refuse("files")[path] = names.get(domain, syms([]))


def extended(x: str, y: Q) -> Q:
    """```:file?symbols``: the domain in a file, extended, and the variable of its name."""
    path = path_of(x, "files (enumeration over a file)")
    name, _ = _name(path)
    files = refuse("files")
    current().names[name] = files.get(path, syms([]))
    out = PRIMS["?"].fns[2](name, y)
    files[path] = current().names[name]
    return out
