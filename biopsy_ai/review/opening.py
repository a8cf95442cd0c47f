"""Opening the results of a section for review."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biopsy_ai.checksum import file_sha256
from biopsy_ai.errors import BiopsyError, ReviewError
from biopsy_ai.formats.label_image import LABELS_FILE
from biopsy_ai.formats.read_tables import read_fibers_csv
from biopsy_ai.formats.tables import printable
from biopsy_ai.named_lock import account_name
from biopsy_ai.report.save import is_complete
from biopsy_ai.result_names import FIBERS_FILE, REVIEWED_FOLDER, SUMMARY_FILE
from biopsy_ai.review.lock import ReviewLock
from biopsy_ai.review.log import LOG_FILE, ReviewLog
from biopsy_ai.saved import SavedAnalysis, read_analysis

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Opened:
    """What a review begins with.

    Attributes
    ----------
    saved
        The results.
    user
        Who reviews.
    log
        The log of the section, to go on with.
    lock
        The right to change it; None where nothing can be written, and `why_read_only` says why.
    stamp
        Of the label image, from `stamp_of`.
    """

    saved: SavedAnalysis
    user: str
    log: ReviewLog
    lock: ReviewLock | None
    stamp: tuple[int, int] | None = None
    why_read_only: str = ""


def open_section(folder: Path, user: str | None, slide: str | Path | None) -> Opened:
    """Lock the results of a section and read them and their log; see `Review.open`."""
    if folder.name == REVIEWED_FOLDER and (folder.parent / LOG_FILE).is_file():
        raise ReviewError(
            f"{folder}: holds what a review of {folder.parent} led to. Open that folder to go on "
            "with the review."
        )
    name = printable((user or "").strip()) or account_name()
    lock, why = None, ""
    if (folder / SUMMARY_FILE).is_file():
        try:
            lock = ReviewLock(folder, name)
        except OSError as error:
            why = f"{folder}: cannot be written or locked ({error.strerror or error})"
    try:
        stamp = stamp_of(folder / LABELS_FILE)
        saved = read_analysis(folder, slide)
        log = ReviewLog(folder, file_sha256(folder / LABELS_FILE))
    except BaseException:
        if lock is not None:
            lock.release()
        raise
    return Opened(saved, name, log, lock, stamp, why)


def stamp_of(path: Path) -> tuple[int, int] | None:
    """What tells whether a file was replaced, at little cost; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def read_reviewed(folder: Path, log_sha256: str) -> tuple[pd.DataFrame, dict[str, Any]] | None:
    """Fiber table and summary of the results after a review, if they are of this very state."""
    reviewed = folder / REVIEWED_FOLDER
    try:
        summary = json.loads((reviewed / SUMMARY_FILE).read_text(encoding="utf-8"))
        if summary["review"]["log_sha256"] != log_sha256 or not is_complete(reviewed, summary):
            return None
        return read_fibers_csv(reviewed / FIBERS_FILE), summary
    except (OSError, ValueError, KeyError, TypeError, BiopsyError):
        # they can be made again
        return None
