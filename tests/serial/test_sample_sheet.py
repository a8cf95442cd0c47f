from __future__ import annotations

from pathlib import Path

import pytest

from biopsy_ai.config import AnalysisConfig
from biopsy_ai.errors import ConfigError
from biopsy_ai.serial.sample_sheet import COLUMNS, SampleSheet, read_sample_sheet

FULL = (
    ",".join(COLUMNS) + "\n"
    'a.tif,P1,B1,ATPase 9.4,0.5,vastus lateralis,left,54,f,"border=3,nuclei=0"\n'
    "sub/b.tif,P1,B1,NADH-TR,0.25,,L,,female,\n"
)


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "sections.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def read(folder: Path, text: str | bytes) -> SampleSheet:
    return read_sample_sheet(write(folder, text))


def test_a_full_sheet(tmp_path: Path) -> None:
    sheet = read(tmp_path, FULL)
    first, second = sheet.rows
    assert first.path == tmp_path / "a.tif"
    assert second.path == tmp_path / "sub" / "b.tif"
    assert (first.patient, first.block, first.line) == ("P1", "B1", 2)
    config = first.config(AnalysisConfig(device="cpu", stain="he"))
    assert config.stain == "atpase:9.4"
    assert (config.mpp, config.sex, config.device) == (0.5, "female", "cpu")
    assert (config.muscle, config.side, config.age) == ("vastus lateralis", "left", 54)
    assert config.channels == {"border": 3, "nuclei": 0}
    assert second.config(AnalysisConfig()).stain == "nadh"
    assert sheet.blocks() == {("P1", "B1"): [first, second]}
    assert sheet.unknown == ()


def test_only_the_path_is_needed(tmp_path: Path) -> None:
    sheet = read(tmp_path, "path\na.tif\nb.tif\n")
    assert [row.path.name for row in sheet.rows] == ["a.tif", "b.tif"]
    assert sheet.rows[0].config(AnalysisConfig(stain="he")) == AnalysisConfig(stain="he")
    assert sheet.blocks() == {}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [";", "\t"])
def test_what_spreadsheets_write(tmp_path: Path, encoding: str, separator: str) -> None:
    lines = [
        ["Path", "MPP", "Age", "Patient", ""],
        ["a.tif", "0,5", "54,5", "Müller", ""],
        ["", "", "", "", ""],
        ["b.tif", "0,5;0,25", "", "Müller", ""],
    ]
    quoted = [[f'"{cell}"' if ";" in cell else cell for cell in line] for line in lines]
    text = "\r\n".join(separator.join(line) for line in quoted) + "\r\n\r\n"
    sheet = read(tmp_path, text.encode(encoding))
    assert [dict(row.settings) for row in sheet.rows] == [
        {"mpp": 0.5, "age": 54.5},
        {"mpp": (0.5, 0.25)},
    ]
    assert sheet.rows[0].patient == "Müller"


def test_a_line_that_names_the_separator(tmp_path: Path) -> None:
    assert read(tmp_path, "sep=;\r\npath;mpp\r\na,b.tif;0,5\r\n").rows[0].path.name == "a,b.tif"


def test_paths_of_windows(tmp_path: Path) -> None:
    assert read(tmp_path, "path\nsub\\a.tif\n").rows[0].path == tmp_path / "sub" / "a.tif"


def test_absolute_paths_stay(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere" / "a.tif"
    assert read(tmp_path, f"path\n{elsewhere}\n").rows[0].path == elsewhere


def test_unknown_columns_are_kept(tmp_path: Path) -> None:
    sheet = read(tmp_path, "path,operator\na.tif,Kim\n")
    assert sheet.unknown == ("operator",)
    assert sheet.rows[0].notes == {"operator": "Kim"}


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("mpp", "half", "is no pixel size in µm, such as 0.5"),
        ("mpp", "1;2;3", "is no pixel size in µm"),
        ("mpp", "-1", "is no pixel size in µm"),
        ("stain", "giemsa", "unknown stain 'giemsa'; choose one of auto, he"),
        ("sex", "x", "'x' is not understood; write male or female, or leave it empty"),
        ("side", "up", "write left or right"),
        ("age", "old", "is no number"),
        ("age", "-3", "is no age"),
        ("channels", "border", "is not a name and a channel number, such as border=3"),
    ],
)
def test_a_bad_cell_is_named(tmp_path: Path, column: str, cell: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, f'path,{column}\na.tif,\nb.tif,"{cell}"\n')
    assert f"sections.csv: the sample sheet cannot be used: line 3, column {column}: " in str(
        caught.value
    )
    assert words in str(caught.value)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "path,age,sex\na.tif,old,\n,3,\nb.tif,,none\n")
    for words in ("line 2, column age", "line 3, column path: is empty", "line 4, column sex"):
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "needs the column path in its first line"),
        ("slide,stain\na.tif,he\n", "columns found: slide, stain"),
        ("path,stain\n", "names no slide"),
        ("path,path\na.tif,b.tif\n", "the column path stands there twice"),
        ("path\na.tif\n./a.tif\n", "line 3, column path: the slide stands in line 2 already"),
        ("path,channels\na.tif,border=3,nuclei=0\n", "put a cell that holds the separator in"),
        (
            "path,block,sex\na.tif,B1,male\nb.tif,B1,female\n",
            "line 3, column sex: female contradicts male in line 2 of the same block",
        ),
    ],
)
def test_what_is_no_sheet(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match="sections.csv") as caught:
        read(tmp_path, text)
    assert words in str(caught.value)


def test_a_missing_sheet(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.csv: the sample sheet cannot be read"):
        read_sample_sheet(tmp_path / "nowhere.csv")


def test_blocks_of_two_patients_are_two(tmp_path: Path) -> None:
    text = "path,patient,block\na.tif,P1,A\nb.tif,P1,A\nc.tif,P2,A\nd.tif,P2,A\ne.tif,P2,B\n"
    assert list(read(tmp_path, text).blocks()) == [("P1", "A"), ("P2", "A")]
