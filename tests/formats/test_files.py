from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from biopsy_ai.errors import OutputError
from biopsy_ai.formats.files import output_folder, replacing


def write_half(path: Path, error: BaseException) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise error


def test_a_finished_file_gets_its_name_and_leaves_nothing_beside_it(tmp_path) -> None:
    path = tmp_path / "Schnitt Ä 1.csv"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == path.parent
        assert temporary.suffix == ".csv"
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_interrupted_file_leaves_the_old_one(tmp_path, error: type[BaseException]) -> None:
    path = tmp_path / "fibers.csv"
    path.write_text("old")
    with pytest.raises(error):
        write_half(path, error())
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["fibers.csv"]


def test_a_full_disk_is_reported_with_what_to_do(tmp_path) -> None:
    path = tmp_path / "fibers.tif"
    with pytest.raises(OutputError, match=r"fibers\.tif.*free some space"):
        write_half(path, OSError(errno.ENOSPC, "No space left on device"))
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_is_reported(tmp_path) -> None:
    with (
        pytest.raises(OutputError, match="nowhere.*--out"),
        replacing(tmp_path / "nowhere" / "fibers.csv") as temporary,
    ):
        temporary.write_text("x")


def test_output_folder_is_made_with_its_parents_and_may_exist(tmp_path) -> None:
    folder = output_folder(tmp_path / "results" / "Schnitt 1 µ")
    assert folder.is_dir()
    assert output_folder(folder) == folder
    assert os.listdir(folder) == []


def test_a_file_in_place_of_the_folder_is_reported(tmp_path) -> None:
    (tmp_path / "results").write_text("")
    with pytest.raises(OutputError, match="a file of this name"):
        output_folder(tmp_path / "results")
    with pytest.raises(OutputError, match="results"):
        output_folder(tmp_path / "results" / "slide")


def test_a_read_only_folder_is_reported(tmp_path, monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    with pytest.raises(OutputError, match="write permission"):
        output_folder(tmp_path)
