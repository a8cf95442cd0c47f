"""What commands tell other programs."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_sections import DrawnSection
from typer.testing import CliRunner, Result

from biopsy_ai.cli import app
from biopsy_ai.cli.interruption import noting_interruption
from biopsy_ai.cli.json_lines import JsonLines, LogFormat, json_lines, progress_on
from biopsy_ai.cli.progress import StageBars
from biopsy_ai.errors import Cancelled


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def events_of(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def outlines(section: DrawnSection, out: Path, *more: object) -> Result:
    arguments = ("analyze", "--fibers", section.labels, "--mpp", "0.5", "--out", out)
    return run(*arguments, "--log", "json", *more)


def test_an_analysis_tells_stages_and_slides(section: DrawnSection, tmp_path: Path) -> None:
    out = tmp_path / "Schnitte – ü"
    result = outlines(section, out)
    assert result.exit_code == 0, result.output
    events = events_of(result)
    steps = [event for event in events if event["event"] == "progress"]
    assert {"slides", "measure", "report"} <= {step["stage"] for step in steps}
    assert all(0 <= step["done"] <= step["total"] for step in steps)
    assert events[-1] == {
        "event": "slide",
        "name": section.labels.name,
        "state": "ok",
        "folder": str(out / "section_labels"),
        "reason": "",
        "warnings": [],
    }
    assert result.stdout.isascii()
    again = events_of(outlines(section, out))
    assert (again[-1]["state"], again[-1]["reason"]) == ("skipped", "same result already there")


def test_a_slide_that_fails(tmp_path: Path) -> None:
    out = tmp_path / "results"
    missing = tmp_path / "missing.tif"
    labels = tmp_path / "labels.tif"
    labels.write_bytes(b"no image")
    result = run("analyze", "--fibers", labels, missing, "--out", out, "--log", "json")
    assert result.exit_code == 1
    (event,) = [event for event in events_of(result) if event["event"] == "slide"]
    assert (event["name"], event["state"], event["folder"]) == ("missing.tif", "failed", None)
    assert "missing.tif" in event["reason"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--stain", "giemsa"], "unknown stain"),
        (["--mpp", "half"], "is not a pixel size"),
        (["--out", "FILE"], "a file of this name stands"),
    ],
)
def test_errors_are_events_too(
    section: DrawnSection, tmp_path: Path, more: list[str], words: str
) -> None:
    (tmp_path / "file").touch()
    more = [str(tmp_path / "file") if part == "FILE" else part for part in more]
    result = outlines(section, tmp_path / "results", *more)
    plain = run("analyze", "--fibers", section.labels, "--mpp", "0.5", *more)
    assert result.exit_code == plain.exit_code != 0
    (event,) = events_of(result)
    assert event["event"] == "error"
    assert words in event["message"]


def test_what_a_library_prints_is_no_event(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    with JsonLines(stream) as events:
        print("loading")
        events.write("model", folder=Path("mine"), held_out_f1=np.float32("nan"), n=np.int64(3))
    assert capsys.readouterr() == ("", "loading\n")
    assert json.loads(stream.getvalue()) == {
        "event": "model",
        "folder": "mine",
        "held_out_f1": None,
        "n": 3,
    }


def test_events_of_several_threads_stand_on_lines_of_their_own() -> None:
    stream = io.StringIO()
    events = JsonLines(stream)
    threads = [
        threading.Thread(target=lambda: [events("patterns", k, 200) for k in range(200)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([json.loads(line) for line in stream.getvalue().splitlines()]) == 800


def test_nobody_listens_any_more() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "w")
    with pytest.raises(Cancelled):
        JsonLines(stream)("segment", 0, 1)
    with contextlib.suppress(OSError):
        stream.close()


def test_people_get_bars() -> None:
    assert json_lines(LogFormat.TEXT) is None
    assert isinstance(progress_on(None), StageBars)


def test_a_stop_file_stops_like_ctrl_c(section: DrawnSection, tmp_path: Path) -> None:
    stop = tmp_path / "stop"
    with noting_interruption(stop):
        StageBars(quiet=True)("report", 0, 2)
        stop.touch()
        with pytest.raises(KeyboardInterrupt):
            StageBars(quiet=True)("report", 1, 2)
    StageBars(quiet=True)("report", 1, 2)
    result = outlines(section, tmp_path / "results", "--stop-file", stop)
    assert result.exit_code == 130
    assert "Stopped" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
def test_the_signal_to_end_stops_like_ctrl_c() -> None:
    code = (
        "import time\n"
        "from biopsy_ai.cli.reporting import command\n"
        "with command(debug=False):\n"
        "    print('started', flush=True)\n"
        "    time.sleep(60)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, printed = process.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert "Stopped" in printed
