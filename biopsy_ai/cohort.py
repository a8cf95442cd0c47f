"""Many sections in one run: each on its own, finished ones not repeated."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biopsy_ai.checksum import file_sha256
from biopsy_ai.cohort_table import (
    COHORT_FILE,
    REGISTRATION_FILE,
    Outcome,
    cohort_table,
    page_entries,
    read_cohort,
    reviewed_outcome,
    write_cohort,
)
from biopsy_ai.config import AnalysisConfig
from biopsy_ai.errors import (
    BiopsyError,
    Cancelled,
    ConfigError,
    OutlineReadError,
    OutputError,
    SlideReadError,
    TypesReadError,
)
from biopsy_ai.formats import output_folder
from biopsy_ai.formats.tables import printable
from biopsy_ai.opening import open_hashed, outlines_name
from biopsy_ai.outlining import model_in_use
from biopsy_ai.pipeline import analyze
from biopsy_ai.progress import Progress
from biopsy_ai.provenance import identity
from biopsy_ai.report.save import is_complete
from biopsy_ai.review.results import summary_in

if TYPE_CHECKING:
    import pandas as pd

    from biopsy_ai.segmentation import Model
    from biopsy_ai.slides import Slide

log = logging.getLogger(__name__)

SLIDES_STAGE = "slides"
"""Stage under which `analyze_many` tells how many slides are done."""


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
    progress: Progress | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Analyze slides one after the other: ``out/<slide name>/``, cohort.csv and cohort.html.

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
    progress
        Called as ``progress(stage, done, total)``; it may raise `Cancelled`, which ends the run.
    on_outcome
        Called after each slide.

    Returns
    -------
    One `Outcome` per slide, in the order given.

    Raises
    ------
    ConfigError
        If there is nothing to analyze, or one file of outlines or types for several slides.
    ModelError
        If the model cannot be loaded.
    OutputError
        If `out` cannot be written, or cohort.csv still cannot be written after the last slide.
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
    output_folder(out)
    if paths and model is None:
        from biopsy_ai.segmentation import load_model

        model = load_model(config.model)

    given = _Given(*(None if file is None else Path(file) for file in (fibers, types)))
    run = _Run(out, config, given, model, overwrite, progress)
    sources: Sequence[Path | None] = paths or [None]
    outcomes: list[Outcome] = []
    earlier = read_cohort(out / COHORT_FILE)
    try:
        for number, source in enumerate(sources):
            if progress is not None:
                progress(SLIDES_STAGE, number, len(sources))
            noted = {} if notes is None else notes[number]
            outcome = run.one(source, None if configs is None else configs[number], noted)
            outcomes.append(replace(outcome, notes=noted))
            written = _try_write_cohort(outcomes, out / COHORT_FILE, earlier)
            if on_outcome is not None:
                on_outcome(outcomes[-1])
    finally:
        # once and not after each slide: it holds a picture of every one
        shown = not outcomes or _try_write_page(outcomes, out, earlier)
    if not (written and shown):
        try:
            write_cohort(outcomes, out / COHORT_FILE, earlier=earlier)
            write_page(out, cohort_table(outcomes, earlier))
        except OutputError as error:
            raise OutputError(
                f"{error} Then repeat the command: finished slides are not analyzed again."
            ) from error
    return outcomes


def _try_write_cohort(
    outcomes: Sequence[Outcome], path: Path, earlier: pd.DataFrame | None
) -> bool:
    """Write the table, or go on without: on Windows it cannot be replaced while Excel shows it."""
    try:
        write_cohort(outcomes, path, earlier=earlier)
    except OutputError as error:
        log.warning("%s It is tried again after the next slide.", error)
        return False
    return True


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


@dataclass(frozen=True)
class _Given:
    """Files that the user gives along with a slide."""

    fibers: Path | None
    types: Path | None


class _Run:
    """One run over slides: its settings and the result folders given out so far."""

    def __init__(
        self,
        out: Path,
        config: AnalysisConfig,
        given: _Given,
        model: Model | None,
        overwrite: bool,
        progress: Progress | None,
    ) -> None:
        self.out = out
        self.config = config
        self.given = given
        self.model = model
        self.overwrite = overwrite
        self.progress = progress
        self.given_out: set[str] = set()

    def one(
        self,
        path: Path | None,
        config: AnalysisConfig | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Analyze one slide, or the outlines alone if `path` is ``None``."""
        start = time.perf_counter()
        source = path or self.given.fibers
        assert source is not None
        try:
            outcome = self._analyze(source, path, config or self.config, _codes(notes or {}))
        except Cancelled:
            raise
        except BiopsyError as error:
            if isinstance(error, ConfigError) and config is None:
                raise
            log.debug("%s failed", source, exc_info=True)
            outcome = Outcome(source, "failed", None, {}, printable(str(error)))
        except Exception as error:
            log.exception("%s failed unexpectedly", source)
            reason = f"{source}: unexpected error ({type(error).__name__}: {error})"
            outcome = Outcome(source, "failed", None, {}, printable(reason))
        seconds = time.perf_counter() - start
        return Outcome(**{**vars(outcome), "seconds": seconds})

    def _analyze(
        self, source: Path, path: Path | None, config: AnalysisConfig, codes: dict[str, str]
    ) -> Outcome:
        with ExitStack() as stack:
            slide: Slide | None = None
            if path is not None:
                _refuse_folder(path)
                slide = stack.enter_context(open_hashed(path, config, self.progress))
            decisive = self._identity(slide, config)
            name = outlines_name(source) if slide is None else slide.name
            folder = self._folder(name, source, decisive)
            if (reviewed := reviewed_outcome(source, folder)) is not None:
                return reviewed
            found = summary_in(folder)
            same = _agrees(found, decisive) and _has_codes(found, codes)
            if not self.overwrite and same and is_complete(folder, found):
                return Outcome(source, "skipped", folder, found, "same result already there")
            analysis = stack.enter_context(
                analyze(
                    slide,
                    config,
                    fibers=self.given.fibers,
                    types=self.given.types,
                    model=self.model,
                    progress=self.progress,
                )
            )
            if codes:
                analysis.summary["specimen"] = codes
            analysis.save(folder, progress=self.progress)
            return Outcome(source, "ok", folder, analysis.summary)

    def _identity(self, slide: Slide | None, config: AnalysisConfig) -> dict[str, Any]:
        from biopsy_ai.score import load_evidence

        return identity(
            config,
            image_sha256=None if slide is None else slide.sha256(),
            outlines_sha256=_hash_given(self.given.fibers, OutlineReadError),
            types_sha256=_hash_given(self.given.types, TypesReadError),
            model=None
            if slide is None
            else model_in_use(self.model, outlined=self.given.fibers is not None),
            evidence_sha256=load_evidence(config.evidence).sha256,
        )

    def _folder(self, name: str, source: Path, decisive: dict[str, Any]) -> Path:
        """Choose ``name``, ``name_2``, ... so that two slides of one name keep both results."""
        number = 1
        while True:
            folder = self.out / (name if number == 1 else f"{name}_{number}")
            # Windows and macOS take X and x for the same folder.
            key = folder.name.casefold()
            if key not in self.given_out and _belongs(folder, source, decisive):
                self.given_out.add(key)
                return folder
            number += 1


