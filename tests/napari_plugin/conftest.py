"""Results of a drawn section, to be opened in a viewer."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_plugin.section import OpenSection

WITHOUT_NAPARI = {"test_opencv.py", "test_samples.py", "test_window.py"}
"""Modules that run, or say that they are skipped, where the extra "gui" is not installed."""

collect_ignore = [
    path.name
    for path in Path(__file__).parent.glob("test_*.py")
    if find_spec("napari") is None and path.name not in WITHOUT_NAPARI
]


@pytest.fixture(scope="session")
def drawn_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of 12 round fibers of 20 µm, types I and II in turn, with nuclei and fascicles."""
    from drawn_results import fascicles_of, nuclei_of
    from drawn_sections import draw_section

    from biopsy_ai import AnalysisConfig, analyze
    from biopsy_ai.segmentation.tissue_map import TissueMap

    home = tmp_path_factory.mktemp("drawn")
    section = draw_section(home / "slides")
    types = home / "types.csv"
    listed = {"label": range(1, 13), "type": ["I", "II"] * 6}
    pd.DataFrame(listed).to_csv(types, index=False)
    config = AnalysisConfig(stain="he", sex="male")
    found = analyze(section.image, config, fibers=section.labels, types=types)
    with found:
        drawn, nuclei = nuclei_of(found.labels.shape, 4)
        nuclei["fiber"] = [1, 0, 2, 3]
        for name in ("area_um2", "axis_major_length_um", "axis_minor_length_um", "circularity"):
            nuclei[name] = [28.0, 30.0, 28.0, 29.0]
        for name in ("hematoxylin", "depth_um", "relative_depth"):
            nuclei[name] = 0.5
        classes = np.full((72, 96), 2, np.uint8)
        classes[np.asarray(found.labels)[::2, ::2] > 0] = 1
        tissue = TissueMap(classes, (1.0, 1.0))
        segmentation = replace(found.segmentation, nuclei=drawn, tissue=tissue)
        fibers = found.fibers.copy()
        fibers["group"] = pd.array([1, 1, pd.NA, 2] + [pd.NA] * 8, dtype="Int64")
        fibers["condition"] = ["normal", "necrotic", "split; necrotic", ""] * 3
        analysis = replace(
            found,
            fibers=fibers,
            segmentation=segmentation,
            nuclei=nuclei,
            fascicles=fascicles_of(segmentation),
        )
        return analysis.save(home / "results" / "section")


@pytest.fixture
def results(drawn_results: Path, tmp_path: Path) -> Path:
    """A copy of these results, beside a copy of their slide."""
    home = tmp_path / "copy"
    shutil.copytree(drawn_results.parent.parent / "slides", home / "slides")
    return Path(shutil.copytree(drawn_results, home / "results" / "section"))


@pytest.fixture
def model() -> ViewerModel:
    """A viewer without window."""
    from napari.components import ViewerModel

    return ViewerModel()


@pytest.fixture
def opened(model: ViewerModel, results: Path) -> Iterator[OpenSection]:
    """The results, open in a viewer without window."""
    from napari_plugin.section import open_results

    section = open_results(model, results)
    yield section
    section.close()


@pytest.fixture(autouse=True)
def without_settings_of_the_user(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What whoever runs the tests has set in napari decides nothing here."""
    if "plugin_settings" not in request.fixturenames:
        monkeypatch.setattr("napari_plugin.settings._kept", lambda: None)
