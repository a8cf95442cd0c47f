from __future__ import annotations

from pathlib import Path

import pytest

import biopsy_ai.measure
from biopsy_ai.measure.reference import (
    DEFAULTS,
    Limits,
    all_references,
    check_limits,
    reference,
)

MARKS = {"P", "P-ocr", "S", "M", "D", "E", "default"}


def test_every_number_has_a_source_and_a_mark() -> None:
    entries = all_references()
    assert len(entries) > 20
    for name, entry in entries.items():
        assert entry.mark in MARKS, name
        assert len(entry.source) > 10, name
        assert DEFAULTS[name] == entry.value
        assert DEFAULTS.reference(name) == entry


def test_every_number_is_used() -> None:
    folder = Path(biopsy_ai.measure.__file__).parent
    code = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    for name in all_references():
        assert name.removeprefix("female").removeprefix("male") in code, name


def test_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        reference("no such limit")


def test_a_limit_of_the_user_says_so_and_names_the_default() -> None:
    limits = Limits({"min_fibers": 60.0})
    assert limits["min_fibers"] == 60
    assert limits["recommended_fibers"] == 200
    changed = limits.reference("min_fibers")
    assert (changed.value, changed.mark) == (60, "user")
    assert "100" in changed.source
    assert reference("min_fibers").value == DEFAULTS["min_fibers"] == 100


def test_every_default_is_a_limit_that_the_user_may_set() -> None:
    check_limits({name: entry.value for name, entry in all_references().items()})


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"small_zz": -2.0}, "unknown: small_zz; known: .*small_z"),
        ({"min_fibers": 0.0}, "min_fibers is 0.0; it must be positive"),
        ({"small_z": 2.0}, "small_z is 2.0; it must not be positive"),
        ({"small_z": float("nan")}, "finite"),
        ({"class_step_um": float("inf")}, "finite"),
        ({"male_low_um": 85.0}, "male_low_um, 85.0, must be below male_high_um, 80"),
    ],
)
def test_limits_that_cannot_be_are_refused(changed: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_limits(changed)
