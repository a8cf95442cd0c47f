"""The panel as the plugin offers it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QLabel

from biopsy_ai import RESEARCH_USE_ONLY
from napari_plugin.panel import WIDTH_PX, Panel
from napari_plugin.section import open_results

pytestmark = pytest.mark.gui

TABS = ["Analyze", "Fibers", "Review", "Scores", "Save", "Train"]


@pytest.fixture
def docked(make_napari_viewer: Any) -> tuple[Any, Panel]:
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    dock, panel = viewer.window.add_plugin_dock_widget("biopsy-ai", "biopsy-ai")
    QApplication.processEvents()
    assert dock.isVisible()
    return viewer, panel


def test_tabs_and_notice(docked: tuple[Any, Panel]) -> None:
    _, panel = docked
    assert [panel.tabs.tabText(k) for k in range(panel.tabs.count())] == TABS
    assert RESEARCH_USE_ONLY in [label.text() for label in panel.findChildren(QLabel)]


def test_fits_into_a_small_window(docked: tuple[Any, Panel]) -> None:
    viewer, panel = docked
    assert panel.width() <= WIDTH_PX * 1.2
    for k in range(panel.tabs.count()):
        panel.tabs.setCurrentIndex(k)
        QApplication.processEvents()
        page = panel.tabs.widget(k)
        assert page.widget().width() <= page.viewport().width(), f"{TABS[k]} is clipped"
    assert viewer.window._qt_window.width() <= 1280


def test_scores_come_to_the_front_with_a_section(docked: tuple[Any, Panel], results: Path) -> None:
    viewer, panel = docked
    open_results(viewer, results)
    assert panel.tabs.tabText(panel.tabs.currentIndex()) == "Scores"
    assert panel.save.save_button.isEnabled()


def test_a_closed_panel_is_told_nothing(docked: tuple[Any, Panel], results: Path) -> None:
    viewer, panel = docked
    section = open_results(viewer, results)
    viewer.window.remove_dock_widget(panel)
    panel.deleteLater()
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    section.apply(lambda review: review.delete([3]))
    section.select([4])
    viewer.add_image(np.zeros((8, 8)))
    assert section.selection.tolist() == [4]
