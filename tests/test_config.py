from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from biopsy_ai.config import (
    STAINS,
    AnalysisConfig,
    MeasurementConfig,
    load_config,
    make_config,
    read_channels,
    save_config,
)
from biopsy_ai.errors import ConfigError


def test_defaults() -> None:
    config = AnalysisConfig()
    assert config.mpp is None
    assert config.stain == "auto"
    assert config.model == "muscle"
    assert config.device == "auto"
    assert config.sex is None


def test_is_frozen() -> None:
    with pytest.raises(ValidationError):
        AnalysisConfig().stain = "he"  # type: ignore[misc]


def test_measurement_config_is_hashable_whatever_its_limits() -> None:
    config = MeasurementConfig(limits={"small_z": -2.5, "min_fibers": 60})
    same = MeasurementConfig(limits={"min_fibers": 60, "small_z": -2.5})
    assert config == same
    assert hash(config) == hash(same) != hash(MeasurementConfig())


@pytest.mark.parametrize("stain", STAINS)
def test_every_stain_is_taken(stain: str) -> None:
    assert make_config(stain=stain).stain == stain


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"stain": "giemsa"}, "giemsa"),
        ({"device": "tpu"}, "device"),
        ({"sex": "other"}, "sex"),
        ({"channels": {"border": -1}}, "border=-1"),
        ({"colour": "red"}, "colour"),
        ({"segmentation": {"tile_px": 256}}, "segmentation.tile_px"),
        ({"segmentation": {"tile_px": 1000}}, "segmentation.tile_px.*multiple of 512"),
        ({"measurement": {"min_shape_diameter_px": "many"}}, "min_shape_diameter_px"),
        ({"measurement": {"limits": {"small_y": -2}}}, "limits.*unknown: small_y; known:.*small_z"),
        ({"measurement": {"limits": {"min_fibers": -1}}}, "limits.*min_fibers.*positive"),
        ({"measurement": {"limits": {"small_z": float("nan")}}}, "limits.small_z.*finite"),
    ],
)
def test_bad_values_are_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        make_config(**values)


@pytest.mark.parametrize(
    ("text", "stain"), [("HE", "he"), ("H&E", "he"), ("ATPase 9.4", "atpase:9.4"), ("IF", "if")]
)
def test_stains_may_be_written_as_people_do(text: str, stain: str) -> None:
    assert make_config(stain=text).stain == stain


def test_settings_that_do_not_exist_are_told_in_words(tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text("stian: he\n")
    with pytest.raises(ConfigError, match=r"lab\.yaml: stian: there is no such setting"):
        load_config(path)
    with pytest.raises(ConfigError, match="^stain: unknown stain 'blue'"):
        make_config(stain="blue")


def test_channels_are_read_in_any_case_and_slips_are_told() -> None:
    found = read_channels("Border=3, NUCLEI=0,iix=1,collagen VI=2")
    assert found == {"border": 3, "nuclei": 0, "IIX": 1, "collagen VI": 2}
    with pytest.raises(ConfigError, match="'nucleus' means nothing; did you mean nuclei"):
        read_channels("border=3,nucleus=0")
    with pytest.raises(ConfigError, match="border is named twice"):
        read_channels("border=3,Border=2")


def test_saved_config_is_read_back(tmp_path: Path) -> None:
    config = make_config(
        mpp=(0.5, 0.25),
        stain="atpase:4.6",
        channels={"border": 3},
        sex="female",
        measurement=MeasurementConfig(exclude_border_fibers=False, limits={"small_z": -2.5}),
    )
    save_config(config, tmp_path / "lab.yaml")
    assert load_config(tmp_path / "lab.yaml") == config


def test_the_sample_in_the_readme_is_complete_and_true(repository: Path, tmp_path: Path) -> None:
    text = (repository / "README.md").read_text(encoding="utf-8")
    (sample,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert yaml.safe_load(sample) == AnalysisConfig().model_dump(mode="json")
    path = tmp_path / "lab.yaml"
    path.write_text(sample, encoding="utf-8")
    assert load_config(path) == AnalysisConfig()


@pytest.mark.parametrize("text", ["- a list", "stain: [", "just text", "", "stain: blue"])
def test_bad_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        load_config(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml"):
        load_config(tmp_path / "none.yaml")
