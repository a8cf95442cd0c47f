"""Fiber types and their pattern, from pixels to statistics, on sections never trained on.

``python benchmarks/fiber_types.py`` draws sections stained for ATPase and sections with the
channels of myosin heavy chains, normal and reinnervated, analyzes them as a user does, and compares
types, proportions and assortativity with the truth; the goals come last. ``--stains`` chooses less.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from planted import outline_of
from readings import Reader, Reading, analysis_reader
from synthetic import MPP, write_picture
from tables import markdown, number

from biopsy_ai.evaluation.grids import LabelField, match_grids
from biopsy_ai.evaluation.matching import border_labels
from biopsy_ai.measure import measure_fibers
from biopsy_ai.patterns.assortativity import assortativity
from biopsy_ai.patterns.contacts import find_contacts
from biopsy_ai.synthesis import (
    SectionParams,
    SyntheticSection,
    preset,
    random_imaging,
    synthesize_section,
)
from biopsy_ai.synthesis.files import write_image

FIRST_SEED = 940_000
CHANNELS = ("border", "I", "IIA", "IIX")
STAINS = ("atpase:9.4", "atpase:4.6", "atpase:4.3", "if")
TELL_SUBTYPES = ("atpase:4.6", "if")
TISSUES: dict[str, tuple[str, dict[str, float]]] = {
    "type I 20 %": ("normal", {"type1_share": 0.2}),
    "type I 50 %": ("normal", {"type1_share": 0.5}),
    "type I 80 %": ("normal", {"type1_share": 0.8}),
    "reinnervated": ("chronic_reinnervation", {}),
}
ACCURACY, POINTS, R_ERROR = 0.97, 2.0, 0.05


@dataclass(frozen=True)
class Judged:
    """What was read in one section, against the truth.

    Attributes
    ----------
    tissue, stain
        What was drawn.
    rows
        One row per true fiber that lies whole in the field and was outlined: ``true`` and ``type``.
    true_r, found_r
        Assortativity of type I against II; NaN where there is none.
    why_not
        Why fibers were not typed; empty where they were.
    """

    tissue: str
    stain: str
    rows: pd.DataFrame
    true_r: float
    found_r: float
    why_not: str

    @property
    def accuracy(self) -> float:
        """Mean of the shares of type I and of type II that were called so."""
        return balanced_accuracy(self.rows["true"].map(of_class), self.rows["type"].map(of_class))

    @property
    def subtype_accuracy(self) -> float:
        """The same over all types; NaN where the stain does not tell kinds of type II apart."""
        if self.stain not in TELL_SUBTYPES:
            return float("nan")
        return balanced_accuracy(self.rows["true"], self.rows["type"])

    @property
    def points(self) -> float:
        """Error of the share of type I, in points."""
        true, found = (
            100 * part.eq("I").sum() / max(part.isin(["I", "II"]).sum(), 1)
            for part in (self.rows["true"].map(of_class), self.rows["type"].map(of_class))
        )
        return float(found - true)


def of_class(name: str) -> str:
    """Type I or II, or what it is called where it is neither."""
    return "II" if name in ("II", "IIA", "IIX", "IIA/IIX") else name


def balanced_accuracy(true: pd.Series, found: pd.Series) -> float:
    """Mean over the true types of the share that is called right."""
    return float((true == found).groupby(true).mean().mean()) if len(true) else float("nan")


def main() -> None:
    """Parse, draw, analyze, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="muscle", help="bundled model or model folder")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--stains", default=",".join(STAINS), help="comma-separated, of all")
    parser.add_argument("--severity", type=float, default=0.5, help="0 clean .. 1 as in training")
    parser.add_argument("--size-um", type=float, default=1400.0, help="field side")
    options = parser.parse_args()
    chosen = options.stains.split(",")
    if unknown := set(chosen) - set(STAINS):
        parser.error(f"--stains: {', '.join(sorted(unknown))}; choose among {', '.join(STAINS)}")
    start = time.perf_counter()
    reader = analysis_reader(options.model, options.device)
    cases = []
    for tissue, stain, section in draw_sections(chosen, options.size_um, options.severity):
        cases.append(judge(tissue, stain, section, reader))
        print(f"{tissue}, {stain}: done", file=sys.stderr, flush=True)
    print(report(cases))
    print(f"{time.perf_counter() - start:.0f} s", file=sys.stderr)


