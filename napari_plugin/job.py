"""A command of biopsy-ai in a process of its own, followed while it runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QObject, QProcess, QTemporaryDir, QTimer, Signal

from biopsy_ai.cli.reporting import EXIT_INTERRUPTED

GRACE_MS = 5000
"""How long a process that was asked to stop may take to tidy up before it is killed. [default]"""

KEPT_CHARACTERS = 4000
"""As much of the end of what a process wrote on standard error is kept."""


class Job(QObject):
    """Runs ``biopsy-ai ARGUMENTS --log json`` beside the window, which goes on meanwhile.

    Signals, all in the thread of the window:

    - ``progressed(stage, done, total)``;
    - ``reported(event)``: each other event, as a dict with the key ``event``;
    - ``failed(text)``: once, just before the end, with what went wrong in words; not after
      `cancel`;
    - ``finished()``: once, the last one, however it ended.

    Parameters
    ----------
    arguments
        Of the command, without ``--log``.
    parent
        Owner in Qt; when it is destroyed, as with its window, a job that still runs is stopped, and
        waited for as long as it tidies up.

    Examples
    --------
    >>> job = Job(["analyze", "section.svs", "--out", "results"])  # doctest: +SKIP
    >>> job.progressed.connect(print)  # doctest: +SKIP
    >>> job.start()  # doctest: +SKIP
    """

    progressed = Signal(str, int, int)
    reported = Signal(dict)
    failed = Signal(str)
    finished = Signal()

    def __init__(self, arguments: Sequence[str], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._cancelled = False
        self._ended = False
        self._succeeded = False
        self._started = False
        self._line = b""
        self._errors: list[str] = []
        self._reasons: list[str] = []
        self._printed = ""
        # Without a terminal, Windows has no signal by which to ask a process to stop.
        self._folder = QTemporaryDir()
        self._stop_file = Path(self._folder.path()) / "stop"
        self._process = QProcess(self)
        self._process.setProgram(_interpreter())
        # -P: whatever lies in the folder that napari was started from is not imported
        self._process.setArguments(
            ["-P", "-m", "biopsy_ai", *arguments]
            + ["--log", "json", "--stop-file", str(self._stop_file)]
        )
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.readyReadStandardError.connect(self._keep)
        self._process.errorOccurred.connect(self._on_error)
        self._process.finished.connect(self._on_finished)
        self._killer = QTimer(self)
        self._killer.setSingleShot(True)
        self._killer.timeout.connect(self._process.kill)

    @property
    def is_running(self) -> bool:
        return self._started and not self._ended

    @property
    def was_cancelled(self) -> bool:
        return self._cancelled

    @property
    def succeeded(self) -> bool:
        """Whether it came to its end, and all went well."""
        return self._succeeded

    def start(self) -> None:
        """Start the process, once."""
        if self._started:
            return
        self._started = True
        self._process.start()
        self._process.closeWriteChannel()
        self.destroyed.connect(partial(_stop, self._process, self._folder, self._stop_file))

    def cancel(self) -> None:
        """Ask the process to stop, and kill it if it has not after `GRACE_MS`; never waits."""
        if not self.is_running or self._cancelled:
            return
        self._cancelled = True
        self._stop_file.touch()
        self._process.terminate()
        self._killer.start(GRACE_MS)

    def _read(self) -> None:
        read = self._line + bytes(self._process.readAllStandardOutput().data())
        *lines, self._line = read.split(b"\n")
        for line in lines:
            event = _parse(line)
            if event is not None and not self._ended:
                self._tell(event)

    def _tell(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "progress":
            self.progressed.emit(str(event["stage"]), int(event["done"]), int(event["total"]))
            return
        if kind == "error":
            self._errors.append(str(event.get("message", "")))
        elif event.get("state") == "failed":
            self._reasons.append(str(event.get("reason", "")))
        self.reported.emit(event)

    def _keep(self) -> None:
        read = bytes(self._process.readAllStandardError().data())
        text = read.decode("utf-8", "replace")
        self._printed = (self._printed + text)[-KEPT_CHARACTERS:]

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._end(f"biopsy-ai could not be started: {self._process.errorString()}.")

    def _on_finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._read()
        self._keep()
        crashed = status == QProcess.ExitStatus.CrashExit
        if code == 0 and not crashed:
            self._succeeded = True
            self._end("")
        elif code == EXIT_INTERRUPTED and not crashed:
            self._end("It was stopped from outside before its end.")
        else:
            self._end(self._reason(code, crashed))

    def _reason(self, code: int, crashed: bool) -> str:
        if self._errors or self._reasons:
            return "\n".join(self._errors or self._reasons)
        last = "\n".join(self._printed.strip().splitlines()[-12:])
        how = "crashed, or was killed by the system" if crashed else f"ended with code {code}"
        hint = " Was there too little memory?" if crashed else ""
        return f"The process {how} and gave no reason.{hint}" + (f"\n{last}" if last else "")

    def _end(self, problem: str) -> None:
        if self._ended:
            return
        self._ended = True
        self._killer.stop()
        self._folder.remove()
        if problem and not self._cancelled:
            self.failed.emit(problem)
        self.finished.emit()


def _stop(process: QProcess, folder: QTemporaryDir, stop_file: Path, *_: Any) -> None:
    """Stop a process whose job goes away; the folder is there as long as it is needed."""
    process.blockSignals(True)
    if process.state() == QProcess.ProcessState.NotRunning or not folder.isValid():
        return
    with suppress(OSError):
        stop_file.touch()
    process.terminate()
    if not process.waitForFinished(GRACE_MS):
        process.kill()
        process.waitForFinished(GRACE_MS)


def _interpreter() -> str:
    """The Python that runs the window; on Windows, the one that has standard streams."""
    path = Path(sys.executable)
    if path.name.lower() == "pythonw.exe" and path.with_name("python.exe").is_file():
        return str(path.with_name("python.exe"))
    return str(path)


def _parse(line: bytes) -> dict[str, Any] | None:
    """Read one event; None for what is none, such as a line that a library printed."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None
