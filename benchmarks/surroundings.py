"""What lies between and inside the fibers, on synthetic sections never trained on.

``python benchmarks/surroundings.py`` draws sections of every condition, sections over a range of
fat and of connective tissue, and sections with artefacts of one kind each, analyzes them as a user
does, and prints nuclei, class maps, fractions and flags against the truth; the goals come last.
``--parts``, ``--stains`` and ``--presets`` choose less. Real images are judged by
``benchmarks/accuracy.py``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from judged import (
    Judged,
    errors,
    judge_section,
    pooled_classes,
    pooled_nuclei,
    read_section,
)
from numpy.typing import NDArray
from planted import CLEAN, KINDS, draw_planted, judge_flags, summarize_flags
from readings import Reader, analysis_reader
from synthetic import MPP
from tables import markdown, number, share

from biopsy_ai.synthesis import (
    STAINS,
    SectionParams,
    SyntheticSection,
    TissueParams,
    preset,
    preset_names,
    random_imaging,
    synthesize_section,
)
from biopsy_ai.tissue_classes import TISSUE_CLASSES

PARTS = ("conditions", "fractions", "artefacts")

FIRST_SEED = dict(zip(PARTS, (900_000, 910_000, 920_000), strict=True))
"""Seeds start far above those that training draws from."""

FEW_PRESETS = ("normal", "dystrophy")
"""Conditions that are drawn in other stains than H&E, and with artefacts."""

GLASS = 0.12
"""Share of glass in every second section of the part "conditions"."""

PLANTED_STAINS = ("he", "sdh")

FRACTION_STAINS = ("he", "gomori")

_FIELD = {"fat": 0.0, "fill_gaps": True}
_TIGHT = _FIELD | {
    "endomysium_um": 0.3,
    "crack_um": 0.0,
    "rounding": 0.0,
    "perimysium_um": 5.0,
    "fascicle_um": 5000.0,
    "vessels_per_mm2": 1.0,
    "diameter_um": (75.0, 78.0),
}
FRACTIONS: dict[str, dict[str, Any]] = {
    "connective 3 %": _TIGHT,
    "connective 10 %": _TIGHT
    | {"endomysium_um": 1.5, "crack_um": 0.3, "perimysium_um": 15.0, "fascicle_um": 900.0},
    "connective 20 %": _FIELD | {"crack_um": 0.5, "perimysium_um": 20.0},
    "connective 30 %": _FIELD | {"fibrosis": 0.3, "perimysium_um": 30.0},
    "connective 40 %": _FIELD | {"fibrosis": 0.7, "fibrosis_um": 10.0, "perimysium_um": 45.0},
    "fat 10 %": _FIELD | {"lobules": 0.1},
    "fat 20 %": _FIELD | {"lobules": 0.2},
    "fat 30 %": _FIELD | {"lobules": 0.3},
    "fat 40 %": _FIELD | {"lobules": 0.45},
    "fat 40 %, connective 10 %": _TIGHT
    | {"lobules": 0.42, "endomysium_um": 1.5, "crack_um": 0.3, "fascicle_um": 900.0},
    "fat 20 %, connective 40 %": _FIELD
    | {"lobules": 0.2, "fibrosis": 0.9, "fibrosis_um": 10.0, "perimysium_um": 50.0},
    "connective 4 %": _TIGHT | {"endomysium_um": 0.7, "perimysium_um": 8.0},
    "connective 5 %": _TIGHT | {"endomysium_um": 0.5, "perimysium_um": 8.0},
}
"""Tissue drawn over the range that is measured: what normal muscle is changed in. The names are
rough, the truth is counted."""

RANGES = {"fat": (0.0, 40.0), "connective": (3.0, 40.0)}
"""Percent of the tissue over which the goal holds; sections beyond are listed apart."""

NUCLEI_F1, MEAN_IOU, POINTS, INTERNAL_POINTS = 0.85, 0.80, 2.0, 3.0
HIT_FLAGGED, CLEAN_FLAGGED = 0.90, 0.03


def main() -> None:
    """Parse, draw, analyze, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="muscle", help="bundled model or model folder")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--parts", default=",".join(PARTS), help="comma-separated, of all")
    parser.add_argument("--stains", help="only these, comma-separated")
    parser.add_argument("--presets", help="only these, comma-separated")
    parser.add_argument("--kinds", default=",".join((CLEAN, *KINDS)), help="kinds of artefacts")
    parser.add_argument("--severity", type=float, default=0.5, help="0 clean .. 1 as in training")
    parser.add_argument("--size-um", type=float, default=700.0, help="field side")
    options = parser.parse_args()
    chosen = options.parts.split(",")
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"--parts: {', '.join(sorted(unknown))}; choose among {', '.join(PARTS)}")
    start = time.perf_counter()
    reader = analysis_reader(options.model, options.device)
    cases: list[Judged] = []
    flags = pd.DataFrame()
    if "conditions" in chosen:
        drawn = draw_conditions(
            _listed(options.stains), _listed(options.presets), options.size_um, options.severity
        )
        cases += _judge_all("conditions", drawn, reader)
    if "fractions" in chosen:
        stains = _listed(options.stains) or FRACTION_STAINS
        drawn = draw_fractions(stains, options.size_um, options.severity)
        cases += _judge_all("fractions", drawn, reader)
    if "artefacts" in chosen:
        flags, judged = judge_artefacts(
            reader,
            options.kinds.split(","),
            _listed(options.stains) or PLANTED_STAINS,
            _listed(options.presets) or FEW_PRESETS,
            options.size_um,
        )
        cases += judged
    print(report(cases, flags))
    print(f"\n{time.perf_counter() - start:.0f} s")


