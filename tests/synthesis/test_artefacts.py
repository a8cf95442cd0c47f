"""What crush and ink hide is artefact, and no fiber is to be seen there."""

from __future__ import annotations

import numpy as np
import pytest

from biopsy_ai.synthesis import ImagingParams, SectionParams, TissueParams, synthesize_section
from biopsy_ai.synthesis.artefacts import crush, ink
from biopsy_ai.tissue_classes import TISSUE_CLASSES

ARTEFACT = TISSUE_CLASSES.index("artefact")


def test_crush_smears_along_one_direction_and_nowhere_else() -> None:
    rng = np.random.default_rng(3)
    od = (rng.random((260, 260, 1)) > 0.5).astype(np.float32).repeat(3, axis=2)
    smeared, where = crush(od, 1, 0.5, rng)
    assert 0.02 < where.mean() < 1
    assert smeared[where].std() < 0.6 * od[where].std()


def test_ink_is_dense() -> None:
    where, density = ink((300, 320), 2, 0.5, np.random.default_rng(1))
    assert where.shape == (300, 320)
    assert where.any()
    assert density.max() > 0.6


@pytest.mark.parametrize("kind", ["crush", "ink"])
def test_both_are_artefact(kind: str) -> None:
    tissue = TissueParams(diameter_um=(35.0, 35.0))
    plain, spoiled = (
        synthesize_section(SectionParams(tissue, imaging, "he", (200.0, 200.0)), 2)
        for imaging in (ImagingParams(), ImagingParams(**{kind: 2}))
    )
    where = spoiled.tissue == ARTEFACT
    assert where.any()
    assert not (plain.tissue == ARTEFACT).any()
    assert (spoiled.image[where] != plain.image[where]).any()
    if kind == "ink":
        assert not spoiled.labels[where].any()
        assert not spoiled.nuclei_labels[where].any()
        assert spoiled.image[where].mean() < 120
    else:
        assert spoiled.doubtful[where].all()
        assert (spoiled.labels == plain.labels).all()


def test_immunofluorescence_shows_neither() -> None:
    imaging = ImagingParams(crush=1, ink=1)
    section = synthesize_section(SectionParams(TissueParams(), imaging, "if", (120.0, 120.0)), 2)
    assert not (section.tissue == ARTEFACT).any()
    assert not section.doubtful.any()
