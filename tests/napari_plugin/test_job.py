"""Commands in a process of their own: followed, stopped, and failing in words."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from drawn_sections import DrawnSection

pytest.importorskip("qtpy", reason="napari is not installed: pip install biopsy-ai[gui]")
pytest.importorskip("napari", reason="napari is not installed: pip install biopsy-ai[gui]")

from biopsy_ai.cli.reporting import EXIT_INTERRUPTED
from napari_plugin import job as module
from napari_plugin.job import Job

pytestmark = pytest.mark.gui

END_MS = 90_000


class Heard:
    """Everything that a job says, in order."""

    def __init__(self, job: Job) -> None:
        self.said: list[tuple[str, Any]] = []
        job.progressed.connect(lambda *step: self.said.append(("progressed", step)))
        job.reported.connect(lambda event: self.said.append(("reported", event)))
        job.failed.connect(lambda text: self.said.append(("failed", text)))
        job.finished.connect(lambda: self.said.append(("finished", None)))

    def of(self, kind: str) -> list[Any]:
        return [what for name, what in self.said if name == kind]


def run_to_its_end(job: Job, qtbot: Any) -> Heard:
    heard = Heard(job)
    with qtbot.waitSignal(job.finished, timeout=END_MS):
        job.start()
    assert heard.said[-1][0] == "finished"
    assert len(heard.of("finished")) == 1
    assert not job.is_running
    return heard


def test_a_real_analysis(section: DrawnSection, tmp_path: Path, qtbot: Any) -> None:
    out = tmp_path / "results"
    job = Job(["analyze", "--fibers", str(section.labels), "--mpp", "0.5", "--out", str(out)])
    heard = run_to_its_end(job, qtbot)
    assert job.succeeded
    assert not heard.of("failed")
    stages = [stage for stage, _, _ in heard.of("progressed")]
    assert stages.index("measure") < stages.index("report")
    (event,) = heard.of("reported")
    assert (event["event"], event["state"]) == ("slide", "ok")
    assert (Path(event["folder"]) / "summary.json").is_file()


def test_what_goes_wrong_is_told_in_words(tmp_path: Path, qtbot: Any) -> None:
    out = tmp_path / "results"
    missing = str(tmp_path / "missing.tif")
    job = Job(["analyze", missing, "--out", str(out)])
    (text,) = run_to_its_end(job, qtbot).of("failed")
    assert "missing.tif" in text
    assert not job.succeeded

    job = Job(["analyze", missing, "--out", str(out), "--stain", "giemsa"])
    (text,) = run_to_its_end(job, qtbot).of("failed")
    assert "unknown stain 'giemsa'; choose one of" in text

    job = Job(["analyze", "--no-such-option"])
    (text,) = run_to_its_end(job, qtbot).of("failed")
    assert "--no-such-option" in text


def test_cancelled(section: DrawnSection, tmp_path: Path, qtbot: Any) -> None:
    """Cancel returns at once, the process ends by itself, and nothing half-written stays."""
    out = tmp_path / "results"
    job = Job(["analyze", str(section.image), "--out", str(out), "--device", "cpu"])
    heard = Heard(job)
    job.progressed.connect(lambda stage, done, total: job.cancel())
    with qtbot.waitSignal(job.finished, timeout=END_MS):
        job.start()
    assert job.was_cancelled
    assert not job.succeeded
    assert job._process.exitCode() == EXIT_INTERRUPTED
    assert not heard.of("failed")
    left = [path.name for path in out.rglob("*") if path.is_file()] if out.exists() else []
    assert not [name for name in left if ".part" in name or name == "summary.json"]


def test_it_stops_with_the_window_that_it_belongs_to(
    section: DrawnSection, tmp_path: Path, qtbot: Any
) -> None:
    from qtpy.QtCore import QObject

    out = tmp_path / "results"
    window = QObject()
    job = Job(["analyze", str(section.image), "--out", str(out), "--device", "cpu"], window)
    with qtbot.waitSignal(job.progressed, timeout=END_MS):
        job.start()
    number = job._process.processId()
    with qtbot.waitSignal(window.destroyed, timeout=END_MS):
        window.deleteLater()
    qtbot.wait(10)
    if sys.platform.startswith("linux"):
        assert not Path(f"/proc/{number}").exists()
    left = [path.name for path in out.rglob("*") if path.is_file()] if out.exists() else []
    assert not [name for name in left if ".part" in name or name == "summary.json"]


def test_one_that_does_not_listen_is_killed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, qtbot: Any
) -> None:
    deaf = tmp_path / "deaf.py"
    deaf.write_text(
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        'print(\'{"event": "progress", "stage": "a", "done": 0, "total": 1}\', flush=True)\n'
        "time.sleep(600)\n"
    )
    monkeypatch.setattr(module, "GRACE_MS", 300)
    job = Job([])
    job._process.setArguments([str(deaf)])
    heard = Heard(job)
    job.progressed.connect(lambda *step: job.cancel())
    with qtbot.waitSignal(job.finished, timeout=END_MS):
        job.start()
    assert not heard.of("failed")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os; os.abort()", "crashed"),
        ("import sys; sys.exit('out of ink')", "out of ink"),
        ("import sys; sys.exit(130)", "stopped from outside"),
    ],
)
def test_an_end_without_a_reason(code: str, words: str, qtbot: Any) -> None:
    job = Job([])
    job._process.setArguments(["-c", code])
    (text,) = run_to_its_end(job, qtbot).of("failed")
    assert words in text


def test_a_program_that_is_not_there(monkeypatch: pytest.MonkeyPatch, qtbot: Any) -> None:
    monkeypatch.setattr(module, "_interpreter", lambda: "no-such-python")
    job = Job(["analyze"])
    heard = Heard(job)
    job.start()
    qtbot.waitUntil(lambda: bool(heard.of("finished")), timeout=END_MS)
    (text,) = heard.of("failed")
    assert "could not be started" in text


def test_lines_that_are_no_events_are_passed_over(qtbot: Any) -> None:
    job = Job([])
    lines = ["a library says hello", "[1, 2]", '{"event": "model", "folder": "mine"}']
    job._process.setArguments(["-c", f"print({chr(10).join(lines)!r})"])
    heard = run_to_its_end(job, qtbot)
    assert heard.of("reported") == [{"event": "model", "folder": "mine"}]


def test_windows_gets_the_python_with_streams(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("pythonw.exe", "python.exe"):
        (tmp_path / name).touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / "pythonw.exe"))
    assert module._interpreter() == str(tmp_path / "python.exe")
