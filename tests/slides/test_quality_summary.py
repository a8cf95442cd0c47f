from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.slides.quality import BLURRED, BY_CLASS, BY_DENSITY, TILE_COLUMNS
from biopsy_ai.slides.quality_summary import ARTEFACT_AREA, exclusions_at, summarize_quality


def tiles(artefact_from: str) -> pd.DataFrame:
    """Two tiles out of focus side by side, and two sharp ones below, one with a fold."""
    table = pd.DataFrame({name: [0.0] * 4 for name in TILE_COLUMNS})
    table["y_um"], table["x_um"] = [0, 0, 100, 100], [0, 100, 0, 100]
    table["height_um"] = table["width_um"] = 100.0
    table["tissue_share"] = [1.0, 1.0, 1.0, 0.5]
    table["artefact_share"] = [0.3, 0.0, 0.0, 0.4]
    table["artefact_from"] = artefact_from
    table["excluded"] = [BLURRED, BLURRED, "", ""]
    return table


def test_what_lies_in_an_artefact_counts_where_it_is_known_by_pixel() -> None:
    summary = summarize_quality(tiles(BY_CLASS))
    assert summary["excluded"] == {
        BLURRED: pytest.approx(100 * 2 / 3.5),
        ARTEFACT_AREA: pytest.approx(100 * 0.2 / 3.5),
    }
    assert summary["excluded_percent"] == pytest.approx(100 * 2.2 / 3.5)
    assert summary["too_much_excluded"]
    assert summary["median"]["artefact_share"] == pytest.approx(0.15)
    assert list(summarize_quality(tiles(BY_DENSITY))["excluded"]) == [BLURRED]
    json.dumps(summary, allow_nan=False)


def test_fibers_share_the_fate_of_their_tile() -> None:
    places = np.array([50.0, 150.0, 150.0, 990.0]), np.array([150.0, 50.0, 150.0, 0.0])
    assert exclusions_at(tiles(BY_CLASS), *places).tolist() == [BLURRED, "", "", ""]


def test_no_tiles_at_all() -> None:
    empty = pd.DataFrame({name: pd.Series(dtype=float) for name in TILE_COLUMNS})
    summary = summarize_quality(empty)
    assert summary["n_tiles"] == 0
    assert summary["excluded_percent"] is None
    json.dumps(summary, allow_nan=False)
