"""The slides that a viewer shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from drawn_sections import DrawnSection

pytest.importorskip("napari", reason="napari is not installed: pip install biopsy-ai[gui]")

from biopsy_ai import sample_slides
from biopsy_ai.config import MPP_GIVEN
from napari_plugin.slides_shown import (
    guess_roles,
    is_sample,
    sample_stain,
    slides_shown,
)


def show(model: Any, path: Path) -> None:
    from napari.layers import Layer

    from napari_plugin.layers import image_layers
    from napari_plugin.reader import open_for_display

    slide, why_no_mpp = open_for_display(path)
    for parts in image_layers(slide, why_no_mpp=why_no_mpp):
        model.add_layer(Layer.create(*parts))


def write_channels(path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 200, (3, 100, 120)).astype(np.uint16)
    names = {"Channel": {"Name": ["DAPI", "Laminin-AF488", "MHC I"]}}
    size = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(path, pixels, ome=True, metadata={"axes": "CYX", **names, **size})
    return path


def test_color_and_channels(model: Any, section: DrawnSection, tmp_path: Path) -> None:
    model.add_image(np.zeros((5, 5)), name="of another plugin")
    show(model, section.image)
    show(model, write_channels(tmp_path / "if.ome.tif"))
    color, channels = slides_shown(model)
    assert (color.name, color.is_rgb, color.mpp) == ("section.tif", True, (0.5, 0.5))
    assert color.channels == ("red", "green", "blue")
    assert not color.mpp_is_given
    assert channels.channels == ("DAPI", "Laminin-AF488", "MHC I")
    assert len(channels.layers) == 3
    model.layers.remove(channels.layers[1])
    _, channels = slides_shown(model)
    assert channels.channels == ("DAPI", "channel 1", "MHC I")


def test_places_in_the_viewer_and_in_the_slide(model: Any, section: DrawnSection) -> None:
    show(model, section.image)
    (slide,) = slides_shown(model)
    # a corner of the image is the corner of its first pixel
    assert slide.to_pixels((0.0, 0.0)) == pytest.approx((0, 0))
    assert slide.to_pixels((72.0, 96.0)) == pytest.approx((144, 192))


def test_a_pixel_size_that_a_person_states(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((80, 100, 3), 200, np.uint8))
    show(model, path)
    (slide,) = slides_shown(model)
    assert slide.mpp is None
    assert slide.to_pixels((80.0, 100.0)) == pytest.approx((80, 100))
    assert slide.place_in_um((0.5, 0.25)) == (0.5, 0.25)
    (slide,) = slides_shown(model)
    assert (slide.mpp, slide.mpp_is_given) == ((0.5, 0.25), True)
    assert slide.to_pixels((40.0, 25.0)) == pytest.approx((80, 100))
    layer = model.layers[0]
    np.testing.assert_allclose(layer.extent.world[0], 0, atol=0.5)
    np.testing.assert_allclose(layer.scale, (0.5, 0.25))


def test_what_slides_say_of_a_pixel_size_that_is_given(section: DrawnSection) -> None:
    from biopsy_ai.slides import open_slide

    with open_slide(section.image, mpp=0.5) as slide:
        assert slide.mpp_source == MPP_GIVEN


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (("DAPI", "Laminin-AF488"), {"border": 1, "nuclei": 0}),
        (("MHC I", "MHC IIA (SC-71)", "MHC IIx", "WGA"), {"border": 3, "I": 0, "IIA": 1, "IIX": 2}),
        (("nuclei", "I", "border"), {"border": 2, "nuclei": 0, "I": 1}),
        (("red", "green", "blue"), {}),
        (("DAPI", "Hoechst"), {}),
        (("488", "slowly"), {}),
    ],
)
def test_what_names_of_channels_say(names: tuple[str, ...], roles: dict[str, int]) -> None:
    assert guess_roles(names) == roles


def test_stains_of_the_samples(tmp_path: Path) -> None:
    stains = {path.stem: sample_stain(path) for path in sample_slides()}
    assert stains["normal_he"] == "he"
    assert stains["type2_atrophy_atpase"] == "atpase:9.4"
    assert all(stains.values())
    assert sample_stain(tmp_path / "normal_he.tif") is None
    assert not is_sample(tmp_path / "normal_he.tif")
