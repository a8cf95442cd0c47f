"""run.json: what became of every slide of a run, kept up to date while it runs."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from biopsy_ai import __version__
from biopsy_ai.cohort_table import Outcome
from biopsy_ai.errors import OutputError
from biopsy_ai.formats.tables import printable, write_json

log = logging.getLogger(__name__)

RUN_FILE = "run.json"

INTERVAL_S = 1.0
"""How often the file is written at most."""


@dataclass(frozen=True)
class Standing:
    """How far a run is.

    Attributes
    ----------
    done
        Slides that are scored, or were before.
    failed, left
        Slides that failed, and those that are not ended yet.
    fibers_per_s
        Fibers of the slides analyzed in this run, per second; None before the first.
    seconds_left
        About how long it will still take; None before the first slide is analyzed.
    """

    done: int
    failed: int
    left: int
    fibers_per_s: float | None
    seconds_left: float | None

    @property
    def total(self) -> int:
        return self.done + self.failed + self.left


@dataclass
class _Slide:
    name: str
    path: str
    state: str = "waiting"
    seconds: float | None = None
    peak_memory_bytes: int | None = None
    attempts: int = 0
    worker: str = ""
    folder: str = ""
    reason: str = ""


@dataclass
class RunRecord:
    """State, time, memory and reason of every slide.

    Parameters
    ----------
    path
        The file to write.
    sources
        Slides, in order.
    about
        What else to write: how many workers.
    """

    path: Path
    sources: Sequence[Path]
    about: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._slides = [
            _Slide(printable(source.name), printable(str(source.resolve())))
            for source in self.sources
        ]
        self._begin, self._started = time.monotonic(), _now()
        self._analyzed = 0
        self._fibers = 0
        self._written = -INTERVAL_S

    def started(self, number: int, worker: str = "") -> None:
        """Note that a slide is begun, perhaps once more."""
        slide = self._slides[number]
        slide.state, slide.worker = "running", worker
        slide.attempts += 1
        self.write()

    def ended(self, number: int, outcome: Outcome, peak_bytes: int, attempts: int = 1) -> None:
        """Note what became of a slide."""
        slide = self._slides[number]
        slide.state, slide.reason = outcome.status, outcome.reason
        slide.seconds = round(outcome.seconds, 3)
        slide.peak_memory_bytes = peak_bytes or None
        slide.attempts = attempts
        slide.folder = "" if outcome.folder is None else printable(outcome.folder.name)
        if outcome.status == "ok":
            self._analyzed += 1
            self._fibers += int((outcome.summary.get("fibers") or {}).get("n_fibers") or 0)
        self.write()

    @property
    def standing(self) -> Standing:
        """How far the run is now."""
        states = [slide.state for slide in self._slides]
        failed = states.count("failed")
        done = sum(states.count(state) for state in ("ok", "skipped", "reviewed"))
        left = len(states) - done - failed
        spent = time.monotonic() - self._begin
        worked = self._analyzed + failed
        known = self._analyzed > 0 and spent > 0
        return Standing(
            done,
            failed,
            left,
            self._fibers / spent if known else None,
            spent / worked * left if known else None,
        )

    def write(self, *, ended: str = "") -> bool:
        """Write the file unless it was just written; False if it cannot be.

        Parameters
        ----------
        ended
            How the run ended: "finished" or "stopped"; then it is written in any case.
        """
        if not ended and time.monotonic() - self._written < INTERVAL_S:
            return True
        if ended:
            for slide in self._slides:
                if slide.state == "running":
                    slide.state = "stopped"
        try:
            write_json(self.path, self._content(ended or "running"))
        except OutputError as error:
            log.warning("%s", error)
            return False
        finally:
            self._written = time.monotonic()
        return True

    def _content(self, state: str) -> dict[str, Any]:
        standing = self.standing
        return {
            "biopsy_ai_version": __version__,
            "state": state,
            "started_utc": self._started,
            "updated_utc": _now(),
            "seconds": round(time.monotonic() - self._begin, 1),
            **self.about,
            "done": standing.done,
            "failed": standing.failed,
            "left": standing.left,
            "slides": [
                {
                    "name": slide.name,
                    "path": slide.path,
                    "state": slide.state,
                    "seconds": slide.seconds,
                    "peak_memory_bytes": slide.peak_memory_bytes,
                    "attempts": slide.attempts,
                    "worker": slide.worker,
                    "folder": slide.folder,
                    "reason": slide.reason,
                }
                for slide in self._slides
            ],
        }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
