"""What a model has learned decides, is written down, and stays with the results."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from drawn_sections import DrawnSection

import biopsy_ai.segmentation as room
from biopsy_ai import AnalysisConfig, Review, analyze, read_analysis
from biopsy_ai.cohort import analyze_many
from biopsy_ai.corrections import Corrections
from biopsy_ai.pipeline import reanalyze
from biopsy_ai.rescoring import QUICK_FROM_FIBERS, quick_settings

RULES = {"limits": {"flag_width_share": 1.0}, "types": {}, "source": "refitted to 300 fibers"}
BEFORE, LEARNED = 0.0066929, 0.2689414
"""Probability of a split where there is no cleft, with a width of 0.2 and of 1."""


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, fake_network: None) -> Any:
    """Give a model rules, or none."""

    def one(rules: dict[str, Any] | None) -> None:
        model = SimpleNamespace(
            name="fake",
            spec={"name": "fake", "rules": rules} if rules else {"name": "fake"},
            weights_sha256="0" * 64,
            draws_nuclei=False,
            draws_tissue=False,
        )
        monkeypatch.setattr(room, "load_model", lambda name, **_: model)

    return one


def split_of(fibers: pd.DataFrame) -> float:
    return float(fibers["split"].iloc[0])


def test_they_decide_and_stay_with_the_results(
    section: DrawnSection, load: Any, tmp_path: Path
) -> None:
    load(RULES)
    with analyze(section.image, AnalysisConfig(stain="he")) as analysis:
        assert split_of(analysis.fibers) == pytest.approx(LEARNED)
        saved = read_analysis(analysis.save(tmp_path / "results"))
    assert saved.config.rules.limits == {"flag_width_share": 1.0}
    made_by = saved.summary["provenance"]
    assert made_by["configuration"]["rules"]["source"] == "refitted to 300 fibers"
    report = (tmp_path / "results" / "report.html").read_text("utf-8")
    assert "or the border between fiber types, were refitted" in report
    pd.testing.assert_index_equal(saved.signs.columns, analysis.signs.columns)
    for n in (12, QUICK_FROM_FIBERS):
        assert quick_settings(saved, n)[1]["flag_width_share"] == 1.0
    # whatever the model has learned since
    load(None)
    with reanalyze(saved, saved.labels, Corrections()) as again:
        assert split_of(again.fibers) == pytest.approx(LEARNED)
        assert again.summary["provenance"]["configuration"] == made_by["configuration"]
    with Review.open(saved.folder, user="Ada") as review:
        review.set_condition([1], "necrotic")
        reviewed = read_analysis(review.save())
    assert split_of(reviewed.fibers.iloc[1:]) == pytest.approx(LEARNED, rel=1e-4)


def test_the_limits_of_the_user_win(section: DrawnSection, load: Any) -> None:
    load(RULES)
    config = AnalysisConfig(stain="he", measurement={"limits": {"flag_width_share": 0.2}})
    with analyze(section.image, config) as analysis:
        assert split_of(analysis.fibers) == pytest.approx(BEFORE, rel=1e-4)
        assert analysis.config.rules.limits == {"flag_width_share": 1.0}


def test_rules_of_another_model_do_not_stay(section: DrawnSection, load: Any) -> None:
    load(RULES)
    with analyze(section.image, AnalysisConfig(stain="he")) as analysis:
        config = analysis.config
    load(None)
    with analyze(section.image, config) as analysis:
        assert split_of(analysis.fibers) == pytest.approx(BEFORE, rel=1e-4)
        assert "rules" not in analysis.summary["provenance"]["configuration"]


def test_slides_are_analyzed_again_where_rules_have_changed(
    section: DrawnSection, load: Any, tmp_path: Path
) -> None:
    def status() -> str:
        config = AnalysisConfig(stain="he")
        (outcome,) = analyze_many([section.image], tmp_path / "results", config)
        return outcome.status

    load(None)
    assert [status(), status()] == ["ok", "skipped"]
    load(RULES)
    assert [status(), status()] == ["ok", "skipped"]
    load({**RULES, "limits": {"flag_width_share": 0.5}})
    assert status() == "ok"
