from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from napari_plugin.coloring import Scale, color_by
from napari_plugin.legend import Legend, ticks_of

COLORS = ((0, 0, 0), (255, 255, 255))


@pytest.mark.parametrize(
    ("scale", "ticks"),
    [
        (Scale(COLORS, 10.4, 110.2, open_high=True), ["10", "60", "≥ 110"]),
        (Scale(COLORS, 0.5, 1.0), ["0.50", "0.75", "1.00"]),
        (Scale(COLORS, 5.0, 9.0, open_low=True), ["≤ 5.0", "7.0", "9.0"]),
        (Scale(COLORS, 0, 4, whole=True), ["0", "2", "4"]),
        (Scale(COLORS, 0, 3, whole=True), ["0", "", "3"]),
        (Scale(COLORS, 1000, 9000), ["1,000", "5,000", "9,000"]),
    ],
)
def test_ticks(scale: Scale, ticks: list[str]) -> None:
    assert ticks_of(scale) == ticks


@pytest.mark.gui
def test_legend_of_classes_and_of_numbers(qtbot: Any) -> None:
    table = pd.DataFrame(
        {"label": [1, 2, 3], "type": ["I", "II", ""], "min_feret_um": [20.0, 60.0, None]}
    )
    legend = Legend()
    qtbot.addWidget(legend)
    legend.show()
    legend.show_coloring(color_by("type", table))
    assert legend.entries == ["I (1)", "II (1)", "not typed (1)"]
    assert not legend.scale.isVisible()
    legend.show_coloring(color_by("min_feret_um", table))
    assert legend.entries == ["not known (1)"]
    assert legend.scale.isVisible()
    assert len(legend.scale.ticks) == 3
    image = legend.scale.grab().toImage()
    ends = [image.pixelColor(x, 5).getRgb()[:3] for x in (1, image.width() - 2)]
    assert sum(ends[0]) < sum(ends[1])
    legend.show_coloring(None)
    assert legend.entries == []
    assert not legend.scale.isVisible()
