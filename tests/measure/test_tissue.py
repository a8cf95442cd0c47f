import json

import numpy as np
import pandas as pd
import pytest

from biopsy_ai import labels as labels_room
from biopsy_ai.measure.tissue import measure_tissue

MPP = (0.5, 0.5)


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """100 x 100 px: one row of four fibers 20 x 20, and a band of every other class."""
    classes = np.full((100, 100), 2, np.uint8)
    fibers = np.zeros((100, 100), np.int32)
    for k in range(4):
        part = (slice(5, 25), slice(3 + 24 * k, 23 + 24 * k))
        fibers[part] = 10 + k
        classes[part] = 1
    classes[40:50] = 3
    classes[50:60] = 4
    classes[60:65] = 5
    classes[65:80] = 6
    classes[80:] = 0
    return classes, fibers


def test_areas_and_shares_of_tissue(drawn):
    result = measure_tissue(*drawn, MPP)
    assert result["area_um2"] == 6500 * 0.25
    assert result["fiber_um2"] == 1600 * 0.25
    assert result["endomysium_percent"] == pytest.approx(100 * 2400 / 6500)
    assert result["perimysium_percent"] == pytest.approx(100 * 1000 / 6500)
    assert result["fat_percent"] == pytest.approx(100 * 1000 / 6500)
    assert result["vessel_or_nerve_percent"] == pytest.approx(100 * 500 / 6500)
    assert result["not_counted"] == {"background_um2": 500.0, "artefact_um2": 375.0}
    parts = ("fiber", "endomysium", "perimysium", "fat", "vessel_or_nerve")
    assert sum(result[f"{part}_percent"] for part in parts) == pytest.approx(100)
    assert result["endomysium_of_muscle_percent"] == pytest.approx(60)
    json.dumps(result, allow_nan=False)


def test_connective_tissue_by_class_and_by_subtraction(drawn):
    classes, fibers = drawn
    same = measure_tissue(classes, fibers, MPP)
    assert same["connective_percent"] == pytest.approx(100 * 3400 / 6500)
    assert same["connective_difference_points"] == pytest.approx(0)
    fibers = np.where(fibers == 10, 0, fibers)  # a fiber that was not outlined
    missed = measure_tissue(classes, fibers, MPP)
    assert missed["connective_percent"] == pytest.approx(100 * 3400 / 6500)
    assert missed["connective_by_subtraction_percent"] == pytest.approx(100 * 3800 / 6500)
    assert missed["connective_difference_points"] == pytest.approx(100 * 400 / 6500)


def test_fat_within_and_between_fascicles(drawn):
    fascicles = np.zeros((100, 100), np.int32)
    fascicles[:53] = 1
    result = measure_tissue(*drawn, MPP, fascicles=fascicles)
    assert result["fat_within_fascicles_percent"] == pytest.approx(100 * 300 / 6500)
    assert result["fat_between_fascicles_percent"] == pytest.approx(100 * 700 / 6500)
    assert measure_tissue(*drawn, MPP)["fat_within_fascicles_percent"] is None


def test_width_of_the_endomysium_between_square_fibers():
    """Squares of 40 px on a pitch of 44 px: a gap of 2 µm everywhere."""
    fibers = np.zeros((440, 440), np.int32)
    for k in range(100):
        y, x = 2 + 44 * (k // 10), 2 + 44 * (k % 10)
        fibers[y : y + 40, x : x + 40] = k + 1
    classes = np.where(fibers > 0, 1, 2).astype(np.uint8)
    table = pd.DataFrame({"label": np.arange(1, 101), "perimeter_um": 80.0})
    width = measure_tissue(classes, fibers, MPP, table=table)["mean_endomysial_width_um"]
    # the crossings of gaps belong to the area and to no outline
    assert width == pytest.approx(2.1)
    half = classes.copy()
    half[220:] = 6
    folded = measure_tissue(half, fibers, MPP, table=table)["mean_endomysial_width_um"]
    assert folded == pytest.approx(2.1)
    # fibers cut by the image border: their cut sides do not count
    cut = (slice(22, 418), slice(22, 418))
    width = measure_tissue(
        classes[cut],
        fibers[cut],
        MPP,
        table=table.assign(perimeter_um=_perimeters(fibers[cut])),
    )["mean_endomysial_width_um"]
    assert width == pytest.approx(2.1, abs=0.02)


def _perimeters(fibers: np.ndarray) -> np.ndarray:
    sides = []
    for label in range(1, 101):
        rows, columns = np.nonzero(fibers == label)
        sides.append(np.ptp(rows) + 1 + np.ptp(columns) + 1)
    return np.array(sides, float)


def test_result_does_not_depend_on_the_pieces(drawn, monkeypatch):
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 7, (100, 100)).astype(np.uint8)
    fascicles = rng.integers(0, 2, (100, 100))
    table = pd.DataFrame({"label": [10, 11, 12, 13], "perimeter_um": 40.0})
    fibers = drawn[1].copy()
    fibers[:5, :] = 12
    whole = measure_tissue(classes, fibers, MPP, table=table, fascicles=fascicles)
    for window in (17, 64):
        monkeypatch.setattr(labels_room, "WINDOW_PX", window)
        again = measure_tissue(classes, fibers, MPP, table=table, fascicles=fascicles)
        assert again == whole


def test_glass_alone_gives_no_shares():
    empty = np.zeros((10, 10), np.uint8)
    result = measure_tissue(
        empty, empty, MPP, table=pd.DataFrame({"label": [], "perimeter_um": []})
    )
    assert result["area_um2"] == 0
    assert result["fat_percent"] is None
    assert result["connective_percent"] is None
    assert result["mean_endomysial_width_um"] is None


def test_arguments_that_do_not_fit_are_errors(drawn):
    classes, fibers = drawn
    with pytest.raises(ValueError, match="same grid"):
        measure_tissue(classes[:-1], fibers, MPP)
    with pytest.raises(ValueError, match="unknown"):
        measure_tissue(classes + 5, fibers, MPP)