def draw_conditions(
    stains: Sequence[str] | None, presets: Sequence[str] | None, size_um: float, severity: float
) -> Iterator[tuple[str, SyntheticSection]]:
    """Draw every condition in H&E and a few in all other stains, glass in every second."""
    drawn = [
        (stain, name)
        for stain in STAINS
        for name in (preset_names() if stain == "he" else FEW_PRESETS)
    ]
    # Counted where left out, too: a section is the same whatever else is drawn.
    for k, (stain, name) in enumerate(drawn):
        if (stains and stain not in stains) or (presets and name not in presets):
            continue
        tissue = replace(preset(name), fill_gaps=True, glass=0.0 if k % 2 else GLASS)
        yield name, _draw(tissue, stain, FIRST_SEED["conditions"] + k, size_um, severity)


def draw_fractions(
    stains: Sequence[str], size_um: float, severity: float
) -> Iterator[tuple[str, SyntheticSection]]:
    """Draw sections over the range of fat and of connective tissue."""
    for k, stain in enumerate(stains):
        for i, (title, changes) in enumerate(FRACTIONS.items()):
            tissue = replace(preset("normal"), **changes)
            seed = FIRST_SEED["fractions"] + 100 * k + i
            yield title, _draw(tissue, stain, seed, size_um, severity)


def _draw(
    tissue: TissueParams, stain: str, seed: int, size_um: float, severity: float
) -> SyntheticSection:
    """Draw a section; artefacts are planted elsewhere."""
    imaging = random_imaging(np.random.default_rng(seed), stain, severity=severity)
    imaging = replace(imaging, folds=0, tears=0, freezing_holes=0.0)
    params = SectionParams(tissue, imaging, stain, (size_um, size_um), MPP)
    return synthesize_section(params, seed)


def _judge_all(
    part: str, drawn: Iterator[tuple[str, SyntheticSection]], reader: Reader
) -> Iterator[Judged]:
    with tempfile.TemporaryDirectory() as folder:
        for title, section in drawn:
            reading = read_section(section, Path(folder), reader)
            yield judge_section(part, title, section, reading)
            print(f"{part}: {title}, {section.params.stain}", file=sys.stderr, flush=True)


