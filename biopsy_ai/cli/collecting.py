"""``biopsy-ai collect``, which also ends a run of ``biopsy-ai analyze`` over several slides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from biopsy_ai.cli.json_lines import JsonLines, Log, LogFormat, json_lines, progress_on
from biopsy_ai.cli.progress import StageBars
from biopsy_ai.cli.reporting import EXIT_FAILED, Debug, command, say

FibersParquet = Annotated[
    bool,
    typer.Option(
        "--fibers-parquet/--no-fibers-parquet",
        help="Write fibers.parquet too, with the fibers of all slides; on if not given. "
        "Example: --no-fibers-parquet",
    ),
]


def collect(
    results: Annotated[
        Path,
        typer.Argument(
            metavar="RESULTS",
            help="Folder that analyze wrote (--out), with cohort.csv. Example: results",
        ),
    ],
    fibers_parquet: FibersParquet = True,
    seed: Annotated[
        int,
        typer.Option(
            "--seed",
            min=0,
            metavar="NUMBER",
            help="Draws the intervals; the same gives the same. Example: --seed 1",
        ),
    ] = 0,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print errors only. Example: --quiet")
    ] = False,
    log: Log = LogFormat.TEXT,
    debug: Debug = False,
) -> None:
    """Summarize the patients of a cohort, and put all its fibers in one table.

    Writes patients.csv, with one row per patient: blocks, sections and fibers, the verdicts of the
    sections, and each measure as the mean over blocks of means over sections, with an interval from
    a cluster bootstrap; and fibers.parquet, with one row per fiber of the whole cohort, for mixed
    models in R or Python. Patients and blocks are those of the sample sheet; a slide without is a
    patient of its own. Reviewed sections count as reviewed, failed ones are left out and named.
    Exit code: 0 all went well, 1 results of some slide are missing or damaged, 2 bad usage.
    """
    events = json_lines(log)
    with command(debug=debug, events=events):
        with progress_on(events, quiet=quiet) as bars:
            whole = write_tables(
                results, parquet=fibers_parquet, seed=seed, bars=bars, quiet=quiet, failed=True
            )
        if not whole:
            raise typer.Exit(EXIT_FAILED)


def write_tables(
    results: Path,
    *,
    parquet: bool,
    bars: JsonLines | StageBars,
    quiet: bool,
    failed: bool = False,
    seed: int = 0,
) -> bool:
    """Write the tables of a cohort, and tell of them.

    Parameters
    ----------
    results
        Folder of the run.
    parquet
        Whether to write fibers.parquet too.
    bars
        Where progress is shown, or events are written.
    quiet
        Tell only what is wrong.
    failed
        Name also the slides that failed in the run, which a run itself has told.
    seed
        For the intervals.

    Returns
    -------
    Whether the results of all slides that did not fail could be read.
    """
    from biopsy_ai.patients import collect

    written = collect(results, parquet=parquet, seed=seed, progress=bars)
    bars.close()
    for table, what in zip(written, ("patients", "fibers"), strict=False):
        if isinstance(bars, JsonLines):
            bars.write(
                "table",
                file=table.path,
                rows=table.n_rows,
                sections=table.n_sections,
                left_out=[str(slide) for slide in table.left_out],
            )
        elif not quiet:
            typer.echo(f"{table.n_rows} {what} ({table.n_sections} sections) -> {table.path}")
    if not isinstance(bars, JsonLines):
        for slide in written[0].failed if failed and not quiet else ():
            say(f"left out: {slide}")
        for slide in written[-1].unreadable:
            say(f"left out: {slide}")
    return not written[-1].unreadable
