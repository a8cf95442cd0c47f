from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.measure.cores import (
    CORE_LIKE,
    NO_FIBER,
    NOT_MITOCHONDRIAL,
    TARGET,
    ZONES,
    call_cores,
    summarize_cores,
)
from biopsy_ai.measure.interior import COLUMNS, measure_interior
from biopsy_ai.measure.reference import Limits
from biopsy_ai.slides.stain_colors import estimate_white
from biopsy_ai.synthesis import SectionParams, preset, render, synthesize_section

MPP = (0.5, 0.5)
WHITE = np.full(3, 255.0, np.float32)
Profile = Callable[[np.ndarray], np.ndarray]


def call(
    profile: Profile,
    *,
    radius_um: float = 25.0,
    noise: float = 0.0,
    grain: int = 1,
    slope: float = 0.0,
    limits: Limits | None = None,
) -> tuple[str, float]:
    """Call a disc whose density follows a profile from its middle (0) to its border (1)."""
    side = int(2 * radius_um / MPP[0]) + 20
    y, x = np.indices((side, side)) - (side - 1) / 2
    radius = np.hypot(y, x) * MPP[0] / radius_um
    labels = (radius < 1).astype(np.int32)
    density = np.where(labels > 0, profile(radius), 0.0)
    rng = np.random.default_rng(0)
    texture = np.kron(rng.standard_normal((side // grain + 1,) * 2), np.ones((grain, grain)))
    density = density * np.clip(1 + noise * texture[:side, :side], 0.1, None)
    density = np.clip(density * (1 + slope * x / x.max()), 0.0, None)
    image = 256 * 10.0 ** -np.repeat(density[..., None], 3, axis=2) - 1
    limits = limits or Limits()
    interior = measure_interior(labels, MPP, image=image, white=WHITE, zones=True, limits=limits)
    assert tuple(interior.columns) == (*COLUMNS, *ZONES)
    found = call_cores(interior, interior["label"].to_numpy(), limits).loc[0]
    return found["core"], found["core_depth_ratio"]


def even(radius: np.ndarray) -> np.ndarray:
    return np.full(radius.shape, 0.4)


def cored(radius: np.ndarray, share: float = 0.4, reach: float = 0.4) -> np.ndarray:
    return np.where(radius < reach, share * 0.4, 0.4)


def ringed(radius: np.ndarray) -> np.ndarray:
    return np.where((radius >= 0.4) & (radius < 0.65), 0.6, cored(radius))


def test_two_zones_are_core_like_and_three_a_target() -> None:
    kind, ratio = call(cored)
    assert kind == CORE_LIKE
    assert ratio == pytest.approx(0.4, abs=0.03)
    assert call(ringed)[0] == TARGET
    assert call(ringed, noise=0.25, grain=4)[0] == TARGET, "texture hides no target"
    assert call(ringed, slope=0.3)[0] == TARGET, "nor does uneven light"


@pytest.mark.parametrize(
    ("profile", "options"),
    [
        (even, {}),
        (even, {"slope": 0.5}),
        (even, {"noise": 0.4, "grain": 6}),
        (lambda r: cored(r, share=0.7), {}),
        (lambda r: cored(r, reach=0.12), {}),  # a nucleus that takes no stain
        (lambda r: cored(r, reach=0.75), {}),  # mitochondria below the sarcolemma
        (lambda r: 0.3 + 0.4 * np.exp((r - 1) * 8), {}),
        (lambda r: 0.2 + 0.2 * r, {}),  # paler toward the middle without a border
        (lambda r: cored(r, share=0.02), {}),  # a hole as pale as glass
    ],
)
def test_what_is_no_core(profile: Profile, options: dict[str, float]) -> None:
    kind, ratio = call(profile, **options)
    assert kind == ""
    assert np.isfinite(ratio)


def test_thin_and_pale_fibers_are_not_assessed() -> None:
    for kind, ratio in (call(cored, radius_um=8.0), call(lambda r: 0.15 * cored(r))):
        assert kind == ""
        assert np.isnan(ratio)


def test_the_limits_of_the_user_decide() -> None:
    changed = {"core_density_share_below": 0.8, "core_ring_above": 2.0}
    assert call(lambda r: cored(r, share=0.7), limits=Limits(changed))[0] == CORE_LIKE
    assert call(ringed, limits=Limits(changed))[0] == CORE_LIKE


def test_nothing_is_called_without_the_zones() -> None:
    labels = np.array([3, 5])
    for interior in (None, pd.DataFrame({"label": labels, "density": 1.0})):
        table = call_cores(interior, labels)
        assert table["label"].tolist() == [3, 5]
        assert (table["core"] == "").all()
        assert table["core_depth_ratio"].isna().all()


def test_fibers_that_could_be_assessed_are_counted() -> None:
    table = pd.DataFrame(
        {
            "excluded": ["", "", "", "", "torn"],
            "core": [TARGET, CORE_LIKE, "", "", TARGET],
            "core_depth_ratio": [0.3, 0.4, 1.0, np.nan, 0.3],
        }
    )
    found = summarize_cores(table)
    assert found["assessable"]
    assert found["why_not"] is None
    assert found["target"]["n"] == found["core_like"]["n"] == 1
    assert found["target"]["of"] == 3
    assert found["target"]["percent"] == pytest.approx(100 / 3)
    assert found["limits"]["core_ring_above"]["mark"] == "E"
    json.dumps(found, allow_nan=False)
    other = summarize_cores(table, NOT_MITOCHONDRIAL)
    assert not other["assessable"]
    assert other["why_not"] == NOT_MITOCHONDRIAL
    none = summarize_cores(table.assign(core_depth_ratio=np.nan))
    assert none["why_not"] == NO_FIBER
    assert none["target"]["percent"] is None


@pytest.mark.parametrize("stain", ["nadh", "sdh"])
def test_synthetic_sections_without_cores(stain: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Coarse texture and dark rims of mitochondria make no targets."""

    def rims_only(labels: np.ndarray, inside: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        rim = rng.uniform(0.0, 0.9, int(labels.max()) + 1)
        return np.asarray(rim[labels] * np.exp(-inside / rng.uniform(1, 4)), dtype=np.float32)

    monkeypatch.setattr(render, "_mitochondria", rims_only)
    called = assessed = 0
    for seed in (900001, 900002):
        params = SectionParams(preset("normal"), stain=stain, size_um=(500.0, 500.0))
        section = synthesize_section(params, seed)
        interior = measure_interior(
            section.labels,
            MPP,
            image=section.image,
            white=estimate_white(section.image, 255.0),
            zones=True,
        )
        table = call_cores(interior, interior["label"].to_numpy())
        assert not (table["core"] == TARGET).any()
        called += int((table["core"] != "").sum())
        assessed += int(table["core_depth_ratio"].notna().sum())
    assert assessed > 100
    assert called < 0.02 * assessed
