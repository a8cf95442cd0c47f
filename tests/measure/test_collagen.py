import json

import numpy as np
import pytest

from biopsy_ai import labels as labels_room
from biopsy_ai.measure.collagen import COLLAGEN_DYES, fit_collagen_dyes, measure_collagen
from biopsy_ai.measure.reference import Limits, stain_vector

MPP = (0.5, 0.5)
WHITE = np.full(3, 250.0, np.float32)


def section(stain: str, cracked: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Fibers on the left, connective tissue on the right, glass below."""
    rng = np.random.default_rng(0)
    classes = np.full((100, 120), 1, np.uint8)
    classes[:, 80:] = 3
    classes[90:] = 0
    collagen, other = (stain_vector(name) for name in COLLAGEN_DYES[stain])
    noise = rng.uniform(0.7, 1.3, classes.shape)[..., None]
    density = np.where((classes == 3)[..., None], 0.6 * collagen + 0.02 * other, 0.4 * other)
    density = density * noise
    density[classes == 0] = 0
    if cracked:
        density[:, 100:] = 0
    return (256 * 10.0**-density - 1) * 250 / 255, classes


@pytest.mark.parametrize("stain", COLLAGEN_DYES)
def test_collagen_agrees_with_the_classes(stain):
    image, classes = section(stain)
    dyes = fit_collagen_dyes(image.reshape(-1, 3), stain, WHITE)
    result = measure_collagen(image, classes, MPP, dyes)
    assert result["assessable"]
    assert result["collagen_percent"] == pytest.approx(100 / 3, abs=0.5)
    assert result["connective_percent"] == pytest.approx(100 / 3)
    assert result["difference_points"] == pytest.approx(0, abs=0.5)
    assert result["of_connective_percent"] > 99
    assert result["of_fibers_percent"] < 1
    assert result["collagen_um2"] == pytest.approx(40 * 90 * 0.25, rel=0.02)
    json.dumps(result, allow_nan=False)


def test_cracks_hold_no_collagen():
    image, classes = section("sirius_red", cracked=True)
    dyes = fit_collagen_dyes(image.reshape(-1, 3), "sirius_red", WHITE)
    result = measure_collagen(image, classes, MPP, dyes)
    assert result["difference_points"] == pytest.approx(-100 / 6, abs=0.5)


def test_a_dye_that_stains_fibers_alike_gives_no_area():
    image, classes = section("trichrome")
    image[:90] = image[:90, 90:91].mean(axis=0)
    dyes = fit_collagen_dyes(section("trichrome")[0].reshape(-1, 3), "trichrome", WHITE)
    result = measure_collagen(image, classes, MPP, dyes)
    assert not result["assessable"]
    assert "does not tell" in result["why_not"]
    assert "collagen_percent" not in result
    lenient = Limits({"collagen_separation": 0.01})
    assert measure_collagen(image, classes, MPP, dyes, lenient)["assessable"]


def test_nothing_to_compare():
    image, classes = section("trichrome")
    dyes = fit_collagen_dyes(image.reshape(-1, 3), "trichrome", WHITE)
    assert not measure_collagen(image, 0 * classes, MPP, dyes)["assessable"]


def test_result_does_not_depend_on_the_pieces(monkeypatch):
    image, classes = section("trichrome")
    dyes = fit_collagen_dyes(image.reshape(-1, 3), "trichrome", WHITE)
    whole = measure_collagen(image, classes, MPP, dyes)
    monkeypatch.setattr(labels_room, "WINDOW_PX", 37)
    assert measure_collagen(image, classes, MPP, dyes) == whole


def test_arguments_that_do_not_fit_are_errors():
    image, classes = section("trichrome")
    with pytest.raises(ValueError, match="shows no collagen"):
        fit_collagen_dyes(image.reshape(-1, 3), "he", WHITE)
    dyes = fit_collagen_dyes(image.reshape(-1, 3), "trichrome", WHITE)
    with pytest.raises(ValueError, match="same grid"):
        measure_collagen(image[:-1], classes, MPP, dyes)
