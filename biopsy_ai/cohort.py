"""Many sections in one run: each on its own, finished ones not repeated."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from biopsy_ai.checksum import file_sha256
from biopsy_ai.config import AnalysisConfig
from biopsy_ai.errors import (
    BiopsyError,
    Cancelled,
    ConfigError,
    OutlineReadError,
    OutputError,
    SlideReadError,
)
from biopsy_ai.formats import output_folder, write_csv
from biopsy_ai.formats.tables import printable
from biopsy_ai.opening import open_hashed, outlines_name
from biopsy_ai.pipeline import analyze, model_in_use
from biopsy_ai.progress import Progress
from biopsy_ai.provenance import identity
from biopsy_ai.report.save import SUMMARY_FILE, is_complete

if TYPE_CHECKING:
    import pandas as pd

    from biopsy_ai.segmentation import Model
    from biopsy_ai.slides import Slide

log = logging.getLogger(__name__)

Status = Literal["ok", "failed", "skipped"]

COHORT_FILE = "cohort.csv"

SLIDES_STAGE = "slides"
"""Stage under which `analyze_many` tells how many slides are done."""


@dataclass(frozen=True)
class Outcome:
    """What became of one slide.

    Attributes
    ----------
    source
        The slide, or the file with outlines where there is no slide.
    status
        ``"ok"``, ``"failed"``, or ``"skipped"`` where the same result was already there.
    folder
        Folder with the results; ``None`` if the slide failed.
    summary
        Content of the slide's summary.json; empty if the slide failed.
    reason
        Why the slide failed or was skipped.
    seconds
        Time spent on the slide, with writing the results.
    """

    source: Path
    status: Status
    folder: Path | None
    summary: dict[str, Any]
    reason: str = ""
    seconds: float = 0.0


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
    model: Model | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Analyze slides one after the other and write ``out/<slide name>/`` and ``out/cohort.csv``.

    A slide that cannot be analyzed is recorded with the reason and does not stop the others.
    A slide whose results are all there, made from the same image with the same settings,
    weights and version, is skipped.

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
    model
        A loaded model; loaded by ``config.model`` if ``None``.
    overwrite
        Analyze again what is already there.
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
        If there is nothing to analyze, or one file of outlines for several slides.
    ModelError
        If the model cannot be loaded.
    OutputError
        If `out` cannot be written, or cohort.csv still cannot be written after the last slide.
    """
    config = config or AnalysisConfig()
    out = Path(out)
    paths = _distinct(slides)
    if fibers is not None and len(paths) > 1:
        raise ConfigError(f"{fibers}: one file of outlines fits one slide, not {len(paths)}")
    if fibers is None and not paths:
        raise ConfigError("nothing to analyze: give slides or a file with fiber outlines")
    output_folder(out)
    if paths and model is None:
        from biopsy_ai.segmentation import load_model

        model = load_model(config.model)

    run = _Run(out, config, None if fibers is None else Path(fibers), model, overwrite, progress)
    sources: Sequence[Path | None] = paths or [None]
    outcomes: list[Outcome] = []
    earlier = _read_cohort(out / COHORT_FILE)
    for number, source in enumerate(sources):
        if progress is not None:
            progress(SLIDES_STAGE, number, len(sources))
        outcomes.append(run.one(source))
        written = _try_write_cohort(outcomes, out / COHORT_FILE, earlier)
        if on_outcome is not None:
            on_outcome(outcomes[-1])
    if not written:
        try:
            write_cohort(outcomes, out / COHORT_FILE, earlier=earlier)
        except OutputError as error:
            raise OutputError(
                f"{error} Then repeat the command: finished slides are not analyzed again."
            ) from error
    return outcomes


def write_cohort(
    outcomes: Iterable[Outcome], path: str | Path, *, earlier: pd.DataFrame | None = None
) -> None:
    """Write one row per slide as CSV.

    Parameters
    ----------
    outcomes
        The slides of this run.
    path
        The file to write.
    earlier
        Rows of earlier runs into the same folder; those of other slides are kept.
    """
    import pandas as pd

    table = pd.DataFrame([_row(outcome) for outcome in outcomes])
    if earlier is not None and {"slide", "folder"} <= set(earlier.columns):
        folders = set(table["folder"]) - {""}
        other = ~earlier["slide"].isin(table["slide"]) & ~earlier["folder"].isin(folders)
        if other.any():
            table = pd.concat([earlier[other], table], ignore_index=True)
    write_csv(path, table)


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


