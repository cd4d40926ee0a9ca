"""Problems on dictionaries: looking up, inverting, merging, filtering."""

from __future__ import annotations

from typing import Any

from trimtab.qcode.problems.source import draw, problem

STOCK = draw(values=draw(low=-3, high=9))
FEW = draw(values=draw(low=0, high=3))
KEYS = ["a", "b", "c", "d", "e"]


def _groups(keys: list[Any], values: list[Any]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for k, v in zip(keys, values, strict=True):
        out.setdefault(k, []).append(v)
    return out


def _chain(succ: dict[str, str], start: str) -> list[str]:
    path = [start]
    while succ.get(path[-1]) and succ[path[-1]] not in path:
        path.append(succ[path[-1]])
    return path


PROBLEMS = [
    problem(
        "invert",
        "grouping",
        "d:S!J -> J!SS",
        "Turn a dictionary round: map each value to the list of the keys that have it, values in the "
        "order of their first occurrence.",
        "group d",
        lambda d: _groups(list(d.values()), list(d)),
        draw(keys=draw(least=1), values=draw(low=0, high=2)),
    ),
    problem(
        "keys_of_max",
        "searching",
        "d:S!J -> S",
        "Which keys have the largest value? Keep their order; an empty dictionary gives none.",
        "where d=max d",
        lambda d: [k for k, v in d.items() if v == max(d.values())],
        FEW,
    ),
    problem(
        "add_up",
        "arithmetic",
        "a:S!J b:S!J -> S!J",
        "Merge two dictionaries, adding the values of keys that both have. Keys stand in the order of a, "
        "then the new ones of b.",
        "a+b",
        lambda a, b: {k: a.get(k, 0) + b.get(k, 0) for k in [*a, *(k for k in b if k not in a)]},
    ),
    problem(
        "override",
        "sets",
        "base:S!J upd:S!J -> S!J",
        "Take the dictionary base and replace its values by those of upd where upd has the key. Keys "
        "that only upd has are ignored.",
        "base,(key[base] inter key upd)#upd",
        lambda base, upd: {k: upd.get(k, v) for k, v in base.items()},
    ),
    problem(
        "filter_positive",
        "logic",
        "d:S!J -> S!J",
        "Keep only the entries of a dictionary whose value is above zero.",
        "(where d>0)#d",
        lambda d: {k: v for k, v in d.items() if v > 0},
        STOCK,
    ),
    problem(
        "sort_by_value",
        "sorting",
        "d:S!J -> S!J",
        "Sort a dictionary by its values, largest first; entries with equal values keep their order.",
        "(key[d] i)!value[d] i:idesc value d",
        lambda d: dict(sorted(d.items(), key=lambda p: -p[1])),
        FEW,
    ),
    problem(
        "get_or_default",
        "searching",
        "d:S!J ks:S v:j -> J",
        "Look up each of the keys ks; use v for a key that the dictionary lacks.",
        "{[d;v;k] $[k in key d;d k;v]}[d;v] each ks",
        lambda d, ks, v: [d.get(k, v) for k in ks],
        None,
        draw(of=[*KEYS, "z"]),
        draw(),
    ),
    problem(
        "rename_keys",
        "sets",
        "d:S!J names:S!S -> S!J",
        "Rename the keys of d: a key that names contains becomes what names maps it to, others stay. New "
        "names never collide.",
        "(key[d]^names key d)!value d",
        lambda d, names: {names.get(k, k): v for k, v in d.items()},
        None,
        draw(keys=draw(of=KEYS), values=draw(of=["p", "q", "r", "x", "y", "z", "w"], order="distinct")),
        edges=[({}, {}), ({"a": 1, "b": 2}, {"a": "x"})],
    ),
    problem(
        "share_of_total",
        "statistics",
        "d:S!F -> S!F",
        "Replace each value of a dictionary by its share of the total of all values. The values are "
        "positive; an empty dictionary stays empty.",
        "d%sum d",
        lambda d: {k: v / sum(d.values()) for k, v in d.items()},
        draw(values=draw(low=1, high=9)),
    ),
    problem(
        "group_values",
        "grouping",
        "ks:S items:J -> S!JJ",
        "Two lists of equal length hold keys and values. Build a dictionary from each key, in the order "
        "of first occurrence, to the list of its values in their order.",
        "items group ks",
        _groups,
        draw(least=1),
        draw(like=0),
    ),
    problem(
        "common_entries",
        "sets",
        "a:S!J b:S!J -> S",
        "Which keys do both dictionaries have, with the same value? In the order of a.",
        "k where a[k]=b k:key[a] inter key b",
        lambda a, b: [k for k, v in a.items() if k in b and b[k] == v],
        FEW,
        FEW,
    ),
    problem(
        "count_values_by_key_prefix",
        "strings",
        "d:S!J c:c -> j",
        "Add up the values of all keys whose name starts with the character c. No such key: 0.",
        "sum value[d] where c=first each string key d",
        lambda d, c: sum(v for k, v in d.items() if k.startswith(c)),
        draw(keys=draw(of=["apple", "ant", "bee", "bat", "cow"])),
        draw(of="abcd"),
    ),
    problem(
        "nested_lookup",
        "nested",
        "d:S!JJ k:s i:j -> j",
        "The dictionary holds lists. Return item i (from 0) of the list of key k, 0N when the key is "
        "missing or the list is too short.",
        "$[k in key d;d[k] i;0N]",
        lambda d, k, i: d[k][i] if k in d and i < len(d[k]) else None,
        draw(keys=draw(least=1), values=draw(width=(1, 3))),
        draw(),
        draw(low=0, high=3),
    ),
    problem(
        "chain_lookup",
        "iteration",
        "succ:S!S start:s -> S",
        "succ maps some names to a following name. Begin with start and follow the mapping; stop when a "
        "name has no follower, or when the follower has been passed before. Return all names passed, "
        "start included.",
        "{[d;p] n:d last p; $[(null n)|n in p;p;p,n]}[succ]/[enlist start]",
        _chain,
        draw(keys=draw(of=KEYS), values=draw(of=["a", "b", "c", "d", "e", "f"])),
        draw(of=["a", "b", "c", "d"]),
        edges=[({}, "a"), ({"a": "b", "b": "c"}, "a"), ({"a": "a"}, "a")],
    ),
    problem(
        "zip_missing",
        "lists",
        "ks:S items:J -> S!J",
        "Pair keys with values by position. The keys are distinct; keys without a value get 0, values "
        "without a key are dropped.",
        "ks!(count ks)#items,(count ks)#0",
        lambda ks, items: {k: items[i] if i < len(items) else 0 for i, k in enumerate(ks)},
        draw(order="distinct"),
        draw(most=6),
        edges=[([], [1, 2]), (["a", "b"], [1])],
    ),
]
