"""Fibers of a layout lie apart, and squeezed ones keep a shape that can be seen."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from biopsy_ai.synthesis import TissueParams, preset
from biopsy_ai.synthesis.geometry import FiberShape
from biopsy_ai.synthesis.layout import MIN_GAP_UM, MIN_WIDTH_UM, _parted, build_geometry


def box(x0: float, y0: float, x1: float, y1: float) -> FiberShape:
    return FiberShape(np.array([[x0, y0], [x0, y1], [x1, y1], [x1, y0]], dtype=float), "I")


def test_parted_lets_the_larger_fiber_yield():
    large, small = _parted([box(0, 0, 40, 40), box(35, 10, 50, 20)], 1.0)
    assert shapely.Polygon(small.outline).area == pytest.approx(150)
    gap = shapely.Polygon(large.outline).distance(shapely.Polygon(small.outline))
    assert gap == pytest.approx(1.0, abs=0.05)


def test_parted_leaves_distant_fibers_alone():
    fibers = [box(0, 0, 40, 40), box(42, 0, 60, 20)]
    assert [f.outline.tolist() for f in _parted(fibers, 1.0)] == [
        f.outline.tolist() for f in fibers
    ]


def test_parted_drops_slivers():
    assert _parted([box(0, 0, MIN_WIDTH_UM - 0.5, 40)], 1.0) == []
    assert len(_parted([box(0, 0, MIN_WIDTH_UM + 0.5, 40)], 1.0)) == 1


@pytest.mark.parametrize("name", ["normal", "acute_denervation", "chronic_reinnervation"])
def test_no_fiber_overlaps_another(name):
    tissue = preset(name)
    for seed in range(2):
        geometry = build_geometry(tissue, (400.0, 400.0), np.random.default_rng(seed))
        shapes = np.array([shapely.Polygon(f.outline) for f in geometry.fibers])
        assert len(shapes) > 15
        assert shapely.is_valid(shapes).all()
        first, second = shapely.STRtree(shapes).query(shapes, predicate="intersects")
        assert (first == second).all()
        # bending the whole tissue afterwards may narrow a gap a little
        near = shapely.STRtree(shapes).query(shapes, "dwithin", 0.5 * min(MIN_GAP_UM, 0.8))
        assert (near[0] == near[1]).mean() > 0.95


def test_fibers_lie_in_the_fascicle_that_they_name():
    geometry = build_geometry(preset("normal"), (500.0, 500.0), np.random.default_rng(3))
    fascicles = [shapely.Polygon(f).buffer(1.0) for f in geometry.fascicles]
    inside = [
        fascicles[f.fascicle - 1].contains(shapely.Polygon(f.outline).centroid)
        for f in geometry.fibers
    ]
    assert len({f.fascicle for f in geometry.fibers}) > 1
    assert np.mean(inside) > 0.98


def test_there_are_as_many_nerves_as_wanted():
    counts = [
        [
            len(build_geometry(tissue, (300.0, 300.0), np.random.default_rng(seed)).nerves)
            for seed in range(4)
        ]
        for tissue in (TissueParams(nerves_per_mm2=n, diameter_um=(60.0, 60.0)) for n in (0, 60))
    ]
    assert counts[0] == [0, 0, 0, 0]
    assert 12 < sum(counts[1]) < 60
