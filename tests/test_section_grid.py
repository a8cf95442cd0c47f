from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from drawn_fibers import draw_labels, segmentation_of

from biopsy_ai.labels import find_boxes
from biopsy_ai.section_grid import lay_on_grid
from biopsy_ai.segmentation import TissueMap
from biopsy_ai.slides import Slide, open_slide


@pytest.fixture
def slide(tmp_path: Path) -> Slide:
    """200 x 240 px of 0.25 µm: 100 x 120 px of the network."""
    image = np.random.default_rng(0).integers(0, 255, (200, 240, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    return open_slide(tmp_path / "a.tif", mpp=0.25)


def test_fibers_of_the_network_stay_where_they_are(slide: Slide) -> None:
    found = segmentation_of(draw_labels((100, 120)))
    tissue = TissueMap(np.arange(50 * 60, dtype=np.uint8).reshape(50, 60), (1.0, 1.0))
    grid = lay_on_grid(replace(found, tissue=tissue), slide, bright_field=True)
    assert grid.fibers is found.labels
    assert grid.boxes is found.boxes
    assert grid.shape == (100, 120)
    assert grid.nuclei is None
    assert grid.tissue is not None
    assert (grid.tissue[10:12, 6:8] == tissue.classes[5, 3]).all()
    assert grid.image is not None
    assert grid.image.shape == (100, 120, 3)
    np.testing.assert_array_equal(grid.image[5:9, 7:9], slide.read(5, 7, 4, 2, 0.5))
    assert lay_on_grid(found, slide).image is None


def test_outlines_of_the_user_are_seen_on_the_grid_of_the_network(slide: Slide) -> None:
    labels = np.kron(draw_labels((100, 120)), np.ones((2, 2), np.int32))
    labels[0, 0] = labels.max() + 1  # a speck that the coarser grid does not see
    given = segmentation_of(labels, (0.25, 0.25))
    grid = lay_on_grid(given, slide)
    assert grid.mpp == (0.5, 0.5)
    assert grid.shape == (100, 120)
    ids, boxes = find_boxes(np.asarray(grid.fibers[:, :]))
    assert grid.ids.tolist() == ids.tolist() == given.ids[:-1].tolist()
    assert grid.boxes.tolist() == boxes.tolist()


def test_without_a_slide_outlines_keep_their_grid() -> None:
    given = segmentation_of(draw_labels(), (2.0, 0.5))
    grid = lay_on_grid(given)
    assert grid.mpp == (2.0, 0.5)
    assert grid.fibers is given.labels
    assert grid.nuclei is grid.tissue is grid.image is None
