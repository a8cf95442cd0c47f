from __future__ import annotations

from pathlib import Path

import pytest
import tifffile
import yaml
from drawn_datasets import (
    drawn_section,
    write_coco,
    write_geojson,
    write_pair,
    write_picture,
    write_reviewed,
    write_rois,
    write_seg,
)

from biopsy_ai.errors import ConfigError, TrainingDataError
from biopsy_ai.training.collection import ItemOptions, find_dataset

LABELS = drawn_section().labels


@pytest.mark.parametrize(
    "name",
    [
        "a_fibers.tif",
        "a_labels.tiff",
        "a_masks.tif",
        "a_cp_masks.png",
        "a_mask.png",
        "a_seg.npy",
        "a.geojson",
        "a_fibers.geojson",
        "a.json",
        "a_RoiSet.zip",
        "a.zip",
    ],
)
def test_labels_are_found_by_the_name_of_the_picture(tmp_path: Path, name: str) -> None:
    (tmp_path / "deeper").mkdir()
    for file in ("a.tif", name, "notes.txt", ".hidden.tif"):
        (tmp_path / "deeper" / file).touch()
    found = find_dataset(tmp_path, ItemOptions(mpp=0.5, license="CC0"))
    assert not found.problems
    (item,) = found.items
    assert (item.name, item.image.name, item.labels.name) == ("deeper/a", "a.tif", name)
    assert (item.options.mpp, item.options.license, item.slide) == (0.5, "CC0", "a")


def test_what_belongs_to_a_picture_goes_with_it(tmp_path: Path) -> None:
    files = ("a.ome.tif", "a_fibers.tif", "a_known.tif", "a_nuclei_mask.tif", "a_tissue.tif")
    for file in files:
        (tmp_path / file).touch()
    (item,) = find_dataset(tmp_path).items
    assert item.known == tmp_path / "a_known.tif"
    assert item.nuclei == tmp_path / "a_nuclei_mask.tif"


