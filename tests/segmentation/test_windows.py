from __future__ import annotations

import numpy as np
from segmentation.drawn_maps import draw_ellipses, perfect_maps

from biopsy_ai.segmentation.drawing import FiberMaps, fiber_maps
from biopsy_ai.segmentation.thresholds import InstanceThresholds
from biopsy_ai.segmentation.windows import TOLERANCE_PX, Window, cut_windows, window_fibers


def part(maps: FiberMaps, box: tuple[int, int, int, int]) -> FiberMaps:
    y0, x0, y1, x1 = box
    half = np.s_[y0 // 2 : y1 // 2, x0 // 2 : x1 // 2]
    return FiberMaps(maps.foreground[y0:y1, x0:x1], maps.border[half], maps.distance[half])


def test_every_fiber_belongs_to_one_window_or_to_a_seam() -> None:
    shape = (700, 900)
    truth = draw_ellipses(shape, seed=9)
    maps = fiber_maps(*perfect_maps(truth))
    thresholds = InstanceThresholds()
    whole = Window((0, 0, *shape), (0, 0, *shape))
    everything = window_fibers(maps, whole, shape, thresholds, 0.5)
    found = []
    for window in cut_windows(shape, 300, 120):
        for fiber in window_fibers(part(maps, window.outer), window, shape, thresholds, 0.5):
            y, x = fiber.centroid
            y0, x0, y1, x1 = window.core
            assert y0 - TOLERANCE_PX - 2 < y < y1 + TOLERANCE_PX + 2
            assert x0 - TOLERANCE_PX - 2 < x < x1 + TOLERANCE_PX + 2
            assert not fiber.truncated
            found.append((fiber.y0, fiber.x0, fiber.area_px))
    assert set(found) == {(fiber.y0, fiber.x0, fiber.area_px) for fiber in everything}


def test_fibers_are_ordered_by_centroid_and_cut_off_ones_told() -> None:
    truth = np.zeros((400, 400), np.int32)
    truth[300:340, 100:140] = 1
    truth[50:90, 200:240] = 2
    truth[200:240, 150:400] = 3
    maps = fiber_maps(*perfect_maps(truth))
    window = Window((0, 0, 400, 400), (0, 0, 400, 400))
    at_the_end = window_fibers(maps, window, (400, 400), InstanceThresholds(), 0.5)
    assert [fiber.y0 for fiber in at_the_end] == [50, 200, 300]
    assert not any(fiber.truncated for fiber in at_the_end)
    goes_on = window_fibers(maps, window, (400, 800), InstanceThresholds(), 0.5)
    assert [fiber.truncated for fiber in goes_on] == [False, True, False]
