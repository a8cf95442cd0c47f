from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest

from biopsy_ai.errors import OutputError
from biopsy_ai.formats.qupath import TYPE_COLORS
from biopsy_ai.measure.brooke_engel import atrophy_factor, hypertrophy_factor
from biopsy_ai.measure.reference import Limits
from biopsy_ai.report import size_figure
from biopsy_ai.report.size_figure import ALL, sizes_by_type, write_sizes


@pytest.fixture
def table() -> pd.DataFrame:
    """150 fibers of type I, 120 of IIA, 30 of IIX; ten of type I are left out."""
    rng = np.random.default_rng(5)
    types = ["I"] * 150 + ["IIA"] * 120 + ["IIX"] * 30
    excluded = ["torn" if i < 10 else "" for i in range(300)]
    return pd.DataFrame(
        {"type": types, "min_feret_um": rng.normal(55, 12, 300), "excluded": excluded}
    )


@pytest.fixture
def written(monkeypatch) -> list[str]:
    """What a figure says, in order."""
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    said: list[str] = []
    for of in (Axes, Figure):
        plain = of.text

        def text(self, x, y, s, *args, _plain=plain, **kwargs):
            said.append(s)
            return _plain(self, x, y, s, *args, **kwargs)

        monkeypatch.setattr(of, "text", text)
    return said


def image_of(path) -> np.ndarray:
    return cv2.imread(str(path))[:, :, ::-1].astype(int)


def count(image: np.ndarray, color: tuple[int, int, int]) -> int:
    return int((np.abs(image - color).max(axis=2) < 8).sum())


def test_types_with_enough_fibers_have_a_histogram(table) -> None:
    sizes = sizes_by_type(table)
    assert {name: len(of_type) for name, of_type in sizes.items()} == {"I": 140, "IIA": 120}
    table.loc[[20, 21], "min_feret_um"] = np.nan
    assert len(sizes_by_type(table)["I"]) == 138
    few = sizes_by_type(table, Limits({"min_fibers": 30}))
    assert list(few) == ["I", "IIA", "IIX"]


def test_without_types_all_fibers_stand_together(table) -> None:
    assert {name: len(x) for name, x in sizes_by_type(table.drop(columns="type")).items()} == {
        ALL: 290
    }
    assert list(sizes_by_type(table.assign(type=""))) == [ALL]
    assert list(sizes_by_type(table.assign(type="undetermined"))) == [ALL]
    assert list(sizes_by_type(table[100:220])) == [ALL]


def test_too_few_fibers_have_none(table) -> None:
    assert sizes_by_type(table[:100]) == {}
    assert sizes_by_type(table[:0]) == {}
    assert sizes_by_type(table[:0], Limits({"min_fibers": 0})) == {}


def test_each_type_has_a_panel_in_its_color_and_its_numbers(tmp_path, table, written) -> None:
    sizes = sizes_by_type(table)
    write_sizes(tmp_path / "s.png", sizes, sex="male", title="Schnitt $1$ 肌")
    image = image_of(tmp_path / "s.png")
    for name, color in TYPE_COLORS.items():
        assert (count(image, color) > 3000) == (name in sizes)
    panels = [text for text in written if "fibers\n" in text]
    assert len(panels) == 2
    low, high = (
        factor(sizes["I"], limit)
        for factor, limit in ((atrophy_factor, 40.0), (hypertrophy_factor, 80.0))
    )
    assert panels[0].split("\n") == [
        "140 fibers",
        f"mean {sizes['I'].mean():.1f} µm (dashed)",
        f"VC {1000 * sizes['I'].std(ddof=1) / sizes['I'].mean():.0f} (normal below 250)",
        f"atrophy factor {low:.0f}",
        f"hypertrophy factor {high:.0f}",
    ]
    assert any(text.startswith("Shaded: normal, 40–80 µm (Dubowitz") for text in written)
    assert any("for research use only" in text for text in written)
    assert count(image, (229, 229, 229)) > 20_000


@pytest.mark.parametrize("known", [{"sex": None}, {"sex": "female", "age": 6.0}])
def test_without_limits_that_fit_there_is_no_band(tmp_path, table, written, known) -> None:
    write_sizes(tmp_path / "s.png", sizes_by_type(table), **known)
    assert not [text for text in written if "factor" in text or "Shaded" in text]
    assert [text for text in written if text.startswith("Normal sizes")]
    assert count(image_of(tmp_path / "s.png"), (229, 229, 229)) < 3000


def test_a_few_huge_fibers_do_not_squeeze_the_rest(table) -> None:
    sizes = sizes_by_type(table.drop(columns="type"))
    assert size_figure._bins(sizes)[-1] == pytest.approx(sizes[ALL].max(), abs=5)
    sizes = {ALL: np.append(sizes[ALL], 900.0)}
    edges = size_figure._bins(sizes)
    assert 100 < edges[-1] < 250
    assert (np.diff(edges) == 5).all()
    assert "last bin: 1 of" in size_figure._figures(sizes[ALL], edges, None, Limits())[-1]


def test_a_figure_that_cannot_be_written_is_reported(tmp_path, table) -> None:
    with pytest.raises(OutputError):
        write_sizes(tmp_path / "nowhere" / "s.png", sizes_by_type(table))
