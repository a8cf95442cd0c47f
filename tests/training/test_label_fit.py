from __future__ import annotations

import numpy as np
import pytest
from drawn_datasets import drawn_section

from biopsy_ai.training.label_fit import SHIFT_UM, label_fit, turned_fit

SIZE_UM = 260.0


@pytest.fixture(scope="module")
def picture():
    image = drawn_section(3, SIZE_UM).image
    return (image / 255).astype(np.float32)


@pytest.fixture(scope="module")
def labels():
    return drawn_section(3, SIZE_UM).labels


def moved(labels, rows: int, columns: int):
    return np.roll(labels, (rows, columns), (0, 1))


def test_labels_where_they_belong_fit(picture, labels) -> None:
    fit = label_fit(picture, labels)
    assert fit.distance_um <= 1
    assert fit.best > 10
    assert not fit.is_shifted
    assert not fit.is_unrelated


@pytest.mark.parametrize("shift_px", [(10, 0), (0, -12), (14, 14), (-30, 20)])
def test_a_shift_is_measured(picture, labels, shift_px) -> None:
    fit = label_fit(picture, moved(labels, *shift_px))
    assert fit.is_shifted
    np.testing.assert_allclose(fit.shift_um, -0.5 * np.array(shift_px), atol=1)


def test_a_small_shift_is_borne(picture, labels) -> None:
    fit = label_fit(picture, moved(labels, 3, 0))
    assert 0 < fit.distance_um <= SHIFT_UM
    assert not fit.is_shifted


def test_a_light_picture_on_dark_ground_fits_as_well(picture, labels) -> None:
    assert label_fit(1 - picture, labels).distance_um <= 1


@pytest.mark.parametrize(
    ("turn", "words"),
    [
        (lambda x: x[:, ::-1], "mirrored left to right"),
        (lambda x: x[::-1], "mirrored top to bottom"),
        (lambda x: x[::-1, ::-1], "turned by half"),
        (lambda x: x.T, "with rows and columns exchanged"),
        (lambda x: np.rot90(x), "turned by a quarter to the right"),
        (lambda x: np.rot90(x, -1), "turned by a quarter to the left"),
    ],
)
def test_turned_labels_are_told_how_to_turn_back(picture, labels, turn, words) -> None:
    assert label_fit(picture, turn(labels)).is_unrelated
    assert turned_fit(picture, turn(labels)) == words


def test_labels_of_another_picture_are_unrelated(picture) -> None:
    other = drawn_section(4, SIZE_UM).labels
    assert label_fit(picture, other).is_unrelated
    assert turned_fit(picture, other) == ""


def test_few_fibers_are_enough(picture, labels) -> None:
    ids = np.unique(labels)[5:15]
    fit = label_fit(picture, np.where(np.isin(labels, ids), labels, 0))
    assert not fit.is_shifted
    assert not fit.is_unrelated


def test_an_empty_picture_shows_nothing() -> None:
    fit = label_fit(np.ones((80, 80, 3), np.float32), np.zeros((80, 80), int))
    assert not fit.is_shifted
    assert fit.is_unrelated
