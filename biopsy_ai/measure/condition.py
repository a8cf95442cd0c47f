"""What is wrong with a fiber: flags with a probability and the measured reason."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.measure.condition_signs import OF_STAIN, compare_stain, measure_signs
from biopsy_ai.measure.exclusion import is_excluded
from biopsy_ai.measure.fibers import CUT_BY_BORDER
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.signs import Floats, Sign, above, any_of, below, weakest
from biopsy_ai.measure.small_fibers import summarize_obliquity
from biopsy_ai.region import CUT_BY_REGION

CONDITIONS = ("necrotic", "regenerating", "hypercontracted", "split", "vacuolated")
"""What may be wrong with the fiber itself."""
DOUBTS = ("oblique", "artefact", "edge")
"""Why it may not be trusted."""
FLAGS = CONDITIONS + DOUBTS
BY_STAIN = ("necrotic", "regenerating", "hypercontracted", "vacuolated")
"""What the stain of the fiber tells, which is not that of the fiber alone in a fold."""

IN_ARTEFACT = "in an artefact"
"""Reason of exclusion of a fiber in a fold, under ink or dust, or full of ice-crystal holes."""

OXIDATIVE = ("nadh", "sdh", "cox", "nadh_sdh")
"""Stains of mitochondria, whose coarse texture and pale cores cannot be told from holes."""

CERTAIN = 0.5
"""From this probability on a flag holds. [default]"""

_CLEFT = "a cleft of {:.2f} diameters"


def flag_conditions(
    fibers: pd.DataFrame,
    interior: pd.DataFrame | None = None,
    counts: pd.DataFrame | None = None,
    fascicle: np.ndarray | None = None,
    limits: Limits = DEFAULTS,
    stain: str = "auto",
) -> pd.DataFrame:
    """Flag fibers that are sick or not to be trusted.

    Parameters
    ----------
    fibers : DataFrame
        From `biopsy_ai.measure.measure_fibers`.
    interior : DataFrame, optional
        From `biopsy_ai.measure.interior.measure_interior`, rows in the same order.
    counts : DataFrame, optional
        From `biopsy_ai.measure.nuclei.count_nuclei`, rows in the same order.
    fascicle : (n,) array of int, optional
        Fascicle of each fiber; the section is taken as a whole without it.
    limits : Limits, optional
    stain : str
        Stain of the section, as in `biopsy_ai.config.STAINS` or as recognised. In those of
        `OXIDATIVE` vacuoles are not judged, and holes of ice crystals only where they are many.

    Returns
    -------
    DataFrame
        One row per fiber: ``label``, a column of probabilities for each of `FLAGS` (NaN where it
        cannot be judged), ``condition`` (those of `CONDITIONS` from 0.5, most probable first,
        parted by ";", else "normal", and empty where none can be judged), and
        ``condition_reason``, what was measured for each flag from 0.5.

    Raises
    ------
    ValueError
        If the tables do not hold the same fibers in the same order.

    Notes
    -----
    The rules are those of criteria §6, and engineering proposals throughout. Each sign is a
    measurement with a limit; its probability is 0.5 at the limit and grows as a logistic function
    beyond it, and a condition is as probable as its weakest sign. These probabilities are not
    calibrated on biopsies. Stain is compared with the fibers of the same section that are neither
    excluded nor in an artefact, in robust standard deviations; of fibers in an artefact it tells
    nothing (a fold is twice as dark), and what rests on it is NaN.

    - necrotic: eosin 2 SD low or density unevenly spread (4 SD), and 2 nuclei inside, and not as
      regenerating
    - regenerating: hematoxylin 2.5 SD high as a share of both dyes and 1.5 SD by itself, in an
      evenly stained fiber of no more than twice the median size with a nucleus inside; without
      one it may be an angular fiber of early denervation
    - hypercontracted: eosin 2.5 SD high in a round fiber
    - split: a cleft from the border over a quarter of the diameter
    - vacuolated: clear holes over 3 % of the inside, and not necrotic
    - oblique: its fascicle is drawn out in one direction (`summarize_obliquity`), or the section
      where the fascicle has too few fibers; each fiber is cut as its neighbors are, whatever its
      own shape
    - artefact: a twentieth of the fiber in an artefact, or an artefact along 10 % of its outline,
      which hides the rest of it; dust over 3 %; or clear holes that are those of ice crystals and
      no vacuoles: where more than a fifth of the fibers have any (but in stains of
      mitochondria), or more than a tenth have many small ones
    - edge: cut by the border of the image or region, or glass along 10 % of the outline
    """
    return flags_and_signs(fibers, interior, counts, fascicle, limits, stain)[0]


def flags_and_signs(
    fibers: pd.DataFrame,
    interior: pd.DataFrame | None = None,
    counts: pd.DataFrame | None = None,
    fascicle: np.ndarray | None = None,
    limits: Limits = DEFAULTS,
    stain: str = "auto",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Flag fibers as `flag_conditions` does, and give what the flags rest on.

    Returns
    -------
    flags : DataFrame
    signs : DataFrame
        One row per fiber: ``label``, ``is_counted`` (nothing excludes it), ``in_artefact`` and
        the columns `biopsy_ai.measure.condition_signs.SIGNS`.
    """
    for other in (interior, counts):
        if other is not None and not np.array_equal(other["label"], fibers["label"]):
            raise ValueError("the tables must hold the same fibers in the same order")
    kept = ~is_excluded(fibers)
    textured = stain in OXIDATIVE
    seen = measure_signs(fibers, interior, counts, kept, holes=True)
    artefact = _artefact(interior, _holes(seen, limits, textured=textured)[1], limits)
    signs = measure_signs(fibers, interior, counts, kept, holes=False) if textured else seen
    in_artefact = weakest(artefact, len(fibers)) >= CERTAIN
    signs = compare_stain(signs, fibers, interior, in_artefact, limits)
    rules = {
        **condition_rules(signs, limits),
        "artefact": artefact,
        "oblique": _oblique(fibers, fascicle, limits),
        "edge": _edge(fibers, interior, limits),
    }
    table = pd.DataFrame({"label": fibers["label"].to_numpy()})
    for flag in FLAGS:
        table[flag] = _probability(flag, rules[flag], in_artefact)
    table["condition"] = _conditions(table)
    table["condition_reason"] = _reasons(table, rules)
    return table, signs


