from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.measure.reference import Limits
from biopsy_ai.patterns.bimodality import describe_modes, summarize_modes


def drawn(n: int, small: float, *, ratio: float = 0.45, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    is_small = rng.random(n) < small
    return 60 * np.where(is_small, ratio, 1.0) * rng.lognormal(0, 0.12, n)


def test_two_sizes_are_two_modes() -> None:
    told = describe_modes(drawn(600, 0.3))
    assert told["two_modes"] is True
    assert told["dip"]["p"] < 0.01
    assert told["mixture"]["weights"][0] == pytest.approx(0.3, abs=0.04)
    assert told["mixture"]["medians_um"] == pytest.approx([27, 60], abs=2)
    assert told["mixture"]["ashman_d"] > 2
    assert "compatible with two modes" in told["verdict"]


@pytest.mark.parametrize(("small", "ratio"), [(0.0, 1.0), (0.3, 0.85), (0.02, 0.45)])
def test_one_size_close_sizes_and_a_few_small_fibers_are_one_mode(
    small: float, ratio: float
) -> None:
    told = describe_modes(drawn(600, small, ratio=ratio))
    assert told["two_modes"] is False
    assert "one mode" in told["verdict"]


def test_skew_alone_is_no_second_mode() -> None:
    skewed = 30 + 20 * np.random.default_rng(0).gamma(2, 1, 2000)
    told = describe_modes(skewed)
    assert told["mixture"]["delta_bic"] > 10
    assert told["two_modes"] is False


def test_many_fibers_are_compared_with_fewer_and_this_is_said() -> None:
    told = describe_modes(drawn(30_000, 0.2))
    assert told["dip"]["n"] == 30_000
    assert "simulated for 500 values" in told["dip"]["null"]
    assert told["two_modes"]


def test_few_fibers_and_equal_ones_are_not_assessable() -> None:
    few = describe_modes(drawn(60, 0.3))
    assert (few["assessable"], few["two_modes"]) == (False, None)
    assert "60 fibers" in few["why_not"]
    assert "same size" in describe_modes(np.full(200, 50.0))["why_not"]


def test_limits_of_the_user() -> None:
    told = describe_modes(drawn(600, 0.3), limits=Limits({"modes_weight_above": 0.45}))
    assert told["two_modes"] is False
    assert told["limits"]["modes_weight_above"]["mark"] == "user"


def test_modes_by_type_and_without_excluded_fibers() -> None:
    sizes = np.concatenate([drawn(300, 0.0), drawn(300, 0.4)])
    table = pd.DataFrame({"min_feret_um": sizes, "excluded": ""})
    table["type"] = np.repeat(["I", "IIA"], 300)
    table.loc[599, "excluded"] = "in an artefact"
    told = summarize_modes(table)
    assert told["all"]["n"] == 599
    assert told["by_type"]["I"]["two_modes"] is False
    assert told["by_type"]["II"]["two_modes"] is True
    assert summarize_modes(table.drop(columns="type"))["by_type"] == {}
    json.dumps(told, allow_nan=False)
