"""One review of a section at a time: a lock that the system frees when its holder dies."""

from __future__ import annotations

import json
import os
import platform
import sys
from pathlib import Path
from typing import IO

from biopsy_ai.errors import ReviewError
from biopsy_ai.file_lock import try_lock, unlock

LOCK_FILE = "review.lock"
"""Stands among the results while they are reviewed."""


class ReviewLock:
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
        self.path = folder / LOCK_FILE
        while True:
            file = open(self.path, "a+b")
            try:
                if not try_lock(file):
                    raise ReviewError(
                        f"{folder}: is being reviewed{_holder(self.path)}. Close it there first; "
                        "two reviews at once would undo each other."
                    )
                # who held it last may have removed the file since it was opened here
                if not _is_same(file, self.path):
                    unlock(file)
                    file.close()
                    continue
                holder = {"user": user, "host": platform.node(), "pid": os.getpid()}
                file.truncate(0)
                file.write(json.dumps(holder).encode())
                file.flush()
            except BaseException:
                file.close()
                raise
            self._file: IO[bytes] | None = file
            return

    def release(self) -> None:
        """Let others review the section."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            # while it is held: nobody else can take what is removed here for free
            if sys.platform != "win32":
                self.path.unlink(missing_ok=True)
            unlock(file)
        except OSError:
            pass
        finally:
            file.close()
        if sys.platform == "win32":
            try:
                self.path.unlink(missing_ok=True)
            except OSError:
                pass


def _holder(path: Path) -> str:
    """Who holds a lock, as far as it says."""
    try:
        held = json.loads(path.read_bytes().split(b"\n")[0])
        user, host, pid = str(held["user"]), str(held["host"]), int(held["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return " in another window or by someone else"
    if host == platform.node():
        where = "in this program" if pid == os.getpid() else f"in another window (process {pid})"
        return f" by {user} {where}"
    return f" by {user} on {host}"


def _is_same(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False
