"""A cohort whose changes are known: what its sections say, and what a pathologist said."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.checksum import file_sha256
from biopsy_ai.errors import CalibrationError
from biopsy_ai.result_names import SUMMARY_FILE
from biopsy_ai.score.evidence import CHANGES, Evidence

LABELS: dict[str, tuple[str, ...]] = {
    "normal": (),
    "denervation": ("denervation",),
    "myopathy": ("myopathy",),
    "mixed": ("denervation", "myopathy"),
}
"""Labels of a section, and the changes that it has by each."""

_SHOWN = 10


@dataclass(frozen=True, eq=False)
class LabeledCohort:
    """Evidence and labels of the slides of a cohort.

    Attributes
    ----------
    folders : tuple of str
        Name of the results of each of n slides.
    patients : tuple of str
        Whose slide it is.
    labels : tuple of str
        Out of `LABELS`.
    evidence : dict of str to (n, families) ndarray
        By change: log10 likelihood ratio of each family, neither weighted nor tempered; 0 where a
        family says nothing.
    families : tuple of str
    notes : tuple of str
        What was left out, and who was taken for a patient.
    inputs : dict of str to str
        SHA-256 of the two tables.
    """

    folders: tuple[str, ...]
    patients: tuple[str, ...]
    labels: tuple[str, ...]
    evidence: Mapping[str, NDArray[np.float64]]
    families: tuple[str, ...]
    notes: tuple[str, ...]
    inputs: Mapping[str, str]

    def has(self, change: str) -> NDArray[np.bool_]:
        """Which slides have a change."""
        return np.array([change in LABELS[label] for label in self.labels], dtype=bool)


@dataclass(frozen=True)
class _Labeled:
    line: int
    slide: str
    folder: str
    patient: str
    label: str


def read_labeled_cohort(
    cohort: str | Path, labels: str | Path, evidence: Evidence
) -> LabeledCohort:
    """Read the results of a cohort and the labels of its slides.

    Parameters
    ----------
    cohort
        ``cohort.csv``, as ``biopsy-ai analyze`` writes it beside the folders of results.
    labels
        CSV with the columns ``slide`` (path, or name with or without its ending) or ``folder``
        (name of the folder of results), ``label`` (normal, denervation, myopathy or mixed) and, if
        wanted, ``patient``.
    evidence
        The file that the slides were scored with.

    Raises
    ------
    CalibrationError
        If a table cannot be read or lacks a column, a label is none of `LABELS`, belongs to no
        slide or to several, or a slide is labeled twice; if results are missing, hold no score, or
        were scored with another evidence file. The message names what is concerned.

    Notes
    -----
    Slides without a label, that failed, or that hold too little tissue for a score are left out
    and named in the notes.
    """
    cohort, labels = Path(cohort), Path(labels)
    rows = _read_table(cohort, "the cohort")
    if not rows or not {"slide", "folder"} <= set(rows[0]):
        raise CalibrationError(
            f"{cohort}: expected the columns slide and folder; give the cohort.csv that biopsy-ai "
            "analyze writes"
        )
    labeled = _read_labels(labels)
    found = _match(labeled, rows, labels)
    notes = []
    unlabeled = [_name(row) for k, row in enumerate(rows) if k not in found]
    if unlabeled:
        notes.append(f"without a label, left out: {_listed(unlabeled)}")
    failed = [_name(rows[k]) for k in found if not rows[k]["folder"]]
    if failed:
        notes.append(f"not analyzed, left out: {_listed(failed)}")
    used = [k for k in sorted(found) if rows[k]["folder"]]
    scores = _read_scores(cohort.parent, [rows[k]["folder"] for k in used], evidence)
    small = [name for name, score in scores.items() if score["denervation"]["value"] is None]
    if small:
        notes.append(f"too little tissue for a score, left out: {_listed(small)}")
    used = [k for k in used if rows[k]["folder"] not in small]
    patients = [found[k].patient or rows[k].get("patient", "") for k in used]
    nobody = [rows[k]["folder"] for k, patient in zip(used, patients, strict=True) if not patient]
    if nobody:
        notes.append(
            "no patient is named, so that each slide counts as one patient; where several are of "
            f"one patient the figures are too good: {_listed(nobody)}"
        )
    families = tuple(evidence.families)
    folders = [rows[k]["folder"] for k in used]
    return LabeledCohort(
        folders=tuple(folders),
        # the slide of nobody is not the patient of the same name
        patients=tuple(
            f"patient {patient}" if patient else f"slide {folder}"
            for patient, folder in zip(patients, folders, strict=True)
        ),
        labels=tuple(found[k].label for k in used),
        evidence={
            change: np.array(
                [_by_family(scores[folder], change, families) for folder in folders]
            ).reshape(len(folders), len(families))
            for change in CHANGES
        },
        families=families,
        notes=tuple(notes),
        inputs={"cohort_sha256": file_sha256(cohort), "labels_sha256": file_sha256(labels)},
    )


def _read_table(path: Path, what: str) -> list[dict[str, str]]:
    """Rows of a table by column; names of columns in small letters, cells without outer blanks."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=header.count)
            cells = [
                row for row in csv.reader(file, delimiter=delimiter) if any(map(str.strip, row))
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CalibrationError(f"{path}: {what} cannot be read ({error})") from error
    if not cells:
        raise CalibrationError(f"{path}: {what} is empty")
    names = [name.strip().lower().lstrip("\ufeff") for name in cells[0]]
    return [
        dict(zip(names, [cell.strip() for cell in row] + [""] * len(names), strict=False))
        for row in cells[1:]
    ]


def _read_labels(path: Path) -> list[_Labeled]:
    rows = _read_table(path, "the table of labels")
    names = set(rows[0]) if rows else set()
    if "label" not in names or not names & {"slide", "folder"}:
        raise CalibrationError(
            f"{path}: a table of labels needs lines with the columns slide or folder, and label"
        )
    unknown = {row["label"] for row in rows if row["label"].lower() not in LABELS}
    if unknown:
        raise CalibrationError(
            f"{path}: no labels that can be learned from: {_listed(map(repr, sorted(unknown)))}; "
            f"write {', '.join(LABELS)}, and leave out slides with anything else"
        )
    labeled = [
        _Labeled(
            number,
            row.get("slide", ""),
            row.get("folder", ""),
            row.get("patient", ""),
            row["label"].lower(),
        )
        for number, row in enumerate(rows, start=2)
    ]
    nameless = [str(row.line) for row in labeled if not row.slide and not row.folder]
    if nameless:
        raise CalibrationError(f"{path}: no slide is named in the lines {_listed(nameless)}")
    return labeled


def _match(
    labeled: Sequence[_Labeled], rows: Sequence[Mapping[str, str]], path: Path
) -> dict[int, _Labeled]:
    """Labels by row of the cohort."""
    by_name: dict[str, set[int]] = {}
    for k, row in enumerate(rows):
        # paths of either system, wherever the cohort was analyzed
        file = PurePath(row["slide"].replace("\\", "/"))
        for name in {row["slide"], file.name, file.stem}:
            by_name.setdefault(name, set()).add(k)
    by_folder = {row["folder"]: {k} for k, row in enumerate(rows) if row["folder"]}
    found: dict[int, _Labeled] = {}
    missing: list[str] = []
    several: list[str] = []
    twice: list[str] = []
    for label in labeled:
        name = label.folder or label.slide
        at = (by_folder if label.folder else by_name).get(name, set())
        if len(at) != 1:
            (several if at else missing).append(f"{name} (line {label.line})")
            continue
        (k,) = at
        if k in found:
            twice.append(f"{name} (lines {found[k].line} and {label.line})")
        found[k] = label
    problems = [
        f"{what}: {_listed(names)}"
        for what, names in (
            ("labels of slides that the cohort does not have", missing),
            ("names that several slides have, so that their folders must be given", several),
            ("slides labeled twice", twice),
        )
        if names
    ]
    if problems:
        raise CalibrationError(f"{path}: {'; '.join(problems)}")
    return found


def _read_scores(
    place: Path, folders: Sequence[str], evidence: Evidence
) -> dict[str, dict[str, Any]]:
    """Scores by folder, those of its review where there is one."""
    from biopsy_ai.review.results import results_in_force

    missing, unscored, others = [], [], []
    scores: dict[str, dict[str, Any]] = {}
    for folder in folders:
        try:
            path = results_in_force(place / folder) / SUMMARY_FILE
            summary = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            missing.append(folder)
            continue
        score: Any = summary.get("score") if isinstance(summary, dict) else None
        if not _is_score(score):
            unscored.append(folder)
        elif score["evidence_file"]["sha256"] != evidence.sha256:
            others.append(folder)
        scores[folder] = score
    problems = [
        f"{what}: {_listed(names)}. {advice}"
        for what, names, advice in (
            (
                f"results that are not beside the cohort or cannot be read ({SUMMARY_FILE})",
                missing,
                "Give cohort.csv where it was written, with the folders of its slides.",
            ),
            (
                "results without a score",
                unscored,
                "Analyze these slides again with --overwrite.",
            ),
            (
                "results scored with another evidence file",
                others,
                "Give that file with --evidence, or analyze these slides again with --overwrite.",
            ),
        )
        if names
    ]
    if problems:
        raise CalibrationError(" ".join(problems))
    return scores


def _is_score(score: Any) -> bool:
    if not isinstance(score, dict) or not isinstance(score.get("evidence"), list):
        return False
    known = all(
        isinstance(row, dict)
        and isinstance(row.get("family"), str)
        and all(isinstance(row.get(f"{change}_log10_lr"), int | float) for change in CHANGES)
        for row in score["evidence"]
    )
    values = all(isinstance(score.get(change), dict) for change in CHANGES)
    file = score.get("evidence_file")
    return known and values and isinstance(file, dict) and "sha256" in file


def _by_family(score: Mapping[str, Any], change: str, families: Sequence[str]) -> list[float]:
    rows = [row for row in score["evidence"] if row.get("counted", True)]
    return [
        float(sum(row[f"{change}_log10_lr"] for row in rows if row["family"] == family))
        for family in families
    ]


def _name(row: Mapping[str, str]) -> str:
    return row["folder"] or row["slide"]


def _listed(names: Any) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
