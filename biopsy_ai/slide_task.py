"""One slide of a run: opened, analyzed and saved, or what kept it from that."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biopsy_ai.checksum import file_sha256
from biopsy_ai.cohort_table import Outcome, reviewed_outcome
from biopsy_ai.config import AnalysisConfig
from biopsy_ai.errors import (
    BiopsyError,
    Cancelled,
    ConfigError,
    ModelError,
    OutlineReadError,
    SlideReadError,
    TypesReadError,
)
from biopsy_ai.formats.files import remove_unfinished
from biopsy_ai.formats.tables import printable
from biopsy_ai.opening import open_hashed
from biopsy_ai.outlining import model_in_use
from biopsy_ai.pipeline import analyze
from biopsy_ai.progress import Progress
from biopsy_ai.provenance import identity, text_sha256
from biopsy_ai.report.save import is_complete
from biopsy_ai.result_folders import provenance_of
from biopsy_ai.review.results import summary_in
from biopsy_ai.vanished_share import Patience, require_folder

if TYPE_CHECKING:
    from biopsy_ai.segmentation import Model
    from biopsy_ai.slides import Slide

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SlideTask:
    """What a run asks of one slide; can be sent to another process.

    Attributes
    ----------
    path
        The slide; ``None`` to measure `fibers` alone.
    folder
        Where its results go.
    config
        Its settings.
    own_settings
        Whether they are those of this slide alone, so that a contradiction fails it alone.
    fibers, types
        Files that the user gives along with the slide.
    codes
        Patient and block, as the report shows them.
    overwrite
        Analyze again what is already there.
    """

    path: Path | None
    folder: Path
    config: AnalysisConfig
    own_settings: bool = False
    fibers: Path | None = None
    types: Path | None = None
    codes: dict[str, str] = field(default_factory=dict)
    overwrite: bool = False

    @property
    def source(self) -> Path:
        """The slide, or the file with outlines where there is no slide."""
        source = self.path or self.fibers
        assert source is not None
        return source


@dataclass(frozen=True)
class ModelName:
    """A model as another process finds it."""

    name: str
    weights_sha256: str
    spec_sha256: str


@lru_cache(maxsize=1)
def _loaded(model: ModelName) -> Model:
    from biopsy_ai.segmentation import load_model

    loaded = load_model(model.name)
    if loaded.weights_sha256 != model.weights_sha256:
        raise ModelError(
            f"{model.name}: the worker finds other weights under this name than the program that "
            "sent it the slide. Install the same model there, or name one in a shared folder."
        )
    if text_sha256(loaded.spec) != model.spec_sha256:
        raise ModelError(
            f"{model.name}: the worker finds another description of the model under this name than "
            "the program that sent it the slide. Install the same model there, or name one in a "
            "shared folder."
        )
    return loaded


def run_slide_of(task: SlideTask, model: ModelName | None, *, progress: Progress) -> Outcome:
    """Do a task in a worker, which loads the model once."""
    return run_slide(task, None if model is None else _loaded(model), progress, starved=True)


def run_slide(
    task: SlideTask, model: Model | None, progress: Progress | None, *, starved: bool = False
) -> Outcome:
    """Analyze one slide; what goes wrong is in the outcome.

    A file that cannot be reached because a network share is away is tried again a few times.

    Parameters
    ----------
    task
        What to do.
    model
        The loaded model; None where there is no slide.
    progress
        As everywhere; what it raises comes through.
    starved
        Raise `MemoryError` instead of making it the outcome.

    Raises
    ------
    ConfigError
        If settings that all slides share cannot be used.
    Cancelled
        From `progress`.
    """
    start = time.perf_counter()
    patience = Patience([task.path, task.fibers, task.types], task.folder.parent)
    while True:
        try:
            outcome = _analyze(task, model, progress)
            break
        except Cancelled:
            raise
        except Exception as error:
            if isinstance(error, ConfigError) and not task.own_settings:
                raise
            if isinstance(error, MemoryError) and starved:
                raise
            if patience.waits(error, progress):
                log.warning("%s is tried again after: %s", task.source, error)
                continue
            outcome = Outcome(task.source, "failed", None, {}, _reason(task.source, error))
            if patience.attempts > 1:
                outcome = replace(outcome, reason=f"{outcome.reason} {patience.told}")
            break
    return replace(outcome, seconds=time.perf_counter() - start)


def _reason(source: Path, error: Exception) -> str:
    if isinstance(error, BiopsyError):
        log.debug("%s failed", source, exc_info=True)
        return printable(str(error))
    log.error("%s failed unexpectedly", source, exc_info=True)
    return printable(f"{source}: unexpected error ({type(error).__name__}: {error})")


def _analyze(task: SlideTask, model: Model | None, progress: Progress | None) -> Outcome:
    source, folder, config = task.source, task.folder, task.config
    with ExitStack() as stack:
        slide: Slide | None = None
        if task.path is not None:
            _refuse_folder(task.path)
            slide = stack.enter_context(open_hashed(task.path, config, progress))
        decisive = _identity(task, slide, model)
        if (reviewed := reviewed_outcome(source, folder)) is not None:
            return reviewed
        found = summary_in(folder)
        same = _agrees(found, decisive) and _has_codes(found, task.codes)
        if not task.overwrite and same and is_complete(folder, found):
            return Outcome(source, "skipped", folder, found, "same result already there")
        analysis = stack.enter_context(
            analyze(
                slide,
                config,
                fibers=task.fibers,
                types=task.types,
                model=model,
                progress=progress,
            )
        )
        if task.codes:
            analysis.summary["specimen"] = task.codes
        require_folder(folder.parent)
        remove_unfinished(folder)
        analysis.save(folder, progress=progress)
        return Outcome(source, "ok", folder, analysis.summary)


def _identity(task: SlideTask, slide: Slide | None, model: Model | None) -> dict[str, Any]:
    from biopsy_ai.learned_rules import with_rules
    from biopsy_ai.score import load_evidence

    outlined = task.fibers is not None
    return identity(
        with_rules(task.config, None if slide is None else model),
        image_sha256=None if slide is None else slide.sha256(),
        outlines_sha256=hash_given(task.fibers, OutlineReadError),
        types_sha256=hash_given(task.types, TypesReadError),
        model=None if slide is None else model_in_use(model, outlined=outlined),
        evidence_sha256=load_evidence(task.config.evidence).sha256,
    )


def _refuse_folder(path: Path) -> None:
    """Tell what keeps a folder from being a slide, or from holding any."""
    from biopsy_ai.slides import find_slides

    try:
        if path.is_dir():
            find_slides(path)
    except OSError as error:
        reason = error.strerror or error
        raise SlideReadError(f"{path}: cannot be read ({reason}).") from error


def hash_given(path: Path | None, kind: type[BiopsyError]) -> str | None:
    """Hash a file that the user gives along with a slide; what goes wrong is of the `kind`."""
    try:
        return None if path is None else file_sha256(path)
    except OSError as error:
        raise kind(f"{path}: cannot be read ({error.strerror or error})") from error


def _agrees(summary: dict[str, Any], decisive: dict[str, Any]) -> bool:
    made_by = provenance_of(summary)
    return bool(made_by) and all(made_by.get(key) == value for key, value in decisive.items())


def _has_codes(summary: dict[str, Any], codes: dict[str, str]) -> bool:
    """Whether the report shows these codes; without any, those of an earlier run may stay."""
    return not codes or summary.get("specimen") == codes
