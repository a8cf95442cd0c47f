"""How fast the viewer answers on a large section, and what it holds in memory, as a table.

``python benchmarks/plugin.py`` repeats a bundled sample to 20 000 fibers on 20 000 x 20 000 pixels,
opens it in a real window (on Linux without a display: under ``xvfb-run``) and times what a
pathologist does. Each time ends when the window has been drawn again.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from repeated_results import repeat_results
from tables import markdown

SAMPLE = "normal_he"
N_FIBERS, SIDE_PX = 20_000, 20_000
SELECT_MS, RECOLOR_MS, EDIT_MS, OPEN_MS = 100.0, 500.0, 200.0, 3000.0
"""Goals, milliseconds."""


@dataclass(frozen=True)
class Timing:
    """Times of one thing, repeated.

    Attributes
    ----------
    name
        What was done.
    times_ms
        Each time, milliseconds.
    goal_ms
        None where there is none.
    """

    name: str
    times_ms: tuple[float, ...]
    goal_ms: float | None = None

    @property
    def row(self) -> list[str]:
        """As the table shows it."""
        median, worst = statistics.median(self.times_ms), max(self.times_ms)
        if self.goal_ms is None:
            return [self.name, f"{median:.0f}", f"{worst:.0f}", "–", "–"]
        met = "yes" if median <= self.goal_ms else "no"
        return [self.name, f"{median:.0f}", f"{worst:.0f}", f"{self.goal_ms:.0f}", met]


def main() -> None:
    """Parse; make the section; open the window; time; print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fibers", type=int, default=N_FIBERS)
    parser.add_argument("--repeats", type=int, default=9, help="times that each thing is done")
    parser.add_argument("--folder", type=Path, help="make the section here, and keep it")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        show(options.folder / "large.tif", options.folder / "large", options.repeats)
        return
    if options.folder is not None:
        run(options.folder, options)
        return
    with tempfile.TemporaryDirectory(prefix="biopsy-ai-plugin-") as folder:
        run(Path(folder), options)


def run(folder: Path, options: argparse.Namespace) -> None:
    """Make the section in a folder where it is not yet, and time the window on it."""
    results = folder / "large"
    if not (results / "summary.json").exists():
        small = analyze_sample(folder / "small")
        repeat_results(small, results, options.fibers, SIDE_PX)
    # in a process of its own, so that making the section does not count as memory of the window
    arguments = [sys.executable, __file__, "--measure", "--repeats", str(options.repeats)]
    subprocess.run([*arguments, "--folder", str(folder)], check=True)


def show(slide: Path, results: Path, repeats: int) -> None:
    """Time the window and print the table."""
    timings, facts = measure(slide, results, repeats)
    header = ["what", "median ms", "worst ms", "goal ms", "met"]
    print(facts)
    print()
    print(markdown(header, [timing.row for timing in timings]))


def analyze_sample(out: Path) -> Path:
    """Analyze the bundled sample, as the command line does."""
    import biopsy_ai

    path = next(path for path in biopsy_ai.sample_slides() if path.stem == SAMPLE)
    with biopsy_ai.analyze(path, biopsy_ai.AnalysisConfig(stain="he")) as analysis:
        return analysis.save(out)


