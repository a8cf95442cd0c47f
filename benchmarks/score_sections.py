"""Draw the biopsies of a cohort and analyze them from pixels, several side by side.

``python benchmarks/score_sections.py FOLDER`` leaves for every biopsy a folder
``NUMBER_DISEASE/first`` with ``truth.json`` and, of each stain, a folder ``he`` or ``atpase`` with
the tables that a score is made of: ``fibers.csv``, ``contacts.csv`` and ``summary.json``. The first
``--repeats`` biopsies get a second section of the same muscle, cut elsewhere, in ``second``. What
is there already is not made again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from score_cohort import DISEASES, MPP, Biopsy, draw_biopsy
from synthetic import write_picture

from biopsy_ai.errors import BiopsyError
from biopsy_ai.formats.tables import write_csv, write_fibers_csv, write_json
from biopsy_ai.report.save import CONTACTS_FILE, FIBERS_FILE, SUMMARY_FILE
from biopsy_ai.synthesis import SectionParams, SyntheticSection, synthesize_section

PARTS = ("first", "second")
SECOND_SEED = 200_000
"""Added to the seed for the second section of a biopsy."""

TRUTH_FILE = "truth.json"
N_PER_DISEASE, FIRST_SEED, N_REPEATS = 50, 900_000, 60
"""The cohort that scores are judged on; what is tuned was tuned on seeds from 1000 and 500000."""

_loaded: list[Any] = []
"""The model, loaded once in each process."""


def main() -> None:
    """Parse, draw, analyze."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    add_cohort_options(parser)
    options = parser.parse_args()
    make_cohort(
        options.folder,
        n_per_disease=options.per_disease,
        first_seed=options.first_seed,
        n_repeats=options.repeats,
        n_processes=options.processes,
        model=options.model,
    )


def add_cohort_options(parser: argparse.ArgumentParser) -> None:
    """Let the user say how large a cohort is, and from which seeds."""
    parser.add_argument("--per-disease", type=int, default=N_PER_DISEASE, help="biopsies of each")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED)
    parser.add_argument("--repeats", type=int, default=N_REPEATS, help="biopsies cut twice")
    parser.add_argument("--processes", type=int, default=2, help="side by side")
    parser.add_argument("--model", default="muscle", help="bundled model or model folder")


def make_cohort(
    folder: Path,
    *,
    n_per_disease: int = N_PER_DISEASE,
    first_seed: int = FIRST_SEED,
    n_repeats: int = N_REPEATS,
    n_processes: int = 2,
    model: str = "muscle",
) -> None:
    """Draw and analyze what of a cohort is not there yet."""
    count = n_per_disease * len(DISEASES)
    jobs = [(k, "first") for k in range(count)]
    jobs += [(k, "second") for k in range(min(n_repeats, count))]
    jobs = [
        (k, part)
        for k, part in jobs
        if not (folder / draw_biopsy(k, first_seed).name / part).is_dir()
    ]
    start = time.perf_counter()
    # read by the libraries of the processes as they are loaded
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
    with ProcessPoolExecutor(
        n_processes, mp_context=get_context("spawn"), initializer=_start, initargs=(model,)
    ) as pool:
        waiting = [pool.submit(make_part, folder, k, first_seed, part) for k, part in jobs]
        for done, job in enumerate(as_completed(waiting), start=1):
            passed = time.perf_counter() - start
            left = passed / done * (len(jobs) - done) / 60
            text = f"{done} of {len(jobs)}, {passed:.0f} s, {left:.0f} min left: {job.result()}"
            print(text, file=sys.stderr, flush=True)


def _start(model: str) -> None:
    """Take one processor, and give way to others."""
    import cv2
    import torch

    from biopsy_ai import load_model

    if hasattr(os, "nice"):
        os.nice(5)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    _loaded[:] = [load_model(model)]


def make_part(folder: Path, number: int, first_seed: int, part: str) -> str:
    """Draw one biopsy and analyze its sections; the folder gets its name once it is complete."""
    start = time.perf_counter()
    biopsy = draw_biopsy(number, first_seed)
    home = folder / biopsy.name / part
    partial = home.with_name(f".{part}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    counts = {}
    for stain, section in draw_sections(biopsy, part):
        name = stain.split(":")[0]
        counts[name] = true_counts(section)
        analyze_section(biopsy, stain, section, partial / name)
    write_json(partial / TRUTH_FILE, describe_truth(biopsy, part, counts))
    partial.rename(home)
    return f"{biopsy.name} {part} {biopsy.use_case}, {time.perf_counter() - start:.1f} s"


def draw_sections(biopsy: Biopsy, part: str) -> Iterator[tuple[str, SyntheticSection]]:
    """Draw the sections of a biopsy: the same fibers in each stain, each scanned in its own way."""
    seed = biopsy.seed + SECOND_SEED * PARTS.index(part)
    for stain, imaging in zip(biopsy.stains, biopsy.imaging, strict=True):
        params = SectionParams(biopsy.tissue, imaging, stain, (biopsy.size_um,) * 2, MPP)
        yield stain, synthesize_section(params, seed)


def analyze_section(
    biopsy: Biopsy, stain: str, section: SyntheticSection, folder: Path, device: str = "cpu"
) -> None:
    """Analyze a section as a user does who knows patient and stain, and keep the tables."""
    from biopsy_ai import AnalysisConfig, analyze, load_model

    folder.mkdir()
    picture = folder / "section.tif"
    write_picture(picture, section)
    config = AnalysisConfig(
        mpp=section.mpp,
        stain=stain,
        sex=biopsy.sex,  # type: ignore[arg-type]
        age=biopsy.age,
        muscle=biopsy.muscle,
        device=device,  # type: ignore[arg-type]
    )
    if not _loaded:
        _loaded.append(load_model("muscle"))
    try:
        with analyze(picture, config, model=_loaded[0]) as analysis:
            write_fibers_csv(folder / FIBERS_FILE, analysis.fibers)
            if analysis.patterns is not None:
                write_csv(folder / CONTACTS_FILE, analysis.patterns.contacts.table())
            write_json(folder / SUMMARY_FILE, analysis.summary)
    except BiopsyError as error:
        write_json(folder / "error.json", {"error": str(error)})
    finally:
        picture.unlink()


def true_counts(section: SyntheticSection) -> dict[str, float]:
    """What of the fibers is drawn, in percent."""
    fibers, nuclei = section.fibers, section.nuclei
    internal = nuclei.loc[nuclei["kind"].eq("internal") & nuclei["fiber"].gt(0), "fiber"]
    n = max(len(fibers), 1)
    return {
        "n": len(fibers),
        "type1": 100 * float(fibers["type"].eq("I").sum()) / n,
        "atrophic": 100 * float(fibers["atrophic"].sum()) / n,
        "angular": 100 * float(fibers["angular"].sum()) / n,
        "internal_nuclei": 100 * internal.nunique() / n,
        **{
            str(name): 100 * float(count) / n
            for name, count in fibers["condition"].value_counts().items()
        },
    }


def describe_truth(biopsy: Biopsy, part: str, counts: dict[str, dict[str, float]]) -> dict:
    """Everything that is known about a biopsy, ready for JSON."""
    values = asdict(biopsy) | {"band": biopsy.band, "part": part, "true": counts}
    return json.loads(json.dumps(values, default=_plain))


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} is no JSON")


if __name__ == "__main__":
    main()
