from __future__ import annotations

import cv2
import numpy as np
import pytest
from drawn_scores import finding_of
from drawn_sections import DrawnSection

from biopsy_ai.formats.contours import fiber_polygons
from biopsy_ai.formats.label_image import read_label_image
from biopsy_ai.labels import find_boxes
from biopsy_ai.report.contact_sheet import COLUMNS, GAP_PX, MOST, TILE_PX, contact_sheets
from biopsy_ai.report.finding_parts import Sheet
from biopsy_ai.report.pictures import VERMILLION, Fibers
from biopsy_ai.slides import open_slide


def pixels_of(sheet: Sheet) -> np.ndarray:
    content = np.frombuffer(sheet.image.content, np.uint8)
    return cv2.imdecode(content, cv2.IMREAD_COLOR)[:, :, ::-1].astype(int)


@pytest.fixture
def outlines(fibers, segmentation) -> Fibers:
    return Fibers.of(segmentation, fibers)


def test_a_sheet_shows_at_most_so_many_fibers(outlines, fibers) -> None:
    labels = list(outlines.polygons)
    found = [finding_of("atrophic_fibers", labels=labels)]
    sheet = contact_sheets(found, outlines, fibers, None)["atrophic_fibers"]
    assert len(sheet.labels) == MOST
    sizes = fibers.set_index("label")["min_feret_um"]
    assert list(sizes[list(sheet.labels)]) == sorted(sizes)[:MOST]
    assert sheet.image.width_px == COLUMNS * (TILE_PX + GAP_PX) - GAP_PX
    assert sheet.width == 1.0


def test_only_findings_that_are_there_and_name_fibers_have_one(outlines, fibers) -> None:
    labels = list(outlines.polygons)[:2]
    found = [
        finding_of("a", "absent", labels=labels),
        finding_of("b", "not assessable", labels=labels),
        finding_of("c", "mild"),
        finding_of("d", "mild", labels=[10**6]),
        finding_of("e", "mild", labels=labels),
    ]
    sheets = contact_sheets(found, outlines, fibers, None)
    assert list(sheets) == ["e"]
    assert sheets["e"].width == pytest.approx(2 / COLUMNS, abs=0.01)


def test_a_fiber_stands_in_the_middle_of_its_picture(section: DrawnSection, fibers) -> None:
    labels, mpp = read_label_image(section.labels)
    assert mpp is not None
    ids, boxes = find_boxes(labels)
    table = fibers.iloc[: len(ids)].assign(label=ids, excluded="")
    outlines = Fibers(dict(fiber_polygons(labels, ids, boxes)), mpp, table)
    with open_slide(section.image) as slide:
        (sheet,) = contact_sheets([finding_of("new", labels=[6])], outlines, table, slide).values()
    tile = pixels_of(sheet)
    assert np.abs(tile[TILE_PX // 2, TILE_PX // 2] - (220, 120, 150)).max() < 12  # stained
    assert np.abs(tile[TILE_PX // 2 - 57, TILE_PX // 2] - 245).max() < 12  # glass, 12 µm away
    line = np.abs(tile - VERMILLION).max(axis=2) < 50
    rows, columns = (np.flatnonzero(line.any(axis=axis)) for axis in (1, 0))
    for found in (rows, columns):
        assert (found[0] + found[-1]) / 2 == pytest.approx(TILE_PX / 2, abs=2.5)
    diameter_px = section.diameter_um * TILE_PX / 40  # the smallest picture shows 40 µm
    assert np.ptp(columns) == pytest.approx(diameter_px, abs=6)
