"""Training in the window, in a real process beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("napari", reason="napari is not installed: pip install biopsy-ai[gui]")

from drawn_datasets import drawn_section, shifted, write_pair, write_reviewed
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox

from napari_plugin import train_widget
from napari_plugin.comparison_table import ComparisonTable, in_words
from napari_plugin.settings import read_settings
from napari_plugin.train_widget import NO_DATA, TrainWidget

pytestmark = [pytest.mark.gui, pytest.mark.timeout(500)]

END_MS = 240_000

TINY = {"stem": 8, "widths": [8, 8, 8, 8, 8]}

QUICK = (
    *("--steps", "50", "--batch", "1", "--crop", "64", "--sections", "1", "--device", "cpu"),
    *("--held-out", "slide3"),
)

READY = {
    "event": "model",
    "folder": "/models/mine",
    "ready": True,
    "reason": "On 2 held-out slides (310 fibers) F1 went from 0.712 to 0.905.",
    "held_out": {
        "n_slides": 2,
        "n_fibers": 310,
        "old": {"f1": 0.712, "low": 0.6, "high": 0.8},
        "new": {"f1": 0.905, "low": 0.88, "high": 0.93},
        "gain": {"f1": 0.193, "low": 0.1, "high": 0.25},
    },
    "samples": {
        "n_slides": 6,
        "n_fibers": 1988,
        "old": {"f1": 0.987, "low": 0.981, "high": 0.993},
        "new": {"f1": 0.987, "low": 0.98, "high": 0.994},
        "gain": {"f1": 0.0, "low": -0.001, "high": 0.001},
    },
}


@pytest.fixture
def viewer(make_napari_viewer: Any) -> Any:
    viewer = make_napari_viewer(show=True)
    viewer.window._qt_window.resize(1280, 800)
    return viewer


@pytest.fixture
def widget(viewer: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainWidget:
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    widget = TrainWidget(viewer)
    dock = viewer.window.add_dock_widget(widget, name="Train", area="right")
    widget.setFixedWidth(380)
    qtbot.waitUntil(dock.isVisible)
    return widget


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "training"
    for number in (1, 2, 3):
        write_reviewed(folder / f"slide{number}", number, reviewers=["Ada", "Bo"][: 1 + number % 2])
    return folder


def checked(widget: TrainWidget, qtbot: Any, folder: Path) -> None:
    """Choose data and wait until they were looked at."""
    widget.dataset.setText(str(folder))
    qtbot.waitUntil(lambda: widget.check is not None, timeout=20_000)
    qtbot.waitUntil(lambda: widget.check is None, timeout=END_MS)


def press(button: Any, qtbot: Any) -> None:
    qtbot.mouseClick(button, Qt.MouseButton.LeftButton)


def test_without_data_it_says_what_to_do(widget: TrainWidget) -> None:
    assert widget.reason.text() == NO_DATA
    assert widget.reason.isVisible()
    assert not widget.start_button.isEnabled()
    assert not widget.use_button.isVisible()
    assert not widget.table.isVisible()
    assert not widget.plot.isVisible()
    assert widget.base.currentText() == "muscle (bundled)"
    assert widget.minimumSizeHint().width() <= 380


def test_what_the_data_hold_is_told(widget: TrainWidget, qtbot: Any, data: Path) -> None:
    widget.dataset.setText(str(data))
    assert not widget.start_button.isEnabled()
    checked(widget, qtbot, data / ".." / "training")
    n_fibers = sum(len(set(drawn_section(k).labels.ravel())) - 1 for k in (1, 2, 3))
    assert f"3 pictures of 3 slides or patients, {n_fibers} fibers." in widget.holds.text
    assert "Corrected by Ada, Bo." in widget.holds.text
    assert "Judged on: slide" in widget.holds.text
    assert not widget.data_problem.isVisible()
    assert widget.start_button.isEnabled()


def test_problems_are_told_in_words(widget: TrainWidget, qtbot: Any, data: Path) -> None:
    write_pair(data, "a", labels=shifted(drawn_section(1).labels, 16, 12))
    (data / "b_masks.tif").touch()
    checked(widget, qtbot, data)
    text = widget.data_problem.text
    assert "a_fibers.tif: the labels look shifted" in text
    assert "b_masks.tif: there is no picture of this name" in text
    assert widget.data_problem.isVisible()
    assert "Mend what is wrong" in widget.reason.text()
    assert not widget.start_button.isEnabled()
    checked(widget, qtbot, data / "slide1")
    assert not widget.data_problem.isVisible()
    assert "there will be none to judge the new model on" in widget.holds.text


def test_a_name_is_needed_and_none_that_is_taken(
    widget: TrainWidget, qtbot: Any, data: Path, tmp_path: Path
) -> None:
    checked(widget, qtbot, data)
    assert widget.model_folder == tmp_path / "home" / "biopsy-ai" / "models" / "mine"
    for name in ("", "a/b", ".."):
        widget.name.setText(name)
        assert "Give the new model a name" in widget.reason.text()
        assert not widget.start_button.isEnabled()
    (tmp_path / "models" / "taken").mkdir(parents=True)
    (tmp_path / "models" / "taken" / "model.yaml").touch()
    widget.folder.setText(str(tmp_path / "models"))
    widget.name.setText("taken")
    assert "stands there already" in widget.reason.text()
    widget.name.setText("free")
    assert widget.start_button.isEnabled()


def test_train_compare_and_adopt(
    viewer: Any, widget: TrainWidget, qtbot: Any, data: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    import torch

    from biopsy_ai.segmentation import InstanceThresholds, load_model, save_model
    from biopsy_ai.segmentation.network import FiberNet

    torch.manual_seed(0)
    spec = {"name": "tiny", "version": "1", "architecture": TINY}
    spec["thresholds"] = InstanceThresholds()
    base = save_model(tmp_path / "tiny", FiberNet(**TINY), spec)
    widget.base.addItem("tiny", str(base))
    widget.base.setCurrentIndex(widget.base.count() - 1)
    widget.more_arguments = QUICK
    widget.folder.setText(str(tmp_path / "models"))
    checked(widget, qtbot, data)

    press(widget.start_button, qtbot)
    assert not widget.start_button.isEnabled()
    assert not widget.dataset.isEnabled()
    assert widget.cancel_button.isEnabled()
    qtbot.waitUntil(lambda: len(widget.plot.losses) > 0, timeout=END_MS)
    assert widget.plot.scores[0][0] == 0
    qtbot.waitUntil(lambda: widget.job is None, timeout=END_MS)

    assert not widget.problem.isVisible(), widget.problem.text
    assert widget.plot.losses[-1][0] == widget.plot.steps == 50
    folder = tmp_path / "models" / "mine"
    model = load_model(folder)
    assert model.spec["ready"] is False
    assert [column[0].splitlines()[0] for column in widget.table.texts()] == [
        "Held-out slides",
        "Synthetic samples",
    ]
    assert widget.verdict.text.startswith("Not ready for use.")
    assert str(folder) in widget.verdict.text
    assert "stands there already" in widget.reason.text()
    assert widget.use_button.isEnabled()

    answers = [QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes]
    asked = []

    def ask(_: Any, title: str, text: str, *others: Any) -> Any:
        asked.append(text)
        return answers.pop(0)

    monkeypatch.setattr(train_widget.QMessageBox, "question", ask)
    kept: list[str] = []
    monkeypatch.setattr(train_widget, "keep_model", lambda name: kept.append(name) or True)
    press(widget.use_button, qtbot)
    assert not kept
    assert model.spec["ready_reason"] in asked[0]
    press(widget.use_button, qtbot)
    assert kept == [str(folder)]
    assert "used for all analyses from now on" in widget.use_reason.text()
    assert not widget.use_button.isEnabled()


def test_a_model_that_is_ready_is_adopted_at_once(widget: TrainWidget, qtbot: Any) -> None:
    widget._made = READY
    widget._show_made(failed=False)
    assert widget.verdict.text.startswith("Ready for use. On 2 held-out slides")
    press(widget.use_button, qtbot)
    if read_settings().model == "muscle":
        assert "--model /models/mine" in widget.use_reason.text()
    else:
        assert read_settings().model == "/models/mine"
        assert widget.base.findData("/models/mine") >= 0


def test_the_verdict_tells_of_the_rules(widget: TrainWidget) -> None:
    text = "Split: taken over.\nNecrotic: not taken over. It is no better there."
    widget._made = READY | {"rules": {"text": text}}
    widget._show_made(failed=False)
    assert text in widget.verdict.text
    widget._made = READY | {"rules": None}
    widget._show_made(failed=False)
    assert "Split" not in widget.verdict.text


def test_cancel_keeps_what_was_learned(
    widget: TrainWidget, qtbot: Any, data: Path, tmp_path: Path
) -> None:
    widget.more_arguments = ("--sections", "1", "--held-out", "slide3")
    widget.folder.setText(str(tmp_path / "models"))
    checked(widget, qtbot, data)
    press(widget.start_button, qtbot)
    qtbot.waitUntil(lambda: widget.bar.maximum() > 0, timeout=END_MS)
    press(widget.cancel_button, qtbot)
    assert widget.stage.text() == "Stopping …"
    qtbot.waitUntil(lambda: widget.job is None, timeout=END_MS)
    assert "Starting again" in widget.verdict.text
    assert not widget.problem.isVisible()
    assert widget.start_button.isEnabled()
    assert not (tmp_path / "models" / "mine" / "model.yaml").exists()


def test_a_failure_is_told_and_there_is_no_model_to_use(
    widget: TrainWidget, qtbot: Any, data: Path, tmp_path: Path
) -> None:
    (tmp_path / "models").write_text("in the way")
    widget.folder.setText(str(tmp_path / "models"))
    checked(widget, qtbot, data)
    press(widget.start_button, qtbot)
    qtbot.waitUntil(lambda: widget.job is None, timeout=END_MS)
    assert "models" in widget.problem.text
    assert widget.problem.isVisible()
    assert not widget.use_button.isEnabled()
    assert "The training failed" in widget.use_reason.text()


def test_the_table_shows_values_with_intervals(qtbot: Any) -> None:
    table = ComparisonTable()
    qtbot.addWidget(table)
    table.show_event(READY)
    assert table.texts() == [
        [
            "Held-out slides\n2 slides, 310 fibers",
            "0.712\n0.600 to 0.800",
            "0.905\n0.880 to 0.930",
            "+0.193\n+0.100 to +0.250",
        ],
        [
            "Synthetic samples\n6 slides, 1,988 fibers",
            "0.987\n0.981 to 0.993",
            "0.987\n0.980 to 0.994",
            "+0.000\n-0.001 to +0.001",
        ],
    ]
    table.show_event(READY | {"held_out": None})
    assert len(table.texts()) == 1
    table.clear_columns()
    assert table.texts() == []
    assert in_words({"f1": None, "low": None, "high": None}) == "–"
    assert in_words({"f1": 0.5, "low": None, "high": None}) == "0.500"
