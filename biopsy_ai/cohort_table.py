"""The table of a run over many slides: what became of each, and what is worth comparing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from biopsy_ai.formats import write_csv
from biopsy_ai.formats.tables import printable

if TYPE_CHECKING:
    import pandas as pd

    from biopsy_ai.report.cohort_page import Entry

Status = Literal["ok", "failed", "skipped", "reviewed"]

COHORT_FILE = "cohort.csv"

REGISTRATION_FILE = "registration.json"
"""A folder that holds it is that of a block of serial sections, and of no slide."""


FINDING_COLUMNS = {
    "small_angular_fibers": "small_angular_fiber_percent",
    "small_round_fibers": "small_round_fiber_percent",
    "hypertrophy": "hypertrophic_fiber_percent",
    "nuclear_clumps": "nuclear_clumps_per_1000_fibers",
    "target_fibers": "target_fiber_percent",
    "type_2_atrophy": "type_ii_over_i_diameter",
}
"""Columns of the findings that no other column tells of, by name of the finding."""


@dataclass(frozen=True)
class Outcome:
    """What became of one slide.

    Attributes
    ----------
    source
        The slide, or the file with outlines where there is no slide.
    status
        ``"ok"``, ``"failed"``, ``"skipped"`` where the same result was already there, or
        ``"reviewed"`` where a person has corrected it, which is never analyzed over.
    folder
        Folder with the results; ``None`` if the slide failed.
    summary
        Content of the slide's summary.json, that of its review where there is one; empty if the
        slide failed.
    reason
        Why the slide failed or was not analyzed.
    seconds
        Time spent on the slide, with writing the results.
    notes
        What a sample sheet says of the slide, by column.
    """

    source: Path
    status: Status
    folder: Path | None
    summary: dict[str, Any]
    reason: str = ""
    seconds: float = 0.0
    notes: Mapping[str, str] = field(default_factory=dict)


def reviewed_outcome(source: Path, folder: Path) -> Outcome | None:
    """What became of a slide whose results a person has corrected; None if nobody has."""
    from biopsy_ai.review import has_review
    from biopsy_ai.review.results import results_in_force, summary_in

    if not has_review(folder):
        return None
    counts = results_in_force(folder)
    reason = "a person reviewed it, and its results stay as they are; "
    if counts == folder:
        reason += "the review is not saved yet, and this row is that of the analysis before; "
    reason += "--out with another folder analyzes the slide anew"
    return Outcome(source, "reviewed", folder, summary_in(counts), reason)


def write_cohort(
    outcomes: Iterable[Outcome], path: str | Path, *, earlier: pd.DataFrame | None = None
) -> None:
    """Write one row per slide as CSV.

    Parameters
    ----------
    outcomes
        The slides of this run.
    path
        The file to write.
    earlier
        Rows of earlier runs into the same folder; those of other slides are kept.
    """
    write_csv(path, cohort_table(outcomes, earlier))


def cohort_table(outcomes: Iterable[Outcome], earlier: pd.DataFrame | None = None) -> pd.DataFrame:
    """Make the table that `write_cohort` writes."""
    import pandas as pd

    table = pd.DataFrame([cohort_row(outcome) for outcome in outcomes])
    if earlier is not None and {"slide", "folder"} <= set(earlier.columns):
        folders = set(table["folder"]) - {""}
        other = ~earlier["slide"].isin(table["slide"]) & ~earlier["folder"].isin(folders)
        if other.any():
            table = pd.concat([earlier[other], table], ignore_index=True)
    return table


def read_cohort(path: Path) -> pd.DataFrame | None:
    """Read the table of an earlier run; None where there is none that can be read."""
    import pandas as pd

    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError):
        return None


def page_entries(table: pd.DataFrame, out: Path) -> list[Entry]:
    """What the page of a run shows: its slides, then the blocks that stand in its folder.

    Parameters
    ----------
    table
        From `cohort_table` or `read_cohort`.
    out
        Folder of the run.
    """
    from biopsy_ai.report.cohort_page import Entry
    from biopsy_ai.review.results import results_in_force

    columns = ["slide", "status", "folder", "reason"]
    rows = table.reindex(columns=columns).fillna("").astype(str)
    slides = [
        Entry(
            name=folder or Path(slide.replace("\\", "/")).name,
            status=status,
            folder=results_in_force(out / Path(folder).name) if folder else None,
            reason=reason,
        )
        for slide, status, folder, reason in rows.itertuples(index=False, name=None)
    ]
    blocks = sorted(path.parent for path in out.glob(f"*/{REGISTRATION_FILE}"))
    return slides + [Entry(path.name, "ok", path, kind="block") for path in blocks]


def cohort_row(outcome: Outcome) -> dict[str, Any]:
    """Cells of the table by column, for one slide."""
    row = {
        "slide": printable(str(outcome.source.resolve())),
        "status": outcome.status,
        "reason": outcome.reason,
        "folder": "" if outcome.folder is None else printable(outcome.folder.name),
        **_statistics(outcome.summary),
        "seconds": round(outcome.seconds, 2),
    }
    # what was measured keeps its name
    noted = {f"sheet_{key}" if key in row else key: text for key, text in outcome.notes.items()}
    return {**row, **noted}


def _statistics(summary: dict[str, Any]) -> dict[str, Any]:
    """Pick what is worth comparing between slides; empty where the slide failed."""
    fibers = summary.get("fibers") or {}
    quantities = fibers.get("quantities") or {}
    score = summary.get("score") or {}
    factors = fibers.get("atrophy_hypertrophy") or {}
    image = summary.get("image") or {}
    row: dict[str, Any] = {"verdict": score.get("verdict")}
    for change in ("denervation", "myopathy"):
        found = score.get(change) or {}
        row[change] = found.get("value")
        row |= {f"{change}_{end}": found.get(end) for end in ("low", "high")}
    row["type2_atrophy"] = (score.get("type2_atrophy") or {}).get("present")
    row |= {
        "n_fibers": fibers.get("n_fibers"),
        "n_measured": fibers.get("n_measured"),
        "fibers_per_mm2": (fibers.get("density") or {}).get("fibers_per_mm2"),
        "fiber_area_fraction": fibers.get("fiber_area_fraction"),
    }
    for name in ("area_um2", "min_feret_um"):
        for statistic in ("median", "mean", "sd"):
            row[f"{statistic}_{name}"] = (quantities.get(name) or {}).get(statistic)
    row["variability_coefficient"] = (fibers.get("variability_coefficient") or {}).get("value")
    for name in ("atrophy_factor", "hypertrophy_factor"):
        row[name] = (factors.get(name) or {}).get("value")
    tissue, nuclei, quality = (summary.get(part) or {} for part in ("tissue", "nuclei", "quality"))
    for name in ("fiber", "endomysium", "perimysium", "connective", "fat"):
        row[f"{name}_percent"] = tissue.get(f"{name}_percent")
    row["mean_endomysial_width_um"] = tissue.get("mean_endomysial_width_um")
    row["collagen_percent"] = (tissue.get("collagen") or {}).get("collagen_percent")
    row["internal_fiber_percent"] = nuclei.get("internal_fiber_percent")
    row["centralization_index"] = (nuclei.get("centralization") or {}).get("index")
    row["interstitial_nuclei_per_mm2"] = (nuclei.get("interstitial") or {}).get("per_mm2_tissue")
    for flag, found in (summary.get("condition") or {}).items():
        row[f"{flag}_fiber_percent"] = found.get("percent")
    types, patterns = summary.get("types") or {}, summary.get("patterns") or {}
    row["type_1_share"] = (types.get("type_1_share") or {}).get("share")
    for kind in ("I", "II", "IIA", "IIX"):
        of_type = ((types.get("by_type") or {}).get(kind) or {}).get("quantities") or {}
        row[f"mean_min_feret_um_{kind}"] = (of_type.get("min_feret_um") or {}).get("mean")
    grouping, atrophy = (patterns.get(part) or {} for part in ("type_grouping", "grouped_atrophy"))
    for name in ("p", "assortativity", "assortativity_low", "assortativity_high", "n_edges"):
        row[f"type_grouping_{name}"] = grouping.get(name)
    row["atrophic_fiber_share"] = (atrophy.get("atrophic") or {}).get("share")
    row["grouped_atrophy_p"] = atrophy.get("p")
    row["grouped_atrophy_assortativity"] = atrophy.get("assortativity")
    perifascicular = patterns.get("perifascicular_atrophy") or {}
    row["perifascicular_atrophy_ratio"] = perifascicular.get("ratio")
    row["perifascicular_atrophy_p"] = perifascicular.get("p")
    findings = {found.get("name"): found for found in summary.get("findings") or ()}
    for name, column in FINDING_COLUMNS.items():
        row[column] = (findings.get(name) or {}).get("value")
    row["n_fascicles"] = (summary.get("fascicles") or {}).get("n")
    row["stain"] = image.get("stain")
    row["recognised_stain"] = quality.get("stain")
    row["excluded_tissue_percent"] = quality.get("excluded_percent")
    mpp = image.get("mpp") or summary.get("outlines_mpp") or [None, None]
    row["mpp_y"], row["mpp_x"] = mpp
    row["warnings"] = " ".join(summary.get("warnings") or [])
    return row
