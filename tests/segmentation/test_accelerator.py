from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from biopsy_ai.errors import Cancelled
from biopsy_ai.file_lock import try_lock, unlock
from biopsy_ai.segmentation import accelerator
from biopsy_ai.segmentation.accelerator import turn_on


@pytest.fixture
def taking_turns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(accelerator, "_in_turn", True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def never() -> None:
    raise Cancelled("waited")


def test_the_processor_is_there_for_all(taking_turns: Path) -> None:
    with turn_on("cpu", never):
        assert not list(taking_turns.iterdir())


def test_an_accelerator_is_held_by_one(taking_turns: Path) -> None:
    with turn_on("cuda", never):
        (path,) = taking_turns.iterdir()
        with open(path, "ab") as file:
            assert not try_lock(file)
        with pytest.raises(Cancelled), turn_on("cuda", never):
            pass
        with turn_on("mps", never):
            pass
    with open(path, "ab") as file:
        assert try_lock(file)
        unlock(file)


def test_a_single_process_does_not_wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with turn_on("cuda", never):
        assert not list(tmp_path.iterdir())
