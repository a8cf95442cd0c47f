"""Sections to review."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from drawn_reviews import MPP, draw_bricks
from drawn_sections import draw_section

from biopsy_ai.config import AnalysisConfig
from biopsy_ai.formats.label_image import write_label_image
from biopsy_ai.pipeline import analyze
from biopsy_ai.review import Review


@pytest.fixture(scope="session")
def analyzed(tmp_path_factory) -> Path:
    """Results of a wall of bricks, outlines alone."""
    folder = tmp_path_factory.mktemp("bricks")
    write_label_image(folder / "labels.tif", draw_bricks(), (MPP, MPP))
    config = AnalysisConfig(patterns={"n_permutations": 99})
    with analyze(None, config, fibers=folder / "labels.tif") as analysis:
        return analysis.save(folder / "results")


@pytest.fixture
def results(analyzed, tmp_path) -> Path:
    """A copy of these results, to review."""
    return Path(shutil.copytree(analyzed, tmp_path / "results"))


@pytest.fixture
def review(results):
    """A review of them by Ada."""
    with Review.open(results, user="Ada") as review:
        yield review


@pytest.fixture
def with_slide(tmp_path, fake_network) -> Path:
    """Results of a drawn section, with its slide."""
    section = draw_section(tmp_path / "slides")
    config = AnalysisConfig(stain="he", patterns={"n_permutations": 99})
    with analyze(section.image, config) as analysis:
        assert len(analysis.fibers) == section.n_fibers
        return analysis.save(tmp_path / "results" / "section")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20)
