"""The review in a real window: what each button and key does to picture, lists and log."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication

from napari_plugin.drawing import DRAWING_LAYER
from napari_plugin.review_keys import shown_key
from napari_plugin.review_queue import QueueView
from napari_plugin.review_widget import NO_SECTION, NOTHING_SELECTED, ReviewWidget, _in_words
from napari_plugin.section import OpenSection, open_results

pytestmark = pytest.mark.gui

PITCH_UM, CENTER_UM = 24.0, 12.0


def place_of(label: int) -> np.ndarray:
    row, column = divmod(label - 1, 4)
    return np.array([CENTER_UM + PITCH_UM * row, CENTER_UM + PITCH_UM * column])


class Window:
    """A viewer with the review docked, and a results folder open in it."""

    def __init__(self, viewer: Any, results: Path) -> None:
        self.viewer = viewer
        self.widget = ReviewWidget(viewer)
        viewer.window.add_dock_widget(self.widget, name="review", area="right")
        self.section: OpenSection = open_results(viewer, results)

    def press(self, qtbot: Any, key: Any, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
        """Press a key while the picture has the focus."""
        canvas = self.viewer.window._qt_viewer.canvas.native
        qtbot.keyClick(canvas, key, modifier)

    def drag(self, points: list[Any]) -> None:
        """Draw a stroke through places in µm, as the mouse does."""
        button, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
        self._mouse(QEvent.Type.MouseButtonPress, points[0], button, button)
        for point in points[1:]:
            self._mouse(QEvent.Type.MouseMove, point, none, button)
        self._mouse(QEvent.Type.MouseButtonRelease, points[-1], button, none)

    def _mouse(self, kind: Any, place: Any, button: Any, held: Any) -> None:
        canvas = self.viewer.window._qt_viewer.canvas.native
        camera = self.viewer.scene.camera
        y, x = (np.asarray(place) - camera.center[-2:]) * camera.zoom
        at = QPointF(canvas.width() / 2 + x, canvas.height() / 2 + y)
        no_key = Qt.KeyboardModifier.NoModifier
        QApplication.sendEvent(canvas, QMouseEvent(kind, at, at, button, held, no_key))
        QApplication.processEvents()

    def shown(self, label: int) -> int:
        """What the layer of the fibers shows in the middle of a drawn fiber."""
        value = self.section.layers["fibers"].get_value(tuple(place_of(label)), world=True)
        return int(value[1] if isinstance(value, tuple) else value)


@pytest.fixture
def window(make_napari_viewer: Any, results: Path) -> Any:
    return Window(make_napari_viewer(show=True), results)


def test_without_a_section(make_napari_viewer: Any) -> None:
    widget = ReviewWidget(make_napari_viewer())
    assert widget.progress.text() == NO_SECTION
    assert not any(button.isEnabled() for button in widget.buttons.values())
    widget.accept()
    widget.split()
    assert widget.history.count() == 0


def test_nothing_selected(window: Window) -> None:
    window.widget.delete()
    assert window.widget.message.text() == NOTHING_SELECTED
    assert len(window.section.review.ids) == 12


def test_delete_by_key_and_undo_by_key(window: Window, qtbot: Any) -> None:
    window.section.select([6])
    window.press(qtbot, Qt.Key.Key_X)
    assert window.shown(6) == 0
    assert 6 not in window.section.review.ids
    assert "6" in window.widget.message.text()
    assert window.widget.history.count() == 1
    assert "fiber 6 deleted" in window.widget.history.item(0).text()
    assert window.widget.buttons["Undo"].isEnabled()
    window.press(qtbot, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert window.shown(6) == 6
    assert "taken back" in window.widget.history.item(0).text()
    assert not window.widget.buttons["Undo"].isEnabled()
    control_shift = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    window.press(qtbot, Qt.Key.Key_Z, control_shift)
    assert window.shown(6) == 0


def test_merge_by_button(window: Window, qtbot: Any) -> None:
    window.section.select([1, 2])
    qtbot.mouseClick(window.widget.buttons["Merge"], Qt.MouseButton.LeftButton)
    assert window.shown(1) == window.shown(2) != 0
    assert len(window.section.review.table) == 11
    np.testing.assert_array_equal(window.section.selection, [window.shown(1)])
    assert "µm" in window.widget.selected.text()


def test_merge_of_fibers_far_apart_is_refused_in_words(window: Window, qtbot: Any) -> None:
    window.section.select([1, 12])
    window.widget.merge()
    assert window.widget.message.text()
    assert len(window.section.review.table) == 12


def test_split_along_a_drawn_line(window: Window, qtbot: Any) -> None:
    camera = window.viewer.scene.camera
    window.section.select([7])
    window.press(qtbot, Qt.Key.Key_S)
    assert DRAWING_LAYER in window.viewer.layers
    assert not camera.mouse_pan
    assert window.viewer.layers.selection.active is window.section.layers["fibers"]
    middle = place_of(7)
    window.drag([middle + (-14, 0), middle + (-5, 0), middle + (5, 0), middle + (14, 0)])
    assert DRAWING_LAYER not in window.viewer.layers
    assert camera.mouse_pan
    assert len(window.section.review.table) == 13
    assert len(window.section.selection) == 2
    areas = window.section.review.table.set_index("label")["area_um2"]
    left, right = (areas[label] for label in window.section.selection)
    assert left == pytest.approx(right, rel=0.15)


def test_a_line_finds_the_fiber_that_it_crosses(window: Window) -> None:
    window.widget.split()
    middle = place_of(10)
    window.drag([middle + (-14, 0), middle, middle + (14, 0)])
    assert 10 in window.section.selection
    assert len(window.section.review.table) == 13


def test_escape_ends_the_drawing(window: Window, qtbot: Any) -> None:
    window.widget.split()
    window.press(qtbot, Qt.Key.Key_Escape)
    assert DRAWING_LAYER not in window.viewer.layers
    window.drag([place_of(10) + (-14, 0), place_of(10) + (14, 0)])
    assert len(window.section.review.table) == 12


def test_redraw_and_draw(window: Window) -> None:
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    circle = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    window.widget.redraw()
    assert "one fiber" in window.widget.message.text()
    window.section.select([3])
    window.widget.redraw()
    window.drag(list(place_of(3) + 6 * circle))
    row = window.section.review.table.set_index("label").loc[3]
    assert row["equivalent_diameter_um"] == pytest.approx(12, rel=0.05)
    window.section.select([8])
    window.widget.delete()
    window.widget.draw()
    window.drag(list(place_of(8) + 8 * circle))
    assert window.shown(8) == 13


def test_type_condition_and_exclusion_by_key(window: Window, qtbot: Any) -> None:
    window.section.select([2, 4])
    window.press(qtbot, Qt.Key.Key_1)
    table = window.section.review.table.set_index("label")
    assert list(table.loc[[2, 4], "type"]) == ["I", "I"]
    window.press(qtbot, Qt.Key.Key_6)
    table = window.section.review.table.set_index("label")
    assert list(table.loc[[2, 4], "condition"]) == ["necrotic", "necrotic"]
    window.widget.reason.setEditText("a hair lies on it")
    window.press(qtbot, Qt.Key.Key_E)
    table = window.section.review.table.set_index("label")
    assert table.loc[2, "excluded"].endswith("a hair lies on it")
    window.press(qtbot, Qt.Key.Key_I)
    assert window.section.review.table.set_index("label").loc[2, "excluded"] == ""
    assert window.widget.history.count() == 4


def test_keys_leave_other_layers_alone(window: Window, qtbot: Any) -> None:
    other = window.viewer.add_labels(np.ones((8, 8), int), name="mine")
    window.section.select([6])
    window.viewer.layers.selection.active = other
    window.press(qtbot, Qt.Key.Key_X)
    assert 6 in window.section.review.ids
    assert not other.keymap


def test_review_goes_on_after_reopening(window: Window, results: Path) -> None:
    window.section.select([5])
    window.widget.delete()
    window.section.close()
    assert window.widget.progress.text() == NO_SECTION
    section = open_results(window.viewer, results)
    assert 5 not in section.review.ids
    assert window.widget.history.count() == 1
    window.widget.undo()
    assert 5 in section.review.ids


def test_queue_is_gone_through(make_napari_viewer: Any, results: Path, qtbot: Any) -> None:
    import pandas as pd

    table = pd.read_csv(results / "fibers.csv")
    table.loc[table["label"].isin([4, 9]), "confidence"] = [0.3, 0.55]
    table.to_csv(results / "fibers.csv", index=False)
    window = Window(make_napari_viewer(show=True), results)
    queue = window.widget.queue.rows.queue
    assert list(queue["label"].iloc[:2]) == [4, 9]
    window.press(qtbot, Qt.Key.Key_N)
    np.testing.assert_array_equal(window.section.selection, [4])
    center = window.viewer.scene.camera.center[-2:]
    np.testing.assert_allclose(center, place_of(4), atol=2)
    window.press(qtbot, Qt.Key.Key_A)
    np.testing.assert_array_equal(window.section.selection, [9])
    assert 4 not in window.widget.queue.rows.queue["label"].to_numpy()
    window.section.select([4])
    assert window.widget.queue.current_label == 0


def test_letters_in_the_list_are_keys_of_the_review(window: Window, qtbot: Any) -> None:
    window.section.select([6])
    view: QueueView = window.widget.queue
    view.setFocus()
    qtbot.keyClick(view, Qt.Key.Key_X)
    assert 6 not in window.section.review.ids


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the time zone cannot be set here")
def test_the_history_tells_local_time_and_what_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = {
        "utc": "2024-07-01T22:30:15+00:00",
        "user": "Ada",
        "operation": "set_type",
        "labels": (28,),
        "text": "fiber 28 set to type IIA",
        "undone": False,
    }
    monkeypatch.setenv("TZ", "UTC-2")
    time.tzset()
    try:
        told = [_in_words(entry), _in_words(entry | {"utc": "yesterday", "undone": True})]
    finally:
        monkeypatch.undo()
        time.tzset()
    assert told == [
        "2024-07-02 00:30  fiber 28 set to type IIA, Ada",
        "yesterday  fiber 28 set to type IIA (taken back), Ada",
    ]


def test_names_of_keys() -> None:
    assert shown_key("Control-Shift-Z") == "Ctrl+Shift+Z"
    assert shown_key("A") == "A"
