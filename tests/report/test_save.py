from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import pypdf
import pytest
import tifffile
from drawn_results import fascicles_of, nuclei_of, patterns_of, with_patterns
from drawn_scores import finding_of, score_of
from read_page import Page, assert_accessible, assert_stands_alone

from biopsy_ai import labels as label_room
from biopsy_ai.config import AnalysisConfig, MeasurementConfig
from biopsy_ai.errors import Cancelled, OutputError
from biopsy_ai.formats import read_class_map
from biopsy_ai.formats.label_image import read_label_image
from biopsy_ai.labels import allocate_labels
from biopsy_ai.patterns.fascicles import Fascicles
from biopsy_ai.report import save as save_module
from biopsy_ai.report.save import RESULT_FILES, is_complete, save_analysis
from biopsy_ai.segmentation.outlines import read_outlines
from biopsy_ai.segmentation.result import Segmentation
from biopsy_ai.segmentation.tissue_map import TissueMap
from biopsy_ai.tissue_classes import TISSUE_CLASSES

FILES = [
    "RoiSet.zip",
    "fibers.csv",
    "fibers.geojson",
    "fibers.tif",
    "overlay.png",
    "report.html",
    "report.pdf",
    "summary.json",
    "thumbnail.jpg",
]


@dataclass(frozen=True)
class Done:
    """An analysis of outlines without a slide."""

    fibers: pd.DataFrame
    segmentation: Segmentation
    name: str = "Schnitt ä 1"
    slide: None = None
    config: AnalysisConfig = field(default_factory=AnalysisConfig)
    nuclei: pd.DataFrame | None = None
    fascicles: Fascicles | None = None
    quality: pd.DataFrame | None = None
    patterns: Any = None
    signs: pd.DataFrame | None = None
    summary: dict[str, Any] = field(
        default_factory=lambda: {"warnings": ["a"], "provenance": {"outlines_sha256": "abc"}}
    )


