"""``biopsy-ai gui`` where there is no window to open."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from biopsy_ai.cli import app
from biopsy_ai.cli import viewer as module


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["gui", *map(str, arguments)])


def test_what_is_not_there(tmp_path: Path) -> None:
    result = run(tmp_path / "none.svs")
    assert result.exit_code == 2
    assert "none.svs" in result.output


def test_without_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    for name in module.DISPLAYS:
        monkeypatch.delenv(name, raising=False)
    result = run()
    assert result.exit_code == 2
    assert "there is no screen" in result.stderr


def test_without_napari_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setitem(sys.modules, "napari", None)
    result = run()
    assert result.exit_code == 2
    assert "pip install 'biopsy-ai[gui]'" in result.stderr
    assert "Traceback" not in result.output


def test_what_is_named_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_plugin import start

    asked: list[Any] = []

    def starts(paths: list[Path], on_open: Any) -> None:
        asked.extend(paths)
        on_open()

    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setattr(start, "start", starts)
    (tmp_path / "a.tif").touch()
    monkeypatch.chdir(tmp_path)
    result = run("a.tif", tmp_path)
    assert result.exit_code == 0, result.output
    assert asked == [tmp_path / "a.tif", tmp_path]
    assert "The window is open" in result.stderr