def judge_artefacts(
    reader: Reader,
    kinds: Sequence[str],
    stains: Sequence[str],
    presets: Sequence[str],
    size_um: float,
) -> tuple[pd.DataFrame, list[Judged]]:
    """Plant artefacts of one kind in each section: flags of all fibers, and the maps.

    Each stain but the first is drawn with the first condition only.
    """
    rows, cases = [], []
    with tempfile.TemporaryDirectory() as folder:
        for k, kind in enumerate(kinds):
            for j, stain in enumerate(stains):
                for i, name in enumerate(presets if j == 0 else presets[:1]):
                    seed = FIRST_SEED["artefacts"] + 100 * k + 10 * j + i
                    planted = draw_planted(kind, name, stain, seed, size_um)
                    reading = read_section(planted.section, Path(folder), reader)
                    rows.append(judge_flags(planted, reading))
                    title = f"{kind}, {name}"
                    cases.append(judge_section("artefacts", title, planted.section, reading))
                    print(f"artefacts: {title}, {stain}", file=sys.stderr, flush=True)
    return pd.concat(rows, ignore_index=True), cases


def report(cases: Sequence[Judged], flags: pd.DataFrame) -> str:
    """Make all tables, the goals last."""
    texts = []
    conditions = [case for case in cases if case.part == "conditions"]
    fractions = [case for case in cases if case.part == "fractions"]
    if conditions:
        texts += ["## Conditions", condition_table(conditions)]
    if any(case.classes is not None for case in cases):
        texts += ["## Class map: intersection over union", class_table(cases)]
    if fractions:
        texts += ["## Fractions, true / found, percent of the tissue", fraction_table(fractions)]
    if len(flags):
        texts += ["## Fibers in planted artefacts", flag_table(flags)]
    return "\n\n".join([*texts, "## Goals", goal_table(cases, flags)])


def condition_table(cases: Sequence[Judged]) -> str:
    """By stain, and the conditions in H&E: nuclei, class map, errors of the fractions."""
    groups = [(f"all {stain}", [c for c in cases if c.stain == stain]) for stain in _stains(cases)]
    groups += [(f"{case.title}, {case.stain}", [case]) for case in cases if case.stain == "he"]
    header = (
        *("sections", "nuclei", "P", "R", "F1", "class map mean IoU"),
        *("fat error, points (worst)", "connective (worst)", "internal nuclei true / found %"),
        "internal (worst)",
    )
    return markdown(header, (_condition_row(*group) for group in groups))


def _condition_row(title: str, group: Sequence[Judged]) -> list[str]:
    nuclei, classes = pooled_nuclei(group), pooled_classes(group)
    said = sum(case.said_assessable for case in group)
    row = [title, f"not seen, said assessable in {said} of {len(group)}", "–", "–", "–"]
    if nuclei is not None:
        half = nuclei.at(0.5)
        values = (half.precision, half.recall, half.f1)
        row = [title, str(nuclei.n_true), *(number(value) for value in values)]
    internal = [
        number(_mean([getattr(case, side)["internal"] for case in group]), ".1f")
        for side in ("true", "found")
    ]
    return [
        *row,
        number(float("nan") if classes is None else classes.mean_iou),
        *(_worst(group, name) for name in ("fat", "connective")),
        " / ".join(internal),
        _worst(group, "internal"),
    ]


def class_table(cases: Sequence[Judged]) -> str:
    """By stain: each class."""
    groups = [(stain, [c for c in cases if c.stain == stain]) for stain in _stains(cases)]
    rows = []
    for title, group in [*groups, ("all", list(cases))]:
        classes = pooled_classes(group)
        if classes is not None:
            values = (*(classes.iou(name) for name in TISSUE_CLASSES), classes.mean_iou)
            rows.append([title, *(number(value) for value in values)])
    return markdown(("sections", *TISSUE_CLASSES, "mean"), rows)


def fraction_table(cases: Sequence[Judged]) -> str:
    """Each section over the range of fat and of connective tissue."""
    rows = [
        [
            f"{case.title}, {case.stain}",
            *(
                text
                for name in ("fat", "connective")
                for text in (
                    f"{case.true[name]:.1f} / {number(case.found[name], '.1f')}",
                    number(case.error(name), "+.1f"),
                )
            ),
        ]
        for case in cases
    ]
    return markdown(("drawn as", "fat", "error", "connective", "error"), rows)


