"""What training draws: how often, not what it looks like."""

from __future__ import annotations

from collections import Counter

import pytest

from biopsy_ai.synthesis import STAINS, SectionParams
from biopsy_ai.training import bank


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[SectionParams]:
    """Parameters of 400 sections that training would draw."""
    found: list[SectionParams] = []
    monkeypatch.setattr(bank, "synthesize_section", lambda params, *_, **__: found.append(params))
    for seed in range(400):
        bank.render_training_section(seed)
    return found


def test_all_stains_are_drawn_some_more_often(drawn: list[SectionParams]) -> None:
    number = Counter(params.stain for params in drawn)
    assert set(number) == set(STAINS)
    assert number["he"] == max(number.values())
    assert min(number["gomori"], number["atpase:4.3"]) > number["masson"] / 2


def test_gomori_trichrome_is_often_tight_with_wide_fibers(drawn: list[SectionParams]) -> None:
    def tight(params: SectionParams) -> bool:
        return params.tissue.endomysium_um <= 1.0 and params.tissue.crack_um == 0.0

    gomori = [params for params in drawn if params.stain == "gomori"]
    others = [params for params in drawn if params.stain not in ("gomori", "if")]
    assert sum(map(tight, gomori)) / len(gomori) > 0.3
    assert sum(map(tight, others)) / len(others) < 0.3
    wide = [
        params
        for params in drawn
        if params.stain != "if" and tight(params) and min(params.tissue.diameter_um) >= 42
    ]
    assert len(wide) > 5
    assert sum(params.tissue.atrophic_share == 0.0 for params in wide) > len(wide) / 2


def test_stains_by_enzymes_show_relief_and_fibers_far_apart(drawn: list[SectionParams]) -> None:
    enzymes = [params for params in drawn if params.stain in bank._ENZYMES]
    relief = [params for params in enzymes if params.imaging.relief > 0]
    assert 0.4 < len(relief) / len(enzymes) < 0.8
    assert all(p.imaging.relief == 0 for p in drawn if p.stain not in bank._ENZYMES)
    apart = [p for p in enzymes if p.tissue.endomysium_um >= 5 and p.tissue.rounding >= 0.2]
    assert len(apart) / len(enzymes) > 0.25
    assert sum(p.tissue.nerves_per_mm2 == 0 for p in apart) > len(apart) / 2
    assert sum(min(p.tissue.diameter_um) >= 40 for p in apart) > len(apart) / 3


def test_a_seed_draws_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[SectionParams] = []
    monkeypatch.setattr(bank, "synthesize_section", lambda params, *_, **__: found.append(params))
    for _ in range(2):
        bank.render_training_section(5)
    assert found[0] == found[1]
