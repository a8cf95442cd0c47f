from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from biopsy_ai import run_record
from biopsy_ai.cohort_table import Outcome
from biopsy_ai.errors import OutputError
from biopsy_ai.run_record import RunRecord, Standing

SLIDES = [Path(f"{name}.tif") for name in "abcd"]


def read(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    return content


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(run_record.time, "monotonic", lambda: now[0])
    return now


def test_a_run(tmp_path: Path, clock: list[float]) -> None:
    path = tmp_path / "run.json"
    record = RunRecord(path, SLIDES, {"workers": 2})
    assert record.standing == Standing(0, 0, 4, None, None)
    record.started(0, "tcp://1")
    assert [slide["state"] for slide in read(path)["slides"]] == ["running", *["waiting"] * 3]
    clock[0] += 10
    summary = {"fibers": {"n_fibers": 50}}
    record.ended(0, Outcome(SLIDES[0], "ok", Path("out/a"), summary, "", 9.5), 2_000_000, 2)
    record.ended(1, Outcome(SLIDES[1], "failed", None, {}, "torn"), 0)
    record.ended(2, Outcome(SLIDES[2], "skipped", Path("out/c"), summary), 0)
    assert record.standing == Standing(2, 1, 1, 5.0, 5.0)
    assert record.standing.total == 4
    record.started(3)
    record.write(ended="stopped")
    content = read(path)
    assert content["state"] == "stopped"
    assert (content["workers"], content["done"], content["failed"]) == (2, 2, 1)
    first, second, _, last = content["slides"]
    assert first["peak_memory_bytes"] == 2_000_000
    assert (first["seconds"], first["attempts"], first["folder"]) == (9.5, 2, "a")
    assert (second["state"], second["reason"]) == ("failed", "torn")
    assert last["state"] == "stopped"


def test_it_is_written_once_a_second(
    tmp_path: Path, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[float] = []
    monkeypatch.setattr(run_record, "write_json", lambda path, content: written.append(clock[0]))
    record = RunRecord(tmp_path / "run.json", SLIDES)
    for _ in range(25):
        record.started(0)
        clock[0] += 0.125
    assert len(written) == 4
    record.write(ended="finished")
    assert len(written) == 5


def test_a_full_disk_does_not_stop_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: Any) -> None:
        raise OutputError("No space left on device")

    monkeypatch.setattr(run_record, "write_json", full)
    record = RunRecord(tmp_path / "run.json", SLIDES)
    record.started(0)
    assert not record.write(ended="finished")
