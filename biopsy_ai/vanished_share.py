"""Files on a network share that is away for a while: waited for, a few times."""

from __future__ import annotations

import errno
import time
from collections.abc import Iterable
from pathlib import Path

from biopsy_ai.errors import OutputError
from biopsy_ai.progress import Progress

PAUSES_S: tuple[float, ...] = (5.0, 20.0, 60.0)
"""How long to wait before each new try. [default]"""

_STEP_S = 0.25

_AWAY = {
    getattr(errno, name)
    for name in (
        "EIO", "ESTALE", "ENOTCONN", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH",
        "ETIMEDOUT", "ECONNRESET", "ECONNABORTED", "ECONNREFUSED", "EREMOTEIO", "ESHUTDOWN",
        "ENODEV", "ENXIO", "ENOLINK",
    )
    if hasattr(errno, name)
}  # fmt: skip
"""What the system says of a file whose server or disk does not answer."""

_AWAY_WINDOWS = {51, 53, 54, 59, 64, 67, 121, 1167, 1231, 1232, 1236}


class Patience:
    """Tells whether an error came of files that are away, and waits for them.

    Parameters
    ----------
    files
        What is read. A file that is not there to begin with is not waited for.
    folder
        What is written to.
    """

    def __init__(self, files: Iterable[Path | None], folder: Path) -> None:
        self._there = [path for path in (*files, folder) if path is not None and _is_there(path)]
        self._waited = 0.0
        self.attempts = 1

    @property
    def told(self) -> str:
        """How long it was waited, in words."""
        return (
            f"The files could not be reached, also not in {self.attempts} tries over "
            f"{self._waited:.0f} s. Is the network share there? Then repeat the command."
        )

    def waits(self, error: BaseException, progress: Progress | None) -> bool:
        """Wait before another try, unless the error has other causes or it was tried enough.

        `progress` is called meanwhile, so that the run can be stopped.
        """
        if self.attempts > len(PAUSES_S) or not (is_away(error) or self._is_missing()):
            return False
        pause = PAUSES_S[self.attempts - 1]
        start = time.monotonic()
        while (spent := time.monotonic() - start) < pause:
            if progress is not None:
                progress("wait", int(spent), max(int(pause), 1))
            time.sleep(min(_STEP_S, pause))
        self._waited += pause
        self.attempts += 1
        return True

    def _is_missing(self) -> bool:
        return not all(map(_is_there, self._there))


def is_away(error: BaseException | None) -> bool:
    """Whether a server or disk that does not answer is behind an error."""
    seen: list[BaseException] = []
    while error is not None and error not in seen:
        seen.append(error)
        if isinstance(error, OSError):
            codes = error.errno, getattr(error, "winerror", None)
            if codes[0] in _AWAY or codes[1] in _AWAY_WINDOWS:
                return True
        error = error.__cause__ or error.__context__
    return False


def require_folder(folder: Path) -> None:
    """Refuse to make the folder of a run anew where it was there before.

    On the empty mount point of a share that is away, results would vanish when it comes back.

    Raises
    ------
    OutputError
    """
    if not folder.is_dir():
        raise OutputError(
            f"{folder}: the folder for results is gone. Is the network share there? Then repeat "
            "the command: finished slides are not analyzed again."
        )


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False
