"""How a training goes: loss and accuracy on held-out slides, step by step."""

from __future__ import annotations

from typing import Any

from matplotlib.ticker import MaxNLocator
from qtpy.QtCore import QSize

from napari_plugin.plot_canvas import PlotCanvas

LOSS_COLOR, F1_COLOR = "#e69f00", "#56b4e9"


class TrainingPlot(PlotCanvas):
    """The canvas.

    Attributes
    ----------
    losses, scores
        (step, value) of each report.
    steps
        Of the whole training.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Loss and F1 on held-out slides during training")
        self.losses: list[tuple[int, float]] = []
        self.scores: list[tuple[int, float]] = []
        self.steps = 1

    def sizeHint(self) -> QSize:
        return QSize(340, 190)

    def minimumSizeHint(self) -> QSize:
        return QSize(200, 150)

    def clear(self) -> None:
        """Begin anew."""
        self.losses, self.scores, self.steps = [], [], 1
        self.redraw_soon()

    def add(self, step: int, steps: int, loss: float | None, f1: float | None) -> None:
        """Add a report; what is not known is not drawn."""
        self.steps = max(steps, 1)
        if loss is not None:
            self.losses.append((step, loss))
        if f1 is not None:
            self.scores.append((step, f1))
        self.redraw_soon()

    def _fill(self, text: str) -> None:
        axes = self.figure.add_subplot()
        self._line(axes, self.losses, "loss", LOSS_COLOR, text)
        axes.set_xlim(0, self.steps)
        axes.set_xlabel("step", color=text, fontsize=9)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
        if self.scores:
            beside = axes.twinx()
            self._line(beside, self.scores, "held-out F1", F1_COLOR, text)
            lowest = min(value for _, value in self.scores)
            beside.set_ylim(max(0.0, min(lowest - 0.05, 0.8)), 1.0)

    def _line(
        self, axes: Any, points: list[tuple[int, float]], name: str, color: str, text: str
    ) -> None:
        axes.set_facecolor("none")
        if points:
            axes.plot(*zip(*points, strict=True), color=color, marker="o", ms=3, lw=1.6)
        axes.set_ylabel(name, color=color, fontsize=9)
        axes.tick_params(axis="y", colors=color, labelsize=8)
        axes.tick_params(axis="x", colors=text, labelsize=8)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        for side, spine in axes.spines.items():
            spine.set_color(text)
            spine.set_visible(side in ("left", "bottom"))
