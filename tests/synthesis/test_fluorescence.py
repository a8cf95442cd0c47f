"""Channels of immunofluorescence show what they name."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from biopsy_ai.cli import app
from biopsy_ai.errors import ConfigError
from biopsy_ai.slides import open_slide
from biopsy_ai.synthesis import (
    CHANNELS,
    ImagingParams,
    SectionParams,
    SyntheticSection,
    TissueParams,
    synthesize_section,
)
from biopsy_ai.synthesis.files import write_section

PARAMS = SectionParams(
    TissueParams(diameter_um=(30.0, 30.0), hybrid_share=0.2),
    ImagingParams(fiber_variation=0.1),
    "if",
    (300.0, 320.0),
    channels=CHANNELS,
)


@cache
def make(*channels: str) -> SyntheticSection:
    return synthesize_section(replace(PARAMS, channels=channels or CHANNELS), 4)


def medians(section: SyntheticSection, channel: int) -> pd.Series:
    """Median of a channel by fiber type, over black."""
    plane = section.image[..., channel].astype(float) - section.image[..., channel].min()
    level = [np.median(plane[section.labels == label]) for label in section.fibers.label]
    return pd.Series(level).groupby(section.fibers.type.to_numpy()).median()


def test_fibers_are_bright_in_the_channels_of_their_types():
    section = make()
    assert section.image.shape == (*section.labels.shape, len(CHANNELS))
    assert section.image.dtype == np.uint16
    for name in ("I", "IIA", "IIX"):
        level = medians(section, CHANNELS.index(name))
        assert set(level.index) == {"I", "IIA", "IIX", "I/IIA", "IIA/IIX"}
        own = level[name]
        for other, value in level.items():
            if other == name:
                continue
            if name in str(other).split("/"):
                assert 0.3 * own < value < 0.8 * own
            else:
                assert value < 0.25 * own


def test_myosin_is_dark_between_the_fibers_and_nuclei_are_where_they_are():
    section = make()
    between = section.labels == 0
    for name in ("I", "IIA", "IIX"):
        plane = section.image[..., CHANNELS.index(name)]
        assert np.median(plane[between]) < 0.5 * np.median(plane[~between])
    plane = section.image[..., CHANNELS.index("nuclei")]
    nucleus = section.nuclei_labels > 0
    assert np.median(plane[nucleus]) > 4 * np.median(plane[~nucleus])


def test_the_border_is_the_same_with_and_without_other_channels():
    alone = make("border")
    assert alone.image.ndim == 2
    assert (alone.image == make().image[..., 0]).all()
    assert (alone.labels == make().labels).all()


def test_channels_come_in_the_order_that_is_asked_for():
    both, every = make("IIX", "I"), make()
    assert both.image.shape[-1] == 2
    for place, name in enumerate(("IIX", "I")):
        assert (both.image[..., place] == every.image[..., CHANNELS.index(name)]).all()
    assert make("IIA").image.ndim == 2


def test_written_channels_are_read_by_name_and_number(tmp_path: Path):
    section = make()
    path = write_section(section, tmp_path, "section")
    with open_slide(path, channels={"border": 0, "IIX": 3}) as slide:
        assert slide.channel_names == CHANNELS
        assert slide.mpp == pytest.approx((0.5, 0.5))
        assert (slide.read_region(0, 0, 0, *section.labels.shape) == section.image).all()


def test_command_writes_the_named_channels(tmp_path: Path):
    asked = ["synthesize", "--out", str(tmp_path), "--stain", "if", "--size", "120", "--quiet"]
    result = CliRunner().invoke(app, [*asked, "--channels", "border, I,nuclei"])
    assert result.exit_code == 0, result.output
    (path,) = tmp_path.glob("*.tif")
    with open_slide(path) as slide:
        assert slide.channel_names == ("border", "I", "nuclei")
    result = CliRunner().invoke(app, [*asked, "--channels", "border,IIB"])
    assert result.exit_code != 0
    assert "IIB" in result.output


@pytest.mark.parametrize(
    ("stain", "channels", "said"),
    [
        ("if", ("border", "IIB"), "IIB"),
        ("if", (), "at least one"),
        ("if", ("I", "I"), "each once"),
        ("he", ("border", "I"), "no channels"),
    ],
)
def test_wrong_channels_are_refused(stain, channels, said):
    with pytest.raises(ConfigError, match=said):
        SectionParams(stain=stain, channels=channels)


def test_hybrids_lie_between_their_types_in_bright_field():
    tissue = TissueParams(diameter_um=(30.0, 30.0), hybrid_share=0.3)
    imaging = ImagingParams(fiber_variation=0.02)
    section = synthesize_section(SectionParams(tissue, imaging, "atpase:4.6", (300.0, 320.0)), 4)
    gray = section.image.mean(axis=-1)
    level = pd.Series([np.median(gray[section.labels == i]) for i in section.fibers.label])
    level = level.groupby(section.fibers.type.to_numpy()).median()
    assert level["I"] + 10 < level["I/IIA"] < level["IIA"] - 10
