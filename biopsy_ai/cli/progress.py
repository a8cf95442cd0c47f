"""Progress bars on a terminal, fed by the callback ``progress(stage, done, total)``."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

from biopsy_ai.cli.interruption import raise_again


class StageBars:
    """One bar per stage on standard error.

    Parameters
    ----------
    quiet
        Show nothing.
    counter
        Stage that counts whole slides: it gets no bar, but a prefix of the other bars.

    Examples
    --------
    >>> with StageBars(quiet=True) as bars:
    ...     bars("segmentation", 1, 4)
    """

    def __init__(self, *, quiet: bool = False, counter: str | None = None) -> None:
        self._quiet = quiet
        self._counter = counter
        self._stage = ""
        self._prefix = ""
        self._bar: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` steps of `stage` are done; stop here if Ctrl-C was lost."""
        raise_again()
        if self._quiet:
            return
        if stage == self._counter:
            self.close()
            self._prefix = f"[{done + 1}/{total}] " if total > 1 else ""
            return
        if self._bar is None or stage != self._stage or total != self._bar.total:
            self.close()
            self._open(stage, total)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Finish the bar that is shown, so that other output starts on a line of its own."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _open(self, stage: str, total: int) -> None:
        from tqdm import tqdm

        self._stage = stage
        interactive = sys.stderr.isatty()
        self._bar = tqdm(
            desc=self._prefix + stage,
            total=total,
            file=sys.stderr,
            leave=not interactive,
            # A log file gets few lines instead of ten a second.
            mininterval=0.1 if interactive else 10.0,
            dynamic_ncols=interactive,
        )
