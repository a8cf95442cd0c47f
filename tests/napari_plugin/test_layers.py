from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from biopsy_ai.slides import open_slide
from napari_plugin.layers import (
    channel_colors,
    colormap_by_label,
    colormap_in_turn,
    contrast_of,
    facts_of,
    image_layers,
    labels_layer,
    shows_slide,
)

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.mark.parametrize(
    ("names", "colors"),
    [
        (["gray"], ["gray"]),
        (["DAPI", "Laminin", "MHC I", "MHC IIA"], ["blue", "gray", "red", "green"]),
        (["nuclei", "border", "I", "IIA", "IIX"], ["blue", "gray", "red", "green", "magenta"]),
        (["channel 0", "channel 1"], ["green", "magenta"]),
        (["channel 0", "Alexa 488"], ["magenta", "green"]),
    ],
)
def test_channel_colors(names: list[str], colors: list[str]) -> None:
    assert channel_colors(names) == colors


def test_many_channels_have_a_color_each() -> None:
    colors = channel_colors([f"channel {i}" for i in range(9)])
    assert len(set(colors[:6])) == 6
    assert set(colors[6:]) == {"gray"}


def test_contrast() -> None:
    overview = np.append(np.linspace(0, 1000, 999), 60000)
    low, high = contrast_of(overview)
    assert low == pytest.approx(10, abs=2)
    assert 990 < high < 1100
    assert contrast_of(np.full(9, 7)) == (7, 8)
    assert contrast_of(np.array([np.nan])) == (0, 1)


def test_channels_are_named_by_the_user(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 3000, (2, 40, 50), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="minisblack")
    with open_slide(tmp_path / "a.tif", mpp=0.5, channels={"nuclei": 1, "border": 0}) as slide:
        layers = image_layers(slide)
        assert [shown["name"] for _, shown, _ in layers] == ["a border", "a nuclei"]
        assert [shown["colormap"] for _, shown, _ in layers] == ["gray", "blue"]


def test_colors_of_labels() -> None:
    palette = np.array([RED, GREEN], np.uint8)
    colormap = colormap_by_label(np.array([3, 8, 9]), np.array([1, 0, 1]), palette)
    shown = colormap.map(np.array([[0, 3], [8, 9], [4, 10]]))
    expected = [[(0,) * 4, (0, 1, 0, 1)], [(1, 0, 0, 1), (0, 1, 0, 1)], [(0,) * 4, (0,) * 4]]
    np.testing.assert_allclose(shown, expected)
    assert colormap.map(8).tolist() == [1, 0, 0, 1]


def test_colors_are_as_napari_finds_them() -> None:
    """What is put where napari keeps it must agree with what napari would have found."""
    from napari.utils.colormaps import DirectLabelColormap

    rng = np.random.default_rng(0)
    palette = rng.integers(0, 255, (300, 3), np.uint8)
    labels = np.unique(rng.integers(1, 60_000, 500))
    index = rng.integers(0, 300, len(labels))
    ours = colormap_by_label(labels, index, palette)
    rgba = np.column_stack([palette / 255, np.ones(300)])
    colors = {int(n): rgba[i] for n, i in zip(labels, index, strict=True)}
    theirs = DirectLabelColormap(color_dict={None: "transparent", **colors})
    asked = np.append(rng.integers(0, 61_000, 2000), labels)
    np.testing.assert_allclose(ours.map(asked), theirs.map(asked), atol=1e-6)


@pytest.mark.parametrize("highest", [70_000, 5_000_000])
def test_high_labels_have_colors(highest: int) -> None:
    colormap = colormap_by_label(
        np.array([1, highest]), np.array([0, 1]), np.array([RED, BLUE], np.uint8)
    )
    shown = colormap.map(np.array([1, highest, highest - 1, 2**31 - 1], np.int32))
    np.testing.assert_allclose(shown, [(1, 0, 0, 1), (0, 0, 1, 1), (0,) * 4, (0,) * 4])


def test_no_labels() -> None:
    colormap = colormap_by_label(np.array([], int), np.array([], int), np.array([RED], np.uint8))
    assert not colormap.map(np.array([0, 1, 2])).any()


def test_colors_in_turn() -> None:
    shown = colormap_in_turn([RED, GREEN]).map(np.array([0, 1, 2, 3], np.uint16))
    np.testing.assert_allclose(shown, [(0,) * 4, (1, 0, 0, 1), (0, 1, 0, 1), (1, 0, 0, 1)])


def test_layers_of_others() -> None:
    from napari.layers import Labels

    layer = Labels(np.zeros((4, 4), np.int32), metadata={"biopsy_ai": "mine"})
    assert facts_of(layer) == {}
    assert not shows_slide(layer, Path("a.tif"), (0.5, 0.5))


def test_labels_cannot_be_painted() -> None:
    layer = labels_layer([np.zeros((4, 4), np.int32)], (0.5, 0.5), "a")
    assert not layer.editable
