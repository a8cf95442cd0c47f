import numpy as np
import pandas as pd
import pytest
from drawn_reviewed_fibers import reviewed_table, write_measured

from biopsy_ai.errors import TrainingDataError
from biopsy_ai.training.collection import find_dataset
from biopsy_ai.training.reviewed_fibers import (
    ReviewedFibers,
    read_measured,
    read_reviewed_fibers,
)


def test_a_table_is_read_as_it_was_written(tmp_path):
    table = reviewed_table(3)
    table.loc[0, ["eosin_z", "type_i_share"]] = np.nan
    table.loc[1, "condition"] = ""
    folder = write_measured(tmp_path / "a", 1, table)
    pd.testing.assert_frame_equal(read_measured(folder / "measured.csv"), table, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="type_i_share"), "no column type_i_share"),
        (lambda t: t.assign(condition="sick"), "no condition sick"),
        (lambda t: t.assign(reviewed="perhaps"), "reviewed is not true or false"),
        (lambda t: t.assign(eosin_z="pale"), "pale"),
    ],
)
def test_other_tables_are_refused(tmp_path, change, words):
    folder = write_measured(tmp_path / "a", 1, change(reviewed_table()))
    with pytest.raises(TrainingDataError, match=rf"measured.csv: cannot be read \(.*{words}"):
        read_measured(folder / "measured.csv")


def test_pictures_of_one_slide_are_one_section(tmp_path):
    table = reviewed_table()
    for name, rows in (("a", slice(0, 120)), ("b", slice(100, 200))):
        write_measured(tmp_path / name, 1, table.iloc[rows])
    write_measured(tmp_path / "c", 2, table)
    items = find_dataset(tmp_path).items
    one, other = read_reviewed_fibers(items, ["p", "p", "q"])
    assert (one.group, other.group) == ("p", "q")
    assert one.table["label"].tolist() == table["label"].tolist()


def test_what_people_said_and_what_they_did_not():
    table = reviewed_table(n=6).assign(
        condition=["split", "normal", "necrotic;split", "", "split", "normal"],
        type=["I", "IIA", "undetermined", "I/IIA", "II", ""],
        reviewed=[True, True, True, True, False, True],
        type_before="I",
        condition_before="normal",
    )
    fibers = ReviewedFibers("s", "s", table)
    np.testing.assert_equal(fibers.condition("split"), [1, 0, 1, np.nan, np.nan, 0])
    np.testing.assert_equal(fibers.condition("necrotic"), [0, 0, 1, np.nan, np.nan, 0])
    np.testing.assert_equal(fibers.is_type_i(), [1, 0, np.nan, np.nan, np.nan, np.nan])
    assert fibers.has_condition().tolist() == [True, False, True, False, False, False]
    assert fibers.corrected("condition") == 3
    assert fibers.has_signs
    assert not ReviewedFibers("s", "s", table.drop(columns="eosin_z")).has_signs
