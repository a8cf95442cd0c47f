"""A sample sheet in one run: each slide with its settings, then the blocks of serial sections."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biopsy_ai import __version__
from biopsy_ai.cohort import analyze_many, write_page
from biopsy_ai.cohort_table import REGISTRATION_FILE, Outcome, Status
from biopsy_ai.config import AnalysisConfig
from biopsy_ai.errors import BiopsyError, Cancelled
from biopsy_ai.formats.tables import printable
from biopsy_ai.measure.reference import Limits
from biopsy_ai.progress import Progress
from biopsy_ai.report.save import SUMMARY_FILE
from biopsy_ai.serial.sample_sheet import SampleRow, SampleSheet, read_sample_sheet

if TYPE_CHECKING:
    from biopsy_ai.segmentation import Model

log = logging.getLogger(__name__)

BLOCKS_STAGE = "blocks"
"""Stage under which `analyze_sheet` tells how many blocks are done."""


@dataclass(frozen=True)
class BlockOutcome:
    """What became of one block.

    Attributes
    ----------
    patient, block
        As in the sheet.
    status
        ``"ok"``; ``"failed"`` where a section is missing from the table of the block; or
        ``"skipped"`` where the same result was already there.
    folder
        Folder with the results; ``None`` where there are none.
    registration
        Content of the block's registration.json.
    reason
        Why the block failed, naming the sections, or was skipped.
    seconds
        Time spent on the block.
    """

    patient: str
    block: str
    status: Status
    folder: Path | None
    registration: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    seconds: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.patient} {self.block}".strip()


def analyze_sheet(
    sheet: SampleSheet | str | Path,
    out: str | Path,
    config: AnalysisConfig | None = None,
    *,
    model: Model | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    on_block: Callable[[BlockOutcome], None] | None = None,
) -> tuple[list[Outcome], list[BlockOutcome]]:
    """Analyze the slides of a sample sheet, and join the serial sections of each block.

    As `analyze_many`, but each slide with the settings of its row, and what the sheet says of it
    in cohort.csv. Then the sections of each block are laid on each other: ``out/<block>/`` gets
    fibers.csv with one row per fiber of the block, a picture of each pair, and registration.json.

    Parameters
    ----------
    sheet
        Of `read_sample_sheet`, or its path.
    out
        Folder for the results, made if missing.
    config
        Settings of the run; what a row says stands before them.
    model, overwrite, progress, on_outcome
        As in `analyze_many`.
    on_block
        Called after each block.

    Returns
    -------
    slides : list of Outcome
        One per row.
    blocks : list of BlockOutcome
        One per block of two sections and more.

    Raises
    ------
    ConfigError
        If the sheet cannot be used.
    ModelError, OutputError
        As in `analyze_many`.
    """
    if not isinstance(sheet, SampleSheet):
        sheet = read_sample_sheet(sheet)
    config = config or AnalysisConfig()
    out = Path(out)
    configs = [row.config(config) for row in sheet.rows]
    outcomes = analyze_many(
        [row.path for row in sheet.rows],
        out,
        config,
        configs=configs,
        notes=[row.notes for row in sheet.rows],
        model=model,
        overwrite=overwrite,
        progress=progress,
        on_outcome=on_outcome,
    )
    done = {
        row.line: (row, outcome, own)
        for row, outcome, own in zip(sheet.rows, outcomes, configs, strict=True)
    }
    taken = {outcome.folder.name.casefold() for outcome in outcomes if outcome.folder is not None}
    blocks: list[BlockOutcome] = []
    every = sheet.blocks()
    for number, ((patient, name), rows) in enumerate(every.items()):
        if progress is not None:
            progress(BLOCKS_STAGE, number, len(every))
        folder = _folder(out, patient, name, taken)
        members = [done[row.line] for row in rows]
        blocks.append(_one(patient, name, folder, members, config, overwrite, progress))
        if on_block is not None:
            on_block(blocks[-1])
    if blocks:
        # again, for the blocks were not there yet
        write_page(out)
    return outcomes, blocks


_Member = tuple[SampleRow, Outcome, AnalysisConfig]


def _one(
    patient: str,
    name: str,
    folder: Path,
    members: Sequence[_Member],
    config: AnalysisConfig,
    overwrite: bool,
    progress: Progress | None,
) -> BlockOutcome:
    """Join one block; what goes wrong is recorded and does not stop the others."""
    start = time.perf_counter()

    def ended(status: Status, reason: str = "", content: dict[str, Any] | None = None) -> Any:
        seconds = time.perf_counter() - start
        there = folder if content else None
        return BlockOutcome(patient, name, status, there, content or {}, printable(reason), seconds)

    try:
        failed = [outcome.source.name for _, outcome, _ in members if outcome.folder is None]
        usable = [member for member in members if member[1].folder is not None]
        if len(usable) < 2:
            return ended("failed", f"{_list(failed)} could not be analyzed, so nothing is joined.")
        return _join(patient, name, folder, usable, failed, config, overwrite, progress, ended)
    except Cancelled:
        raise
    except BiopsyError as error:
        log.debug("block %s failed", name, exc_info=True)
        return ended("failed", str(error))
    except Exception as error:
        log.exception("block %s failed unexpectedly", name)
        return ended("failed", f"unexpected error ({type(error).__name__}: {error})")


def _join(
    patient: str,
    name: str,
    folder: Path,
    members: Sequence[_Member],
    failed: Sequence[str],
    config: AnalysisConfig,
    overwrite: bool,
    progress: Progress | None,
    ended: Callable[..., BlockOutcome],
) -> BlockOutcome:
    from biopsy_ai.review.results import results_in_force
    from biopsy_ai.serial.block import join_block
    from biopsy_ai.serial.block_files import read_registration, read_section, write_block

    limits = Limits(config.measurement.limits)
    made_from = [_made_from(outcome, config) for _, outcome, _ in members]
    found = read_registration(folder)
    there = [folder / str(file) for file in found.get("files", ())]
    same = found.get("made_from") == made_from and found.get("biopsy_ai_version") == __version__
    if same and not overwrite and all(path.is_file() for path in there):
        reason = _failure(found, failed)
        return ended(
            "failed" if reason else "skipped", reason or "same result already there", found
        )
    sections = []
    slides, results = {}, {}
    for row, outcome, own in members:
        assert outcome.folder is not None
        section, counts = outcome.folder.name, results_in_force(outcome.folder)
        stain = (outcome.summary.get("image") or {}).get("stain") or row.settings.get("stain", "")
        stain = "" if stain in ("auto", "unknown") else str(stain)
        sections.append(read_section(counts, section, stain))
        slides[section] = (row.path, own)
        results[section] = counts
    block = join_block(sections, limits=limits, progress=progress)
    about = {"patient": patient or None, "block": name, "made_from": made_from}
    joined = {name: results[name] for n in block.joined if (name := block.sections[n].name)}
    content = write_block(
        folder,
        block,
        about=about,
        slides=slides,
        results=results,
        score=_score(joined, config),
        limits=limits,
    )
    reason = _failure(content, failed)
    return ended("failed" if reason else "ok", reason, content)


def _score(folders: dict[str, Path], config: AnalysisConfig) -> dict[str, Any] | None:
    """Score the joined sections of a block together; None where it is only one."""
    from biopsy_ai.score import load_evidence, read_section, score_block

    if len(folders) < 2:
        return None
    sections = [read_section(folder) for folder in folders.values()]
    return score_block(sections, load_evidence(config.evidence), names=list(folders)).summary()


def _made_from(outcome: Outcome, config: AnalysisConfig) -> dict[str, Any]:
    """What tells a section from one that was analyzed again, and the limits from others."""
    assert outcome.folder is not None
    provenance = outcome.summary.get("provenance") or {}
    return {
        "folder": printable(outcome.folder.name),
        "image_sha256": provenance.get("image_sha256"),
        "utc_time": provenance.get("utc_time"),
        "limits": dict(config.measurement.limits),
    }


def _failure(registration: dict[str, Any], failed: Sequence[str]) -> str:
    """Say which sections are missing from the table of a block, and why; empty if none is."""
    reasons = [f"{_list(failed)} could not be analyzed."] if failed else []
    missing = {
        section["name"] for section in registration.get("sections", ()) if not section["joined"]
    }
    for pair in registration.get("pairs", ()):
        if pair["moving"] in missing:
            reasons.append(str(pair["why_not"]))
            missing.discard(pair["moving"])
    return " ".join(reasons)


def _folder(out: Path, patient: str, name: str, taken: set[str]) -> Path:
    """Choose a folder that is neither that of a slide nor of another block."""
    from biopsy_ai.serial.block_files import read_registration

    plain = re.sub(r'[<>:"/\\|?*\x00-\x1f]+', "_", name).strip(" .") or "block"
    person = re.sub(r'[<>:"/\\|?*\x00-\x1f]+', "_", patient).strip(" .")
    number = 0
    while True:
        number += 1
        tries = [plain, f"{person}_{plain}" if person else f"{plain}_block", f"{plain}_{number}"]
        folder = out / tries[min(number, 3) - 1]
        key = folder.name.casefold()
        if key in taken or (folder / SUMMARY_FILE).exists():
            continue
        found = read_registration(folder)
        own = (found.get("patient") or "", found.get("block")) == (patient, name)
        if (folder / REGISTRATION_FILE).exists() and not own:
            continue
        taken.add(key)
        return folder


def _list(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
