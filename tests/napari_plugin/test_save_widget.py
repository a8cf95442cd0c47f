"""Saving a review from the window."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from qtpy.QtCore import Qt

import biopsy_ai.pipeline
from biopsy_ai.errors import BiopsyError, Cancelled
from napari_plugin import rescoring
from napari_plugin.save_widget import NO_SECTION, SaveWidget
from napari_plugin.section import open_results

pytestmark = pytest.mark.gui


def done(widget: SaveWidget, qtbot: Any) -> str:
    """Wait until nothing is being saved, and give what is said then."""
    qtbot.waitUntil(lambda: not widget.cancel_button.isVisibleTo(widget), timeout=60_000)
    return widget.message.text()


def test_without_a_section(make_napari_viewer: Any) -> None:
    widget = SaveWidget(make_napari_viewer())
    assert widget.section_name.text() == NO_SECTION
    assert not widget.save_button.isEnabled()
    assert not widget.train_button.isEnabled()
    widget.save()
    assert widget.message.text() == ""


def test_save_reviewed_results(make_napari_viewer: Any, results: Path, qtbot: Any) -> None:
    viewer = make_napari_viewer(show=True)
    widget = SaveWidget(viewer)
    viewer.window.add_dock_widget(widget, area="right")
    section = open_results(viewer, results)
    before = (results / "fibers.csv").read_bytes()
    section.apply(lambda review: review.delete([7]))
    section.apply(lambda review: review.set_type([2], "I"))
    qtbot.mouseClick(widget.save_button, Qt.MouseButton.LeftButton)
    assert widget.cancel_button.isVisibleTo(widget)
    assert not widget.save_button.isEnabled()
    assert str(results / "reviewed") in done(widget, qtbot)
    table = pd.read_csv(results / "reviewed" / "fibers.csv").set_index("label")
    assert 7 not in table.index
    assert table.loc[2, "type"] == "I"
    assert table.loc[2, "corrected"] == "type"
    for name in ("report.html", "report.pdf", "fibers.geojson", "RoiSet.zip", "fibers.tif"):
        assert (results / "reviewed" / name).stat().st_size > 0
    assert (results / "fibers.csv").read_bytes() == before
    assert "review" in section.review.summary
    assert widget.report_button.isEnabled()
    assert widget.save_button.isEnabled()


def test_an_edit_while_results_are_saved_is_scored(
    make_napari_viewer: Any, results: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reanalyze = biopsy_ai.pipeline.reanalyze
    began, may_go_on = threading.Event(), threading.Event()

    def late(*args: Any, **options: Any) -> Any:
        began.set()
        may_go_on.wait(60)
        return reanalyze(*args, **options)

    monkeypatch.setattr(biopsy_ai.pipeline, "reanalyze", late)
    monkeypatch.setattr(rescoring, "WAIT_MS", 10)
    viewer = make_napari_viewer()
    widget = SaveWidget(viewer)
    section = open_results(viewer, results)
    widget.save()
    qtbot.waitUntil(began.is_set, timeout=20_000)
    section.apply(lambda review: review.delete([7]))
    qtbot.waitUntil(lambda: not section.is_rescoring, timeout=60_000)
    assert section.review.summary_is_current
    may_go_on.set()
    assert str(results / "reviewed") in done(widget, qtbot)
    qtbot.waitUntil(lambda: not section.is_rescoring, timeout=60_000)
    assert section.review.summary_is_current
    assert section.review.summary["fibers"]["n_fibers"] == 11


def test_each_section_is_said_to_be_reviewed_by_itself(
    make_napari_viewer: Any, results: Path
) -> None:
    viewer = make_napari_viewer()
    widget = SaveWidget(viewer)
    section = open_results(viewer, results)
    widget.whole.setChecked(True)
    viewer.layers.selection.active = section.layers["nuclei"]
    assert widget.whole.isChecked()
    open_results(viewer, shutil.copytree(results, results.parent / "other"))
    assert not widget.whole.isChecked()


def test_save_as_training_data(
    make_napari_viewer: Any, results: Path, tmp_path: Path, qtbot: Any
) -> None:
    viewer = make_napari_viewer()
    widget = SaveWidget(viewer)
    section = open_results(viewer, results)
    assert widget.training_folder.text() == str(results.parent / "training")
    widget.training_folder.setText("")
    widget.save_training()
    assert "Choose a folder" in widget.message.text()
    widget.training_folder.setText(str(tmp_path / "mine"))
    section.apply(lambda review: review.accept([1, 2, 3]))
    widget.save_training()
    assert str(tmp_path / "mine") in done(widget, qtbot)
    written = {path.name for path in (tmp_path / "mine").rglob("*") if path.is_file()}
    assert {"image.tif", "fibers.tif", "known.tif", "item.yaml", "review.jsonl"} <= written


def test_what_goes_wrong_is_said(
    make_napari_viewer: Any, results: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer = make_napari_viewer()
    widget = SaveWidget(viewer)
    section = open_results(viewer, results)

    def full(**_: Any) -> None:
        raise BiopsyError("the disk is full; make room and save again")

    monkeypatch.setattr(section.review, "save", full)
    widget.save()
    assert done(widget, qtbot) == "the disk is full; make room and save again"
    assert widget.save_button.isEnabled()


def test_cancel(
    make_napari_viewer: Any, results: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    viewer = make_napari_viewer()
    widget = SaveWidget(viewer)
    section = open_results(viewer, results)

    def endless(progress: Any) -> None:
        for number in range(10_000):
            progress("measure", number, 10_000)
            time.sleep(0.01)

    monkeypatch.setattr(section.review, "save", endless)
    widget.save()
    qtbot.waitUntil(lambda: widget.bar.value() > 2, timeout=20_000)
    assert widget.bar.format().startswith("Measuring fibers")
    widget.cancel()
    assert "Stopped" in done(widget, qtbot)
    assert Cancelled.__name__ not in widget.message.text()