def condition_rules(signs: pd.DataFrame, limits: Limits = DEFAULTS) -> dict[str, tuple[Sign, ...]]:
    """Apply the rule of each of `CONDITIONS` to the fibers of one section.

    Parameters
    ----------
    signs : DataFrame
        From `flags_and_signs`.
    limits : Limits, optional
    """
    holes, ice = _holes(signs, limits)
    by_stain = _stain_rules(signs, limits)
    return {
        **by_stain,
        "split": (_share(signs, "cleft_share", "cleft_share_above", limits, _CLEFT, 1.0),),
        "vacuolated": _vacuolated(holes, ice, weakest(by_stain["necrotic"], len(signs))),
    }


def condition_probabilities(signs: pd.DataFrame, limits: Limits = DEFAULTS) -> pd.DataFrame:
    """Probability of each of `CONDITIONS` from signs that were measured before.

    Parameters are those of `condition_rules`; NaN where a condition cannot be judged.
    """
    rules = condition_rules(signs, limits)
    in_artefact = signs["in_artefact"].to_numpy(bool)
    return pd.DataFrame({name: _probability(name, rules[name], in_artefact) for name in CONDITIONS})


def _probability(flag: str, rule: tuple[Sign, ...], in_artefact: NDArray[np.bool_]) -> Floats:
    found = weakest(rule, len(in_artefact))
    return np.where(in_artefact, np.nan, found) if flag in BY_STAIN else found


def exclusion_reasons(flags: pd.DataFrame) -> NDArray[np.object_]:
    """Reason to leave each fiber out of the statistics, an empty string for none.

    Parameters
    ----------
    flags : DataFrame
        From `flag_conditions`.

    Notes
    -----
    Sick fibers stay in: they are part of what a section shows. So do oblique ones, whose min
    Feret diameter is still good, and those at the edge, which are most fibers of a small or loose
    biopsy; their flags tell who wants to leave them out.
    """
    artefact = flags["artefact"].to_numpy(float) >= CERTAIN
    return np.where(artefact, IN_ARTEFACT, "").astype(object)


