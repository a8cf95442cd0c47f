"""Sections in a real window: what is drawn, what a click does, what is left after closing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_plugin.section import open_results, sections_of

pytestmark = pytest.mark.gui


def canvas_place(viewer: Any, y_um: float, x_um: float) -> tuple[float, float]:
    """Where a place is drawn on the canvas, (row, column) of pixels."""
    camera = viewer.scene.camera
    height, width = viewer.canvas.size
    return (
        height / 2 + (y_um - camera.center[-2]) * camera.zoom,
        width / 2 + (x_um - camera.center[-1]) * camera.zoom,
    )


def click_at(viewer: Any, y_um: float, x_um: float, qtbot: Any, **keys: Any) -> None:
    from qtpy.QtCore import QPoint, Qt

    row, column = canvas_place(viewer, y_um, x_um)
    native = viewer.window._qt_viewer.canvas.native
    point = QPoint(round(column), round(row))
    modifier = keys.get("modifier", Qt.KeyboardModifier.NoModifier)
    # a press is told where the mouse moved to last
    qtbot.mouseMove(native, point)
    qtbot.mouseClick(native, Qt.MouseButton.LeftButton, modifier, point)


def test_pixels_and_clicks(results: Path, make_napari_viewer: Any, qtbot: Any) -> None:
    from qtpy.QtCore import Qt

    viewer = make_napari_viewer(show=True)
    section = open_results(viewer, results)
    viewer.scene.camera.center = (0, 36, 48)
    viewer.scene.camera.zoom = 5
    click_at(viewer, 36, 36, qtbot)
    assert section.selection.tolist() == [6]
    click_at(viewer, 36, 60, qtbot, modifier=Qt.KeyboardModifier.ShiftModifier)
    assert section.selection.tolist() == [6, 7]
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    yellow = (picture[..., 0] > 230) & (picture[..., 1] > 230) & (picture[..., 2] < 60)
    ratio = picture.shape[0] / viewer.canvas.size[0]
    for label, (y, x) in {6: (36, 36), 7: (36, 60), 8: (36, 84)}.items():
        row, column = (round(side * ratio) for side in canvas_place(viewer, y, x))
        reach = round(11 * 5 * ratio)
        around = yellow[row - reach : row + reach, column - reach : column + reach]
        assert around.any() == (label in (6, 7))
        assert not yellow[row, column]
    click_at(viewer, 24, 24, qtbot)
    assert section.selection.tolist() == []


def test_status_bar(results: Path, make_napari_viewer: Any, qtbot: Any) -> None:
    viewer = make_napari_viewer(show=True)
    open_results(viewer, results)
    viewer.cursor.position = (36, 36)
    viewer.mouse_over_canvas = True
    viewer.update_status_from_cursor()
    assert "type: II" in str(viewer.status)


def test_levels_lie_on_each_other(results: Path, make_napari_viewer: Any) -> None:
    """A fiber is drawn at the same place from whatever level."""
    from napari_plugin.layers import colormap_by_label, labels_layer
    from napari_plugin.levels import LabelPyramid

    y, x = np.indices((4096, 4096))
    labels = ((np.hypot(y - 1024, x - 3072) < 700) * 7).astype(np.int32)
    layer = labels_layer(
        LabelPyramid(labels).levels,
        (0.5, 0.5),
        "a",
        colormap=colormap_by_label(np.array([7]), np.array([0]), np.array([[255, 0, 0]], np.uint8)),
        opacity=1.0,
    )
    viewer = make_napari_viewer(show=True)
    viewer.add_layer(layer)
    centers = []
    for level in range(len(layer.data)):
        layer.locked_data_level = level
        picture = viewer.screenshot(canvas_only=True, flash=False)
        red = (picture[..., 0] > 200) & (picture[..., 1] < 50)
        centers.append(np.argwhere(red).mean(axis=0))
        assert red.sum() > 100
    np.testing.assert_allclose(centers, [centers[0]] * len(centers), atol=0.6)


def test_closing_the_window_frees_the_review(results: Path, make_napari_viewer: Any) -> None:
    viewer = make_napari_viewer(show=True)
    section = open_results(viewer, results)
    viewer.close()
    assert not section.is_open
    again = make_napari_viewer(show=True)
    open_results(again, results).close()


def test_what_the_window_hands_out_is_the_same_viewer(make_napari_viewer_proxy: Any) -> None:
    proxy = make_napari_viewer_proxy(show=True)
    assert sections_of(proxy) is sections_of(getattr(proxy, "__wrapped__", proxy))
