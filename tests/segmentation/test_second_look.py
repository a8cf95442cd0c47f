from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from biopsy_ai.segmentation.drawing import COARSE, FiberMaps, fiber_maps
from biopsy_ai.segmentation.second_look import (
    AROUND_UM,
    CELL_PX,
    CONTEXT_PX,
    KEPT_UM2,
    PART_PX,
    RIM_UM,
    STRIDE_PX,
    WEIGHT,
    WHOLE_FROM,
    ZOOM,
    Block,
    SecondLook,
    look_again,
    near_small_fibers,
    second_look_for,
    wanted_blocks,
)
from biopsy_ai.segmentation.tiles import Margins

MPP = 0.5

FREELY = SecondLook(kept_um2=math.inf)


def maps_of_discs(
    shape: tuple[int, int], *discs: tuple[int, int, float], level: float = 1.0, peak: float = 1.0
) -> FiberMaps:
    """Maps of round fibers: center (y, x) in pixels, diameter in µm."""
    foreground, distance = np.zeros(shape), np.zeros(shape)
    rows, columns = np.indices(shape)
    for y, x, diameter in discs:
        depth = np.clip(1 - np.hypot(rows - y, columns - x) / (diameter / 2 / MPP), 0, 1)
        foreground[depth > 0] = level
        distance = np.maximum(distance, peak * depth)
    return fiber_maps(foreground, np.zeros(shape), distance)


class Painter:
    """Draws the colors of its pictures, and writes down what it was given."""

    def __init__(self) -> None:
        self.seen: list[tuple[tuple[int, ...], Margins]] = []

    def __call__(self, pictures: NDArray[np.float32], context: Margins) -> NDArray[np.uint8]:
        self.seen.append((pictures.shape, context))
        height, width = pictures.shape[1:3]
        inner = pictures[
            :, context.top : height - context.bottom, context.left : width - context.right
        ]
        return np.round(255 * inner.clip(0, 1)).astype(np.uint8).transpose(0, 3, 1, 2)


def slope(height: int, width: int) -> NDArray[np.float32]:
    """A picture whose colors tell where a pixel lies."""
    rows, columns = np.indices((height, width), np.float32)
    return np.dstack([rows / height, columns / width, (rows + columns) / (height + width)])


def test_only_small_fibers_are_wanted() -> None:
    near = near_small_fibers(
        maps_of_discs((512, 512), (120, 120, 90.0), (400, 380, 14.0)), MPP, FREELY
    )
    assert near.shape == (256, 256)
    rows, columns = np.nonzero(near)
    reach = (7 + AROUND_UM) / (2 * MPP)
    for found, center in ((rows, 200), (columns, 190)):
        assert found.min() == pytest.approx(center - reach, abs=2)
        assert found.max() == pytest.approx(center + reach, abs=2)


@pytest.mark.parametrize(
    "drawn",
    [
        {"discs": [(128, 128, 2.0)]},
        {"discs": [(128, 128, 14.0)], "level": 0.55},
        {"discs": [(128, 128, 14.0)], "peak": 0.15},
        {"discs": [(-80, 128, 90.0)]},
        {"discs": []},
    ],
    ids=["speck", "faint", "flat", "piece of a wide one", "nothing"],
)
def test_what_is_no_small_fiber_is_left_as_it_is(drawn: dict[str, Any]) -> None:
    maps = maps_of_discs((256, 256), *drawn.pop("discs"), **drawn)
    painter = Painter()
    assert look_again(maps, slope(256, 256), Margins(), MPP, painter, FREELY) is maps
    assert painter.seen == []


def test_a_small_fiber_at_the_end_of_the_maps_is_looked_at() -> None:
    assert near_small_fibers(maps_of_discs((256, 256), (4, 128, 12.0)), MPP, FREELY).any()


def test_few_cells_are_looked_at_one_by_one_and_many_as_a_whole() -> None:
    side, part = CELL_PX // COARSE, PART_PX // COARSE
    near = np.zeros((2 * part, part), np.uint8)
    assert wanted_blocks(near) == []
    near[10 : 10 + side, 30 : 30 + side] = 1
    assert wanted_blocks(near) == [Block(20, 60, CELL_PX)], "wherever it lies"
    near[10 + side, 30] = near[part - 1, part - 1] = 1
    cells = [
        Block(20, 60, CELL_PX),
        Block(20 + CELL_PX, 60, CELL_PX),
        Block(PART_PX - CELL_PX, PART_PX - CELL_PX, CELL_PX),
    ]
    assert wanted_blocks(near) == cells
    near[part::side, 0] = 1
    assert len(wanted_blocks(near)) == 3 + PART_PX // CELL_PX
    near[part::side, part - 1] = 1
    assert WHOLE_FROM == 7
    assert wanted_blocks(near) == [*cells, Block(PART_PX, 0, PART_PX)]


