"""patients.csv and fibers.parquet, from what a run left in its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from biopsy_ai.errors import OutputError
from biopsy_ai.formats import write_csv
from biopsy_ai.formats.files import replacing
from biopsy_ai.formats.tables import printable
from biopsy_ai.patients.sections import Cohort, CohortSection, LeftOut, read_cohort_sections
from biopsy_ai.progress import Progress

if TYPE_CHECKING:
    from biopsy_ai.patients.measures import UnitSums

PATIENTS_FILE, PARQUET_FILE = "patients.csv", "fibers.parquet"

PATIENTS_STAGE, PARQUET_STAGE = "patients", "fibers of all"


@dataclass(frozen=True)
class Written:
    """A table that was made of a cohort.

    Attributes
    ----------
    path
        The file.
    n_rows
        Patients or fibers.
    n_sections
        Sections whose results are in it.
    failed
        Slides that failed in the run, and are left out.
    unreadable
        Slides whose results cannot be read, and are left out.
    """

    path: Path
    n_rows: int
    n_sections: int
    failed: tuple[LeftOut, ...]
    unreadable: tuple[LeftOut, ...]

    @property
    def left_out(self) -> tuple[LeftOut, ...]:
        """All slides that are not in it."""
        return self.failed + self.unreadable


def collect(
    out: str | Path, *, parquet: bool = True, seed: int = 0, progress: Progress | None = None
) -> list[Written]:
    """Write the tables of a cohort: patients.csv, and fibers.parquet if wanted.

    See `write_patients` and `write_fibers_parquet`.
    """
    cohort = read_cohort_sections(out)
    written = [write_patients(out, cohort=cohort, seed=seed, progress=progress)]
    if parquet:
        written.append(write_fibers_parquet(out, cohort=cohort, progress=progress))
    return written


def write_patients(
    out: str | Path,
    *,
    cohort: Cohort | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Written:
    """Write patients.csv: one row per patient.

    A measure is the mean over the blocks of the patient of the means over their sections, so that
    a block with more sections, or a section with more fibers, does not count for more. The
    interval is that of a cluster bootstrap, for fibers of one section are not independent; where
    there is one block or one section, the row says what it does not tell. Verdicts are listed, and
    not averaged. Reviewed sections count as reviewed. A slide without a named patient is one of
    its own.

    Parameters
    ----------
    out
        Folder of the run, with cohort.csv; the table is written there.
    cohort
        What `read_cohort_sections` has found there already.
    seed
        For the intervals; the same gives the same.
    progress
        Called as ``progress(stage, done, total)`` after each section.

    Raises
    ------
    OutputError
        If there is no cohort.csv, or the table cannot be written.

    Examples
    --------
    >>> from biopsy_ai.patients import write_patients
    >>> write_patients("results").n_rows  # doctest: +SKIP
    """
    import pandas as pd

    from biopsy_ai.patients.table import add_up_section, patient_row
    from biopsy_ai.score import load_evidence

    out = Path(out)
    cohort = cohort or read_cohort_sections(out)
    rule = load_evidence().interval
    told = _Told(PATIENTS_STAGE, cohort, progress)
    rows, unreadable, n_sections = [], list[LeftOut](), 0
    for patient in cohort.patients():
        added: list[tuple[CohortSection, UnitSums]] = []
        missing = [slide for slide in cohort.left_out if slide.patient == patient]
        for section in (one for one in cohort.sections if one.patient == patient):
            try:
                added.append((section, add_up_section(section, rule)))
            except OutputError as error:
                unreadable.append(_unreadable(section, error))
                missing.append(unreadable[-1])
            told.one_more()
        n_sections += len(added)
        rows.append(patient_row(patient, added, missing, cohort.sheet_columns, seed=seed))
    path = out / PATIENTS_FILE
    write_csv(path, pd.DataFrame(rows))
    return _written(path, len(rows), n_sections, cohort, unreadable)


def write_fibers_parquet(
    out: str | Path, *, cohort: Cohort | None = None, progress: Progress | None = None
) -> Written:
    """Write fibers.parquet: one row per fiber of all sections.

    Its columns are patient, patient_named, block, section, slide, stain, muscle, side, age, sex,
    reviewed, is_measured, what else the sample sheet says, and those of fibers.csv. Types are the
    same whatever the sections hold; text that is empty in fibers.csv is missing. The metadata
    names the slides that are left out. The cohort is never held whole.

    Parameters
    ----------
    out
        Folder of the run, with cohort.csv; the file is written there.
    cohort
        What `read_cohort_sections` has found there already.
    progress
        Called as ``progress(stage, done, total)`` after each section.

    Raises
    ------
    OutputError
        If there is no cohort.csv or no section with results, or the file cannot be written.

    Examples
    --------
    >>> from biopsy_ai.patients import write_fibers_parquet
    >>> write_fibers_parquet("results").n_rows  # doctest: +SKIP
    """
    from biopsy_ai.patients.fibers_parquet import FibersWriter

    out = Path(out)
    cohort = cohort or read_cohort_sections(out)
    told = _Told(PARQUET_STAGE, cohort, progress)
    path = out / PARQUET_FILE
    unreadable: list[LeftOut] = []
    with replacing(path) as temporary:
        writer = FibersWriter(temporary, cohort.sections, cohort.sheet_columns, cohort.left_out)
        try:
            for section in cohort.sections:
                try:
                    fibers = section.read_fibers()
                except OutputError as error:
                    unreadable.append(_unreadable(section, error))
                else:
                    writer.write(section, fibers)
                told.one_more()
            writer.close(left_out=unreadable)
        except BaseException:
            writer.abandon()
            raise
    n_sections = len(cohort.sections) - len(unreadable)
    return _written(path, writer.n_rows, n_sections, cohort, unreadable)


class _Told:
    """Counts sections, and tells it."""

    def __init__(self, stage: str, cohort: Cohort, progress: Progress | None) -> None:
        self._progress, self._stage, self._total = progress, stage, len(cohort.sections)
        self._done = 0

    def one_more(self) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._stage, self._done, self._total)


def _unreadable(section: CohortSection, error: OutputError) -> LeftOut:
    return LeftOut(section.slide, section.patient, section.patient_named, printable(str(error)))


def _written(
    path: Path, n_rows: int, n_sections: int, cohort: Cohort, unreadable: list[LeftOut]
) -> Written:
    failed = tuple(slide for slide in cohort.left_out if slide.failed)
    lost = tuple(slide for slide in cohort.left_out if not slide.failed)
    return Written(path, n_rows, n_sections, failed, lost + tuple(unreadable))
