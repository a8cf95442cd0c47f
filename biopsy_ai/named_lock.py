"""A lock file that says who holds it, and that is free again when its holder dies."""

from __future__ import annotations

import getpass
import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

from biopsy_ai.file_lock import try_lock, unlock
from biopsy_ai.formats.tables import printable


class NamedLock:
    """A lock that is held until `release` or until the program ends.

    Parameters
    ----------
    path
        Lock file; removed when it is released.
    user
        Who holds it; others are told.
    taken
        Makes the error to raise if someone else holds it, from words such as
        `` by Ada on lab-3``.

    Raises
    ------
    Exception
        What `taken` gives.
    OSError
        If the file cannot be written, or the system has no locks there.
    """

    def __init__(self, path: Path, user: str, taken: Callable[[str], Exception]) -> None:
        self.path = path
        while True:
            file = open(path, "a+b")
            try:
                if not try_lock(file):
                    raise taken(_holder(path))
                # who held it last may have removed the file since it was opened here
                if not _is_same(file, path):
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
        """Let others have it."""
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


def account_name() -> str:
    """The name of the account that runs the program."""
    try:
        return printable(getpass.getuser())
    # what is raised where an account has no name differs between systems and versions
    except Exception:
        return "unknown"


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
