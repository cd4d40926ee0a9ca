"""Baselines that are raced must be right before they are fast: every setting writes the same text, turn after turn."""

from __future__ import annotations

import pytest

from speculation import tiny
from trimtab.speculation import bench
from trimtab.speculation.race import Entry, Turn, by_transformers, race
from trimtab.speculation.recipe import Bench, Pair

TURNS = [Turn("a", "x", [1, 2, 3]), Turn("b", "y", [4, 5]), Turn("c", "x", [6, 60, 7, 8, 9]), Turn("d", "y", [11])]


def test_one_compile_option_serves_all_rows() -> None:
    assert Bench(compile=False).raced_pair == Pair()
    assert Bench().raced_pair.compile == "dynamic"
    assert Bench(pair=Pair(device="cuda:1")).raced_pair.compile == "buckets"
    assert Bench(pair=Pair(compile="buckets")).raced_pair.compile == "buckets"


def texts_of(try_compile: bool) -> tuple[dict[str, list[list[int]]], list[list[int]]]:
    """What each setting of generate() writes, twice over, and the truth."""
    speculator = tiny.speculator(num_hidden_layers=6)
    tokens = bench.longest(TURNS, 12)
    assert tokens == 17
    ways = bench.generate_ways(speculator, TURNS, 12, tokens, try_compile)
    entries = [Entry(name, decode) for name, decode in ways.items()]
    race(entries, [*TURNS, *TURNS])
    decode = by_transformers(speculator.model, 12)
    truth = [decode(turn).tokens for turn in [*TURNS, *TURNS]]
    return {entry.name: [written.tokens for written in entry.first_T] for entry in entries}, truth


def test_a_static_cache_is_empty_for_each_prompt() -> None:
    texts, truth = texts_of(try_compile=False)
    assert list(texts) == ["dynamic cache", "static cache"]
    assert all(text == truth for text in texts.values())


@pytest.mark.slow
def test_compiled_forwards_write_into_the_cache_that_is_read() -> None:
    texts, truth = texts_of(try_compile=True)
    assert len(texts) == 4
    assert all(text == truth for text in texts.values())
