"""Events for another program: one JSON object a line on standard output, as they happen."""

from __future__ import annotations

import json
import math
import sys
import threading
from contextlib import redirect_stdout
from enum import Enum
from types import TracebackType
from typing import Annotated, Any, Self, TextIO

import typer

from biopsy_ai.cli.interruption import raise_again
from biopsy_ai.cli.progress import StageBars
from biopsy_ai.errors import Cancelled


class LogFormat(Enum):
    """How a command tells what it does."""

    TEXT = "text"
    JSON = "json"


Log = Annotated[
    LogFormat,
    typer.Option(
        "--log",
        metavar="FORMAT",
        help="text (default): bars and words for people; json: for programs, one JSON object a "
        "line on standard output for each event, and nothing else there. Example: --log json",
    ),
]


class JsonLines:
    """Writes events, each at once; stands where a `StageBars` would.

    While it is entered, what others print goes to standard error.

    Parameters
    ----------
    stream
        Where to write; standard output if None.

    Examples
    --------
    >>> import sys
    >>> with JsonLines(sys.stdout) as events:
    ...     events("segment", 1, 4)
    ...     events.write("slide", name="a.tif", state="ok")
    {"event": "progress", "stage": "segment", "done": 1, "total": 4}
    {"event": "slide", "name": "a.tif", "state": "ok"}
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._lock = threading.Lock()
        self._redirection = redirect_stdout(sys.stderr)

    def __enter__(self) -> Self:
        self._redirection.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._redirection.__exit__(kind, error, trace)

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Tell that `done` of `total` steps of `stage` are done; stop here if asked to."""
        raise_again()
        self.write("progress", stage=stage, done=done, total=total)

    def write(self, event: str, **fields: Any) -> None:
        """Write one event; from any thread.

        Raises
        ------
        Cancelled
            If nobody reads any more, as when the program that listened has ended.
        """
        known = {name: _known(value) for name, value in fields.items()}
        line = json.dumps({"event": event, **known}, default=str, allow_nan=False)
        with self._lock:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError) as error:
                raise Cancelled("the program that listened has ended") from error

    def close(self) -> None:
        """Nothing: each event stands on a line of its own."""


def json_lines(log: LogFormat) -> JsonLines | None:
    """Make the writer of events where they are asked for."""
    return JsonLines() if log is LogFormat.JSON else None


def progress_on(
    events: JsonLines | None, *, quiet: bool = False, counter: str | None = None
) -> JsonLines | StageBars:
    """Choose where a command shows its progress: as events, or as bars on a terminal."""
    return StageBars(quiet=quiet, counter=counter) if events is None else events


def _known(value: Any) -> Any:
    """A number of numpy as one of Python; null in place of what JSON has no number for."""
    if callable(getattr(value, "item", None)):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
