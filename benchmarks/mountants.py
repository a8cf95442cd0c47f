"""Fibers in stains by enzymes as watery mountants show them, round, wide and far apart.

``python benchmarks/mountants.py`` draws sections that no training saw, with more or less relief in
the unstained tissue (`ImagingParams.relief`), outlines them with the network and prints a table:
the share of the fibers found, and how many outlines are of nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from methods import network_method
from synthetic import Case, cases, found_share
from tables import markdown, number

from biopsy_ai.evaluation import pool_evaluations
from biopsy_ai.synthesis import SectionParams

STAINS = ("nadh", "sdh", "cox", "atpase:4.6")
PRESETS = ("normal", "chronic_reinnervation", "dystrophy")


def mounted(params: SectionParams, relief: float) -> SectionParams:
    """The section in a watery mountant."""
    return replace(params, imaging=replace(params.imaging, relief=relief))


def loose(params: SectionParams, relief: float, diameter_um: float) -> SectionParams:
    """The section in a watery mountant, its fibers round and 12 µm apart."""
    tissue = replace(
        params.tissue,
        diameter_um=(diameter_um, diameter_um),
        endomysium_um=12.0,
        rounding=0.6,
        fill_gaps=True,
    )
    return mounted(replace(params, tissue=tissue), relief)


VARIANTS: dict[str, Callable[[SectionParams], SectionParams]] = {
    "as the presets": partial(mounted, relief=0.0),
    "as the presets, relief 0.7": partial(mounted, relief=0.7),
    "35 µm, far apart": partial(loose, relief=0.0, diameter_um=35.0),
    "35 µm, far apart, relief 0.7": partial(loose, relief=0.7, diameter_um=35.0),
    "70 µm, far apart": partial(loose, relief=0.0, diameter_um=70.0),
    "70 µm, far apart, relief 0.4": partial(loose, relief=0.4, diameter_um=70.0),
    "70 µm, far apart, relief 0.7": partial(loose, relief=0.7, diameter_um=70.0),
    "70 µm, far apart, relief 1.0": partial(loose, relief=1.0, diameter_um=70.0),
}


def _row(title: str, group: list[Case]) -> list[str]:
    pooled = pool_evaluations(case.evaluation for case in group)
    lowest = min(group, key=lambda case: case.evaluation.at(0.5).f1)
    return [
        title,
        *found_share(pooled),
        number(pooled.at(0.75).f1),
        number(pooled.csa_bias_percent, "+.1f"),
        f"{number(lowest.evaluation.at(0.5).f1)} ({lowest.preset}, {lowest.stain})",
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="muscle", help="name or folder of a model")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=950_000, help="of the first section")
    options = parser.parse_args()
    method = network_method(options.model, options.device)
    rows = []
    for number_of, (title, change) in enumerate(VARIANTS.items()):
        found = cases(
            method,
            presets=PRESETS,
            stains=STAINS,
            seed=options.seed + 100 * number_of,
            size_um=640.0,
            severity=0.5,
            change=change,
        )
        rows.append(_row(title, list(found)))
    header = ("sections", "n true", "P", "R", "F1", "F1 at IoU 0.75", "CSA bias %", "lowest F1")
    print(markdown(header, rows))


if __name__ == "__main__":
    main()
