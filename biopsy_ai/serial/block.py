"""One row per fiber of a block, with what each of its sections says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.errors import RegistrationError
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.progress import Progress
from biopsy_ai.serial.fiber_map import FiberMap, Points
from biopsy_ai.serial.registration import Registration, register_sections
from biopsy_ai.serial.type_combination import UNDETERMINED, combine_types

STAGE = "register"
"""Stage under which `join_block` tells how many sections are joined."""


@dataclass(frozen=True, eq=False)
class BlockSection:
    """A section of a block, analyzed.

    Attributes
    ----------
    name
        What messages and files call it.
    stain
        Name of its stain; empty where it is not known.
    table
        Its fiber table.
    fibers
        Its fibers on the grid of registration.
    """

    name: str
    stain: str
    table: pd.DataFrame
    fibers: FiberMap


@dataclass(frozen=True)
class Pair:
    """What became of laying one section on another.

    Attributes
    ----------
    fixed, moving
        Numbers of the two sections in the block, from 0.
    registration
        How they lie; None where they do not fit.
    why_not
        Why they do not fit; empty where they do.
    """

    fixed: int
    moving: int
    registration: Registration | None
    why_not: str = ""


@dataclass(frozen=True, eq=False)
class JoinedBlock:
    """The sections of a block, joined as far as they fit.

    Attributes
    ----------
    sections
        All sections, the first of which gives the coordinates.
    prefixes
        What stands before the columns of each in the table.
    pairs
        Every pair that was tried.
    joined
        Numbers of the sections in the table, from 0, in the order in which they were joined.
    table
        One row per fiber; see `join_block`.
    """

    sections: Sequence[BlockSection]
    prefixes: Sequence[str]
    pairs: Sequence[Pair]
    joined: Sequence[int]
    table: pd.DataFrame

    @property
    def failures(self) -> list[Pair]:
        """Pairs by which a section is missing from the table, the first that was tried of each."""
        missing = set(range(len(self.sections))) - set(self.joined)
        first: dict[int, Pair] = {}
        for pair in self.pairs:
            if pair.moving in missing:
                first.setdefault(pair.moving, pair)
        return list(first.values())

    def describe(self) -> dict[str, Any]:
        """Sections, pairs and counts, ready for JSON."""
        table = self.table
        in_all = (table["n_sections"] == len(self.sections)) if len(table) else np.zeros(0, bool)
        agree = table["types_agree"].dropna()
        return {
            "sections": [
                {
                    "name": section.name,
                    "stain": section.stain or None,
                    "columns": f"{prefix}_",
                    "n_fibers": len(section.table),
                    "joined": number in self.joined,
                }
                for number, (section, prefix) in enumerate(
                    zip(self.sections, self.prefixes, strict=True)
                )
            ],
            "pairs": [
                {
                    "fixed": self.sections[pair.fixed].name,
                    "moving": self.sections[pair.moving].name,
                    "fits": pair.registration is not None,
                    "why_not": pair.why_not or None,
                    **({} if pair.registration is None else pair.registration.describe()),
                }
                for pair in self.pairs
            ],
            "n_fibers": len(table),
            "n_fibers_in_all_sections": int(np.count_nonzero(in_all)),
            "types": {
                "counts": {
                    str(kind): int(n)
                    for kind, n in table["type"].value_counts().items()
                    if kind not in ("", UNDETERMINED)
                },
                "n_undetermined": int((table["type"] == UNDETERMINED).sum()),
                "n_agree": int(agree.sum()),
                "n_contradict": int((~agree).sum()),
            },
        }


def join_block(
    sections: Sequence[BlockSection],
    *,
    seed: int = 0,
    limits: Limits = DEFAULTS,
    progress: Progress | None = None,
) -> JoinedBlock:
    """Lay the sections of a block on each other and join their fiber tables.

    Each section is laid on the first one; where they do not fit, on another that is joined
    already. A section that fits on none is left out of the table.

    Parameters
    ----------
    sections
        Two or more, the first of which gives the coordinates.
    seed
        Of the registration.
    limits
        ``serial_*`` and ``type_posterior_from``.
    progress
        Called as ``progress("register", done, total)``.

    Returns
    -------
    JoinedBlock
        Its table has one row per fiber: ``fiber``, numbered from 1; ``centroid_y_um`` and
        ``centroid_x_um`` in the first section, or where it would lie there; ``n_sections`` that
        show it; type and probabilities of all stains together (`combine_types`); then for each
        section its columns, each after the name of the stain, with ``<stain>_overlap``, the
        intersection over union with the section that it was laid on.
    """
    prefixes = _prefixes(sections)
    pairs: list[Pair] = []
    links: dict[int, Pair] = {}
    joined, waiting = [0], list(range(1, len(sections)))
    # a section that fits on none yet may fit on one that is joined later
    tried: set[tuple[int, int]] = set()
    progressed = True
    while waiting and progressed:
        progressed = False
        for moving in list(waiting):
            for fixed in joined:
                if (fixed, moving) in tried:
                    continue
                if progress is not None:
                    progress(STAGE, len(joined) - 1, len(sections) - 1)
                tried.add((fixed, moving))
                pairs.append(_try(sections, fixed, moving, seed, limits))
                if pairs[-1].registration is not None:
                    links[moving] = pairs[-1]
                    joined.append(moving)
                    waiting.remove(moving)
                    progressed = True
                    break
    if progress is not None:
        progress(STAGE, len(sections) - 1, len(sections) - 1)
    table = _join_tables(sections, prefixes, joined, links, limits)
    return JoinedBlock(sections, prefixes, pairs, joined, table)


def _try(
    sections: Sequence[BlockSection], fixed: int, moving: int, seed: int, limits: Limits
) -> Pair:
    try:
        found = register_sections(
            sections[fixed].fibers, sections[moving].fibers, seed=seed, limits=limits
        )
    except RegistrationError as error:
        return Pair(fixed, moving, None, str(error))
    return Pair(fixed, moving, found)


def _prefixes(sections: Sequence[BlockSection]) -> list[str]:
    """Name of the stain of each section, numbered where two have the same."""
    found: list[str] = []
    for section in sections:
        stain = (section.stain or "section").replace(":", "_").replace(" ", "_")
        number, prefix = 1, stain
        while prefix in found:
            number += 1
            prefix = f"{stain}_{number}"
        found.append(prefix)
    return found


def _join_tables(
    sections: Sequence[BlockSection],
    prefixes: Sequence[str],
    joined: Sequence[int],
    links: dict[int, Pair],
    limits: Limits,
) -> pd.DataFrame:
    # label of each row of the block in each joined section, 0 where it does not show it
    first = sections[joined[0]].table
    rows: dict[int, NDArray[np.int64]] = {joined[0]: first["label"].to_numpy(np.int64)}
    places = first[["centroid_y_um", "centroid_x_um"]].to_numpy(float)
    overlaps: dict[int, NDArray[np.float64]] = {}
    for number in joined[1:]:
        registration = links[number].registration
        assert registration is not None
        onto = rows[links[number].fixed]
        labels, ious = registration.matches.labels, registration.matches.ious
        order = np.argsort(onto, kind="stable")
        row = order[np.searchsorted(onto, labels[:, 0], sorter=order)]
        own = np.zeros(len(onto), np.int64)
        own[row] = labels[:, 1]
        overlap = np.full(len(onto), np.nan)
        overlap[row] = ious
        table = sections[number].table
        new = table.loc[~table["label"].isin(own)]
        n_new = len(new)
        rows = {k: np.concatenate([v, np.zeros(n_new, np.int64)]) for k, v in rows.items()}
        overlaps = {k: np.concatenate([v, np.full(n_new, np.nan)]) for k, v in overlaps.items()}
        rows[number] = np.concatenate([own, new["label"].to_numpy(np.int64)])
        overlaps[number] = np.concatenate([overlap, np.full(n_new, np.nan)])
        found = new[["centroid_y_um", "centroid_x_um"]].to_numpy(float)
        places = np.concatenate([places, _to_first(found, number, links)])

    n = len(places)
    frame = pd.DataFrame({"fiber": np.arange(1, n + 1)})
    frame["centroid_y_um"], frame["centroid_x_um"] = places.T
    frame["n_sections"] = sum((rows[k] > 0).astype(int) for k in joined)
    aligned = {
        k: sections[k].table.set_index("label", drop=False).reindex(rows[k]).reset_index(drop=True)
        for k in joined
    }
    parts = [frame, combine_types(list(aligned.values()), limits=limits)]
    for number in joined:
        own_part = aligned[number]
        own_part["label"] = own_part["label"].astype("Int64")
        if number in overlaps:
            own_part.insert(1, "overlap", overlaps[number])
        parts.append(own_part.add_prefix(f"{prefixes[number]}_"))
    return pd.concat(parts, axis=1)


def _to_first(points: Points, number: int, links: dict[int, Pair]) -> Points:
    """Where points of a section lie in the first one."""
    while number in links and len(points):
        registration = links[number].registration
        assert registration is not None
        points = registration.to_moving.inverse()(points)
        number = links[number].fixed
    return points
