"""A sample sheet in one run: each slide with its settings, then the blocks of serial sections."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from biopsy_ai.block_task import BlockOutcome, BlockTask, run_block, run_block_of
from biopsy_ai.cohort import analyze_many, write_page
from biopsy_ai.cohort_table import REGISTRATION_FILE, Outcome
from biopsy_ai.config import AnalysisConfig
from biopsy_ai.formats import output_folder
from biopsy_ai.parallel import Call, Ended, Workers, plan_workers
from biopsy_ai.progress import Progress
from biopsy_ai.result_names import SUMMARY_FILE
from biopsy_ai.run_record import Standing
from biopsy_ai.serial.sample_sheet import SampleSheet, read_sample_sheet

if TYPE_CHECKING:
    from biopsy_ai.segmentation import Model

__all__ = ["BLOCKS_STAGE", "BlockOutcome", "analyze_sheet"]

BLOCKS_STAGE = "blocks"
"""Stage under which `analyze_sheet` tells how many blocks are done."""


def analyze_sheet(
    sheet: SampleSheet | str | Path,
    out: str | Path,
    config: AnalysisConfig | None = None,
    *,
    model: Model | None = None,
    overwrite: bool = False,
    workers: int | None = 1,
    threads: int | None = None,
    scheduler: str | None = None,
    memory_limit: int | str | None = None,
    progress: Progress | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    on_block: Callable[[BlockOutcome], None] | None = None,
    on_standing: Callable[[Standing], None] | None = None,
) -> tuple[list[Outcome], list[BlockOutcome]]:
    """Analyze the slides of a sample sheet, and join the serial sections of each block.

    As `analyze_many`, but each slide with the settings of its row, and what the sheet says of it
    in cohort.csv. Then the sections of each block are laid on each other: ``out/<block>/`` gets
    fibers.csv with one row per fiber of the block, a picture of each pair, and registration.json.

    Parameters
    ----------
    sheet
        Of `read_sample_sheet`, or its path.
    out
        Folder for the results, made if missing.
    config
        Settings of the run; what a row says stands before them.
    model, overwrite, workers, threads, scheduler, memory_limit, progress, on_outcome, on_standing
        As in `analyze_many`.
    on_block
        Called after each block.

    Returns
    -------
    slides : list of Outcome
        One per row.
    blocks : list of BlockOutcome
        One per block of two sections and more.

    Raises
    ------
    ConfigError
        If the sheet cannot be used.
    ModelError, ClusterError, OutputError
        As in `analyze_many`.
    """
    if not isinstance(sheet, SampleSheet):
        sheet = read_sample_sheet(sheet)
    config = config or AnalysisConfig()
    out = Path(out)
    configs = [row.config(config) for row in sheet.rows]
    plan = plan_workers(
        len(sheet.rows),
        workers=workers,
        threads=threads,
        scheduler=scheduler,
        memory_limit=memory_limit,
    )
    with ExitStack() as stack:
        started: Workers | None = None
        if plan is not None:
            paths = [row.path for row in sheet.rows]
            started = stack.enter_context(Workers(plan, output_folder(out), paths))
        outcomes = analyze_many(
            [row.path for row in sheet.rows],
            out,
            config,
            configs=configs,
            notes=[row.notes for row in sheet.rows],
            model=model,
            overwrite=overwrite,
            workers=1 if started is None else started,
            progress=progress,
            on_outcome=on_outcome,
            on_standing=on_standing,
        )
        done = {
            row.line: (row, outcome, own)
            for row, outcome, own in zip(sheet.rows, outcomes, configs, strict=True)
        }
        taken = {outcome.folder.name.casefold() for outcome in outcomes if outcome.folder}
        tasks = [
            BlockTask(
                patient,
                name,
                _folder(out, patient, name, taken),
                [done[row.line] for row in rows],
                config,
                overwrite,
            )
            for (patient, name), rows in sheet.blocks().items()
        ]
        blocks = _run(tasks, started, progress, on_block)
    if blocks:
        # again, for the blocks were not there yet
        write_page(out)
    return outcomes, blocks


def _run(
    tasks: Sequence[BlockTask],
    workers: Workers | None,
    progress: Progress | None,
    on_block: Callable[[BlockOutcome], None] | None,
) -> list[BlockOutcome]:
    """Join blocks one after the other, or on workers."""
    joined: dict[int, BlockOutcome] = {}

    def tell() -> None:
        if progress is not None:
            progress(BLOCKS_STAGE, len(joined), len(tasks))

    def end(number: int, outcome: BlockOutcome) -> None:
        joined[number] = outcome
        if on_block is not None:
            on_block(outcome)

    def ended(number: int, ended: Ended) -> None:
        task = tasks[number]
        failed = BlockOutcome(task.patient, task.block, "failed", None, {}, ended.reason)
        end(number, failed if ended.value is None else ended.value)
        tell()

    if workers is None:
        for number, task in enumerate(tasks):
            tell()
            end(number, run_block(task, progress))
    elif tasks:
        tell()
        calls = [Call(f"block {task.name}", run_block_of, (task,)) for task in tasks]
        workers.run(calls, started=lambda number, worker: None, ended=ended, tick=lambda: None)
    return [joined[number] for number in range(len(tasks))]


def _folder(out: Path, patient: str, name: str, taken: set[str]) -> Path:
    """Choose a folder that is neither that of a slide nor of another block."""
    from biopsy_ai.serial.block_files import read_registration

    plain = re.sub(r'[<>:"/\\|?*\x00-\x1f]+', "_", name).strip(" .") or "block"
    person = re.sub(r'[<>:"/\\|?*\x00-\x1f]+', "_", patient).strip(" .")
    number = 0
    while True:
        number += 1
        tries = [plain, f"{person}_{plain}" if person else f"{plain}_block", f"{plain}_{number}"]
        folder = out / tries[min(number, 3) - 1]
        key = folder.name.casefold()
        if key in taken or (folder / SUMMARY_FILE).exists():
            continue
        found = read_registration(folder)
        own = (found.get("patient") or "", found.get("block")) == (patient, name)
        if (folder / REGISTRATION_FILE).exists() and not own:
            continue
        taken.add(key)
        return folder
