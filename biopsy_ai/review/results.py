"""Which results of a section count, where a person has reviewed it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from biopsy_ai.errors import OutputError
from biopsy_ai.report.save import is_complete
from biopsy_ai.result_names import REVIEWED_FOLDER, SUMMARY_FILE
from biopsy_ai.review.log import has_review


def results_in_force(folder: str | Path) -> Path:
    """Give the folder whose results count: that of the review where they are all there.

    Parameters
    ----------
    folder
        Folder of a section, reviewed or not.
    """
    folder = Path(folder)
    reviewed = folder / REVIEWED_FOLDER
    if has_review(folder) and is_complete(reviewed, summary_in(reviewed)):
        return reviewed
    return folder


def summary_in(folder: str | Path) -> dict[str, Any]:
    """Content of the summary in a folder; empty where there is none that can be read."""
    try:
        content = json.loads((Path(folder) / SUMMARY_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def refuse_review(folder: str | Path) -> None:
    """Refuse to write over results that a person has corrected.

    Raises
    ------
    OutputError
        If there is a review in the folder.
    """
    if has_review(folder):
        raise OutputError(
            f"{folder}: a person reviewed the results there, which are not replaced. Choose "
            "another folder with --out."
        )
