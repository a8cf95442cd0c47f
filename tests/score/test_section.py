from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn_tables import draw_table, with_denervation

from biopsy_ai.errors import OutputError
from biopsy_ai.score import read_section, section_of


def test_fibers_are_taken_in_the_order_of_their_labels() -> None:
    table = pd.DataFrame({"label": [30, 10, 20], "excluded": ["", "cut", None], "x": [3, 1, 2]})
    section = section_of(table, np.array([[10, 30], [20, 30]]), {})
    assert section.labels.tolist() == [10, 20, 30]
    assert section.pairs.tolist() == [[0, 2], [1, 2]]
    assert section.measured.tolist() == [False, True, True]
    assert section.column("x").tolist() == [1, 2, 3]
    assert np.isnan(section.column("not there")).all()


def test_no_contacts() -> None:
    section = section_of(pd.DataFrame({"label": [1, 2], "excluded": ""}), np.zeros((0, 2)), {})
    assert section.pairs.shape == (0, 2)


def test_what_is_missing_is_not_known() -> None:
    section = section_of(pd.DataFrame({"label": [1, 2], "excluded": ""}), np.zeros((0, 2)), {})
    assert not section.judged.any()
    assert not section.typed
    assert section.age is None
    assert section.seed == 0
    assert section.part("nuclei", "clumps") == {}


def test_parts_of_the_summary() -> None:
    summary = {
        "a": {"b": {"c": 1}, "d": 3, "e": None},
        "provenance": {"configuration": {"age": 61, "patterns": {"seed": 7}}},
    }
    section = section_of(pd.DataFrame({"label": [1], "excluded": ""}), np.zeros((0, 2)), summary)
    assert section.part("a", "b") == {"c": 1}
    assert section.part("a", "d") == section.part("a", "e") == section.part("z", "y") == {}
    assert (section.age, section.seed) == (61, 7)


def test_flags_of_fibers() -> None:
    drawn = draw_table(rows=5, columns=4)
    drawn.shrink(np.array([0, 1])).shrink(np.array([2, 3]), "round").shrink(np.array([4]), "plain")
    drawn.mark("n_acute_angles", np.array([3]), 1)
    drawn.enlarge(np.array([5])).sicken("necrotic", np.array([6])).sicken(
        "regenerating", np.array([7])
    )
    drawn.mark("touches_border", np.array([8])).mark("excluded", np.array([9]), "out of focus")
    drawn.mark("is_atrophic", np.array([10]), pd.NA).mark("shape_assessable", np.array([11]), False)
    section = drawn.section()

    def rows(flags: np.ndarray) -> list[int]:
        return np.flatnonzero(flags).tolist()

    assert rows(~section.measured) == [8, 9]
    assert rows(~section.judged) == [8, 9, 10]
    assert rows(section.atrophic) == [0, 1, 2, 3, 4]
    assert rows(section.angular) == [0, 1]
    assert rows(section.rounded) == [2], "one with a corner is not round"
    assert rows(section.hypertrophic) == [5]
    assert rows(~section.shaped) == [6, 7, 8, 9, 11]


def test_types_are_two_classes() -> None:
    types = ["I", "IIA", "IIX", "II", "I/IIA", "undetermined", None]
    table = pd.DataFrame({"label": range(1, 8), "excluded": "", "type": types})
    section = section_of(table, np.zeros((0, 2)), {})
    assert section.classes.tolist() == ["I", "II", "II", "II", "", "", ""]


def test_limits_are_those_of_the_configuration() -> None:
    drawn = draw_table(rows=4, columns=4)
    default = drawn.section().limits["round_circularity_from"]
    drawn.set("provenance/configuration/measurement", {"limits": {"round_circularity_from": 0.95}})
    assert drawn.section().limits["round_circularity_from"] == 0.95 != default
    assert not drawn.shrink(np.array([1]), "round").section().rounded.any()


def test_a_folder_gives_the_same_section(tmp_path: Path) -> None:
    drawn = with_denervation(draw_table())
    drawn.mark("is_atrophic", np.array([2]), pd.NA).mark("excluded", np.array([3]), "cut")
    first, again = drawn.section(), read_section(drawn.save(tmp_path))
    for flags in ("measured", "judged", "atrophic", "angular", "rounded", "shaped", "classes"):
        np.testing.assert_array_equal(getattr(again, flags), getattr(first, flags))
    np.testing.assert_array_equal(again.pairs, first.pairs)
    assert again.summary == first.summary


@pytest.mark.parametrize("name", ["fibers.csv", "contacts.csv", "summary.json"])
def test_a_missing_file_is_told(tmp_path: Path, name: str) -> None:
    folder = draw_table(rows=4, columns=4).save(tmp_path)
    (folder / name).unlink()
    with pytest.raises(OutputError, match=rf"{folder.name}.*{name}.*--overwrite"):
        read_section(folder)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("summary.json", "[1]"),
        ("summary.json", "{"),
        ("contacts.csv", "a,b\n1,2\n"),
        ("contacts.csv", "label,neighbor\n1,x\n"),
        ("fibers.csv", "a\n1\n"),
        ("fibers.csv", ""),
    ],
)
def test_files_of_something_else_are_told(tmp_path: Path, name: str, text: str) -> None:
    folder = draw_table(rows=4, columns=4).save(tmp_path)
    (folder / name).write_text(text, encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be read again"):
        read_section(folder)


def test_saved_summary_is_json(tmp_path: Path) -> None:
    folder = draw_table(rows=4, columns=4).save(tmp_path)
    assert json.loads((folder / "summary.json").read_text())["quality"]["n_tiles"] == 120
