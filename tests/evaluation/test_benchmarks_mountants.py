"""The benchmark of watery mountants: what it draws, and what its table says."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from biopsy_ai.evaluation.grids import LabelField
from biopsy_ai.synthesis import SectionParams


def test_variants_differ_in_relief_and_width(load: Callable[[str], Any]) -> None:
    variants = load("mountants").VARIANTS
    drawn = {title: change(SectionParams(stain="sdh")) for title, change in variants.items()}
    assert drawn["as the presets"] == SectionParams(stain="sdh")
    for title, params in drawn.items():
        apart = "far apart" in title
        assert (params.imaging.relief > 0) == ("relief" in title)
        assert (params.tissue.endomysium_um == 12.0) == apart
        assert not apart or title.startswith(f"{params.tissue.diameter_um[0]:.0f} µm")


def test_the_table_counts_what_is_found(
    load: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    synthetic, mountants = load("synthetic"), load("mountants")
    sections = []
    draw_section = synthetic.draw_section

    def drawing(*settings: Any) -> Any:
        name, stain, seed, _, severity, change = settings
        sections.append(draw_section(name, stain, seed, 150.0, severity, change))
        return sections[-1]

    def all_but_one(*_: Any, **__: Any) -> Callable[..., LabelField]:
        def found(path: Path, mpp: float, *_: Any) -> LabelField:
            labels = sections[-1].labels
            return LabelField(path, np.where(labels == 1, 0, labels), (mpp, mpp))

        return found

    variant = "35 µm, far apart, relief 0.7"
    monkeypatch.setattr(mountants, "VARIANTS", {variant: mountants.VARIANTS[variant]})
    monkeypatch.setattr(mountants, "PRESETS", ("normal",))
    monkeypatch.setattr(mountants, "STAINS", ("sdh", "cox"))
    monkeypatch.setattr(mountants, "network_method", all_but_one)
    monkeypatch.setattr(synthetic, "draw_section", drawing)
    monkeypatch.setattr(sys, "argv", ["mountants.py"])
    mountants.main()
    lines = capsys.readouterr().out.splitlines()
    header, _, row = ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines)
    said = dict(zip(header, row, strict=True))
    n = sum(len(section.fibers) for section in sections)
    assert len(sections) == 2
    assert all(section.params.imaging.relief == 0.7 for section in sections)
    assert said["sections"] == variant
    assert said["n true"] == str(n)
    assert said["P"] == "1.000"
    assert said["R"] == f"{(n - 2) / n:.3f}"
