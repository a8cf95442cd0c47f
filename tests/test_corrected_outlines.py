from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn_sections import DrawnSection

import biopsy_ai.labels
from biopsy_ai import AnalysisConfig, analyze, read_analysis
from biopsy_ai.corrected_outlines import corrected_segmentation, types_before
from biopsy_ai.corrections import Corrections
from biopsy_ai.errors import NoTissueError
from biopsy_ai.saved import SavedAnalysis
from biopsy_ai.segmentation.tissue_map import TissueMap
from biopsy_ai.slides import TissueMask
from biopsy_ai.tissue_classes import ENDOMYSIUM, FAT, FIBER

NEW = 13


@pytest.fixture
def saved(section: DrawnSection, fake_network: None, tmp_path: Path) -> SavedAnalysis:
    """Of 12 fibers in endomysium, with fat in the right half."""
    analysis = analyze(section.image, AnalysisConfig(stain="he"))
    found = read_analysis(analysis.save(tmp_path / "results"))
    fibers = np.asarray(found.labels)[1::2, 1::2]
    classes = np.full(fibers.shape, ENDOMYSIUM, np.uint8)
    classes[:, fibers.shape[1] // 2 :] = FAT
    classes[fibers > 0] = FIBER
    tissue = TissueMap(classes, (1.0, 1.0))
    return replace(found, segmentation=replace(found.segmentation, tissue=tissue))


def split(labels: np.ndarray, label: int, new: int) -> np.ndarray:
    """Part a fiber down the middle, with a line of background between."""
    labels = labels.copy()
    columns = np.flatnonzero((labels == label).any(axis=0))
    middle = int(columns.mean())
    labels[:, middle][labels[:, middle] == label] = 0
    right = labels[:, middle + 1 :]
    right[right == label] = new
    return labels


def test_nothing_changed(saved: SavedAnalysis) -> None:
    found = corrected_segmentation(saved, saved.labels, Corrections(), None)
    before = saved.segmentation
    for name in ("ids", "boxes", "confidence", "touches_tissue_edge"):
        np.testing.assert_array_equal(getattr(found, name), getattr(before, name))
    assert found.tissue is not None
    assert before.tissue is not None
    np.testing.assert_array_equal(found.tissue.classes, before.tissue.classes)
    assert found.tissue is not before.tissue
    assert found.provenance == before.provenance


def test_of_drawn_outlines_no_confidence_is_known(saved: SavedAnalysis) -> None:
    labels = split(np.asarray(saved.labels), 2, NEW)
    labels[labels == 1] = 0
    labels[labels == 4] = 3
    decided = Corrections(outlines=frozenset({2, 3, NEW}))
    found = corrected_segmentation(saved, labels, decided, None)
    assert found.ids.tolist() == [2, 3, *range(5, 14)]
    unknown = found.ids[np.isnan(found.confidence)]
    assert unknown.tolist() == [2, 3, NEW]
    np.testing.assert_array_equal(found.confidence[2:-1], np.float32(0.9))
    y0, x0, y1, x1 = found.boxes[1]
    assert x1 - x0 > 2 * 41, "fibers 3 and 4 are one"
    np.testing.assert_array_equal(found.labels, labels)


def test_drawn_fibers_at_the_edge_of_the_tissue(saved: SavedAnalysis) -> None:
    """Glass lies above: the upper half of a fiber that was split faces it, the lower does not."""
    mask = np.ones((600, 96), bool)
    mask[:450] = False
    tissue = TissueMask(mask=mask, mpp=1.0, area_um2=float(mask.sum()))
    labels = np.zeros((1200, 192), np.int32)
    labels[1000:1144] = np.asarray(saved.labels)
    moved = replace(saved, segmentation=replace(saved.segmentation, labels=labels, tissue=None))
    labels = labels.copy()
    labels[930:960, 20:60] = NEW
    found = corrected_segmentation(moved, labels, Corrections(outlines=frozenset({NEW, 6})), tissue)
    assert found.ids[found.touches_tissue_edge].tolist() == [NEW]


def test_what_a_fiber_gave_up_is_what_lies_beside_it(saved: SavedAnalysis) -> None:
    labels = np.asarray(saved.labels).copy()
    labels[np.isin(labels, (1, 4))] = 0
    found = corrected_segmentation(saved, labels, Corrections(), None)
    assert found.tissue is not None
    classes = np.asarray(found.tissue.classes)
    before = np.asarray(saved.labels)[1::2, 1::2]
    assert (classes[before == 1] == ENDOMYSIUM).all()
    assert (classes[before == 4] == FAT).all()
    others = (before > 0) & ~np.isin(before, (1, 4))
    assert (classes[others] == FIBER).all()
    assert (np.asarray(saved.segmentation.tissue.classes)[before == 1] == FIBER).all()  # type: ignore[union-attr]


def test_drawn_fibers_are_fibers_in_the_class_map(saved: SavedAnalysis) -> None:
    labels = np.asarray(saved.labels).copy()
    labels[40:60, 40:56] = NEW
    found = corrected_segmentation(saved, labels, Corrections(outlines=frozenset({NEW})), None)
    assert found.tissue is not None
    assert (np.asarray(found.tissue.classes)[20:30, 20:28] == FIBER).all()


def test_large_sections_are_corrected_by_windows(
    saved: SavedAnalysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.asarray(saved.labels).copy()
    labels[np.isin(labels, (1, 4, 6))] = 0
    whole = corrected_segmentation(saved, labels, Corrections(), None)
    monkeypatch.setattr(biopsy_ai.labels, "WINDOW_PX", 32)
    monkeypatch.setattr(biopsy_ai.labels, "IN_MEMORY_PX", 1000)
    by_parts = corrected_segmentation(saved, labels, Corrections(), None)
    assert whole.tissue is not None
    assert by_parts.tissue is not None
    assert not isinstance(by_parts.tissue.classes, np.ndarray)
    np.testing.assert_array_equal(by_parts.tissue.classes[:, :], whole.tissue.classes)


def test_a_section_without_fibers(saved: SavedAnalysis) -> None:
    with pytest.raises(NoTissueError, match="no fiber is left"):
        corrected_segmentation(saved, np.zeros_like(saved.labels), Corrections(), None)


def test_types_of_a_table_go_on_to_parts(saved: SavedAnalysis) -> None:
    kinds = ["I", "IIA", "", *["II"] * 9]
    typed = replace(saved, fibers=saved.fibers.assign(type=kinds))
    labels = split(np.asarray(saved.labels), 2, NEW)
    labels[labels == 12] = 0
    labels[:4, :4] = NEW + 1
    found = types_before(typed, corrected_segmentation(typed, labels, Corrections(), None))
    expected = {1: "I", 2: "IIA", **dict.fromkeys(range(4, 12), "II"), NEW: "IIA"}
    pd.testing.assert_frame_equal(
        found,
        pd.DataFrame({"label": list(expected), "type": list(expected.values())}),
        check_dtype=False,
    )
