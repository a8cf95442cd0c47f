from __future__ import annotations

import threading
from typing import Any

import pytest

import biopsy_ai.pipeline
from biopsy_ai.errors import Cancelled
from napari_plugin import rescoring
from napari_plugin.section import OpenSection

pytestmark = pytest.mark.gui


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch, qapp: Any) -> None:
    """Scores are made again at once after an edit."""
    monkeypatch.setattr(rescoring, "WAIT_MS", 10)
    monkeypatch.setattr(rescoring, "LOOK_MS", 10)


def test_scores_follow_an_edit(opened: OpenSection, soon: None, qtbot: Any) -> None:
    before = opened.review.summary
    heard: list[bool] = []
    opened.scores_changed.connect(lambda: heard.append(opened.is_rescoring))
    assert not opened.is_rescoring
    opened.apply(lambda review: review.delete([1]))
    assert opened.is_rescoring
    qtbot.waitUntil(lambda: bool(heard), timeout=60_000)
    assert heard == [False]
    assert opened.review.summary is not before
    assert opened.review.summary["fibers"]["n_fibers"] == 11


def test_the_newest_state_wins(
    opened: OpenSection, soon: None, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    may_end, began = threading.Event(), threading.Event()

    def slow(saved: Any, table: Any, *_: Any, progress: Any, **__: Any) -> Any:
        began.set()
        may_end.wait(30)
        progress("score", 0, 1)
        return len(table)

    monkeypatch.setattr(biopsy_ai.pipeline, "rescore", slow)
    monkeypatch.setattr(opened.review, "take_over", seen.append)
    opened.apply(lambda review: review.delete([1]))
    qtbot.waitUntil(began.is_set)
    opened.apply(lambda review: review.delete([2]))
    may_end.set()
    qtbot.waitUntil(lambda: not opened.is_rescoring, timeout=30_000)
    assert seen == [10]


def test_what_goes_wrong_is_told(
    opened: OpenSection, soon: None, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import napari.utils.notifications as notifications

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("by zero")

    shown: list[str] = []
    monkeypatch.setattr(notifications, "show_error", shown.append)
    monkeypatch.setattr(biopsy_ai.pipeline, "rescore", broken)
    opened.apply(lambda review: review.delete([1]))
    qtbot.waitUntil(lambda: bool(shown), timeout=30_000)
    assert "scores could not be made again" in shown[0]
    assert "ZeroDivisionError" in shown[0]
    assert not opened.is_rescoring


def test_nothing_runs_after_closing(
    opened: OpenSection, soon: None, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, stopped = threading.Event(), threading.Event()

    def endless(*_: Any, progress: Any, **__: Any) -> None:
        began.set()
        try:
            while True:
                progress("score", 0, 1)
        except Cancelled:
            stopped.set()
            raise

    monkeypatch.setattr(biopsy_ai.pipeline, "rescore", endless)
    opened.apply(lambda review: review.delete([1]))
    qtbot.waitUntil(began.is_set)
    opened.close()
    qtbot.waitUntil(stopped.is_set)
    assert not opened.is_rescoring
