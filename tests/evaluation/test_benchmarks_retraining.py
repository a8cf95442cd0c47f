"""Benchmark of retraining."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn_datasets import drawn_section

from biopsy_ai.training.checking import check_dataset
from biopsy_ai.training.judging import Counts, SlideScore, compare, judge
from biopsy_ai.training.retraining import Retrained


def test_looks_change_colors_and_leave_fibers_where_they_are(
    load: Callable[[str], Any], tmp_path: Path
) -> None:
    bench = load("retraining")
    section = drawn_section(3, 200.0)
    field = bench.Field("a", section.image, section.labels)
    for look, paint in load("looks").LOOKS.items():
        painted = paint(section.image, np.random.default_rng(0))
        assert (painted.shape, painted.dtype) == (section.image.shape, np.uint8)
        assert np.abs(painted.astype(int) - section.image).mean() > 20
        assert bench.write(tmp_path / look, "learned", [field], look) == ["learned_a"]
        checked = check_dataset(tmp_path / look, tmp_path / "work")
        assert not checked.dataset.problems
        assert checked.n_fibers == section.labels.max()


def test_spoiled_labels_are_as_they_say(load: Callable[[str], Any]) -> None:
    bench = load("retraining")
    labels = drawn_section(3, 200.0).labels
    moved = bench._moved(labels, 4, 2)
    np.testing.assert_array_equal(moved[4:, 2:], labels[:-4, :-2])
    jittered = bench._jittered(labels, 12, np.random.default_rng(0))
    for label in np.unique(labels)[5:12]:
        before, after = (np.argwhere(x == label).mean(axis=0) for x in (labels, jittered))
        assert 4 < np.hypot(*(after - before)) < 20
    joined = bench._joined(labels)
    assert len(np.unique(joined)) < 0.6 * len(np.unique(labels))


def test_a_row_says_how_much_of_the_gap_was_closed(load: Callable[[str], Any]) -> None:
    bench = load("retraining")
    slides = [SlideScore(name, name, Counts(80, 20, 20), Counts(90, 10, 10)) for name in ("a", "b")]
    found = compare(slides)
    made = Retrained(Path("m"), judge(found, found), found, found, 1.0)
    row = dict(zip(bench.HEADER, bench._row("silver", 1, 150, made, 0.95, 2.0), strict=True))
    assert row["of the gap"] == "67 %"
    assert row["half of the gap"] == "met"
    assert row["ready"] == "yes"
    row = dict(zip(bench.HEADER, bench._row("x", 0, 0, made, float("nan"), 2.0), strict=True))
    assert row["half of the gap"] == "–"


def test_halves_of_a_fluorescence_picture(load: Callable[[str], Any], tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    bench, datasets = load("retraining"), load("datasets")
    section = drawn_section(3, 200.0)
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        np.moveaxis(255 - section.image, 2, 0),
        photometric="minisblack",
        metadata={"axes": "CYX"},
    )
    tifffile.imwrite(tmp_path / "a_fibers.tif", section.labels)
    described = datasets.Section(
        "x/a", path, tmp_path / "a_fibers.tif", 0.5, "if", 1, "development"
    )
    folder, right = bench._halves(described, tmp_path / "work")
    assert right == "a_right"
    checked = check_dataset(folder, tmp_path / "items", held_out=[right])
    assert not checked.dataset.problems
    assert [len(checked.training), len(checked.held_out)] == [1, 1]
