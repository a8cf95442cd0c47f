"""Fiber types of one section and the patterns that types and small fibers lie in.

Each function takes what is known and leaves out what is not; `biopsy_ai.pipeline` knows the order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from biopsy_ai.labels import coarse_shape
from biopsy_ai.measure.fiber_stain import (
    density_of_interior,
    measure_fiber_stain,
    type_channels,
)
from biopsy_ai.measure.reference import Limits
from biopsy_ai.patterns import Fascicles
from biopsy_ai.patterns.bimodality import summarize_modes
from biopsy_ai.patterns.contact_summary import summarize_contacts
from biopsy_ai.patterns.contacts import Contacts, find_contacts
from biopsy_ai.patterns.fiber_types import FiberTypes, type_fibers
from biopsy_ai.patterns.grouped_atrophy import GroupedAtrophy, find_grouped_atrophy
from biopsy_ai.patterns.perifascicular import find_perifascicular_atrophy
from biopsy_ai.patterns.type_grouping import TypeGrouping, find_type_grouping
from biopsy_ai.patterns.type_summary import summarize_types
from biopsy_ai.progress import Progress
from biopsy_ai.section_grid import STEP, SectionGrid
from biopsy_ai.segmentation import Segmentation
from biopsy_ai.side_by_side import Step, run_side_by_side
from biopsy_ai.slides.pixels import SlidePixels

if TYPE_CHECKING:
    from biopsy_ai.config import AnalysisConfig
    from biopsy_ai.slides import Slide


@dataclass(frozen=True, eq=False)
class SectionPatterns:
    """What the fibers of a section form.

    Attributes
    ----------
    contacts
        Which fibers lie side by side.
    grouping
        Of the types.
    atrophy
        Of small fibers.
    summary
        Ready for JSON.
    """

    contacts: Contacts
    grouping: TypeGrouping
    atrophy: GroupedAtrophy
    summary: dict[str, Any]


def channels_of(
    slide: Slide | None, grid: SectionGrid, stain: str, progress: Progress | None
) -> pd.DataFrame | None:
    """Measure the channels that show fiber types; None where a section has none.

    Parameters
    ----------
    slide
        The slide, whose channels are named ``I``, ``IIA`` and ``IIX``.
    grid
        With the fibers.
    stain
        As given or recognised; only fluorescence has such channels.
    progress
        As everywhere.
    """
    channels = {} if slide is None or stain != "if" else type_channels(slide.channels)
    if slide is None or not channels:
        return None
    return measure_fiber_stain(
        grid.fibers,
        grid.mpp,
        SlidePixels(slide, grid.mpp[0], coarse_shape(grid.shape, STEP), STEP),
        channels=channels,
        ids=grid.ids,
        boxes=grid.boxes,
        image_step=STEP,
        progress=progress,
    )


def types_of(
    interior: pd.DataFrame | None,
    channels: pd.DataFrame | None,
    table: pd.DataFrame,
    stain: str,
    config: AnalysisConfig,
    given: pd.DataFrame | None,
    limits: Limits,
) -> FiberTypes:
    """Type the fibers by their stain, or take the types that the user gives.

    Parameters
    ----------
    interior
        From `biopsy_ai.surroundings.interior_of`: has the density of a bright-field section. None
        without a slide.
    channels
        From `channels_of`.
    table
        The fiber table.
    stain
        As given or recognised.
    config
        For thresholds, the border that the model has learned, and the seed.
    given
        Table of types, from `biopsy_ai.formats.type_table.read_type_table`.
    limits
        As everywhere.
    """
    stained = channels
    if stained is None and interior is not None:
        stained = density_of_interior(interior)
    return type_fibers(
        stained,
        table,
        stain,
        thresholds=config.typing.thresholds or None,
        given=given,
        border=config.rules.types.get(stain),
        seed=config.patterns.seed,
        limits=limits,
    )


def type_statistics(
    typing: FiberTypes,
    table: pd.DataFrame,
    fascicles: Fascicles | None,
    config: AnalysisConfig,
    limits: Limits,
) -> dict[str, Any]:
    """Say how the fibers were typed, or why not, and what there is to say of each type."""
    return summarize_types(
        table,
        typing=typing.summary,
        borders=None if fascicles is None else fascicles.table,
        sex=config.sex,
        age=config.age,
        muscle=config.muscle,
        seed=config.patterns.seed,
        limits=limits,
    )


def patterns_of(
    segmentation: Segmentation,
    table: pd.DataFrame,
    typing: FiberTypes,
    config: AnalysisConfig,
    limits: Limits,
    progress: Progress | None,
) -> SectionPatterns:
    """Find which fibers touch, and test how types and small fibers lie among them.

    Parameters
    ----------
    segmentation
        The outlines.
    table
        The fiber table with types, fascicles and exclusions.
    typing
        How the fibers were typed.
    config
        For sex, age, muscle, and the number of permutations and their seed.
    limits, progress
        As everywhere.
    """
    contacts = find_contacts(
        segmentation.labels, segmentation.mpp, table, limits=limits, progress=progress
    )
    return patterns_among(contacts, table, typing.summary, config, limits, progress)


def patterns_among(
    contacts: Contacts,
    table: pd.DataFrame,
    typing: Mapping[str, Any],
    config: AnalysisConfig,
    limits: Limits,
    progress: Progress | None,
) -> SectionPatterns:
    """Test how types and small fibers lie among fibers whose contacts are known.

    Parameters
    ----------
    contacts
        Of the fibers of the table.
    typing
        How they were typed, `biopsy_ai.patterns.fiber_types.FiberTypes.summary`.
    table, config, limits, progress
        As for `patterns_of`.
    """
    person: dict[str, Any] = {"sex": config.sex, "muscle": config.muscle, "age": config.age}
    chance: dict[str, Any] = {
        "n_permutations": config.patterns.n_permutations,
        "seed": config.patterns.seed,
        "limits": limits,
    }
    steps: list[Step] = [
        lambda told: find_type_grouping(
            contacts, table, age=config.age, muscle=config.muscle, progress=told, **chance
        ),
        lambda told: find_grouped_atrophy(contacts, table, progress=told, **person, **chance),
        lambda _: find_perifascicular_atrophy(table, contacts, **person, **chance),
        lambda _: summarize_modes(table, seed=config.patterns.seed, limits=limits),
    ]
    grouping, atrophy, perifascicular, modes = run_side_by_side(steps, "patterns", progress)
    summary = {
        "contacts": summarize_contacts(contacts, limits),
        "type_grouping": {**grouping.summary, **_why_not_typed(typing)},
        "grouped_atrophy": atrophy.summary,
        "perifascicular_atrophy": perifascicular,
        "size_modes": modes,
    }
    return SectionPatterns(contacts, grouping, atrophy, summary)


def _why_not_typed(typing: Mapping[str, Any]) -> dict[str, Any]:
    """The reason why nothing is known of grouping, where it is that the fibers were not typed."""
    why_not = typing.get("why_not")
    return {"why_not": why_not} if why_not else {}


def with_columns(table: pd.DataFrame, *parts: pd.DataFrame) -> pd.DataFrame:
    """Add what was found of the fibers to their table; what excludes a fiber stays the last column.

    Parameters
    ----------
    table
        One row per fiber, with ``label`` and ``excluded``.
    parts
        Tables with a ``label``; what they do not know is missing.
    """
    found = [table.drop(columns="excluded")]
    for part in parts:
        aligned = part.set_index("label").reindex(table["label"])
        found.append(aligned.set_index(table.index))
    return pd.concat(found, axis=1).assign(excluded=table["excluded"])
