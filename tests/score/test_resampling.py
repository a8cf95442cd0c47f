from __future__ import annotations

import math

import numpy as np
import pytest
from drawn_tables import DrawnTable, draw_table

from biopsy_ai.score import load_evidence
from biopsy_ai.score.evidence import IntervalRule
from biopsy_ai.score.resampling import COLUMNS, Replicates, draw_replicates, find_units

RULE = IntervalRule(
    level=0.9, replicates=60, least_units=10, neighborhood=20, missed_share=0.02, unseen_sd=0.15
)


def test_fascicles_are_drawn_where_there_are_enough() -> None:
    drawn = draw_table(rows=24, columns=25, side=5.0)
    home = drawn.table["fascicle"].to_numpy()
    sizes = np.bincount(home)[1:]
    enough = int(np.count_nonzero(sizes >= RULE.neighborhood))
    assert enough >= 10
    for least, words in ((enough, "fascicles"), (enough + 1, "neighborhoods of fibers")):
        rule = RULE.model_copy(update={"least_units": least})
        units, told = find_units(drawn.section(), rule)
        assert told == words
    units, _ = find_units(drawn.section(), RULE)
    for unit in range(units.max() + 1):
        assert len(np.unique(home[units == unit])) == 1
    assert units.max() + 1 == len(sizes)


def test_fascicles_of_excluded_fibers_do_not_count() -> None:
    drawn = draw_table(rows=24, columns=25, side=5.0)
    drawn.mark("excluded", np.flatnonzero(drawn.table["fascicle"] > 8), "out of focus")
    assert find_units(drawn.section(), RULE)[1] == "neighborhoods of fibers"


@pytest.mark.parametrize("side", [10.0, None])
def test_neighborhoods_are_compact_and_in_one_fascicle(side: float | None) -> None:
    drawn = draw_table(rows=30, columns=26, side=side)
    units, words = find_units(drawn.section(), RULE)
    assert words == "neighborhoods of fibers"
    table = drawn.table.assign(unit=units, home=drawn.table["fascicle"].fillna(0))
    for _, part in table.groupby("unit"):
        assert part["home"].nunique() == 1
        assert len(part) < 1.5 * RULE.neighborhood
        spans = [np.ptp(part[f"centroid_{axis}_um"]) for axis in "yx"]
        # a square of 29 fibers 60 µm apart is 300 µm wide, and half of it may be cut off
        assert max(spans) < 600
    assert sorted(set(units)) == list(range(units.max() + 1))
    assert len(table) / (units.max() + 1) > 0.5 * RULE.neighborhood


def test_neighborhoods_shrink_with_the_section() -> None:
    small = draw_table(rows=8, columns=10, side=None)
    units, words = find_units(small.section(), RULE)
    assert words == "neighborhoods of fibers"
    assert np.bincount(units).max() < 1.5 * 4
    tiny = draw_table(rows=5, columns=7, side=None)
    units, words = find_units(tiny.section(), RULE)
    assert words == "fibers"
    assert units.tolist() == list(range(35))


def test_units_are_numbered_by_the_labels() -> None:
    units, _ = find_units(draw_table(side=None).section(), RULE)
    _, first = np.unique(units, return_index=True)
    assert (np.diff(first) > 0).all()


def test_weights() -> None:
    drawn = draw_replicates(draw_table(side=None).section(), load_evidence().interval)
    assert drawn.weights.shape == (480, 401)
    assert (drawn.weights[:, 0] == 1).all()
    assert (drawn.weights >= 0).all()
    assert drawn.weights[:, 1:].mean() == pytest.approx(0.98, abs=0.03)
    assert (drawn.weights[:, 1:] == 0).mean() == pytest.approx(0.02, abs=0.003)
    assert drawn.n_units == find_units(draw_table(side=None).section(), RULE)[0].max() + 1


def test_fibers_of_a_unit_weigh_alike() -> None:
    section = draw_table(side=None).section()
    units, _ = find_units(section, RULE)
    weights = draw_replicates(section, RULE).weights
    for unit in range(3):
        column = weights[units == unit, 1]
        assert len(np.unique(column[column > 0])) == 1


def weights_of(drawn: DrawnTable) -> np.ndarray:
    return draw_replicates(drawn.section(), RULE).weights


def test_weights_do_not_depend_on_the_order_of_rows() -> None:
    drawn, mixed = draw_table(side=None), draw_table(side=None)
    mixed.table = mixed.table.sample(frac=1, random_state=0)
    np.testing.assert_array_equal(weights_of(mixed), weights_of(drawn))


