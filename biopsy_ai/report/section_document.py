"""The report of a section, put together from its summary and its pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from biopsy_ai import RESEARCH_USE_ONLY
from biopsy_ai.report.adequacy_parts import adequacy_part
from biopsy_ai.report.document import Document, Figure, Image, Part, Text
from biopsy_ai.report.finding_parts import Sheet, fibers_part, findings_part
from biopsy_ai.report.measurement_parts import measurements_part, patterns_part
from biopsy_ai.report.methods import limits_part, methods_part
from biopsy_ai.report.score_parts import evidence_part, interval_name, verdict_part
from biopsy_ai.report.specimen_part import moment, specimen_part

MAPS = {
    "overlay.png": ("Fibers", "all fibers outlined over the section"),
    "overlay_types.png": ("Fiber types", "fibers tinted by their type"),
    "overlay_groups.png": ("Groups of one type", "enclosed fibers and the groups around them"),
    "overlay_atrophy.png": (
        "Atrophic and hypertrophic fibers",
        "fibers tinted by their size, with the clusters of atrophic ones outlined",
    ),
    "overlay_condition.png": ("Condition of the fibers", "sick fibers tinted by their condition"),
    "overlay_nuclei.png": ("Nuclei", "nuclei colored by where they lie"),
    "overlay_tissue.png": ("Tissue", "fibers, connective tissue, fat and vessels tinted"),
    "overlay_fascicles.png": (
        "Fascicles",
        "fascicles outlined and numbered, their fibers tinted by layer",
    ),
}
"""Title and content of each map, by the file that it stands in too; in the order of the report."""


@dataclass(frozen=True)
class Pictures:
    """The pictures of a report.

    Attributes
    ----------
    maps
        By name of their file, as in `MAPS`; those that the section has.
    sizes
        Histograms of fiber sizes; None where there are too few fibers.
    sheets
        Contact sheet of each finding that has one, by its name.
    """

    maps: Mapping[str, Image] = field(default_factory=dict)
    sizes: Image | None = None
    sheets: Mapping[str, Sheet] = field(default_factory=dict)


def section_document(summary: Mapping[str, Any], pictures: Pictures) -> Document:
    """Put together what the report of a section says.

    Parameters
    ----------
    summary
        Content of summary.json. Without ``score`` and ``findings`` the parts that show them hold
        a sentence instead.
    pictures
        Its pictures.
    """
    score, findings = summary.get("score"), summary.get("findings")
    notice = str(summary.get("research_use_only") or RESEARCH_USE_ONLY)
    provenance = summary.get("provenance") or {}
    parts = (
        specimen_part(summary),
        verdict_part(score),
        evidence_part(score),
        findings_part(findings, interval_name(score)),
        sizes_part(pictures.sizes),
        fibers_part(findings, pictures.sheets),
        patterns_part(summary),
        measurements_part(summary),
        maps_part(pictures.maps),
        adequacy_part(summary),
        methods_part(summary),
        limits_part(score, notice),
    )
    return Document(
        title=str(summary.get("name") or "Section"),
        subtitle="Report of a muscle section",
        notice=notice,
        made_by=f"biopsy-ai {provenance.get('biopsy_ai_version') or ''}".strip(),
        date=moment(provenance.get("utc_time")),
        parts=tuple(part for part in parts if part is not None),
    )


def maps_part(maps: Mapping[str, Image]) -> Part | None:
    """Each map under its title; None where there is none."""
    parts = tuple(
        Part(title, (Figure(maps[file], f"{file}: {shows}.", f"Map of the section: {shows}."),))
        for file, (title, shows) in MAPS.items()
        if file in maps
    )
    return Part("Maps", (), parts) if parts else None


def sizes_part(sizes: Image | None) -> Part:
    """The histograms of fiber sizes, or that there are none."""
    title = "Fiber sizes"
    if sizes is None:
        return Part(title, (Text("There are too few fibers for a histogram of their sizes."),))
    figure = Figure(
        sizes,
        "Histograms of the min Feret diameter, one for each fiber type that is known, with the "
        "range of normal sizes shaded where the sex is known.",
        "Histograms of the min Feret diameter; means and factors are written beside each.",
    )
    return Part(title, (figure,))
