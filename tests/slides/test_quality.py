from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

from biopsy_ai.errors import Cancelled
from biopsy_ai.slides import open_slide, tissue_mask
from biopsy_ai.slides.quality import (
    BLURRED,
    BY_CLASS,
    BY_DENSITY,
    FOLDED,
    PALE,
    SATURATED,
    TILE_COLUMNS,
    TORN,
    focus_around,
    measure_quality,
    quality_limits,
)
from biopsy_ai.slides.quality_summary import ARTEFACT_AREA, exclusions_at, summarize_quality
from biopsy_ai.tissue_classes import ARTEFACT, BACKGROUND, FIBER

HIGH, WIDE = 500, 1000
TILE = 100


def densities() -> np.ndarray:
    """Draw round fibers of 46 µm in pixels of 1 µm, pink on a paler ground."""
    y, x = np.indices((HIGH, WIDE)) % 50 - 24.5
    fiber = np.hypot(y, x) < 23
    noise = np.random.default_rng(0).normal(1, 0.03, (HIGH, WIDE))
    density = (np.where(fiber, 0.3, 0.1) * noise)[..., None] * (0.3, 1.0, 0.7)
    density[:, -15:] = 0  # glass, by which white is told
    return density


def picture(density: np.ndarray) -> np.ndarray:
    return np.clip(250 * 10**-density, 0, 255).astype(np.uint8)


def measure(tmp_path, image: np.ndarray, mpp: float = 1.0, **options) -> pd.DataFrame:
    path = tmp_path / "section.tif"
    tifffile.imwrite(path, image, photometric="rgb" if image.ndim == 3 else "minisblack")
    with open_slide(path, mpp=mpp) as slide:
        return measure_quality(slide, tissue_mask(slide), **options)


def test_clean_section(tmp_path) -> None:
    stages = []
    tiles = measure(tmp_path, picture(densities()), progress=lambda *stage: stages.append(stage))
    assert tuple(tiles.columns) == TILE_COLUMNS
    assert len(tiles) == 50
    assert tiles[["y_um", "x_um"]].to_numpy().tolist()[1] == [0, TILE]
    assert (tiles["excluded"] == "").all()
    assert (tiles["edge_width_um"] < 4).all()
    # the middle of a fiber absorbs 0.3, 0.09 and 0.21
    assert tiles["stain_strength"].to_numpy() == pytest.approx(0.2, rel=0.1)
    assert (tiles[["saturated_share", "artefact_share"]] == 0).all(axis=None)
    assert (tiles["tear_share"] < 0.16).all()  # the strip of glass
    assert stages[0] == ("quality", 0, 1)
    assert stages[-1] == ("quality", 1, 1)
    summary = summarize_quality(tiles)
    assert summary["excluded_percent"] == 0
    assert summary["too_much_excluded"] is False
    json.dumps(summary, allow_nan=False)


def test_each_defect_is_found_where_it_is(tmp_path) -> None:
    density = densities()
    density[:, :300] = ndimage.gaussian_filter(density[:, :300], (5, 5, 0))
    density[:200, 700:900] *= 1.9
    density[400:, 600:800] = 0.0
    density[400:, 600:800:20] = 0.3
    image = picture(density)
    image[400:480, 500:580] = 0
    tiles = measure(tmp_path, image)
    assert (tiles["artefact_from"] == "density").all()
    excluded = tiles.set_index(["y_um", "x_um"])["excluded"]
    assert excluded.loc[200, 100] == BLURRED
    assert excluded.loc[0, 800] == FOLDED
    assert excluded.loc[400, 700] == TORN
    assert excluded.loc[400, 500] == SATURATED
    assert (excluded.loc[[(300, 900), (300, 500), (400, 900)]] == "").all()
    summary = summarize_quality(tiles)
    assert summary["excluded_percent"] == pytest.approx(sum(summary["excluded"].values()))
    assert summary["excluded"][FOLDED] == pytest.approx(8, abs=1)
    assert ARTEFACT_AREA not in summary["excluded"]
    found = exclusions_at(tiles, np.array([250.0, 490.0]), np.array([150.0, 990.0]))
    assert found.tolist() == [BLURRED, ""]


def test_wide_areas_are_hardly_stained_and_groups_of_pale_fibers_are_not(tmp_path) -> None:
    density = np.tile(densities(), (2, 2, 1))
    density[:200, :200] *= 0.25
    density[:, 1300:] *= 0.25
    tiles = measure(tmp_path, picture(density))
    assert tiles.loc[0, "stain_strength"] < 0.4 * tiles["stain_strength"].median()
    pale = tiles["excluded"] == PALE
    assert pale[tiles["x_um"] >= 1600].all()
    assert not pale[tiles["x_um"] <= 1000].any()