def test_weights_of_fascicles_do_not_depend_on_the_place() -> None:
    drawn, turned = (draw_table(rows=24, columns=25, side=5.0) for _ in range(2))
    turned.table["centroid_y_um"] *= -1
    np.testing.assert_array_equal(weights_of(turned), weights_of(drawn))


def test_weights_of_neighborhoods_do_not_depend_on_how_the_section_lies() -> None:
    plain = draw_table(rows=23, columns=21)
    weights = weights_of(plain)
    for turn in range(4):
        for mirrored in (False, True):
            moved = draw_table(rows=23, columns=21)
            place = moved.table["centroid_y_um"] + 1j * moved.table["centroid_x_um"]
            place = (np.conj(place) if mirrored else place) * 1j**turn
            moved.table["centroid_y_um"], moved.table["centroid_x_um"] = (
                place.map(np.real),
                place.map(np.imag),
            )
            np.testing.assert_array_equal(weights_of(moved), weights)


def test_another_seed_draws_others() -> None:
    np.testing.assert_array_equal(weights_of(draw_table(seed=3)), weights_of(draw_table(seed=3)))
    assert not np.array_equal(weights_of(draw_table(seed=4)), weights_of(draw_table(seed=3)))


def test_a_section_without_fibers() -> None:
    drawn = draw_table(rows=4, columns=4)
    drawn.table, drawn.pairs = drawn.table[:0], drawn.pairs[:0]
    found = draw_replicates(drawn.section(), RULE)
    assert found.weights.shape == (0, 61)
    assert found.n_units == 0


def made_up(n: int = 40, columns: int = 3) -> Replicates:
    rng = np.random.default_rng(0)
    weights = np.hstack([np.ones((n, 1)), rng.exponential(size=(n, columns - 1))])
    return Replicates(weights, "fibers", n)


def test_shares() -> None:
    drawn = made_up()
    among = np.arange(40) < 30
    flags = np.arange(40) % 3 == 0
    share = drawn.share(flags, among)
    assert share[0] == pytest.approx(10 / 30)
    weights = drawn.weights[:, 1]
    assert share[1] == pytest.approx(weights[flags & among].sum() / weights[among].sum())
    assert np.isnan(drawn.share(flags, np.zeros(40, bool))).all()


def test_moments() -> None:
    drawn, among = made_up(), np.arange(40) < 30
    values = np.random.default_rng(1).normal(50, 9, 40)
    values[3] = np.nan
    mean, sd = drawn.moments(values, among)
    known = values[among & np.isfinite(values)]
    assert mean[0] == pytest.approx(known.mean())
    assert sd[0] == pytest.approx(known.std(ddof=1))
    weights = drawn.weights[among & np.isfinite(values), 2]
    assert mean[2] == pytest.approx(np.average(known, weights=weights))
    assert np.isnan(drawn.moments(values, np.arange(40) == 5)).all()


@pytest.mark.filterwarnings("error")
def test_replicates_without_any_fiber_have_no_value() -> None:
    drawn = made_up()
    drawn.weights[:3, 1] = 0
    among = np.arange(40) < 3
    for found in (*drawn.moments(np.arange(40.0), among), drawn.share(among, among)):
        assert np.isfinite(found).tolist() == [True, False, True]


def test_assortativity_is_that_of_a_plain_loop() -> None:
    section = draw_table(rows=10, columns=10, side=None).section()
    rng = np.random.default_rng(2)
    marks = rng.random(100) < 0.4
    drawn = made_up(100, columns=COLUMNS + 5)
    found = drawn.assortativity(section.pairs, marks)
    assert len(found) == COLUMNS + 5
    for column in (0, 1, COLUMNS + 3):
        weight = drawn.weights[:, column]
        total = mean = both = 0.0
        for a, b in section.pairs:
            w = math.sqrt(weight[a] * weight[b])
            total += w
            mean += w * (int(marks[a]) + int(marks[b])) / 2
            both += w * (marks[a] and marks[b])
        mean, both = mean / total, both / total
        assert found[column] == pytest.approx((both - mean**2) / (mean * (1 - mean)))


def test_assortativity_of_known_patterns() -> None:
    drawn = made_up(6)
    marks = np.array([True] * 3 + [False] * 3)
    assert drawn.assortativity(np.array([[0, 1], [1, 2], [3, 4], [4, 5]]), marks)[
        0
    ] == pytest.approx(1)
    assert drawn.assortativity(np.array([[0, 3], [1, 4]]), marks)[0] == pytest.approx(-1)
    assert np.isnan(drawn.assortativity(np.zeros((0, 2), np.int64), marks)).all()
    assert np.isnan(drawn.assortativity(np.array([[0, 1]]), np.ones(6, bool))).all()
