"""A lock on an open file, which the system frees when the process that holds it dies."""

from __future__ import annotations

import sys
from typing import IO

_FAR_BYTE = 1 << 30
"""Place of the byte that is locked on Windows, behind what other programs read."""

if sys.platform == "win32":
    import msvcrt

    def try_lock(file: IO[bytes]) -> bool:
        """Lock a file that is open for writing; False if another process has done so."""
        file.seek(_FAR_BYTE)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def unlock(file: IO[bytes]) -> None:
        """Free the lock on a file."""
        file.seek(_FAR_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def try_lock(file: IO[bytes]) -> bool:
        """Lock a file that is open for writing; False if another process has done so."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def unlock(file: IO[bytes]) -> None:
        """Free the lock on a file."""
        fcntl.flock(file, fcntl.LOCK_UN)
