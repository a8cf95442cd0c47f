"""Many sections in one run: each on its own, finished ones not repeated."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biopsy_ai.cohort_table import (
    COHORT_FILE,
    Outcome,
    cohort_table,
    page_entries,
    read_cohort,
    write_cohort,
)
from biopsy_ai.config import AnalysisConfig
from biopsy_ai.errors import ConfigError, OutputError
from biopsy_ai.formats import output_folder
from biopsy_ai.formats.files import remove_unfinished
from biopsy_ai.formats.tables import printable
from biopsy_ai.parallel import Call, Ended, WorkerPlan, Workers, plan_workers
from biopsy_ai.parallel.peak_memory import PeakMemory
from biopsy_ai.progress import Progress
from biopsy_ai.provenance import text_sha256
from biopsy_ai.result_folders import choose_folders
from biopsy_ai.run_lock import alone_in
from biopsy_ai.run_record import RUN_FILE, RunRecord, Standing
from biopsy_ai.slide_task import ModelName, SlideTask, run_slide, run_slide_of

if TYPE_CHECKING:
    import pandas as pd

    from biopsy_ai.segmentation import Model

log = logging.getLogger(__name__)

SLIDES_STAGE = "slides"
"""Stage under which `analyze_many` tells how many slides are done."""

TABLE_SHARE = 0.02
"""Share of the time of a run on several workers that may go into writing cohort.csv. [default]"""


def analyze_folder(
    folder: str | Path,
    out: str | Path,
    config: AnalysisConfig | None = None,
    **options: Any,
) -> list[Outcome]:
    """Analyze every slide in a folder; `options` are those of `analyze_many`.

    Raises
    ------
    SlideReadError
        If the folder holds no slide.
    """
    from biopsy_ai.slides import find_slides

    return analyze_many(find_slides(folder), out, config, **options)


def analyze_many(
    slides: Sequence[str | Path],
    out: str | Path,
    config: AnalysisConfig | None = None,
    *,
    fibers: str | Path | None = None,
    types: str | Path | None = None,
    configs: Sequence[AnalysisConfig] | None = None,
    notes: Sequence[Mapping[str, str]] | None = None,
    model: Model | None = None,
    overwrite: bool = False,
    workers: int | Workers | None = 1,
    threads: int | None = None,
    scheduler: str | None = None,
    memory_limit: int | str | None = None,
    progress: Progress | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
    on_standing: Callable[[Standing], None] | None = None,
) -> list[Outcome]:
    """Analyze slides: ``out/<slide name>/``, cohort.csv, cohort.html and run.json.

    A slide that cannot be analyzed is recorded with the reason and does not stop the others.
    A slide whose results are all there, made from the same image with the same settings,
    weights and version, is skipped, and one whose results a person reviewed is left alone.

    Parameters
    ----------
    slides
        Paths of the slides. Empty to measure `fibers` alone.
    out
        Folder for the results, made if missing.
    config
        Settings for all slides.
    fibers
        Outlines to measure instead of segmenting; only with at most one slide.
    types
        Table of fiber types to take instead of reading them off the stain; only with one section.
    configs
        Settings of each slide, in place of `config` but for the model. What contradicts a slide
        then fails that slide alone.
    notes
        What is known of each slide, to stand in cohort.csv.
    model
        A loaded model; loaded by ``config.model`` if ``None``.
    overwrite
        Analyze again what is already there, but for what a person reviewed.
    workers
        1 to analyze one slide after the other in this process. Else how many processes share the
        slides, or ``None`` to decide that by cores, memory and slides. A script that uses more
        than one must keep what it does under ``if __name__ == "__main__":``. Results do not
        depend on it.
    threads
        Cores of each worker; an equal share of all if ``None``.
    scheduler
        Address of a Dask scheduler whose workers do the work, such as ``tcp://10.0.0.1:8786``.
    memory_limit
        Memory of each worker, in bytes or as ``"8GB"``. A slide that needs more is tried once
        more with all memory, after the others.
    progress
        Called as ``progress(stage, done, total)``; it may raise `Cancelled`, which ends the run.
        From other processes only the number of slides is told.
    on_outcome
        Called after each slide.
    on_standing
        Called with how far the run is: after each slide, and with several workers often.

    Returns
    -------
    One `Outcome` per slide, in the order given.

    Raises
    ------
    ConfigError
        If there is nothing to analyze, or one file of outlines or types for several slides.
    ModelError
        If the model cannot be loaded.
    ClusterError
        If workers cannot be started or reached, or do not fit.
    OutputError
        If `out` cannot be written, another run is going on there, or cohort.csv still cannot be
        written after the last slide.
    """
    config = config or AnalysisConfig()
    out = Path(out)
    paths = _distinct(slides)
    for several in (configs, notes):
        if several is not None and not len(several) == len(slides) == len(paths):
            raise ConfigError("settings and notes of each slide need each slide once")
    for file, what in ((fibers, "outlines"), (types, "fiber types")):
        if file is not None and len(paths) > 1:
            raise ConfigError(f"{file}: one file of {what} fits one slide, not {len(paths)}")
    if fibers is None and not paths:
        raise ConfigError("nothing to analyze: give slides or a file with fiber outlines")
    plan: WorkerPlan | None
    if isinstance(workers, Workers):
        plan = workers.plan
    else:
        plan = plan_workers(
            len(paths),
            workers=workers,
            threads=threads,
            scheduler=scheduler,
            memory_limit=memory_limit,
        )
    output_folder(out)
    if paths and model is None:
        from biopsy_ai.segmentation import load_model

        model = load_model(config.model, check=plan is None)

    with alone_in(out):
        outlines = None if fibers is None else Path(fibers)
        sources = paths or [Path(str(fibers))]
        every_note = notes or [{} for _ in sources]
        tasks = [
            SlideTask(
                path=source if paths else None,
                folder=folder,
                config=configs[number] if configs is not None else config,
                own_settings=configs is not None,
                fibers=outlines,
                types=None if types is None else Path(types),
                codes=_codes(every_note[number]),
                overwrite=overwrite,
            )
            for number, (source, folder) in enumerate(
                zip(sources, choose_folders(sources, out, outlines=not paths), strict=True)
            )
        ]
        about = {"workers": 1} if plan is None else vars(plan)
        record = RunRecord(out / RUN_FILE, sources, dict(about))
        run = _Run(
            out, record, every_note, progress, on_outcome, on_standing, spare=plan is not None
        )
        with run.recorded():
            if plan is None:
                run.here(tasks, model)
            elif isinstance(workers, Workers):
                run.on_workers(tasks, model, config, workers)
            else:
                run.tell(0)
                with Workers(plan, out, paths) as started:
                    run.on_workers(tasks, model, config, started)
        return run.ended()


class _Run:
    """One run over slides: what became of them so far, told, counted and written down."""

    def __init__(
        self,
        out: Path,
        record: RunRecord,
        notes: Sequence[Mapping[str, str]],
        progress: Progress | None,
        on_outcome: Callable[[Outcome], None] | None,
        on_standing: Callable[[Standing], None] | None,
        *,
        spare: bool,
    ) -> None:
        self._out, self._record, self._notes = out, record, notes
        self._progress, self._on_outcome, self._on_standing = progress, on_outcome, on_standing
        self._spare = spare
        self._earlier = read_cohort(out / COHORT_FILE)
        self._outcomes: dict[int, Outcome] = {}
        self._table_is_due = 0.0
        self._is_behind = self._table_failed = False
        self._all_written = True

    @property
    def outcomes(self) -> list[Outcome]:
        """What became of the slides that have ended, in their order."""
        return [self._outcomes[number] for number in sorted(self._outcomes)]

    def tell(self, number: int) -> None:
        """Say how many slides have ended, and stop here if asked to."""
        if self._progress is not None:
            self._progress(SLIDES_STAGE, number, len(self._notes))

    def here(self, tasks: Sequence[SlideTask], model: Model | None) -> None:
        """Analyze one slide after the other in this process."""
        for number, task in enumerate(tasks):
            self.tell(number)
            self._record.started(number)
            with PeakMemory() as memory:
                outcome = run_slide(task, model, self._progress)
            self._end(number, outcome, memory.bytes, 1)

    def on_workers(
        self,
        tasks: Sequence[SlideTask],
        model: Model | None,
        config: AnalysisConfig,
        workers: Workers,
    ) -> None:
        """Analyze slides on several workers."""
        named = None
        if model is not None:
            # a bundled model is known by its name everywhere, others by their folder
            bundled = model.name == config.model
            name = model.name if bundled else str(model.folder.resolve())
            named = ModelName(name, model.weights_sha256, text_sha256(model.spec))
        calls = [Call(task.source.name, run_slide_of, (task, named)) for task in tasks]

        def ended(number: int, end: Ended) -> None:
            if end.value is None:
                source = tasks[number].source
                outcome = Outcome(source, "failed", None, {}, printable(end.reason), end.seconds)
                remove_unfinished(tasks[number].folder)
            else:
                outcome = end.value
            self._end(number, outcome, end.peak_bytes, end.attempts)
            self.tell(len(self._outcomes))

        def tick() -> None:
            self._record.write()
            self._tick()

        try:
            workers.run(calls, started=self._record.started, ended=ended, tick=tick)
        except BaseException:
            for task in tasks:
                remove_unfinished(task.folder)
            raise

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Write the page of all slides when they have ended, and that they have."""
        state = "stopped"
        try:
            yield
            state = "finished"
        finally:
            # once and not after each slide: it holds a picture of every one
            if self._is_behind:
                self._try_write_table(at_once=True)
            page = not self._outcomes or _try_write_page(self.outcomes, self._out, self._earlier)
            self._all_written = self._record.write(ended=state) and not self._table_failed and page

    def ended(self) -> list[Outcome]:
        """Give all outcomes, after a last try to write what could not be written.

        Raises
        ------
        OutputError
        """
        if not self._all_written:
            try:
                write_cohort(self.outcomes, self._out / COHORT_FILE, earlier=self._earlier)
                write_page(self._out, cohort_table(self.outcomes, self._earlier))
            except OutputError as error:
                raise OutputError(
                    f"{error} Then repeat the command: finished slides are not analyzed again."
                ) from error
            self._record.write(ended="finished")
        remove_unfinished(self._out)
        return self.outcomes

    def _end(self, number: int, outcome: Outcome, peak_bytes: int, attempts: int) -> None:
        outcome = replace(outcome, notes=self._notes[number])
        self._outcomes[number] = outcome
        self._record.ended(number, outcome, peak_bytes, attempts)
        self._try_write_table(at_once=not self._spare)
        if self._on_outcome is not None:
            self._on_outcome(outcome)
        self._tick()

    def _tick(self) -> None:
        if self._on_standing is not None:
            self._on_standing(self._record.standing)

    def _try_write_table(self, *, at_once: bool) -> None:
        """Write cohort.csv, or go on without: on Windows Excel keeps it from being replaced."""
        start = time.monotonic()
        self._is_behind = not at_once and start < self._table_is_due
        if self._is_behind:
            return
        try:
            write_cohort(self.outcomes, self._out / COHORT_FILE, earlier=self._earlier)
            self._table_failed = False
        except OutputError as error:
            log.warning("%s It is tried again after the next slide.", error)
            self._table_failed = True
        end = time.monotonic()
        self._table_is_due = end + (end - start) / TABLE_SHARE


def write_page(out: str | Path, table: pd.DataFrame | None = None) -> None:
    """Write cohort.html: all slides and blocks whose results stand in a folder.

    Parameters
    ----------
    out
        Folder of the run.
    table
        As cohort.csv; read from there if ``None``.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    from biopsy_ai.report.cohort_page import COHORT_PAGE, write_cohort_page

    out = Path(out)
    if table is None:
        table = read_cohort(out / COHORT_FILE)
    write_cohort_page(out / COHORT_PAGE, [] if table is None else page_entries(table, out))


def _try_write_page(outcomes: Sequence[Outcome], out: Path, earlier: pd.DataFrame | None) -> bool:
    try:
        write_page(out, cohort_table(outcomes, earlier))
    except OutputError as error:
        log.warning("%s", error)
        return False
    return True


def _distinct(slides: Sequence[str | Path]) -> list[Path]:
    paths: dict[Path, Path] = {}
    for slide in slides:
        paths.setdefault(Path(slide).resolve(), Path(slide))
    return list(paths.values())


def _codes(notes: Mapping[str, str]) -> dict[str, str]:
    """Codes of patient and block, where a sample sheet gives them, as the report shows them."""
    return {name: printable(notes[name]) for name in ("patient", "block") if notes.get(name)}
