"""Grouping of fiber types: false alarms, power and speed, as Markdown tables.

``python benchmarks/patterns.py`` takes a few minutes; ``--sections alarms,power,speed`` chooses.
The speed stands beside the join counts of esda where it is installed (``pip install esda``, which
brings libpysal), and beside plain loops, all in the same run.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import Delaunay, cKDTree
from tables import markdown, share

from biopsy_ai.measure.reference import DEFAULTS
from biopsy_ai.patterns.assortativity import assortativity, assortativity_interval
from biopsy_ai.patterns.contacts import Contacts, find_contacts
from biopsy_ai.patterns.join_counts import count_joins
from biopsy_ai.patterns.mosaic_statistics import MosaicStatistics, StatisticsOfMosaic
from biopsy_ai.patterns.permutation import measure_permuted, permutation_p
from biopsy_ai.patterns.type_grouping import find_type_grouping
from biopsy_ai.patterns.type_mosaic import TypeMosaic, read_mosaic
from biopsy_ai.synthesis.motor_units import denervate, grow_motor_units

LEVEL = 0.05
ALARMS_GOAL = 0.035, 0.065
POWER_GOAL = 0.95
SPEED_GOAL_S = 20.0

N_FIBERS = 600
FASCICLE = 9.0
"""Side of a fascicle in fibers."""

LOSSES = (0.0, 0.2, 0.4, 0.6, 0.8)
EXPECTED = {0.0: 0.0, 0.2: 0.064, 0.4: 0.15, 0.6: 0.27, 0.8: 0.49}
"""Assortativity among innervated fibers, capture 0.8 (criteria §4.8)."""


def main() -> None:
    """Parse, run the sections, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sections", default="alarms,power,speed")
    parser.add_argument("--mosaics", type=int, default=1000, help="random mosaics of each kind")
    parser.add_argument("--repeats", type=int, default=100, help="repeats of the motor-unit model")
    parser.add_argument("--permutations", type=int, default=499, help="of alarms and power")
    parser.add_argument("--fibers", type=int, default=20_000, help="fibers of the speed section")
    options = parser.parse_args()
    for section in options.sections.split(","):
        if section == "alarms":
            print(f"\n{alarms_table(options.mosaics, options.permutations)}")
        elif section == "power":
            print(f"\n{power_table(options.repeats, options.permutations)}")
        elif section == "speed":
            print(f"\n{speed_table(options.fibers)}")
        else:
            parser.error(f"no section {section!r}; there are alarms, power and speed")


# --- false alarms ---------------------------------------------------------------------------------


def alarms_table(n_mosaics: int, n_permutations: int) -> str:
    """How often the primary test rejects where types lie as chance has it."""
    rng = np.random.default_rng(3)
    centers, pairs = irregular_field(N_FIBERS, rng)
    fascicle, outer = square_fascicles(centers)
    within = pairs[fascicle[pairs[:, 0]] == fascicle[pairs[:, 1]]]
    n = len(centers)

    def whole(types: np.ndarray) -> TypeMosaic:
        return mosaic_of(pairs, types, np.ones(n, int), None)

    def of_fascicles(types: np.ndarray) -> TypeMosaic:
        return mosaic_of(within, types, fascicle, outer)

    kinds: dict[str, tuple[Callable[[np.ndarray], TypeMosaic], Callable[[], np.ndarray]]] = {
        "types at random, share of type I 20–80 %": (
            whole,
            lambda: np.full(n, rng.uniform(0.2, 0.8)),
        ),
        "type II enriched at the borders of fascicles": (
            of_fascicles,
            lambda: rng.uniform(0.35, 0.8) - 0.3 * rng.random() * outer,
        ),
        "fascicles of different shares": (
            of_fascicles,
            lambda: rng.uniform(0.25, 0.75, fascicle.max() + 1)[fascicle],
        ),
    }
    rows = []
    for title, (build, chances) in kinds.items():
        p, unstratified = [], []
        for _ in range(n_mosaics):
            types = rng.random(n) < chances()
            mosaic = build(types)
            p.append(primary_p(mosaic, n_permutations, rng))
            unstratified.append(primary_p(mosaic, n_permutations, rng, stratified=False))
        alarms = float(np.mean(np.array(p) <= LEVEL))
        met = "met" if ALARMS_GOAL[0] <= alarms <= ALARMS_GOAL[1] else "not met"
        naive = float(np.mean(np.array(unstratified) <= LEVEL))
        rows.append([title, f"{n_mosaics}", share(alarms), share(naive), met])
    header = ("mosaics", "n", "rejected at 5 %", "without strata", "goal 3.5–6.5 %")
    return markdown(header, rows)


