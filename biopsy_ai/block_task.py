"""One block of a run: its serial sections laid on each other, or what kept them from it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from biopsy_ai import __version__
from biopsy_ai.cohort_table import Outcome, Status
from biopsy_ai.config import AnalysisConfig
from biopsy_ai.errors import BiopsyError, Cancelled
from biopsy_ai.formats.tables import printable
from biopsy_ai.measure.reference import Limits
from biopsy_ai.progress import Progress
from biopsy_ai.serial.sample_sheet import SampleRow

log = logging.getLogger(__name__)


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


Member = tuple[SampleRow, Outcome, AnalysisConfig]


@dataclass(frozen=True)
class BlockTask:
    """What a run asks of one block; can be sent to another process."""

    patient: str
    block: str
    folder: Path
    members: Sequence[Member]
    config: AnalysisConfig
    overwrite: bool

    @property
    def name(self) -> str:
        return f"{self.patient} {self.block}".strip()


def run_block_of(task: BlockTask, *, progress: Progress) -> BlockOutcome:
    """Do a task in a worker."""
    return run_block(task, progress, starved=True)


def run_block(task: BlockTask, progress: Progress | None, *, starved: bool = False) -> BlockOutcome:
    """Join one block; what goes wrong is in the outcome.

    Parameters
    ----------
    task
        What to do.
    progress
        As everywhere; what it raises comes through.
    starved
        Raise `MemoryError` instead of making it the outcome.
    """
    patient, name, folder, members = task.patient, task.block, task.folder, task.members
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
        return _join(task, usable, failed, progress, ended)
    except Cancelled:
        raise
    except BiopsyError as error:
        log.debug("block %s failed", name, exc_info=True)
        return ended("failed", str(error))
    except Exception as error:
        if isinstance(error, MemoryError) and starved:
            raise
        log.exception("block %s failed unexpectedly", name)
        return ended("failed", f"unexpected error ({type(error).__name__}: {error})")


def _join(
    task: BlockTask,
    members: Sequence[Member],
    failed: Sequence[str],
    progress: Progress | None,
    ended: Callable[..., BlockOutcome],
) -> BlockOutcome:
    from biopsy_ai.review.results import results_in_force
    from biopsy_ai.serial.block import join_block
    from biopsy_ai.serial.block_files import read_registration, read_section, write_block

    folder, config = task.folder, task.config
    limits = Limits(config.measurement.limits)
    made_from = [_made_from(outcome, config) for _, outcome, _ in members]
    found = read_registration(folder)
    there = [folder / str(file) for file in found.get("files", ())]
    same = found.get("made_from") == made_from and found.get("biopsy_ai_version") == __version__
    if same and not task.overwrite and all(path.is_file() for path in there):
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
    about = {"patient": task.patient or None, "block": task.block, "made_from": made_from}
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


def _list(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
