"""Label images, tables and tissue classes of a section tell the same."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import cv2
import numpy as np
import pytest

from biopsy_ai.synthesis import (
    ImagingParams,
    SectionParams,
    SyntheticSection,
    preset,
    preset_names,
    synthesize_section,
)
from biopsy_ai.synthesis.truth import LEAST_PX, fibers_under, largest_parts, renumbered
from biopsy_ai.tissue_classes import TISSUE_CLASSES


@cache
def make(condition: str, *, spoiled: bool = True, stain: str = "he") -> SyntheticSection:
    imaging = ImagingParams(folds=2, tears=3) if spoiled else ImagingParams()
    tissue = replace(preset(condition), glass=0.3 if spoiled else 0.0)
    return synthesize_section(SectionParams(tissue, imaging, stain, (300.0, 320.0)), 8)


SECTIONS = [(name, True) for name in preset_names()] + [
    ("acute_denervation", False),
    ("dystrophy", False),
]


def assert_one_part_each(labels, table) -> None:
    assert table.label.tolist() == list(range(1, len(table) + 1))
    assert set(np.unique(labels)) - {0} == set(table.label)
    for label in table.label:
        mask = (labels == label).astype(np.uint8)
        assert mask.sum() >= LEAST_PX
        assert cv2.connectedComponents(mask, connectivity=4)[0] == 2


@pytest.mark.parametrize(("condition", "spoiled"), SECTIONS)
def test_labels_and_tables_tell_the_same(condition, spoiled):
    section = make(condition, spoiled=spoiled)
    assert_one_part_each(section.labels, section.fibers)
    assert_one_part_each(section.nuclei_labels, section.nuclei)
    assert len(section.fibers) > 5
    assert len(section.nuclei) > 20
    shapes = section.geometry.fibers
    assert [f.type for f in shapes] == section.fibers.type.tolist()
    assert [f.condition for f in shapes] == section.fibers.condition.tolist()


@pytest.mark.parametrize(("condition", "spoiled"), SECTIONS)
def test_every_fiber_lies_within_its_shape(condition, spoiled):
    section = make(condition, spoiled=spoiled)
    for label, fiber in enumerate(section.geometry.fibers, start=1):
        where = (np.argwhere(section.labels == label) + 0.5) * section.mpp
        assert (where >= fiber.outline.min(0)).all()
        assert (where <= fiber.outline.max(0)).all()


@pytest.mark.parametrize(("condition", "spoiled"), SECTIONS)
def test_nuclei_name_the_fiber_that_they_lie_in(condition, spoiled):
    section = make(condition, spoiled=spoiled)
    for nucleus in section.nuclei.itertuples():
        under = np.bincount(section.labels[section.nuclei_labels == nucleus.label])
        assert under[nucleus.fiber] == under.max()
        if nucleus.kind in ("subsarcolemmal", "internal"):
            assert nucleus.fiber > 0
        if nucleus.kind == "interstitial":
            assert nucleus.fiber == 0


@pytest.mark.parametrize(("condition", "spoiled"), SECTIONS)
def test_folds_are_artefact_and_tears_are_background(condition, spoiled):
    section = make(condition, spoiled=spoiled)
    tissue = np.asarray(TISSUE_CLASSES)[section.tissue]
    assert section.folds.any() == spoiled
    assert ((tissue == "artefact") == section.folds).all()
    assert ((tissue == "fiber") == ((section.labels > 0) & ~section.folds)).all()
    glass = tissue == "background"
    assert glass.any() == spoiled
    assert not section.labels[glass].any()
    assert not section.nuclei_labels[glass].any()
    if spoiled:
        inner = cv2.erode(glass.astype(np.uint8), np.ones((9, 9))) > 0
        assert section.image[inner].mean() > 220


def test_folds_are_darker_than_what_lies_beside_them():
    section = make("normal")
    fiber = section.labels > 0
    fold, flat = (section.image[fiber & where].mean() for where in (section.folds, ~section.folds))
    assert fold < flat - 20


def test_immunofluorescence_has_tears_but_no_folds():
    section = make("normal", stain="if")
    assert not section.folds.any()
    assert (section.tissue == 0).any()
    assert_one_part_each(section.labels, section.fibers)


def test_largest_part_of_a_label_is_kept():
    labels = np.zeros((8, 12), dtype=np.int32)
    labels[1:3, 1:3] = 4
    labels[3:7, 3:7] = 4  # touches the first only at a corner
    labels[1:4, 8:10] = 7
    labels[7, :3] = 2  # too few pixels
    kept = largest_parts(labels)
    assert (kept[1:3, 1:3] == 0).all()
    assert (kept[3:7, 3:7] == 4).all()
    assert set(np.unique(kept)) == {0, 4, 7}
    numbered, before = renumbered(kept)
    assert before.tolist() == [4, 7]
    assert (before[numbered[kept > 0] - 1] == kept[kept > 0]).all()


def test_nothing_stays_nothing():
    empty = np.zeros((4, 5), dtype=np.int32)
    numbered, before = renumbered(largest_parts(empty))
    assert not numbered.any()
    assert not len(before)
    assert not len(fibers_under(empty, empty))


def test_fiber_under_a_nucleus_is_that_of_most_pixels():
    labels = np.zeros((4, 9), dtype=np.int32)
    labels[:, :3], labels[:, 3:6] = 5, 6
    nuclei = np.zeros_like(labels)
    nuclei[0, 1:6] = 1  # two pixels on 5, three on 6
    nuclei[1, 5:9] = 2  # one on 6, three on none
    nuclei[2, :3] = 3
    assert fibers_under(nuclei, labels).tolist() == [6, 0, 5]
