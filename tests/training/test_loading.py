from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from drawn_datasets import (
    drawn_section,
    shifted,
    write_coco,
    write_geojson,
    write_pair,
    write_picture,
    write_reviewed,
    write_rois,
    write_seg,
)

from biopsy_ai.training.checking import check_dataset
from biopsy_ai.training.collection import ItemOptions, find_dataset
from biopsy_ai.training.loading import LoadedItem, load_dataset

SECTION = drawn_section()
LABELS = SECTION.labels


def load(folder: Path, options: ItemOptions | None = None) -> tuple[list[LoadedItem], list[str]]:
    dataset = find_dataset(folder, options)
    items = load_dataset(dataset, folder / "work")
    return items, [str(problem) for problem in dataset.problems]


def same_fibers(found, labels) -> bool:
    pairs = np.unique(np.stack([found.ravel(), labels.ravel()]), axis=1)
    return len(pairs[0]) == len(np.unique(pairs[0])) == len(np.unique(pairs[1]))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a_fibers.tif", lambda path, labels: tifffile.imwrite(path, labels.astype(np.uint16))),
        ("a_masks.png", None),
        ("a_seg.npy", write_seg),
        ("a.geojson", write_geojson),
        ("a_RoiSet.zip", write_rois),
        ("coco.json", lambda path, labels: write_coco(path, {"a.tif": labels})),
    ],
)
def test_every_format_gives_the_same_fibers(tmp_path: Path, name: str, write) -> None:
    write_picture(tmp_path / "a.tif", SECTION.image)
    if write is None:
        import cv2

        cv2.imwrite(str(tmp_path / name), LABELS.astype(np.uint16))
    else:
        write(tmp_path / name, LABELS)
    (item,), problems = load(tmp_path)
    assert not problems
    assert same_fibers(np.asarray(item.plane("fibers")), LABELS)
    assert item.n_fibers == len(np.unique(LABELS)) - 1
    assert item.plane("known").all()
    assert item.plane("picture").dtype == np.float16
    assert item.plane("picture").shape == (300, 300, 3)
    targets = item.plane("targets")
    np.testing.assert_array_equal(targets[..., 0] > 0, LABELS > 0)
    assert (targets[..., 3] > 0).all()
    assert not item.knows_nuclei
    assert item.threshold_set == "thresholds"
    assert len(item.origin["image_sha256"]) == len(item.origin["labels_sha256"]) == 64


def test_pictures_of_any_pixel_size_come_on_the_working_grid(tmp_path: Path) -> None:
    fine = np.repeat(np.repeat(SECTION.image, 2, 0), 2, 1)
    labels = np.repeat(np.repeat(LABELS, 2, 0), 2, 1)
    write_pair(tmp_path, "a", labels=labels)
    write_picture(tmp_path / "a.tif", fine, mpp=None)
    items, problems = load(tmp_path)
    assert not items
    assert "states no pixel size" in problems[0]
    assert "--mpp" in problems[0]
    (item,), problems = load(tmp_path, ItemOptions(mpp=0.25))
    assert not problems
    np.testing.assert_array_equal(item.plane("fibers"), LABELS)


def test_what_a_review_left_unknown_does_not_count(tmp_path: Path) -> None:
    known = np.zeros(LABELS.shape, np.uint8)
    known[:, :200] = 255
    write_reviewed(tmp_path / "one", known=known)
    (item,), problems = load(tmp_path)
    assert not problems
    weight = item.plane("targets")[..., 3]
    assert (weight[:, :200] > 0).all()
    assert not weight[:, 200:].any()
    assert item.n_fibers == len(np.unique(LABELS[:, :200])) - 1
    np.testing.assert_array_equal(item.plane("fibers"), LABELS)


def test_away_from_labels_nothing_is_known_of_a_partly_labelled_picture(tmp_path: Path) -> None:
    some = np.where(np.isin(LABELS, np.unique(LABELS)[1:13]), LABELS, 0)
    write_pair(tmp_path, "a", labels=some)
    (tmp_path / "b").mkdir()
    write_pair(tmp_path / "b", "b", 2, labels=drawn_section(2).labels)
    items, problems = load(tmp_path, ItemOptions(partly=True))
    assert not problems
    one = next(item for item in items if item.item.name == "a")
    known = one.plane("known")
    assert known[some > 0].all()
    assert not known[(some == 0) & (LABELS > 0)].all()
    assert 0.2 < known.mean() < 0.9


def test_nuclei_are_learned_where_they_are_given(tmp_path: Path) -> None:
    write_pair(tmp_path, "a")
    tifffile.imwrite(tmp_path / "a_nuclei.tif", SECTION.nuclei_labels.astype(np.uint16))
    (item,), _ = load(tmp_path)
    assert item.knows_nuclei
    nuclei = item.plane("nuclei")
    np.testing.assert_array_equal(nuclei[..., 0] > 0, SECTION.nuclei_labels > 0)


