"""Types and small fibers lie in a section as the parameters say."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import shapely
import tifffile

from biopsy_ai.errors import ConfigError
from biopsy_ai.synthesis import SectionParams, TissueParams, preset, random_imaging
from biopsy_ai.synthesis.arrangement import is_arranged
from biopsy_ai.synthesis.geometry import Geometry
from biopsy_ai.synthesis.layout import build_geometry
from biopsy_ai.synthesis.samples import FIELD_UM, SAMPLES
from biopsy_ai.synthesis.section import synthesize_section
from biopsy_ai.synthesis.truth import fiber_table

SIZE = (800.0, 800.0)
NORMAL = TissueParams(diameter_um=(50.0, 50.0), fascicle_um=450.0)


@cache
def lay_out(seeds: int = 2, **changes: float) -> list[Geometry]:
    tissue = replace(NORMAL, **changes)
    return [build_geometry(tissue, SIZE, np.random.default_rng(seed)) for seed in range(seeds)]


def tables(layouts: list[Geometry]) -> pd.DataFrame:
    """One row per fiber with its equivalent diameter and its distance to the perimysium, µm."""
    parts = []
    for geometry in layouts:
        table = fiber_table(geometry.fibers)
        shapes = [shapely.Polygon(f.outline) for f in geometry.fibers]
        rims = [shapely.Polygon(f).buffer(0).exterior for f in geometry.fascicles]
        table["diameter"] = [2 * np.sqrt(s.area / np.pi) for s in shapes]
        table["depth"] = [
            s.distance(rims[f.fascicle - 1]) for s, f in zip(shapes, geometry.fibers, strict=True)
        ]
        parts.append(table)
    return pd.concat(parts, keys=range(len(parts)))


def assortativity(geometry: Geometry) -> float:
    """Of type 1 among innervated fibers of one fascicle that lie within 6 µm of each other."""
    shapes = np.array([shapely.Polygon(f.outline) for f in geometry.fibers])
    first, second = shapely.STRtree(shapes).query(shapes, predicate="dwithin", distance=6.0)
    table = fiber_table(geometry.fibers)
    home, atrophic = table.fascicle.to_numpy(), table.atrophic.to_numpy()
    joined = (first != second) & (home[first] == home[second])
    joined &= ~atrophic[first] & ~atrophic[second]
    type1 = table.type.eq("I").to_numpy(dtype=float)
    return float(np.corrcoef(type1[first[joined]], type1[second[joined]])[0, 1])


def test_lost_and_captured_units_leave_groups_of_types():
    intact, lost = (lay_out(motor_units_lost=share, recapture=0.95) for share in (0.001, 0.7))
    assert np.mean([assortativity(g) for g in intact]) < 0.08
    assert np.mean([assortativity(g) for g in lost]) > 0.2
    fibers = tables(lost)
    assert (fibers.unit > 0).all()
    types = fibers.reset_index().groupby(["level_0", "unit"]).type
    assert (types.nunique() == 1).all()


def test_without_capture_atrophy_is_scattered_and_types_stay_mixed():
    layouts = lay_out(motor_units_lost=0.4, recapture=0.0)
    fibers = tables(layouts)
    assert fibers.atrophic.mean() == pytest.approx(0.4, abs=0.08)
    assert abs(np.mean([assortativity(g) for g in layouts])) < 0.07
    small = fibers[fibers.atrophic].diameter
    assert small.median() < 0.5 * fibers[~fibers.atrophic].diameter.median()


def test_fibers_without_motor_units_have_none():
    geometry, _ = lay_out()
    assert "unit" not in fiber_table(geometry.fibers)


@pytest.mark.parametrize("lost", [0.0, 0.001])
def test_type_2_is_enriched_under_the_perimysium(lost):
    fibers = tables(lay_out(3, border_type2=0.25, motor_units_lost=lost))
    type1 = fibers.type.eq("I")
    outer, inner = type1[fibers.depth < 10].mean(), type1[fibers.depth > 60].mean()
    assert inner == pytest.approx(NORMAL.type1_share, abs=0.08)
    assert inner - outer == pytest.approx(0.25, abs=0.1)


def test_small_fibers_lie_under_the_perimysium():
    fibers = tables(lay_out(perifascicular_atrophy=0.8))
    outer, inner = fibers[fibers.depth < 15], fibers[fibers.depth > 70]
    assert 0.45 < outer.atrophic.mean() < 0.8
    assert inner.atrophic.mean() < 0.15
    assert 0.5 < outer.diameter.median() / inner.diameter.median() < 0.8
    assert inner[~inner.atrophic].diameter.median() == pytest.approx(50, rel=0.1)


def test_hybrids_have_the_wanted_share():
    fibers = tables(lay_out(hybrid_share=0.2))
    hybrid = fibers.type.str.contains("/")
    assert hybrid.mean() == pytest.approx(0.2, abs=0.04)
    assert set(fibers.type[hybrid]) == {"I/IIA", "IIA/IIX"}
    plain = tables(lay_out())
    assert not plain.type.str.contains("/").any()
    assert (plain.diameter == fibers.diameter).all()


@pytest.mark.parametrize("name", ["motor_units_lost", "recapture", "border_type2", "hybrid_share"])
@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_shares_lie_between_0_and_1(name, value):
    with pytest.raises(ConfigError, match=name):
        TissueParams(**{name: value})


@pytest.mark.parametrize("wrong", [{"motor_unit_fibers": 0.5}, {"motor_unit_reach": 0.0}])
def test_motor_units_have_fibers_and_reach(wrong):
    with pytest.raises(ConfigError, match="motor_unit"):
        TissueParams(**wrong)


def test_presets_of_the_samples_are_laid_out_as_before():
    assert not any(is_arranged(preset(condition)) for condition, _, _ in SAMPLES.values())


@pytest.mark.slow
def test_samples_can_still_be_made(repository):
    name = "chronic_reinnervation_atpase"
    condition, stain, seed = SAMPLES[name]
    imaging = random_imaging(np.random.default_rng(seed), stain, severity=0.25)
    params = SectionParams(preset(condition), imaging, stain, FIELD_UM, mpp=0.5)
    section = synthesize_section(params, seed)
    truth = repository / "data" / "sample_slides" / "truth"
    # another build of the libraries may move a border by a pixel
    assert (tifffile.imread(truth / f"{name}_fibers.tif") == section.labels).mean() > 0.999
    known = pd.read_csv(truth / f"{name}_fibers.csv", keep_default_na=False)
    assert section.fibers[known.columns].astype(str).equals(known.astype(str))
