from __future__ import annotations

import io
import json
import sys

import pytest

from biopsy_ai.cli import cohort_progress
from biopsy_ai.cli.cohort_progress import CohortBars, cohort_progress_on, show_on, standing_text
from biopsy_ai.cli.json_lines import JsonLines
from biopsy_ai.run_record import Standing

HALF = Standing(4, 1, 5, 12.34, 200.0)


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (Standing(0, 0, 10, None, None), "0 done, 0 failed, 10 left"),
        (HALF, "4 done, 1 failed, 5 left, 12.3 fibers/s, about 3 min left"),
        (Standing(1, 0, 9, 900.0, 60.0), "1 done, 0 failed, 9 left, 900 fibers/s, about 60 s left"),
        (Standing(1, 0, 9, 1.0, 9000.0), "1 done, 0 failed, 9 left, 1 fibers/s, about 2.5 h left"),
        (Standing(9, 1, 0, 1.0, 0.0), "9 done, 1 failed, 0 left, 1 fibers/s"),
    ],
)
def test_words(standing: Standing, said: str) -> None:
    assert standing_text(standing) == said


def test_a_log_file_gets_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with CohortBars() as bars:
        for _ in range(5):
            bars.show(HALF)
    assert capsys.readouterr().err == f"[##########..........] {standing_text(HALF)}\n"


def test_a_terminal_gets_one_line_that_is_cleared(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with CohortBars() as bars:
        bars.show(HALF)
    said = capsys.readouterr().err
    assert "\n" not in said
    assert said.startswith("\r[##########")
    assert said.endswith(" \r")


@pytest.mark.parametrize(("quiet", "standing"), [(True, HALF), (False, Standing(0, 0, 1, None, 1))])
def test_quiet_and_single_slides_show_nothing(
    capsys: pytest.CaptureFixture[str], quiet: bool, standing: Standing
) -> None:
    with CohortBars(quiet=quiet) as bars:
        bars.show(standing)
    assert capsys.readouterr().err == ""


def test_events_come_when_something_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(cohort_progress.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    show = show_on(JsonLines(stream))
    for standing in (HALF, HALF, Standing(5, 1, 4, 12.0, 100.0)):
        show(standing)
    now[0] = 11.0
    show(Standing(5, 1, 4, 11.0, 90.0))
    events = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert events[0] == {
        "event": "cohort",
        "done": 4,
        "failed": 1,
        "left": 5,
        "fibers_per_s": 12.3,
        "seconds_left": 200.0,
    }
    assert [event["seconds_left"] for event in events] == [200.0, 100.0, 90.0]


def test_where_it_is_shown() -> None:
    events = JsonLines(io.StringIO())
    assert cohort_progress_on(events, quiet=False, counter="slides") is events
    assert isinstance(cohort_progress_on(None, quiet=True, counter="slides"), CohortBars)
