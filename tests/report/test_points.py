from __future__ import annotations

import math
import random

import pytest

from biopsy_ai.report.points import round_to_sum


def hundredths(numbers: list[float]) -> list[int]:
    return [round(100 * number) for number in numbers]


def test_the_parts_add_up_as_shown() -> None:
    assert round_to_sum([33.333, 33.333, 33.334], 100.0) == [33.33, 33.33, 33.34]
    assert round_to_sum([1 / 3, 1 / 3, 1 / 3], 1.0) == [0.34, 0.33, 0.33]


def test_whole_parts_stay_as_they_are() -> None:
    assert round_to_sum([50.0, 0.0, 12.5, -3.25], 59.25) == [50.0, 0.0, 12.5, -3.25]
    assert math.copysign(1, round_to_sum([-0.0], 0.0)[0]) == 1.0


def test_any_parts_add_up_and_move_by_less_than_a_unit() -> None:
    rng = random.Random(1)
    for _ in range(2000):
        parts = [50.0, *(rng.gauss(0, 10) for _ in range(rng.randrange(12)))]
        total = math.fsum(parts)
        shown = round_to_sum(parts, total)
        assert sum(hundredths(shown)) == round(100 * float(f"{total:.2f}"))
        assert all(abs(a - b) < 0.01 for a, b in zip(shown, parts, strict=True))
        assert shown == round_to_sum(parts, total)


def test_an_error_of_floating_point_is_no_rest() -> None:
    parts = [0.1] * 10
    assert round_to_sum(parts, 0.9999999999999999) == parts


def test_nothing_adds_up_to_nothing() -> None:
    assert round_to_sum([], 0.0) == []


@pytest.mark.parametrize(
    ("parts", "total"), [([1.0, 2.0], 4.0), ([math.nan], 1.0), ([1.0], math.inf), ([], 1.0)]
)
def test_parts_that_do_not_add_up_are_refused(parts: list[float], total: float) -> None:
    with pytest.raises(ValueError, match="add up|finite"):
        round_to_sum(parts, total)
