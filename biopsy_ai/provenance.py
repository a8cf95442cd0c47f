"""Where a result comes from: versions, hashes, settings and times."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biopsy_ai import __version__
from biopsy_ai.checksum import file_sha256
from biopsy_ai.config import AnalysisConfig
from biopsy_ai.progress import Progress

if TYPE_CHECKING:
    from biopsy_ai.segmentation import Model, Segmentation
    from biopsy_ai.slides import Slide


class Stopwatch:
    """Seconds spent in each stage of an analysis."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time spent inside the ``with`` block to the stage `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            spent = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + spent

    def timed(self, name: str, step: Callable[[Progress], Any]) -> Callable[[Progress], Any]:
        """Make a step add its time to the stage `name`; steps may overlap."""

        def run(progress: Progress) -> Any:
            with self.stage(name):
                return step(progress)

        return run


def identity(
    config: AnalysisConfig,
    *,
    image_sha256: str | None,
    outlines_sha256: str | None,
    types_sha256: str | None,
    model: Model | None,
    evidence_sha256: str,
) -> dict[str, Any]:
    """Everything that decides the result of an analysis: where all of it agrees, so do results.

    The hashes, and the model, are ``None`` where they took no part: the image where only outlines
    were given, the model where nothing was segmented.
    """
    return {
        "biopsy_ai_version": __version__,
        "configuration": config.model_dump(mode="json"),
        "image_sha256": image_sha256,
        "outlines_sha256": outlines_sha256,
        "types_sha256": types_sha256,
        "weights_sha256": None if model is None else model.weights_sha256,
        # The thresholds stored with a model can change while its weights do not.
        "model_spec_sha256": None if model is None else text_sha256(model.spec),
        "evidence_sha256": evidence_sha256,
    }


def describe(
    config: AnalysisConfig,
    segmentation: Segmentation,
    slide: Slide | None,
    *,
    outlines: str | Path | None,
    types: str | Path | None,
    model: Model | None,
    evidence_sha256: str,
    seconds: dict[str, float],
) -> dict[str, Any]:
    """Build the provenance of one analysis, ready for JSON.

    Parameters
    ----------
    config, segmentation, slide
        What the analysis used; `slide` is ``None`` where only outlines were given.
    outlines
        File with the user's outlines, ``None`` where fibers were segmented.
    types
        File with the user's fiber types, ``None`` where they were read off the stain.
    model
        The model, ``None`` where outlines were given.
    evidence_sha256
        Hash of the evidence file.
    seconds
        Time spent per stage.
    """
    decisive = identity(
        config,
        image_sha256=None if slide is None else slide.sha256(),
        outlines_sha256=None if outlines is None else file_sha256(outlines),
        types_sha256=None if types is None else file_sha256(types),
        model=model,
        evidence_sha256=evidence_sha256,
    )
    return {
        **decisive,
        "image_file": None if slide is None else str(slide.path.resolve()),
        "outlines_file": None if outlines is None else str(Path(outlines).resolve()),
        "types_file": None if types is None else str(Path(types).resolve()),
        "segmentation": dict(segmentation.provenance),
        **_run_now(seconds),
    }


def describe_again(
    made_by: Mapping[str, Any], evidence_sha256: str, seconds: dict[str, float]
) -> dict[str, Any]:
    """Build the provenance of outlines that were corrected and measured again, ready for JSON.

    Parameters
    ----------
    made_by
        Provenance of the analysis that drew them; what it says of slide, model, files and settings
        stays.
    evidence_sha256
        Hash of the evidence file.
    seconds
        Time spent per stage.
    """
    return {
        **made_by,
        "biopsy_ai_version": __version__,
        "evidence_sha256": evidence_sha256,
        **_run_now(seconds),
    }


def _run_now(seconds: dict[str, float]) -> dict[str, Any]:
    """Where and when something is computed."""
    return {
        "python_version": platform.python_version(),
        "numpy_version": _installed("numpy"),
        "torch_version": _installed("torch"),
        "platform": platform.platform(),
        "utc_time": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": {stage: round(spent, 3) for stage, spent in seconds.items()},
    }


def text_sha256(content: dict[str, Any]) -> str:
    """Hash of what stands in a description, such as that of a model."""
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _installed(distribution: str) -> str | None:
    # Asks the installation rather than the module, so that torch is not loaded for its version.
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None
