"""Speed and memory from file to tables, as a Markdown table.

``python benchmarks/speed.py`` draws a 1.5 mm field and sections of 0.1, 0.4 and 1.6 cm² in a
temporary folder, and analyzes each in a process of its own. ``--cases field,1.0`` chooses others.
``--compare FILE`` sets the speed against what an earlier run printed. Small sections are analyzed
twice: a further slide finds all loaded that is needed.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

FIELD_UM = 1500.0
AGAIN_UM2 = 1.1e7
"""Sections up to this area are analyzed a second time, when all that is needed is loaded."""
RESULT = "result.json"

SIDE_BY_SIDE = ("composition", "quality", "interior", "nuclei")
"""Steps that run at the same time within the stage "surroundings"."""

SPEED_GOAL = 0.8
"""Least speed against an earlier version."""


def main() -> None:
    """Parse; draw the sections; run each case in a fresh process; print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", default="field,0.1,0.4,1.6", help="'field' or areas in cm²")
    parser.add_argument("--model", default="muscle")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--stain", default="he")
    parser.add_argument("--preset", default="normal")
    parser.add_argument("--views", type=int, default=1, choices=[1, 2, 4])
    parser.add_argument("--block-um", type=float, default=2048.0, help="side of the drawn block")
    parser.add_argument("--forward-tiles", type=int, default=8, help="tiles timed, then scaled up")
    parser.add_argument("--folder", type=Path, help="keep sections and results here")
    parser.add_argument("--compare", type=Path, help="file with what an earlier run printed")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        measurement = measure(options.one, options)
        (options.folder / RESULT).write_text(json.dumps(measurement), encoding="utf-8")
        return
    if options.folder is not None:
        run(options, options.folder)
        return
    with tempfile.TemporaryDirectory(prefix="biopsy-ai-speed-") as folder:
        run(options, Path(folder))


def run(options: argparse.Namespace, folder: Path) -> None:
    """Measure every case and print the tables."""
    earlier = None if options.compare is None else options.compare.read_text(encoding="utf-8")
    folder.mkdir(parents=True, exist_ok=True)
    block = None
    results = []
    for case in options.cases.split(","):
        path = folder / (f"{case}.tif" if case == "field" else f"section_{case}_cm2.tif")
        if not path.exists():
            from pyramids import draw_block, section_shape, write_field, write_pyramid

            if block is None:
                block = draw_block(options.block_um, options.stain, options.preset)
            if case == "field":
                write_field(path, block, FIELD_UM)
            else:
                write_pyramid(path, block, section_shape(float(case)))
        out = folder / f"results_{path.stem}"
        out.mkdir(exist_ok=True)
        arguments = [
            *("--one", path, "--folder", out, "--model", options.model),
            *("--device", options.device, "--stain", options.stain),
            *("--forward-tiles", str(options.forward_tiles)),
            *("--views", str(options.views)),
        ]
        subprocess.run([sys.executable, __file__, *map(str, arguments)], check=True)
        results.append(json.loads((out / RESULT).read_text(encoding="utf-8")) | {"case": case})
        print(f"{case}: {results[-1]['seconds']:.1f} s", file=sys.stderr, flush=True)
    machine = f"{os.cpu_count()} cores; {results[0]['threads']} threads; {results[0]['device']}"
    print(f"{machine}\n")
    print(_table(results))
    print()
    print(_stage_table(results))
    if earlier is not None:
        if machine not in earlier:
            print(f"\nThe earlier run was not made with {machine}: the speeds do not compare.")
        print(f"\n{compare(_table(results), earlier)}")


