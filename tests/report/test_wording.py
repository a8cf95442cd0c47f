from __future__ import annotations

import math

import pytest

from biopsy_ai.report import wording


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0001234, "0.000123"),
        (7.4, "7.40"),
        (7.004, "7.00"),
        (99.96, "100"),
        (467.124, "467"),
        (3438.48, "3,438"),
        (312, "312"),
        (-0.0512, "−0.0512"),
        (0.0, "0"),
        (None, "–"),
        (math.nan, "–"),
        (True, "–"),
    ],
)
def test_numbers(value: object, text: str) -> None:
    assert wording.number(value) == text


def test_points_have_a_sign_unless_they_are_nothing() -> None:
    assert wording.fixed(12.345, 2, signed=True) == "+12.35"
    assert wording.fixed(-2.0, 2, signed=True) == "−2.00"
    assert wording.fixed(-0.001, 2, signed=True) == "0.00"
    assert wording.fixed(None, 2) == "–"


def test_settings_have_no_zeros_at_the_end() -> None:
    assert wording.setting(0.5) == "0.5"
    assert wording.setting(250.0) == "250"
    assert wording.setting(None) == "–"


def test_intervals_and_p_values() -> None:
    assert wording.interval(-1.0, 2.25, decimals=1) == "−1.0 to 2.2"
    assert wording.interval(None, 2.0) == ""
    assert wording.p_value(0.0002) == "< 0.001"
    assert wording.p_value(0.0314) == "0.031"
    assert wording.percent(0.0915) == "9.15 %"


def test_sources_have_their_mark() -> None:
    assert wording.source_of({"source": "a book", "mark": "P"}) == "a book [P]"
    assert wording.source_of({"source": "a book"}) == "a book"
    assert wording.source_of(None) == ""


def test_sentences_end() -> None:
    assert wording.sentence("no types") == "No types."
    assert wording.sentence("Why?") == "Why?"
    assert wording.sentence(None) == ""
