"""Thresholds of the instance step, tuned for and stored with a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import ClassVar, Self

from biopsy_ai.errors import ModelError

ENZYME_STAINS = ("atpase", "nadh", "sdh", "nadh_sdh", "cox")
"""Stains by an enzyme of the fiber itself: grainy, from black to hardly visible, no nuclei. The
colors alone do not tell NADH-TR from SDH."""

THRESHOLD_SETS = ("thresholds", "enzyme_thresholds", "fluorescence_thresholds")
"""Names that the thresholds of a model have in ``model.yaml``; the first stands in for others."""


def threshold_set(stain: str, *, fluorescent: bool) -> str:
    """Choose which of `THRESHOLD_SETS` suits a section.

    Parameters
    ----------
    stain
        As in `AnalysisConfig.stain`, or as recognised; "auto" names none.
    fluorescent
        Whether the picture is a single channel of fluorescence.
    """
    if fluorescent:
        return "fluorescence_thresholds"
    return "enzyme_thresholds" if stain.partition(":")[0] in ENZYME_STAINS else "thresholds"


@dataclass(frozen=True)
class Thresholds:
    """Numbers by name that are tuned for, and stored with, a model."""

    KIND: ClassVar[str] = "threshold"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            upper = math.inf if field.name.endswith("_um2") else 1.0
            if not (isinstance(value, int | float) and 0 <= value <= upper):
                raise ModelError(
                    f"{self.KIND} {field.name}={value!r} must be a number"
                    + (" of 0 or more" if upper == math.inf else " between 0 and 1")
                )

    @classmethod
    def from_mapping(cls, values: Mapping[str, object]) -> Self:
        """Read thresholds from the mapping that stands in ``model.yaml``.

        Raises
        ------
        ModelError
            When a name is not known or a value is out of range.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ModelError(
                f"unknown {cls.KIND} {', '.join(unknown)}; known are {', '.join(sorted(known))}"
            )
        return cls(**values)

    def as_dict(self) -> dict[str, float]:
        """Return the thresholds as plain numbers, for YAML and provenance."""
        return {name: float(value) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class InstanceThresholds(Thresholds):
    """How the maps of the network are turned into fibers.

    All are defaults until `tune_thresholds` sets them for a model. Maps run from 0 to 1.

    Attributes
    ----------
    foreground
        A pixel above it is sarcoplasm.
    border
        A pixel above it may separate two fibers and is no part of a core.
    core_distance
        A pixel whose distance map is above it belongs to a core whatever the border map says;
        small fibers squeezed between large ones are all border.
    seed_height
        How far the distance map must rise above the saddle on both sides for two cores that hang
        together to count as two fibers.
    merge_border
        Pieces whose shared edge has a mean border probability below it are one fiber,
    merge_saddle
        if the distance map at the highest point of that edge also reaches this share of the lower
        of the two peaks;
    merge_waist
        this share is enough
    waist_area_um2
        where the pieces together are smaller than that, µm².
    min_peak
        Objects whose distance map stays below it are no fibers.
    min_foreground
        Objects with a lower mean foreground probability are no fibers.
    min_area_um2
        Smaller objects are no fibers, µm².
    max_nucleus
        Objects with a higher mean probability of nucleus are nuclei of other cells; without a map
        of nuclei nothing is left out.
    min_fiber_share
        Objects of which the tissue classes call a smaller share fiber are none; without classes
        nothing is left out.
    """

    foreground: float = 0.5
    border: float = 0.5
    core_distance: float = 0.6
    seed_height: float = 0.1
    merge_border: float = 0.3
    merge_saddle: float = 0.4
    merge_waist: float = 0.2
    waist_area_um2: float = 600.0
    min_peak: float = 0.4
    min_foreground: float = 0.7
    min_area_um2: float = 25.0
    max_nucleus: float = 0.6
    min_fiber_share: float = 0.0


@dataclass(frozen=True)
class NucleusThresholds(Thresholds):
    """How the maps of the network are turned into nuclei; maps run from 0 to 1.

    All are defaults until they are tuned for a model (``nucleus_thresholds`` in ``model.yaml``).

    Attributes
    ----------
    foreground
        A pixel above it is nucleus.
    seed_height
        How far the score (`nucleus_score`) must rise above the saddle on both sides for two parts
        that hang together to count as two nuclei.
    min_peak
        Objects whose score stays below it are no nuclei.
    min_foreground
        Objects with a lower mean foreground probability are no nuclei.
    min_area_um2
        Smaller objects are no nuclei, µm².
    """

    KIND: ClassVar[str] = "nucleus threshold"

    foreground: float = 0.5
    seed_height: float = 0.05
    min_peak: float = 0.2
    min_foreground: float = 0.6
    min_area_um2: float = 3.0
