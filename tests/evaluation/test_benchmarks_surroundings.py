"""Benchmarks of nuclei, tissue and artefacts, on a reader that knows the truth."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile

from biopsy_ai.evaluation.grids import LabelField
from biopsy_ai.measure.fibers import CUT_BY_BORDER
from biopsy_ai.synthesis import SectionParams, SyntheticSection, preset, synthesize_section
from biopsy_ai.tissue_classes import BACKGROUND, FAT, FIBER, TISSUE_CLASSES

HALF = (0.5, 0.5)


def rows_of(table: str) -> list[dict[str, str]]:
    header, _, *rows = (
        [cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()
    )
    return [dict(zip(header, row, strict=True)) for row in rows]


@pytest.fixture(scope="module")
def section() -> SyntheticSection:
    params = SectionParams(preset("dystrophy"), stain="he", size_um=(200.0, 200.0))
    return synthesize_section(params, 900_000)


def perfect_reading(load: Callable[[str], Any], section: SyntheticSection) -> Any:
    """What an analyzer without a fault would give."""
    true = load("judged").true_percents(section)
    fibers = section.fibers[["label"]].assign(
        excluded="", touches_border=False, oblique=0.0, edge=0.0
    )
    where = Path("section.tif")
    return load("readings").Reading(
        LabelField(where, section.labels, HALF),
        LabelField(where, section.nuclei_labels, HALF),
        LabelField(where, section.tissue[1::2, 1::2], (1.0, 1.0)),
        fibers,
        {
            "tissue": {"fat_percent": true["fat"], "connective_percent": true["connective"]},
            "nuclei": {"assessable": True, "internal_fiber_percent": true["internal"]},
        },
    )


def test_a_perfect_reading_meets_the_goals(
    load: Callable[[str], Any], section: SyntheticSection
) -> None:
    judged, surroundings = load("judged"), load("surroundings")
    reading = perfect_reading(load, section)
    cases = [
        judged.judge_section(part, "dystrophy", section, reading)
        for part in ("conditions", "fractions")
    ]
    assert cases[0].nuclei.at(0.5).f1 == 1
    assert cases[0].classes.mean_iou == 1
    assert [cases[0].error(name) for name in judged.MEASURES] == [0, 0, 0]
    found = {
        row["what"]: row[""] for row in rows_of(surroundings.goal_table(cases, pd.DataFrame()))
    }
    assert len(found) == 5
    assert set(found.values()) == {"met"}
    text = surroundings.report(cases, pd.DataFrame())
    assert "## Conditions" in text
    assert "## Fractions" in text


def test_faults_are_seen(load: Callable[[str], Any], section: SyntheticSection) -> None:
    judged, surroundings = load("judged"), load("surroundings")
    reading = perfect_reading(load, section)
    found = reading.nuclei.labels.copy()
    found[:, :200] = 0
    reading = replace(
        reading,
        nuclei=replace(reading.nuclei, labels=found),
        classes=replace(reading.classes, labels=np.full_like(reading.classes.labels, FIBER)),
        summary={"tissue": {"fat_percent": 50.0}, "nuclei": {"assessable": False}},
    )
    case = judged.judge_section("fractions", "dystrophy", section, reading)
    assert 0.2 < case.nuclei.at(0.5).recall < 0.8
    assert case.nuclei.at(0.5).precision > 0.9
    assert case.classes.mean_iou < 0.3
    assert case.error("fat") == pytest.approx(50 - case.true["fat"])
    assert np.isnan(case.error("internal"))
    goals = rows_of(surroundings.goal_table([case], pd.DataFrame()))
    assert {row[""] for row in goals} == {"not met"}


def test_sections_beyond_the_range_of_a_goal_are_listed_apart(
    load: Callable[[str], Any], section: SyntheticSection
) -> None:
    judged, surroundings = load("judged"), load("surroundings")
    case = judged.judge_section("fractions", "dystrophy", section, perfect_reading(load, section))
    scarce = replace(
        case,
        true=case.true | {"connective": 2.9},
        found=case.found | {"connective": 6.0},
    )
    lowest = replace(scarce, true=case.true | {"connective": 3.0})

    def connective(*cases: Any) -> dict[str, tuple[str, str]]:
        rows = rows_of(surroundings.goal_table(list(cases), pd.DataFrame()))
        return {
            row["what"]: (row["found"], row[""])
            for row in rows
            if row["what"].startswith("connective")
        }

    assert connective(case, scarce) == {
        "connective, 3–40 %, error in points": ("worst 0.0, mean 0.0, 1 of 1 within 2", "met"),
        "connective, beyond that range": ("worst 3.1, mean 3.1, 0 of 1 within 2", ""),
    }
    (found,) = connective(case, lowest).values()
    assert found == ("worst 3.0, mean 1.5, 1 of 2 within 2", "not met")


def test_stains_without_nuclei_must_not_be_assessed(
    load: Callable[[str], Any], section: SyntheticSection
) -> None:
    judged, surroundings = load("judged"), load("surroundings")
    blind = replace(section, params=replace(section.params, stain="sdh"))
    reading = perfect_reading(load, section)
    case = judged.judge_section("conditions", "normal", blind, reading)
    assert case.nuclei is None
    assert np.isnan(case.true["internal"])
    goals = rows_of(surroundings.goal_table([case], pd.DataFrame()))
    (goal,) = (row for row in goals if "not assessable" in row["what"])
    assert goal["found"] == "0 of 1 sections"
    assert goal[""] == "not met"
    (row,) = rows_of(surroundings.condition_table([case]))
    assert row["nuclei"] == "not seen, said assessable in 1 of 1"


@pytest.mark.parametrize("kind", ["fold", "tear", "ink", "crush", "ice", "blur", "oblique", "none"])
def test_planted_artefacts_hit_some_fibers(load: Callable[[str], Any], kind: str) -> None:
    planted = load("planted").draw_planted(kind, "normal", "he", 900_001, 240.0)
    assert len(planted.share) == len(planted.clean) == len(planted.section.fibers)
    assert not (planted.clean & (planted.share >= load("planted").IN_SHARE)).any()
    assert (planted.share >= load("planted").IN_SHARE).any() == (kind != "none")
    if kind == "none":
        assert planted.clean.all()
    if kind == "oblique":
        assert (planted.share == 1).all()


def test_flags_are_counted(load: Callable[[str], Any], section: SyntheticSection) -> None:
    planted = load("planted")
    n = len(section.fibers)
    share, clean = np.zeros(n), np.ones(n, dtype=bool)
    inner = np.setdiff1d(section.fibers["label"], load("judged").border_labels(section.labels))
    hit, missed, slipped, false = inner[:4]
    for label in (hit, missed, slipped):
        share[label - 1], clean[label - 1] = 0.5, False
    case = planted.Planted("fold", "dystrophy", section, share, clean)
    reading = perfect_reading(load, section)
    fibers = reading.fibers.set_index("label")
    fibers.loc[hit, "excluded"] = f"{CUT_BY_BORDER}; in an artefact"
    fibers.loc[false, "oblique"] = 0.9
    fibers.loc[inner[4], "excluded"] = CUT_BY_BORDER
    fibers.loc[inner[4], "touches_border"] = True
    fibers = fibers.drop(index=missed)
    labels = np.where(section.labels == missed, 0, section.labels)
    reading = replace(
        reading, labels=replace(reading.labels, labels=labels), fibers=fibers.reset_index()
    )
    rows = planted.judge_flags(case, reading)
    assert len(rows) == len(inner) - 1, "what the border of the image cuts does not count"
    found = planted.summarize_flags(rows)
    assert found["n_hit"] == 3
    assert found["outlined"] == pytest.approx(2 / 3)
    assert found["flagged"] == pytest.approx(1 / 2)
    assert found["kept_out"] == pytest.approx(2 / 3)
    assert found["clean_flagged"] == pytest.approx(1 / (len(inner) - 4))
    (row,) = rows_of(load("surroundings").flag_table(rows))
    assert row["flagged of the outlined"] == "50.0 %"


def test_an_outline_must_hold_half_of_a_fiber(load: Callable[[str], Any]) -> None:
    labels = np.repeat(np.array([[1, 2, 3]], dtype=np.int32), 10, axis=0)
    found = np.zeros_like(labels)
    found[:6, 0] = 7
    found[6:, 0] = 8
    found[:4, 1] = 9
    assert load("planted").outline_of(found, labels, 3).tolist() == [7, 0, 0]


def write_roiset(path: Path, squares: dict[str, tuple[int, int]]) -> None:
    roifile = pytest.importorskip("roifile")
    with zipfile.ZipFile(path, "w") as archive:
        for name, (x, y) in squares.items():
            ring = np.array([(x, y), (x + 20, y), (x + 20, y + 20), (x, y + 20)], dtype=float)
            roi = roifile.ImagejRoi.frompoints(ring, name=name)
            archive.writestr(f"{name}.roi", roi.tobytes())


def test_published_classes_are_compared_fiber_by_fiber(
    load: Callable[[str], Any], tmp_path: Path
) -> None:
    datasets, nuclei = load("datasets"), load("nuclei")
    labels = np.zeros((100, 100), dtype=np.int32)
    places = {1: (5, 5), 2: (35, 5), 3: (65, 5), 4: (5, 65)}
    for label, (x, y) in places.items():
        labels[y : y + 24, x : x + 24] = label
    mask = np.zeros(labels.shape, dtype=np.uint8)
    mask[10:16, 10:16] = 255
    tifffile.imwrite(tmp_path / "a_fibers.tif", labels.astype(np.uint16))
    tifffile.imwrite(tmp_path / "a_nuclei_mask.tif", mask)
    names = {"1_Normal": (37, 7), "2_Abnormal": (7, 7), "3_Abnormal": (67, 7)}
    write_roiset(tmp_path / "a_RoiSet_classified.zip", names)
    section = datasets.Section(
        "a", tmp_path / "a.tif", tmp_path / "a_fibers.tif", 0.5, "he", None, "development"
    )
    table = pd.DataFrame({"label": [1, 2, 3, 4]})
    table["is_centrally_nucleated"] = pd.array([True, False, False, True], dtype="boolean")
    table["n_internal_nuclei"] = pd.array([1, 0, 2, 1], dtype="Int64")

    def reader(path: Path, mpp: float, stain: str, channels: dict[str, int]) -> Any:
        return load("readings").Reading(
            LabelField(path, labels, HALF),
            LabelField(path, (mask > 0).astype(np.int32), HALF),
            None,
            table,
        )

    rows = rows_of(nuclei.central_table([section], reader))
    assert [row["image"] for row in rows] == ["a", "all development"]
    assert rows[0]["nuclei: mask Dice"] == "1.000"
    assert (rows[0]["fibers with a class"], rows[0]["matched"]) == ("3", "3")
    assert rows[0]["agree (central)"] == "66.7 %"
    assert rows[0]["agree (any internal)"] == "100.0 %"
    assert rows[0]["≥ 85%, Dice ≥ 0.75"] == "not met"


def test_tiles_of_nuclei_and_fat_are_listed_and_judged(
    load: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nuclei, fat = load("nuclei"), load("fat")
    labels = np.zeros((40, 40), dtype=np.int32)
    labels[5:15, 5:15], labels[20:30, 20:30] = 1, 2
    tifffile.imwrite(tmp_path / "n_labels.tif", labels.astype(np.uint16))
    tiles = tmp_path / "tiles.yaml"
    tiles.write_text(
        "nuclei:\n  - {image: n_img.png, labels: n_labels.tif, mpp: 0.25}\n"
        "fat:\n  - {image: s/fat_1.jpg, is_fat: true, use: held back, mpp: 0.5}\n"
        "  - {image: s/none_1.jpg, is_fat: false, use: train, mpp: 0.5}\n"
    )
    monkeypatch.setattr(nuclei, "TILES", tiles)
    monkeypatch.setattr(fat, "TILES", tiles)

    def reader(path: Path, mpp: float, stain: str, channels: dict[str, int]) -> Any:
        classes = np.full((20, 20), FAT if path.stem == "fat_1" else BACKGROUND, dtype=np.uint8)
        classes[0] = FAT
        found = np.where(labels == 2, 0, labels)[::2, ::2]
        return load("readings").Reading(
            LabelField(path, found, HALF),
            LabelField(path, found, HALF),
            LabelField(path, classes, (1.0, 1.0)),
        )

    everything, worst = rows_of(nuclei.tile_table(tmp_path, reader))
    assert (everything["n true"], everything["R"], everything["F1"]) == ("2", "0.500", "0.667")
    assert everything["F1 ≥ 0.70"] == "not met"
    assert worst["tiles (then the worst)"] == "n_img"
    rows = rows_of(fat.fat_table(tmp_path, reader))
    assert [row["fat"] for row in rows] == ["100.0 %", "5.0 %"] * 2
    assert [row["use"] for row in rows] == ["held back", "train"] * 2
    assert [list(row.values())[-1] for row in rows] == ["met", "not met"] * 2


def test_the_list_of_tiles_names_each_once(load: Callable[[str], Any]) -> None:
    import yaml

    tiles = yaml.safe_load(load("nuclei").TILES.read_text(encoding="utf-8"))
    images = [entry["image"] for entry in [*tiles["nuclei"], *tiles["fat"]]]
    assert len(images) == len(set(images))
    assert not any(Path(image).is_absolute() for image in images)
    assert len(TISSUE_CLASSES) == 7


def test_earlier_speeds_are_read_from_what_was_printed(load: Callable[[str], Any]) -> None:
    tables, speed = load("tables"), load("speed")
    before = "2 cores\n\n" + tables.markdown(
        ("section", "s per mm²"), [("1.5 mm field", "1.00"), ("0.1 cm²", "0.70"), ("9", "1")]
    )
    now = tables.markdown(("section", "s per mm²"), [("1.5 mm field", "1.20"), ("0.1 cm²", "1.00")])
    rows = rows_of(speed.compare(now, before + "\n\n| other | table |"))
    assert [row["speed of before"] for row in rows] == ["83 %", "70 %"]
    assert [row["≥ 80 %"] for row in rows] == ["met", "not met"]
