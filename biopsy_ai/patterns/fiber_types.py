"""The type of each fiber of a section, with how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from biopsy_ai.config import TypeBorder
from biopsy_ai.errors import ConfigError, TypesReadError
from biopsy_ai.measure.fiber_stain import DENSITY, TYPE_CHANNELS
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.type_class import TYPE_II_KINDS
from biopsy_ai.patterns.channel_types import (
    check_channels,
    combine_channels,
    find_why_no_shares,
    take_off_shine_through,
)
from biopsy_ai.patterns.stain_levels import level_posteriors
from biopsy_ai.patterns.stain_polarity import (
    NEITHER,
    TYPES,
    UNDETERMINED,
    Polarity,
    check_border_layer,
    settle_polarity,
    stain_entry,
    why_no_types,
)
from biopsy_ai.patterns.stained_section import StainedSection
from biopsy_ai.patterns.type_border import move_border
from biopsy_ai.patterns.type_mixture import Floats
from biopsy_ai.patterns.type_naming import (
    count_types,
    probabilities_of_levels,
    probability_of_type_i,
)

FLUORESCENCE = "if"


@dataclass(frozen=True, eq=False)
class FiberTypes:
    """The types of the fibers of one section.

    Attributes
    ----------
    fibers
        One row per fiber of the table: ``label``; ``type``, one of `TYPES`, ``undetermined``, or
        empty where nothing was looked at; ``type_posterior`` of that type; ``type_i_posterior``,
        the probability of type 1 (a hybrid with type I counts half); and ``p_<type>``, the
        probability of each type that the stain tells (``p_undetermined``: none of them). NaN where
        nothing is known.
    summary
        JSON-ready: ``assessable`` and ``why_not``; ``stain``; ``source`` (``mixture``,
        ``thresholds`` or ``table``); ``model``, the levels of staining of each measured column;
        ``separation``, the least Ashman's D between them; ``polarity`` with its ``checks``;
        ``counts`` by type; ``by_exclusion``; ``notes`` and more.
    """

    fibers: pd.DataFrame
    summary: dict[str, Any]


def type_fibers(
    stained: pd.DataFrame | None,
    table: pd.DataFrame,
    stain: str,
    *,
    thresholds: Mapping[str, float] | None = None,
    given: pd.DataFrame | None = None,
    border: TypeBorder | None = None,
    seed: int = 0,
    limits: Limits = DEFAULTS,
) -> FiberTypes:
    """Tell the type of each fiber from how it is stained.

    Parameters
    ----------
    stained : DataFrame or None
        From `biopsy_ai.measure.fiber_stain`: ``label`` and ``od``, or a column per type channel
        (I, IIA, IIX in any letter case). Not needed with ``given``.
    table : DataFrame
        The fiber table: ``label``, ``centroid_y_um``, ``centroid_x_um``, ``min_feret_um``,
        ``excluded``, and ``layer`` where it is known.
    stain : str
        One of `biopsy_ai.config.STAINS`, or as recognised.
    thresholds : mapping of str to float, optional
        Value by column (``od``, ``I``, ``IIA``, ``IIX``) from which a fiber is dark or positive,
        in place of the model; posteriors are then 1.
    given : DataFrame, optional
        ``label`` and ``type`` from `biopsy_ai.formats.type_table.read_type_table`, in place of any
        stain; posteriors are then 1.
    border : TypeBorder, optional
        Where people have seen the border between types I and II in this stain; thresholds and
        given types are not argued with.
    seed : int
        Of the choice of fibers that are fitted where there are more than 2000.
    limits : Limits, optional

    Returns
    -------
    FiberTypes
        Rows in the order of ``table``.

    Raises
    ------
    ConfigError
        If a threshold names a column that was not measured.
    TypesReadError
        If ``given`` holds labels that no fiber has.

    Notes
    -----
    Criteria §3.1: a t-mixture fitted per section on a smooth field (`type_mixture`), no fixed
    threshold. A fiber has the type whose posterior is 0.8 or more [E]; type 2 without its subtype
    where only both together reach that; else it is undetermined. Excluded fibers are typed too,
    but only those without a reason, or cut by the image border, enter the fit. NADH-TR is dark in
    angular denervated fibers of either type: small fibers are not typed by it.
    """
    if given is not None:
        return _from_table(given, table, stain)
    if stained is None:
        return _untyped(table, stain, "the stain was not measured: there is no image")
    if why_not := why_no_types(stain):
        return _untyped(table, stain, why_not)
    values = stained.set_index("label").reindex(table["label"]).reset_index(drop=True)
    values = values.rename(columns={name: str(name).upper() for name in values if name != DENSITY})
    thresholds = {_column(name): float(limit) for name, limit in (thresholds or {}).items()}
    if unknown := sorted(set(thresholds) - set(values)):
        raise ConfigError(
            f"a threshold for {', '.join(unknown)}, which was not measured here; measured: "
            f"{', '.join(map(str, values))}"
        )
    section = StainedSection.of(values, table, stain, limits)
    rng = np.random.default_rng(seed)
    if stain == FLUORESCENCE:
        return _by_channels(section, thresholds, border, rng)
    return _by_density(section, thresholds.get(DENSITY), border, rng)


def _column(name: str) -> str:
    return DENSITY if name.strip().lower() == DENSITY else name.strip().upper()


def _by_density(
    section: StainedSection,
    threshold: float | None,
    border: TypeBorder | None,
    rng: np.random.Generator,
) -> FiberTypes:
    """Type the fibers of a bright-field section by how dark they are."""
    entry = stain_entry(section.stain)
    values = section.values.get(DENSITY, pd.Series(dtype=float)).to_numpy(float)
    if not np.isfinite(values).any():
        why_not = "the density of the fibers was not measured, which takes a color picture"
        return _untyped(section.table, section.stain, why_not)
    model: dict[str, Any] = {}
    separation: float | None = None
    if threshold is not None:
        polarity = Polarity(tuple(entry["two"]), UNDETERMINED, True, "parted by a threshold")
        dark = np.where(np.isfinite(values), (values >= threshold).astype(float), np.nan)
        probabilities = {polarity.pale_to_dark[0]: 1 - dark, polarity.pale_to_dark[1]: dark}
        model = {DENSITY: {"threshold": threshold}}
    else:
        found, _ = section.levels(DENSITY, 3, rng, logs=False)
        model = {DENSITY: found.as_dict()}
        if found.mixture is None:
            return _untyped(section.table, section.stain, found.why_not, values, model)
        polarity = settle_polarity(
            section.stain, found.mixture.levels, found.mixture.sds, section.limits
        )
        if polarity.why_not:
            return _untyped(section.table, section.stain, polarity.why_not, values, model)
        shares = level_posteriors(found.mixture, values, section.places, section.limits)
        probabilities = probabilities_of_levels(polarity, *shares)
        if border is not None:
            probabilities = move_border(probabilities, border)
        separation = min(found.separations)
    # what lies between type I and another is as likely either
    type_i = probability_of_type_i(probabilities, 0.5)
    frame = section.named(probabilities, type_i)
    layers = check_border_layer(section.table, frame["type_i_posterior"].to_numpy(), section.limits)
    checks = [{"name": "levels", "agrees": polarity.agrees, "text": polarity.text}]
    checks.append({"name": "border layer", **layers})
    return _finish(
        section,
        frame,
        model,
        source="mixture" if threshold is None else "thresholds",
        separation=separation,
        polarity={
            "pale_to_dark": list(polarity.pale_to_dark),
            "between": polarity.between,
            "staining": entry["levels"],
            "source": entry["source"],
            "mark": entry["mark"],
        },
        checks=checks,
        tells_hybrids=polarity.between != UNDETERMINED and threshold is None,
        moved=border if threshold is None else None,
    )


def _by_channels(
    section: StainedSection,
    thresholds: dict[str, float],
    border: TypeBorder | None,
    rng: np.random.Generator,
) -> FiberTypes:
    """Type the fibers of an immunofluorescence by the channels in which they are bright."""
    names = [name for name in TYPE_CHANNELS if name in section.values]
    if not names:
        why_not = (
            "no channel shows a fiber type: name them, such as --channels I=0,IIA=1,IIX=2 "
            "(numbers from 0)"
        )
        return _untyped(section.table, section.stain, why_not)
    model: dict[str, Any] = {}
    positive: dict[str, Floats] = {}
    brightness: dict[str, Floats] = {}
    separations, dull = [], []
    for name in names:
        values = section.values[name].to_numpy(float)
        if name in thresholds:
            above = (values >= thresholds[name]).astype(float)
            positive[name] = np.where(np.isfinite(values), above, np.nan)
            model[name] = {"threshold": thresholds[name]}
            continue
        found, logs = section.levels(name, 2, rng, logs=True)
        model[name] = {**found.as_dict(), "scale": "natural logarithm of the intensity"}
        if found.mixture is None:
            dull.append(name)
            continue
        levels, between = level_posteriors(found.mixture, logs, section.places, section.limits)
        positive[name] = levels[:, 1] + 0.5 * between[:, 0]
        brightness[name] = logs
        separations += found.separations
    if not positive:
        why_not = "; ".join(f"channel {name}: {model[name]['why_not']}" for name in dull)
        values = section.values[names[0]].to_numpy(float)
        return _untyped(section.table, section.stain, why_not, values, model)
    # thresholds of the user are not argued with
    modelled, notes = take_off_shine_through(
        {name: positive[name] for name in brightness}, brightness, section.limits
    )
    positive |= modelled
    absent = tuple(name for name in TYPE_CHANNELS if name not in names)
    # a channel in which no fiber stands out may hide the type that would be left over
    probabilities, by_exclusion = combine_channels(positive, absent=() if dull else absent)
    if thresholds:
        border = None
    elif border is not None:
        probabilities = move_border(probabilities, border)
    frame = section.named(probabilities, probability_of_type_i(probabilities, None))
    notes += [
        f"Channel {name} shows no two levels of brightness: no fiber counts as positive in it."
        for name in dull
    ]
    if by_exclusion:
        notes.append(
            f"There is no channel of type {by_exclusion}: fibers that are negative in "
            f"{', '.join(positive)} are {by_exclusion} by exclusion"
            + (", or IIB in rodents." if by_exclusion == "IIX" else ".")
        )
    source = "thresholds" if set(positive) <= set(thresholds) else "mixture"
    return _finish(
        section,
        frame,
        model,
        source=source,
        separation=min(separations) if separations else None,
        polarity={"positive": list(positive), "by_exclusion": by_exclusion or None},
        checks=check_channels(positive, section.limits),
        tells_hybrids=len(positive) > 1,
        moved=border,
        notes=notes,
        why_no_shares=find_why_no_shares(list(positive), by_exclusion),
    )


def _finish(
    section: StainedSection,
    frame: pd.DataFrame,
    model: dict[str, Any],
    *,
    source: str,
    separation: float | None,
    polarity: dict[str, Any],
    checks: list[dict[str, Any]],
    tells_hybrids: bool,
    moved: TypeBorder | None,
    notes: list[str] | None = None,
    why_no_shares: str | None = None,
) -> FiberTypes:
    entry = stain_entry(section.stain)
    notes = list(notes or [])
    if entry.get("approximate"):
        notes.append(
            f"{entry['title']} parts type I from type II only approximately: confirm the types "
            "with ATPase or immunofluorescence."
        )
    small = int(section.left_out.sum())
    if small:
        notes.append(
            f"{small} small fibers were not typed: denervated fibers are dark in {entry['title']}, "
            "whatever their type."
        )
    if moved is not None:
        notes.append(
            "The border between types I and II lies where people have corrected it in other "
            f"sections (slope {moved.slope:.3g}, offset {moved.offset:.3g} of the logit)."
        )
    against = [check for check in checks if check["agrees"] is False]
    notes += [f"Check of the types ({check['name']}): {check['text']}." for check in against]
    summary = {
        "assessable": True,
        "why_not": None,
        "stain": section.stain,
        "source": source,
        "approximate": bool(entry.get("approximate", False)),
        "model": model,
        "separation": separation,
        "polarity": {**polarity, "agrees": not against, "checks": checks},
        "by_exclusion": polarity.get("by_exclusion"),
        "why_no_shares": why_no_shares,
        "tells_hybrids": tells_hybrids,
        "posterior_from": section.limits.reference("type_posterior_from").as_dict(),
        "n_small_left_out": small,
        **count_types(frame),
        "notes": notes,
    }
    return FiberTypes(frame, summary)


def _untyped(
    table: pd.DataFrame,
    stain: str,
    why_not: str,
    values: Floats | None = None,
    model: dict[str, Any] | None = None,
) -> FiberTypes:
    """No types; fibers whose stain was looked at are undetermined."""
    frame = pd.DataFrame({"label": table["label"].to_numpy(), "type": ""})
    if values is not None:
        frame["type"] = np.where(np.isfinite(values), UNDETERMINED, "")
    frame["type_posterior"] = frame["type_i_posterior"] = np.nan
    summary: dict[str, Any] = {
        "assessable": False,
        "why_not": why_not,
        "stain": stain,
        "source": None,
        "model": model,
        **count_types(frame),
        "notes": [],
    }
    return FiberTypes(frame, summary)


def _from_table(given: pd.DataFrame, table: pd.DataFrame, stain: str) -> FiberTypes:
    """Take the types from a table; fibers that it does not name were not looked at."""
    unknown = sorted(set(given["label"]) - set(table["label"]))
    if unknown:
        raise TypesReadError(
            f"{given.attrs.get('file', 'types')}: the table of types names fibers that are not "
            "there: "
            f"{', '.join(map(str, unknown[:5]))}{' ...' if len(unknown) > 5 else ''}"
        )
    kinds = given.set_index("label")["type"].reindex(table["label"]).fillna("").to_numpy(str)
    told = np.isin(kinds, TYPES)
    type_i = np.select(
        [kinds == "I", np.isin(kinds, TYPE_II_KINDS), np.isin(kinds, NEITHER)],
        [1.0, 0.0, 0.5],
        np.nan,
    )
    frame = pd.DataFrame(
        {
            "label": table["label"].to_numpy(),
            "type": kinds.astype(object),
            "type_posterior": np.where(told, 1.0, np.nan),
            "type_i_posterior": type_i,
        }
    )
    counts = count_types(frame)
    summary: dict[str, Any] = {
        "assessable": bool(told.any()),
        "why_not": None if told.any() else "the table of types names no type",
        "stain": stain,
        "source": "table",
        "model": None,
        "tells_hybrids": bool(np.isin(kinds, NEITHER).any()),
        **counts,
        "expected_error": 0.0 if told.any() else None,
        "notes": [],
    }
    return FiberTypes(frame, summary)
