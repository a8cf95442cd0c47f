import numpy as np
import pytest
from drawn_mosaics import hexagons, inside, irregular

from biopsy_ai.patterns.enclosed import find_enclosed
from biopsy_ai.patterns.permutation import measure_permuted
from biopsy_ai.patterns.type_groups import (
    GROUP_COLUMNS,
    find_core_groups,
    largest_groups,
    shares_in_groups,
    summarize_groups,
    table_of_groups,
)


def test_largest_connected_group_of_each_type():
    pairs = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]])
    codes = np.array([0, 0, 1, 1, 1, 0])
    assert largest_groups(pairs, codes, 2).tolist() == [2, 3]
    assert largest_groups(pairs[[2, 4, 0, 1, 3]], codes, 2).tolist() == [2, 3]
    columns = np.column_stack([codes, 1 - codes, np.zeros(6, int)])
    assert largest_groups(pairs, columns, 2).tolist() == [[2, 3], [3, 2], [6, 0]]
    assert largest_groups(pairs, np.array([0, -1, -1, -1, 0, 0]), 2).tolist() == [2, 0]


def test_random_mosaics_percolate():
    """Share of a type in its largest group, 900 fibers, criteria §4.5."""
    rng = np.random.default_rng(0)
    centers, pairs = irregular(900, rng)
    n = len(centers)
    expected = {0.3: 0.08, 0.4: 0.16, 0.5: 0.53, 0.55: 0.86, 0.6: 0.97}
    for share, part in expected.items():
        codes = (np.arange(n) < share * n).astype(np.int8)
        largest = measure_permuted(
            lambda columns: largest_groups(pairs, columns, 2), codes, np.zeros(n), 60, rng
        )
        assert largest[:, 1].mean() / codes.sum() == pytest.approx(part, abs=0.05)


def planted() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Two cores that share fibers, and one by itself."""
    centers, pairs = hexagons(12, 12)
    codes = np.zeros(144, int)
    for seed in (26, 39, 102):
        codes[np.hypot(*(centers - centers[seed]).T) < 1.1] = 1
    return centers, pairs, codes, inside(centers)


def test_cores_that_share_fibers_are_one_group():
    centers, pairs, codes, inner = planted()
    enclosed = find_enclosed(pairs, codes, inner) & (codes == 1)
    assert np.flatnonzero(enclosed).tolist() == [26, 39, 102]
    group = find_core_groups(pairs, enclosed)
    assert np.bincount(group).tolist() == [144 - 12 - 7, 12, 7]
    assert ((group > 0) == (codes == 1)).all()
    assert group[26] == group[39] == 1
    names = np.where(codes == 1, "I", "II")
    table = table_of_groups(group, enclosed, names, np.full(144, 4), 1000 + np.arange(144))
    assert tuple(table.columns) == GROUP_COLUMNS
    assert table["n_fibers"].tolist() == [12, 7]
    assert table["n_enclosed"].tolist() == [2, 1]
    assert table["type"].tolist() == ["I", "I"]
    assert "1026" in table["members"][0].split()
    assert summarize_groups(table, "I", 38) == {
        "n_groups": 2,
        "mean_size": 9.5,
        "max_size": 12,
        "share_grouped": 0.5,
    }
    assert summarize_groups(table, "II", 40) == {
        "n_groups": 0,
        "mean_size": None,
        "max_size": None,
        "share_grouped": 0.0,
    }
    shares = shares_in_groups(pairs, codes, inner, 2)
    assert shares[1] == 1
    assert shares[0] > 0.5


def test_groups_that_touch_without_a_common_fiber_stay_apart():
    pairs = np.array([[0, 1], [1, 2], [2, 3]])
    assert find_core_groups(pairs, np.array([True, False, False, True])).tolist() == [1, 1, 2, 2]


def test_no_group():
    pairs = np.array([[0, 1]])
    group = find_core_groups(pairs, np.zeros(2, bool))
    assert group.tolist() == [0, 0]
    nothing = table_of_groups(
        group, np.zeros(2, bool), np.array(["I", "II"]), np.ones(2, int), np.arange(2)
    )
    assert len(nothing) == 0
    assert tuple(nothing.columns) == GROUP_COLUMNS