def draw_sections(
    stains: Sequence[str], size_um: float, severity: float
) -> Iterator[tuple[str, str, SyntheticSection]]:
    """Draw every tissue in every stain, each with a seed of its own."""
    for k, stain in enumerate(STAINS):
        for n, (tissue, (name, changes)) in enumerate(TISSUES.items()):
            if stain not in stains:
                continue
            seed = FIRST_SEED + 10 * k + n
            imaging = random_imaging(np.random.default_rng(seed), stain, severity=severity)
            params = SectionParams(
                tissue=replace(preset(name), fill_gaps=True, **changes),
                imaging=replace(imaging, folds=0, tears=0, freezing_holes=0.0),
                stain=stain,
                size_um=(size_um, size_um),
                mpp=MPP,
                **({"channels": CHANNELS} if stain == "if" else {}),
            )
            yield tissue, stain, synthesize_section(params, seed)


def judge(tissue: str, stain: str, section: SyntheticSection, reader: Reader) -> Judged:
    """Analyze one section and compare."""
    channels = {name: k for k, name in enumerate(CHANNELS)} if stain == "if" else {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "section.tif"
        if channels:
            write_image(path, section.image, section.mpp, CHANNELS)
        else:
            write_picture(path, section)
        reading = reader(path, MPP, stain, channels)
    grouping = reading.summary["patterns"].get("type_grouping") or {}
    found_r = grouping.get("assortativity")
    return Judged(
        tissue,
        stain,
        matched_types(section, reading),
        true_assortativity(section),
        float("nan") if found_r is None else float(found_r),
        str(reading.summary["types"].get("why_not") or ""),
    )


def matched_types(section: SyntheticSection, reading: Reading) -> pd.DataFrame:
    """True and found type of the fibers that lie whole in the field and were outlined."""
    truth = LabelField(reading.labels.path, section.labels, (section.mpp, section.mpp))
    found = match_grids(reading.labels, truth)[0].labels
    outline = outline_of(found, section.labels, len(section.fibers))
    called = reading.fibers.set_index("label")["type"].fillna("").astype(str)
    rows = pd.DataFrame(
        {
            "true": section.fibers["type"].astype(str),
            "type": called.reindex(outline, fill_value="").to_numpy(),
        }
    )
    whole = ~np.isin(section.fibers["label"], border_labels(section.labels))
    return rows[whole & (outline > 0)].reset_index(drop=True)


def true_assortativity(section: SyntheticSection) -> float:
    """Assortativity of the true types, on the contacts of the true outlines."""
    mpp = (section.mpp, section.mpp)
    table = measure_fibers(section.labels, mpp)
    truth = section.fibers.set_index("label").reindex(table["label"])
    layer = pd.array([pd.NA] * len(table), dtype="Int64")
    table = table.assign(fascicle=truth["fascicle"].to_numpy(), layer=layer)
    contacts = find_contacts(section.labels, mpp, table)
    kind = truth["type"].astype(str).map(of_class).to_numpy()
    kept = np.isin(kind, ["I", "II"]) & ~table["touches_border"].to_numpy(bool)
    graph = contacts.among(kept)
    codes: NDArray[np.int64] = (kind[kept] == "I").astype(np.int64)
    return float(assortativity(graph.pairs, codes))


def report(cases: Sequence[Judged]) -> str:
    """Tables of all sections, and the goals."""
    header = [
        *("tissue", "stain", "fibers", "I or II", "all types", "not told %"),
        *("type I error, points", "r true", "r found", "not typed because"),
    ]
    rows = [
        [
            case.tissue,
            case.stain,
            str(len(case.rows)),
            number(case.accuracy),
            number(case.subtype_accuracy),
            number(100 * float(case.rows["type"].isin(["", "undetermined"]).mean()), ".1f"),
            number(case.points, "+.1f"),
            number(case.true_r),
            number(case.found_r),
            case.why_not,
        ]
        for case in cases
    ]
    goals = [
        goal("balanced accuracy, type I or II", [c.accuracy for c in cases], ACCURACY, low=True),
        goal("share of type I, error in points", [abs(c.points) for c in cases], POINTS),
        goal("assortativity, error", [abs(c.true_r - c.found_r) for c in cases], R_ERROR),
    ]
    return "\n\n".join(
        [
            "## Types and pattern from pixels",
            markdown(header, rows),
            "## Goals",
            markdown(["what", "goal", "found", ""], goals),
        ]
    )


def goal(what: str, values: Sequence[float], limit: float, *, low: bool = False) -> list[str]:
    """One row: the worst section, the mean, and how many meet the goal."""
    found = np.array(values)
    met = found >= limit if low else found <= limit
    worst = found.min() if low else found.max()
    text = f"worst {worst:.3f}, mean {np.nanmean(found):.3f}, {met.sum()} of {len(found)}"
    return [what, f"{'≥' if low else '≤'} {limit:g}", text, "met" if met.all() else "not met"]


if __name__ == "__main__":
    main()