def _stain_rules(signs: pd.DataFrame, limits: Limits) -> dict[str, tuple[Sign, ...]]:
    width = limits["flag_width_z"]
    basophilia, hematoxylin, eosin, uneven, relative, inside, circularity = (
        signs[name].to_numpy(float) for name in (*OF_STAIN, "n_internal_nuclei", "circularity")
    )

    def nuclei(limit: str) -> Sign:
        # at least so many: the limit lies half a nucleus lower
        least, spread = limits[limit] - 0.5, limits["flag_width_count"]
        return above(inside, least, spread, "{:.0f} nuclei inside")

    blue = above(
        basophilia,
        limits["basophilic_z"],
        width,
        "hematoxylin over eosin {:+.1f} SD from the median",
    )
    # a pale fiber has little eosin, but no more hematoxylin than others
    more = above(
        hematoxylin, limits["basophilic_alone_z"], width, "hematoxylin {:+.1f} SD from the median"
    )
    even = below(uneven, limits["regenerating_uneven_below_z"], width, "unevenness {:+.1f} SD")
    not_blue = 1.0 - weakest((blue, more, even), len(signs))
    return {
        "necrotic": (
            any_of(
                below(eosin, -limits["pale_z"], width, "eosin {:+.1f} SD from the median"),
                above(uneven, limits["uneven_z"], width, "unevenness {:+.1f} SD"),
            ),
            nuclei("necrotic_min_nuclei"),
            Sign(not_blue, basophilia, blue.words),
        ),
        "regenerating": (
            blue,
            more,
            even,
            below(
                relative,
                limits["regenerating_size_below"],
                limits["flag_width_ratio"],
                "{:.2f} of the median size",
            ),
            nuclei("regenerating_min_nuclei"),
        ),
        "hypercontracted": (
            above(eosin, limits["opaque_z"], width, "eosin {:+.1f} SD from the median"),
            above(
                circularity,
                limits["round_circularity_from"],
                limits["flag_width_ratio"],
                "circularity {:.2f}",
            ),
        ),
    }


def _share(
    table: pd.DataFrame, name: str, limit: str, limits: Limits, words: str, factor: float = 100.0
) -> Sign:
    """A sign that holds where a share of the fiber is above a limit."""
    measured = table[name].to_numpy(float)
    sign = above(measured, limits[limit], limits["flag_width_share"] * limits[limit], words)
    return Sign(sign.probability, factor * measured, words)


def _holes(signs: pd.DataFrame, limits: Limits, *, textured: bool = False) -> tuple[Sign, Sign]:
    """Signs of clear holes, and of such that ice crystals left behind.

    In a textured stain a single clear place tells nothing, be it a core or a pale zone.
    """
    words = "clear holes in {:.0f} % of it"
    holes = _share(signs, "clear_share", "clear_share_above", limits, words)
    dense = signs["holes_per_1000_um2"].to_numpy(float) > limits["ice_holes_above"]
    # the texture of a necrotic fiber has clear spots, too
    full = signs["n_internal_nuclei"].to_numpy(float) >= limits["necrotic_min_nuclei"]
    among = signs["is_counted"].to_numpy(bool) & np.isfinite(holes.probability)
    found = holes.probability >= CERTAIN
    frozen = np.zeros(len(signs), dtype=bool)
    if among.any():
        if np.mean((found & dense & ~full)[among]) > limits["ice_fiber_share_dense"]:
            frozen |= dense & ~full
        if not textured and np.mean(found[among]) > limits["ice_fiber_share"]:
            frozen[:] = True
    ice = np.where(frozen, holes.probability, np.where(np.isnan(holes.probability), np.nan, 0.0))
    return holes, Sign(ice, holes.measured, "ice-crystal holes in {:.0f} % of it")


