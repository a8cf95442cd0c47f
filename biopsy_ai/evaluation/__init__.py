"""Agreement of predicted with true fibers and classes, and of one reader with another."""

from biopsy_ai.evaluation.agreement import (
    BlandAltman,
    IntraclassCorrelation,
    bland_altman,
    cohen_kappa,
    icc,
)
from biopsy_ai.evaluation.classes import ClassConfusion, count_confusion
from biopsy_ai.evaluation.counts import MatchCounts
from biopsy_ai.evaluation.files import evaluate_files
from biopsy_ai.evaluation.matching import Matching, match_fibers
from biopsy_ai.evaluation.metrics import (
    SIZE_CLASSES_UM2,
    THRESHOLDS,
    FiberEvaluation,
    evaluate_fibers,
    pool_evaluations,
)

__all__ = [
    "SIZE_CLASSES_UM2",
    "THRESHOLDS",
    "BlandAltman",
    "ClassConfusion",
    "FiberEvaluation",
    "IntraclassCorrelation",
    "MatchCounts",
    "Matching",
    "bland_altman",
    "cohen_kappa",
    "count_confusion",
    "evaluate_fibers",
    "evaluate_files",
    "icc",
    "match_fibers",
    "pool_evaluations",
]
