"""Settings of the plugin, which napari keeps under Preferences > biopsy-ai."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PLUGIN = "biopsy-ai"

DEFAULT_MODEL = "muscle"


@dataclass(frozen=True)
class Settings:
    """What a user has set, all of it optional.

    Attributes
    ----------
    results_folder
        Where results go; empty for the folder of the slide.
    user_name
        Who reviews; empty for the name on this computer.
    model
        Name of a bundled model, or folder of one of the user's own.
    """

    results_folder: str = ""
    user_name: str = ""
    model: str = DEFAULT_MODEL


def read_settings() -> Settings:
    """Read the settings; the defaults where napari keeps none, as without an installed plugin."""
    kept = _kept()
    if kept is None:
        return Settings()
    return Settings(
        results_folder=str(kept.results_folder).strip(),
        user_name=str(kept.user_name).strip(),
        model=str(kept.model).strip() or DEFAULT_MODEL,
    )


def keep_model(model: str) -> bool:
    """Take a model, by name or folder, for all analyses to come; False where it cannot be kept."""
    kept = _kept()
    if kept is None:
        return False
    kept.model = model
    return True


def _kept() -> Any:
    try:
        from napari.settings import get_plugin_settings

        return get_plugin_settings(PLUGIN).defaults
    except (ImportError, KeyError, AttributeError):
        return None