def _vacuolated(holes: Sign, ice: Sign, necrotic: Floats) -> tuple[Sign, ...]:
    left = np.where(ice.probability >= CERTAIN, 0.0, holes.probability)
    left = np.minimum(left, 1.0 - np.nan_to_num(necrotic))
    return (Sign(left, holes.measured, holes.words),)


def _artefact(interior: pd.DataFrame | None, ice: Sign, limits: Limits) -> tuple[Sign, ...]:
    if interior is None:
        return ()
    signs = [
        _share(interior, name, limit, limits, words)
        for name, limit, words in (
            ("artefact_share", "artefact_share_above", "{:.0f} % of it in an artefact"),
            ("artefact_beside", "artefact_beside_above", "an artefact along {:.0f} % of it"),
            ("dust_share", "dust_share_above", "dust on {:.0f} % of it"),
        )
    ]
    return (any_of(*signs, ice),)


def _oblique(fibers: pd.DataFrame, fascicle: np.ndarray | None, limits: Limits) -> tuple[Sign, ...]:
    n = len(fibers)
    group = np.zeros(n, np.int64) if fascicle is None else np.asarray(fascicle)
    aspect_of, alignment_of = np.full(n, np.nan), np.full(n, np.nan)
    kept = ~is_excluded(fibers)
    for number in [None, *np.unique(group)]:  # the section first, then what has fibers enough
        members = np.ones(n, dtype=bool) if number is None else group == number
        # a few fibers are drawn out in one direction by chance
        if np.count_nonzero(members & kept) < limits["size_normal_min_fibers"]:
            continue
        found = summarize_obliquity(fibers[members & kept], limits)
        if found is not None:
            aspect_of[members] = found["median_feret_aspect_ratio"]
            alignment_of[members] = found["alignment"]
    width = limits["flag_width_ratio"]
    return (
        above(
            aspect_of,
            limits["oblique_aspect_above"],
            width,
            "max Feret {:.2f} times min Feret in its fascicle",
        ),
        above(alignment_of, limits["oblique_alignment_above"], width, "alignment {:.2f}"),
    )


def _edge(fibers: pd.DataFrame, interior: pd.DataFrame | None, limits: Limits) -> tuple[Sign, ...]:
    cut = fibers["touches_border"].to_numpy(bool)
    facing = fibers["touches_tissue_edge"].astype("boolean").fillna(False).to_numpy(bool)
    probability = (cut | facing).astype(float)
    share = np.full(len(fibers), np.nan)
    if interior is not None:
        share = interior["glass_share"].to_numpy(float)
        limit = limits["glass_share_above"]
        glass = above(share, limit, limits["flag_width_share"] * limit, "").probability
        probability = np.fmax(probability, glass)
    by_region = cut & (fibers["excluded"] == CUT_BY_REGION).to_numpy(bool)
    words = np.select(
        [by_region, cut, facing],
        [CUT_BY_REGION, CUT_BY_BORDER, "at the edge of the tissue"],
        "glass along {:.0f} % of it",
    )
    return (Sign(probability, 100.0 * share, words.tolist()),)


def _conditions(table: pd.DataFrame) -> list[str]:
    values = table[list(CONDITIONS)].to_numpy(float)
    names = []
    for row in values:
        order = [k for k in np.argsort(-np.nan_to_num(row), kind="stable") if row[k] >= CERTAIN]
        empty = "" if np.isnan(row).all() else "normal"
        names.append(";".join(CONDITIONS[k] for k in order) or empty)
    return names


def _reasons(table: pd.DataFrame, rules: dict[str, tuple[Sign, ...]]) -> list[str]:
    """What was measured for each flag that holds; signs without a number are left out."""
    reasons: list[list[str]] = [[] for _ in range(len(table))]
    for flag in FLAGS:
        for row in np.flatnonzero(table[flag].to_numpy(float) >= CERTAIN).tolist():
            told = [words for sign in rules[flag] if (words := sign.tell(row))]
            reasons[row].append(f"{flag}: {', '.join(told)}" if told else flag)
    return ["; ".join(told) for told in reasons]
