"""What is measured on synthetic sections, against their truth and the limits that are aimed at."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import tifffile

from biopsy_ai.labels import LabelArray, view_on_grid
from biopsy_ai.measure.condition import flag_conditions
from biopsy_ai.measure.fibers import measure_fibers
from biopsy_ai.measure.interior import measure_interior
from biopsy_ai.measure.nuclei import count_nuclei, measure_nuclei
from biopsy_ai.measure.tissue import measure_tissue
from biopsy_ai.patterns import find_fascicles
from biopsy_ai.slides.stain_colors import estimate_white
from biopsy_ai.synthesis import ImagingParams, SectionParams, preset, synthesize_section
from biopsy_ai.synthesis.raster import rasterize
from biopsy_ai.tissue_classes import ARTEFACT

MPP = (0.5, 0.5)


class Truth(NamedTuple):
    labels: np.ndarray
    nuclei: np.ndarray
    classes: np.ndarray
    fibers: pd.DataFrame
    nucleus_table: pd.DataFrame

    def coarse_classes(self) -> LabelArray:
        """The class map with pixels of 1 µm, as the network gives it, seen on the fine grid."""
        return view_on_grid(self.classes[1::2, 1::2], (1.0, 1.0), self.labels.shape, MPP)


@pytest.fixture(params=["normal_he", "acute_denervation_he", "dystrophy_he"])
def truth(request: pytest.FixtureRequest, repository: Path) -> Truth:
    folder = repository / "data" / "sample_slides" / "truth"
    images = [tifffile.imread(folder / f"{request.param}_{n}.tif") for n in ("fibers", "nuclei")]
    classes = tifffile.imread(folder / f"{request.param}_tissue.tif").astype(np.uint8)
    tables = [pd.read_csv(folder / f"{request.param}_{n}.csv") for n in ("fibers", "nuclei")]
    return Truth(images[0], images[1], classes, *tables)


def test_internal_nuclei(truth: Truth) -> None:
    nuclei = measure_nuclei(truth.nuclei, truth.labels, MPP)
    assert (nuclei["fiber"].to_numpy() == truth.nucleus_table["fiber"].to_numpy()).mean() > 0.99
    counts = count_nuclei(nuclei, truth.fibers["label"].to_numpy())
    kind = truth.nucleus_table["kind"]
    expected = truth.fibers["label"].isin(truth.nucleus_table["fiber"][kind == "internal"])
    found = counts["n_internal_nuclei"] > 0
    assert 100 * found.mean() == pytest.approx(100 * expected.mean(), abs=1.5)


def test_tissue_on_the_grid_of_the_class_map(truth: Truth) -> None:
    result = measure_tissue(truth.coarse_classes(), truth.labels, MPP)
    counts = np.bincount(truth.classes.ravel(), minlength=7)
    total = counts[1:6].sum()
    assert result["fat_percent"] == pytest.approx(100 * counts[4] / total, abs=0.1)
    connective = 100 * counts[2:4].sum() / total
    assert result["connective_percent"] == pytest.approx(connective, abs=0.1)
    assert result["connective_difference_points"] == pytest.approx(0, abs=0.1)


def test_fascicles(truth: Truth) -> None:
    ids = truth.fibers["label"].to_numpy()
    found = find_fascicles(truth.coarse_classes(), truth.labels, MPP, ids=ids)
    assert not found.whole_section
    both = pd.crosstab(found.fibers["fascicle"].to_numpy(), truth.fibers["fascicle"].to_numpy())
    assert both.max(axis=1).sum() / len(ids) > 0.98, "fascicles are parted"
    assert both.max(axis=0).sum() / len(ids) > 0.98, "and not divided"


@pytest.mark.parametrize(
    ("kind", "many"),
    [("folds", 2), ("tears", 3), ("crush", 2), ("ink", 2), ("freezing_holes", 0.5)],
)
def test_fibers_in_artefacts_are_flagged_and_no_others(kind: str, many: float) -> None:
    params = SectionParams(preset("normal"), ImagingParams(**{kind: many}), "he", (500.0, 500.0))
    section = synthesize_section(params, 900005)
    whole = rasterize(section.geometry, section.mpp).labels
    spoiled = section.folds | section.torn | section.holes | (section.tissue == ARTEFACT)
    size = np.bincount(whole.ravel())[1:]
    share = np.bincount(whole[spoiled], minlength=len(size) + 1)[1:] / size
    white = estimate_white(section.image, 255.0)
    fibers = measure_fibers(section.labels, MPP)
    interior = measure_interior(
        section.labels,
        MPP,
        image=section.image,
        white=white,
        nuclei=section.nuclei_labels,
        tissue=section.tissue,
    )
    flags = flag_conditions(fibers, interior)
    inside = ~fibers["touches_border"].to_numpy()
    flagged = (flags[["artefact", "edge"]] >= 0.5).any(axis=1).to_numpy()
    assert (inside & (share >= 0.05)).sum() > 5
    assert flagged[inside & (share >= 0.05)].mean() >= 0.9
    assert flagged[inside & (share == 0)].mean() < 0.03