def measure(slide: Path, results: Path, repeats: int) -> tuple[list[Timing], str]:
    """Time everything in one window."""
    import napari

    from napari_plugin.reader import get_reader
    from napari_plugin.section import open_results

    (results / "review.jsonl").unlink(missing_ok=True)
    process = psutil.Process()
    viewer = napari.Viewer(show=True)
    viewer.window.resize(1280, 800)
    settle()
    before = process.memory_info().rss

    reader = get_reader(str(slide))
    assert reader is not None

    def open_slide() -> None:
        for data, options, kind in reader(str(slide)):
            getattr(viewer, f"add_{kind}")(data, **options)

    timings = [Timing("open the slide, 20 000 x 20 000 px", (timed(open_slide),), OPEN_MS)]
    viewer.layers.clear()
    started = time.perf_counter()
    section = open_results(viewer, results)
    settle()
    opened = 1000 * (time.perf_counter() - started)
    timings.append(Timing("open the results with their review", (opened,)))
    review, rng = section.review, np.random.default_rng(0)

    def times(act: Callable[[], Any], prepare: Callable[[], Any] = lambda: None) -> list[float]:
        spent = []
        for _ in range(repeats):
            prepare()
            settle()
            spent.append(timed(act))
        return spent

    def some() -> int:
        return int(rng.choice(review.ids))

    timings.append(
        Timing(
            "select a fiber and go there",
            tuple(times(lambda: section.select([some()], go_there=True))),
            SELECT_MS,
        )
    )
    thousand = rng.choice(review.ids, 1000, replace=False)
    timings.append(
        Timing(
            "select 1000 fibers, the whole section in view",
            tuple(times(lambda: section.select(thousand), lambda: whole(viewer, section))),
            SELECT_MS,
        )
    )
    keys = ["min_feret_um", "angularity", "circularity"]
    spent = []
    for number in range(repeats):
        section.color_by("outline")
        whole(viewer, section)
        settle()
        spent.append(timed(section.color_by, keys[number % len(keys)]))
    timings.append(Timing("color all fibers by another measure", tuple(spent), RECOLOR_MS))

    pairs = close_pairs(review)
    edits: dict[str, list[float]] = {"merge two fibers": [], "undo it": [], "split a fiber": []}
    for number in range(repeats):
        a, b = (int(label) for label in pairs[number])
        section.select([a, b], go_there=True)
        settle()
        edits["merge two fibers"].append(timed(applied, section, "merge", [a, b]))
        edits["undo it"].append(timed(applied, section, "undo"))
        line = across(review, a)
        section.select([a], go_there=True)
        settle()
        edits["split a fiber"].append(timed(applied, section, "split", a, line))
    timings += [Timing(name, tuple(found), EDIT_MS) for name, found in edits.items()]
    facts = (
        f"{len(review.ids):,} fibers on {review.labels.shape[0]:,} x {review.labels.shape[1]:,} "
        f"label pixels; memory {before / 2**20:,.0f} MiB with an empty window, "
        f"{process.memory_info().rss / 2**20:,.0f} MiB with the section"
    )
    viewer.close()
    return timings, facts


def timed(act: Callable[..., Any], *arguments: Any) -> float:
    """Milliseconds until something is done and the window has been drawn again."""
    started = time.perf_counter()
    act(*arguments)
    settle()
    return 1000 * (time.perf_counter() - started)


def settle() -> None:
    """Let the window do what it still has to do."""
    from qtpy.QtWidgets import QApplication

    for _ in range(3):
        QApplication.processEvents()


def whole(viewer: Any, section: Any) -> None:
    """Show the whole section with nothing selected."""
    section.select([])
    viewer.reset_view()


def applied(section: Any, name: str, *arguments: Any) -> None:
    """Do an edit, which must go well."""
    change = section.apply(lambda review: getattr(review, name)(*arguments))
    if change is None:
        raise SystemExit(f"{name} {arguments} failed on {section.review.folder}")


def close_pairs(review: Any) -> np.ndarray:
    """Pairs of neighbors whose outlines nearly touch, each fiber once."""
    contacts = review.saved.contacts
    near = contacts[contacts["gap_um"] < 3.0]
    chosen, taken = [], set()
    for a, b in near[["label", "neighbor"]].sample(frac=1.0, random_state=0).to_numpy():
        if a not in taken and b not in taken:
            chosen.append((a, b))
            taken |= {a, b}
    return np.array(chosen)


def across(review: Any, label: int) -> np.ndarray:
    """A line through the middle of a fiber, from one side to the other, (2, 2) in µm."""
    row = review.table[review.table["label"] == label].iloc[0]
    center = np.array([row["centroid_y_um"], row["centroid_x_um"]])
    half = 0.75 * row["max_feret_um"]
    angle = np.deg2rad(row["orientation_deg"])
    # the long axis lies along the orientation, so that this line lies across it
    across_axis = np.array([np.cos(angle), np.sin(angle)])
    along_axis = np.array([-np.sin(angle), np.cos(angle)])
    for axis in (across_axis, along_axis):
        line = np.stack([center - half * axis, center + half * axis])
        if _stays_inside(review, line):
            return line
    return line


def _stays_inside(review: Any, line: np.ndarray) -> bool:
    limits = np.array(review.labels.shape) * np.array(review.mpp)
    return bool((line > 0).all() and (line < limits).all())


if __name__ == "__main__":
    main()