def test_pictures_and_labels_may_lie_in_two_folders(tmp_path: Path) -> None:
    for file in ("images/a.tif", "images/b.png", "masks/a.tif", "masks/b.png"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    found = find_dataset(tmp_path)
    assert [(i.name, i.labels.parent.name) for i in found.items] == [
        ("images/a", "masks"),
        ("images/b", "masks"),
    ]


def test_one_of_several_label_files_is_taken_and_told(tmp_path: Path) -> None:
    for file in ("a.tif", "a_seg.npy", "a_masks.tif", "b.tif"):
        (tmp_path / file).touch()
    found = find_dataset(tmp_path)
    assert found.items[0].labels.name == "a_masks.tif"
    assert "a.tif: has 2 files with labels; a_masks.tif is taken." in found.notes[0]
    assert "Left out, as there are no labels: b.tif." in found.notes[1]


def test_labels_without_a_picture_are_a_problem(tmp_path: Path) -> None:
    for file in ("a.tif", "a_fibers.tif", "b_masks.tif", "c_RoiSet.zip", "d.geojson"):
        (tmp_path / file).touch()
    found = find_dataset(tmp_path)
    assert [problem.file.name for problem in found.problems] == [
        "b_masks.tif",
        "c_RoiSet.zip",
        "d.geojson",
    ]
    assert "no picture of this name" in str(found.problems[0])


def test_a_coco_file_tells_of_many_pictures(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        write_picture(tmp_path / "images" / name, drawn_section().image)
    pictures = {"images/a.tif": LABELS, "b.tif": LABELS, "gone.tif": LABELS, "c.tif": 0 * LABELS}
    (tmp_path / "c.tif").touch()
    write_coco(tmp_path / "annotations.json", pictures)
    found = find_dataset(tmp_path)
    assert [item.name for item in found.items] == ["a", "b"]
    assert found.items[0].coco is not None
    assert "there is no picture gone.tif" in str(found.problems[0])
    assert any("says nothing of c.tif" in note for note in found.notes)


def test_a_coco_file_leads_nowhere_else(tmp_path: Path) -> None:
    write_picture(tmp_path / "outside.tif", drawn_section().image)
    (tmp_path / "data").mkdir()
    write_coco(tmp_path / "data" / "annotations.json", {"../outside.tif": LABELS})
    found = find_dataset(tmp_path / "data")
    assert not found.items
    assert "there is no picture ../outside.tif" in str(found.problems[0])


def test_reviews_say_whose_and_what_they_are(tmp_path: Path) -> None:
    write_reviewed(tmp_path / "one", 1, patient="P1", license="MIT")
    write_reviewed(tmp_path / "two", 2, channel=3, stain="if", reviewers=["Ada", "Bo"])
    found = find_dataset(tmp_path, ItemOptions(license="CC0", mpp=9.0))
    assert not found.problems
    one, two = found.items
    assert (one.name, one.patient, one.options.license, one.options.mpp) == (
        "one",
        "P1",
        "MIT",
        0.5,
    )
    assert (one.options.stain, one.n_edits, one.slide) == ("he", 3, f"{1:064x}")
    assert one.known == tmp_path / "one" / "known.tif"
    assert (two.options.channel, two.options.license, two.reviewers) == (3, "CC0", ("Ada", "Bo"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("image: image.tif", "lacks labels"),
        ("[", "cannot be read"),
        ("{image: image.tif, labels: fibers.tif, mpp: wide}", "cannot be read"),
        ("{image: ../../gone.tif, labels: fibers.tif, mpp: 0.5}", "is missing"),
    ],
)
def test_incomplete_reviews_are_a_problem(tmp_path: Path, text: str, words: str) -> None:
    folder = write_reviewed(tmp_path / "one")
    (folder / "item.yaml").write_text(text)
    found = find_dataset(tmp_path)
    assert not found.items
    (problem,) = found.problems
    assert words in str(problem)
    assert problem.file.is_relative_to(folder)


def test_a_review_and_pairs_may_lie_side_by_side(tmp_path: Path) -> None:
    write_reviewed(tmp_path / "one")
    write_pair(tmp_path, "a")
    assert [item.name for item in find_dataset(tmp_path).items] == ["one", "a"]
    assert [item.name for item in find_dataset(tmp_path / "one").items] == ["one"]


def test_a_list_names_patients_and_slides(tmp_path: Path) -> None:
    write_pair(tmp_path, "a")
    entry = {"image": "a.tif", "labels": "a_fibers.tif", "mpp": 0.5, "license": "MIT"}
    entries = [
        entry | {"patient": "P1", "slide": "S1", "known": "a_fibers.tif"},
        {"image": "b.tif", "mpp": 0.5, "license": "MIT", "tissue": "fat"},
    ]
    (tmp_path / "training.yaml").write_text(yaml.safe_dump(entries))
    for path in (tmp_path, tmp_path / "training.yaml"):
        found = find_dataset(path)
        (item,) = found.items
        assert (item.patient, item.slide, item.options.license) == ("P1", "S1", "MIT")
        assert item.known == tmp_path / "a_fibers.tif"
        assert "b has no labels" in found.notes[0]
    (tmp_path / "training.yaml").write_text("- {image: a.tif}")
    with pytest.raises(ConfigError, match="entry 1 needs image"):
        find_dataset(tmp_path)


def test_an_empty_folder_is_told_what_to_hold(tmp_path: Path) -> None:
    (tmp_path / "a.tif").touch()
    (problem,) = find_dataset(tmp_path).problems
    assert "holds no picture with labels" in str(problem)
    assert "_RoiSet.zip" in str(problem)
    (tmp_path / "summary.json").touch()
    assert "export the review" in str(find_dataset(tmp_path).problems[0])
    with pytest.raises(TrainingDataError, match="no such folder"):
        find_dataset(tmp_path / "gone")


def test_every_way_of_writing_is_one_that_is_found(tmp_path: Path) -> None:
    """The files that the other tests write are those that are looked for."""
    for number, write in enumerate((write_geojson, write_rois, write_seg)):
        name = f"p{number}"
        suffix = {write_geojson: ".geojson", write_rois: "_RoiSet.zip", write_seg: "_seg.npy"}
        write_picture(tmp_path / f"{name}.tif", drawn_section().image)
        write(tmp_path / f"{name}{suffix[write]}", LABELS)
    tifffile.imwrite(tmp_path / "p3.tif", drawn_section().image)
    tifffile.imwrite(tmp_path / "p3_masks.tif", LABELS)
    found = find_dataset(tmp_path)
    assert [item.name for item in found.items] == ["p0", "p1", "p2", "p3"]
    assert not found.problems
