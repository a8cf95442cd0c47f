import numpy as np
import pytest

from biopsy_ai.measure.reference import Limits
from biopsy_ai.patterns.fascicle_borders import (
    Edges,
    find_inside,
    find_walls,
    island_share,
    why_dissolved,
)

SOUND = {"perimysium_share": 0.1, "island_share": 0.0, "open_share": 0.0, "width_ratio": 0.2}


@pytest.mark.parametrize(
    ("measure", "words"),
    [
        ({}, ""),
        ({"open_share": None, "width_ratio": None, "island_share": None}, ""),
        ({"perimysium_share": 0.001}, "no perimysium"),
        ({"island_share": 0.6}, "60 % of the perimysium lies in islands"),
        ({"open_share": 0.3}, "30 % of the borders"),
        ({"width_ratio": 1.4}, "1.40 times as wide"),
    ],
)
def test_why_borders_are_dissolved(measure, words):
    reason = why_dissolved(SOUND | measure)
    assert words in reason
    assert bool(reason) == bool(words)


def test_the_limits_of_the_user_decide():
    narrow = SOUND | {"width_ratio": 1.4}
    assert why_dissolved(narrow, Limits({"fascicle_width_ratio": 1.5})) == ""
    assert "as wide" in why_dissolved(SOUND, Limits({"fascicle_width_ratio": 0.1}))


def test_edges_by_what_lies_beside():
    regions = np.zeros((6, 8), np.int32)
    regions[1:5, 1:3] = 1
    regions[1:5, 3:6] = 2
    glass = np.zeros(regions.shape, bool)
    glass[5] = True
    edges = Edges.between(regions, glass)
    assert edges.open.tolist() == [0, 4, 4]
    assert edges.cut.tolist() == [0, 2, 3]
    assert edges.closed.tolist() == [0, 2 + 4, 3 + 4]
    at_border = Edges.between(np.ones((3, 3), np.int32), np.zeros((3, 3), bool))
    assert at_border.cut.tolist() == [0, 12]


def test_islands_touch_one_fascicle_and_nothing_else():
    regions = np.ones((20, 20), np.int32)
    perimysium = np.zeros(regions.shape, bool)
    perimysium[4:8, 4:8] = True  # an island
    perimysium[12:16, 16:] = True  # reaches the image border
    regions[perimysium] = 0
    none = np.zeros(regions.shape, bool)
    assert island_share(perimysium, regions, none) == pytest.approx(0.5)
    regions[:6][regions[:6] > 0] = 2  # now it lies between two fascicles
    assert island_share(perimysium, regions, none) == 0
    assert island_share(none, regions, none) is None


def test_wide_glass_is_a_wall_and_a_crack_is_none():
    classes = np.full((100, 100), 1, np.uint8)
    classes[:, :40] = 0
    classes[:, 70:73] = 0
    wall, glass = find_walls(classes, 2.0)
    assert glass[:, :39].all()
    assert not glass[:, 41:].any()
    assert not wall[:, 70:73].any()
    assert find_inside(classes, wall)[:, 70:73].all()
    blank, all_glass = find_walls(np.zeros((9, 9), np.uint8), 2.0)
    assert blank.all()
    assert all_glass.all()
