"""``biopsy-ai collect`` and ``biopsy-ai review`` on hand-made and drawn results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from drawn_reviews import MPP, draw_bricks
from drawn_runs import Slide, draw_run
from typer.testing import CliRunner, Result

import biopsy_ai.pipeline
from biopsy_ai.cli import app
from biopsy_ai.config import AnalysisConfig
from biopsy_ai.errors import OutputError
from biopsy_ai.formats.label_image import write_label_image
from biopsy_ai.pipeline import analyze
from biopsy_ai.review import Review


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    slides = [
        Slide("a", [40.0, 50.0], "P"),
        Slide("torn", patient="P", failed="is cut off"),
        Slide("b", [60.0], "Q"),
    ]
    return draw_run(tmp_path / "results", slides)


def test_both_tables_are_written_and_what_failed_is_named(out: Path) -> None:
    result = run("collect", out)
    assert result.exit_code == 0, result.output
    assert f"2 patients (2 sections) -> {out / 'patients.csv'}" in result.stdout
    assert f"3 fibers (2 sections) -> {out / 'fibers.parquet'}" in result.stdout
    assert "left out: torn.svs: is cut off" in result.stderr


def test_without_fibers(out: Path) -> None:
    assert run("collect", out, "--no-fibers-parquet", "--quiet").stdout == ""
    assert (out / "patients.csv").exists()
    assert not (out / "fibers.parquet").exists()


def test_results_that_are_lost_give_exit_code_1(out: Path) -> None:
    shutil.rmtree(out / "b")
    result = run("collect", out, "--quiet")
    assert result.exit_code == 1
    assert "left out: b.svs" in result.stderr
    assert "torn" not in result.stderr
    assert len(pd.read_parquet(out / "fibers.parquet")) == 2


def test_what_a_program_is_told(out: Path) -> None:
    result = run("collect", out, "--log", "json")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    tables = [event for event in events if event["event"] == "table"]
    assert [(t["rows"], t["sections"], t["left_out"]) for t in tables] == [
        (2, 2, ["torn.svs: is cut off"]),
        (3, 2, ["torn.svs: is cut off"]),
    ]


def test_a_folder_without_a_run(tmp_path: Path) -> None:
    result = run("collect", tmp_path)
    assert result.exit_code == 1
    assert "Give the folder that biopsy-ai analyze wrote" in result.stderr


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bricks")
    write_label_image(folder / "labels.tif", draw_bricks(), (MPP, MPP))
    config = AnalysisConfig(patterns={"n_permutations": 99})
    with analyze(None, config, fibers=folder / "labels.tif") as analysis:
        return analysis.save(folder / "results")


@pytest.fixture
def sections(analyzed: Path, tmp_path: Path) -> Path:
    """Results of three sections, two of which are reviewed; nothing of that is saved."""
    folder = tmp_path / "results"
    for name in ("a", "b", "c"):
        shutil.copytree(analyzed, folder / name)
    for name, labels in (("a", [1]), ("b", [1, 2])):
        with Review.open(folder / name, user="Ada") as review:
            review.exclude(labels, "torn")
            review.set_type([5], "IIA")
            review.undo()
    return folder


def n_measured(folder: Path) -> int:
    summary = json.loads((folder / "reviewed" / "summary.json").read_text())
    return int(summary["fibers"]["n_measured"])


def test_reviews_are_written_and_others_skipped(sections: Path) -> None:
    result = run("review", sections)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == f"a: 1 correction -> {sections / 'a' / 'reviewed'}"
    assert lines[1] == f"b: 1 correction -> {sections / 'b' / 'reviewed'}"
    assert lines[2] == "c: skipped, nobody reviewed it"
    assert (n_measured(sections / "a"), n_measured(sections / "b")) == (29, 28)
    assert not (sections / "c" / "reviewed").exists()


def test_a_section_that_is_being_reviewed_is_reported(sections: Path) -> None:
    log = (sections / "a" / "review.jsonl").read_bytes()
    with Review.open(sections / "a", user="Ada"):
        result = run("review", sections / "a", sections / "b", "--quiet")
    assert result.exit_code == 1
    assert "a: failed: " in result.stderr
    assert "is being reviewed by Ada" in result.stderr
    assert "1 of 2 failed" in result.stderr
    assert not (sections / "a" / "reviewed").exists()
    assert (sections / "a" / "review.jsonl").read_bytes() == log
    assert n_measured(sections / "b") == 28, "the others are written all the same"


def test_results_that_are_damaged_are_reported(sections: Path) -> None:
    (sections / "a" / "fibers.csv").unlink()
    result = run("review", sections)
    assert result.exit_code == 1
    assert "a: failed: " in result.stderr
    assert n_measured(sections / "b") == 28


def test_what_a_program_is_told_of_reviews(sections: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OutputError("the disk is full.")

    monkeypatch.setattr(biopsy_ai.pipeline, "reanalyze", full)
    result = run("review", sections / "a", sections / "c", "--log", "json")
    assert result.exit_code == 1
    events = [json.loads(line) for line in result.stdout.splitlines()]
    told = [(e["name"], e["state"], e["reason"]) for e in events if e["event"] == "section"]
    assert told == [
        ("a", "failed", "the disk is full."),
        ("c", "skipped", "skipped, nobody reviewed it"),
    ]


def test_the_folder_of_a_review_stands_for_its_section(sections: Path) -> None:
    assert run("review", sections / "a").exit_code == 0
    result = run("review", sections / "a" / "reviewed")
    assert result.stdout.startswith("a: 1 correction")


def test_bad_usage(sections: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for given in (tmp_path / "empty", tmp_path / "missing"):
        result = run("review", sections / "a", given)
        assert result.exit_code == 2
        assert "holds no results of a section" in " ".join(result.stderr.split())
    assert run("review", sections, "--slide", tmp_path / "x.svs").exit_code == 2
    assert not (sections / "a" / "reviewed").exists(), "nothing is done before"
