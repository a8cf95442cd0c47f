"""The legend: what the colors of the fibers mean."""

from __future__ import annotations

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QLinearGradient, QPainter, QPaintEvent, QPixmap
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_plugin.coloring import Coloring, Scale, Swatch

SWATCH_PX = 14


class Legend(QWidget):
    """Classes with their colors, or a scale with its numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.title = QLabel()
        self.title.setWordWrap(True)
        self.scale = ScaleBar()
        self.note = QLabel()
        self.note.setWordWrap(True)
        self._rows = QGridLayout()
        self._rows.setContentsMargins(0, 0, 0, 0)
        self._rows.setVerticalSpacing(2)
        self._rows.setColumnStretch(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.scale)
        layout.addLayout(self._rows)
        layout.addWidget(self.note)
        self.show_coloring(None)

    @property
    def entries(self) -> list[str]:
        """The texts beside the colors."""
        items = [self._rows.itemAtPosition(row, 1) for row in range(self._rows.rowCount())]
        labels = [item.widget() for item in items if item is not None]
        return [label.text() for label in labels if isinstance(label, QLabel)]

    def show_coloring(self, coloring: Coloring | None) -> None:
        """Tell what a coloring means; nothing without one."""
        while self._rows.count():
            item = self._rows.takeAt(0)
            widget = None if item is None else item.widget()
            if widget is not None:
                widget.setParent(None)
                widget.deleteLater()
        self.scale.show_scale(None if coloring is None else coloring.scale)
        for row, swatch in enumerate(() if coloring is None else coloring.swatches):
            self._add(row, swatch)
        note = "" if coloring is None else coloring.note
        self.note.setText(note)
        self.note.setVisible(bool(note))

    def _add(self, row: int, swatch: Swatch) -> None:
        pixmap = QPixmap(SWATCH_PX, SWATCH_PX)
        pixmap.fill(QColor(*swatch.color))
        sign = QLabel()
        sign.setPixmap(pixmap)
        sign.setFixedSize(SWATCH_PX, SWATCH_PX)
        text = QLabel(swatch.text)
        text.setWordWrap(True)
        self._rows.addWidget(sign, row, 0, Qt.AlignmentFlag.AlignTop)
        self._rows.addWidget(text, row, 1)


class ScaleBar(QWidget):
    """A bar of the colors from low to high, with numbers below it."""

    def __init__(self) -> None:
        super().__init__()
        self._scale: Scale | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.hide()

    def sizeHint(self) -> QSize:
        return QSize(200, SWATCH_PX + self.fontMetrics().height() + 4)

    @property
    def ticks(self) -> list[str]:
        """The numbers below the bar, from left to right."""
        return [] if self._scale is None else ticks_of(self._scale)

    def show_scale(self, scale: Scale | None) -> None:
        """Show a scale; hide without one."""
        self._scale = scale
        self.setVisible(scale is not None)
        self.setToolTip("" if scale is None else _about_ends(scale))
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        if self._scale is None:
            return
        painter = QPainter(self)
        width = self.width()
        gradient = QLinearGradient(0, 0, width, 0)
        last = max(len(self._scale.colors) - 1, 1)
        for place, color in enumerate(self._scale.colors):
            gradient.setColorAt(place / last, QColor(*color))
        painter.fillRect(QRectF(0, 0, width, SWATCH_PX), gradient)
        painter.setPen(self.palette().text().color())
        room = QRectF(0, SWATCH_PX + 2, width, self.height() - SWATCH_PX - 2)
        sides = (
            Qt.AlignmentFlag.AlignLeft,
            Qt.AlignmentFlag.AlignHCenter,
            Qt.AlignmentFlag.AlignRight,
        )
        for side, text in zip(sides, self.ticks, strict=True):
            painter.drawText(room, int(side | Qt.AlignmentFlag.AlignTop), text)
        painter.end()


def ticks_of(scale: Scale) -> list[str]:
    """Numbers at the low end, the middle and the high end of a scale."""
    low, high = scale.low, scale.high
    digits = 0 if high - low >= 20 or scale.whole else 1 if high - low >= 2 else 2
    middle = (low + high) / 2
    texts = [f"{value:,.{digits}f}" for value in (low, middle, high)]
    if scale.whole and not float(middle).is_integer():
        texts[1] = ""
    texts[0] = f"≤ {texts[0]}" if scale.open_low else texts[0]
    texts[2] = f"≥ {texts[2]}" if scale.open_high else texts[2]
    return texts


def _about_ends(scale: Scale) -> str:
    if scale.open_low or scale.open_high:
        return "Fibers beyond an end have the color of that end."
    return ""
