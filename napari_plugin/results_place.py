"""Where the results of a slide go, so that no review is written over."""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from napari_plugin.slides_shown import is_sample


@dataclass(frozen=True)
class Place:
    """A folder for results.

    Attributes
    ----------
    folder
        Of the run, in which each slide has a folder of its own.
    note
        Why it is not the one that was asked for; empty where it is.
    """

    folder: Path
    note: str = ""


def usual_folder(slide: Path, set_by_user: str = "") -> Path:
    """Folder for the results of a slide where none is named.

    Parameters
    ----------
    slide
        Its file.
    set_by_user
        Folder in the settings, empty for none.
    """
    if set_by_user:
        return Path(set_by_user).expanduser()
    beside = slide.parent
    if is_sample(slide) or not os.access(beside, os.W_OK):
        return Path.home() / "biopsy-ai" / "results"
    return beside / "results"


def free_folder(wanted: Path, name: str, in_use: Collection[Path] = ()) -> Place:
    """Give the folder that is wanted, or one beside it where a person's work stands in the way.

    Parameters
    ----------
    wanted
        Folder of the run.
    name
        Of the slide, without suffix.
    in_use
        Folders of sections that are open.
    """
    why = _in_the_way(wanted, name, in_use)
    if not why:
        return Place(wanted)
    number = 2
    while _in_the_way(beside := wanted.with_name(f"{wanted.name}-{number}"), name, in_use):
        number += 1
    return Place(beside, f"{why} It stays as it is: new results go to {beside}.")


def _in_the_way(folder: Path, name: str, in_use: Collection[Path]) -> str:
    from biopsy_ai.review import has_review

    opened = {path.resolve() for path in in_use}
    for section in _sections_named(folder, name):
        if has_review(section):
            return f"A review stands in {section}."
        if section.resolve() in opened:
            return f"The section in {section} is open."
    return ""


def _sections_named(folder: Path, name: str) -> list[Path]:
    """Folders that a slide of this name may get: its name, or that with a number."""
    pattern = re.compile(re.escape(name) + r"(_\d+)?", re.IGNORECASE)
    try:
        return sorted(each for each in folder.iterdir() if pattern.fullmatch(each.name))
    except OSError:
        return []
