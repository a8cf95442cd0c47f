import numpy as np
import pytest

from biopsy_ai.errors import Cancelled
from biopsy_ai.patterns.permutation import (
    can_exchange,
    measure_permuted,
    permutation_entry,
    permutation_p,
    stratified_permutations,
)


def test_codes_stay_in_their_stratum_and_absent_ones_in_place():
    rng = np.random.default_rng(0)
    codes = rng.integers(-1, 3, 300)
    strata = rng.integers(0, 12, 300)
    chunks = list(stratified_permutations(codes, strata, 70, rng, chunk=32))
    assert [chunk.shape for chunk in chunks] == [(300, 32), (300, 32), (300, 6)]
    assert chunks[0].dtype == np.int8
    permuted = np.hstack(chunks)
    assert (permuted[codes < 0] == -1).all()
    for stratum in range(12):
        expected = np.sort(codes[strata == stratum])
        assert (np.sort(permuted[strata == stratum], axis=0) == expected[:, None]).all()
    assert len(np.unique(permuted, axis=1).T) == 70


def test_every_arrangement_is_as_likely():
    codes = np.array([1, 0, 0, 1, 0])
    strata = np.array([5, 5, 5, 9, 9])
    permuted = np.hstack(
        list(stratified_permutations(codes, strata, 6000, np.random.default_rng(1)))
    )
    _, counts = np.unique(permuted, axis=1, return_counts=True)
    assert counts.tolist() == pytest.approx([1000] * 6, abs=120)


def test_the_same_seed_gives_the_same_however_many_work_at_once():
    codes, strata = np.arange(40) % 3, np.arange(40) % 2
    plain = np.hstack(list(stratified_permutations(codes, strata, 200, np.random.default_rng(2))))
    weights = np.arange(40.0)
    told = []
    measured = measure_permuted(
        lambda columns: (weights @ columns)[:, None],
        codes,
        strata,
        200,
        np.random.default_rng(2),
        progress=lambda stage, done, total: told.append((stage, done, total)),
    )
    assert measured[:, 0].tolist() == (weights @ plain).tolist()
    assert told[-1] == ("permutations", 200, 200)


def test_progress_can_stop_the_work():
    def stop(stage, done, total):
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        measure_permuted(
            lambda columns: columns.sum(axis=0)[:, None],
            np.arange(9) % 2,
            np.zeros(9, int),
            5000,
            np.random.default_rng(0),
            progress=stop,
        )


def test_nothing_to_exchange():
    codes = np.array([1, 1, 0])
    (chunk,) = stratified_permutations(codes, np.array([0, 0, 1]), 4, np.random.default_rng(0))
    assert (chunk == codes[:, None]).all()
    (chunk,) = stratified_permutations(-codes - 1, codes, 4, np.random.default_rng(0))
    assert (chunk == -1).all()


@pytest.mark.parametrize(
    ("codes", "strata", "number", "words"),
    [
        ([0, 1], [0], 9, "each node needs"),
        ([0, 128], [0, 0], 9, "at most 127"),
        ([0, 1], [0, 0], 0, "at least 1"),
    ],
)
def test_what_cannot_be_permuted(codes, strata, number, words):
    with pytest.raises(ValueError, match=words):
        next(
            stratified_permutations(
                np.array(codes), np.array(strata), number, np.random.default_rng(0)
            )
        )


def test_p_counts_the_observed_and_is_never_0():
    permuted = np.array([1.0, 2.0, 3.0, 4.0])
    assert permutation_p(4, permuted, tail="greater") == pytest.approx(2 / 5)
    assert permutation_p(9, permuted, tail="greater") == pytest.approx(1 / 5)
    assert permutation_p(1, permuted, tail="less") == pytest.approx(2 / 5)
    # equal but for rounding
    assert permutation_p(0.1 + 0.2, np.array([0.3]), tail="greater") == 1
    assert permutation_p(0.3, np.array([0.1 + 0.2]), tail="less") == 1


@pytest.mark.parametrize(
    ("observed", "permuted", "tail"),
    [(1, [], "less"), (np.nan, [1], "less"), (1, [np.nan], "less"), (1, [1], "both")],
)
def test_p_of_nothing(observed, permuted, tail):
    with pytest.raises(ValueError, match=r"permutation|tail"):
        permutation_p(observed, np.array(permuted), tail=tail)


def test_an_entry_says_everything():
    entry = permutation_entry(
        2, np.array([3.0, 5.0, 4.0]), tail="less", n=7, null="types dealt out at random"
    )
    assert entry == {
        "observed": 2.0,
        "expected": 4.0,
        "sd": pytest.approx(np.sqrt(2 / 3)),
        "z": pytest.approx(-2 / np.sqrt(2 / 3)),
        "p": 0.25,
        "tail": "less",
        "n": 7,
        "n_permutations": 3,
        "null": "types dealt out at random",
    }
    assert permutation_entry(2, np.array([2.0]), tail="less", n=1, null="")["z"] is None


def test_an_entry_of_what_does_not_vary_has_no_z():
    # the mean of these is not quite their value
    entry = permutation_entry(0.1, np.full(999, 0.1), tail="less", n=3, null="x")
    assert (entry["sd"], entry["z"], entry["p"]) == (0.0, None, 1.0)


def test_only_different_codes_of_one_stratum_can_be_exchanged():
    assert can_exchange(np.array([0, 1, 1]), np.array([1, 1, 2]))
    assert not can_exchange(np.array([0, 0, 1, -1]), np.array([1, 1, 2, 2]))
