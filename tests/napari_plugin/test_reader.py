from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from biopsy_ai.errors import SlideReadError
from biopsy_ai.slides import SUPPORTED_SUFFIXES
from napari_plugin.reader import get_reader, read_results, read_slide

if TYPE_CHECKING:
    from napari.components import ViewerModel

npe2 = pytest.importorskip("npe2", reason="napari is not installed: pip install biopsy-ai[gui]")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the user is warned of."""
    import napari.utils.notifications as notifications

    messages: list[str] = []
    monkeypatch.setattr(notifications, "show_warning", messages.append)
    return messages


def write_tiff(path: Path, mpp: float | None = 0.5, **more: Any) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    size = {} if mpp is None else {"resolution": (1e4 / mpp,) * 2, "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(path, pixels, **size, **more)
    return path


def test_patterns_are_those_of_the_core(repository: Path) -> None:
    manifest = npe2.PluginManifest.from_file(repository / "napari_plugin" / "napari.yaml")
    (reader,) = manifest.contributions.readers
    # a folder has no pattern
    expected = {f"*{suffix}" for suffix in SUPPORTED_SUFFIXES if suffix != ".zarr"}
    assert set(reader.filename_patterns) == expected
    assert reader.accepts_directories


def test_what_is_ours(tmp_path: Path, results: Path) -> None:
    slide = write_tiff(tmp_path / "a.tif")
    renamed = tmp_path / "b.png"
    renamed.write_bytes(slide.read_bytes())
    zarr = tmp_path / "c.zarr"
    zarr.mkdir()
    (zarr / ".zattrs").write_text(json.dumps({"multiscales": []}))
    scanned = tmp_path / "d.svs"
    scanned.write_bytes(b"whatever")
    for path in (slide, renamed, zarr, scanned):
        assert get_reader(str(path)) is read_slide
    assert get_reader([str(slide)]) is read_slide
    assert get_reader(str(results)) is read_results


def test_what_is_not_ours(tmp_path: Path, results: Path) -> None:
    text = tmp_path / "a.tif"
    text.write_text("no image")
    zarr = tmp_path / "b.zarr"
    zarr.mkdir()
    (zarr / "zarr.json").write_text('{"zarr_format": 3, "node_type": "group"}')
    others = [text, zarr, tmp_path, tmp_path / "missing.tif", results / "fibers.csv"]
    labels = [results / name for name in ("fibers.tif", "nuclei.tif", "tissue.tif")]
    for path in (*others, *labels):
        assert get_reader(str(path)) is None
    assert get_reader([str(text), str(zarr)]) is None
    assert get_reader([]) is None
    assert get_reader("\0") is None
    assert get_reader("x" * 10000) is None
    assert get_reader(3) is None  # type: ignore[arg-type]


def test_slide_lies_in_um(tmp_path: Path, told: list[str]) -> None:
    path = write_tiff(tmp_path / "a.tif", 0.25)
    ((data, shown, kind),) = read_slide(str(path))
    assert kind == "image"
    assert shown["rgb"]
    assert shown["units"] == ("um", "um")
    corner = np.subtract(shown["translate"], np.divide(shown["scale"], 2))
    np.testing.assert_allclose(corner, 0)
    np.testing.assert_allclose(np.multiply(data.shape[:2], shown["scale"]), (10, 15))
    noted = shown["metadata"]["biopsy_ai"]
    assert noted["path"] == str(path)
    assert noted["mpp"] == (0.25, 0.25)
    np.testing.assert_array_equal(np.asarray(data), tifffile.imread(path))
    assert not told


def test_slide_without_pixel_size_opens_in_pixels(tmp_path: Path, told: list[str]) -> None:
    ((data, shown, _),) = read_slide(str(write_tiff(tmp_path / "a.tif", None)))
    assert shown["units"] == ("pixel", "pixel")
    assert "scale" not in shown
    assert shown["metadata"]["biopsy_ai"]["mpp"] is None
    assert "no pixel size" in shown["metadata"]["biopsy_ai"]["why_no_mpp"]
    assert data.shape == (40, 60, 3)
    (warning,) = told
    assert "a.tif" in warning
    assert "Give the pixel size" in warning


def test_channels_have_layers_of_their_own(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(100, 3000, (3, 40, 60), np.uint16)
    path = tmp_path / "a.ome.tif"
    names = ["DAPI", "Laminin", "MHC IIA"]
    metadata = {
        "axes": "CYX",
        "PhysicalSizeX": 0.5,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": 0.5,
        "PhysicalSizeYUnit": "µm",
        "Channel": {"Name": names},
    }
    tifffile.imwrite(path, pixels, ome=True, metadata=metadata, photometric="minisblack")
    layers = read_slide(str(path))
    assert [shown["name"] for _, shown, _ in layers] == [f"a {name}" for name in names]
    assert [shown["colormap"] for _, shown, _ in layers] == ["blue", "gray", "green"]
    for channel, (data, shown, _) in enumerate(layers):
        np.testing.assert_array_equal(np.asarray(data), pixels[channel])
        low, high = shown["contrast_limits"]
        assert 100 <= low < 300
        assert 2500 < high <= 3000
        assert shown["blending"] == "additive"
        assert shown["metadata"]["biopsy_ai"]["channel"] == channel


def test_damaged_slide(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tif", compression="zlib")
    path.write_bytes(path.read_bytes()[:1500])
    reader = get_reader(str(path))
    assert reader is not None
    with pytest.raises(SlideReadError, match=r"a\.tif"):
        reader(str(path))


def test_viewer_takes_what_is_read(tmp_path: Path, model: ViewerModel) -> None:
    from napari.layers import Layer

    for parts in read_slide(str(write_tiff(tmp_path / "a.tif"))):
        model.add_layer(Layer.create(*parts))
    assert model.layers["a"].units == model.layers["a"].units
    np.testing.assert_allclose(model.layers["a"].extent.world[1], (19.75, 29.75))


def test_results_without_viewer(results: Path) -> None:
    ((data, shown, kind),) = read_results(str(results))
    assert kind == "labels"
    assert len(np.unique(data)) == 13
    assert shown["units"] == ("um", "um")


@pytest.mark.gui
def test_dropped_on_the_window(
    tmp_path: Path, results: Path, make_napari_viewer: Any, told: list[str]
) -> None:
    from napari_plugin.section import sections_of

    viewer = make_napari_viewer(show=True)
    path = write_tiff(tmp_path / "a.tif")
    (image,) = viewer.open(str(path), plugin="biopsy-ai")
    assert viewer.canvas.overlays.scale_bar.visible
    assert str(image.units[0]) == "micrometer"
    assert image.source.path == str(path)
    viewer.open(str(results), plugin="biopsy-ai")
    section = sections_of(viewer).active
    assert section is not None
    assert section.layers["fibers"] in viewer.layers
    assert len(viewer.layers) == 1 + len(section.layers)