def primary_p(
    mosaic: TypeMosaic, n_permutations: int, rng: np.random.Generator, *, stratified: bool = True
) -> float:
    """P of the primary test."""
    statistics = StatisticsOfMosaic(mosaic, DEFAULTS["wide_contact_share"])
    codes = mosaic.is_type_i.astype(np.int8)
    strata = mosaic.strata if stratified else np.zeros(len(codes), int)
    permuted = MosaicStatistics.from_columns(
        measure_permuted(statistics, codes, strata, n_permutations, rng, chunk=n_permutations)
    )
    observed = MosaicStatistics.from_columns(statistics(codes[:, None]))
    return permutation_p(float(observed.joins[0]), permuted.joins, tail="less")


# --- power and effect -----------------------------------------------------------------------------


def power_table(n_repeats: int, n_permutations: int) -> str:
    """The motor-unit model: what is rejected, and the assortativity that is reported."""
    rng = np.random.default_rng(1)
    _, pairs = irregular_field(N_FIBERS, rng)
    n = int(pairs.max()) + 1
    rows = []
    for lost in LOSSES:
        p, values, innervated, intervals = [], [], [], []
        for _ in range(n_repeats):
            units, is_type_i = grow_motor_units(pairs, n, 40, 0.5, rng)
            units, atrophic = denervate(pairs, units, lost, 0.8, rng, n_units=40)
            types = is_type_i[units]
            p.append(primary_p(mosaic_of(pairs, types, np.ones(n, int), None), n_permutations, rng))
            values.append(assortativity(pairs, types.astype(int)))
            intervals.append(assortativity_interval(pairs, types)[:2])
            kept = pairs[~atrophic[pairs].any(axis=1)]
            innervated.append(assortativity(kept, types.astype(int)))
        low, high = np.array(intervals).T
        true = float(np.mean(values))
        power = float(np.mean(np.array(p) <= LEVEL))
        goal = "–" if lost != 0.4 else ("met" if power >= POWER_GOAL else "not met")
        rows.append(
            [
                share(lost, 0),
                f"{true:.3f} ± {np.std(values):.3f}",
                share(float(np.mean((low <= true) & (true <= high)))),
                f"{np.nanmean(innervated):.3f}",
                f"{EXPECTED[lost]:.3f}",
                share(power),
                goal,
            ]
        )
    header = (
        "motor units lost (capture 0.8)",
        "assortativity, all fibers",
        "covered by the 95 % interval",
        "innervated fibers",
        "criteria §4.8",
        "rejected at 5 %",
        "goal ≥ 95 % at 40 %",
    )
    return f"{N_FIBERS} fibers, {n_repeats} repeats\n\n{markdown(header, rows)}"


# --- speed ----------------------------------------------------------------------------------------


