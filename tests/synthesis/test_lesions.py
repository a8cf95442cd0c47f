"""Lesions show in the truth as what they are, and cost nothing where they are off."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from biopsy_ai.errors import ConfigError
from biopsy_ai.synthesis import (
    ImagingParams,
    SectionParams,
    SyntheticSection,
    TissueParams,
    random_artefacts,
    random_lesions,
    synthesize_section,
)
from biopsy_ai.synthesis.lesions import add_lesions, patches
from biopsy_ai.tissue_classes import TISSUE_CLASSES

FIELD = (220.0, 240.0)

PLAIN = {"diameter_um": (40.0, 40.0), "perimysium_um": 15.0, "vessels_per_mm2": 0.0}


@cache
def make(**changes: Any) -> SyntheticSection:
    stain = changes.pop("stain", "he")
    tissue = TissueParams(**(PLAIN | changes))
    return synthesize_section(SectionParams(tissue, ImagingParams(), stain, FIELD), 6)


def share(section: SyntheticSection, name: str) -> float:
    return float((section.tissue == TISSUE_CLASSES.index(name)).mean())


def test_nothing_is_drawn_for_what_is_off() -> None:
    section = make()
    rng = np.random.default_rng(0)
    state = rng.bit_generator.state
    assert add_lesions(section.geometry, section.params.tissue, rng) is section.geometry
    assert rng.bit_generator.state == state
    assert not section.doubtful.any()
    assert not section.real_fat.any()


def test_places_take_their_share() -> None:
    import cv2

    covered = []
    for seed in range(4):
        mask = np.zeros((1000, 1200), np.uint8)
        for place in patches((1000.0, 1200.0), 0.25, 150.0, np.random.default_rng(seed)):
            cv2.fillPoly(mask, [np.round(place[:, ::-1]).astype(np.int32)], 1)
        covered.append(mask.mean())
    assert np.mean(covered) == pytest.approx(0.25, abs=0.06)


def test_lobules_of_fat_replace_fibers() -> None:
    before, after = make(), make(lobules=0.4)
    assert share(before, "fat") < 0.03
    assert 0.2 < share(after, "fat") < 0.65
    assert len(after.fibers) < len(before.fibers)
    fat = TISSUE_CLASSES.index("fat")
    assert not after.labels[after.tissue == fat].any()
    # Fat is clear: paler than the fibers.
    pale, fibers = (after.image[where].mean() for where in (after.tissue == fat, after.labels > 0))
    assert pale > fibers + 20


def test_lobules_take_the_texture_of_a_picture_in_hematoxylin_and_eosin() -> None:
    picture = np.full((50, 60, 3), 255, np.uint8)
    picture[::2] = (200, 60, 200)
    painted = {}
    for stain in ("he", "masson"):
        tissue = TissueParams(**PLAIN, lobules=0.4)
        params = SectionParams(tissue, ImagingParams(), stain, FIELD)
        painted[stain] = synthesize_section(params, 6, fat_picture=picture)
    section = painted["he"]
    assert section.real_fat.any()
    assert not painted["masson"].real_fat.any()
    assert not section.labels[section.real_fat].any()
    inner = section.image[section.real_fat].astype(float).mean(0)
    assert inner[1] < inner[0] - 20


def test_perimysium_fills_wide_gaps() -> None:
    import cv2

    nerve = {"vessels_per_mm2": 60.0}
    clear, filled = make(**nerve), make(**nerve, fill_gaps=True)
    assert (clear.labels == filled.labels).all()
    endomysium = filled.tissue == TISSUE_CLASSES.index("endomysium")
    wide = cv2.erode(endomysium.astype(np.uint8), np.ones((45, 45), np.uint8))
    assert not wide.any()
    assert share(filled, "perimysium") > share(clear, "perimysium")
    narrow = (clear.tissue == filled.tissue).mean()
    assert narrow > 0.7


def test_fibrosis_widens_the_endomysium() -> None:
    before, after = make(), make(fibrosis=1.0, fibrosis_um=10.0)
    assert share(after, "endomysium") > share(before, "endomysium") + 0.1
    assert len(after.fibers) > 0.8 * len(before.fibers)


def test_clumps_are_nuclei_without_a_fiber() -> None:
    atrophic = {"atrophic_share": 0.4, "atrophic_diameter_um": (12.0, 18.0)}
    before, after = make(**atrophic), make(**atrophic, clumped=0.7)
    clumps = after.geometry.clumps
    assert clumps
    assert after.fibers.atrophic.sum() < before.fibers.atrophic.sum()
    clumped = after.nuclei[after.nuclei.kind == "clumped"].label
    assert len(clumped) >= 3
    rows, columns = np.nonzero(np.isin(after.nuclei_labels, clumped))
    spots = np.stack([rows, columns], axis=1) * after.mpp
    nearest = np.min([np.hypot(*(spots - c.center_um).T) for c in clumps], axis=0)
    assert nearest.max() < 15


def test_macrophages_fill_phagocytosed_fibers() -> None:
    section = make(phagocytosed=1.0)
    assert section.fibers.condition.eq("phagocytosed").all()
    invaders = section.nuclei[(section.nuclei.kind == "inflammatory") & (section.nuclei.fiber > 0)]
    assert len(invaders) > 4 * len(section.fibers)


def test_spindles_are_neither_muscle_nor_connective_tissue() -> None:
    section = make(spindles_per_mm2=80.0)
    assert section.geometry.spindles
    inside = np.zeros(section.labels.shape, bool)
    for spindle in section.geometry.spindles:
        y, x = np.clip(spindle.lumen.mean(0) / section.mpp, 0, np.array(inside.shape) - 1)
        inside[int(y), int(x)] = True
    assert not section.labels[inside].any()
    assert (section.tissue[inside] == TISSUE_CLASSES.index("vessel_or_nerve")).all()


@pytest.mark.parametrize("name", ["lobules", "fibrosis", "clumped"])
def test_shares_lie_between_0_and_1(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        TissueParams(**{name: 1.5})


def test_random_lesions_and_artefacts_change_nothing_else() -> None:
    rng = np.random.default_rng(1)
    tissue, imaging = TissueParams(rounding=0.3), ImagingParams(dust=3)
    drawn = [random_lesions(tissue, rng) for _ in range(30)]
    assert {t.rounding for t in drawn} == {0.3}
    assert 0 < sum(t.lobules > 0 for t in drawn) < 30
    made = [random_artefacts(imaging, rng) for _ in range(80)]
    assert {i.dust for i in made} == {3}
    assert 0 < sum(i.ink > 0 for i in made) < 40
