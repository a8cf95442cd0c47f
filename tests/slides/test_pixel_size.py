from __future__ import annotations

import math
from pathlib import Path

import pytest

from biopsy_ai.errors import PixelSizeError
from biopsy_ai.slides.pixel_size import (
    PixelSize,
    check_mpp,
    from_lengths,
    from_resolution,
    resolve_pixel_size,
)

SLIDE = Path("slide.tif")


@pytest.mark.parametrize("bad", [0, -0.5, math.nan, math.inf, 0.01, 7.0, (0.5, 0), (1, 1, 1), "x"])
def test_given_pixel_size_must_be_plausible(bad):
    with pytest.raises(PixelSizeError, match=r"slide.tif.*--mpp 0.5"):
        resolve_pixel_size(SLIDE, PixelSize((0.5, 0.5), "tags"), bad)


@pytest.mark.parametrize("bad", [(0.0, 0.0), (-1.0, -1.0), (math.nan, 0.5), (0.5, 80.0)])
def test_stated_pixel_size_must_be_plausible(bad):
    with pytest.raises(PixelSizeError, match=r"slide.tif.*OME.*implausible"):
        resolve_pixel_size(SLIDE, PixelSize(bad, "OME metadata"), None)


def test_missing_pixel_size_says_how_to_give_one():
    with pytest.raises(PixelSizeError, match=r"slide.tif.*\(no tags\).*--mpp 0.5.*mpp=0.5"):
        resolve_pixel_size(SLIDE, PixelSize(hint="no tags"), None)


def test_given_pixel_size_wins_and_contradictions_are_told():
    stated = PixelSize((0.5, 0.5), "OME metadata")
    assert resolve_pixel_size(SLIDE, stated, 0.51) == ((0.51, 0.51), "given by the user", [])
    mpp, _, warnings = resolve_pixel_size(SLIDE, stated, (0.5, 0.25))
    assert mpp == (0.5, 0.25)
    assert len(warnings) == 1
    assert "contradicts" in warnings[0]
    # What the file states is no reason to complain where it cannot be true.
    assert resolve_pixel_size(SLIDE, PixelSize((0.0, 0.0), "x"), 0.5)[2] == []


def test_check_mpp_takes_one_or_two_numbers():
    assert check_mpp(0.5, "a") == (0.5, 0.5)
    assert check_mpp((0.5, 0.25), "a") == (0.5, 0.25)


@pytest.mark.parametrize("dpi", [1, 72, 96, 100, 150, 200, 300, 600, 1200])
def test_print_resolutions_are_no_pixel_size(dpi):
    found = from_resolution(dpi, dpi, 25400.0, "TIFF resolution")
    assert found.mpp is None
    assert f"{dpi} dpi" in found.hint


def test_resolutions_of_microscopes_are():
    assert from_resolution(20000, 40000, 1e4, "x").mpp == (0.5, 0.25)
    assert from_resolution(25400, 25400, 25400.0, "x").mpp == (1.0, 1.0)
    assert from_resolution(0, 0, 1e4, "x").mpp is None
    assert from_resolution(1, 1, None, "x").mpp is None


@pytest.mark.parametrize(
    ("value", "unit", "um"),
    [
        (0.5, "µm", 0.5),
        (0.5, "μm", 0.5),
        (500, "nm", 0.5),
        (0.0005, "mm", 0.5),
        (0.5, "micron", 0.5),
    ],
)
def test_units(value, unit, um):
    found = from_lengths(value, value, unit, unit, "x")
    assert found is not None
    assert found.mpp == pytest.approx((um, um))


def test_one_side_stands_for_both_and_unknown_units_for_none():
    assert from_lengths(None, 0.5, "µm", "µm", "x") == PixelSize((0.5, 0.5), "x")
    assert from_lengths(1, 1, "pixel", "pixel", "x") is None
