from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from biopsy_ai.errors import SlideReadError
from napari_plugin import samples

npe2 = pytest.importorskip("npe2", reason="napari is not installed: pip install biopsy-ai[gui]")
pytest.importorskip("napari", reason="napari is not installed: pip install biopsy-ai[gui]")


@pytest.fixture
def manifest(repository: Path) -> Any:
    return npe2.PluginManifest.from_file(repository / "napari_plugin" / "napari.yaml")


def test_manifest_is_valid(manifest: Any) -> None:
    assert manifest.name == "biopsy-ai"
    manifest.validate_imports()


def test_manifest_lists_the_bundled_samples(manifest: Any) -> None:
    from biopsy_ai import sample_slides

    listed = [sample.key for sample in manifest.contributions.sample_data]
    bundled = [path.stem for path in sample_slides()]
    assert bundled, "data/sample_slides holds no .tif: File > Open Sample would be empty"
    assert sorted(listed) == bundled


def test_missing_sample() -> None:
    with pytest.raises(SlideReadError, match="no_such_sample"):
        samples.load_sample("no_such_sample")


def test_layers_share_one_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Image and labels of different pixel size cover the same field."""
    from biopsy_ai import resources

    (tmp_path / "truth").mkdir()
    for name, pixels, mpp in (
        ("a.tif", np.full((80, 120, 3), 200, np.uint8), 0.5),
        ("truth/a_fibers.tif", np.kron(np.eye(4, 6), np.ones((10, 10))).astype(np.int32), 1.0),
    ):
        tifffile.imwrite(
            tmp_path / name, pixels, resolution=(1e4 / mpp,) * 2, resolutionunit="CENTIMETER"
        )
    monkeypatch.setattr(resources, "bundled_folder", lambda kind, package=None: tmp_path)
    (image, shown, kind), (labels, shown_labels, labels_kind) = samples.load_sample("a")
    assert (kind, labels_kind) == ("image", "labels")
    for pixels, how in ((image, shown), (labels, shown_labels)):
        corner = np.subtract(how["translate"], np.divide(how["scale"], 2))
        np.testing.assert_allclose(corner, 0)
        np.testing.assert_allclose(np.multiply(pixels.shape[:2], how["scale"]), (40, 60))
        assert how["units"] == ("um", "um")


@pytest.mark.gui
def test_open_sample_in_the_window(make_napari_viewer: Any) -> None:
    from napari.utils.notifications import notification_manager

    from biopsy_ai import RESEARCH_USE_ONLY, sample_slides

    bundled = sample_slides()
    assert bundled, "data/sample_slides holds no .tif: there is no sample to open"
    name = bundled[0].stem
    viewer = make_napari_viewer(show=True)
    image, labels = viewer.open_sample("biopsy-ai", name)
    assert image.name == name
    assert labels.data.max() >= 10
    np.testing.assert_allclose(image.extent.world, labels.extent.world, atol=2.0)
    shown = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
    assert shown.std() > 10, "the canvas is empty"
    assert RESEARCH_USE_ONLY in [note.message for note in notification_manager.records]