def flag_table(flags: pd.DataFrame) -> str:
    """By kind: fibers in the artefact, and clean ones of the same sections."""
    rows = []
    for kind in flags["kind"].unique():
        found = summarize_flags(flags[flags["kind"] == kind])
        rows.append(
            [
                kind,
                str(found["n_hit"]),
                *(share(found[name]) for name in ("outlined", "flagged", "kept_out")),
                str(found["n_clean"]),
                share(found["clean_flagged"]),
            ]
        )
    header = (
        *("planted", "fibers in it", "outlined", "flagged of the outlined"),
        *("flagged or not outlined", "clean fibers", "flagged"),
    )
    return markdown(header, rows)


def goal_table(cases: Sequence[Judged], flags: pd.DataFrame) -> str:
    """Each goal, what was found, and whether it is met; only what was drawn is listed."""
    rows = []

    def add(what: str, goal: str, text: str, met: bool) -> None:
        rows.append([what, goal, text, "met" if met else "not met"])

    nuclei, classes = pooled_nuclei(cases), pooled_classes(cases)
    if nuclei is not None:
        f1 = nuclei.at(0.5).f1
        add("nuclei, F1 at IoU 0.5", f"≥ {NUCLEI_F1}", number(f1), f1 >= NUCLEI_F1)
    if classes is not None:
        mean = classes.mean_iou
        add("class map, mean IoU", f"≥ {MEAN_IOU:.2f}", number(mean), mean >= MEAN_IOU)
    fractions = [case for case in cases if case.part == "fractions"]
    conditions = [case for case in cases if case.part == "conditions"]
    for name, group, points in (
        ("fat", fractions, POINTS),
        ("connective", fractions, POINTS),
        ("internal", conditions, INTERNAL_POINTS),
    ):
        inside = [case for case in group if _in_range(case, name)]
        beyond = [case for case in group if not _in_range(case, name)]
        off = np.abs(errors(inside, name))
        if len(off):
            met = bool((off <= points).all())
            add(f"{name}{_span(name)}, error in points", f"≤ {points:g}", _off(off, points), met)
        if beyond:
            off = np.abs(errors(beyond, name))
            rows.append([f"{name}, beyond that range", "–", _off(off, points), ""])
    blind = [case for case in conditions if case.nuclei is None]
    if blind:
        silent = sum(not case.said_assessable for case in blind)
        text = f"{silent} of {len(blind)} sections"
        add("no nuclei to be seen: not assessable", "all", text, silent == len(blind))
    if len(flags):
        kinds = {kind: group for kind, group in flags.groupby("kind") if kind != CLEAN}
        by_kind = {kind: summarize_flags(group)["flagged"] for kind, group in kinds.items()}
        known = {kind: value for kind, value in by_kind.items() if not np.isnan(value)}
        if known:
            hit, lowest = _mean(list(known.values())), min(known, key=lambda kind: known[kind])
            text = (
                f"mean of {len(known)} kinds {share(hit)}, lowest {lowest} {share(known[lowest])}"
            )
            add("outlined fibers in artefacts, flagged", "≥ 90 %", text, hit >= HIT_FLAGGED)
        clean = summarize_flags(flags)["clean_flagged"]
        add("clean fibers, flagged", "< 3 %", share(clean), clean < CLEAN_FLAGGED)
    return markdown(("what", "goal", "found", ""), rows)


def _in_range(case: Judged, name: str) -> bool:
    if name not in RANGES:
        return True
    low, high = RANGES[name]
    return low <= case.true[name] <= high


def _span(name: str) -> str:
    return f", {RANGES[name][0]:g}–{RANGES[name][1]:g} %" if name in RANGES else ""


def _off(off: NDArray[np.floating], points: float) -> str:
    within = int((off <= points).sum())
    return f"worst {off.max():.1f}, mean {off.mean():.1f}, {within} of {len(off)} within {points:g}"


def _worst(group: Sequence[Judged], name: str) -> str:
    off = errors(group, name)
    return f"{off[np.abs(off).argmax()]:+.1f}" if len(off) else "–"


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _stains(cases: Sequence[Judged]) -> list[str]:
    return list(dict.fromkeys(case.stain for case in cases))


def _listed(text: str | None) -> list[str] | None:
    return text.split(",") if text else None


if __name__ == "__main__":
    main()
