"""Whether a retrained model earns its place: old and new on the same slides, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.config import OUTLINE_MPP, SegmentationConfig
from biopsy_ai.evaluation.matching import count_overlaps, match_overlaps
from biopsy_ai.training.item_checks import LEAST_FIBERS

if TYPE_CHECKING:
    from biopsy_ai.segmentation.maps import MapNetwork
    from biopsy_ai.segmentation.thresholds import InstanceThresholds

IOU = 0.5
"""A fiber is found if its outline overlaps the labelled one by so much."""

REPLICATES = 2000
"""Of the bootstrap by patient or slide."""

TOLERANCE = 0.005
"""A new model whose F1 is at most so much lower is not worse. [default]"""

DOUBT = 0.02
"""How much lower the F1 of a new model may be at the lower end of the interval. [default]"""

FORGETTING = 0.01
"""How much lower the F1 on the synthetic samples may be. [default]"""

LEAST_F1 = 0.5
"""Below this F1 a model draws something else than what was labelled. [default]"""


@dataclass(frozen=True)
class Counts:
    """Fibers found, drawn in excess, and missed."""

    found: int
    extra: int
    missed: int

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; NaN without any fiber."""
        return _f1(np.array([[self.found, self.extra, self.missed]]))


@dataclass(frozen=True)
class Interval:
    """A value with its 95 % interval, which is NaN where one slide alone stands behind it."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if np.isnan(self.low):
            return f"{self.value:.3f}"
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class SlideScore:
    """One slide as two models outline it.

    Attributes
    ----------
    group
        Patient or slide that it belongs to.
    old, new
        What either model makes of it.
    """

    name: str
    group: str
    old: Counts
    new: Counts


@dataclass(frozen=True)
class Comparison:
    """Two models on the same slides; F1 of all fibers together.

    Attributes
    ----------
    gain
        F1 of the new one less that of the old one.
    n_groups, n_fibers
        Patients or slides, and labelled fibers.
    """

    slides: tuple[SlideScore, ...]
    old: Interval
    new: Interval
    gain: Interval
    n_groups: int
    n_fibers: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for ``model.yaml``; None where an interval is missing."""
        return {
            "n_slides": len(self.slides),
            "n_groups": self.n_groups,
            "n_fibers": self.n_fibers,
            **{name: _plain(getattr(self, name)) for name in ("old", "new", "gain")},
            "slides": [
                {
                    "slide": s.name,
                    "old_f1": _rounded(s.old.f1),
                    "new_f1": _rounded(s.new.f1),
                    "n_fibers": s.old.found + s.old.missed,
                }
                for s in self.slides
            ],
        }


@dataclass(frozen=True)
class Verdict:
    """Whether a model is ready for use, and why or why not, in whole sentences."""

    ready: bool
    reasons: tuple[str, ...]

    @property
    def text(self) -> str:
        """All reasons."""
        return " ".join(self.reasons)


