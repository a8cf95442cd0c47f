"""Options by which a run is shared out among workers."""

from __future__ import annotations

from typing import Annotated

import typer

WorkerCount = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        help="Processes that share the slides. By default 1 for fewer than four slides; else one "
        "for each core, from eight cores on for each two, but at most half as many as slides and "
        "none without 3 GB of memory. With --scheduler: how many of its workers to use, all by "
        "default. Example: --workers 4",
    ),
]

Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        metavar="N",
        help="Cores of each worker; by default an equal share of all. Example: --threads 2",
    ),
]

Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        metavar="ADDRESS",
        help="Let the workers of a Dask cluster do the work (docs/cluster.md). They need the same "
        "version of biopsy-ai, and must reach slides and results under the same paths. "
        "Example: --scheduler tcp://10.0.0.1:8786",
    ),
]

MemoryLimit = Annotated[
    str | None,
    typer.Option(
        "--memory-limit",
        metavar="SIZE",
        help="Memory of each worker, by default an equal share of all. A slide that needs more is "
        "tried once more, alone and with all memory, after the others. Example: --memory-limit 8GB",
    ),
]

Resume = Annotated[
    bool,
    typer.Option(
        "--resume/--overwrite",
        help="Skip slides whose results are complete and were made from the same image with the "
        "same settings, model and version (default), or analyze all of them again. What a person "
        "reviewed is left alone in any case. Example: biopsy-ai analyze slides/ --overwrite",
    ),
]
