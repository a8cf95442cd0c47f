from __future__ import annotations

import numpy as np
import pytest

from biopsy_ai.measure import interior_stain
from biopsy_ai.measure.interior_stain import measure_stain
from biopsy_ai.measure.reference import DEFAULTS

WHITE = np.full(3, 255.0, np.float32)


def fibers() -> np.ndarray:
    """Squares of 40 µm that touch, numbered from 3."""
    labels = np.zeros((200, 300), np.int32)
    for k in range(6):
        y, x = divmod(k, 3)
        labels[10 + 80 * y : 90 + 80 * y, 10 + 80 * x : 90 + 80 * x] = 3 + k
    return labels


def picture(density: np.ndarray) -> np.ndarray:
    return (256 * 10.0 ** -np.repeat(density[..., None], 3, axis=2) - 1).astype(np.float32)


def measure(image: np.ndarray, labels: np.ndarray, wanted: list[int], **options) -> np.ndarray:
    values = {"origin": (0, 0), "nuclei": None, "separation": None, "mpp": (0.5, 0.5), **options}
    steps = interior_stain.sample_steps(values["mpp"])
    return measure_stain(
        image[:: steps[0], :: steps[1]],
        labels,
        wanted=np.array(wanted),
        white=WHITE,
        limits=DEFAULTS,
        **values,
    )


def test_quantiles_are_those_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all pixels inside the rim, fiber by fiber."""
    monkeypatch.setattr(interior_stain, "SAMPLE_UM", 0.5)
    labels = fibers()
    rng = np.random.default_rng(0)
    density = rng.uniform(0.1, 0.3, labels.shape) + 0.05 * labels
    found = measure(picture(density), labels, [8, 3])
    for row, (y, x) in enumerate([(90, 170), (10, 10)]):
        inner = 3 * density[y + 4 : y + 76, x + 4 : x + 76]
        low, median, high = np.percentile(inner, (25, 50, 75))
        assert found[row, 0] == pytest.approx(median, abs=1e-3)
        assert found[row, 3] == pytest.approx((high - low) / median, abs=3e-3)
    assert np.isnan(found[:, 1:3]).all(), "no dyes were given"


def test_holes_are_counted_where_they_lie() -> None:
    labels = fibers()
    density = np.full(labels.shape, 0.3)
    for y, x in ((30, 30), (30, 50), (60, 40)):
        density[y : y + 6, x : x + 6] = 0.02
    found = measure(picture(density), labels, [3, 4])
    area = 36.0**2
    assert found[0, 4] == pytest.approx(27 / area, rel=0.05)
    assert found[0, 5] == pytest.approx(3000 / area, rel=0.05)
    assert found[1, 4:6].tolist() == [0, 0]
    nuclei = (density < 0.1).astype(np.int32)
    assert measure(picture(density), labels, [3], nuclei=nuclei)[0, 4] == 0


def test_dust_over_two_fibers_counts_in_both() -> None:
    labels = fibers()
    density = np.full(labels.shape, 0.2)
    image = picture(density)
    image[..., 0] = 200  # red passes, as with any dye
    image[40:52, 84:96] = 5
    found = measure(image, labels, [3, 4, 5])
    assert found[:2, 6] == pytest.approx(3 * 6 / 40**2, rel=0.2)
    assert found[2, 6] == 0


def test_small_spots_are_no_dust() -> None:
    labels = fibers()
    image = picture(np.full(labels.shape, 0.2))
    image[..., 0] = 200
    for y in range(16, 86, 8):
        for x in range(16, 86, 8):
            image[y : y + 4, x : x + 4] = 5  # 4 µm², such as granules, on a quarter of the fiber
    assert measure(image, labels, [3])[0, 6] == 0


def test_nuclei_in_a_gray_stain_are_no_dust() -> None:
    labels = fibers()
    image = picture(np.full(labels.shape, 0.2))
    image[..., 0] = 200
    image[40:52, 40:52] = image[60:72, 60:72] = 5
    nuclei = np.zeros_like(labels)
    nuclei[38:54, 38:54] = 1
    assert measure(image, labels, [3], nuclei=nuclei)[0, 6] == pytest.approx(36 / 1600, rel=0.1)


def test_pixels_that_are_not_square_and_large_labels() -> None:
    labels = fibers()
    rng = np.random.default_rng(0)
    image = picture(rng.uniform(0.1, 0.3, labels.shape) + 0.05 * labels)
    usual = measure(image, labels, [3, 8])
    flat = measure(image[::2], labels[::2], [3, 8], mpp=(1.0, 0.5))
    np.testing.assert_allclose(flat[:, [0, 3]], usual[:, [0, 3]], rtol=0.05)
    high = np.where(labels > 0, labels.astype(np.int64) + 10**9, 0)
    np.testing.assert_array_equal(measure(image, high, [3 + 10**9, 8 + 10**9]), usual)
