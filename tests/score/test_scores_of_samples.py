"""The scores of the bundled sample slides, from their true outlines."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from biopsy_ai import AnalysisConfig, analyze
from biopsy_ai.config import PatternConfig
from biopsy_ai.formats.label_image import read_label_image
from biopsy_ai.resources import sample_fibers, sample_slides
from biopsy_ai.score import Section, read_section, score_block, score_section, section_of
from biopsy_ai.score.evidence import CHANGES

SLIDES = {path.stem: path for path in sample_slides()}
FEW = PatternConfig(n_permutations=99)


@cache
def scored(name: str) -> dict[str, Any]:
    config = AnalysisConfig(mpp=0.5, sex="male", patterns=FEW)
    with analyze(None, config, fibers=sample_fibers(SLIDES[name])) as analysis:
        return analysis.summary


def turned(labels: np.ndarray, tmp_path: Path, name: str) -> dict[str, Any]:
    path = tmp_path / f"{name}.tif"
    tifffile.imwrite(path, np.ascontiguousarray(labels))
    config = AnalysisConfig(mpp=0.5, sex="male", patterns=FEW)
    with analyze(None, config, fibers=path) as analysis:
        return analysis.summary["score"]


@pytest.mark.parametrize("name", sorted(SLIDES))
def test_contributions_add_up_to_the_score(name: str) -> None:
    score = scored(name)["score"]
    for change in CHANGES:
        counted = sum(row[change] for row in score["evidence"] if row["counted"])
        ignored = [row[change] for row in score["evidence"] if not row["counted"]]
        total = score["baseline"][change] + counted
        assert total == pytest.approx(score[change]["value"], abs=1e-6)
        assert ignored == [0.0] * len(ignored)
        assert score[change]["low"] <= score[change]["value"] <= score[change]["high"]


def test_what_is_not_seen_says_nothing_and_is_never_zero() -> None:
    found = {finding["name"]: finding for finding in scored("normal_he")["findings"]}
    for name in ("internal_nuclei", "necrosis", "fat_replacement", "type_grouping"):
        assert found[name]["grade"] == "not assessable"
        assert found[name]["value"] is None
        assert found[name]["why_not"]
    rows = {row["finding"]: row for row in scored("normal_he")["score"]["evidence"]}
    assert not rows["internal_nuclei"]["counted"]
    assert "not assessable" in rows["internal_nuclei"]["reason"]


def test_normal_and_denervated_outlines_are_told_apart() -> None:
    normal, sick = scored("normal_he")["score"], scored("acute_denervation_he")["score"]
    assert normal["denervation"]["high"] < sick["denervation"]["low"]
    assert normal["verdict"] == "no_abnormality"


def test_the_score_does_not_change_when_the_section_is_turned(tmp_path: Path) -> None:
    labels, _ = read_label_image(sample_fibers(SLIDES["acute_denervation_he"]))
    labels = np.asarray(labels)[:1000, :1200]
    first = turned(labels, tmp_path, "first")
    moves = {
        "quarter": np.rot90(labels),
        "half": np.rot90(labels, 2),
        "mirrored": labels[:, ::-1],
        "both": np.rot90(labels)[:, ::-1],
    }
    for name, moved in moves.items():
        again = turned(moved, tmp_path, name)
        assert again["verdict"] == first["verdict"]
        for change in CHANGES:
            assert again[change]["value"] == pytest.approx(first[change]["value"], abs=1e-6)


def test_the_same_section_gives_the_same_bytes(tmp_path: Path) -> None:
    config = AnalysisConfig(mpp=0.5, patterns=FEW)
    texts = []
    for number in range(2):
        folder = tmp_path / str(number)
        with analyze(None, config, fibers=sample_fibers(SLIDES["normal_he"])) as analysis:
            analysis.save(folder)
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        texts.append(json.dumps([summary["score"], summary["findings"]]))
    assert texts[0] == texts[1]
    again = score_section(read_section(tmp_path / "0")).summary()
    saved = json.loads(texts[0])[0]
    for change in CHANGES:
        assert again["score"][change]["value"] == pytest.approx(saved[change]["value"], abs=0.01)


def myopathic(section: Section) -> Section:
    """The same fibers, with all that speaks for myopathy and not for denervation."""
    rng = np.random.default_rng(0)
    n = len(section.table)
    table = section.table.assign(
        n_internal_nuclei=(rng.random(n) < 0.3).astype(int),
        is_centrally_nucleated=rng.random(n) < 0.3,
        necrotic=np.where(rng.random(n) < 0.05, 0.9, 0.0),
        regenerating=0.0,
        split=np.where(rng.random(n) < 0.1, 0.9, 0.0),
        hypercontracted=0.0,
        vacuolated=0.0,
    )
    seen = {"assessable": True, "why_not": None}
    summary = {
        **section.summary,
        "nuclei": {
            **seen,
            "clumps": {"n": 0},
            "clusters": {"n": 20, "n_nuclei": 400},
            "interstitial": {"n": 900},
        },
        "tissue": {
            **seen,
            "area_um2": 1e6,
            "endomysium_of_muscle_percent": 40.0,
            "perimysium_percent": 10.0,
            "fat_percent": 0.0,
        },
        "condition": dict.fromkeys(
            ("necrotic", "regenerating", "split", "hypercontracted", "vacuolated"), seen
        ),
    }
    labels = section.labels
    return section_of(table, labels[section.pairs], summary)


def section_of_sample(name: str) -> Section:
    config = AnalysisConfig(mpp=0.5, sex="male", patterns=FEW)
    with analyze(None, config, fibers=sample_fibers(SLIDES[name])) as analysis:
        assert analysis.patterns is not None
        contacts = analysis.patterns.contacts
        return section_of(analysis.fibers, contacts.labels[contacts.pairs], analysis.summary)


def test_myopathic_change_never_cancels_denervation() -> None:
    plain = section_of_sample("acute_denervation_he")
    alone, beside = score_section(plain).score, score_section(myopathic(plain)).score
    assert beside["denervation"]["value"] >= alone["denervation"]["value"] - 1e-9
    assert beside["myopathy"]["value"] > alone["myopathy"]["value"] + 20
    assert beside["verdict"] in ("mixed", "myopathy")


def test_a_block_takes_each_finding_from_the_section_that_shows_it() -> None:
    outlines = section_of_sample("acute_denervation_he")
    stained = myopathic(outlines)
    block = score_block([outlines, stained], names=["bare", "stained"])
    assert block.score["seen_in"]["internal_nuclei"] == "stained"
    assert block.score["seen_in"]["size_variability"] == "bare"
    alone = score_section(stained).score
    assert block.score["myopathy"]["value"] == pytest.approx(alone["myopathy"]["value"])
    with pytest.raises(ValueError, match="at least one"):
        score_block([])
