"""What was measured in a section, and what the pattern tests say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from biopsy_ai.report.document import Block, Bullets, Cell, Column, Facts, Part, Row, Table, Text
from biopsy_ai.report.wording import (
    MISSING,
    first_upper,
    interval,
    is_number,
    number,
    p_value,
    percent,
    sentence,
    setting,
    source_of,
    with_unit,
)

_QUANTITIES = (
    ("min_feret_um", "Min Feret diameter", "µm"),
    ("area_um2", "Cross-sectional area", "µm²"),
    ("circularity", "Circularity", ""),
)

_TISSUE = (
    ("endomysium_percent", "Endomysium", "% of tissue"),
    ("perimysium_percent", "Perimysium", "% of tissue"),
    ("connective_percent", "Endomysium and perimysium", "% of tissue"),
    ("fat_percent", "Fat", "% of tissue"),
    ("mean_endomysial_width_um", "Mean width of the endomysium", "µm"),
)

_PATTERNS = (
    ("type_grouping", "Grouping of fiber types"),
    ("grouped_atrophy", "Grouping of atrophic fibers"),
    ("perifascicular_atrophy", "Atrophy at the edge of fascicles"),
)


def measurements_part(summary: Mapping[str, Any]) -> Part:
    """A table of sizes, tissue, nuclei and types, with references where there are any."""
    rows = [*_fiber_rows(summary), *_tissue_rows(summary), *_nucleus_rows(summary)]
    rows += _type_rows(summary)
    table = Table(
        "What was measured",
        (
            Column("Quantity", 2.6),
            Column("Value", 1.5, numeric=True),
            Column("Scatter or 95 % interval", 2.2),
            Column("Counted", 1.4, numeric=True),
            Column("Reference and its source", 2.6),
        ),
        tuple(rows),
    )
    reasons = [
        f"{first_upper(what)}: {sentence(part['why_not'])}"
        for what, part in (
            ("nuclei", summary.get("nuclei")),
            ("tissue", summary.get("tissue")),
            ("fiber types", summary.get("types")),
        )
        if part and part.get("why_not") and not part.get("assessable")
    ]
    blocks: list[Block] = [table] if rows else [Text("Nothing was measured.")]
    if reasons:
        blocks += [Text("What could not be measured:"), Bullets(tuple(reasons))]
    return Part("Measurements", tuple(blocks))


def patterns_part(summary: Mapping[str, Any]) -> Part | None:
    """What the tests of the pattern say, in their own words; None where nothing was tested."""
    patterns = summary.get("patterns") or {}
    pairs, notes = [], []
    for name, title in _PATTERNS:
        found = patterns.get(name)
        if not found:
            continue
        said = sentence(found.get("text") or found.get("verdict"))
        if not found.get("assessable", True) or not said:
            said = f"Not assessable. {sentence(found.get('why_not'))}".strip()
        elif "p =" not in said and is_number(found.get("p")):
            said += f" p = {p_value(found['p'])}."
        pairs.append((title, said))
        notes += [sentence(note) for note in found.get("notes") or []]
    modes = (patterns.get("size_modes") or {}).get("all") or {}
    if modes.get("verdict"):
        said = sentence(modes["verdict"])
        if not modes.get("assessable", True):
            said = f"Not assessable. {sentence(modes.get('why_not'))}".strip()
        pairs.append(("Modes of the fiber size", said))
    if not pairs:
        return None
    blocks: list[Block] = [Facts(tuple(pairs))]
    if notes:
        blocks.append(Bullets(tuple(dict.fromkeys(notes))))
    return Part("Patterns", tuple(blocks))


def _row(
    title: str, value: str, around: str = "", counted: str = "", reference: Cell | None = None
) -> Row:
    cells = (Cell(title), Cell(value), Cell(around), Cell(counted), reference or Cell(""))
    return Row(cells)


def _fiber_rows(summary: Mapping[str, Any]) -> list[Row]:
    fibers = summary.get("fibers") or {}
    quantities = fibers.get("quantities") or {}
    rows = []
    if is_number(fibers.get("n_fibers")):
        measured = f"{number(fibers.get('n_measured'))} measured"
        rows.append(_row("Fibers", number(fibers["n_fibers"]), "", measured))
    density = fibers.get("density") or {}
    if is_number(density.get("fibers_per_mm2")):
        per = f"per mm² of {density.get('per') or 'image'}"
        rows.append(_row("Density of fibers", number(density["fibers_per_mm2"]), per))
    for name, title, unit in _QUANTITIES:
        found = quantities.get(name) or {}
        if is_number(found.get("mean")):
            middle = f"SD {number(found.get('sd'))}, median {number(found.get('median'))}"
            mean = with_unit(number(found["mean"]), unit)
            rows.append(_row(f"{title}, mean", mean, middle, number(found.get("n"))))
    variability = fibers.get("variability_coefficient") or {}
    if is_number(variability.get("value")):
        reference = _limit("below", variability.get("normal_below"))
        rows.append(
            _row("Variability coefficient", number(variability["value"]), reference=reference)
        )
    factors = fibers.get("atrophy_hypertrophy") or {}
    for name in ("atrophy_factor", "hypertrophy_factor"):
        found = factors.get(name) or {}
        if is_number(found.get("value")):
            title = first_upper(name.replace("_", " "))
            reference = _limit("up to", found.get("limit"))
            rows.append(_row(title, number(found["value"]), reference=reference))
    return rows


def _tissue_rows(summary: Mapping[str, Any]) -> list[Row]:
    tissue = summary.get("tissue") or {}
    rows = [
        _row(title, with_unit(number(tissue[name]), unit))
        for name, title, unit in _TISSUE
        if is_number(tissue.get(name))
    ]
    collagen = (tissue.get("collagen") or {}).get("collagen_percent")
    if is_number(collagen):
        rows.append(_row("Collagen", with_unit(number(collagen), "% of tissue")))
    return rows


def _nucleus_rows(summary: Mapping[str, Any]) -> list[Row]:
    nuclei = summary.get("nuclei") or {}
    rows = []
    for name, title, limit in (
        ("internal_fibers", "Fibers with internal nuclei", "internal_normal_below_percent"),
        ("centrally_nucleated_fibers", "Centrally nucleated fibers", ""),
    ):
        if is_number((nuclei.get(name) or {}).get("share")):
            reference = _limit("below", nuclei.get(limit), " %")
            rows.append(_share_row(title, nuclei[name], reference))
    if is_number(nuclei.get("nuclei_per_fiber")):
        n = number(nuclei.get("n_fibers"))
        rows.append(_row("Nuclei per fiber", number(nuclei["nuclei_per_fiber"]), "", n))
    interstitial = nuclei.get("interstitial") or {}
    if is_number(interstitial.get("per_mm2_tissue")):
        value = with_unit(number(interstitial["per_mm2_tissue"]), "per mm²")
        rows.append(_row("Interstitial nuclei", value, "", number(interstitial.get("n"))))
    return rows


def _type_rows(summary: Mapping[str, Any]) -> list[Row]:
    types = summary.get("types") or {}
    rows = [
        _share_row(f"Fibers of type {kind}", share)
        for kind, share in (types.get("shares") or {}).items()
        if is_number((share or {}).get("share")) and share.get("n")
    ]
    for kind, found in (types.get("by_type") or {}).items():
        size = ((found or {}).get("quantities") or {}).get("min_feret_um") or {}
        if is_number(size.get("mean")):
            middle = f"SD {number(size.get('sd'))}, median {number(size.get('median'))}"
            title = f"Min Feret diameter of type {kind}, mean"
            mean = with_unit(number(size["mean"]), "µm")
            rows.append(_row(title, mean, middle, number(size.get("n"))))
    return rows


def _share_row(title: str, share: Mapping[str, Any], reference: Cell | None = None) -> Row:
    low, high = share.get("fascicles_95") or share.get("wilson_95") or (None, None)
    ends = ""
    if is_number(low) and is_number(high):
        ends = f"{interval(100 * low, 100 * high, decimals=1)} %"
    counted = f"{number(share.get('n'))} of {number(share.get('of'))}"
    return _row(title, percent(share.get("share")), ends, counted, reference)


def _limit(words: str, limit: Mapping[str, Any] | None, unit: str = "") -> Cell:
    if not limit or not is_number(limit.get("value")):
        return Cell(MISSING if limit else "")
    return Cell(f"{words} {setting(limit['value'])}{unit}", source_of(limit))
