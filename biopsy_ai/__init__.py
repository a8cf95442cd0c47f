"""Outline and measure the fibers of skeletal muscle biopsies. For research use only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from biopsy_ai.analysis import Analysis
    from biopsy_ai.cohort import analyze_many
    from biopsy_ai.config import AnalysisConfig, load_config
    from biopsy_ai.errors import BiopsyError
    from biopsy_ai.evaluation import evaluate_fibers
    from biopsy_ai.measure import measure_fibers
    from biopsy_ai.pipeline import analyze
    from biopsy_ai.resources import list_models, sample_slides
    from biopsy_ai.review import Review
    from biopsy_ai.saved import read_analysis
    from biopsy_ai.segmentation import load_model, read_outlines, segment_fibers
    from biopsy_ai.slides import open_slide

__version__ = "0.15.0"

RESEARCH_USE_ONLY = "For research use only. Not for use in diagnostic procedures."

__all__ = [
    "RESEARCH_USE_ONLY",
    "Analysis",
    "AnalysisConfig",
    "BiopsyError",
    "Review",
    "__version__",
    "analyze",
    "analyze_many",
    "evaluate_fibers",
    "list_models",
    "load_config",
    "load_model",
    "measure_fibers",
    "open_slide",
    "read_analysis",
    "read_outlines",
    "sample_slides",
    "segment_fibers",
]

_HOMES = {
    "Analysis": "analysis",
    "AnalysisConfig": "config",
    "BiopsyError": "errors",
    "Review": "review",
    "analyze": "pipeline",
    "analyze_many": "cohort",
    "evaluate_fibers": "evaluation",
    "list_models": "resources",
    "load_config": "config",
    "load_model": "segmentation",
    "measure_fibers": "measure",
    "open_slide": "slides",
    "read_analysis": "saved",
    "read_outlines": "segmentation",
    "sample_slides": "resources",
    "segment_fibers": "segmentation",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
