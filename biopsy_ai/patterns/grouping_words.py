"""What the grouping of types means, and what must be held against it, in words."""

from __future__ import annotations

from typing import Any

from biopsy_ai.measure.reference import DEFAULTS, Limits

DISTAL_MUSCLES = ("digitorum", "pollicis", "digiti", "hallucis", "interosse", "lumbrical")
"""Parts of the names of muscles of hand and foot: isolated grouping there, and regularly in the
extensor digitorum brevis, was found in healthy people (Johnson et al. 1973, criteria §4.2)."""


def describe_verdict(summary: dict[str, Any], limits: Limits = DEFAULTS) -> tuple[str, str]:
    """Say what the primary test found.

    Parameters
    ----------
    summary : dict
        Of `biopsy_ai.patterns.type_grouping.find_type_grouping`, without verdict and notes.
    limits : Limits, optional

    Returns
    -------
    verdict : {"grouped", "graded", "cannot tell", "random", "dispersed"}
        Graded: grouped over the section, but not beyond a smooth trend of types across it. Cannot
        tell: grouped only by contacts that pieces of one fiber have.
    text : str
    """
    level = limits["grouping_level"]
    effect = (
        f"assortativity {summary['assortativity']:.3f} ({summary['assortativity_low']:.3f} to "
        f"{summary['assortativity_high']:.3f})"
    )
    if summary["p"] <= level:
        within = (summary["trend"] or {}).get("within_trend")
        if within is not None and within["p"] > level:
            return "graded", (
                f"Types change across the section, {effect}, but where their share is the same "
                f"they lie as chance has it (p = {within['p']:.2f}): a gradient is not grouping."
            )
        without_wide = summary["over_segmentation"]["p"]
        if without_wide is None or without_wide > level:
            return "cannot tell", (
                f"Fibers of one type lie together, {effect}, p = {_p(summary['p'])}, but not "
                "without contacts so long that the two may be pieces of one fiber."
            )
        return "grouped", (
            f"Fibers of one type lie together more than chance gives: {effect}, "
            f"p = {_p(summary['p'])}."
        )
    dispersed = summary["different_type_joins"]["p_dispersed"]
    if dispersed <= level:
        return "dispersed", (
            f"Types are more evenly mixed than chance gives: {effect}, p = {_p(dispersed)} for "
            "dispersion. This is a normal state of muscle, and no grouping."
        )
    return "random", (
        f"Types lie as chance has it: {effect}, p = {_p(summary['p'])}. Grouping weaker than the "
        "interval cannot be told from this."
    )


def notes_on(
    summary: dict[str, Any],
    *,
    age: float | None = None,
    muscle: str | None = None,
    limits: Limits = DEFAULTS,
) -> list[str]:
    """Say what the statistics of grouping must be read with.

    Parameters
    ----------
    summary : dict
        Of `biopsy_ai.patterns.type_grouping.find_type_grouping`, without notes.
    age : float, optional
        Years.
    muscle : str, optional
    limits : Limits, optional

    Returns
    -------
    list of str
    """
    return [
        note
        for note in (
            _on_number(summary),
            _on_percolation(summary, limits),
            _on_typing(summary),
            _on_pieces(summary, limits),
            _on_sensitivity(summary, limits),
            _on_fascicles(summary),
            _on_age(summary, age, limits),
            _on_muscle(summary, muscle),
        )
        if note
    ]


def _on_number(summary: dict[str, Any]) -> str:
    if summary["enough"]:
        return ""
    return (
        f"{summary['n_typed']} typed fibers are too few to rely on: "
        f"{summary['needed']['value']:.0f} are needed. Small samples, as from needles, are not "
        "suited for the analysis of grouping."
    )


def _on_percolation(summary: dict[str, Any], limits: Limits) -> str:
    share = summary["n_type_i"] / summary["n_typed"]
    name, share = ("I", share) if share >= 0.5 else ("II", 1 - share)
    if share < limits["percolation_share"]:
        return ""
    return (
        f"{share:.0%} of the fibers are of type {name}: from one half on they hang together in one "
        "group and enclose each other by chance. Only what exceeds the permutations counts."
    )


def _on_typing(summary: dict[str, Any]) -> str:
    detail = summary["assortativity_detail"]
    error = detail["typing_error"]
    if error is None or error < 0.02:
        return ""
    corrected = detail["without_typing_error"]
    if corrected is None:
        return (
            f"{error:.0%} of the fibers are expected to be typed wrongly: grouping cannot be seen."
        )
    return (
        f"{error:.1%} of the fibers are expected to be typed wrongly, which hides grouping; "
        f"without that the assortativity would be about {corrected:.3f}."
    )


def _on_pieces(summary: dict[str, Any], limits: Limits) -> str:
    guard = summary["over_segmentation"]
    value, level = guard["assortativity"], limits["grouping_level"]
    if summary["p"] > level:
        return ""
    if value is None:
        return (
            f"Without the {guard['n_dropped']} contacts that are longer than "
            f"{guard['limit']['value']:.0%} of a perimeter nothing is left to test: fibers "
            "outlined in pieces look like grouping."
        )
    if guard["p"] <= level and value >= summary["assortativity"] / 2:
        return ""
    return (
        f"Without the {guard['n_dropped']} contacts that are longer than "
        f"{guard['limit']['value']:.0%} of a perimeter the assortativity is {value:.3f} "
        f"(p = {_p(guard['p'])}): fibers outlined in pieces look like grouping. Angular fibers "
        "between two large ones have such contacts too."
    )


def _on_sensitivity(summary: dict[str, Any], limits: Limits) -> str:
    share = summary["sensitivity"]["share_below_level"]
    if share is None or summary["p"] > limits["grouping_level"] or share >= 0.8:
        return ""
    return (
        f"With errors of typing and outlining added, the test stays below "
        f"{limits['grouping_level']:g} in {share:.0%} of the repeats only."
    )


def _on_fascicles(summary: dict[str, Any]) -> str:
    trend = summary["trend"]
    if summary["different_type_joins"]["n_strata"] > 1:
        return ""
    note = "Fascicles are not known: differences between them can look like grouping"
    if trend is None:
        return f"{note}, and so can a gradient across the section."
    if trend["why_not"]:
        return f"{note}, and {trend['why_not']}."
    if trend["share"] is None or trend["share"] < 0.25:
        return f"{note}."
    return (
        f"{note}. A smooth trend of types across the section explains {trend['share']:.0%} of the "
        "assortativity; a gradient is not grouping."
    )


def _on_age(summary: dict[str, Any], age: float | None, limits: Limits) -> str:
    if summary["verdict"] != "grouped":
        return ""
    if age is None:
        return "The age is not given: some grouping is normal in old age."
    if age < limits["grouping_age_from"]:
        return ""
    return f"Some grouping is normal at the age of {age:g}: it increases from middle age on."


def _on_muscle(summary: dict[str, Any], muscle: str | None) -> str:
    if summary["verdict"] != "grouped" or muscle is None:
        return ""
    if not any(name in muscle.lower() for name in DISTAL_MUSCLES):
        return ""
    return f"Grouping is seen in healthy people in distal muscles such as the {muscle}."


def _p(value: float) -> str:
    return f"{value:.4f}" if value < 0.01 else f"{value:.2f}"
