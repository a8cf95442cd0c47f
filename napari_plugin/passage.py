"""Words in a tab, such as what went wrong."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QResizeEvent, QTextOption
from qtpy.QtWidgets import QSizePolicy, QTextEdit, QWidget

PLAIN = "QTextEdit { border: none; padding: 0px; background: transparent; }"
PROBLEM = (
    "QTextEdit { border: 1px solid #d65045; border-radius: 3px; padding: 4px;"
    " background: rgba(214, 80, 69, 50); }"
)


class Passage(QTextEdit):
    """Words to read, select and copy, as high as they need; hidden while there are none.

    Lines break anywhere, as names of files can be long.
    """

    style_sheet, margin_px = PLAIN, 4

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setReadOnly(True)
        self.setTabChangesFocus(True)
        self.setAccessibleName(name)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setStyleSheet(self.style_sheet)
        self.setVisible(False)

    @property
    def text(self) -> str:
        return self.toPlainText()

    def say(self, text: str) -> None:
        """Show words; an empty text hides them."""
        if text != self.text:
            self.setPlainText(text)
        self.setVisible(bool(text))
        self._fit()

    def sizeHint(self) -> QSize:
        return QSize(0, self._height())

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if self.height() != self._height():
            self.setFixedHeight(self._height())

    def _height(self) -> int:
        return int(self.document().size().height()) + self.margin_px


class Problem(Passage):
    """What went wrong, in a red frame."""

    style_sheet, margin_px = PROBLEM, 12