class _Run:
    """One run over slides: its settings and the result folders given out so far."""

    def __init__(
        self,
        out: Path,
        config: AnalysisConfig,
        fibers: Path | None,
        model: Model | None,
        overwrite: bool,
        progress: Progress | None,
    ) -> None:
        self.out = out
        self.config = config
        self.fibers = fibers
        self.model = model
        self.overwrite = overwrite
        self.progress = progress
        self.given_out: set[str] = set()

    def one(self, path: Path | None) -> Outcome:
        """Analyze one slide, or the outlines alone if `path` is ``None``."""
        start = time.perf_counter()
        source = path or self.fibers
        assert source is not None
        try:
            outcome = self._analyze(source, path)
        except (Cancelled, ConfigError):
            raise
        except BiopsyError as error:
            log.debug("%s failed", source, exc_info=True)
            outcome = Outcome(source, "failed", None, {}, printable(str(error)))
        except Exception as error:
            log.exception("%s failed unexpectedly", source)
            reason = f"{source}: unexpected error ({type(error).__name__}: {error})"
            outcome = Outcome(source, "failed", None, {}, printable(reason))
        seconds = time.perf_counter() - start
        return Outcome(**{**vars(outcome), "seconds": seconds})

    def _analyze(self, source: Path, path: Path | None) -> Outcome:
        with ExitStack() as stack:
            slide: Slide | None = None
            if path is not None:
                _refuse_folder(path)
                slide = stack.enter_context(open_hashed(path, self.config, self.progress))
            decisive = self._identity(slide)
            name = outlines_name(source) if slide is None else slide.name
            folder = self._folder(name, source, decisive)
            found = _read_summary(folder)
            if not self.overwrite and _agrees(found, decisive) and is_complete(folder, found):
                return Outcome(source, "skipped", folder, found, "same result already there")
            analysis = stack.enter_context(
                analyze(
                    slide, self.config, fibers=self.fibers, model=self.model, progress=self.progress
                )
            )
            analysis.save(folder, progress=self.progress)
            return Outcome(source, "ok", folder, analysis.summary)

    def _identity(self, slide: Slide | None) -> dict[str, Any]:
        return identity(
            self.config,
            image_sha256=None if slide is None else slide.sha256(),
            outlines_sha256=None if self.fibers is None else _hash_outlines(self.fibers),
            model=None
            if slide is None
            else model_in_use(self.model, outlined=self.fibers is not None),
        )

    def _folder(self, name: str, source: Path, decisive: dict[str, Any]) -> Path:
        """Choose ``name``, ``name_2``, ... so that two slides of one name keep both results."""
        number = 1
        while True:
            folder = self.out / (name if number == 1 else f"{name}_{number}")
            # Windows and macOS take X and x for the same folder.
            key = folder.name.casefold()
            if key not in self.given_out and _belongs(_read_summary(folder), source, decisive):
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


def _hash_outlines(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise OutlineReadError(f"{path}: cannot be read ({error.strerror or error})") from error


def _read_summary(folder: Path) -> dict[str, Any]:
    try:
        content = json.loads((folder / SUMMARY_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _provenance(summary: dict[str, Any]) -> dict[str, Any]:
    provenance = summary.get("provenance")
    return provenance if isinstance(provenance, dict) else {}


def _agrees(summary: dict[str, Any], decisive: dict[str, Any]) -> bool:
    made_by = _provenance(summary)
    return bool(made_by) and all(made_by.get(key) == value for key, value in decisive.items())


def _belongs(summary: dict[str, Any], source: Path, decisive: dict[str, Any]) -> bool:
    """Whether results come from this slide: it may have been changed, or moved, but not both."""
    if not summary:
        return True
    made_by = _provenance(summary)
    file = made_by.get("image_file") or made_by.get("outlines_file")
    if file == printable(str(source.resolve())):
        return True
    keys = ("image_sha256", "outlines_sha256")
    return all(made_by.get(key) == decisive[key] for key in keys)


def _read_cohort(path: Path) -> pd.DataFrame | None:
    import pandas as pd

    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, ValueError):
        return None


def _row(outcome: Outcome) -> dict[str, Any]:
    return {
        "slide": printable(str(outcome.source.resolve())),
        "status": outcome.status,
        "reason": outcome.reason,
        "folder": "" if outcome.folder is None else printable(outcome.folder.name),
        **_statistics(outcome.summary),
        "seconds": round(outcome.seconds, 2),
    }


def _statistics(summary: dict[str, Any]) -> dict[str, Any]:
    """Pick what is worth comparing between slides; empty where the slide failed."""
    fibers = summary.get("fibers") or {}
    quantities = fibers.get("quantities") or {}
    factors = fibers.get("atrophy_hypertrophy") or {}
    image = summary.get("image") or {}
    row: dict[str, Any] = {
        "n_fibers": fibers.get("n_fibers"),
        "n_measured": fibers.get("n_measured"),
        "fibers_per_mm2": (fibers.get("density") or {}).get("fibers_per_mm2"),
        "fiber_area_fraction": fibers.get("fiber_area_fraction"),
    }
    for name in ("area_um2", "min_feret_um"):
        for statistic in ("median", "mean", "sd"):
            row[f"{statistic}_{name}"] = (quantities.get(name) or {}).get(statistic)
    row["variability_coefficient"] = (fibers.get("variability_coefficient") or {}).get("value")
    for name in ("atrophy_factor", "hypertrophy_factor"):
        row[name] = (factors.get(name) or {}).get("value")
    tissue, nuclei, quality = (summary.get(part) or {} for part in ("tissue", "nuclei", "quality"))
    for name in ("fiber", "endomysium", "perimysium", "connective", "fat"):
        row[f"{name}_percent"] = tissue.get(f"{name}_percent")
    row["mean_endomysial_width_um"] = tissue.get("mean_endomysial_width_um")
    row["collagen_percent"] = (tissue.get("collagen") or {}).get("collagen_percent")
    row["internal_fiber_percent"] = nuclei.get("internal_fiber_percent")
    row["centralization_index"] = (nuclei.get("centralization") or {}).get("index")
    row["interstitial_nuclei_per_mm2"] = (nuclei.get("interstitial") or {}).get("per_mm2_tissue")
    for flag, found in (summary.get("condition") or {}).items():
        row[f"{flag}_fiber_percent"] = found.get("percent")
    row["n_fascicles"] = (summary.get("fascicles") or {}).get("n")
    row["stain"] = image.get("stain")
    row["recognised_stain"] = quality.get("stain")
    row["excluded_tissue_percent"] = quality.get("excluded_percent")
    mpp = image.get("mpp") or summary.get("outlines_mpp") or [None, None]
    row["mpp_y"], row["mpp_x"] = mpp
    row["warnings"] = " ".join(summary.get("warnings") or [])
    return row
