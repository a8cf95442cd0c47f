"""Where results go, so that no review is written over."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from biopsy_ai import sample_slides
from napari_plugin.results_place import free_folder, usual_folder


def review(folder: Path) -> Path:
    """A folder with results that a person has corrected."""
    folder.mkdir(parents=True)
    (folder / "review.jsonl").write_text('{"format": 1}\n{"seq": 1}\n')
    return folder


class TestUsualFolder:
    def test_beside_the_slide(self, tmp_path: Path) -> None:
        assert usual_folder(tmp_path / "a.svs") == tmp_path / "results"

    def test_that_of_the_settings(self, tmp_path: Path) -> None:
        assert usual_folder(tmp_path / "a.svs", str(tmp_path / "mine")) == tmp_path / "mine"
        assert usual_folder(tmp_path / "a.svs", "~/mine") == Path.home() / "mine"

    @pytest.mark.skipif(os.name == "nt", reason="Windows asks no mode of folders")
    def test_the_home_folder_where_the_slide_lies_read_only(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "access", lambda path, mode: False)
        assert usual_folder(tmp_path / "a.svs") == Path.home() / "biopsy-ai" / "results"

    def test_samples_leave_the_installation_alone(self) -> None:
        assert usual_folder(sample_slides()[0]) == Path.home() / "biopsy-ai" / "results"


class TestFreeFolder:
    def test_the_one_that_is_wanted(self, tmp_path: Path) -> None:
        (tmp_path / "results" / "a").mkdir(parents=True)
        review(tmp_path / "results" / "ab")
        place = free_folder(tmp_path / "results", "a")
        assert (place.folder, place.note) == (tmp_path / "results", "")

    def test_not_where_a_review_stands(self, tmp_path: Path) -> None:
        reviewed = review(tmp_path / "results" / "a")
        place = free_folder(tmp_path / "results", "a")
        assert place.folder == tmp_path / "results-2"
        assert f"A review stands in {reviewed}" in place.note
        assert f"new results go to {place.folder}" in place.note

    def test_nor_where_a_second_one_does(self, tmp_path: Path) -> None:
        review(tmp_path / "results" / "a_2")
        review(tmp_path / "results-2" / "A")
        place = free_folder(tmp_path / "results", "a")
        assert place.folder == tmp_path / "results-3"

    def test_not_where_a_section_is_open(self, tmp_path: Path) -> None:
        opened = tmp_path / "results" / "a"
        opened.mkdir(parents=True)
        place = free_folder(tmp_path / "results", "a", [opened])
        assert place.folder == tmp_path / "results-2"
        assert f"The section in {opened} is open" in place.note
