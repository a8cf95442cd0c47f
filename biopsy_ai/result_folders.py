"""Which folder each slide of a run gets, settled before anything is analyzed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from biopsy_ai.checksum import file_sha256
from biopsy_ai.cohort_table import REGISTRATION_FILE
from biopsy_ai.errors import BiopsyError
from biopsy_ai.formats.tables import printable
from biopsy_ai.opening import outlines_name
from biopsy_ai.review.results import summary_in


def choose_folders(sources: Iterable[Path], out: Path, *, outlines: bool) -> list[Path]:
    """Choose a folder for each slide: ``name``, ``name_2``, ... where several have one name.

    Depends on the order of the slides and on the results that are there, but not on what becomes
    of each slide, so that it is the same whoever analyzes them, and in which order.

    Parameters
    ----------
    sources
        Paths of the slides.
    out
        Folder of the run.
    outlines
        Whether they are files with outlines instead of slides.
    """
    from biopsy_ai.slides.formats import slide_name

    given_out: set[str] = set()
    chosen = []
    for source in sources:
        name = outlines_name(source) if outlines else slide_name(source)
        number = 1
        while True:
            folder = out / (name if number == 1 else f"{name}_{number}")
            # Windows and macOS take X and x for the same folder.
            key = folder.name.casefold()
            if key not in given_out and _belongs(folder, source, outlines=outlines):
                given_out.add(key)
                chosen.append(folder)
                break
            number += 1
    return chosen


def _belongs(folder: Path, source: Path, *, outlines: bool) -> bool:
    """Whether results come from this slide: it may have been changed, or moved, but not both."""
    summary = summary_in(folder)
    if not summary:
        # a block of serial sections may have the name of a slide
        return not (folder / REGISTRATION_FILE).exists()
    made_by = provenance_of(summary)
    file = made_by.get("image_file") or made_by.get("outlines_file")
    if file == printable(str(source.resolve())):
        return True
    key = "outlines_sha256" if outlines else "image_sha256"
    return made_by.get(key) is not None and made_by.get(key) == _hash(source, outlines=outlines)


def provenance_of(summary: dict[str, Any]) -> dict[str, Any]:
    """The part of a summary that says what it was made from; empty where it is damaged."""
    provenance = summary.get("provenance")
    return provenance if isinstance(provenance, dict) else {}


def _hash(source: Path, *, outlines: bool) -> str | None:
    """Hash as the analysis does; None where the file cannot be read."""
    from biopsy_ai.slides.formats import slide_sha256

    try:
        return file_sha256(source) if outlines else slide_sha256(source)
    except (OSError, BiopsyError):
        return None
