"""That a window which is killed in the middle of a review loses no finished change."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from biopsy_ai.review import Review

pytestmark = pytest.mark.gui

REVIEWING = """
import sys
import napari_plugin
import napari
from napari_plugin.section import open_results

viewer = napari.Viewer(show=True)
section = open_results(viewer, sys.argv[1])
edits = [
    lambda review: review.delete([1]),
    lambda review: review.set_type([2, 3], "IIA"),
    lambda review: review.exclude([4], "torn"),
    lambda review: review.accept([5]),
    lambda review: review.undo(),
    lambda review: review.delete([6, 7]),
]
for number in range(10_000):
    change = section.apply(edits[number % 6] if number < 6 else lambda review: (
        review.set_condition([8 + number % 5], "necrotic" if number % 2 else "normal")))
    print(len(section.review.history()), flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("n_finished", [1, 4, 9])
def test_no_finished_change_is_lost(results: Path, repository: Path, n_finished: int) -> None:
    window = subprocess.Popen(
        [sys.executable, "-c", REVIEWING, str(results)],
        cwd=repository,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert window.stdout is not None
    counts: list[int] = []
    for line in window.stdout:
        if line.strip().isdigit():
            counts.append(int(line))
        if len(counts) == n_finished:
            window.send_signal(signal.SIGKILL)
            break
    window.stdout.read()
    assert window.wait(timeout=60) == -signal.SIGKILL
    logged = [json.loads(line) for line in _whole_lines(results / "review.jsonl")]
    # the header, and an entry for each change and each change taken back
    assert len(logged) - 1 >= n_finished
    with Review.open(results) as review:
        assert len(review.history()) >= counts[-1]
        assert 1 not in review.ids
        if n_finished >= 3:
            table = review.table.set_index("label")
            assert list(table.loc[[2, 3], "type"]) == ["IIA", "IIA"]
            assert table.loc[4, "excluded"].endswith("torn")
        before = len(review.history())
        review.delete([9])
        assert len(review.history()) == before + 1


def _whole_lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8")
    return text[: text.rfind("\n") + 1].splitlines()
