from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile

from biopsy_ai.errors import Cancelled, OutputError
from biopsy_ai.report import save as save_module
from biopsy_ai.report.save import RESULT_FILES, is_complete, save_analysis
from biopsy_ai.segmentation.outlines import read_outlines
from biopsy_ai.segmentation.result import Segmentation

FILES = ["RoiSet.zip", "fibers.csv", "fibers.geojson", "fibers.tif", "overlay.png", "summary.json"]


@dataclass(frozen=True)
class Done:
    """An analysis of outlines without a slide."""

    fibers: pd.DataFrame
    segmentation: Segmentation
    name: str = "Schnitt ä 1"
    slide: None = None
    config: None = None
    summary: dict[str, Any] = field(
        default_factory=lambda: {"warnings": ["a"], "provenance": {"outlines_sha256": "abc"}}
    )


@pytest.fixture
def done(fibers, segmentation) -> Done:
    return Done(fibers, segmentation)


def test_all_results_stand_in_the_folder_and_agree(tmp_path, done, drawn_labels) -> None:
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


def test_progress_goes_from_nothing_to_all(tmp_path, done) -> None:
    calls: list[tuple[str, int, int]] = []
    save_analysis(done, tmp_path, progress=lambda *call: calls.append(call))
    assert calls[0][:2] == ("report", 0)
    assert calls[-1][1] == calls[-1][2]


def test_an_interrupted_run_leaves_no_summary_and_no_half_file(tmp_path, done) -> None:
    save_analysis(done, tmp_path)

    def stop(stage: str, step: int, total: int) -> None:
        if step == 3:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        save_analysis(done, tmp_path, progress=stop)
    assert sorted(os.listdir(tmp_path)) == FILES[:-1]


def test_a_failure_while_writing_leaves_no_summary(tmp_path, done, monkeypatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OutputError("disk full")

    monkeypatch.setattr(save_module, "write_overlay", full)
    with pytest.raises(OutputError):
        save_analysis(done, tmp_path)
    assert "summary.json" not in os.listdir(tmp_path)


def test_a_missing_roiset_is_a_warning_in_the_summary(tmp_path, done, monkeypatch) -> None:
    monkeypatch.setattr("biopsy_ai.formats.imagej.HIGHEST", 100)
    save_analysis(done, tmp_path)
    assert "RoiSet.zip" not in os.listdir(tmp_path)
    warnings = json.loads((tmp_path / "summary.json").read_text("utf-8"))["warnings"]
    assert warnings[0] == "a"
    assert "RoiSet.zip was not written" in warnings[1]
    assert done.summary["warnings"] == warnings
    save_analysis(done, tmp_path / "again")
    assert done.summary["warnings"] == warnings


def test_results_are_complete_only_together(tmp_path, done) -> None:
    save_analysis(done, tmp_path)
    assert sorted(RESULT_FILES) == FILES
    assert is_complete(tmp_path, done.summary)
    for name in FILES:
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()
        assert not is_complete(tmp_path, done.summary), name
        (tmp_path / name).write_bytes(content)


def test_results_without_a_roiset_are_complete_if_a_warning_says_so(
    tmp_path, done, monkeypatch
) -> None:
    monkeypatch.setattr("biopsy_ai.formats.imagej.HIGHEST", 100)
    save_analysis(done, tmp_path)
    assert is_complete(tmp_path, done.summary)
    assert not is_complete(tmp_path, {"warnings": ["RoiSet.zip: 2 objects are no outlines"]})
    (tmp_path / "fibers.csv").unlink()
    assert not is_complete(tmp_path, done.summary)


def test_an_unusable_folder_is_reported(tmp_path, done) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(OutputError, match="results"):
        save_analysis(done, tmp_path / "results")
