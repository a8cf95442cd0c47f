"""How often the interval of a patient holds the truth, as a Markdown table.

``python benchmarks/patient_intervals.py``; a quarter of a minute. Patients are drawn whose blocks,
sections and fibers scatter by known amounts, and summarized as ``biopsy-ai collect`` does. The last
column takes all fibers of a patient for independent. The interval is drawn for 95 %.
"""

from __future__ import annotations

import argparse
from functools import partial

import numpy as np
from tables import markdown, number

from biopsy_ai.patients.bootstrap import Sampled, estimate
from biopsy_ai.patients.measures import value_of

TRUE_UM, BETWEEN_BLOCKS_UM, BETWEEN_SECTIONS_UM, BETWEEN_FIBERS_UM = 50.0, 4.0, 2.0, 12.0
N_FIBERS, NEIGHBORHOOD = 200, 20
DESIGNS = ((1, 1), (1, 3), (2, 1), (3, 1), (3, 3), (5, 1), (5, 3), (8, 1), (15, 1))
"""Blocks, and sections of each."""

HEADER = ("blocks", "sections of each", "holds the truth %", "width µm", "fibers alone %")


def draw_patient(
    n_blocks: int, n_sections: int, rng: np.random.Generator
) -> tuple[list[Sampled], np.ndarray]:
    """Sections of a patient, and all their fibers."""
    sections, fibers = [], []
    for block in range(n_blocks):
        of_block = TRUE_UM + rng.normal(0, BETWEEN_BLOCKS_UM)
        for _ in range(n_sections):
            of_section = of_block + rng.normal(0, BETWEEN_SECTIONS_UM)
            diameters = of_section + rng.normal(0, BETWEEN_FIBERS_UM, N_FIBERS)
            sums = np.column_stack([np.ones(N_FIBERS), diameters, diameters**2])
            units = sums.reshape(-1, NEIGHBORHOOD, 3).sum(axis=1)
            sections.append(Sampled(str(block), float(diameters.mean()), units))
            fibers.append(diameters)
    return sections, np.concatenate(fibers)


def judge(n_blocks: int, n_sections: int, n: int, rng: np.random.Generator) -> list[str]:
    """Row of the table."""
    mean_of = partial(value_of, "mean_min_feret_um")
    held, width, naive = [], [], []
    for _ in range(n):
        sections, fibers = draw_patient(n_blocks, n_sections, rng)
        found = estimate(sections, mean_of, rng, replicates=400)
        assert found.low is not None
        assert found.high is not None
        held.append(found.low <= TRUE_UM <= found.high)
        width.append(found.high - found.low)
        half = 1.96 * fibers.std() / np.sqrt(len(fibers))
        naive.append(abs(fibers.mean() - TRUE_UM) <= half)
    shares = [number(100 * float(np.mean(hits)), ".0f") for hits in (held, naive)]
    wide = number(float(np.mean(width)), ".1f")
    return [str(n_blocks), str(n_sections), shares[0], wide, shares[1]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1000, help="patients of each design")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    print(markdown(HEADER, [judge(*design, given.n, rng) for design in DESIGNS]))


if __name__ == "__main__":
    main()
