import numpy as np
import pytest
import torch

from speculation import tiny
from speculation.naive_replay import accepted_by, true_path
from trimtab.speculation.batch_drafting import BatchDrafter, needed_totals, true_paths

DEPTH = 4


@pytest.fixture(params=[1, 3], ids=["eagle1", "eagle3"])
def taught(request):
    """A speculator with the head's cache filled for some tokens, and the head's state behind each."""
    speculator = tiny.speculator(version=request.param)
    tokens = torch.randint(tiny.VOCABULARY, (24,), generator=torch.Generator().manual_seed(1))
    with torch.inference_mode(), speculator.target.tapped():
        _, features = speculator.target.prefill(tokens[:-1])
        states = speculator.drafter.extend(tokens[1:], features)
    return speculator, tokens.tolist(), states


@pytest.mark.parametrize("top_k", [1, 2, 5])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_pools_are_those_of_drafting_one_by_one(taught, top_k, temperature):
    speculator, _, states = taught
    drafter = speculator.drafter
    committed = np.arange(9, 20)
    *_, pools = BatchDrafter(drafter, temperature).grow(states[committed - 1], committed, DEPTH, top_k)
    for row in reversed(range(len(committed))):
        with torch.inference_mode():
            drafter.revisit(int(committed[row]), states[committed[row] - 1])
            pool = drafter.pool(DEPTH, top_k, temperature=temperature)
        assert pools.tokens_BC[row].tolist() == pool.tokens_C.tolist()
        likely = pool.scores_C > -10  # random weights make huge logits, whose small differences are mostly rounding
        np.testing.assert_allclose(pools.scores_BC[row][likely], pool.scores_C[likely], rtol=2e-3, atol=1e-4)
        assert np.stack(pools.frontiers_dBk)[:, row].tolist() == pool.frontiers_dk.tolist()


def test_the_cache_of_the_drafter_stays_as_it_was(taught):
    speculator, _, states = taught
    before = [part.clone() for part in speculator.drafter.committed]
    for _ in BatchDrafter(speculator.drafter).grow(states[5:9], np.arange(6, 10), DEPTH, 3):
        pass
    for old, new in zip(before, speculator.drafter.committed, strict=True):
        assert torch.equal(old, new)


def test_needed_totals_agree_with_the_trees_themselves(taught):
    speculator, _tokens, states = taught
    committed = np.arange(9, 16)
    *_, pools = BatchDrafter(speculator.drafter).grow(states[committed - 1], committed, DEPTH, 3)
    rng = np.random.default_rng(0)
    truth = rng.integers(tiny.VOCABULARY, size=(len(committed), DEPTH + 1))
    for row in range(len(committed)):  # let some texts go on as a drafted path does
        frontier = pools.frontiers_dBk[0][row]
        if row % 2:
            truth[row, 0] = pools.tokens_BC[row, frontier[row % 3]]
            truth[row, 1] = pools.tokens_BC[row, 3 + (row % 3) * 3]
    needed = needed_totals(pools, truth)
    depths, totals = (part.ravel() for part in np.meshgrid(np.arange(1, DEPTH + 1), np.array([2, 3, 5, 9, 12])))
    for row in reversed(range(len(committed))):
        with torch.inference_mode():
            speculator.drafter.revisit(int(committed[row]), states[committed[row] - 1])
            pool = speculator.drafter.pool(DEPTH, 3)
        expected = accepted_by(pool, truth[row].tolist(), depths, totals)
        assert ((needed[row][depths] <= totals[:, None]).sum(axis=1)).tolist() == expected.tolist()
        path = true_path(pool, truth[row].tolist())
        assert [index for index in true_paths(pools, truth)[row] if index >= 0] == path
    assert needed.min() < 12, "no text was drafted at all: the test shows nothing"


def test_a_beam_wider_than_the_vocabulary_is_refused(taught):
    speculator, _, states = taught
    with pytest.raises(ValueError, match="draft vocabulary"):
        list(BatchDrafter(speculator.drafter).grow(states[5:6], np.array([6]), 1, 10_000))
