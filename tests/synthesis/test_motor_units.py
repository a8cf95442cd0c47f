"""The motor-unit model against what it must give, and against the table that it was taken from."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from biopsy_ai.errors import ConfigError
from biopsy_ai.synthesis.motor_units import denervate, grow_motor_units

SIDE = 30


def hexagonal(side: int = SIDE) -> NDArray[np.int64]:
    """Pairs of neighbors in a field of side x side fibers."""
    row, column = np.divmod(np.arange(side * side), side)
    pairs = []
    for down, even, odd in ((0, 1, 1), (1, 0, 0), (1, -1, 1)):
        to_row, to_column = row + down, column + np.where(row % 2, odd, even)
        there = (to_row < side) & (to_column >= 0) & (to_column < side)
        pairs.append(np.column_stack([np.flatnonzero(there), (to_row * side + to_column)[there]]))
    return np.concatenate(pairs)


def assortativity(pairs: NDArray[np.int64], values: NDArray[np.bool_]) -> float:
    ends = np.concatenate([pairs, pairs[:, ::-1]])
    return float(np.corrcoef(values[ends].T.astype(float))[0, 1])


def group_sizes(pairs: NDArray[np.int64], members: NDArray[np.bool_]) -> NDArray[np.int64]:
    inside = pairs[members[pairs].all(axis=1)]
    graph = coo_array((np.ones(len(inside)), inside.T), shape=(len(members),) * 2)
    _, part = connected_components(graph, directed=False)
    return np.bincount(part[members])


def simulate(lost: float, capture: float, repeats: int) -> tuple[float, float, float, float]:
    """Assortativity of the innervated, atrophic share, groups of at least 5, largest group.

    Means over repeats, but the median of the largest group, which near percolation is anything;
    a field whose units are all of one type has no assortativity.
    """
    pairs, found = hexagonal(), []
    for seed in range(repeats):
        for n_units in (25, 50):
            rng = np.random.default_rng(seed)
            units, is_type1 = grow_motor_units(pairs, SIDE**2, n_units, 0.5, rng)
            units, atrophic = denervate(pairs, units, lost, capture, rng)
            left = pairs[~atrophic[pairs].any(axis=1)]
            sizes = group_sizes(pairs, atrophic) if atrophic.any() else np.zeros(1)
            type1 = is_type1[units]
            both = 0 < type1[~atrophic].mean() < 1
            r = assortativity(left, type1) if both else np.nan
            found.append((r, atrophic.mean(), (sizes >= 5).sum(), sizes.max()))
    table = np.array(found)
    r, share, groups = np.nanmean(table[:, :3], axis=0)
    return float(r), float(share), float(groups), float(np.median(table[:, 3]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lost", "capture", "r", "atrophic", "groups", "largest"),
    [
        (0.0, 1.0, 0.0, 0.0, None, None),
        (0.2, 1.0, 0.075, None, None, None),
        (0.4, 1.0, 0.17, None, None, None),
        (0.6, 1.0, 0.28, None, None, None),
        (0.8, 1.0, 0.45, None, None, None),
        (0.2, 0.8, 0.064, 0.04, None, None),
        (0.4, 0.8, 0.15, 0.10, None, None),
        (0.6, 0.8, 0.27, 0.17, None, None),
        (0.8, 0.8, 0.49, 0.28, None, None),
        (0.2, 0.5, 0.045, 0.10, 1, 5),
        (0.4, 0.5, 0.11, 0.22, 10, 13),
        (0.6, 0.5, 0.22, 0.36, 18, 50),
        (0.8, 0.5, 0.45, 0.56, 6, 370),
        (0.2, 0.0, 0.0, 0.20, 7, 10),
        (0.4, 0.0, 0.0, 0.40, 18, 60),
        (0.6, 0.0, 0.0, 0.60, None, None),
    ],
)
def test_table_of_lost_and_captured_units(lost, capture, r, atrophic, groups, largest):
    """Types among innervated fibers; a repeat scatters by 0.02, near 0.8 lost by 0.05."""
    got = simulate(lost, capture, repeats=12)
    assert got[0] == pytest.approx(r, abs=0.03)
    if atrophic is not None:
        assert got[1] == pytest.approx(atrophic, abs=0.025)
    if groups is not None:
        assert got[2] == pytest.approx(groups, abs=2)
        assert got[3] == pytest.approx(largest, rel=0.3, abs=1)


def test_a_fiber_is_captured_by_a_neighbor_that_has_a_nerve():
    pairs = np.array([[0, 1], [1, 2], [3, 4]])
    units = np.array([0, 1, 0, 1, 1])
    ways = set()
    for seed in range(40):
        after, atrophic = denervate(pairs, units, 0.5, 1.0, np.random.default_rng(seed))
        ways.add((tuple(after), tuple(atrophic)))
    # the unit that stays takes what it touches; 3 and 4 have only each other
    assert ways == {
        ((1, 1, 1, 1, 1), (False,) * 5),
        ((0, 0, 0, 1, 1), (False, False, False, True, True)),
    }


def test_without_capture_the_fibers_of_lost_units_are_atrophic_and_keep_their_unit():
    pairs, rng = hexagonal(), np.random.default_rng(1)
    units, _ = grow_motor_units(pairs, SIDE**2, 10, 0.5, rng)
    after, atrophic = denervate(pairs, units, 0.3, 0.0, rng)
    assert (after == units).all()
    assert len(set(units[atrophic])) == 3
    assert not set(units[atrophic]) & set(units[~atrophic])


def test_nothing_and_everything_lost():
    pairs, rng = hexagonal(), np.random.default_rng(1)
    units, _ = grow_motor_units(pairs, SIDE**2, 10, 0.5, rng)
    kept, none = denervate(pairs, units, 0.0, 1.0, rng)
    assert (kept == units).all()
    assert not none.any()
    assert denervate(pairs, units, 1.0, 1.0, rng)[1].all()
    empty = denervate(np.empty((0, 2), int), np.empty(0, int), 1.0, 1.0, rng)
    assert [len(part) for part in empty] == [0, 0]


def test_what_was_captured_is_lost_with_its_captor():
    pairs = np.array([[0, 1], [1, 2]])
    seen = {
        tuple(denervate(pairs, np.arange(3), 2 / 3, 1.0, np.random.default_rng(seed))[0])
        for seed in range(60)
    }
    # one unit is left; it has all fibers, or the last one lost could not reach it
    assert {(0, 0, 0), (1, 1, 1), (2, 2, 2)} <= seen
    assert all(len(set(units)) <= 2 for units in seen)


def test_share_of_type_1_is_that_of_the_fibers():
    rng = np.random.default_rng(2)
    units, is_type1 = grow_motor_units(hexagonal(), SIDE**2, 7, 0.3, rng)
    assert is_type1.sum() == 2
    assert is_type1[units].mean() == pytest.approx(0.3, abs=0.05)
    for share in (0.0, 1.0):
        units, is_type1 = grow_motor_units(hexagonal(), SIDE**2, 7, share, rng)
        assert is_type1[units].mean() == share
    few = grow_motor_units(hexagonal(), SIDE**2, 4, 0.02, rng)[1]
    assert few.sum() == 1


def test_odds_of_type_1_hold_where_they_are_given():
    odds = np.where(np.arange(SIDE**2) < SIDE**2 // 2, 1 / 3, 1.0)
    units, is_type1 = grow_motor_units(
        hexagonal(), SIDE**2, 20, 0.5, np.random.default_rng(3), type1_odds=odds
    )
    type1 = is_type1[units]
    assert type1[odds < 1].mean() == pytest.approx(0.25, abs=0.05)
    assert type1[odds == 1].mean() == pytest.approx(0.5, abs=0.06)


def test_units_keep_to_their_territory():
    pairs = hexagonal()
    place = np.column_stack(np.divmod(np.arange(SIDE**2), SIDE))

    def spread(reach: float | None) -> float:
        rng = np.random.default_rng(4)
        units, _ = grow_motor_units(pairs, SIDE**2, 30, 0.5, rng, reach=reach)
        return float(np.mean([place[units == u].std(axis=0) for u in np.unique(units)]))

    assert spread(2.0) < 0.4 * spread(None)
    # what no territory reaches still gets a unit
    units, _ = grow_motor_units(
        np.empty((0, 2), int), 50, 3, 0.5, np.random.default_rng(5), reach=1.0
    )
    assert set(units) == {0, 1, 2}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"n_units": 0}, "n_units"),
        ({"type1_share": 1.2}, "type1_share"),
        ({"reach": 0.0}, "reach"),
    ],
)
def test_wrong_layouts_are_refused(wrong, said):
    right = {"pairs": hexagonal(), "n": SIDE**2, "n_units": 5, "type1_share": 0.5}
    with pytest.raises(ConfigError, match=said):
        grow_motor_units(**{**right, **wrong}, rng=np.random.default_rng(0))


@pytest.mark.parametrize(("lost", "capture", "said"), [(1.1, 0.5, "lost"), (0.5, -0.1, "capture")])
def test_wrong_losses_are_refused(lost, capture, said):
    with pytest.raises(ConfigError, match=said):
        denervate(hexagonal(), np.zeros(SIDE**2, int), lost, capture, np.random.default_rng(0))
