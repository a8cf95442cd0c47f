from __future__ import annotations

import datetime
import enum
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.config import AnalysisConfig
from biopsy_ai.formats.tables import (
    printable,
    to_json_ready,
    write_csv,
    write_fibers_csv,
    write_json,
)


def test_csv_has_six_digits_lower_case_truth_and_empty_for_missing(tmp_path) -> None:
    frame = pd.DataFrame(
        {
            "label": np.array([1, 20_000_000], dtype=np.int64),
            "area_um2": [1234.56789, np.nan],
            "big": [12345678.9, -0.000012345678],
            "confidence": np.array([0.1, 1.0], dtype=np.float32),
            "excluded": [True, False],
            "touches_tissue_edge": pd.array([pd.NA, True], dtype="boolean"),
            "reason": ['cut, "left"', ""],
            "name": ["Schnitt Ä", None],
        }
    )
    write_csv(tmp_path / "fibers.csv", frame)
    assert (tmp_path / "fibers.csv").read_bytes().decode("utf-8") == (
        "label,area_um2,big,confidence,excluded,touches_tissue_edge,reason,name\n"
        '1,1234.57,12345700,0.1,true,,"cut, ""left""",Schnitt Ä\n'
        "20000000,,-1.23457e-05,1,false,true,,\n"
    )


def test_fibers_csv_puts_the_label_first_and_reads_back(tmp_path, fibers) -> None:
    shuffled = fibers[["excluded", "area_um2", "label"]]
    write_fibers_csv(tmp_path / "fibers.csv", shuffled)
    read = pd.read_csv(tmp_path / "fibers.csv")
    assert list(read.columns) == ["label", "excluded", "area_um2"]
    assert read["excluded"].fillna("").tolist() == fibers["excluded"].tolist()
    np.testing.assert_allclose(read["area_um2"], fibers["area_um2"], rtol=1e-5)


def test_an_empty_table_has_a_header(tmp_path) -> None:
    write_csv(tmp_path / "t.csv", pd.DataFrame({"label": [], "area_um2": []}))
    assert (tmp_path / "t.csv").read_text() == "label,area_um2\n"


class Kind(enum.Enum):
    fast = "f"


def test_json_holds_numpy_values_paths_models_and_no_nan(tmp_path) -> None:
    value = {
        "n": np.int64(3),
        "mean": np.float32(0.5),
        "nan": float("nan"),
        "inf": np.float64(np.inf),
        "array": np.array([[1.0, math.nan]]),
        "flag": np.bool_(True),
        "path": Path("a"),
        "day": datetime.date(2026, 1, 2),
        "kind": Kind.fast,
        "pair": (1, 2),
        5: {"µ"},
        "config": AnalysisConfig(mpp=0.5),
        "none": None,
    }
    write_json(tmp_path / "summary.json", value)
    text = (tmp_path / "summary.json").read_text(encoding="utf-8")
    assert "µ" in text
    read = json.loads(text, parse_constant=pytest.fail)
    assert read["array"] == [[1.0, None]]
    assert (read["nan"], read["inf"], read["flag"], read["n"]) == (None, None, True, 3)
    assert read["kind"] == "f"
    assert read["5"] == ["µ"]
    assert read["config"]["mpp"] == 0.5
    assert read["day"] == "2026-01-02"


def test_json_refuses_what_it_cannot_hold() -> None:
    with pytest.raises(TypeError, match="object"):
        to_json_ready({"x": object()})


@pytest.mark.parametrize("name", ["Pr\udce4parat.tif", "\ud83d.tif"])
def test_names_that_are_no_utf8_are_written_and_stay_distinct(tmp_path, name: str) -> None:
    """Linux takes any bytes for a file name, Windows half a pair of UTF-16."""
    other = name.replace(name[-5], "\udcf6")
    # text of pandas' own holds no such names where pyarrow is installed
    frame = pd.DataFrame({"slide": [name, other], "n": [1, 2]}, dtype=object)
    frame.columns = pd.Index(["slide", name], dtype=object)
    write_csv(tmp_path / "t.csv", frame)
    read = pd.read_csv(tmp_path / "t.csv", encoding="utf-8")
    assert read["slide"].tolist() == [printable(name), printable(other)]
    write_json(tmp_path / "t.json", {"slides": [name, Path(other)], name: 1})
    read = json.loads((tmp_path / "t.json").read_text(encoding="utf-8"))
    assert read == {"slides": [printable(name), printable(other)], printable(name): 1}
    assert printable(name) != printable(other)
    printable(name).encode("utf-8")


def test_what_can_be_printed_stays_as_it_is() -> None:
    assert printable("Präparat µ 试 🔬 \\x.tif") == "Präparat µ 试 🔬 \\x.tif"
