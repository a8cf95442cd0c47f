"""A score from 0 to 100 with its interval, drawn as the report draws it."""

from __future__ import annotations

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from biopsy_ai.report.document import Bar

BAR_PX = 16
"""Height of the bar itself."""
RANGE_COLOR = QColor("#8fc1e0")
ENDS_COLOR = QColor("#0b4f7d")


class ScoreBar(QWidget):
    """One bar: title and numbers above, the scale with value and interval, its ends below.

    Parameters
    ----------
    bar
        What it shows; None shows nothing.
    """

    def __init__(self, bar: Bar | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._bar = bar
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.show_bar(bar)

    @property
    def bar(self) -> Bar | None:
        """What it shows."""
        return self._bar

    def show_bar(self, bar: Bar | None) -> None:
        """Show another score; None hides the bar."""
        self._bar = bar
        self.setVisible(bar is not None)
        if bar is not None:
            words = f"{bar.title}: {bar.text}. {bar.ends[0]}, {bar.ends[1]}."
            self.setAccessibleName(words)
            self.setToolTip(words)
        self.update()

    def sizeHint(self) -> QSize:
        line = self.fontMetrics().height()
        rows = 1 if self._bar is None or self._bar.value is None else 2
        return QSize(240, line * rows + (BAR_PX + 8 if rows == 2 else 4))

    def minimumSizeHint(self) -> QSize:
        return QSize(120, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw title, scale, interval, value and ends."""
        if self._bar is None:
            return
        bar, line, width = self._bar, self.fontMetrics().height(), self.width()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().windowText().color()
        painter.setPen(ink)
        title = f"{bar.title}: {bar.text}"
        painter.drawText(
            QRectF(0, 0, width, line),
            Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
            self.fontMetrics().elidedText(title, Qt.TextElideMode.ElideRight, width),
        )
        if bar.value is None:
            return
        top = line + 3.0
        soft = QColor(ink)
        soft.setAlpha(40)
        painter.fillRect(QRectF(0, top, width, BAR_PX), soft)
        if bar.low is not None and bar.high is not None:
            low, high = (width * end / 100 for end in (bar.low, bar.high))
            painter.fillRect(QRectF(low, top + 3, high - low, BAR_PX - 6), RANGE_COLOR)
            painter.setPen(QPen(ENDS_COLOR, 2))
            for end in (low, high):
                at = min(max(end, 1.0), width - 1.0)
                painter.drawLine(int(at), int(top + 1), int(at), int(top + BAR_PX - 1))
        soft.setAlpha(140)
        painter.setPen(QPen(soft, 1, Qt.PenStyle.DashLine))
        painter.drawLine(width // 2, int(top), width // 2, int(top + BAR_PX))
        at = min(max(width * bar.value / 100 - 2, 0.0), width - 4.0)
        painter.fillRect(QRectF(at, top - 1, 4, BAR_PX + 2), ink)
        painter.setPen(ink)
        below = QRectF(0, top + BAR_PX + 2, width, line)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, bar.ends[0])
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, bar.ends[1])
