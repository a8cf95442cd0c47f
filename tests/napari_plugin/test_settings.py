"""What a user has set in napari's preferences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("napari", reason="napari is not installed: pip install biopsy-ai[gui]")

from napari_plugin.settings import Settings, keep_model, read_settings


@pytest.fixture
def kept(plugin_settings: Any, npe2pm: Any, repository: Path) -> Any:
    """The settings as napari keeps them, in a folder of the test."""
    from napari.settings import get_plugin_settings
    from npe2 import PluginManifest

    npe2pm.register(PluginManifest.from_file(repository / "napari_plugin" / "napari.yaml"))
    return get_plugin_settings("biopsy-ai")


def test_defaults(kept: Any) -> None:
    assert read_settings() == Settings(results_folder="", user_name="", model="muscle")


def test_what_is_set_is_read(kept: Any, tmp_path: Path) -> None:
    kept.defaults.results_folder = f" {tmp_path} "
    kept.defaults.user_name = "Dr. Müller"
    kept.defaults.model = ""
    assert read_settings() == Settings(str(tmp_path), "Dr. Müller", "muscle")


def test_a_new_model_is_kept(kept: Any, tmp_path: Path) -> None:
    assert keep_model(str(tmp_path / "mine"))
    assert read_settings().model == str(tmp_path / "mine")
    assert "mine" in Path(kept.config_path).read_text(encoding="utf-8")


def test_without_the_plugin_there_are_defaults(plugin_settings: Any, npe2pm: Any) -> None:
    assert read_settings() == Settings()
    assert not keep_model("mine")
