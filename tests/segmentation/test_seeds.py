from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from biopsy_ai.segmentation.seeds import core_mask, find_seeds, flood, grow, height_score
from biopsy_ai.segmentation.thresholds import InstanceThresholds

PLAIN = {"seed_height": 0.1, "min_peak": 0.4}


def hills(*peaks: tuple[int, float], base: float = 0.0) -> NDArray[np.uint8]:
    """Cones of radius 20 at columns of a strip of 60 x 200 px, on a plain."""
    y, x = np.mgrid[0:60, 0:200]
    height = np.full((60, 200), base)
    for column, peak in peaks:
        cone = peak * (1 - np.hypot(y - 30, x - column) / 20)
        height = np.maximum(height, cone)
    return np.round(255 * height).astype(np.uint8)


def everywhere() -> NDArray[np.uint8]:
    return np.full((60, 200), 255, np.uint8)


def test_one_hill_one_seed_over_the_whole_core() -> None:
    seeds = find_seeds(everywhere(), hills((100, 1.0)), **PLAIN)
    assert (seeds == 1).all()


def test_two_hills_with_a_saddle_between_are_two_seeds() -> None:
    score = hills((80, 1.0), (115, 0.8))
    seeds = find_seeds(everywhere(), score, **PLAIN)
    assert seeds.max() == 2
    assert seeds[30, 80] != seeds[30, 115]
    assert seeds[30, 98] == 0


@pytest.mark.parametrize(("height", "n_seeds"), [(0.1, 2), (0.5, 1)])
def test_shallow_saddles_part_nothing(height: float, n_seeds: int) -> None:
    score = hills((80, 1.0), (115, 0.8), base=0.45)
    seeds = find_seeds(everywhere(), score, **(PLAIN | {"seed_height": height}))
    assert seeds.max() == n_seeds


def test_flat_cores_hold_no_seed() -> None:
    score = hills((100, 0.25))
    assert find_seeds(everywhere(), score, **(PLAIN | {"min_peak": 0.4})).max() == 0
    assert find_seeds(everywhere(), score, **(PLAIN | {"min_peak": 0.2})).max() == 1


def test_separate_cores_are_separate() -> None:
    core = everywhere()
    core[:, 100] = 0
    seeds = find_seeds(core, hills((50, 1.0), (150, 1.0)), **PLAIN)
    assert sorted(np.unique(seeds)) == [0, 1, 2]
    assert (seeds[:, 100] == 0).all()


@pytest.mark.parametrize("thin", [False, True])
def test_seeds_lie_in_the_core(thin: bool) -> None:
    core = everywhere()
    core[:, :40] = core[:, 170:] = 0
    score = hills((80, 1.0), (115, 0.8), (150, 0.3))
    seeds = find_seeds(core, score, **PLAIN, thin=thin)
    assert sorted(np.unique(seeds[core > 0])) == [0, 1, 2, 3]
    assert seeds[30, 80] != seeds[30, 115]
    assert not seeds[core == 0].any()


def test_thin_branches_count_where_asked_for() -> None:
    core = np.zeros((60, 200), np.uint8)
    core[31, 20:60] = 255
    score = np.full((60, 200), 26, np.uint8)
    score[31, 21:24] = score[31, 55:58] = 200
    assert find_seeds(core, score, **PLAIN, thin=True).max() == 2


def test_flooding_meets_at_the_saddle() -> None:
    score = hills((80, 1.0), (115, 1.0))
    seeds = find_seeds(everywhere(), score, **PLAIN)
    labels = flood(seeds, score, everywhere(), everywhere())
    left, right = labels[30, 80], labels[30, 115]
    assert (labels[25:36, 65:96] == left).all()
    assert (labels[25:36, 100:130] == right).all()


def test_growth_stays_in_its_region_and_keeps_what_is_there() -> None:
    labels = np.zeros((20, 20), np.uint16)
    labels[10, 5], labels[10, 12] = 3, 7
    region = np.zeros((20, 20), np.uint8)
    region[8:13] = 255
    grow(labels, region, 3)
    assert not labels[:8].any()
    assert not labels[13:].any()
    assert (labels[10, 2:9] == 3).all()
    assert (labels[10, 9:16] == 7).all()
    assert labels[10, 1] == labels[10, 16] == 0


def test_small_fiber_of_nothing_but_border_has_a_core() -> None:
    foreground, border, distance = (np.zeros((9, 9), np.uint8) for _ in range(3))
    cv2.circle(foreground, (4, 4), 3, 255, -1)
    border[:] = 255
    cv2.circle(distance, (4, 4), 1, 230, -1)
    core = core_mask(foreground, border, distance, InstanceThresholds())
    assert np.count_nonzero(core) == 5
    assert height_score(border, distance)[4, 4] > 200


def test_border_lowers_the_flanks() -> None:
    maps = np.array([[0, 255]], np.uint8), np.array([[77, 77]], np.uint8)
    score = height_score(*maps)
    assert score[0, 0] == 77
    assert score[0, 1] == pytest.approx(77 * 77 / 255, abs=1)
