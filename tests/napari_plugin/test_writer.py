from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from biopsy_ai.errors import OutputError
from biopsy_ai.formats import read_geojson, read_label_image, read_roiset
from napari_plugin.writer import write_fibers

if TYPE_CHECKING:
    from napari_plugin.section import OpenSection


def save(section: OpenSection, path: Path) -> list[str]:
    """Save the fibers as the viewer does."""
    data, attributes, kind = section.layers["fibers"].as_layer_data_tuple()
    assert kind == "labels"
    return write_fibers(str(path), data, attributes)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
def test_label_image(opened: OpenSection, tmp_path: Path, name: str) -> None:
    opened.apply(lambda review: review.delete([3]))
    assert save(opened, tmp_path / name) == [str(tmp_path / name)]
    labels, mpp = read_label_image(tmp_path / name)
    assert mpp == pytest.approx((0.5, 0.5))
    np.testing.assert_array_equal(labels, np.asarray(opened.review.labels))
    assert 3 not in labels


def test_roiset(opened: OpenSection, tmp_path: Path) -> None:
    assert save(opened, tmp_path / "a.zip")
    outlines = read_roiset(tmp_path / "a.zip").outlines
    assert [outline.label for outline in outlines] == list(range(1, 13))


def test_geojson_without_viewer_has_outlines(opened: OpenSection, tmp_path: Path) -> None:
    assert save(opened, tmp_path / "a.geojson")
    outlines = read_geojson(tmp_path / "a.geojson").outlines
    assert [outline.label for outline in outlines] == list(range(1, 13))
    points = outlines[0].rings[0]
    np.testing.assert_allclose(points.mean(axis=0), (24, 24), atol=0.5)


def test_pyramid(tmp_path: Path) -> None:
    labels = np.kron(np.arange(1, 5, dtype=np.int32).reshape(2, 2), np.ones((8, 8), np.int32))
    attributes = {
        "multiscale": True,
        "scale": np.array([0.5, 0.5]),
        "units": ("micrometer", "micrometer"),
        "metadata": {},
        "name": "a",
    }
    write_fibers(str(tmp_path / "a.tif"), [labels, labels[::2, ::2]], attributes)
    read, mpp = read_label_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read, labels)
    assert mpp == pytest.approx((0.5, 0.5))


def test_layer_of_others_without_pixel_size(tmp_path: Path) -> None:
    labels = np.ones((8, 8), np.int32)
    attributes: dict[str, Any] = {"scale": [1, 1], "units": ("pixel", "pixel"), "metadata": {}}
    with pytest.raises(OutputError, match="pixel size"):
        write_fibers(str(tmp_path / "a.tif"), labels, attributes)
    assert write_fibers(str(tmp_path / "a.geojson"), labels, {**attributes, "name": "a"})


def test_stacks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="flat"):
        write_fibers(str(tmp_path / "a.tif"), np.ones((2, 8, 8), np.int32), {})


@pytest.mark.gui
def test_saved_from_the_window(results: Path, tmp_path: Path, make_napari_viewer: Any) -> None:
    """QuPath gets the measurements, as the section is open."""
    from napari_plugin.section import open_results

    viewer = make_napari_viewer(show=True)
    section = open_results(viewer, results)
    layer = section.layers["fibers"]
    path = tmp_path / "a.geojson"
    assert viewer.layers.save(str(path), selected=True, plugin="biopsy-ai") == [str(path)]
    assert viewer.layers.selection.active is layer
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    assert len(features) == 12
    assert features[1]["properties"]["classification"]["name"] == "Fiber: II"
    assert "Area µm^2" in features[1]["properties"]["measurements"]
