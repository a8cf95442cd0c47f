"""The fibers of a whole run in one file: types, rows, and never all of them at once."""

from __future__ import annotations

import json
import weakref
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drawn_runs import Slide, draw_run

from biopsy_ai.errors import OutputError
from biopsy_ai.patients import fibers_parquet, sections, write_fibers_parquet


def test_one_row_per_fiber(tmp_path: Path) -> None:
    settings = {"sex": "female", "age": 44.0, "muscle": "deltoid", "side": "left"}
    slides = [
        Slide("a", [40.0, 50.0, 60.0], "P", "A", excluded=1, settings=settings),
        Slide("b", [70.0]),
    ]
    written = write_fibers_parquet(draw_run(tmp_path, slides))
    assert (written.path, written.n_rows, written.n_sections) == (tmp_path / "fibers.parquet", 4, 2)
    table = pd.read_parquet(written.path)
    assert table["label"].tolist() == [1, 2, 3, 1]
    assert table["min_feret_um"].tolist() == [40, 50, 60, 70]
    assert table["is_measured"].tolist() == [False, True, True, True]
    assert table["excluded"].fillna("").tolist() == ["cut", "", "", ""]
    assert table["patient"].tolist() == ["P", "P", "P", "b"]
    assert table["patient_named"].tolist() == [True, True, True, False]
    assert table["block"].tolist() == ["A", "A", "A", "not named"]
    assert table["slide"].unique().tolist() == ["a.svs", "b.svs"]
    assert table["section"].unique().tolist() == ["a", "b"]
    assert table.loc[0, ["sex", "age", "muscle", "side"]].to_dict() == settings
    assert table.loc[3, ["sex", "age", "muscle", "side"]].isna().all()
    assert (table["stain"] == "he").all()
    assert not table["reviewed"].any()


def test_types_are_the_same_whatever_sections_hold(tmp_path: Path) -> None:
    """Columns that only some have, and such that are empty in some or in all."""
    empty = {"type": [""], "core_depth_ratio": [np.nan], "fascicle": pd.array([None], "Int64")}
    full = {"type": ["IIA"], "p_IIA": [0.75], "fascicle": pd.array([3], "Int64")}
    full |= {"touches_border": [True], "confidence": np.float32([0.5])}
    slides = [
        Slide("a", columns=empty),
        Slide("b", columns=full),
        Slide("c", columns={"is_enclosed": pd.array([None], "boolean")}),
    ]
    path = write_fibers_parquet(draw_run(tmp_path, slides)).path
    schema = pq.read_schema(path)
    kinds = {
        "patient": pa.string(),
        "age": pa.float64(),
        "is_measured": pa.bool_(),
        "label": pa.int64(),
        "type": pa.string(),
        "core_depth_ratio": pa.float64(),
        "fascicle": pa.int64(),
        "p_IIA": pa.float64(),
        "touches_border": pa.bool_(),
        "confidence": pa.float32(),
        "is_enclosed": pa.bool_(),
        "excluded": pa.string(),
    }
    assert {name: schema.field(name).type for name in kinds} == kinds
    table = pd.read_parquet(path)
    assert table["type"].isna().tolist() == [True, False, True]
    assert table["p_IIA"].isna().tolist() == [True, False, True]
    assert str(table["fascicle"].dtype) == "Int64"
    assert str(table["touches_border"].dtype) == "boolean"
    assert table["fascicle"].fillna(0).tolist() == [0, 3, 0]


def test_what_the_sample_sheet_adds(tmp_path: Path) -> None:
    """A column of the name of a measured one gets another name; text stays as it is."""
    columns = {"group": pd.array([7], "Int64")}
    slides = [
        Slide("a", sheet={"arm": "x", "group": "01"}, columns=columns),
        Slide("b", sheet={"group": "02"}, columns=columns),
    ]
    table = pd.read_parquet(write_fibers_parquet(draw_run(tmp_path, slides)).path)
    assert table["arm"].fillna("-").tolist() == ["x", "-"]
    assert table["sheet_group"].tolist() == ["01", "02"]
    assert table["group"].tolist() == [7, 7]


def test_a_column_of_the_sheet_never_takes_the_place_of_a_measure(tmp_path: Path) -> None:
    columns = {"split": np.array([0.5])}
    slides = [Slide(name, sheet={"split": "left half"}, columns=columns) for name in "ab"]
    table = pd.read_parquet(write_fibers_parquet(draw_run(tmp_path, slides)).path)
    assert table["sheet_split"].tolist() == ["left half"] * 2
    assert table["split"].tolist() == [0.5, 0.5]


def test_slides_that_are_left_out_are_named_in_the_file(tmp_path: Path) -> None:
    out = draw_run(tmp_path, [Slide("a"), Slide("torn", failed="is cut off"), Slide("b")])
    (out / "b" / "fibers.csv").write_text("")
    written = write_fibers_parquet(out)
    about = json.loads(pq.read_metadata(written.path).metadata[b"biopsy_ai"])
    assert about["left_out"][0] == "torn.svs: is cut off"
    assert about["left_out"][1].startswith("b.svs: ")
    assert "research use only" in about["research_use_only"]
    assert written.n_rows == 1


def test_without_any_section_there_is_no_file(tmp_path: Path) -> None:
    out = draw_run(tmp_path, [Slide("torn", failed="is cut off")])
    with pytest.raises(OutputError, match="Analyze some slides first"):
        write_fibers_parquet(out)
    assert [path.name for path in out.iterdir()] == ["cohort.csv"]


def test_an_earlier_file_stays_until_the_new_one_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = draw_run(tmp_path, [Slide("a"), Slide("b")])
    write_fibers_parquet(out)
    before = (out / "fibers.parquet").read_bytes()
    write_fibers_parquet(out)
    assert (out / "fibers.parquet").read_bytes() == before, "the same gives the same"

    def full(stage: str, done: int, total: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OutputError, match="free some space"):
        write_fibers_parquet(out, progress=full)
    assert (out / "fibers.parquet").read_bytes() == before
    assert sorted(path.name for path in out.iterdir()) == ["a", "b", "cohort.csv", "fibers.parquet"]


def test_a_cohort_is_never_held_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """300 sections of 60 fibers: the tables of most are gone before the last one is read."""
    n, fibers = 300, 60
    out = draw_run(tmp_path, [Slide(f"s{i}", [50.0] * fibers) for i in range(n)])
    monkeypatch.setattr(fibers_parquet, "ROWS", 1000)
    tables: list[weakref.ref[pd.DataFrame]] = []
    most, read = 0, sections.read_fibers_csv
    writer, waiting = fibers_parquet.FibersWriter.write, 0

    def watched(path: Path) -> pd.DataFrame:
        nonlocal most
        table = read(path)
        tables.append(weakref.ref(table))
        most = max(most, sum(one() is not None for one in tables))
        return table

    def write(self: fibers_parquet.FibersWriter, *section: object) -> None:
        nonlocal waiting
        writer(self, *section)  # type: ignore[arg-type]
        waiting = max(waiting, self._n_waiting)

    monkeypatch.setattr(sections, "read_fibers_csv", watched)
    monkeypatch.setattr(fibers_parquet.FibersWriter, "write", write)
    assert write_fibers_parquet(out).n_rows == n * fibers
    assert most <= 6
    assert waiting < 1000
    metadata = pq.read_metadata(out / "fibers.parquet")
    sizes = [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)]
    assert sum(sizes) == n * fibers
    assert max(sizes) < 1000 + fibers
    assert len(sizes) == 18