def outlined(
    network: MapNetwork, picture: NDArray[Any], thresholds: InstanceThresholds
) -> NDArray[np.int32]:
    """Outline the fibers of a normalized picture, tile by tile as on a slide."""
    from biopsy_ai.segmentation.instances import label_maps
    from biopsy_ai.segmentation.scratch import MapStore
    from biopsy_ai.segmentation.tiles import STRIDE_PX, cut_tiles

    shape = picture.shape[:2]
    even = tuple(n + n % 2 for n in shape)
    cells = np.ones([-(-n // STRIDE_PX) for n in shape], bool)
    settings = SegmentationConfig()
    tiles = cut_tiles(
        (shape[0], shape[1]),
        cells,
        STRIDE_PX * OUTLINE_MPP,
        OUTLINE_MPP,
        settings.tile_px,
        settings.overlap_px,
    )
    store = None
    try:
        for tile in tiles:
            (y, x), (height, width) = tile.input_origin, tile.input_shape
            window = np.array(picture[y : y + height, x : x + width], np.float32)
            beyond = [(0, height - window.shape[0]), (0, width - window.shape[1]), (0, 0)]
            if any(after for _, after in beyond):
                window = np.pad(window, beyond, mode="symmetric")
            maps = network.predict([window], tile.context)[0]
            if store is None:
                store = MapStore((even[0], even[1]), list(maps.planes))
            store.write(tile.y0, tile.x0, maps)
        assert store is not None
        whole = store.read(0, 0, even[0], even[1])
        return label_maps(whole, (shape[0], shape[1]), thresholds, mpp=OUTLINE_MPP).labels
    finally:
        if store is not None:
            store.close()


def count_fibers(
    drawn: NDArray[np.integer], labels: NDArray[np.integer], known: NDArray[np.bool_] | None = None
) -> Counts:
    """Compare drawn with labelled fibers; what lies where labels are unknown counts neither way."""
    ignore = None if known is None or known.all() else ~np.asarray(known, bool)
    match = match_overlaps(count_overlaps(drawn, labels, ignore=ignore), IOU)
    return Counts(len(match.pairs), len(match.unmatched_predicted), len(match.unmatched_truth))


def compare(slides: Sequence[SlideScore], *, seed: int = 0) -> Comparison:
    """Compare two models, with intervals from a bootstrap over patients or slides."""
    groups = list(dict.fromkeys(s.group for s in slides))
    old, new = (
        np.array(
            [
                np.sum(
                    [
                        [c.found, c.extra, c.missed]
                        for s in slides
                        for c in (getattr(s, which),)
                        if s.group == group
                    ],
                    axis=0,
                )
                for group in groups
            ]
        )
        for which in ("old", "new")
    )
    draws = np.random.default_rng(seed).integers(len(groups), size=(REPLICATES, len(groups)))
    spread = np.array([(_f1(old[draw]), _f1(new[draw])) for draw in draws])
    values = _f1(old), _f1(new)
    return Comparison(
        tuple(slides),
        interval_of(values[0], spread[:, 0], len(groups)),
        interval_of(values[1], spread[:, 1], len(groups)),
        interval_of(values[1] - values[0], spread[:, 1] - spread[:, 0], len(groups)),
        len(groups),
        int(old[:, 0].sum() + old[:, 2].sum()),
    )


def judge(held_out: Comparison | None, samples: Comparison | None) -> Verdict:
    """Decide whether a new model may take the place of the old one.

    Parameters
    ----------
    held_out
        On slides that training did not see; None if there were none.
    samples
        On the synthetic samples, which show what was forgotten; None in an installation without.
    """
    against, words = [], []
    if held_out is None:
        against.append(
            "There is no slide to judge the model on: all labelled pictures come from one slide or "
            "patient, or the old model has learned from the others. Label another one."
        )
    else:
        words.append(_in_words("held-out", held_out))
        if held_out.n_fibers < LEAST_FIBERS:
            against.append(
                f"{held_out.n_fibers} fibers are too few to judge the model on. Label more slides."
            )
        elif held_out.new.value < LEAST_F1:
            against.append(
                "The new model does not draw what was labelled on the held-out slides. Look at the "
                "labels."
            )
        elif held_out.gain.value < -TOLERANCE:
            against.append("The new model is worse there.")
        elif held_out.gain.low < -DOUBT:
            against.append(
                "By the interval, the new model may be worse. Label more slides to be sure."
            )
    if samples is None:
        against.append("This installation has no synthetic samples to see what was forgotten.")
    else:
        words.append(_in_words("synthetic sample", samples))
        if samples.gain.value < -FORGETTING:
            against.append("The new model has forgotten some of what the old one could do.")
    if not against and held_out is not None and held_out.n_groups == 1:
        words.append(
            "It was judged on one slide or patient alone: look at more before you rely on it."
        )
    return Verdict(not against, tuple([*against, *words]))


def _in_words(which: str, found: Comparison) -> str:
    n, gain = len(found.slides), found.gain
    slides = f"{n} {which} slide{'s' if n > 1 else ''} ({found.n_fibers} fibers)"
    text = f"On {slides} F1 went from {found.old.value:.3f} to {found.new.value:.3f}"
    if np.isnan(gain.low):
        return f"{text}."
    return f"{text} ({gain.value:+.3f}, 95 % interval {gain.low:+.3f} to {gain.high:+.3f})."


def _f1(counts: NDArray[np.integer]) -> float:
    found, extra, missed = counts.sum(axis=0)
    total = 2 * found + extra + missed
    return float(2 * found / total) if total else float("nan")


def interval_of(value: float, spread: NDArray[np.float64], n_groups: int) -> Interval:
    """Give a value the interval that holds 95 % of what a bootstrap gave."""
    if n_groups < 2 or np.isnan(spread).all():
        return Interval(value, float("nan"), float("nan"))
    low, high = np.nanquantile(spread, (0.025, 0.975))
    return Interval(value, float(low), float(high))


def _rounded(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 4)


def _plain(interval: Interval) -> dict[str, float | None]:
    return {
        "f1": _rounded(interval.value),
        "low": _rounded(interval.low),
        "high": _rounded(interval.high),
    }
