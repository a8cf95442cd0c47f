from dataclasses import replace

import cv2
import numpy as np
import pytest

from biopsy_ai.errors import ConfigError
from biopsy_ai.synthesis import (
    STAINS,
    ImagingParams,
    SectionParams,
    TissueParams,
    preset,
    stain_name,
    synthesize_section,
)
from biopsy_ai.synthesis.geometry import geometry_from_outlines
from biopsy_ai.tissue_classes import BACKGROUND

SMALL = (200.0, 220.0)


def make(condition: str = "normal", stain: str = "he", seed: int = 3, **imaging):
    params = SectionParams(preset(condition), ImagingParams(**imaging), stain, SMALL)
    return synthesize_section(params, seed)


@pytest.mark.parametrize("stain", STAINS)
def test_every_stain_gives_a_picture_with_contrast(stain):
    section = make(stain=stain)
    assert section.image.shape[:2] == section.labels.shape == (400, 440)
    assert section.image.ndim == (2 if stain == "if" else 3)
    least = 0.004 if stain == "if" else 0.02
    assert section.image.std() > least * np.iinfo(section.image.dtype).max


def test_same_seed_gives_the_same_section_and_another_seed_another():
    first, again, other = make(seed=5), make(seed=5), make(seed=6)
    assert (first.image == again.image).all()
    assert (first.labels == again.labels).all()
    assert (first.labels != other.labels).any()


def test_whorled_fibers_show_rings_in_oxidative_stains():
    plain = TissueParams(type1_share=1.0, glass=0.0)
    imaging = ImagingParams(texture=0.0, fiber_variation=0.0, noise=0.0, jpeg_quality=100)
    unevenness = {}
    for share in (0.0, 1.0):
        tissue = replace(plain, whorled=share)
        section = synthesize_section(SectionParams(tissue, imaging, "nadh", SMALL), 3)
        assert section.fibers.condition.eq("whorled").all() == bool(share)
        inside = cv2.erode((section.labels > 0).astype(np.uint8), np.ones((9, 9))) > 0
        unevenness[share] = section.image[inside].mean(axis=1).std()
    assert unevenness[1.0] > 2 * unevenness[0.0]


def test_real_outlines_may_be_whorled_but_not_split():
    square = np.array([[0, 0], [0, 50], [50, 50], [50, 0]], dtype=float)
    tissue = TissueParams(whorled=1.0, split=1.0)
    rng = np.random.default_rng(1)
    geometry = geometry_from_outlines([square + 60, square], tissue, SMALL, rng)
    assert [f.condition for f in geometry.fibers] == ["whorled", "whorled"]


def test_fibers_have_the_wanted_size():
    tissue = TissueParams(diameter_um=(40.0, 40.0), diameter_cv=0.1, glass=0.0)
    section = synthesize_section(SectionParams(tissue, size_um=(500.0, 500.0)), 1)
    area = np.bincount(section.labels.ravel())[1:] * section.mpp**2
    edge = np.unique(
        np.concatenate([section.labels[[0, -1]].ravel(), section.labels[:, [0, -1]].ravel()])
    )
    inner = np.setdiff1d(np.flatnonzero(area) + 1, edge)
    diameter = 2 * np.sqrt(area[inner - 1] / np.pi)
    assert np.median(diameter) == pytest.approx(40, rel=0.15)


def test_angular_fibers_are_smaller_and_less_convex():
    from skimage.measure import regionprops_table

    tissue = TissueParams(atrophic_share=0.3, angular_share=0.6, endomysium_um=1.0, crack_um=0.3)
    section = synthesize_section(SectionParams(tissue, size_um=(700.0, 700.0)), 4)
    table = regionprops_table(section.labels, properties=("label", "area", "solidity"))
    angular = section.fibers.set_index("label").angular.loc[table["label"]].to_numpy()
    assert angular.sum() >= 10
    assert np.median(table["area"][angular]) < 0.3 * np.median(table["area"][~angular])
    assert np.median(table["solidity"][angular]) < np.median(table["solidity"][~angular]) - 0.01


def test_type_one_is_pale_at_high_and_dark_at_low_ph():
    def density(stain: str) -> dict[str, float]:
        section = make(stain=stain, seed=2)
        gray = section.image.mean(axis=2)
        type1 = section.fibers.set_index("label").type.eq("I")
        of_fiber = np.r_[False, type1.reindex(range(1, section.labels.max() + 1)).fillna(False)]
        inside = section.labels > 0
        first = of_fiber[section.labels] & inside
        return {"I": gray[first].mean(), "II": gray[inside & ~first].mean()}

    high, low = density("atpase:9.4"), density("atpase:4.3")
    assert high["I"] > high["II"] + 30
    assert low["I"] < low["II"] - 30


def test_freezing_holes_stay_inside_the_fiber_labels():
    plain, holed = make(seed=9), make(seed=9, freezing_holes=1.0)
    assert (plain.labels == holed.labels).all()
    inside = plain.labels > 0
    assert holed.image[inside].mean() > plain.image[inside].mean() + 2


def test_bad_parameters_are_refused():
    with pytest.raises(ConfigError, match="choose one of"):
        preset("healthy")
    with pytest.raises(ConfigError, match="choose one of"):
        SectionParams(stain="pas")
    with pytest.raises(ConfigError, match="share"):
        TissueParams(grouping=1.5)
    with pytest.raises(ConfigError, match="diameter"):
        TissueParams(diameter_um=(0.5, 40.0))
    assert stain_name("trichrome") == "gomori"


def test_tears_and_dust_are_recorded():
    section, clean = make(tears=3, dust=6), make()
    assert section.torn.any()
    assert section.dust.any()
    assert (section.tissue[section.torn] == BACKGROUND).all()
    assert not section.labels[section.torn].any()
    assert section.image[section.dust].mean() < clean.image.mean() - 40
    assert not clean.torn.any()
    assert not clean.dust.any()