def _distinct(slides: Sequence[str | Path]) -> list[Path]:
    paths: dict[Path, Path] = {}
    for slide in slides:
        paths.setdefault(Path(slide).resolve(), Path(slide))
    return list(paths.values())


def _refuse_folder(path: Path) -> None:
    """Tell what keeps a folder from being a slide, or from holding any."""
    from biopsy_ai.slides import find_slides

    try:
        if path.is_dir():
            find_slides(path)
    except OSError as error:
        reason = error.strerror or error
        raise SlideReadError(f"{path}: cannot be read ({reason}).") from error


def _hash_given(path: Path | None, kind: type[BiopsyError]) -> str | None:
    try:
        return None if path is None else file_sha256(path)
    except OSError as error:
        raise kind(f"{path}: cannot be read ({error.strerror or error})") from error


def _provenance(summary: dict[str, Any]) -> dict[str, Any]:
    provenance = summary.get("provenance")
    return provenance if isinstance(provenance, dict) else {}


def _agrees(summary: dict[str, Any], decisive: dict[str, Any]) -> bool:
    made_by = _provenance(summary)
    return bool(made_by) and all(made_by.get(key) == value for key, value in decisive.items())


def _codes(notes: Mapping[str, str]) -> dict[str, str]:
    """Codes of patient and block, where a sample sheet gives them, as the report shows them."""
    return {name: printable(notes[name]) for name in ("patient", "block") if notes.get(name)}


def _has_codes(summary: dict[str, Any], codes: dict[str, str]) -> bool:
    """Whether the report shows these codes; without any, those of an earlier run may stay."""
    return not codes or summary.get("specimen") == codes


def _belongs(folder: Path, source: Path, decisive: dict[str, Any]) -> bool:
    """Whether results come from this slide: it may have been changed, or moved, but not both."""
    summary = summary_in(folder)
    if not summary:
        # a block of serial sections may have the name of a slide
        return not (folder / REGISTRATION_FILE).exists()
    made_by = _provenance(summary)
    file = made_by.get("image_file") or made_by.get("outlines_file")
    if file == printable(str(source.resolve())):
        return True
    keys = ("image_sha256", "outlines_sha256")
    return all(made_by.get(key) == decisive[key] for key in keys)
