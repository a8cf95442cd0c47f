"""A score from 0 to 100 with its interval, drawn as the report draws it."""

from __future__ import annotations

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from biopsy_ai.report.document import Bar

BAR_PX = 16
"""Height of the bar itself."""
SHORTEST_PX = 140
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
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
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
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(SHORTEST_PX * 2, self.heightForWidth(SHORTEST_PX * 2))

    def minimumSizeHint(self) -> QSize:
        return QSize(SHORTEST_PX, self.heightForWidth(SHORTEST_PX * 2))

    def heightForWidth(self, width: int) -> int:
        line, n = self.fontMetrics().height(), len(self._lines(width))
        if self._bar is None or self._bar.value is None:
            return line * n + 4
        return line * (n + 1) + BAR_PX + 8

    def _lines(self, width: int) -> list[str]:
        """Title and numbers on one line, or on two where it is too short."""
        if self._bar is None:
            return []
        together = f"{self._bar.title}: {self._bar.text}"
        if self.fontMetrics().horizontalAdvance(together) <= width:
            return [together]
        return [self._bar.title, self._bar.text]

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw title, scale, interval, value and ends."""
        if self._bar is None:
            return
        bar, line, width = self._bar, self.fontMetrics().height(), self.width()
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().windowText().color()
        painter.setPen(ink)
        words = self._lines(width)
        for number, text in enumerate(words):
            row = QRectF(0, number * line, width, line)
            painter.drawText(row, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, text)
        if bar.value is None:
            return
        top = line * len(words) + 3.0
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
