from __future__ import annotations

import numpy as np
import pytest

from biopsy_ai.report.legend import Entry, scale_bar_um, with_legend

RED, BLUE = (200, 0, 0), (0, 0, 200)


def count(image: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((np.abs(image.astype(int) - color).max(axis=2) < 12).sum())


@pytest.mark.parametrize(
    ("width_um", "bar_um"), [(277, 50), (1500, 200), (9999, 1000), (10_000, 2000), (55.0, 10)]
)
def test_the_scale_bar_is_round(width_um: float, bar_um: float) -> None:
    assert scale_bar_um(width_um) == bar_um


def test_the_section_stays_and_the_strip_has_bar_and_signs() -> None:
    canvas = np.full((900, 1200, 3), 77, np.uint8)
    entries = [
        Entry("fibers", RED),
        Entry("fat $", BLUE, "area"),
        Entry("% of tissue", sign="text"),
    ]
    page = with_legend(canvas, 0.5, "Schnitt $1$ 肌", entries)
    assert (page[:900] == 77).all()
    strip = page[900:]
    assert count(strip, (0, 0, 0)) > 100
    assert count(strip, RED) > 0
    assert count(strip, BLUE) > count(strip, RED)
    assert (strip[-2:] == 255).all()


def test_a_long_legend_goes_on_in_further_lines() -> None:
    canvas = np.full((900, 1200, 3), 255, np.uint8)
    few = with_legend(canvas, 0.5, "x", [Entry("interstitial (1,234)")] * 2)
    many = [Entry("interstitial (1,234)", RED if i < 11 else BLUE) for i in range(12)]
    page = with_legend(canvas, 0.5, "x", many)
    assert len(page) > len(few) + 40
    assert count(page[len(few) :], BLUE) > 0


@pytest.mark.parametrize("shape", [(40, 3000), (3000, 40), (20, 20)])
def test_sections_of_any_shape_have_a_readable_legend(shape: tuple[int, int]) -> None:
    canvas = np.full((*shape, 3), 255, np.uint8)
    long = "left out of statistics (17): " + "cut by the image border 17, " * 4
    page = with_legend(canvas, 1.0, "a long name " * 30, [Entry("fibers"), Entry(long)])
    assert page.shape[1] >= 750
    assert max(page.shape) < 3300
