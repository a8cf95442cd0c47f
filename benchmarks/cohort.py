"""A cohort of small slides, ten of them broken: speed on two workers, and what kills leave behind.

``python benchmarks/cohort.py`` makes 200 slides of 190 pictures and ten broken files in a temporary
folder. It analyzes them on two workers of one thread each, in one process that uses all cores, on
one worker with one thread, and again on two workers, and prints a table. Then it starts a run on
two workers twenty times, kills it or one of its workers at a random moment, lets a last run finish,
and compares all results with those of the first run. ``--slides``, ``--kills`` and ``--parts``
choose less.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import tifffile
from broken_slides import RESOLUTION, break_slides
from result_digests import digests, unreadable
from tables import markdown

TURNS = 8
"""Ways to turn and mirror a section, so that each is several slides."""

SPEED_GOAL, SHARING_GOAL = 1.7, 1.0
"""Speed of two workers against one with one thread, and against one process with all cores."""

WAYS = {
    "two": ("two workers, one thread each", ("--workers", "2", "--threads", "1")),
    "process": ("one process, all cores", ("--workers", "1")),
    "one": ("one worker, one thread", ("--workers", "1", "--threads", "1")),
}


@dataclass(frozen=True)
class Run:
    """One run of the program."""

    seconds: float
    cpu_seconds: float
    code: int
    said: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slides", type=int, default=200, help="with the ten broken ones")
    parser.add_argument("--size", type=float, default=180.0, help="side of a section, µm")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--latest", type=float, default=30.0, help="latest moment of a kill, s")
    parser.add_argument("--order", default="two,process,one,two")
    parser.add_argument("--parts", default="speed,kills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keep slides and results here")
    options = parser.parse_args()
    if options.folder is not None:
        run(options, options.folder)
        return
    with tempfile.TemporaryDirectory(prefix="biopsy-ai-cohort-") as folder:
        run(options, Path(folder))


def run(options: argparse.Namespace, folder: Path) -> None:
    """Make the slides, measure, kill, compare; print."""
    slides = folder / "slides"
    if not slides.exists():
        make_slides(slides, options.slides, options.size, options.seed)
    n = len(list(slides.iterdir()))
    print(f"{n} slides of {options.size:.0f} µm, 10 of them broken; {os.cpu_count()} cores\n")
    if "speed" in options.parts:
        speed(slides, folder, options.order.split(","))
    if "kills" in options.parts:
        kills(slides, folder, options)


def make_slides(folder: Path, n: int, size_um: float, seed: int) -> None:
    """Write `n` slides: ten broken ones, the rest synthetic sections, turned and mirrored."""
    from biopsy_ai.synthesis import SectionParams, preset, random_imaging, synthesize_section

    break_slides(folder)
    good = n - 10
    for number in range(-(-good // TURNS)):
        imaging = random_imaging(np.random.default_rng(seed + number), "he", severity=0.5)
        size = size_um, size_um
        params = SectionParams(preset("normal"), imaging, "he", size, 0.5, ("border",))
        section = synthesize_section(params, seed + number)
        for turn in range(min(TURNS, good - TURNS * number)):
            picture = np.rot90(section.image, turn % 4)
            picture = picture[:, ::-1] if turn >= 4 else picture
            name = f"slide_{TURNS * number + turn:03d}.tif"
            tifffile.imwrite(folder / name, np.ascontiguousarray(picture), **RESOLUTION)


def command(slides: Path, out: Path, *options: str) -> list[str]:
    name = [sys.executable, "-m", "biopsy_ai", "analyze", f"{slides}{os.sep}*.tif"]
    return [*name, "--out", str(out), "--quiet", *options]


def timed(slides: Path, out: Path, *options: str) -> Run:
    """Run the program to its end."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        command(slides, out, *options), capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(seconds, cpu, done.returncode, done.stderr)


def speed(slides: Path, folder: Path, order: list[str]) -> None:
    """Time the ways one after the other, and print how they compare."""
    spent: dict[str, list[float]] = {way: [] for way in WAYS}
    for place, way in enumerate(order):
        out = folder / f"{way}_{place}"
        made = timed(slides, out, *WAYS[way][1])
        spent[way].append(made.seconds)
        print(
            f"{WAYS[way][0]}: {made.seconds:.0f} s, {made.cpu_seconds:.0f} s of processors, "
            f"exit code {made.code}: {counts(out)}"
        )
        sys.stdout.flush()
        if place == 0:
            for line in made.said.splitlines()[1:]:
                print(f"    {line}")
    mean = {way: float(np.mean(times)) for way, times in spent.items() if times}
    rows = []
    for way, goal in (("one", SPEED_GOAL), ("process", SHARING_GOAL)):
        if way in mean and "two" in mean:
            ratio = mean[way] / mean["two"]
            rows.append([f"two workers against {WAYS[way][0]}", f"{ratio:.2f}", f"{goal:.1f}"])
    print("\n" + markdown(["speed", "ratio", "goal"], rows))
    first, *others = [folder / f"{way}_{k}" for k, way in enumerate(order) if way != "process"]
    expected = digests(first)
    for out in others:
        same = "the same" if digests(out) == expected else "NOT THE SAME"
        print(f"{out.name}: {same} to the last digit as {first.name}, {len(expected)} files")


def kills(slides: Path, folder: Path, options: argparse.Namespace) -> None:
    """Kill runs at random moments, finish, and compare."""
    rng = random.Random(options.seed)
    out = folder / "killed"
    for number in range(options.kills):
        process = subprocess.Popen(
            command(slides, out, *WAYS["two"][1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        moment = rng.uniform(0, options.latest)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            pass
        whom = "the program"
        if number % 2:
            whom = "a worker, then the program"
            kill_a_worker(process, rng)
            try:
                process.wait(rng.uniform(0, options.latest / 2))
            except subprocess.TimeoutExpired:
                pass
        process.kill()
        process.wait()
        n_done = len(list(out.glob("*/summary.json")))
        print(f"kill {number + 1} of {whom} after {moment:.1f} s: {n_done} slides complete")
        sys.stdout.flush()
    last = timed(slides, out, *WAYS["two"][1])
    print(f"\nresumed: {last.seconds:.0f} s, exit code {last.code}: {counts(out)}")
    wrong = unreadable(out)
    print(f"results that are half-written or cannot be read: {len(wrong)} {wrong[:3]}")
    with open(out / "cohort.csv", encoding="utf-8", newline="") as file:
        folders = [row["folder"] for row in csv.DictReader(file) if row["folder"]]
    print(f"slides complete: {len(folders)}, each once: {len(set(folders)) == len(folders)}")
    undisturbed = next(iter(sorted(folder.glob("two_*"))), None)
    if undisturbed is None:
        undisturbed = folder / "two_0"
        timed(slides, undisturbed, *WAYS["two"][1])
    same = digests(out) == digests(undisturbed)
    print(f"results {'equal' if same else 'DIFFER FROM'} those of an undisturbed run")


def kill_a_worker(process: subprocess.Popen[bytes], rng: random.Random) -> None:
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
        if workers:
            rng.choice(workers).kill()
    except psutil.NoSuchProcess:
        pass


def counts(out: Path) -> str:
    """What run.json says of a run."""
    content = json.loads((out / "run.json").read_text(encoding="utf-8"))
    peak = max(slide["peak_memory_bytes"] or 0 for slide in content["slides"]) / 1e9
    return f"{content['done']} scored, {content['failed']} failed, peak memory {peak:.1f} GB"


if __name__ == "__main__":
    main()
