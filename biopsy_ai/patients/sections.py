"""The sections of a run: whose they are, what counts of them, and which are left out."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biopsy_ai.cohort_table import COHORT_FILE, Outcome, cohort_row, read_cohort
from biopsy_ai.errors import OutputError
from biopsy_ai.formats.read_tables import FIBER_KINDS, read_fibers_csv
from biopsy_ai.formats.tables import printable
from biopsy_ai.measure.condition import CONDITIONS, DOUBTS
from biopsy_ai.report.save import FIBERS_FILE
from biopsy_ai.review.results import results_in_force, summary_in
from biopsy_ai.serial.sample_sheet import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

UNNAMED_BLOCK = "not named"
"""Block of the sections for which the sample sheet names none; they count as one block."""

SHEET = "sheet_"
"""Put before the name of a column of the sample sheet that results have already."""

IDENTITY = (
    "patient",
    "patient_named",
    "block",
    "section",
    "slide",
    "stain",
    "muscle",
    "side",
    "age",
    "sex",
    "reviewed",
    "is_measured",
)
"""What the table of fibers says of each section, before what the sample sheet adds."""


@dataclass(frozen=True)
class CohortSection:
    """A section whose results count.

    Attributes
    ----------
    folder
        With the results that count: those of its review where they are complete.
    section, slide
        Name of the folder of its results, which no other section has, and of the file.
    patient, block
        Whose it is.
    patient_named
        Whether the sample sheet names the patient; else the section stands for one.
    reviewed
        Whether the results are those of a review.
    stain, muscle, side, sex, age
        As analyzed; empty or None where not known.
    n_fibers, n_measured
        By its summary.
    verdict
        In words, with both scores.
    measures
        Row of the section in cohort.csv, as its results are now.
    sheet
        Further cells of the sample sheet, by column.
    """

    folder: Path
    section: str
    slide: str
    patient: str
    block: str
    patient_named: bool
    reviewed: bool
    stain: str
    muscle: str
    side: str
    sex: str
    age: float | None
    n_fibers: int
    n_measured: int
    verdict: str
    measures: Mapping[str, Any]
    sheet: Mapping[str, str]

    def read_fibers(self) -> pd.DataFrame:
        """Read the fiber table.

        Raises
        ------
        OutputError
            If it is missing, damaged, or not of the same analysis as the summary.
        """
        fibers = read_fibers_csv(self.folder / FIBERS_FILE)
        if len(fibers) != self.n_fibers:
            raise OutputError(
                f"{self.folder / FIBERS_FILE}: has {len(fibers)} fibers, the summary beside it "
                f"{self.n_fibers}: they are not of the same analysis. Analyze the section again."
            )
        return fibers


@dataclass(frozen=True)
class LeftOut:
    """A slide that does not count, and why.

    Attributes
    ----------
    slide, patient, patient_named
        As of `CohortSection`.
    reason
        In words.
    failed
        Whether it failed in the run; else its results are lost or damaged.
    """

    slide: str
    patient: str
    patient_named: bool
    reason: str
    failed: bool = False

    def __str__(self) -> str:
        return f"{self.slide}: {self.reason}"


@dataclass(frozen=True)
class Cohort:
    """The sections of a run.

    Attributes
    ----------
    sections
        Those whose results count, in the order of cohort.csv.
    left_out
        All other slides.
    sheet_columns
        Further columns of the sample sheet, such as a group to compare.
    """

    sections: tuple[CohortSection, ...]
    left_out: tuple[LeftOut, ...]
    sheet_columns: tuple[str, ...]

    def patients(self) -> list[str]:
        """Each patient once, in the order of cohort.csv; also those without a section."""
        entries: Iterable[CohortSection | LeftOut] = (*self.sections, *self.left_out)
        return list(dict.fromkeys(entry.patient for entry in entries))


def read_cohort_sections(out: str | Path) -> Cohort:
    """Read which sections a run left behind.

    Parameters
    ----------
    out
        Folder of the run, with cohort.csv and a folder for each slide.

    Raises
    ------
    OutputError
        If there is no cohort.csv that can be read.
    """
    out = Path(out)
    table = read_cohort(out / COHORT_FILE)
    if table is None or not {"slide", "status", "folder"} <= set(table.columns):
        raise OutputError(
            f"{out / COHORT_FILE}: is missing or no table of slides. Give the folder that "
            "biopsy-ai analyze wrote (--out)."
        )
    rows: list[dict[str, str]] = table.fillna("").astype(str).to_dict("records")  # type: ignore[assignment]
    further = _sheet_columns(table, out)
    named = {row["patient"] for row in rows if row.get("patient")}
    sections: list[CohortSection] = []
    left_out: list[LeftOut] = []
    for row in rows:
        found = _section(out, row, further, named)
        if isinstance(found, CohortSection):
            sections.append(found)
        else:
            left_out.append(found)
    return Cohort(tuple(sections), tuple(left_out), tuple(further.values()))


def fiber_columns(folder: Path) -> list[str]:
    """Columns of the fiber table of a section; none where it cannot be read."""
    try:
        with open(folder / FIBERS_FILE, encoding="utf-8", newline="") as file:
            return next(csv.reader(file), [])
    except (OSError, ValueError, csv.Error):
        # the section is left out when its turn comes
        return []


def _sheet_columns(table: pd.DataFrame, out: Path) -> dict[str, str]:
    """Columns that only the sample sheet has, and what they are called in the tables made here."""
    # that table is made of these sections
    from biopsy_ai.patients.table import patient_row

    flags: dict[str, Any] = {"condition": {flag: {} for flag in (*CONDITIONS, *DOUBTS)}}
    known = set(cohort_row(Outcome(Path("x"), "ok", None, flags)))
    known |= set(COLUMNS) | {f"{SHEET}{name}" for name in COLUMNS}
    taken = {*IDENTITY, *FIBER_KINDS, *patient_row("", [], [])}
    for folder in table["folder"].dropna().astype(str):
        name = Path(folder).name
        taken.update(fiber_columns(results_in_force(out / name)) if name else ())
    return {
        name: f"{SHEET}{name}" if name in taken else name
        for name in map(str, table.columns)
        if name not in known
    }


def _section(
    out: Path, row: Mapping[str, str], further: Mapping[str, str], named: set[str]
) -> CohortSection | LeftOut:
    # paths of either system, wherever the slides were analyzed
    slide = row["slide"].replace("\\", "/").rsplit("/", 1)[-1]
    name = Path(row["folder"]).name
    folder = results_in_force(out / name) if name else out
    summary = summary_in(folder) if name else {}
    specimen = summary.get("specimen") or {}
    patient = row.get("patient") or specimen.get("patient") or ""
    known = bool(patient)
    if not known:
        patient = name or slide
        # the slide of nobody is not the patient of the same name
        patient = f"slide {patient}" if patient in named else patient
    if row["status"] == "failed" or not name:
        return LeftOut(slide, patient, known, row.get("reason") or "failed", True)
    fibers = summary.get("fibers") or {}
    if not isinstance(fibers.get("n_fibers"), int):
        reason = f"{out / name}: holds no results that can be read. Analyze the slide again."
        return LeftOut(slide, patient, known, printable(reason))
    settings = (summary.get("provenance") or {}).get("configuration") or {}
    stain = (summary.get("image") or {}).get("stain") or ""
    return CohortSection(
        folder=folder,
        section=name,
        slide=slide,
        patient=str(patient),
        block=str(row.get("block") or specimen.get("block") or UNNAMED_BLOCK),
        patient_named=known,
        reviewed=folder != out / name,
        stain="" if stain in ("auto", "unknown") else str(stain),
        muscle=str(settings.get("muscle") or ""),
        side=str(settings.get("side") or ""),
        sex=str(settings.get("sex") or ""),
        age=settings.get("age"),
        n_fibers=fibers["n_fibers"],
        n_measured=int(fibers.get("n_measured") or 0),
        verdict=_verdict(summary.get("score") or {}),
        measures=cohort_row(Outcome(Path(row["slide"]), "ok", folder, summary)),
        sheet={new: row.get(old, "") for old, new in further.items()},
    )


def _verdict(score: Mapping[str, Any]) -> str:
    from biopsy_ai.score.evidence import CHANGES

    if not score:
        return "not scored"
    said = []
    for change in CHANGES:
        value = (score.get(change) or {}).get("value")
        if value is not None:
            said.append(f"{change} {value:.0f}")
    words = str(score.get("verdict_text") or score.get("verdict") or "not scored")
    return f"{words} ({', '.join(said)})" if said else words
