"""Tab "Fibers": what their colors say, and how a measure is spread among them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QFrame,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_plugin.coloring import COLORINGS, known_colorings
from napari_plugin.column_names import column_title
from napari_plugin.fiber_table import show_table
from napari_plugin.following import Following
from napari_plugin.form_parts import words
from napari_plugin.histogram import (
    Histogram,
    bands_in_words,
    count_bars,
    known_measures,
    size_bands,
)
from napari_plugin.legend import Legend
from napari_plugin.section import OpenSection, sections_of

if TYPE_CHECKING:
    from napari.viewer import Viewer

NO_SECTION = "Open results to see their fibers: drop their folder on the window."

SIZE = "min_feret_um"
"""The measure that limits of normal size are for."""


class FibersWidget(QWidget):
    """Colors, legend and histogram of the section in front."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = ref(napari_viewer)
        self._sections = sections_of(napari_viewer)
        self._section: OpenSection | None = None
        self._following = Following(self)
        self.color_by = QComboBox()
        self.color_by.setToolTip("What the colors of the fibers say")
        self.outlines = QCheckBox("&Outlines only")
        self.outlines.setToolTip("Color the outlines of the fibers instead of filling them")
        self.legend = Legend()
        self.measure = QComboBox()
        self.measure.setToolTip("What the histogram shows")
        self.histogram = Histogram()
        self.counted = words(selectable=True)
        self.bands = words(selectable=True)
        self.table_button = QPushButton("Show the &table of fibers")
        self.nothing = words(NO_SECTION, selectable=True)
        self._lay_out()
        self.color_by.currentIndexChanged.connect(self._on_color_by)
        self.outlines.toggled.connect(self._on_outlines)
        self.measure.currentIndexChanged.connect(self._on_measure)
        self.histogram.brushed.connect(self._on_brushed)
        self.table_button.clicked.connect(self._on_table)
        self._following.follow((self._sections.active_changed, self._on_active))
        self._on_active()

    def _lay_out(self) -> None:
        colors = QFormLayout()
        colors.addRow("&Color by", self.color_by)
        self._parts = QWidget()
        inner = QVBoxLayout(self._parts)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.addLayout(colors)
        inner.addWidget(self.legend)
        inner.addWidget(self.outlines)
        line = QFrame()
        line.setFrameShape(QFrame.Shape.HLine)
        inner.addWidget(line)
        shown = QFormLayout()
        shown.addRow("&Histogram of", self.measure)
        inner.addLayout(shown)
        inner.addWidget(self.histogram)
        inner.addWidget(self.counted)
        inner.addWidget(self.bands)
        inner.addWidget(self.table_button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.nothing)
        layout.addWidget(self._parts)
        layout.addStretch(1)

    # the section

    def _on_active(self, *_: Any) -> None:
        old, self._section = self._section, self._sections.active
        if old is not None:
            self._following.leave(*self._slots(old))
        section = self._section
        self.nothing.setVisible(section is None)
        self._parts.setVisible(section is not None)
        if section is None:
            self.histogram.show_bars(None, [], np.empty(0, np.int64))
            return
        self._following.follow(*self._slots(section))
        self._fill()
        self._on_coloring()
        self._draw()

    def _slots(self, section: OpenSection) -> tuple[tuple[Any, Any], ...]:
        return (
            (section.selection_changed, self._on_selection),
            (section.coloring_changed, self._on_coloring),
            (section.fibers_changed, self._on_fibers),
            (section.scores_changed, self._on_fibers),
        )

    def _fill(self) -> None:
        """Offer what the table has values for."""
        if self._section is None:
            return
        table = self._section.review.table
        _offer(self.color_by, [(k, COLORINGS[k][0]) for k in known_colorings(table)])
        _offer(self.measure, [(name, column_title(name)) for name in known_measures(table)])

    def _on_fibers(self, *_: Any) -> None:
        self._fill()
        self._on_coloring()
        self._draw()

    def _on_table(self, *_: Any) -> None:
        viewer = self._viewer()
        if viewer is not None:
            show_table(viewer)

    # colors

    def _on_color_by(self, *_: Any) -> None:
        key = self.color_by.currentData()
        if self._section is not None and key and key != self._section.coloring.key:
            self._section.color_by(key)

    def _on_coloring(self, *_: Any) -> None:
        if self._section is None:
            return
        coloring = self._section.coloring
        self.legend.show_coloring(coloring)
        place = self.color_by.findData(coloring.key)
        was = self.color_by.blockSignals(True)
        self.color_by.setCurrentIndex(place)
        self.color_by.blockSignals(was)
        self.outlines.setChecked(self._section.outlined)

    def _on_outlines(self, only: bool) -> None:
        if self._section is not None and self._section.outlined != only:
            self._section.outlined = only

    # the histogram

    def _on_measure(self, *_: Any) -> None:
        self._draw()

    def _draw(self) -> None:
        section, measure = self._section, self.measure.currentData()
        if section is None or not measure:
            self.histogram.show_bars(None, [], np.empty(0, np.int64))
            self.counted.setText("")
            self.bands.hide()
            return
        bars = count_bars(section.review.table, measure)
        bands = size_bands(section.review.summary) if measure == SIZE else []
        self.histogram.show_bars(bars, bands, section.selection)
        self.counted.setText(
            f"{len(bars.values):,} fibers that are in the statistics. Drag over the bars to select "
            "fibers."
        )
        said = bands_in_words(bands, bars.names)
        self.bands.setText(said)
        self.bands.setVisible(bool(said))

    def _on_brushed(self, labels: NDArray[np.int64]) -> None:
        if self._section is not None:
            self._section.select(labels)

    def _on_selection(self, labels: NDArray[np.int64], *_: Any) -> None:
        self.histogram.show_selected(labels)


def _offer(combo: QComboBox, entries: list[tuple[str, str]]) -> None:
    """Fill a list without a change of what is chosen, where that is still there."""
    if [combo.itemData(i) for i in range(combo.count())] == [key for key, _ in entries]:
        return
    chosen = combo.currentData()
    was = combo.blockSignals(True)
    combo.clear()
    for key, title in entries:
        combo.addItem(title, key)
    combo.setCurrentIndex(max(combo.findData(chosen), 0) if entries else -1)
    combo.blockSignals(was)
