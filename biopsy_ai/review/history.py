"""What of a log is done, what was taken back, and how it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pandas as pd

from biopsy_ai.review.entry import Entry

COLUMNS = ("seq", "utc", "user", "operation", "labels", "text", "undone")


class History:
    """The entries of a log, sorted by whether they hold.

    Attributes
    ----------
    done
        What holds, in the order in which it was done.
    undone
        What was taken back and can be made again, the next one last.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries: list[Entry] = []
        self.done: list[Entry] = []
        self.undone: list[Entry] = []
        for entry in entries:
            self.add(entry)

    def add(self, entry: Entry) -> None:
        """Take up the next entry.

        Raises
        ------
        ValueError
            If it takes back or makes again what cannot be.
        """
        if entry.operation == "undo":
            self._move(self.done, self.undone, entry.undoes)
        elif entry.operation == "redo":
            self._move(self.undone, self.done, entry.redoes)
        else:
            self.done.append(entry)
            self.undone.clear()
        self.entries.append(entry)

    @staticmethod
    def _move(source: list[Entry], target: list[Entry], seq: int) -> None:
        if not source or source[-1].seq != seq:
            raise ValueError(f"change {seq} is not the one that can be taken back or made again")
        target.append(source.pop())

    def table(self) -> pd.DataFrame:
        """All changes that hold or can be made again, with the columns `COLUMNS`."""
        undone = {entry.seq for entry in self.undone}
        known = undone | {entry.seq for entry in self.done}
        rows = [
            (e.seq, e.utc, e.user, e.operation, e.labels, e.text, e.seq in undone)
            for e in self.entries
            if e.seq in known
        ]
        return pd.DataFrame(rows, columns=list(COLUMNS))

    def record(self, log_sha256: str) -> dict[str, Any]:
        """Who changed how much and when, ready for JSON; empty if nobody did anything."""
        if not self.entries:
            return {}
        return {
            "n_edits": len(self.done),
            "n_by_operation": dict(Counter(entry.operation for entry in self.done)),
            "reviewers": sorted({entry.user for entry in self.entries}),
            "first_utc": self.entries[0].utc,
            "last_utc": self.entries[-1].utc,
            "log_sha256": log_sha256,
        }
