from __future__ import annotations

from pathlib import Path

import pytest

import biopsy_ai.measure
from biopsy_ai.measure.reference import all_references, reference, value

MARKS = {"P", "P-ocr", "S", "M", "D", "E", "default"}


def test_every_number_has_a_source_and_a_mark() -> None:
    entries = all_references()
    assert len(entries) > 20
    for name, entry in entries.items():
        assert entry.mark in MARKS, name
        assert len(entry.source) > 10, name
        assert value(name) == entry.value


def test_every_number_is_used() -> None:
    folder = Path(biopsy_ai.measure.__file__).parent
    code = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    for name in all_references():
        assert name.removeprefix("female").removeprefix("male") in code, name


def test_unknown_name_is_an_error() -> None:
    with pytest.raises(KeyError):
        reference("no such limit")