@pytest.fixture(autouse=True)
def small_overlays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw in no time."""
    monkeypatch.setattr("biopsy_ai.report.backdrop.SMALL_SIDE_PX", 300)


@pytest.fixture
def done(fibers, segmentation) -> Done:
    return Done(fibers, segmentation)


@pytest.fixture
def all_done(fibers, segmentation) -> Done:
    """An analysis that found everything; nuclei and tissue lie on grids of their own."""
    height, width = segmentation.labels.shape
    nuclei, table = nuclei_of((2 * height, 2 * width), mpp=(0.25, 0.25))
    classes = np.indices((height // 2, width // 2)).sum(axis=0) // 9 % len(TISSUE_CLASSES)
    condition = np.where(np.arange(len(fibers)) % 7 == 0, "split", "normal")
    tiles = pd.DataFrame({"y_um": [0.0], "x_um": [0.0], "excluded": [""]})
    return Done(
        with_patterns(fibers).assign(condition=condition, split=0.5),
        replace(
            segmentation, nuclei=nuclei, tissue=TissueMap(classes.astype(np.uint8), (1.0, 1.0))
        ),
        nuclei=table,
        fascicles=fascicles_of(segmentation),
        quality=tiles,
        patterns=patterns_of(fibers),
        signs=fibers[["label"]].assign(eosin_z=0.5),
        config=AnalysisConfig(measurement=MeasurementConfig(limits={"min_fibers": 20})),
    )


def test_results_of_outlines_stand_in_the_folder_and_agree(tmp_path, done, drawn_labels) -> None:
    folder = save_analysis(done, tmp_path / "results" / "Schnitt ä 1")
    assert sorted(os.listdir(folder)) == FILES
    table = pd.read_csv(folder / "fibers.csv")
    assert table.columns[0] == "label"
    assert table["label"].tolist() == done.segmentation.ids.tolist()
    np.testing.assert_array_equal(tifffile.imread(folder / "fibers.tif"), drawn_labels)
    for name in ("fibers.geojson", "RoiSet.zip", "fibers.tif"):
        again = read_outlines(folder / name, mpp=(0.5, 0.5), shape=drawn_labels.shape)
        np.testing.assert_array_equal(again.labels, drawn_labels)
    summary = json.loads((folder / "summary.json").read_text("utf-8"))
    assert summary == done.summary
    assert sorted([*summary["files"], "summary.json"]) == FILES


def test_all_results_of_a_section_stand_in_the_folder_and_agree(tmp_path, all_done) -> None:
    folder = save_analysis(all_done, tmp_path)
    assert sorted(os.listdir(folder)) == sorted(RESULT_FILES)
    assert all_done.summary["files"] == list(RESULT_FILES[:-1])
    assert is_complete(folder, all_done.summary)
    tissue = read_class_map(folder / "tissue.tif")
    assert tissue.names == TISSUE_CLASSES
    assert tissue.mpp == (1.0, 1.0)
    np.testing.assert_array_equal(tissue.classes, all_done.segmentation.tissue.classes)
    for name, labels, mpp in (
        ("nuclei.tif", all_done.segmentation.nuclei.labels, (0.25, 0.25)),
        ("fascicles.tif", all_done.fascicles.labels, (2.0, 2.0)),
    ):
        read, size = read_label_image(folder / name)
        np.testing.assert_array_equal(read, labels)
        assert size == pytest.approx(mpp)
    nuclei = pd.read_csv(folder / "nuclei.csv")
    assert nuclei["label"].tolist() == all_done.nuclei["label"].tolist()
    assert set(nuclei["tissue_class"]) == {"fiber"}
    assert len(pd.read_csv(folder / "quality.csv")) == 1
    pd.testing.assert_frame_equal(pd.read_csv(folder / "signs.csv"), all_done.signs)
    assert len(pd.read_csv(folder / "contacts.csv")) == len(all_done.fibers) - 1


def test_large_images_are_never_held_whole(tmp_path, monkeypatch, all_done) -> None:
    monkeypatch.setattr(label_room, "IN_MEMORY_PX", 1000)
    segmentation = all_done.segmentation
    kept = {"nuclei": segmentation.nuclei.labels, "tissue": segmentation.tissue.classes}
    stored = {}
    for name, pixels in kept.items():
        stored[name] = allocate_labels(pixels.shape, pixels.dtype.type)
        stored[name][:, :] = pixels
        assert not isinstance(stored[name], np.ndarray)
    large = replace(
        all_done,
        segmentation=replace(
            segmentation,
            nuclei=replace(segmentation.nuclei, labels=stored["nuclei"]),
            tissue=TissueMap(stored["tissue"], (1.0, 1.0)),
        ),
    )
    save_analysis(all_done, tmp_path / "a")
    save_analysis(large, tmp_path / "b")
    for name in ("nuclei.tif", "tissue.tif"):
        first, second = (tifffile.imread(tmp_path / run / name) for run in "ab")
        np.testing.assert_array_equal(first, second)
    for name in ("overlay_nuclei.png", "overlay_tissue.png"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_results_that_no_longer_apply_are_removed(tmp_path, all_done, done) -> None:
    save_analysis(all_done, tmp_path)
    (tmp_path / "notes of mine.txt").write_text("keep")
    save_analysis(done, tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([*FILES, "notes of mine.txt"])


def test_fascicles_without_borders_have_no_files(tmp_path, all_done) -> None:
    dissolved = replace(all_done, fascicles=fascicles_of(all_done.segmentation, whole_section=True))
    save_analysis(dissolved, tmp_path)
    missing = set(RESULT_FILES) - set(os.listdir(tmp_path))
    assert missing == {"fascicles.tif", "overlay_fascicles.png"}
    assert is_complete(tmp_path, dissolved.summary)


def test_nuclei_that_cannot_be_assessed_have_no_files(tmp_path, all_done) -> None:
    save_analysis(replace(all_done, nuclei=None), tmp_path)
    missing = set(RESULT_FILES) - set(os.listdir(tmp_path))
    assert missing == {"nuclei.csv", "nuclei.tif", "overlay_nuclei.png"}


def test_conditions_that_were_not_judged_have_no_picture(tmp_path, all_done) -> None:
    all_done.fibers["condition"] = ""
    save_analysis(all_done, tmp_path)
    assert set(RESULT_FILES) - set(os.listdir(tmp_path)) == {"overlay_condition.png"}


@pytest.mark.parametrize(
    ("columns", "missing"),
    [
        (["type"], {"overlay_types.png", "overlay_groups.png"}),
        (["is_enclosed"], {"overlay_groups.png"}),
        (["is_atrophic"], {"overlay_atrophy.png"}),
    ],
)
def test_patterns_that_were_not_looked_for_have_no_picture(
    tmp_path, all_done, columns, missing
) -> None:
    for column in columns:
        all_done.fibers[column] = None
    save_analysis(all_done, tmp_path)
    assert set(RESULT_FILES) - set(os.listdir(tmp_path)) == missing
    assert is_complete(tmp_path, all_done.summary)


def test_too_few_fibers_have_no_histogram(tmp_path, all_done) -> None:
    save_analysis(replace(all_done, config=AnalysisConfig()), tmp_path)
    assert set(RESULT_FILES) - set(os.listdir(tmp_path)) == {"sizes_by_type.png"}


def test_progress_goes_from_nothing_to_all(tmp_path, all_done) -> None:
    calls: list[tuple[str, int, int]] = []
    save_analysis(all_done, tmp_path, progress=lambda *call: calls.append(call))
    assert calls == [("report", i, len(RESULT_FILES)) for i in range(len(RESULT_FILES) + 1)]


@pytest.mark.parametrize("at", [0, 1, 3, 5])
def test_an_interrupted_run_leaves_no_summary_and_no_half_file(tmp_path, all_done, at) -> None:
    save_analysis(all_done, tmp_path)

    def stop(stage: str, step: int, total: int) -> None:
        if step == at:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        save_analysis(all_done, tmp_path, progress=stop)
    assert sorted(os.listdir(tmp_path)) == sorted(RESULT_FILES[:-1])


@pytest.mark.parametrize("what", ["draw_overlay", "write_class_map", "write_csv"])
def test_a_failure_while_writing_leaves_no_summary(tmp_path, all_done, monkeypatch, what) -> None:
    def full(*_: object, **__: object) -> None:
        raise OutputError("disk full")

    monkeypatch.setattr(save_module, what, full)
    with pytest.raises(OutputError, match="disk full"):
        save_analysis(all_done, tmp_path)
    assert "summary.json" not in os.listdir(tmp_path)


def test_a_missing_roiset_is_a_warning_in_the_summary(tmp_path, done, monkeypatch) -> None:
    save_analysis(done, tmp_path)
    monkeypatch.setattr("biopsy_ai.formats.imagej.HIGHEST", 100)
    save_analysis(done, tmp_path)
    assert "RoiSet.zip" not in os.listdir(tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text("utf-8"))
    assert "RoiSet.zip" not in summary["files"]
    assert is_complete(tmp_path, summary)
    warnings = summary["warnings"]
    assert warnings[0] == "a"
    assert "RoiSet.zip was not written" in warnings[1]
    assert done.summary["warnings"] == warnings
    save_analysis(done, tmp_path / "again")
    assert done.summary["warnings"] == warnings


def test_results_are_complete_only_together(tmp_path, all_done) -> None:
    save_analysis(all_done, tmp_path)
    assert is_complete(tmp_path, all_done.summary)
    for name in RESULT_FILES:
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()
        assert not is_complete(tmp_path, all_done.summary), name
        (tmp_path / name).write_bytes(content)


@pytest.mark.parametrize("files", [None, [], "fibers.csv", {"fibers.csv": 1}])
def test_results_whose_summary_names_no_files_are_not_complete(tmp_path, done, files) -> None:
    save_analysis(done, tmp_path)
    assert not is_complete(tmp_path, {**done.summary, "files": files})
    del done.summary["files"]
    assert not is_complete(tmp_path, done.summary)


def test_an_unusable_folder_is_reported(tmp_path, done) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(OutputError, match="results"):
        save_analysis(done, tmp_path / "results")


def test_the_report_shows_score_findings_and_their_fibers(tmp_path, all_done) -> None:
    labels = [int(label) for label in all_done.segmentation.ids[:3]]
    findings = [finding_of("small_angular_fibers", "severe", labels=labels)]
    all_done.summary.update(name=all_done.name, score=score_of(), findings=findings)
    all_done.summary["specimen"] = {"patient": "P7"}
    save_analysis(all_done, tmp_path)
    page = Page(tmp_path / "report.html")
    assert_stands_alone(page)
    assert_accessible(page)
    for said in ("Favours denervation", "P7", "Schnitt ä 1", *map(str, labels)):
        assert said in page.text
    maps = [name for name in RESULT_FILES if name.startswith("overlay")]
    assert all(name in page.text for name in maps)
    assert len(page.all("img")) == len(maps) + 2  # sizes and one contact sheet
    pages = pypdf.PdfReader(tmp_path / "report.pdf").pages
    assert all("For research use only" in each.extract_text() for each in pages)


def test_the_report_tells_of_a_warning_that_came_while_saving(tmp_path, done, monkeypatch) -> None:
    monkeypatch.setattr("biopsy_ai.formats.imagej.HIGHEST", 100)
    save_analysis(done, tmp_path)
    assert "RoiSet.zip was not written" in Page(tmp_path / "report.html").text


def test_the_same_results_give_the_same_report(tmp_path, all_done) -> None:
    for run in "ab":
        save_analysis(all_done, tmp_path / run)
    for name in ("report.html", "report.pdf", "thumbnail.jpg"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
