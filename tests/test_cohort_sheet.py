"""A sample sheet from the command line to the tables, on drawn sections of a block."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from drawn_blocks import draw_serial_section, draw_tissue
from typer.testing import CliRunner, Result

from biopsy_ai.cli import app
from biopsy_ai.cohort_sheet import analyze_sheet
from biopsy_ai.errors import ConfigError

pytestmark = pytest.mark.usefixtures("fake_network")

STAINS = {"a": "atpase:9.4", "b": "nadh", "other": "he"}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sections of a block and one of another, as pictures."""
    folder = tmp_path_factory.mktemp("drawn")
    tissue = draw_tissue(500.0, pitch_um=50.0, seed=1)
    sections = {
        "a": draw_serial_section(tissue, gap_um=5.0),
        "b": draw_serial_section(tissue, gap_um=5.0, angle_deg=170.0, mirrored=True),
        "other": draw_serial_section(draw_tissue(500.0, pitch_um=50.0, seed=7), gap_um=5.0),
    }
    for name, labels in sections.items():
        image = np.full((*labels.shape, 3), 245, np.uint8)
        image[labels > 0] = (220, 120, 150)
        image[(labels > 0) & (labels % 2 == 0)] = (150, 90, 110)
        tifffile.imwrite(
            folder / f"{name}.tif", image, resolution=(1e4, 1e4), resolutionunit="CENTIMETER"
        )
    return folder


@pytest.fixture
def folder(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn, tmp_path / "slides"))


def write_sheet(folder: Path, *rows: str, header: str = "path;block;stain;mpp;sex;note") -> Path:
    path = folder / "sections.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8-sig")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["analyze", *map(str, arguments)])


def test_a_block_from_the_command_line(folder: Path, tmp_path: Path) -> None:
    sheet = write_sheet(folder, "a.tif;B1;atpase 9.4;1,0;f;good", "", "b.tif;B1;nadh;1,0;f;")
    result = run(sheet, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    assert "block B1: a + b:" in said
    assert "mirrored" in said
    assert "% of those in both" in said
    assert "the columns note are none that biopsy-ai knows" in said

    found = json.loads((tmp_path / "out" / "B1" / "registration.json").read_text())
    (pair,) = found["pairs"]
    assert pair["fits"]
    assert pair["mirrored"]
    assert pair["matched_share"] > 0.9
    assert abs(pair["angle_deg"] - 170) < 2
    table = pd.read_csv(tmp_path / "out" / "B1" / "fibers.csv")
    assert (table["n_sections"] == 2).sum() == pair["n_matched"]
    assert {"atpase_9.4_area_um2", "nadh_area_um2", "type"} <= set(table)
    cohort = pd.read_csv(tmp_path / "out" / "cohort.csv", keep_default_na=False)
    assert list(cohort["block"]) == ["B1", "B1"]
    assert list(cohort["note"]) == ["good", ""]
    assert list(cohort["stain"]) == ["atpase:9.4", "nadh"]
    summary = json.loads((tmp_path / "out" / "a" / "summary.json").read_text())
    assert summary["provenance"]["configuration"]["sex"] == "female"

    again = run(sheet, "--out", tmp_path / "out")
    assert again.exit_code == 0, again.output
    assert again.output.count("same result already there") == 3


def test_a_pair_that_does_not_fit_is_an_error_of_the_block(folder: Path, tmp_path: Path) -> None:
    sheet = write_sheet(folder, "a.tif;B1;nadh;1;;", "other.tif;B1;he;1;;")
    result = run(sheet, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "block B1: failed: a and other do not fit on each other" in result.output
    # the sections were analyzed singly
    assert (tmp_path / "out" / "a" / "summary.json").exists()
    assert (tmp_path / "out" / "other" / "summary.json").exists()
    assert not (tmp_path / "out" / "B1" / "fibers.csv").exists()
    again = run(sheet, "--out", tmp_path / "out")
    assert again.exit_code == 1
    assert "block B1: failed: a and other do not fit on each other" in again.output


def test_broken_rows_do_not_stop_the_rest(folder: Path, tmp_path: Path) -> None:
    (folder / "broken.tif").write_text("no image")
    rows = ["a.tif;B1;;1;;", "broken.tif;B1;;1;;", "gone.tif;;;1;;", "b.tif;B1;;1;;"]
    outcomes, (block,) = analyze_sheet(write_sheet(folder, *rows), tmp_path / "out")
    assert [outcome.status for outcome in outcomes] == ["ok", "failed", "failed", "ok"]
    assert "broken.tif" in outcomes[1].reason
    assert block.status == "failed"
    assert block.reason == "broken.tif could not be analyzed."
    # the two others are joined
    assert block.folder is not None
    assert (block.folder / "fibers.csv").exists()


def test_blocks_and_slides_of_one_name_keep_apart(folder: Path, tmp_path: Path) -> None:
    sheet = write_sheet(folder, "a.tif;A;nadh;1;;", "b.tif;A;sdh;1;;", "other.tif;;;1;;")
    outcomes, (block,) = analyze_sheet(sheet, tmp_path / "out")
    assert outcomes[0].folder == tmp_path / "out" / "a"
    assert block.folder == tmp_path / "out" / "A_block"
    shutil.copy(folder / "other.tif", folder / "A_block.tif")
    more = write_sheet(folder, "A_block.tif;;;1;;")
    ((outcome,), blocks) = analyze_sheet(more, tmp_path / "out")
    assert outcome.folder == tmp_path / "out" / "A_block_2"
    assert blocks == []


@pytest.mark.parametrize(
    ("more", "words"),
    [(["b.tif"], "stands alone"), (["--fibers", "x.tif"], "goes with one slide")],
)
def test_a_sheet_stands_alone(folder: Path, more: list[str], words: str) -> None:
    sheet = write_sheet(folder, "a.tif;;;1;;")
    result = run(sheet, *more)
    assert result.exit_code == 2
    assert words in " ".join(result.output.split())


def test_a_bad_cell_stops_before_anything_is_done(folder: Path, tmp_path: Path) -> None:
    sheet = write_sheet(folder, "a.tif;;;1;;", "b.tif;;giemsa;1;;")
    result = run(sheet, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "line 3, column stain" in result.output
    assert not (tmp_path / "out").exists()
    with pytest.raises(ConfigError):
        analyze_sheet(sheet, tmp_path / "out")
