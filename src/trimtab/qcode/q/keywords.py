"""What does ``.q`` hold, and how does the console show its functions? Keywords in q's order, with their text in k.

q defines most keywords in k, and shows that text: ``differ`` is ``$["b"]~~':``, ``fby`` is ``k){...}``. Keywords that are
primitives of their own (``like``, ``in``, ``avg``) are not in ``.q``. Texts that are left out show the keyword's name.
"""

from __future__ import annotations

from collections.abc import Callable

from trimtab.qcode.q.functions import Prim
from trimtab.qcode.q.registry import PRIMS
from trimtab.qcode.q.state import State
from trimtab.qcode.q.values import NULL, Dict, Q, Vec, syms
from trimtab.qcode.q.variables import SPECIAL

_KEYWORDS = """
neg not null string reciprocal floor ceiling signum mod xbar xlog and or each scan over prior mmu lsq inv md5 ltime
gtime count first svar sdev scov med all any rand sums prds mins maxs fills deltas ratios avgs differ prev next rank
reverse iasc idesc asc desc msum mcount mavg mdev xrank mmin mmax xprev rotate ema distinct group where flip type key
til get value attr cut set upsert raze union inter except cross sv vs sublist read0 read1 hopen hclose hdel hsym hcount
peach system ltrim rtrim trim lower upper ssr view tables views cols xcols keys xkey xcol xasc xdesc fkeys meta lj ljf
aj aj0 aju ajf ajf0 ij ijf pj asof uj ujf wj wj1 fby xgroup ungroup ej save load rsave rload dsave show csv parse eval
reval
"""
ORDER = tuple(_KEYWORDS.split())
"""Names in ``.q``, in its order."""

K_TEXT = {
    "signum": "k){(x>0)-x<0}",
    "mod": "k){x-y*x div y}",
    "xbar": 'k){x*y div x:$[16h=abs[@x];"j"$x;x]}',
    "xlog": "k){log[y]%log x}",
    "each": "k){x'y}",
    "scan": "k){x\\y}",
    "over": "k){x/y}",
    "prior": "k){x':y}",
    "mmu": "$",
    "lsq": "!",
    "inv": "!:",
    "md5": "-15!",
    "ltime": "%:",
    "gtime": "!:",
    "sdev": "k){sqrt svar x}",
    "med": "k){avg x(<x)@_.5*-1 0+#x,:()}",
    "all": 'min$["b"]',
    "any": 'max$["b"]',
    "rand": "k){*1?x}",
    "fills": "^\\",
    "avgs": "k){(+\\x)%+\\~^x}",
    "differ": '$["b"]~~\':',
    "rank": "k){$[0h>@x;'`rank;<<x]}",
    "iasc": "k){$[0h>@x;'`rank;<x]}",
    "idesc": "k){$[0h>@x;'`rank;>x]}",
    "get": ".:",
    "attr": "-2!",
    "upsert": ".[;();,;]",
    "union": "k){?x,y}",
    "inter": "k){x@&x in y}",
    "except": "k){x@&~x in y}",
    "hopen": "<:",
    "hclose": ">:",
    "til": "k){$[0>@x;!x;'`type]}",
    "fby": "k){@[(#y)#x[0]0#x\n1;g;:;x[0]'x[1]g:.=y]}",
}
"""The text that the console shows, where it is not the operator that the keyword was entered with."""

_UNARY = ":: +: -: *: %: &: |: ^: =: <: >: $: ,: #: _: ~: !: ?: @: .:"
_BINARY = ": + - * % & | ^ = < > $ , # _ ~ ! ? @ . 0: 1: 2: in within like bin ss insert wsum wavg div"
UNARY_CODES = tuple(_UNARY.split())
"""Unary primitives in the order of their numbers, which ``value`` gives."""
BINARY_CODES = tuple(_BINARY.split())
"""Binary primitives in the order of their numbers."""


def _k_unary(keyword: str, shown: str) -> None:
    """The unary operator of k whose keyword in q is more: ``iasc`` refuses atoms."""
    prim = PRIMS[shown[0] + "::"] = Prim(shown[0] + "::", shown, 101, 1)
    prim.fns[1] = PRIMS[keyword].fns[1]


def _part(shown: str, fn: Callable[[Q], Q]) -> Prim:
    prim = Prim(shown, shown, 105, 1)
    prim.fns[1] = fn
    return prim


def _enter() -> None:
    _k_unary("iasc", "<:")
    _k_unary("idesc", ">:")
    for name, text in K_TEXT.items():
        prim = PRIMS[name]
        prim.shown = text
        prim.t = 100 if text.startswith("k)") else 101 if len(text) == 2 and text[1] == ":" else prim.t
    for name in ("all", "any", "differ"):
        PRIMS[name].t = 105


_enter()


def code(f: Prim) -> int | None:
    """The number of a primitive among those of its rank; None for keywords defined in k."""
    if f.rank == 1 and f.t == 101 and f.shown in UNARY_CODES:
        return UNARY_CODES.index(f.shown)
    return BINARY_CODES.index(f.shown) if f.rank == 2 and f.shown in BINARY_CODES else None


def structure(f: Prim) -> Q:
    """What ``value`` gives for a keyword or operator: its number, the parts that it is composed of, or the function."""
    number = code(f)
    if number is not None:
        return number
    if f.name == "differ":
        different = _part("~~':", lambda x: PRIMS["differ"].fns[1](x))
        return Vec(0, [_part('$["b"]', lambda x: x), different])
    if f.name in ("sums", "prds", "mins", "maxs", "fills", "raze", "deltas", "ratios"):
        return PRIMS[f.shown[0]]
    return f


def _keywords(_: State) -> Q:
    names = [n for n in ORDER if n in PRIMS]
    return Dict(syms(["", *names]), Vec(0, [NULL, *[PRIMS[n] for n in names]]))


SPECIAL[".q"] = _keywords
