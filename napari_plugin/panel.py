"""The panel of biopsy-ai: one tab for each step from the slide to the saved review."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QFrame,
    QLabel,
    QMainWindow,
    QScrollArea,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from biopsy_ai import RESEARCH_USE_ONLY
from napari_plugin.analyze_widget import AnalyzeWidget
from napari_plugin.fibers_widget import FibersWidget
from napari_plugin.following import Following
from napari_plugin.review_widget import ReviewWidget
from napari_plugin.save_widget import SaveWidget
from napari_plugin.scores_widget import ScoresWidget
from napari_plugin.section import sections_of
from napari_plugin.train_widget import TrainWidget

if TYPE_CHECKING:
    from napari.viewer import Viewer

WIDTH_PX = 400
"""Width that the panel asks for."""


class Panel(QWidget):
    """All tabs, under the words on what the program may be used for."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        notice = QLabel(RESEARCH_USE_ONLY)
        notice.setWordWrap(True)
        self.tabs = QTabWidget()
        self.tabs.setUsesScrollButtons(False)
        self.analyze = AnalyzeWidget(napari_viewer)
        self.fibers = FibersWidget(napari_viewer)
        self.review = ReviewWidget(napari_viewer)
        self.scores = ScoresWidget(napari_viewer)
        self.save = SaveWidget(napari_viewer)
        self.train = TrainWidget(napari_viewer)
        pages = (
            ("Analyze", self.analyze),
            ("Fibers", self.fibers),
            ("Review", self.review),
            ("Scores", self.scores),
            ("Save", self.save),
            ("Train", self.train),
        )
        for title, tab in pages:
            self.tabs.addTab(_scrolling(tab), title)
        self._scores_page = [tab for _, tab in pages].index(self.scores)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(notice)
        layout.addWidget(self.tabs, stretch=1)
        self._following = Following(self)
        self._following.follow((sections_of(napari_viewer).opened, self._on_opened))

    def sizeHint(self) -> QSize:
        return QSize(WIDTH_PX, super().sizeHint().height())

    def showEvent(self, event: QShowEvent | None) -> None:
        """Take the whole height of the window, which the table below would share."""
        super().showEvent(event)
        window = self.window()
        if isinstance(window, QMainWindow):
            corner, side = Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea
            window.setCorner(corner, side)

    def _on_opened(self, *_: Any) -> None:
        """Show the scores of what was just opened."""
        self.tabs.setCurrentIndex(self._scores_page)


def _scrolling(widget: QWidget) -> QScrollArea:
    """A tab that scrolls where the window is too low for it."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    area.setWidget(widget)
    return area