def test_fluorescence_needs_its_border_channel(tmp_path: Path) -> None:
    dark = 255 - SECTION.image.astype(int)
    image = np.stack([dark[..., 0] * 0, dark[..., 1]]).astype(np.uint8)
    tifffile.imwrite(
        tmp_path / "a.tif",
        image,
        photometric="minisblack",
        planarconfig="separate",
        resolution=(2e4, 2e4),
        resolutionunit="CENTIMETER",
    )
    tifffile.imwrite(tmp_path / "a_fibers.tif", LABELS.astype(np.uint16))
    _, problems = load(tmp_path)
    assert "border" in problems[0]
    (item,), problems = load(tmp_path, ItemOptions(channel=1, stain="if"))
    assert not problems
    assert item.threshold_set == "fluorescence_thresholds"
    picture = item.plane("picture")
    np.testing.assert_array_equal(picture[..., 0], picture[..., 2])


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    write_pair(tmp_path, "good")
    write_pair(tmp_path, "small", labels=LABELS[:200, :200])
    write_pair(tmp_path, "shifted", labels=shifted(LABELS, 14, 10))
    write_pair(tmp_path, "mirrored", labels=LABELS[:, ::-1])
    write_pair(tmp_path, "other", labels=drawn_section(9).labels)
    write_pair(tmp_path, "coarse", mpp=4.9)
    write_pair(tmp_path, "classes", labels=(1 + LABELS % 12) * (LABELS > 0))
    write_pair(tmp_path, "none", labels=0 * LABELS)
    write_pair(tmp_path, "twin")
    (tmp_path / "twin.tif").write_bytes(b"II*\0damaged")
    (tmp_path / "orphan_fibers.tif").touch()
    write_picture(tmp_path / "over.tif", SECTION.image)
    wide = np.repeat(np.repeat(LABELS, 2, 0), 2, 1)[150:450, 150:450]
    write_coco(tmp_path / "coco.json", {"over.tif": wide})
    content = (tmp_path / "coco.json").read_text()
    (tmp_path / "coco.json").write_text(content.replace('"height": 300', '"height": 301'))

    checked = check_dataset(tmp_path, tmp_path / "work")
    assert [one.item.name for one in checked.items] == ["good"]
    told = {problem.file.name: problem.text for problem in checked.dataset.problems}
    assert told.keys() == {
        "small_fibers.tif",
        "shifted_fibers.tif",
        "mirrored_fibers.tif",
        "other_fibers.tif",
        "coarse_fibers.tif",
        "classes_fibers.tif",
        "none_fibers.tif",
        "twin.tif",
        "orphan_fibers.tif",
        "coco.json",
    }
    assert "200 × 200 px" in told["small_fibers.tif"]
    assert "look shifted" in told["shifted_fibers.tif"]
    assert "up" in told["shifted_fibers.tif"]
    assert "to the left" in told["shifted_fibers.tif"]
    assert "mirrored left to right" in told["mirrored_fibers.tif"]
    assert "do not follow any borders" in told["other_fibers.tif"]
    assert "pixel size must be wrong" in told["coarse_fibers.tif"]
    assert "separate pieces" in told["classes_fibers.tif"]
    assert "no fiber" in told["none_fibers.tif"]
    assert "no picture of this name" in told["orphan_fibers.tif"]
    assert "301" in told["coco.json"]


def test_overlapping_outlines_are_a_problem(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.tif", SECTION.image)
    write_geojson(tmp_path / "a.geojson", LABELS)
    assert not load(tmp_path)[1]
    import json

    content = json.loads((tmp_path / "a.geojson").read_text())
    for feature in content["features"][::2]:
        ring = np.array(feature["geometry"]["coordinates"][0])
        grown = ring.mean(0) + 1.6 * (ring - ring.mean(0))
        feature["geometry"]["coordinates"] = [grown.tolist()]
    (tmp_path / "a.geojson").write_text(json.dumps(content))
    _, (problem,) = load(tmp_path)
    assert "outlines overlap" in problem


def test_few_fibers_are_too_few(tmp_path: Path) -> None:
    some = np.where(np.isin(LABELS, np.unique(LABELS)[1:9]), LABELS, 0)
    write_pair(tmp_path, "a", labels=some)
    items, problems = load(tmp_path)
    assert len(items) == 1
    assert "8 labelled fibers are too few" in problems[0]


def test_large_pictures_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("biopsy_ai.training.loading.MAX_ITEM_PX", 10_000)
    write_pair(tmp_path, "a")
    assert "larger than" in load(tmp_path)[1][0]
