"""Takes the pictures of the window that README and docs/napari.md show, from the sample slides.

    xvfb-run -s "-screen 0 1400x900x24" python scripts/window_pictures.py

The results of the sample are made first, unless ``--results`` names a folder with them.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import napari_plugin  # noqa: F401 - before Qt is loaded

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
SAMPLE = "chronic_reinnervation_atpase"
SIZE = 1280, 800
"""Of the window, pixels."""


def main() -> None:
    """Parse; make results; take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, help="folder with the results of the sample")
    parser.add_argument("--out", type=Path, default=PICTURES)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="biopsies-") as folder:
        results = Path(folder) / "results" / SAMPLE
        if options.results is None:
            analyze_sample(results)
        else:
            shutil.copytree(options.results, results)
        Camera(options.out).walk(results)


def analyze_sample(out: Path) -> None:
    """Analyze the sample, as the command line does."""
    import biopsy_ai

    path = next(path for path in biopsy_ai.sample_slides() if path.stem == SAMPLE)
    config = biopsy_ai.AnalysisConfig(stain="atpase:9.4", muscle="vastus lateralis", age=61)
    with biopsy_ai.analyze(path, config) as analysis:
        analysis.save(out)


class Camera:
    """A window that is led through a review, and photographed at each step."""

    def __init__(self, out: Path) -> None:
        import napari

        from napari_plugin.start import dock

        self.out = out
        self.viewer = napari.Viewer(title="biopsy-ai")
        self.panel: Any = dock(self.viewer)
        self.viewer.window.resize(*SIZE)
        wait(800)

    def shoot(self, name: str, tab: str) -> None:
        """Photograph the window with a tab in front."""
        from PIL import Image

        titles = [self.panel.tabs.tabText(k) for k in range(self.panel.tabs.count())]
        self.panel.tabs.setCurrentIndex(titles.index(tab))
        wait(900)
        picture = self.viewer.screenshot(canvas_only=False, flash=False)[..., :3]
        Image.fromarray(picture).save(self.out / f"window_{name}.jpg", quality=88)

    def walk(self, results: Path) -> None:
        """Go from the slide to the saved review."""
        from biopsy_ai import sample_slides
        from napari_plugin.section import open_results

        slide = next(path for path in sample_slides() if path.stem == SAMPLE)
        self.viewer.open(str(slide), plugin="biopsy-ai")
        self.shoot("analyze", "Analyze")
        self.viewer.layers.clear()
        section = open_results(self.viewer, results)
        wait(500)
        scores = self.panel.scores
        scores.lists.setCurrentIndex(1)
        scores.findings.setCurrentItem(scores.findings.topLevelItem(0))
        self.shoot("scores", "Scores")
        section.color_by("min_feret_um")
        table = section.review.table
        small = table["min_feret_um"] < 30
        section.select(table.loc[small & (table["type"] == "II"), "label"], go_there=False)
        self.viewer.reset_view()
        self.shoot("fibers", "Fibers")
        section.color_by("type")
        review = self.panel.review
        review.next()
        self.shoot("review", "Review")
        self.split(section, table)
        self.shoot("split", "Review")
        review._stop_drawing()
        self.shoot("save", "Save")
        self.shoot("train", "Train")
        section.close()
        self.viewer.close()

    def split(self, section: Any, table: Any) -> None:
        """Begin to draw a line across the largest fiber."""
        row = table.loc[table.loc[table["excluded"] == "", "area_um2"].idxmax()]
        section.select([int(row["label"])], go_there=True)
        self.panel.review.split()
        center = np.array([row["centroid_y_um"], row["centroid_x_um"]])
        reach = np.array([0.55 * row["max_feret_um"], 0.1 * row["max_feret_um"]])
        layer = self.viewer.layers["drawing"]
        line = center + np.linspace(-1, 1, 12)[:, None] * reach
        width = 3 / self.viewer.scene.camera.zoom
        layer.add([line], shape_type="path", edge_width=width, edge_color="#ffff00")


def wait(ms: int) -> None:
    """Let the window draw."""
    from qtpy.QtTest import QTest

    QTest.qWait(ms)


if __name__ == "__main__":
    main()