@pytest.mark.parametrize("shape", [(40, 200), (256, 30), (200, 230)])
def test_blocks_cover_all_that_is_wanted(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    near = (rng.random(shape) < 0.002).astype(np.uint8)
    left = near.copy()
    for block in wanted_blocks(near):
        y, x, side = block.y0 // COARSE, block.x0 // COARSE, block.side // COARSE
        assert 0 <= y < shape[0]
        assert 0 <= x < shape[1]
        assert left[y : y + side, x : x + side].any(), "none for nothing"
        left[y : y + side, x : x + side] = 0
    assert near.any()
    assert not left.any()


@pytest.mark.parametrize(
    ("core", "context"),
    [
        ((512, 512), Margins(192, 192, 192, 192)),
        ((512, 512), Margins(0, 192, 64, 0)),
        ((320, 448), Margins()),
        ((64, 192), Margins(0, 64, 64, 0)),
        ((64, 64), Margins()),
    ],
)
@pytest.mark.parametrize("many", [False, True])
def test_maps_near_small_fibers_are_averaged_where_they_lie(
    core: tuple[int, int], context: Margins, many: bool
) -> None:
    height, width = core
    step = 64 if many else 600
    centers = [(y, x, 11.0) for y in range(32, height, step) for x in range(32, width, step)]
    maps = maps_of_discs(core, *centers)
    picture = slope(height + context.top + context.bottom, width + context.left + context.right)
    painter = Painter()
    found = look_again(maps, picture, context, MPP, painter, FREELY)
    near = near_small_fibers(maps, MPP, FREELY)
    assert near.any()
    inner = picture[context.top : context.top + height, context.left : context.left + width]
    again = fiber_maps(inner[..., 0], inner[..., 1], inner[..., 2])
    full = cv2.resize(near, (width, height), interpolation=cv2.INTER_NEAREST)
    for name, where in (("foreground", full), ("border", near), ("distance", near)):
        before, after = (getattr(m, name).astype(float) for m in (maps, found))
        mean = (1 - WEIGHT) * before + WEIGHT * getattr(again, name)
        # the end of the picture is enlarged from fewer pixels
        assert np.abs(after - np.where(where, mean, before)).max() <= 3, name
    assert found.foreground is not maps.foreground
    for shape, _ in painter.seen:
        assert all(side % STRIDE_PX == 0 for side in shape[1:3])


def test_a_wide_fiber_is_left_alone_and_what_is_beside_it_is_not() -> None:
    wide, small = (128, 100, 60.0), (128, 180, 14.0)  # 3 µm between them
    maps = maps_of_discs((256, 256), wide, small)
    tail = maps.foreground.copy()
    tail[60:128, 168:172] = 128  # close to the wide fiber, 12 µm long
    maps = replace(maps, foreground=tail)
    white = np.ones((256, 256, 3), np.float32)
    found = look_again(maps, 0 * white, Margins(), MPP, Painter(), FREELY)
    rows, columns = np.indices((256, 256))
    inside = np.hypot(rows - wide[0], columns - wide[1]) < wide[2] / 2 / MPP - RIM_UM / MPP
    np.testing.assert_array_equal(found.foreground[inside], maps.foreground[inside])
    np.testing.assert_array_equal(found.distance[inside[::2, ::2]], maps.distance[inside[::2, ::2]])
    assert found.foreground[104:128, 169:171].max() < 60
    assert look_again(maps, white, Margins(), MPP, Painter(), FREELY).foreground[104, 170] > 200


@pytest.mark.parametrize(
    ("diameter", "how", "kept"),
    [
        (16.0, SecondLook(KEPT_UM2), True),
        (10.0, SecondLook(KEPT_UM2), False),
        (16.0, FREELY, False),
    ],
)
def test_only_tiny_fibers_may_fade_where_cells_are_stained(
    diameter: float, how: SecondLook, kept: bool
) -> None:
    maps = maps_of_discs((256, 256), (128, 128, diameter))
    dark = np.zeros((256, 256, 3), np.float32)
    found = look_again(maps, dark, Margins(), MPP, Painter(), how)
    assert found.distance[64, 64] < 0.5 * maps.distance[64, 64]
    assert (found.foreground[128, 128] == 255) == kept
    bright = look_again(maps, dark + 1, Margins(), MPP, Painter(), how)
    assert bright.foreground[128, 128] == 255


def test_the_network_need_not_draw_the_context() -> None:
    painter = Painter()
    maps = maps_of_discs((512, 512), (60, 60, 14.0), (60, 444, 14.0))
    look_again(maps, slope(896, 896), Margins(192, 192, 192, 192), MPP, painter, FREELY)
    side, around = round(ZOOM * (CELL_PX + 2 * CONTEXT_PX)), round(ZOOM * CONTEXT_PX)
    assert painter.seen == [((2, side, side, 3), Margins(around, around, around, around))]


def test_each_set_of_thresholds_has_its_second_look() -> None:
    assert second_look_for("thresholds") == SecondLook(KEPT_UM2)
    assert second_look_for("enzyme_thresholds") == FREELY
    assert second_look_for("fluorescence_thresholds") is None
