from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import biopsy_ai.measure
from biopsy_ai.measure.reference import (
    DEFAULTS,
    Limits,
    Reference,
    all_references,
    all_stain_vectors,
    check_limits,
    reference,
    stain_vector,
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
    folder = Path(biopsy_ai.measure.__file__).parents[1]
    code = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    for name in [*all_references(), *all_stain_vectors()]:
        assert name.removeprefix("female").removeprefix("male") in code, name


def test_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        reference("no such limit")


def test_every_color_of_a_dye_has_unit_length_a_source_and_a_mark() -> None:
    for name, dye in all_stain_vectors().items():
        assert dye.mark in MARKS, name
        assert len(dye.source) > 10, name
        assert np.linalg.norm(stain_vector(name)) == pytest.approx(1), name
    with pytest.raises(KeyError):
        stain_vector("no such dye")


def test_a_limit_of_the_user_says_so_and_names_the_default() -> None:
    limits = Limits({"min_fibers": 60.0})
    assert limits["min_fibers"] == 60
    assert limits["recommended_fibers"] == 200
    changed = limits.reference("min_fibers")
    assert (changed.value, changed.mark) == (60, "user")
    assert "100" in changed.source
    assert reference("min_fibers").value == DEFAULTS["min_fibers"] == 100


def test_a_limit_of_the_model_stands_between_the_user_and_the_default() -> None:
    limits = Limits({"pale_z": 3.0}, {"pale_z": 1.5, "opaque_z": 1.8}, "refitted to 300 fibers")
    assert [limits[name] for name in ("pale_z", "opaque_z", "uneven_z")] == [3.0, 1.8, 4.0]
    assert [limits.reference(name).mark for name in ("pale_z", "opaque_z")] == ["user", "learned"]
    source = limits.reference("opaque_z").source
    assert source.startswith("refitted to 300 fibers; the default is 2.5 (eosin")


def test_every_default_is_a_limit_that_the_user_may_set() -> None:
    check_limits({name: entry.value for name, entry in all_references().items()})


def test_the_color_of_a_dye_is_no_limit() -> None:
    assert not set(all_stain_vectors()) & set(all_references())
    for name in all_stain_vectors():
        with pytest.raises(ValueError, match=f"unknown: {name}; known"):
            check_limits({name: 1.0})
        with pytest.raises(KeyError):
            DEFAULTS[name]


def test_a_default_of_zero_lies_on_no_side_of_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {**all_references(), "at_zero": Reference(0.0, "made up for this test", "default")}
    # the package holds a function of the name of this module
    module = sys.modules[check_limits.__module__]
    monkeypatch.setattr(module, "_load", lambda: known)
    for number in (-1.0, 0.0, 1.0):
        check_limits({"at_zero": number})
        assert Limits({"at_zero": number})["at_zero"] == number


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
