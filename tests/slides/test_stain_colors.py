from __future__ import annotations

import numpy as np
import pytest

from biopsy_ai.slides.stain_colors import (
    FEATURES,
    color_features,
    estimate_white,
    fit_stain_colors,
    optical_densities,
    read_stain_colors,
    stain_colors,
    write_stain_colors,
)
from biopsy_ai.slides.stain_detection import STAIN_OF


def test_optical_densities_of_known_intensities() -> None:
    found = optical_densities(np.array([255.0, 24.6, 0.0, 300.0]), 255.0)
    assert found == pytest.approx([0, 1, np.log10(256), 0], abs=1e-3)
    # twice as much light changes nothing where white is known
    assert optical_densities(np.array([49.2]), 510.0) == pytest.approx(1, abs=1e-3)


def test_white_is_glass_where_there_is_some() -> None:
    image = np.full((100, 100, 3), (200.0, 120.0, 160.0))
    image[:, :20] = (240, 236, 230)
    assert estimate_white(image, 255.0).tolist() == [240, 236, 230]
    assert estimate_white(image[:, 20:], 255.0).tolist() == [200, 200, 200]
    assert (estimate_white(np.zeros((4, 4, 3)), 255.0) > 0).all()


def test_features_do_not_depend_on_strength() -> None:
    rng = np.random.default_rng(0)
    amount = rng.uniform(0.8, 1.6, (60, 60, 1)).astype(np.float32)
    densities = amount * np.array([0.1, 0.3, 0.2], np.float32)
    found = color_features(densities)
    assert found is not None
    named = dict(zip(FEATURES, found, strict=True))
    assert named["red_share_p5"] == pytest.approx(1 / 6)
    assert named["blue_share_p95"] == pytest.approx(1 / 3)
    assert named["contrast"] == pytest.approx(np.log10(1.52 / 0.88), abs=0.01)
    assert color_features(densities * 1.7) == pytest.approx(found, abs=1e-6)


def test_glass_and_ink_do_not_count() -> None:
    densities = np.zeros((60, 60, 3), np.float32)
    assert color_features(densities) is None
    densities[:10] = (0.1, 0.3, 0.2)
    densities[50:] = (2.0, 2.0, 2.0)
    found = color_features(densities)
    assert found is not None
    assert found[:3] == pytest.approx(1 / 6)
    densities[3:] = 0
    assert color_features(densities) is None  # 180 pixels


def test_fit_gives_mean_and_scatter() -> None:
    rng = np.random.default_rng(0)
    centers = {"a": rng.uniform(0, 1, 7), "b": rng.uniform(0, 1, 7)}
    samples = {name: center + rng.normal(0, 0.1, (4000, 7)) for name, center in centers.items()}
    colors = fit_stain_colors({name: list(rows) for name, rows in samples.items()}, {"seeds": 1})
    assert colors.stains == ("a", "b")
    assert colors.means[1] == pytest.approx(centers["b"], abs=0.01)
    assert np.diag(colors.covariance) == pytest.approx(
        [0.1**2 + 0.03**2 + 0.07**2] * 6 + [0.1**2 + 0.1**2], rel=0.1
    )
    # laboratories shift the shares of one color together, and not those of two
    assert colors.covariance[0, 2] == pytest.approx(0.07**2, abs=0.001)
    assert colors.covariance[0, 3] == pytest.approx(0, abs=0.001)
    distances = colors.squared_distances(colors.means)
    assert np.diag(distances) == pytest.approx(0)
    assert distances[0, 1] == pytest.approx(distances[1, 0])
    again = read_stain_colors(write_stain_colors(colors))
    assert again.means == pytest.approx(colors.means, abs=1e-4)
    assert again.covariance == pytest.approx(colors.covariance, abs=1e-6)
    assert again.provenance == {"seeds": 1}


def test_what_is_no_stain_has_a_mean_and_the_scatter_of_the_stains() -> None:
    rng = np.random.default_rng(0)
    stains = {"a": list(rng.normal(0, 0.1, (50, 7))), "b": list(rng.normal(1, 0.1, (50, 7)))}
    alone = fit_stain_colors(stains, {})
    colors = fit_stain_colors(stains, {}, {"violet": list(rng.normal(0.5, 3.0, (40, 7)))})
    assert colors.stains == ("a", "b", "violet")
    assert colors.means.shape == (3, 7)
    assert colors.covariance == pytest.approx(alone.covariance)
    with pytest.raises(ValueError, match="too few pictures of violet"):
        fit_stain_colors(stains, {}, {"violet": [np.zeros(7)]})


def test_one_picture_is_too_few() -> None:
    with pytest.raises(ValueError, match="too few pictures of a"):
        fit_stain_colors({"a": [np.zeros(7)], "b": [np.zeros(7)] * 2}, {})


def test_numbers_of_other_features_are_refused() -> None:
    text = write_stain_colors(stain_colors()).replace("contrast", "brightness")
    with pytest.raises(ValueError, match="fit it again"):
        read_stain_colors(text)


def test_the_numbers_that_come_with_it() -> None:
    colors = stain_colors()
    assert set(colors.stains) == set(STAIN_OF)
    assert (np.linalg.eigvalsh(colors.covariance) > 0).all()
    first, last = colors.provenance["seeds"]
    assert last < 500_000, "the sections tested on must not be fitted on"
    assert first < last