def speed_table(n_fibers: int, n_permutations: int = 4999) -> str:
    """Seconds for the graph and all statistics, and for the joins alone in other ways."""
    rng = np.random.default_rng(2)
    labels, table = draw_section(n_fibers, rng)
    contacts, graph_s = timed(lambda: find_contacts(labels, (1.0, 1.0), table))
    types = rng.random(len(table)) < 0.45
    table["type"] = np.where(types, "I", np.where(rng.random(len(table)) < 0.5, "IIA", "IIX"))
    _, all_s = timed(lambda: find_type_grouping(contacts, table, n_permutations=n_permutations))
    mosaic = read_mosaic(contacts, table)
    codes = mosaic.is_type_i.astype(np.int8)
    statistics = StatisticsOfMosaic(mosaic, DEFAULTS["wide_contact_share"])
    _, joins_s = timed(
        lambda: measure_permuted(statistics, codes, mosaic.strata, n_permutations, rng)
    )
    both = graph_s + all_s
    rows = [
        _row("contact graph", graph_s, "measured"),
        _row(f"all statistics, {n_permutations} permutations", all_s, "measured"),
        _row("both", both, "met" if both[0] < SPEED_GOAL_S else "not met"),
        _row("joins and enclosed fibers alone", joins_s, "measured"),
    ]
    first, second = mosaic.pairs.T

    def in_numpy() -> None:
        for _ in range(20):
            dealt = rng.permutation(codes)
            np.count_nonzero(dealt[first] != dealt[second])

    listed, edges = codes.tolist(), mosaic.pairs.tolist()

    def in_plain_loops() -> None:
        for _ in range(2):
            rng.shuffle(listed)
            sum(listed[a] != listed[b] for a, b in edges)

    title = "joins, a loop over permutations in numpy"
    rows.append(_row(title, timed(in_numpy)[1] / 20 * n_permutations, "20, scaled up"))
    loops_s = timed(in_plain_loops)[1] / 2 * n_permutations
    rows.append(_row("joins, plain loops", loops_s, "2, scaled up"))
    rows.append(_esda_row(mosaic, n_permutations))
    sizes = f"{len(mosaic.labels)} fibers, {len(mosaic.pairs)} contacts, {os.cpu_count()} cores"
    header = ("what", "seconds", "of processor", f"goal: both < {SPEED_GOAL_S:.0f} s")
    return f"{sizes}\n\n{markdown(header, rows)}"


def timed(work: Callable[[], Any]) -> tuple[Any, np.ndarray]:
    """What work gives, and the seconds of the clock and of all processors that it takes."""
    clock, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, np.array([time.perf_counter() - clock, time.process_time() - processor])


def _row(title: str, seconds: np.ndarray, note: str) -> list[str]:
    return [title, f"{seconds[0]:.1f}", f"{seconds[1]:.1f}", note]


def _esda_row(mosaic: TypeMosaic, n_permutations: int, few: int = 20) -> list[str]:
    """Time the join counts of esda on the same graph; they must be the same."""
    try:
        from esda import Join_Counts
        from libpysal.graph import Graph
    except ImportError:
        return ["joins, esda", "–", "–", "not installed: pip install esda"]
    # it knows no nodes without an edge
    linked, pairs = np.unique(mosaic.pairs, return_inverse=True)
    pairs = pairs.reshape(-1, 2)
    ends = np.concatenate([pairs, pairs[:, ::-1]])
    graph = Graph.from_arrays(ends[:, 0], ends[:, 1], np.ones(len(ends)))
    codes = mosaic.is_type_i[linked].astype(int)
    theirs, once = timed(lambda: Join_Counts(codes, graph, permutations=0))
    _, more = timed(lambda: Join_Counts(codes, graph, permutations=few))
    ours = count_joins(pairs, codes, 2)
    same = (theirs.ww, theirs.bw, theirs.bb) == (ours[0, 0], ours[0, 1], ours[1, 1])
    note = f"{few}, scaled up; the same joins" if same else "OTHER JOINS"
    seconds = once + np.maximum(more - once, 0) / few * n_permutations
    return _row("joins, esda", seconds, note)


# --- sections -------------------------------------------------------------------------------------


