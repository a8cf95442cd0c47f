"""How far a run over many slides is: one line on a terminal, or events for a program."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from biopsy_ai.cli.interruption import raise_again
from biopsy_ai.cli.json_lines import JsonLines
from biopsy_ai.cli.progress import StageBars

if TYPE_CHECKING:
    from biopsy_ai.run_record import Standing

LOG_INTERVAL_S = 10.0
"""A log file, or a program that listens, is told so often though no slide has ended."""

_BAR_WIDTH = 20


class CohortBars(StageBars):
    """Bars of the stages of a slide, where one is analyzed after the other; else one for all.

    Examples
    --------
    >>> from biopsy_ai.run_record import Standing
    >>> with CohortBars(quiet=True) as bars:
    ...     bars.show(Standing(3, 1, 6, 12.5, 90.0))
    """

    def __init__(self, *, quiet: bool = False, counter: str | None = None) -> None:
        super().__init__(quiet=quiet, counter=counter)
        self._interactive = sys.stderr.isatty()
        self._shown_at = float("-inf")
        self._line = ""

    def show(self, standing: Standing) -> None:
        """Show how far the run is."""
        if self._quiet or standing.total < 2:
            return
        now = time.monotonic()
        if now - self._shown_at < (0.2 if self._interactive else LOG_INTERVAL_S):
            return
        self._shown_at = now
        super().close()
        share = 1 - standing.left / standing.total
        filled = round(share * _BAR_WIDTH)
        text = f"[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {standing_text(standing)}"
        if self._interactive:
            width = shutil.get_terminal_size().columns - 1
            self._line = text[:width]
            sys.stderr.write("\r" + self._line.ljust(width))
        else:
            sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def close(self) -> None:
        """Clear the line and finish the bar that is shown."""
        if self._line:
            sys.stderr.write("\r" + " " * len(self._line) + "\r")
            sys.stderr.flush()
            self._line = ""
        super().close()


def standing_text(standing: Standing) -> str:
    """Say how far a run is, in words."""
    said = [f"{standing.done} done", f"{standing.failed} failed", f"{standing.left} left"]
    if standing.fibers_per_s is not None:
        said.append(f"{standing.fibers_per_s:.3g} fibers/s")
    if standing.seconds_left is not None and standing.left:
        said.append(f"about {_duration(standing.seconds_left)} left")
    return ", ".join(said)


def show_on(bars: CohortBars | JsonLines) -> Callable[[Standing], None]:
    """Give what shows the standing of a run, and stops the run if it was asked to stop."""
    if isinstance(bars, CohortBars):

        def show(standing: Standing) -> None:
            raise_again()
            bars.show(standing)

        return show

    last: list[tuple[int, int, int]] = []
    told_at = [float("-inf")]

    def write(standing: Standing) -> None:
        raise_again()
        if standing.total < 2:
            return
        counts = standing.done, standing.failed, standing.left
        now = time.monotonic()
        if last and last[0] == counts and now - told_at[0] < LOG_INTERVAL_S:
            return
        last[:], told_at[0] = [counts], now
        bars.write(
            "cohort",
            done=standing.done,
            failed=standing.failed,
            left=standing.left,
            fibers_per_s=_rounded(standing.fibers_per_s),
            seconds_left=_rounded(standing.seconds_left),
        )

    return write


def cohort_progress_on(
    events: JsonLines | None, *, quiet: bool, counter: str
) -> JsonLines | CohortBars:
    """Choose where a run over slides shows its progress: as events, or as bars on a terminal."""
    return CohortBars(quiet=quiet, counter=counter) if events is None else events


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 1)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
