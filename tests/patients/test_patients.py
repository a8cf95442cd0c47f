"""Patients of hand-made runs, with known answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn_reviews import MPP, draw_bricks
from drawn_runs import Slide, draw_run

from biopsy_ai.cohort_table import Outcome, write_cohort
from biopsy_ai.config import AnalysisConfig
from biopsy_ai.errors import OutputError
from biopsy_ai.formats.label_image import write_label_image
from biopsy_ai.patients import collect, write_patients
from biopsy_ai.pipeline import analyze
from biopsy_ai.review import Review


def read(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "patients.csv", keep_default_na=False, dtype=str).set_index("patient")


def test_blocks_count_alike_however_many_sections_and_fibers(tmp_path: Path) -> None:
    slides = [
        Slide("a1", [40.0] * 10, "P1", "A"),
        Slide("a2", [60.0] * 500, "P1", "A"),
        Slide("b1", [20.0] * 10, "P1", "B"),
        Slide("other", [10.0, 30.0], "P2", "A"),
    ]
    written = write_patients(draw_run(tmp_path, slides))
    table = read(tmp_path)
    assert (written.n_rows, written.n_sections, written.left_out) == (2, 4, ())
    row = table.loc["P1"]
    assert float(row["mean_min_feret_um"]) == 35.0, "of 520 fibers the mean is 58.8"
    assert row["n_blocks"] == "2"
    assert row["n_sections"] == "3"
    assert row["n_fibers"] == row["n_measured"] == "520"
    assert row["mean_min_feret_um_interval"] == "2 blocks, few"
    assert float(row["mean_min_feret_um_low"]) == 20.0
    assert float(row["mean_min_feret_um_high"]) in (40.0, 60.0)
    assert row["sections"] == "A: a1; A: a2; B: b1"
    assert row["note"] == "Fewer than 5 blocks: intervals are likely too narrow."
    assert float(table.loc["P2", "mean_min_feret_um"]) == 20.0
    assert float(table.loc["P2", "internal_fiber_percent"]) == 50.0
    assert float(table.loc["P2", "atrophic_fiber_share"]) == 0.5


def test_excluded_fibers_do_not_count(tmp_path: Path) -> None:
    write_patients(draw_run(tmp_path, [Slide("a", [90.0, 90.0, 40.0, 60.0], "P", excluded=2)]))
    row = read(tmp_path).loc["P"]
    assert float(row["mean_min_feret_um"]) == 50.0
    assert (row["n_fibers"], row["n_measured"]) == ("4", "2")


def test_one_section_says_so(tmp_path: Path) -> None:
    diameters = np.random.default_rng(0).normal(50, 8, 200)
    write_patients(draw_run(tmp_path, [Slide("a", diameters, "P", "A", fat_percent=4.0)]))
    row = read(tmp_path).loc["P"]
    assert row["mean_min_feret_um_interval"] == "fibers of one section"
    assert float(row["mean_min_feret_um_low"]) < 50 < float(row["mean_min_feret_um_high"])
    assert row["fat_percent"] == "4"
    assert (row["fat_percent_low"], row["fat_percent_high"]) == ("", "")
    assert row["fat_percent_interval"] == "none: one section"
    assert "not how other sections or blocks would differ" in row["note"]


def test_one_block_says_so(tmp_path: Path) -> None:
    slides = [Slide(name, [v] * 30, "P", "A") for name, v in (("a", 40.0), ("b", 50.0))]
    write_patients(draw_run(tmp_path, slides))
    row = read(tmp_path).loc["P"]
    assert row["mean_min_feret_um_interval"] == "2 sections of one block"
    assert row["note"] == "One block: intervals do not tell how other blocks would differ."


def test_sections_of_no_named_block_are_one_block(tmp_path: Path) -> None:
    slides = [Slide(name, [v] * 30, "P") for name, v in (("a", 40.0), ("b", 50.0))]
    write_patients(draw_run(tmp_path, slides))
    row = read(tmp_path).loc["P"]
    assert (row["n_blocks"], row["sections"]) == ("1", "a; b")
    assert row["note"].startswith("Sections of no named block count as one block")


def test_verdicts_are_listed(tmp_path: Path) -> None:
    slides = [
        Slide("a", patient="P", block="A", verdict="Favours denervation"),
        Slide("b", patient="P", block="B", verdict="No abnormality"),
    ]
    write_patients(draw_run(tmp_path, slides))
    said = "a: Favours denervation (denervation 71); b: No abnormality (denervation 71)"
    assert read(tmp_path).loc["P", "verdicts"] == said


def test_slides_of_nobody_are_patients_of_their_own(tmp_path: Path) -> None:
    """One of them has the name of a patient."""
    slides = [Slide("a"), Slide("P"), Slide("b", patient="P")]
    write_patients(draw_run(tmp_path, slides))
    table = read(tmp_path)
    assert table["patient_named"].to_dict() == {"a": "false", "slide P": "false", "P": "true"}
    assert table.loc["a", "note"].startswith("No patient is named: the slide counts as one.")
    assert table.loc["P", "sections"] == "b"


def test_failed_slides_are_left_out_and_named(tmp_path: Path) -> None:
    slides = [
        Slide("a", [40.0], "P"),
        Slide("torn", patient="P", failed="is cut off"),
        Slide("gone", patient="Q", failed="is no image"),
    ]
    written = write_patients(draw_run(tmp_path, slides))
    table = read(tmp_path)
    assert [str(slide) for slide in written.failed] == [
        "torn.svs: is cut off",
        "gone.svs: is no image",
    ]
    assert not written.unreadable
    assert (table.loc["P", "n_left_out"], table.loc["P", "left_out"]) == (
        "1",
        "torn.svs: is cut off",
    )
    assert table.loc["P", "mean_min_feret_um"] == "40"
    row = table.loc["Q"]
    assert (row["n_sections"], row["mean_min_feret_um"], row["verdicts"]) == ("0", "", "")
    assert row["note"] == "No section could be used."


def test_damaged_and_lost_results_are_left_out_and_named(tmp_path: Path) -> None:
    out = draw_run(tmp_path, [Slide(name, [40.0, 50.0], "P") for name in "abcd"])
    (out / "b" / "fibers.csv").write_text("label,excluded\n1,")
    (out / "c" / "summary.json").unlink()
    (out / "d" / "fibers.csv").write_text("label,min_feret_um,area_um2,excluded\n1,9,9,\n")
    patients, parquet = collect(out)
    for written in (patients, parquet):
        assert written.n_sections == 1
        assert {slide.slide for slide in written.unreadable} == {"b.svs", "c.svs", "d.svs"}
    assert parquet.n_rows == 2
    row = read(out).loc["P"]
    assert (row["sections"], row["n_left_out"]) == ("a", "3")
    assert "not of the same analysis" in row["left_out"]


@pytest.mark.parametrize("column", ["note", "left_out", "n_blocks", "type_1_share_low"])
def test_a_column_of_the_sheet_never_takes_the_place_of_another(
    tmp_path: Path, column: str
) -> None:
    slides = [Slide(name, patient="P", sheet={column: "mine"}) for name in "ab"]
    collect(draw_run(tmp_path, slides))
    row = read(tmp_path).loc["P"]
    assert row[f"sheet_{column}"] == "mine"
    assert row[column] != "mine"


def test_the_sample_sheet_goes_along(tmp_path: Path) -> None:
    slides = [
        Slide("a", patient="P", sheet={"group": "1", "arm": "x"}, settings={"sex": "male"}),
        Slide("b", patient="P", sheet={"group": "1", "arm": "y"}, settings={"age": 61.0}),
    ]
    write_patients(draw_run(tmp_path, slides))
    row = read(tmp_path).loc["P"]
    assert (row["sheet_group"], row["arm"], row["sex"], row["age"]) == ("1", "x; y", "male", "61")


def test_the_intervals_of_a_patient_do_not_depend_on_others(tmp_path: Path) -> None:
    diameters = np.random.default_rng(0).normal(50, 8, 100)
    own = Slide("a", diameters, "P")
    write_patients(draw_run(tmp_path / "1", [own]))
    write_patients(draw_run(tmp_path / "2", [Slide("z", diameters, "O"), own]))
    pd.testing.assert_series_equal(read(tmp_path / "1").loc["P"], read(tmp_path / "2").loc["P"])
    write_patients(tmp_path / "1", seed=1)
    low = "mean_min_feret_um_low"
    assert read(tmp_path / "1").loc["P", low] != read(tmp_path / "2").loc["P", low]


@pytest.mark.parametrize("content", [None, "", "a,b\n1,2\n"])
def test_a_folder_without_a_cohort(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "cohort.csv").write_text(content)
    with pytest.raises(OutputError, match="Give the folder that biopsy-ai analyze wrote"):
        write_patients(tmp_path)
    assert not (tmp_path / "patients.csv").exists()


def test_what_a_review_says_counts_once_it_is_saved(tmp_path: Path) -> None:
    write_label_image(tmp_path / "labels.tif", draw_bricks(), (MPP, MPP))
    config = AnalysisConfig(patterns={"n_permutations": 99})
    out = tmp_path / "results"
    with analyze(None, config, fibers=tmp_path / "labels.tif") as analysis:
        folder = analysis.save(out / "bricks")
        outcome = Outcome(tmp_path / "labels.tif", "ok", folder, analysis.summary)
    write_cohort([outcome], out / "cohort.csv")

    def measured() -> tuple[str, str]:
        _, parquet = collect(out)
        fibers = pd.read_parquet(parquet.path)
        row = read(out).iloc[0]
        assert int(row["n_measured"]) == fibers["is_measured"].sum()
        assert fibers["reviewed"].all() == (row["n_reviewed"] == "1")
        return row["n_reviewed"], row["n_measured"]

    assert measured() == ("0", "30")
    with Review.open(folder, user="Ada") as review:
        review.exclude([1, 2], "torn")
        assert measured() == ("0", "30")
        review.save()
        assert measured() == ("1", "28")
        review.delete([3])
        assert measured() == ("1", "28")
        review.save()
        assert measured() == ("1", "27")
    (folder / "reviewed" / "fibers.tif").unlink()
    assert measured() == ("0", "30"), "an incomplete folder does not count"
