"""A plot in a tab, drawn once for all that changes together."""

from __future__ import annotations

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QSizePolicy

DRAW_AFTER_MS = 60
NARROWEST_PX = 200


class PlotCanvas(FigureCanvasQTAgg):
    """The canvas of a figure, as wide as its tab; what is drawn is that of `_fill`."""

    def __init__(self) -> None:
        super().__init__(Figure(layout="constrained"))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(NARROWEST_PX)
        # several things change together, and drawing takes longer than all of them
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(DRAW_AFTER_MS)
        self._soon.timeout.connect(self.redraw)

    def redraw_soon(self) -> None:
        """Draw after the last of the changes that come now."""
        self._soon.start()

    def redraw(self) -> None:
        """Draw now, in the colors of the window."""
        self._soon.stop()
        self.figure.clear()
        self.figure.set_facecolor(self.palette().window().color().name())
        self._fill(self.palette().windowText().color().name())
        self.draw_idle()

    def _fill(self, text: str) -> None:
        """Draw into the empty figure, in this color where no other is meant."""
        raise NotImplementedError
