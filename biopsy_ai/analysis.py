"""What the analysis of one section found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from biopsy_ai.config import AnalysisConfig
from biopsy_ai.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

    from biopsy_ai.patterns import Fascicles
    from biopsy_ai.section_patterns import SectionPatterns
    from biopsy_ai.segmentation import Segmentation
    from biopsy_ai.slides import Slide


@dataclass(frozen=True, eq=False)
class Analysis:
    """What the analysis of one section found. Close it, or use it in a ``with`` statement.

    Attributes
    ----------
    name
        Name of the slide, or of the file with the outlines where there is no slide.
    fibers
        One row per fiber; units stand in the column names.
    segmentation
        The outlines, with the nuclei and the tissue classes where they were seen.
    summary
        Statistics, exclusions, warnings and provenance, ready for JSON.
    config
        The settings.
    slide
        The slide, open until `close`; ``None`` where only outlines were measured.
    nuclei
        One row per nucleus; ``None`` where nuclei cannot be assessed, and ``summary["nuclei"]``
        says why.
    fascicles
        The fascicles; ``None`` where the tissue is not known.
    quality
        One row per tile of the slide; ``None`` where there is no slide or no tissue on it.
    patterns
        Which fibers lie side by side, and how types and small fibers lie among them.
    signs
        One row per fiber: what its condition was told by, see
        `biopsy_ai.measure.condition_signs`; ``None`` where there is no slide.
    """

    name: str
    fibers: pd.DataFrame
    segmentation: Segmentation
    summary: dict[str, Any]
    config: AnalysisConfig
    slide: Slide | None = None
    nuclei: pd.DataFrame | None = None
    fascicles: Fascicles | None = None
    quality: pd.DataFrame | None = None
    patterns: SectionPatterns | None = None
    signs: pd.DataFrame | None = None
    _opened_here: bool = field(default=False, repr=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the slide that `analyze` opened; one that was given open stays open."""
        if self._opened_here and self.slide is not None:
            self.slide.close()

    @property
    def labels(self) -> Any:
        """Label image (rows, columns) int32: 0 is background, n is the fiber with label n."""
        return self.segmentation.labels

    def save(self, folder: str | Path, *, progress: Progress | None = None) -> Path:
        """Write tables, outlines, overlays and summary to `folder`, which is made if missing.

        The slide, if there is one, must still be open.

        Raises
        ------
        OutputError
            If the folder cannot be written.
        """
        from biopsy_ai.report import save_analysis

        return save_analysis(self, folder, progress=progress)
