from __future__ import annotations

import cv2
import numpy as np
import pytest

from biopsy_ai.labels import allocate_labels
from biopsy_ai.report import overlay
from biopsy_ai.report.backdrop import Backdrop
from biopsy_ai.report.legend import Entry
from biopsy_ai.report.overlay import Classes, Dots, Numbers, Picture, Shapes, write_overlay

RED, BLUE = (200, 0, 0), (0, 0, 200)
SQUARE = np.array([(20.0, 20.0), (20.0, 60.0), (60.0, 60.0), (60.0, 20.0)])


@pytest.fixture
def backdrop() -> Backdrop:
    pixels = np.full((400, 600, 3), (240, 150, 190), dtype=np.uint8)
    return Backdrop(pixels, 0.25)


@pytest.fixture
def draw(tmp_path, backdrop):
    """Draw layers and read the section back."""

    def drawn(*layers) -> np.ndarray:
        before = backdrop.pixels.copy()
        write_overlay(tmp_path / "o.png", backdrop, Picture(layers, [Entry("all")]), title="t")
        assert (backdrop.pixels == before).all()
        return cv2.imread(str(tmp_path / "o.png"))[:400, :600, ::-1]

    return drawn


def is_color(image: np.ndarray, color: tuple[int, int, int]) -> np.ndarray:
    return np.abs(image.astype(int) - color).max(axis=2) < 12


def test_outlines_lie_where_the_shapes_are(draw, backdrop) -> None:
    image = draw(Shapes([SQUARE], (0.5, 0.5), RED, width=3))
    lines = is_color(image, RED)
    assert lines[40:120, 38:42].any(axis=1).all()
    assert lines[118:122, 40:120].any(axis=0).all()
    assert (image[45:115, 45:115] == backdrop.pixels[0, 0]).all()
    assert (image[130:] == backdrop.pixels[0, 0]).all()


def test_pixels_of_shapes_need_not_be_square(draw) -> None:
    image = draw(Shapes([SQUARE], (0.25, 0.5), RED, width=3))
    rows, columns = np.nonzero(is_color(image, RED))
    assert np.ptp(rows) == pytest.approx(40, abs=4)
    assert np.ptp(columns) == pytest.approx(80, abs=4)


def test_tints_keep_their_hue_on_any_stain(draw) -> None:
    image = draw(Shapes([SQUARE], (0.5, 0.5), BLUE, width=0, tinted=True))
    red, green, blue = image[80, 80].astype(int)
    assert red == green
    assert blue - red == pytest.approx(200 * overlay.TINT, abs=2)
    assert (image[200, 200] == (240, 150, 190)).all()


def test_hatched_shapes_show_what_lies_below(draw) -> None:
    image = draw(Shapes([SQUARE], (0.5, 0.5), RED, width=0, hatched=True))
    share = is_color(image[45:115, 45:115], RED).mean()
    assert 0.1 < share < 0.4
    assert not is_color(image[125:], RED).any()


def test_shapes_that_reach_beyond_the_section_are_cut(draw) -> None:
    beyond = SQUARE * 5 - 150
    for style in ({"tinted": True}, {"hatched": True}):
        image = draw(Shapes([beyond, beyond + 900], (0.5, 0.5), RED, **style))
        assert (image[:20, :20] != (240, 150, 190)).any()


@pytest.mark.parametrize("mpp", [0.1, 0.25, 2.0])
def test_classes_are_tinted_on_their_own_grid(draw, monkeypatch, mpp: float) -> None:
    monkeypatch.setattr(overlay, "WINDOW_PX", 64)
    shape = round(100 / mpp), round(150 / mpp)
    classes = allocate_labels(shape, np.uint8)
    classes[: shape[0] // 2, 0 : shape[1]] = 3
    classes[shape[0] // 2 :, 0 : shape[1] // 2] = 7
    image = draw(Classes(classes, (mpp, mpp), {3: RED, 5: BLUE}))
    untouched = (240, 150, 190)
    assert not is_color(image[:195], untouched).any()
    assert is_color(image[205:], untouched).all()


def test_dots_and_numbers_lie_at_their_places(draw) -> None:
    place = np.array([[50.0, 100.0]])
    dot = is_color(draw(Dots(place, RED, 9.0)), RED)
    assert np.array(np.nonzero(dot)).mean(axis=1) == pytest.approx((199.5, 399.5), abs=1)
    assert dot.sum() == pytest.approx(np.pi * 4.5**2, rel=0.3)
    number = is_color(draw(Numbers(place, ["17"])), (0, 0, 0))
    assert np.array(np.nonzero(number)).mean(axis=1) == pytest.approx((199.5, 399.5), abs=5)


def test_nothing_to_draw_leaves_the_section(draw, backdrop) -> None:
    assert (draw(Shapes([], (0.5, 0.5), RED, tinted=True, hatched=True)) == backdrop.pixels).all()


def test_lines_are_thicker_where_shapes_are_large(draw) -> None:
    small, large = (
        is_color(draw(Shapes([SQUARE * factor], (0.5, 0.5), RED)), RED).sum() / factor
        for factor in (0.3, 1.5)
    )
    assert large > 1.4 * small


def test_tints_are_seen_on_a_dark_section(draw, backdrop) -> None:
    backdrop.pixels[:] = 0
    image = draw(Shapes([SQUARE], (0.5, 0.5), BLUE, width=0, tinted=True))
    dark = overlay.DARKEST * (1 - overlay.TINT)
    assert image[80, 80] == pytest.approx((dark, dark, dark + 200 * overlay.TINT), abs=2)
    assert (image[200, 200] == 0).all()


def test_numbers_are_small_where_there_is_little_room(draw) -> None:
    place = np.array([[50.0, 100.0]])

    def written(room_um: float) -> np.ndarray:
        image = draw(Numbers(place, ["88"], np.array([room_um])))
        return np.array(np.nonzero((image < 60).all(axis=2)))

    large, small, beside = written(40.0), written(6.0), written(1.0)
    assert np.ptp(small[0]) < 0.8 * np.ptp(large[0])
    for inside in (large, small):
        assert inside.mean(axis=1) == pytest.approx((199.5, 399.5), abs=5)
    assert np.ptp(beside[0]) > 7
    assert beside[1].min() > 402


def test_lines_with_a_halo_are_thin_around_small_shapes(draw) -> None:
    widths = []
    for factor in (0.2, 0.6, 2.0):
        image = draw(Shapes([SQUARE * factor], (0.5, 0.5), RED, halo=True))
        widths.append(is_color(image, RED).sum() / factor)
    assert widths[0] < widths[1] < widths[2]