def measure(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Analyze one section in this process and time it."""
    start = time.perf_counter()
    import torch

    from biopsy_ai import analyze, load_model
    from biopsy_ai.config import make_config

    config = make_config(
        stain=options.stain,
        model=options.model,
        device=options.device,
        segmentation={"views": options.views},
    )
    model = load_model(options.model)
    busy = count_seconds()
    ready = time.perf_counter()
    analysis = analyze(path, config, model=model)
    analyzed = time.perf_counter()
    analysis.save(options.folder / "tables")
    saved = time.perf_counter()
    peak = peak_bytes()
    provenance = analysis.summary["provenance"]
    shape, mpp = analysis.segmentation.labels.shape, analysis.segmentation.mpp
    within = dict(busy)
    again = None
    if math.prod(shape) * math.prod(mpp) <= AGAIN_UM2:
        before = time.perf_counter()
        with analyze(path, config, model=model) as second:
            second.save(options.folder / "again")
        again = time.perf_counter() - before
    forward, spared = forward_seconds(model, analysis, options.forward_tiles)
    return {
        "start_seconds": ready - start,
        "seconds": saved - ready,
        "again_seconds": again,
        "stages": provenance["seconds"] | {"save": saved - analyzed},
        "within": within,
        "n_fibers": len(analysis.fibers),
        "area_mm2": shape[0] * mpp[0] * shape[1] * mpp[1] / 1e6,
        "megapixels": shape[0] * shape[1] / 1e6,
        "peak_gib": peak / 2**30,
        "forward_seconds": forward,
        "spared_seconds": spared * int(provenance["segmentation"]["views"]),
        "threads": torch.get_num_threads(),
        "device": str(provenance["segmentation"].get("device", options.device)),
    }


def count_seconds() -> dict[str, float]:
    """Count the seconds spent in the parts of the segmentation, which run side by side."""
    from biopsy_ai.segmentation import maps, picture, predict

    busy: dict[str, float] = {}
    lock = threading.Lock()

    def watch(owner: Any, name: str, part: str) -> None:
        function = getattr(owner, name)

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                with lock:
                    busy[part] = busy.get(part, 0.0) + time.perf_counter() - start

        setattr(owner, name, timed)

    watch(picture.PictureReader, "read", "read")
    watch(maps.MapNetwork, "predict", "network")
    watch(predict, "window_fibers", "draw")
    watch(predict, "window_nuclei", "draw nuclei")
    return busy


def forward_seconds(model: Any, analysis: Any, n_timed: int) -> tuple[float, float]:
    """Time the network alone, on tiles of the sizes that the section was cut into.

    Time does not depend on what the tiles show, so noise is put through. `n_timed` tiles are
    timed after a warm-up, and the result is scaled to the pixels of all.

    Returns
    -------
    The seconds of its plain forward pass in floating point, and of one view as the run takes it:
    in whole numbers where the processor computes in them, and without the work on context that
    nobody looks at.
    """
    import torch

    from biopsy_ai.segmentation.device import choose_device
    from biopsy_ai.segmentation.maps import fastest_network
    from biopsy_ai.segmentation.tiles import Margins, cut_tiles
    from biopsy_ai.slides import tissue_mask

    settings, mpp = analysis.config.segmentation, model.working_mpp
    tissue = tissue_mask(analysis.slide)
    tiles = cut_tiles(
        analysis.slide.grid_shape(mpp),
        tissue.mask,
        tissue.mpp,
        mpp,
        settings.tile_px,
        settings.overlap_px,
    )
    timed = tiles[:: -(-len(tiles) // n_timed)]
    device = choose_device(analysis.config.device)
    plain = model.network(device), device.dtype, Margins()
    as_run = fastest_network(model, device)[:2]

    def forward(tile: Any, network: Any, dtype: Any, context: Any) -> None:
        noise = torch.rand(1, 3, *tile.input_shape).to(device.name, dtype)
        noise = noise.contiguous(memory_format=torch.channels_last)
        # Reading a number waits for an asynchronous device.
        network(noise, context).fibers[..., 0, 0].sum().item()

    spent = [0.0, 0.0]
    with torch.inference_mode():
        for tile in {(t.input_shape, t.context): t for t in timed}.values():
            forward(tile, *plain)
            forward(tile, *as_run, tile.context)
        for tile in timed:
            for k, way in enumerate((plain, (*as_run, tile.context))):
                start = time.perf_counter()
                forward(tile, *way)
                spent[k] += time.perf_counter() - start
    pixels, timed_pixels = (
        sum(math.prod(tile.input_shape) for tile in group) for group in (tiles, timed)
    )
    return spent[0] * pixels / timed_pixels, spent[1] * pixels / timed_pixels


def peak_bytes() -> int:
    """Largest resident memory of this process so far."""
    status = Path("/proc/self/status")
    if status.exists():
        # ru_maxrss of a new process starts at what its parent held; this line does not.
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _table(results: list[dict[str, Any]]) -> str:
    from tables import markdown

    header = (
        *("section", "mm²", "fibers", "s", "next slide, s"),
        *("fibers/s", "mm²/s", "megapixels/s", "s per mm²"),
        *("forward s", "run / forward", "forward as run s", "run / as run"),
        *("peak GiB", "start-up s"),
    )
    rows = []
    for r in results:
        seconds = r["seconds"]
        rows.append(
            (
                "1.5 mm field" if r["case"] == "field" else f"{r['case']} cm²",
                f"{r['area_mm2']:.2f}",
                str(r["n_fibers"]),
                f"{seconds:.1f}",
                "–" if r["again_seconds"] is None else f"{r['again_seconds']:.1f}",
                f"{r['n_fibers'] / seconds:.0f}",
                f"{r['area_mm2'] / seconds:.2f}",
                f"{r['megapixels'] / seconds:.2f}",
                f"{seconds / r['area_mm2']:.2f}",
                f"{r['forward_seconds']:.1f}",
                f"{seconds / r['forward_seconds']:.2f}",
                f"{r['spared_seconds']:.1f}",
                f"{seconds / r['spared_seconds']:.2f}",
                f"{r['peak_gib']:.2f}",
                f"{r['start_seconds']:.1f}",
            )
        )
    return markdown(header, rows)


def compare(now: str, earlier: str) -> str:
    """Markdown table: speed of each section in percent of that of an earlier run.

    Parameters
    ----------
    now, earlier
        Texts with the table of speed.
    """
    from tables import markdown, read_table, share

    before = {row["section"]: float(row["s per mm²"]) for row in read_table(earlier)}
    rows = []
    for row in read_table(now):
        if row["section"] in before:
            then, took = before[row["section"]], float(row["s per mm²"])
            met = "met" if then / took >= SPEED_GOAL else "not met"
            rows.append((row["section"], f"{then:.2f}", f"{took:.2f}", share(then / took, 0), met))
    goal = f"≥ {share(SPEED_GOAL, 0)}"
    return markdown(("section", "s per mm² before", "now", "speed of before", goal), rows)


def _stage_table(results: list[dict[str, Any]]) -> str:
    from tables import markdown

    stages = list(dict.fromkeys(stage for r in results for stage in r["stages"]))
    parts = list(dict.fromkeys(part for r in results for part in r["within"]))
    rows = []
    for r in results:
        whole = sum(s for stage, s in r["stages"].items() if stage not in SIDE_BY_SIDE)
        shares = [f"{100 * r['stages'].get(stage, 0) / whole:.0f} %" for stage in stages]
        inner = [f"{r['within'].get(part, 0):.1f}" for part in parts]
        rows.append((r["case"], *shares, *inner))
    return markdown(("share of time", *stages, *(f"{part}, busy s" for part in parts)), rows)


if __name__ == "__main__":
    main()
