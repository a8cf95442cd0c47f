from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_plugin.histogram import (
    HEALTHY,
    SECTION,
    Band,
    Histogram,
    bands_in_words,
    count_bars,
    known_measures,
    size_bands,
)


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": np.arange(1, 9),
            "min_feret_um": [20.0, 25.0, 30.0, 35.0, 40.0, 45.0, np.nan, 90.0],
            "type": ["I", "II", "I", "", "II", "I", "I", "I"],
            "n_nuclei": pd.array([0, 1, 1, 2, 5, pd.NA, 3, 1], dtype="Int64"),
            "excluded": ["", "", "", "", "", "", "", "out of focus"],
        }
    )


def test_only_fibers_in_the_statistics_count(table: pd.DataFrame) -> None:
    bars = count_bars(table, "min_feret_um")
    assert bars.labels.tolist() == [1, 2, 3, 4, 5, 6]
    assert bars.names == ("I", "II", "")
    assert bars.edges[0] <= 20
    assert bars.edges[-1] >= 44
    assert bars.within(25, 40).tolist() == [2, 3, 4, 5]
    assert bars.within(90, 95).tolist() == []


def test_the_last_bar_holds_all_beyond(table: pd.DataFrame) -> None:
    table.loc[5, "min_feret_um"] = 5000.0
    large = pd.concat([table.iloc[:5]] * 100, ignore_index=True)
    large["label"] = np.arange(len(large)) + 100
    bars = count_bars(pd.concat([large, table.iloc[5:6]]), "min_feret_um")
    assert bars.edges[-1] < 100
    assert 6 in bars.within(bars.edges[-2], bars.edges[-1])
    assert 6 not in bars.within(20, bars.edges[-2])


def test_counts_have_a_bar_each(table: pd.DataFrame) -> None:
    bars = count_bars(table, "n_nuclei")
    assert bars.edges.tolist() == [-0.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5]


def test_untyped_fibers_have_no_names(table: pd.DataFrame) -> None:
    assert count_bars(table.assign(type=""), "min_feret_um").names == ()
    assert count_bars(table.drop(columns="type"), "min_feret_um").names == ()


@pytest.mark.parametrize("sizes", [[], [30.0], [30.0, 30.0]])
def test_few_fibers(sizes: list[float]) -> None:
    table = pd.DataFrame(
        {"label": range(len(sizes)), "min_feret_um": np.array(sizes, float), "excluded": ""}
    )
    bars = count_bars(table, "min_feret_um")
    assert (np.diff(bars.edges) > 0).all()
    assert len(bars.within(-1, 1000)) == len(sizes)


def test_known_measures(table: pd.DataFrame) -> None:
    table["circularity"] = np.nan
    assert known_measures(table) == ["min_feret_um", "n_nuclei"]


def summary_with(**limits: Any) -> dict[str, Any]:
    return {"fibers": {"small_fibers": limits}}


def test_bands_of_the_summary() -> None:
    def limit(value: float, origin: str, kind: str | None = None) -> dict[str, Any]:
        return {"value": value, "source": "a book", "origin": origin, "type": kind}

    summary = summary_with(
        size_limits_um=[limit(40, "sex"), limit(22, "section", "I"), limit(19, "section", "II")],
        large_limits_um=[limit(80, "sex"), limit(99, "section", "II"), limit(90, "section", "I")],
    )
    bands = size_bands(summary)
    assert bands == [
        Band(40, 80, HEALTHY, None, "a book"),
        Band(22, 90, SECTION, "I", "a book"),
        Band(19, 99, SECTION, "II", "a book"),
    ]
    assert bands_in_words(bands, ("I", "II")) == (
        "Shaded: healthy, 40–80 µm (a book). "
        "Dashed: this section's own range, I 22–90 µm, II 19–99 µm."
    )
    assert bands_in_words(bands, ()) == "Shaded: healthy, 40–80 µm (a book)."


@pytest.mark.parametrize("summary", [{}, {"fibers": None}, summary_with(size_limits_um=None)])
def test_summary_without_limits(summary: dict[str, Any]) -> None:
    assert size_bands(summary) == []


@pytest.mark.gui
def test_drawing_and_brushing(table: pd.DataFrame, qtbot: Any) -> None:
    histogram = Histogram()
    qtbot.addWidget(histogram)
    bands = [Band(30, 60, HEALTHY, None, "a book"), Band(22, 90, SECTION, "I", "")]
    histogram.show_bars(count_bars(table, "min_feret_um"), bands, np.array([1]))
    histogram.redraw()
    (axes,) = histogram.figure.axes
    assert axes.get_xlabel() == "min Feret (µm)"
    heights = [patch.get_height() for container in axes.containers for patch in container]
    assert max(heights) == 1
    dashed = {line.get_xdata()[0] for line in axes.lines}
    assert dashed == {22, 90}
    heard: list[list[int]] = []
    histogram.brushed.connect(lambda labels: heard.append(labels.tolist()))
    histogram.brush(24, 36)
    histogram.brush(36, 36)
    assert heard == [[2, 3, 4]]
    histogram.show_bars(None, [], np.array([]))
    histogram.redraw()
    assert not histogram.figure.axes


@pytest.mark.gui
def test_dragging_with_the_mouse(table: pd.DataFrame, qtbot: Any) -> None:
    from qtpy.QtCore import QPoint, Qt

    histogram = Histogram()
    qtbot.addWidget(histogram)
    histogram.resize(400, 240)
    histogram.show()
    histogram.show_bars(count_bars(table, "min_feret_um"), [], np.array([]))
    histogram.redraw()
    histogram.draw()
    (axes,) = histogram.figure.axes
    heard: list[list[int]] = []
    histogram.brushed.connect(lambda labels: heard.append(labels.tolist()))

    def point(size: float) -> QPoint:
        x, y = axes.transData.transform((size, 0.5)) / histogram.device_pixel_ratio
        return QPoint(round(x), round(histogram.height() - y))

    left = Qt.MouseButton.LeftButton
    qtbot.mouseMove(histogram, point(28))
    qtbot.mousePress(histogram, left, pos=point(28))
    qtbot.mouseMove(histogram, point(38))
    qtbot.mouseRelease(histogram, left, pos=point(38))
    assert heard == [[3, 4]]
