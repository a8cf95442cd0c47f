from __future__ import annotations

import pytest

from biopsy_ai.errors import SlideReadError
from biopsy_ai.slides import find_slides
from biopsy_ai.slides.formats import find_other_pictures, slide_files, slide_name


def test_folders_give_their_images_in_order(tmp_path):
    for name in ("b.tif", "a.PNG", "c.ome.tiff", ".hidden.tif", "notes.txt", "table.csv", "d.mrxs"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "Data0000.jpg").write_bytes(b"x")
    (tmp_path / "e.ome.zarr").mkdir()
    (tmp_path / "e.ome.zarr" / ".zattrs").write_text("{}")
    (tmp_path / "no.zarr").mkdir()
    names = [path.name for path in find_slides(tmp_path)]
    assert names == ["a.PNG", "b.tif", "c.ome.tiff", "d.mrxs", "e.ome.zarr"]


def test_files_are_taken_as_named_and_once(tmp_path):
    odd = tmp_path / "scan.dat"
    odd.write_bytes(b"x")
    image = tmp_path / "b.tif"
    image.write_bytes(b"x")
    assert find_slides([odd, str(image), tmp_path]) == [odd, image]


def test_missing_path(tmp_path):
    with pytest.raises(SlideReadError, match=r"gone.tif: there is no such file"):
        find_slides([tmp_path / "gone.tif"])


def test_folder_without_slides(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(SlideReadError, match="holds no slide"):
        find_slides(tmp_path)


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("a.ome.tif", "a"),
        ("S1.2021.tif", "S1.2021"),
        ("x.OME.TIFF", "x"),
        ("y.ome.zarr", "y"),
        ("z.dat", "z.dat"),
        ("Müller 3.svs", "Müller 3"),
    ],
)
def test_slide_name(tmp_path, file, name):
    assert slide_name(tmp_path / file) == name


def test_files_of_a_slide(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    for name in ("a.mrxs", "a/Slidedat.ini", "a/Data0000.dat", "b.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    series = {"level0": "1", "level1.dcm": "1", "other.dcm": "2", "broken.dcm": None}
    for name in series:
        (tmp_path / name).write_bytes(bytes(128) + b"DICM")
    monkeypatch.setattr("biopsy_ai.slides.openslide.dicom_series", lambda path: series[path.name])

    def files(name):
        return sorted(p.relative_to(tmp_path).as_posix() for p in slide_files(tmp_path / name))

    assert files("a.mrxs") == ["a.mrxs", "a/Data0000.dat", "a/Slidedat.ini"]
    assert files("level0") == files("level1.dcm") == ["level0", "level1.dcm"]
    assert files("other.dcm") == ["other.dcm"]
    assert files("broken.dcm") == ["broken.dcm"]
    assert files("b.png") == ["b.png"]


def test_dicom_files_of_one_slide_count_once(tmp_path, monkeypatch):
    series = {"a1.dcm": "1", "a2.dcm": "1", "b.dcm": "2", "broken.dcm": None}
    for name in [*series, "c.png"]:
        (tmp_path / name).write_bytes(b"x")
    monkeypatch.setattr("biopsy_ai.slides.openslide.dicom_series", lambda path: series[path.name])
    names = [path.name for path in find_slides(tmp_path)]
    assert names == ["a1.dcm", "b.dcm", "broken.dcm", "c.png"]


def test_pictures_that_cannot_be_read_are_known(tmp_path):
    for name in ("b.BMP", "a.webp", "c.tif", "notes.txt"):
        (tmp_path / name).write_bytes(b"1")
    assert [path.name for path in find_other_pictures(tmp_path)] == ["a.webp", "b.BMP"]
