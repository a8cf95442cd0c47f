from __future__ import annotations

from pathlib import Path

import pytest

from biopsy_ai.errors import TypesReadError
from biopsy_ai.formats.type_table import read_type_table, read_type_word


@pytest.fixture
def write(tmp_path: Path):
    def _write(text: str, encoding: str = "utf-8") -> Path:
        path = tmp_path / "types.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return _write


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("1", "I"),
        ("slow", "I"),
        ("Type I", "I"),
        ("type 2 fibers", "II"),
        ("fast", "II"),
        ("2a", "IIA"),
        ("MHC-IIa", "IIA"),
        ("IIx", "IIX"),
        ("2B", "IIX"),
        ("2C", "I/IIA"),
        ("I/IIA", "I/IIA"),
        ("1-2a", "I/IIA"),
        ("i/iix", "I/IIX"),
        ("IIA/IIX", "IIA/IIX"),
        ("2ax", "IIA/IIX"),
        ("2A/2B", "IIA/IIX"),
        ("IIB/IIA", "IIA/IIX"),
        ("I/IIB", "I/IIX"),
        ("MyHC 2a", "IIA"),
        ("?", "undetermined"),
        ("", ""),
        ("red", None),
        ("3", None),
    ],
)
def test_words_for_types(word, kind):
    assert read_type_word(word) == kind


def test_a_table_is_read_whatever_parts_its_columns(write):
    for text in (
        "label,type\n3,slow\n1,2a\n",
        "\ufeffName;Label;Type\nx;3;I\n\ny;1;IIa\n",
        "type\tlabel\n1\t3.0\nIIA\t1\n",
    ):
        table = read_type_table(write(text))
        assert table["label"].tolist() == [3, 1]
        assert table["type"].tolist() == ["I", "IIA"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("label,kind\n1,I\n", "columns label and type"),
        ("label,type\n1,I\n1,II\n", "line 3: fiber 1 stands there twice"),
        ("label,type\n1,red\n", "line 2: 'red' is no fiber type"),
        ("label,type\n1.5,I\n", "'1.5' is no label"),
        ("label,type\nx,I\n", "'x' is no label"),
        ("label,type\n0,I\n", "'0' is no label"),
        ("label,type\n1\n", "line 2: the label or the type is missing"),
        ("label,type\n\n", "names no fiber"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(write, text, message):
    with pytest.raises(TypesReadError, match=message):
        read_type_table(write(text))


def test_a_file_that_is_no_text_or_not_there(write, tmp_path):
    with pytest.raises(TypesReadError, match="cannot be read"):
        read_type_table(tmp_path / "missing.csv")
    with pytest.raises(TypesReadError, match="cannot be read"):
        read_type_table(write("label,type\n1,I\n", "utf-16"))
