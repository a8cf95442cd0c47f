"""One review of a section at a time."""

from __future__ import annotations

from pathlib import Path

from biopsy_ai.errors import ReviewError
from biopsy_ai.named_lock import NamedLock

LOCK_FILE = "review.lock"
"""Stands among the results while they are reviewed."""


class ReviewLock(NamedLock):
    """The right to review a section, held until `release` or until the program ends.

    Parameters
    ----------
    folder
        With the results.
    user
        Who reviews; others are told.

    Raises
    ------
    ReviewError
        If someone else holds it.
    OSError
        If nothing can be written to the folder.
    """

    def __init__(self, folder: Path, user: str) -> None:
        def taken(holder: str) -> ReviewError:
            return ReviewError(
                f"{folder}: is being reviewed{holder}. Close it there first; two reviews at once "
                "would undo each other."
            )

        super().__init__(folder / LOCK_FILE, user, taken)
