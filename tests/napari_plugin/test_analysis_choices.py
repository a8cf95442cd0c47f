"""What a user chose, checked, and as the command line takes it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.main import get_command

from biopsy_ai.cli import app
from biopsy_ai.config import STAINS
from biopsy_ai.errors import ConfigError
from napari_plugin.analysis_choices import (
    ROLE_WORDS,
    STAIN_WORDS,
    Choices,
    chosen_channels,
    parse_pixel_size,
    show_pixel_size,
)


def test_every_stain_has_words() -> None:
    assert list(STAIN_WORDS) == list(STAINS)
    assert len(set(STAIN_WORDS.values())) == len(STAINS)


def test_the_least_that_can_be_chosen(tmp_path: Path) -> None:
    choices = Choices(tmp_path / "a.tif", tmp_path / "results")
    assert choices.arguments() == [
        "analyze",
        str(tmp_path / "a.tif"),
        f"--out={tmp_path / 'results'}",
        "--stain=auto",
    ]


def test_all_that_can_be_chosen(tmp_path: Path) -> None:
    choices = Choices(
        tmp_path / "a.tif",
        tmp_path / "results",
        stain="if",
        mpp=(0.5, 0.25),
        channels={"border": 1, "nuclei": 0},
        region=tmp_path / "region.geojson",
        muscle="--odd name",
        side="left",
        age=54.0,
        sex="female",
        model="muscle",
        views="4",
    )
    arguments = choices.arguments()
    assert arguments[2:] == [
        f"--out={tmp_path / 'results'}",
        "--stain=if",
        "--mpp=0.5,0.25",
        "--channels=border=1,nuclei=0",
        f"--region={tmp_path / 'region.geojson'}",
        "--muscle=--odd name",
        "--side=left",
        "--age=54",
        "--sex=female",
        "--model=muscle",
        "--views=4",
    ]
    known = {
        option
        for parameter in get_command(app).commands["analyze"].params  # type: ignore[attr-defined]
        for option in parameter.opts
    }
    assert {re.sub("=.*", "", argument) for argument in arguments[2:]} <= known


def test_an_age_of_zero_is_stated(tmp_path: Path) -> None:
    assert "--age=0" in Choices(tmp_path, tmp_path, age=0.0).arguments()


@pytest.mark.parametrize(
    ("text", "mpp"), [("0.5", (0.5, 0.5)), (" 0.5, 0.25 ", (0.5, 0.25)), ("0.5;0.25", (0.5, 0.25))]
)
def test_pixel_sizes(text: str, mpp: tuple[float, float]) -> None:
    assert parse_pixel_size(text) == mpp
    assert parse_pixel_size(show_pixel_size(mpp)) == mpp


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("half", "no pixel size"),
        ("1,2,3", "no pixel size"),
        ("0,5", "not plausible"),
        ("500", "not plausible"),
        ("nan", "not plausible"),
        ("-1", "not plausible"),
    ],
)
def test_what_is_no_pixel_size(text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse_pixel_size(text)


def test_channels() -> None:
    assert chosen_channels(["nuclei", "", "border"], needed=True) == {"nuclei": 0, "border": 2}
    assert chosen_channels(["", ""], needed=False) == {}
    with pytest.raises(ConfigError, match="Say which channel shows the fiber border"):
        chosen_channels(["nuclei", ""], needed=True)
    with pytest.raises(ConfigError, match=f"Only one channel can show: {ROLE_WORDS['IIA']}"):
        chosen_channels(["IIA", "border", "IIA"], needed=True)