def irregular_field(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Centers of a jittered hexagonal lattice, one unit apart, and its contacts."""
    rows = round(np.sqrt(n * 2 / np.sqrt(3)))
    y, x = np.indices((rows, round(n / rows)))
    centers = np.column_stack([(y * np.sqrt(3) / 2).ravel(), (x + 0.5 * (y % 2)).ravel()])
    centers += rng.normal(0, 0.15, centers.shape)
    corners = Delaunay(centers).simplices
    pairs = np.sort(np.vstack([corners[:, :2], corners[:, 1:], corners[:, ::2]]), axis=1)
    pairs = np.unique(pairs, axis=0).astype(np.int64)
    # the hull is closed by long edges
    return centers, pairs[np.hypot(*(centers[pairs[:, 0]] - centers[pairs[:, 1]]).T) < 1.8]


def square_fascicles(centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fascicle of each fiber, from 1, and whether it touches perimysium."""
    cell = (centers // FASCICLE).astype(int)
    rest = centers % FASCICLE
    outer = np.minimum(rest, FASCICLE - rest).min(axis=1) < 0.8
    return np.unique(cell, axis=0, return_inverse=True)[1].ravel() + 1, outer


def mosaic_of(
    pairs: np.ndarray, types: np.ndarray, fascicle: np.ndarray, outer: np.ndarray | None
) -> TypeMosaic:
    """Mosaic of complete fibers of two types."""
    n = len(types)
    some = np.zeros(len(pairs))
    contacts = Contacts(np.arange(1, n + 1), pairs, some, some, some, np.ones(n, bool))
    table = pd.DataFrame({"label": contacts.labels, "type": np.where(types, "I", "II")})
    table["fascicle"] = fascicle
    if outer is not None:
        table["layer"] = np.where(outer, 1, 2)
    return read_mosaic(contacts, table)


def draw_section(n: int, rng: np.random.Generator) -> tuple[np.ndarray, pd.DataFrame]:
    """Label image of a section of at least n fibers of 50 µm at 1 µm/px, and its fiber table."""
    side, across = 500, 10
    y, x = np.indices((across, across))
    centers = np.column_stack([y.ravel(), (x + 0.5 * (y % 2)).ravel()]) * side / across
    centers = (centers + rng.normal(0, 6, centers.shape)) % side
    points = np.indices((side, side)).reshape(2, -1).T + 0.5
    distance, nearest = cKDTree(centers, boxsize=side).query(points, k=2)
    # a block is repeated, and a cell at its edge may belong to a fiber of the next
    away = np.round((points - centers[nearest[:, 0]]) / side).astype(np.int64)
    gap = (distance[:, 1] - distance[:, 0] < 2).reshape(side, side)
    blocks = int(np.ceil(np.sqrt(n) / across))
    labels = np.zeros((side * blocks, side * blocks), np.int32)
    for row, column in np.ndindex(blocks, blocks):
        owner = (row + 1 + away[:, 0]) * (blocks + 2) + column + 1 + away[:, 1]
        part = (owner * across**2 + nearest[:, 0] + 1).reshape(side, side)
        part[gap] = 0
        labels[row * side : (row + 1) * side, column * side : (column + 1) * side] = part
    number = np.bincount(labels.ravel()) > 0
    number[0] = False
    total = int(np.count_nonzero(number))
    labels = np.where(number, np.cumsum(number), 0).astype(np.int32)[labels]
    area = np.bincount(labels.ravel(), minlength=total + 1)[1:].astype(float)
    table = pd.DataFrame({"label": np.arange(1, total + 1), "area_um2": area})
    table["min_feret_um"] = np.sqrt(area)
    table["perimeter_um"] = 3.8 * np.sqrt(area)
    at_border = np.unique(np.concatenate([labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel()]))
    table["touches_border"] = table["label"].isin(at_border)
    table["fascicle"] = 1
    return labels, table


if __name__ == "__main__":
    main()
