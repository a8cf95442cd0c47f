"""What a review gives to train on."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml

import biopsy_ai.review.training_export as training_export
from biopsy_ai.errors import ReviewError
from biopsy_ai.formats.label_image import read_label_image
from biopsy_ai.review import Review
from biopsy_ai.slides import open_slide

FILES = {
    "image.tif",
    "fibers.tif",
    "known.tif",
    "review.jsonl",
    "types.csv",
    "conditions.csv",
    "measured.csv",
    "item.yaml",
}


@pytest.fixture
def review(with_slide):
    with Review.open(with_slide, user="Ada") as review:
        yield review


def known_of(folder) -> np.ndarray:
    return tifffile.imread(folder / "known.tif") == 255


def test_the_item_holds_picture_labels_and_who_made_them(review, tmp_path):
    review.set_type([1, 2], "IIA")
    review.set_condition([2], "necrotic")
    review.delete([5])
    assert review.export_training(tmp_path / "data", whole_section=False) == tmp_path / "data"
    (item,) = (tmp_path / "data").iterdir()
    assert item.name == "section"
    assert {file.name for file in item.iterdir()} == FILES
    about = yaml.safe_load((item / "item.yaml").read_text(encoding="utf-8"))
    assert about == {
        "image": "image.tif",
        "labels": "fibers.tif",
        "known": "known.tif",
        "measured": "measured.csv",
        "mpp": 0.5,
        "stain": "he",
        "slide": "section.tif",
        "image_sha256": review.saved.summary["provenance"]["image_sha256"],
        "license": "not stated",
        "reviewers": ["Ada"],
        "n_edits": 3,
        "biopsy_ai_version": about["biopsy_ai_version"],
    }
    labels, mpp = read_label_image(item / "fibers.tif")
    assert mpp == (0.5, 0.5)
    assert np.array_equal(labels, review.labels)
    with open_slide(item / "image.tif") as picture, review.saved.open_slide() as slide:
        assert picture.mpp == slide.mpp
        assert picture.is_rgb
        assert picture.shape == labels.shape
        pixels = picture.read_region(0, 0, 0, *picture.shape)
        assert np.array_equal(pixels, slide.read_region(0, 0, 0, *slide.shape))
    assert pd.read_csv(item / "types.csv").to_dict("list") == {"label": [1, 2], "type": ["IIA"] * 2}
    conditions = pd.read_csv(item / "conditions.csv")
    assert conditions.to_dict("list") == {"label": [2], "condition": ["necrotic"]}
    log = (item / "review.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line).get("operation") for line in log[1:]] == [
        "set_type",
        "set_condition",
        "delete",
    ]


def test_only_what_a_person_has_seen_is_known(review, tmp_path):
    review.accept([1])
    review.delete([5])
    # why it is left out may be its outline
    review.exclude([7], "badly outlined")
    review.export_training(tmp_path / "data", whole_section=False)
    known = known_of(tmp_path / "data" / "section")
    labels, before = np.asarray(review.labels), np.asarray(review.saved.labels)
    assert known[labels == 1].all()
    # where a fiber was deleted there is none
    assert known[before == 5].all()
    others = ~np.isin(labels, (0, 1))
    assert not known[others].any()
    # 5 µm around
    y, x = np.argwhere(labels == 1).mean(axis=0).round().astype(int)
    assert known[y, x - 29 : x + 29].all()
    assert known.mean() < 0.3


def test_all_is_known_where_the_whole_section_was_reviewed(review, tmp_path):
    review.export_training(tmp_path / "data", whole_section=True)
    assert known_of(tmp_path / "data" / "section").all()
    assert (tmp_path / "data" / "section" / "review.jsonl").read_bytes() == b""


def test_nothing_known_is_nothing_to_learn_from(review, tmp_path):
    with pytest.raises(ReviewError, match="Accept or correct some fibers"):
        review.export_training(tmp_path / "data", whole_section=False)


def test_what_was_exported_before_is_replaced(review, tmp_path, monkeypatch):
    review.accept([1, 12])
    review.export_training(tmp_path / "data", whole_section=False)
    monkeypatch.setattr(training_export, "MAX_SIDE_PX", 100)
    monkeypatch.setattr(training_export, "OVERLAP_PX", 50)
    review.export_training(tmp_path / "data", whole_section=False)
    # the one before is no item any more
    items = sorted(file.parent.name for file in (tmp_path / "data").rglob("item.yaml"))
    assert len(items) == 2
    assert all(name.startswith("section_") for name in items)


def test_a_slide_of_the_same_name_is_another_item(review, tmp_path):
    review.accept([1])
    review.export_training(tmp_path / "data", whole_section=False)
    item = tmp_path / "data" / "section" / "item.yaml"
    about = yaml.safe_load(item.read_text())
    item.write_text(yaml.safe_dump(about | {"image_sha256": "f" * 64}))
    review.export_training(tmp_path / "data", whole_section=False)
    names = sorted(file.parent.name for file in (tmp_path / "data").rglob("item.yaml"))
    assert names == ["section", f"section-{about['image_sha256'][:8]}"]
    assert yaml.safe_load(item.read_text())["image_sha256"] == "f" * 64


def test_each_region_of_a_slide_is_another_item(review, tmp_path, monkeypatch):
    upper, lower, left = (
        ((0.0, 0.0), (0.0, x), (y, x), (y, 0.1)) for y, x in ((30.0, 96.0), (72.0, 96.0), (72, 40))
    )
    config = review.saved.config

    def save(region):
        reviewed = replace(review.saved, config=config.model_copy(update={"region": region}))
        monkeypatch.setattr(review, "saved", reviewed)
        review.export_training(tmp_path / "data", whole_section=True)

    for region in (upper, lower, None, left, lower, upper):
        save(region)
    regions = {
        file.parent.name: yaml.safe_load(file.read_text(encoding="utf-8")).get("region")
        for file in (tmp_path / "data").rglob("item.yaml")
    }
    hashed = f"section-{review.saved.summary['provenance']['image_sha256'][:8]}"
    assert regions == {
        "section": [list(corner) for corner in upper],
        hashed: [list(corner) for corner in lower],
        f"{hashed}-2": None,
        f"{hashed}-3": [list(corner) for corner in left],
    }


@pytest.mark.parametrize("whole_section", [True, False])
def test_a_large_section_is_cut_so_that_every_known_fiber_is_whole_somewhere(
    review, tmp_path, monkeypatch, whole_section
):
    monkeypatch.setattr(training_export, "MAX_SIDE_PX", 110)
    monkeypatch.setattr(training_export, "OVERLAP_PX", 48)
    review.accept([1, 4, 9])
    told = []
    review.export_training(
        tmp_path / "data",
        whole_section=whole_section,
        progress=lambda stage, done, total: told.append((stage, done, total)),
    )
    labels = np.asarray(review.labels)
    whole = set()
    for item in (tmp_path / "data").iterdir():
        y, x = (int(n) for n in item.name.split("_")[1:])
        part = tifffile.imread(item / "fibers.tif")
        assert max(part.shape) <= 110
        height, width = part.shape
        assert np.array_equal(part, labels[y : y + height, x : x + width])
        assert tifffile.imread(item / "image.tif").shape == (height, width, 3)
        known = known_of(item)
        for label in np.unique(part[part > 0]):
            inside = known[part == label]
            # a fiber is known as a whole or not at all
            assert inside.all() or not inside.any()
            if inside.all():
                assert (part == label).sum() == (labels == label).sum()
                whole.add(int(label))
    assert whole == (set(range(1, 13)) if whole_section else {1, 4, 9})
    assert told[0] == ("training_data", 0, len(list((tmp_path / "data").iterdir())))
    assert told[-1][1] == told[-1][2]


def test_channels_are_given_as_they_are(tmp_path, with_slide):
    from biopsy_ai.review.training_export import _write_image

    pixels = np.random.default_rng(0).integers(0, 4000, (3, 80, 90)).astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "if.ome.tif",
        pixels,
        photometric="minisblack",
        metadata={
            "axes": "CYX",
            "PhysicalSizeX": 0.5,
            "PhysicalSizeY": 0.5,
            "Channel": {"Name": ["DAPI", "laminin", "MyHC I"]},
        },
    )
    with open_slide(tmp_path / "if.ome.tif") as slide:
        _write_image(tmp_path / "image.tif", slide, (10, 20, 80, 90))
        names = slide.channel_names
    with open_slide(tmp_path / "image.tif") as written:
        assert written.channel_names == names
        assert written.mpp == (0.5, 0.5)
        found = written.read_region(0, 0, 0, 70, 70)
        assert np.array_equal(np.moveaxis(found, 2, 0), pixels[:, 10:, 20:])