def test_one_tile_alone_is_not_out_of_focus(tmp_path) -> None:
    density = densities()
    density[190:310, 190:310] = ndimage.gaussian_filter(density[190:310, 190:310], (5, 5, 0))
    tiles = measure(tmp_path, picture(density))
    limit = quality_limits()["edge_width_above_um"]["value"]
    assert (tiles["edge_width_um"] > limit).sum() == 1
    assert (tiles["excluded"] == "").all()


def test_with_a_class_map_no_whole_tile_is_left_out_for_a_fold(tmp_path) -> None:
    density = densities()
    density[:200, 700:900] *= 1.9
    classes = np.full((HIGH // 2, WIDE // 2), FIBER, np.uint8)
    classes[:100, 350:450] = ARTEFACT
    classes[200:, :25] = BACKGROUND
    tiles = measure(tmp_path, picture(density), classes=classes, classes_mpp=(2.0, 2.0))
    assert (tiles["artefact_from"] == "class map").all()
    assert (tiles["excluded"] == "").all()
    shares = tiles.set_index(["y_um", "x_um"])
    assert shares.loc[(0, 800), "artefact_share"] == 1
    assert shares.loc[(200, 800), "artefact_share"] == 0
    assert shares.loc[(400, 0), "tear_share"] == pytest.approx(0.5)
    summary = summarize_quality(tiles)
    assert summary["excluded"] == {ARTEFACT_AREA: pytest.approx(8, abs=0.5)}
    assert summary["excluded_percent"] == pytest.approx(8, abs=0.5)


@pytest.mark.parametrize("known_from", [BY_CLASS, BY_DENSITY])
def test_flat_ink_does_not_put_its_surroundings_out_of_focus(known_from: str) -> None:
    y, x = (100.0 * place.ravel() for place in np.indices((5, 5)))
    tiles = pd.DataFrame({"y_um": y, "x_um": x, "edge_width_um": 4.0, "artefact_share": 0.0})
    tiles["artefact_from"] = known_from
    ink = (y == 200) & (x >= 200)
    tiles.loc[ink, ["edge_width_um", "artefact_share"]] = [25.0, 0.9]  # the width of its noise
    widths = focus_around(tiles)
    assert (widths[ink] > 6).all()
    if known_from == BY_CLASS:
        assert widths[~ink] == pytest.approx(4)
    else:
        assert (widths[~ink] > 6).any(), "where ink is not known, blur may reach on"


def test_glass_has_no_tiles(tmp_path) -> None:
    density = densities()
    density[:, 450:] = 0
    tiles = measure(tmp_path, picture(density))
    assert tiles["x_um"].max() == 4 * TILE
    part = tiles[tiles["x_um"] == 4 * TILE]
    assert part["tissue_share"].to_numpy() == pytest.approx(0.5, abs=0.12)
    assert (part["tear_share"] < 0.05).all()


def test_tiles_are_in_micrometers(tmp_path) -> None:
    image = picture(densities())
    tiles = measure(tmp_path, image, mpp=2.0)
    assert len(tiles) == 10 * 20
    assert tiles["width_um"].to_numpy() == pytest.approx(TILE)
    assert tiles["x_um"].max() == 2 * WIDE - TILE


def test_fluorescence(tmp_path) -> None:
    border = np.where(densities()[..., 1] < 0.2, 3000.0, 300.0)
    border += np.random.default_rng(0).normal(0, 20, border.shape)
    border[:TILE, :TILE] = np.clip(border[:TILE, :TILE] * 3, 0, 4095)
    tiles = measure(tmp_path, border.clip(0).astype(np.uint16))
    assert tiles["excluded"].tolist() == [SATURATED] + [""] * 49
    assert tiles["saturated_share"].to_numpy()[1:] == pytest.approx(0)
    assert tiles[["artefact_share", "tear_share"]].isna().all(axis=None)
    summary = summarize_quality(tiles)
    assert summary["median"]["artefact_share"] is None
    json.dumps(summary, allow_nan=False)


def test_it_can_be_cancelled(tmp_path) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        measure(tmp_path, picture(densities()), progress=stop)


def test_every_limit_has_a_source_and_a_mark() -> None:
    for name, entry in quality_limits().items():
        assert entry["value"] > 0, name
        assert len(entry["source"]) > 10, name
        assert entry["mark"] in ("P", "S", "M", "D", "E", "default"), name
