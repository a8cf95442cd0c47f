from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from drawn_blocks import draw_serial_section, draw_tissue

from biopsy_ai.config import AnalysisConfig
from biopsy_ai.formats import write_csv, write_label_image
from biopsy_ai.serial.block import BlockSection, JoinedBlock, join_block
from biopsy_ai.serial.block_files import read_section, write_block
from biopsy_ai.serial.fiber_map import FiberMap, map_of


@cache
def fiber_map(name: str, seed: int = 0, **how: float) -> FiberMap:
    labels = draw_serial_section(draw_tissue(500.0, seed=seed), **how)  # type: ignore[arg-type]
    return map_of(labels, 1.0, name)


def table_of(section: FiberMap, p_i: float | None = None) -> pd.DataFrame:
    """Fiber table; even labels are type I, with a posterior."""
    table = pd.DataFrame({"label": section.ids, "area_um2": section.area_um2})
    table["centroid_y_um"], table["centroid_x_um"] = section.centers_um.T
    if p_i is not None:
        is_i = section.ids % 2 == 0
        table["p_I"] = np.where(is_i, p_i, 1 - p_i)
        table["p_II"] = 1 - table["p_I"]
        named = np.where(is_i, "I", "II") if p_i >= 0.8 else "undetermined"
        table["type"] = named
    return table


@cache
def block() -> JoinedBlock:
    first = fiber_map("first", missing=0.05)
    second = fiber_map("second", angle_deg=15.0, missing=0.05, seed=0, shift_um=(20.0, 10.0))
    other = fiber_map("other", seed=9)
    return join_block(
        [
            BlockSection("first", "atpase:9.4", table_of(first, 0.75), first),
            BlockSection("second", "nadh", table_of(second, 0.75), second),
            BlockSection("other", "nadh", table_of(other), other),
        ]
    )


def test_one_row_per_fiber() -> None:
    table = block().table
    both = table["n_sections"] == 2
    assert both.sum() > 50
    # a label is the number of the fiber in the drawn tissue
    assert (table["atpase_9.4_label"] == table["nadh_label"])[both].all()
    for prefix in ("atpase_9.4", "nadh"):
        labels = table[f"{prefix}_label"].dropna()
        assert labels.is_unique
    assert set(table["atpase_9.4_label"].dropna()) == set(block().sections[0].fibers.ids)
    assert set(table["nadh_label"].dropna()) == set(block().sections[1].fibers.ids)
    assert table["fiber"].tolist() == list(range(1, len(table) + 1))
    assert table["nadh_overlap"][both].between(0.4, 1).all()


def test_fibers_of_the_second_section_get_places_in_the_first() -> None:
    table = block().table
    alone = table["atpase_9.4_label"].isna()
    assert alone.any()
    y, x = table["nadh_centroid_y_um"][alone], table["nadh_centroid_x_um"][alone]
    turn = np.deg2rad(15)
    dy, dx = y - 250 - 20, x - 250 - 10
    expected = np.stack(
        [dy * np.cos(turn) + dx * np.sin(turn) + 250, -dy * np.sin(turn) + dx * np.cos(turn) + 250]
    )
    found = table.loc[alone, ["centroid_y_um", "centroid_x_um"]].to_numpy().T
    assert np.median(np.hypot(*(found - expected))) < 3


def test_types_are_combined() -> None:
    table = block().table
    both = table["n_sections"] == 2
    kinds = np.where(table["nadh_label"][both] % 2 == 0, "I", "II")
    # neither stain alone is sure
    assert (table["type"][both] == kinds).all()
    assert (table["type"][~both] == "undetermined").all()


def test_a_section_that_does_not_fit_is_left_out_and_named() -> None:
    (failure,) = block().failures
    assert "first and other do not fit" in failure.why_not
    assert list(block().joined) == [0, 1]
    assert not any(name.startswith("nadh_2_") for name in block().table)
    found = block().describe()
    assert [section["joined"] for section in found["sections"]] == [True, True, False]
    # tried on each of the two that are joined
    assert [pair["fits"] for pair in found["pairs"]] == [True, False, False]
    json.dumps(found, allow_nan=False)


def test_a_section_may_be_joined_by_way_of_another() -> None:
    wide = draw_tissue(900.0, seed=4)
    labels = draw_serial_section(wide)
    parts = [
        map_of(np.ascontiguousarray(labels[:, left : left + 450]), 1.0, name)
        for name, left in (("left", 0), ("right", 440), ("middle", 220))
    ]
    joined = join_block([BlockSection(p.name, "", table_of(p), p) for p in parts])
    assert list(joined.joined) == [0, 2, 1]
    assert joined.failures == []
    table = joined.table
    first, right = table["section_label"], table["section_2_label"]
    both = first.notna() & right.notna()
    assert (first == right)[both].all()
    # the middle shows fibers of either, and each has one row
    assert table["section_3_label"].dropna().is_unique
    pair = (table["section_3_label"].notna() & right.notna()).to_numpy()
    assert (table["section_3_label"] == right)[pair].all()
    assert pair.sum() > 40


def test_files(tmp_path: Path) -> None:
    about = {"block": "B1"}
    slides = {"first": (tmp_path / "gone.tif", AnalysisConfig())}
    content = write_block(tmp_path / "B1", block(), about=about, slides=slides)
    assert {path.name for path in (tmp_path / "B1").iterdir()} == {
        "fibers.csv",
        "registration.json",
        "registration_atpase_9.4_nadh.png",
    }
    written = json.loads((tmp_path / "B1" / "registration.json").read_text())
    assert written["block"] == "B1"
    assert written["pairs"] == content["pairs"]
    assert written["limits"]["serial_match_iou"]["mark"] == "E"
    table = pd.read_csv(tmp_path / "B1" / "fibers.csv")
    assert len(table) == len(block().table)
    assert table["n_sections"].max() == 2


def test_sections_are_read_from_their_results(tmp_path: Path) -> None:
    section = fiber_map("first", missing=0.05)
    write_label_image(tmp_path / "fibers.tif", section.labels, (1.0, 1.0))
    write_csv(tmp_path / "fibers.csv", table_of(section, 0.9).assign(excluded=""))
    found = read_section(tmp_path, "first", "nadh")
    np.testing.assert_array_equal(found.fibers.labels, section.labels)
    assert found.fibers.mpp == 1.0
    assert set(found.table["type"]) == {"I", "II"}
    assert (found.table["excluded"] == "").all()
