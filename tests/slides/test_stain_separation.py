import numpy as np
import pytest

from biopsy_ai.measure.reference import stain_vector
from biopsy_ai.slides.stain_separation import (
    StainSeparation,
    fit_stain_separation,
    separate_stains,
)

WHITE = np.full(3, 240.0, np.float32)
START = np.stack([stain_vector("hematoxylin"), stain_vector("eosin")])
NAMES = ("hematoxylin", "eosin")


def picture(amounts: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Intensities of (n, k) amounts of k dyes."""
    return (256 * 10.0 ** -(amounts @ vectors) - 1) * 240 / 255


@pytest.fixture
def amounts() -> np.ndarray:
    rng = np.random.default_rng(0)
    amounts = rng.uniform(0, 0.05, (4000, 2))
    amounts[:1500, 0] += rng.uniform(0.3, 0.9, 1500)
    amounts[1500:, 1] += rng.uniform(0.2, 0.6, 2500)
    return amounts


def turned(vectors: np.ndarray, by: float) -> np.ndarray:
    vectors = vectors + by * np.array([[0.0, 0.3, 0.2], [0.3, -0.1, 0.2]])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.mark.parametrize("vectors", [START, turned(START, 0.6)])
def test_known_amounts_come_back(amounts, vectors):
    separation = StainSeparation(NAMES, vectors, WHITE)
    found = separate_stains(picture(amounts, vectors), separation)
    assert found == pytest.approx(amounts, abs=1e-4)


def test_three_dyes_come_back():
    vectors = np.vstack([START, [0.0, 0.0, 1.0]])
    three = np.random.default_rng(1).uniform(0, 0.5, (50, 3))
    separation = StainSeparation((*NAMES, "third"), vectors, WHITE)
    assert separate_stains(picture(three, vectors), separation) == pytest.approx(three, abs=1e-4)


@pytest.mark.parametrize("by", [0.0, 0.3, 0.6])
def test_colors_are_estimated_from_the_slide(amounts, by):
    vectors = turned(START, by)
    pixels = np.vstack([picture(amounts, vectors), np.full((2000, 3), 239.0)])
    fitted = fit_stain_separation(pixels, NAMES, START, WHITE)
    assert fitted.notes == ()
    angles = np.degrees(np.arccos(np.clip((fitted.vectors * vectors).sum(1), -1, 1)))
    assert (angles < 5).all()


def test_other_colors_fall_back_on_the_published_ones(amounts):
    fitted = fit_stain_separation(picture(amounts, np.eye(3)[[0, 2]]), NAMES, START, WHITE)
    assert fitted.vectors == pytest.approx(START)
    assert "hematoxylin" in " ".join(fitted.notes)


def test_too_few_or_too_even_pixels_fall_back(amounts):
    few = fit_stain_separation(picture(amounts[:50], START), NAMES, START, WHITE)
    assert few.vectors == pytest.approx(START)
    assert "stained pixels" in few.notes[0]
    even = amounts * [0, 1]
    one = fit_stain_separation(picture(even, START), NAMES, START, WHITE)
    assert one.vectors == pytest.approx(START, abs=0.02)
    assert one.notes


def test_dyes_that_cannot_be_told_apart_are_refused():
    with pytest.raises(ValueError, match="same color"):
        StainSeparation(NAMES, np.stack([START[0], START[0]]), WHITE)
    with pytest.raises(ValueError, match="unit length"):
        StainSeparation(NAMES, 2 * START, WHITE)
    with pytest.raises(ValueError, match="row of three"):
        StainSeparation(("one",), START[:1], WHITE)
