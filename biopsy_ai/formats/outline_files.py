"""What all files with outlines have in common: the outlines read, and how they are numbered."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_BYTES = 2 << 30
"""Files of outlines larger than this, also once unpacked, are refused rather than read."""

_NAMES_WITH_NUMBER = (
    # "12", "fiber 12", "label_12", "ROI #12"
    re.compile(r"(?:(?:muscle )?fib(?:er|re)|label|cell|object|roi)?[ _#:-]*(\d+)", re.IGNORECASE),
    # "0001 - ID 0012", as Fiji's BIOP and LabelsToROIs plugins name the outlines of label images
    re.compile(r"\d+ - ID (\d+)"),
    # "12_Abnormal": a number and a class
    re.compile(r"(\d+)_[A-Za-z][A-Za-z _]*"),
)


@dataclass(frozen=True)
class Outline:
    """One fiber outline as read from a file.

    Attributes
    ----------
    label
        Number of the fiber, positive and unique within the file.
    rings
        (N, 2) arrays of (x, y) in pixels of the original image, origin at its corner. What an
        odd number of rings surrounds is inside, so holes and several parts are rings too.
    """

    label: int
    rings: tuple[NDArray[np.float64], ...]


@dataclass(frozen=True)
class ReadOutlines:
    """Outlines read from a file, and the number of its objects that are none.

    Attributes
    ----------
    outlines
        In the order of the file.
    n_skipped
        Points, lines, regions and empty shapes, which outline no fiber.
    """

    outlines: tuple[Outline, ...]
    n_skipped: int


def label_from_name(name: object) -> int | None:
    """Read the number of a fiber from its name, such as "12", "fiber 12" or "0001 - ID 0012"."""
    text = str(name).strip() if name is not None else ""
    for pattern in _NAMES_WITH_NUMBER:
        match = pattern.fullmatch(text)
        # more digits than that are no count of fibers
        if match and len(match[1]) <= 10:
            return int(match[1])
    return None


def number_outlines(proposed: Sequence[int | None]) -> list[int]:
    """Give every outline its own number.

    Parameters
    ----------
    proposed
        Number that each object carries in the file, None where it carries none.

    Returns
    -------
    list of int
        The first object with a number keeps it. The others are numbered on from the highest,
        in the order of the file; from 1 where no object carries a number.
    """
    limit = np.iinfo(np.int32).max - len(proposed)
    taken: set[int] = set()
    kept: list[int | None] = []
    for number in proposed:
        if number is not None and 0 < number <= limit and number not in taken:
            taken.add(number)
            kept.append(number)
        else:
            kept.append(None)
    following = max(taken, default=0)
    numbers = []
    for number in kept:
        if number is None:
            following += 1
        numbers.append(following if number is None else number)
    return numbers
