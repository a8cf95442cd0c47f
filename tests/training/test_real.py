from __future__ import annotations

import re
from pathlib import Path

import pytest

from biopsy_ai.errors import ConfigError
from biopsy_ai.training.real import read_training_list


def write(folder: Path, *entries: str) -> Path:
    path = folder / "training.yaml"
    path.write_text("".join(f"- {{{entry}}}\n" for entry in entries), encoding="utf-8")
    return path


def test_values_come_as_numbers_and_paths(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "image: a.tif, mpp: 1, license: MIT, labels: b.tif, channel: 3, shrink_um: 2",
        "image: a.tif, mpp: 5e-1, license: MIT, labels: , channel: null, shrink_um: ~",
    )
    first, second = read_training_list(path)
    assert first == {
        "image": tmp_path / "a.tif",
        "labels": tmp_path / "b.tif",
        "mpp": 1.0,
        "channel": 3,
        "shrink_um": 2.0,
        "license": "MIT",
    }
    assert second == {"image": tmp_path / "a.tif", "mpp": 0.5, "license": "MIT"}
    assert [type(first[key]) for key in ("mpp", "channel", "shrink_um")] == [float, int, float]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("mpp", "half"),
        ("mpp", "[0.5, 0.5]"),
        ("mpp", "yes"),
        ("mpp", "0"),
        ("mpp", ".nan"),
        ("channel", "border"),
        ("channel", "-1"),
        ("channel", "1.5"),
        ("channel", ".inf"),
        ("shrink_um", "two"),
        ("shrink_um", "-1"),
        ("shrink_um", "1" * 400),
        ("image", "5"),
        ("labels", "[a.tif]"),
        ("license", "[MIT, CC0]"),
    ],
)
def test_values_of_the_wrong_kind_are_told_with_file_and_entry(
    tmp_path: Path, key: str, value: str
) -> None:
    values = {"image": "a.tif", "mpp": "0.5", "license": "MIT"}
    good, bad = (
        ", ".join(f"{k}: {v}" for k, v in {**values, **changes}.items())
        for changes in ({}, {key: value})
    )
    with pytest.raises(ConfigError, match=rf"training\.yaml: entry 2: {key}: "):
        read_training_list(write(tmp_path, good, bad))


def test_a_key_without_a_value_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="entry 1 needs image, mpp and license"):
        read_training_list(write(tmp_path, "image: a.tif, mpp: , license: MIT"))


@pytest.mark.parametrize("content", ["- {image: \xb5.tif}".encode("latin-1"), b"- 2020-13-45"])
def test_a_list_that_cannot_be_read_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "training.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(f"{path}: the list of training images")):
        read_training_list(path)
