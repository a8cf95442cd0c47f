from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from drawn_scores import finding_of, summary_of
from drawn_sections import DrawnSection, draw_section

from biopsy_ai import analyze, cohort, cohort_table, slide_task
from biopsy_ai.cohort import Outcome, analyze_folder, analyze_many
from biopsy_ai.config import AnalysisConfig
from biopsy_ai.errors import Cancelled, ConfigError, OutlineReadError, OutputError, SlideReadError
from biopsy_ai.formats import write_csv
from biopsy_ai.review import Review

pytestmark = pytest.mark.usefixtures("fake_network")


def read_cohort(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "cohort.csv", keep_default_na=False)


def statuses(outcomes: list[Outcome]) -> list[str]:
    return [outcome.status for outcome in outcomes]


@pytest.fixture
def three_slides(tmp_path: Path) -> Path:
    """Write two good slides and, between them, one that is none."""
    folder = tmp_path / "slides"
    draw_section(folder, "a")
    draw_section(folder, "c")
    (folder / "b.tif").write_text("this is no image")
    return folder


def test_a_bad_slide_does_not_stop_the_rest(three_slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    outcomes = analyze_folder(three_slides, out)
    assert statuses(outcomes) == ["ok", "failed", "ok"]
    assert "b.tif" in outcomes[1].reason
    table = read_cohort(out)
    assert list(table["status"]) == ["ok", "failed", "ok"]
    assert "b.tif" in table["reason"][1]
    assert list(table["n_fibers"].astype(str)) == ["12", "", "12"]
    assert {path.name for path in out.iterdir()} == {
        "a",
        "c",
        "cohort.csv",
        "cohort.html",
        "run.json",
    }


def test_an_unexpected_error_is_recorded(
    three_slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = slide_task.analyze

    def fails_on_a(slide: Any, *args: Any, **options: Any) -> Any:
        if slide.name == "a":
            raise ZeroDivisionError("division by zero")
        return real(slide, *args, **options)

    monkeypatch.setattr(slide_task, "analyze", fails_on_a)
    outcomes = analyze_folder(three_slides, tmp_path / "results")
    assert statuses(outcomes) == ["failed", "failed", "ok"]
    assert "a.tif" in outcomes[0].reason
    assert "ZeroDivisionError" in outcomes[0].reason


@pytest.mark.parametrize("stop", [Cancelled("stopped"), KeyboardInterrupt()])
def test_stopping_ends_the_run(
    three_slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    def stops(*args: Any, **options: Any) -> Any:
        raise stop

    monkeypatch.setattr(slide_task, "analyze", stops)
    with pytest.raises(type(stop)):
        analyze_folder(three_slides, tmp_path / "results")
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["run.json"]


def test_table_is_written_after_every_slide(three_slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    lengths: list[int] = []
    analyze_folder(three_slides, out, on_outcome=lambda _: lengths.append(len(read_cohort(out))))
    assert lengths == [1, 2, 3]


def test_progress_counts_the_slides(three_slides: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    analyze_folder(three_slides, tmp_path / "out", progress=lambda *step: seen.append(step))
    assert [step for step in seen if step[0] == "slides"] == [
        ("slides", 0, 3),
        ("slides", 1, 3),
        ("slides", 2, 3),
    ]
    assert {"open", "tissue", "segment", "measure", "report"} <= {stage for stage, _, _ in seen}


@pytest.mark.parametrize("step", [("open", 0), ("open", 1), ("tissue", 0)])
def test_early_stages_can_be_cancelled(
    section: DrawnSection, tmp_path: Path, step: tuple[str, int]
) -> None:
    def stop(stage: str, done: int, total: int) -> None:
        if (stage, done) == step:
            raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        analyze_many([section.image], tmp_path / "out", progress=stop)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run.json"]


def test_slides_are_closed(
    section: DrawnSection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    real = slide_task.open_hashed
    monkeypatch.setattr(slide_task, "open_hashed", lambda *a: opened.append(real(*a)) or opened[-1])
    analyze_many([section.image], tmp_path / "out")
    analyze_many([section.image], tmp_path / "out")
    assert len(opened) == 2
    for slide in opened:
        with pytest.raises(SlideReadError, match="closed"):
            slide.read_region(0, 0, 0, 8, 8)


def test_a_folder_without_slides_is_one_failure(section: DrawnSection, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    outcomes = analyze_many([tmp_path / "empty", section.image], tmp_path / "out")
    assert statuses(outcomes) == ["failed", "ok"]
    assert "empty: the folder holds no slide" in outcomes[0].reason


def test_an_unreadable_folder_is_one_failure(
    section: DrawnSection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locked").mkdir()

    def locked(path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("biopsy_ai.slides.find_slides", locked)
    outcomes = analyze_many([tmp_path / "locked", section.image], tmp_path / "out")
    assert statuses(outcomes) == ["failed", "ok"]
    assert outcomes[0].reason.endswith("locked: cannot be read (Permission denied).")


def test_a_skipped_roiset_is_told_in_the_table(
    section: DrawnSection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("biopsy_ai.formats.imagej.HIGHEST", 20)
    out = tmp_path / "results"
    for status in ("ok", "skipped"):
        assert statuses(analyze_many([section.image], out)) == [status]
        (row,) = read_cohort(out).to_dict("records")
        assert "RoiSet.zip was not written" in row["warnings"]


class TestResume:
    def test_finished_slides_are_skipped(self, three_slides: Path, tmp_path: Path) -> None:
        out = tmp_path / "results"
        analyze_folder(three_slides, out)
        before = (out / "a" / "summary.json").stat().st_mtime_ns
        outcomes = analyze_folder(three_slides, out)
        assert statuses(outcomes) == ["skipped", "failed", "skipped"]
        assert (out / "a" / "summary.json").stat().st_mtime_ns == before
        assert list(read_cohort(out)["n_fibers"].astype(str)) == ["12", "", "12"]

    @pytest.mark.parametrize("name", ["fibers.csv", "RoiSet.zip", "overlay.png"])
    def test_a_missing_file_starts_it_again(
        self, section: DrawnSection, tmp_path: Path, name: str
    ) -> None:
        out = tmp_path / "results"
        analyze_many([section.image], out)
        (out / "section" / name).unlink()
        assert statuses(analyze_many([section.image], out)) == ["ok"]
        assert (out / "section" / name).is_file()

    def test_overwrite(self, section: DrawnSection, tmp_path: Path) -> None:
        out = tmp_path / "results"
        analyze_many([section.image], out)
        assert statuses(analyze_many([section.image], out, overwrite=True)) == ["ok"]

    @pytest.mark.parametrize("change", ["image", "settings", "weights", "version", "outlines"])
    def test_whatever_decides_the_result_starts_it_again(
        self,
        section: DrawnSection,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        change: str,
    ) -> None:
        out = tmp_path / "results"
        analyze_many([section.image], out)
        config, fibers = AnalysisConfig(), None
        if change == "image":
            pixels = tifffile.imread(section.image)
            pixels[:5] = 0
            tifffile.imwrite(
                section.image, pixels, resolution=(2e4, 2e4), resolutionunit="CENTIMETER"
            )
        elif change == "settings":
            config = AnalysisConfig(sex="female")
        elif change == "weights":
            summary = json.loads((out / "section" / "summary.json").read_text(encoding="utf-8"))
            summary["provenance"]["weights_sha256"] = "1" * 64
            (out / "section" / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
        elif change == "version":
            monkeypatch.setattr("biopsy_ai.provenance.__version__", "99.0")
        else:
            fibers = section.labels
        assert statuses(analyze_many([section.image], out, config, fibers=fibers)) == ["ok"]
        assert {path.name for path in out.iterdir()} == {
            "section",
            "cohort.csv",
            "cohort.html",
            "run.json",
        }

    def test_damaged_summary_starts_it_again(self, section: DrawnSection, tmp_path: Path) -> None:
        out = tmp_path / "results"
        analyze_many([section.image], out)
        for text in ("{", "[]", '{"provenance": 1}'):
            (out / "section" / "summary.json").write_text(text)
            assert "failed" not in statuses(analyze_many([section.image], out))

    def test_moved_slides_are_recognized(self, section: DrawnSection, tmp_path: Path) -> None:
        out = tmp_path / "results"
        analyze_many([section.image], out)
        moved = tmp_path / "archive" / section.image.name
        moved.parent.mkdir()
        section.image.rename(moved)
        assert statuses(analyze_many([moved], out)) == ["skipped"]
        table = read_cohort(out)
        assert list(table["slide"]) == [str(moved.resolve())]


class TestNames:
    def test_slides_of_one_name_keep_both_results(self, tmp_path: Path) -> None:
        first = draw_section(tmp_path / "a").image
        second = draw_section(tmp_path / "b").image
        out = tmp_path / "results"
        folders = [outcome.folder for outcome in analyze_many([first, second], out)]
        assert folders == [out / "section", out / "section_2"]
        assert list(read_cohort(out)["folder"]) == ["section", "section_2"]
        again = analyze_many([first, second], out)
        assert [outcome.folder for outcome in again] == folders
        assert statuses(again) == ["skipped", "skipped"]

    def test_a_later_run_does_not_take_the_folder_of_another_slide(self, tmp_path: Path) -> None:
        first = draw_section(tmp_path / "a").image
        second = draw_section(tmp_path / "b", mpp=1.0).image
        out = tmp_path / "results"
        analyze_many([first], out)
        (outcome,) = analyze_many([second], out)
        assert outcome.folder == out / "section_2"
        assert list(read_cohort(out)["folder"]) == ["section", "section_2"]

    def test_the_same_slide_twice_is_one(self, section: DrawnSection, tmp_path: Path) -> None:
        roundabout = section.image.parent / ".." / section.image.parent.name / section.image.name
        assert len(analyze_many([section.image, roundabout], tmp_path / "results")) == 1

    def test_names_that_differ_in_case_only(self, tmp_path: Path) -> None:
        first = draw_section(tmp_path / "a", "S1").image
        second = draw_section(tmp_path / "b", "s1").image
        outcomes = analyze_many([first, second], tmp_path / "results")
        assert [str(outcome.folder and outcome.folder.name) for outcome in outcomes] == [
            "S1",
            "s1_2",
        ]


class TestOutlines:
    def test_with_the_slide(self, section: DrawnSection, tmp_path: Path) -> None:
        (outcome,) = analyze_many([section.image], tmp_path / "out", fibers=section.labels)
        assert outcome.status == "ok"
        assert outcome.summary["provenance"]["weights_sha256"] is None
        assert statuses(analyze_many([section.image], tmp_path / "out", fibers=section.labels)) == [
            "skipped"
        ]

    def test_alone(self, section: DrawnSection, tmp_path: Path) -> None:
        (outcome,) = analyze_many([], tmp_path / "out", fibers=section.labels)
        assert outcome.folder == tmp_path / "out" / "section_labels"
        assert outcome.status == "ok"

    def test_missing_file_is_named(self, tmp_path: Path) -> None:
        (outcome,) = analyze_many([], tmp_path / "out", fibers=tmp_path / "none.tif")
        assert outcome.status == "failed"
        assert "none.tif" in outcome.reason

    def test_one_file_for_two_slides(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"labels\.tif"):
            analyze_many(["a.tif", "b.tif"], tmp_path / "out", fibers="labels.tif")

    def test_results_can_be_measured_again_in_place(
        self, section: DrawnSection, tmp_path: Path
    ) -> None:
        out = tmp_path / "results"
        analyze_many([section.image], out)
        (again,) = analyze_many([section.image], out, fibers=out / "section" / "fibers.tif")
        assert again.status == "ok"
        assert again.folder == out / "section"


def test_nothing_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to analyze"):
        analyze_many([], tmp_path / "out")
    with pytest.raises(SlideReadError):
        analyze_folder(tmp_path, tmp_path / "out")


def test_unwritable_folder(section: DrawnSection, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        analyze_many([section.image], tmp_path / "file")


def test_full_disk(section: DrawnSection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be written is told, and nothing incomplete stands under a final name."""

    def full(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("biopsy_ai.formats.files.os.replace", full)
    with pytest.raises(OutputError, match="No space left"):
        analyze_many([section.image], tmp_path / "results")
    assert not [path for path in (tmp_path / "results").rglob("*") if path.is_file()]


def test_earlier_rows_of_other_slides_stay(tmp_path: Path) -> None:
    first = draw_section(tmp_path / "slides", "a").image
    second = draw_section(tmp_path / "slides", "b").image
    out = tmp_path / "results"
    analyze_many([first], out)
    analyze_many([second], out)
    assert list(read_cohort(out)["folder"]) == ["a", "b"]
    shutil.rmtree(out / "b")
    second.write_text("damaged")
    analyze_many([second], out)
    assert list(read_cohort(out)["status"]) == ["ok", "failed"]


def test_table_is_written_as_all_tables(three_slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    analyze_folder(three_slides, out)
    first = (out / "cohort.csv").read_bytes()
    assert b"\r" not in first
    write_csv(tmp_path / "again.csv", pd.read_csv(out / "cohort.csv", dtype=str))
    assert (tmp_path / "again.csv").read_bytes() == first


def test_statistics_in_the_table(section: DrawnSection, tmp_path: Path) -> None:
    out = tmp_path / "results"
    analyze_many([section.image], out)
    (row,) = read_cohort(out).to_dict("records")
    assert row["n_fibers"] == section.n_fibers
    area = np.pi / 4 * section.diameter_um**2
    assert float(row["median_area_um2"]) == pytest.approx(area, rel=0.02)
    assert float(row["median_min_feret_um"]) == pytest.approx(section.diameter_um, rel=0.02)


def test_hash_of_missing_outlines() -> None:
    with pytest.raises(OutlineReadError, match="nowhere"):
        slide_task.hash_given(Path("nowhere.tif"), OutlineReadError)


class TestNamesInAnotherEncoding:
    """Linux takes any bytes for a file name; Python reads those that are no UTF-8 as surrogates."""

    @pytest.fixture
    def slides(self, tmp_path: Path) -> list[Path]:
        second = draw_section(tmp_path / "slides", "b").image
        latin = tmp_path / "slides" / "Pr\udce4parat.tif"
        damaged = tmp_path / "slides" / "L\udcfccke.tif"
        try:
            shutil.copy(second, latin)
            damaged.write_text("this is no image")
        except (OSError, UnicodeError):
            pytest.skip("this system has no such file names")
        return [latin, damaged, second]

    def test_they_are_analyzed_like_all_others(self, slides: list[Path], tmp_path: Path) -> None:
        out = tmp_path / "results"
        outcomes = analyze_many(slides, out)
        assert statuses(outcomes) == ["ok", "failed", "ok"]
        outcomes[1].reason.encode("utf-8")
        table = read_cohort(out)
        assert list(table["status"]) == ["ok", "failed", "ok"]
        assert table["slide"][0].endswith("parat.tif")
        assert outcomes[0].folder is not None
        json.loads((outcomes[0].folder / "summary.json").read_text(encoding="utf-8"))

    def test_they_are_known_again(self, slides: list[Path], tmp_path: Path) -> None:
        out = tmp_path / "results"
        analyze_many(slides, out)
        assert statuses(analyze_many(slides, out)) == ["skipped", "failed", "skipped"]
        assert len(read_cohort(out)) == 3
        # Other settings replace what the same slide gave before.
        (again,) = analyze_many(slides[:1], out, AnalysisConfig(sex="female"))
        assert again.folder == out / "Pr\udce4parat"
        assert len(read_cohort(out)) == 3


class TestTableThatCannotBeWritten:
    """On Windows a table that is open in Excel cannot be replaced."""

    def lock(self, monkeypatch: pytest.MonkeyPatch, times: int) -> list[int]:
        real, left = cohort_table.write_csv, [times]

        def write(path: Path, table: pd.DataFrame) -> None:
            left[0] -= 1
            if left[0] >= 0:
                raise OutputError(f"{path}: cannot be written. Permission denied")
            real(path, table)

        monkeypatch.setattr(cohort_table, "write_csv", write)
        return left

    @pytest.mark.parametrize("times", [1, 3])
    def test_for_a_while(
        self, three_slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
    ) -> None:
        self.lock(monkeypatch, times)
        out = tmp_path / "results"
        assert statuses(analyze_folder(three_slides, out)) == ["ok", "failed", "ok"]
        assert list(read_cohort(out)["status"]) == ["ok", "failed", "ok"]

    def test_to_the_end(
        self, three_slides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        left = self.lock(monkeypatch, 100)
        out = tmp_path / "results"
        told: list[Outcome] = []
        with pytest.raises(OutputError, match=r"cohort\.csv.*denied.*not analyzed again"):
            analyze_folder(three_slides, out, on_outcome=told.append)
        assert statuses(told) == ["ok", "failed", "ok"]
        assert left == [100 - 4]
        assert (out / "c" / "summary.json").is_file()


class TestPage:
    def test_all_slides_stand_on_it_with_their_reports(
        self, three_slides: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "results"
        analyze_folder(three_slides, out)
        text = (out / "cohort.html").read_text(encoding="utf-8")
        assert 'href="a/report.html"' in text
        assert 'href="c/report.html"' in text
        assert text.count("data:image/jpeg") == 2
        assert "b.tif" in text
        (report,) = (out / "a").glob("report.html")
        assert "Verdict and scores" in report.read_text(encoding="utf-8")

    def test_slides_of_earlier_runs_stay_on_it(self, three_slides: Path, tmp_path: Path) -> None:
        out = tmp_path / "results"
        analyze_many([three_slides / "a.tif"], out)
        analyze_many([three_slides / "c.tif"], out)
        text = (out / "cohort.html").read_text(encoding="utf-8")
        assert text.index('href="a/report.html"') < text.index('href="c/report.html"')

    def test_a_run_that_was_stopped_has_it(self, three_slides: Path, tmp_path: Path) -> None:
        def stop(outcome: Outcome) -> None:
            raise Cancelled("stopped")

        out = tmp_path / "results"
        with pytest.raises(Cancelled):
            analyze_folder(three_slides, out, on_outcome=stop)
        assert 'href="a/report.html"' in (out / "cohort.html").read_text(encoding="utf-8")

    def test_blocks_are_found_in_the_folder(self, section: DrawnSection, tmp_path: Path) -> None:
        out = tmp_path / "results"
        analyze_many([section.image], out)
        (out / "B1").mkdir()
        (out / "B1" / "registration.json").write_text('{"block": "B1"}')
        (out / "B1" / "report.html").write_text("<p>")
        cohort.write_page(out)
        text = (out / "cohort.html").read_text(encoding="utf-8")
        assert 'href="section/report.html"' in text
        assert 'href="B1/report.html"' in text

    def test_if_it_cannot_be_written_the_run_ends_with_an_error(
        self, section: DrawnSection, tmp_path: Path
    ) -> None:
        out = tmp_path / "results"
        (out / "cohort.html").mkdir(parents=True)
        with pytest.raises(OutputError, match=r"cohort\.html.* repeat the command"):
            analyze_many([section.image], out)
        assert (out / "section" / "summary.json").is_file()


class TestScores:
    def test_scores_and_main_findings_have_columns(self) -> None:
        summary = summary_of(
            findings=[
                finding_of("small_angular_fibers", value=7.5),
                finding_of("hypertrophy", "not assessable"),
            ]
        )
        outcome = Outcome(Path("a.tif"), "ok", Path("out/a"), summary)
        (row,) = cohort_table.cohort_table([outcome]).to_dict("records")
        assert row["verdict"] == "denervation"
        for change in ("denervation", "myopathy"):
            found = summary["score"][change]
            assert row[change] == found["value"]
            assert (row[f"{change}_low"], row[f"{change}_high"]) == (found["low"], found["high"])
        assert row["type2_atrophy"] is None
        assert row["small_angular_fiber_percent"] == 7.5
        assert row["hypertrophic_fiber_percent"] is None

    def test_slides_without_a_score_have_empty_ones(self) -> None:
        rows = cohort_table.cohort_table([Outcome(Path("a.tif"), "failed", None, {}, "no")])
        assert {"verdict", "denervation", "myopathy_high", "target_fiber_percent"} <= set(rows)
        assert rows[["verdict", "denervation"]].isna().all(axis=None)


class TestCodes:
    def test_codes_of_a_sheet_stand_in_the_report(
        self, section: DrawnSection, tmp_path: Path
    ) -> None:
        out = tmp_path / "results"

        def run(**codes: str) -> str:
            (outcome,) = analyze_many([section.image], out, notes=[{"note": "x", **codes}])
            return outcome.status

        assert run(patient="P<7>", block="") == "ok"
        summary = json.loads((out / "section" / "summary.json").read_text(encoding="utf-8"))
        assert summary["specimen"] == {"patient": "P<7>"}
        assert "P&lt;7&gt;" in (out / "section" / "report.html").read_text(encoding="utf-8")
        assert run(patient="P<7>") == "skipped"
        assert statuses(analyze_many([section.image], out)) == ["skipped"]
        assert run(patient="P8") == "ok"


def review(folder: Path, *, save: bool) -> None:
    """Leave a fiber out as a person would, and save what comes of it."""
    with Review.open(folder, user="A") as section:
        section.exclude(3, "torn")
        if save:
            section.save()


def test_a_reviewed_section_is_never_analyzed_over(three_slides: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    analyze_folder(three_slides, out)
    review(out / "a", save=True)
    before = {path: path.read_bytes() for path in (out / "a").rglob("*") if path.is_file()}
    for overwrite in (False, True):
        outcomes = analyze_folder(
            three_slides, out, AnalysisConfig(sex="male"), overwrite=overwrite
        )
        assert statuses(outcomes) == ["reviewed", "failed", "ok"]
        assert outcomes[0].folder == out / "a"
        after = {path: path.read_bytes() for path in (out / "a").rglob("*") if path.is_file()}
        assert after == before
    table = read_cohort(out).set_index("folder")
    assert table.loc["a", "status"] == "reviewed"
    assert "--out" in table.loc["a", "reason"]
    assert table.loc["a", "n_measured"] in (11, "11", "11.0"), "what the review says"
    assert table.loc["c", "n_measured"] in (12, "12", "12.0")
    page = (out / "cohort.html").read_text(encoding="utf-8")
    assert 'href="a/reviewed/report.html"' in page
    assert 'href="c/report.html"' in page


def test_a_review_that_is_not_saved_yet(section: DrawnSection, tmp_path: Path) -> None:
    out = tmp_path / "results"
    analyze_many([section.image], out)
    review(out / "section", save=False)
    (outcome,) = analyze_many([section.image], out, overwrite=True)
    assert outcome.status == "reviewed"
    assert "not saved yet" in outcome.reason
    assert outcome.summary["fibers"]["n_measured"] == 12
    assert 'href="section/report.html"' in (out / "cohort.html").read_text(encoding="utf-8")


def test_an_incomplete_reviewed_folder_does_not_count(
    section: DrawnSection, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    analyze_many([section.image], out)
    review(out / "section", save=True)
    (out / "section" / "reviewed" / "fibers.tif").unlink()
    (outcome,) = analyze_many([section.image], out)
    assert outcome.summary["fibers"]["n_measured"] == 12


def test_a_folder_opened_for_review_without_an_edit_is_analyzed(
    section: DrawnSection, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    analyze_many([section.image], out)
    Review.open(out / "section", user="A").close()
    (outcome,) = analyze_many([section.image], out, overwrite=True)
    assert outcome.status == "ok"
    Review.open(out / "section", user="A").close()


def test_results_with_a_review_are_not_replaced(section: DrawnSection, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    with analyze(section.image) as analysis:
        analysis.save(folder)
        review(folder, save=True)
        before = (folder / "summary.json").read_bytes()
        with pytest.raises(OutputError, match="a person reviewed"):
            analysis.save(folder)
    assert (folder / "summary.json").read_bytes() == before
