from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.patterns.channel_types import combine_channels, name_combination
from biopsy_ai.patterns.fiber_types import type_fibers
from biopsy_ai.patterns.type_summary import summarize_types

HELD = {
    "I": ("I",),
    "IIA": ("IIA",),
    "IIX": ("IIX",),
    "I/IIA": ("I", "IIA"),
    "IIA/IIX": ("IIA", "IIX"),
}
SHARES = {"I": 0.4, "IIA": 0.3, "IIX": 0.22, "I/IIA": 0.03, "IIA/IIX": 0.05}


def section(n: int = 500, seed: int = 0, shares: dict[str, float] = SHARES):
    """Make a table, the intensities of three channels, and the types of the fibers."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(list(shares), n, p=list(shares.values()))
    table = pd.DataFrame(
        {
            "label": np.arange(1, n + 1),
            "centroid_y_um": rng.uniform(0, 1000, n),
            "centroid_x_um": rng.uniform(0, 1000, n),
            "min_feret_um": 50.0,
            "excluded": "",
        }
    )
    light = np.exp(0.3 * (table["centroid_x_um"].to_numpy() / 500 - 1))
    columns = {}
    for name in ("I", "IIA", "IIX"):
        on = np.array([name in HELD[kind] for kind in kinds])
        columns[name] = np.where(on, 900.0, 150.0) * light * np.exp(0.2 * rng.normal(size=n))
    return table, pd.DataFrame({"label": table["label"], **columns}), kinds


def test_three_channels_give_types_and_hybrids():
    table, stain, kinds = section()
    stain = stain.rename(columns={"IIA": "IIa", "IIX": "iix"})
    types = type_fibers(stain, table, "if")
    assert np.mean(types.fibers["type"].to_numpy() == kinds) > 0.98
    assert types.summary["polarity"]["agrees"]
    assert types.summary["by_exclusion"] is None
    assert types.summary["tells_hybrids"]
    hybrid = kinds == "I/IIA"
    assert types.fibers.loc[hybrid, "type_i_posterior"].median() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("missing", ["I", "IIA", "IIX"])
def test_the_one_type_without_a_channel_follows_by_exclusion(missing):
    pure = {"I": 0.4, "IIA": 0.3, "IIX": 0.3}
    table, stain, kinds = section(shares=pure)
    types = type_fibers(stain.drop(columns=missing), table, "if")
    assert np.mean(types.fibers["type"].to_numpy() == kinds) > 0.98
    assert types.summary["by_exclusion"] == missing
    assert any("by exclusion" in note for note in types.summary["notes"])


def test_a_single_channel_tells_its_own_type():
    pure = {"I": 0.4, "IIA": 0.3, "IIX": 0.3}
    table, stain, kinds = section(shares=pure)
    slow = type_fibers(stain[["label", "I"]], table, "if")
    assert np.mean(slow.fibers["type"].to_numpy() == np.where(kinds == "I", "I", "II")) > 0.99
    assert slow.summary["by_exclusion"] == "II"
    fast = type_fibers(stain[["label", "IIA"]], table, "if")
    expected = np.where(kinds == "IIA", "IIA", "undetermined")
    assert np.mean(fast.fibers["type"].to_numpy() == expected) > 0.99
    # what holds no IIA may be type I or IIX
    assert fast.fibers.loc[expected == "undetermined", "type_i_posterior"].isna().mean() > 0.99
    assert fast.summary["by_exclusion"] is None


def test_shares_need_channels_that_part_type_i_from_type_ii():
    table, stain, kinds = section(shares={"I": 0.4, "IIA": 0.3, "IIX": 0.3})
    table["area_um2"] = 2000.0
    for channels, assessable in (("I",), True), (("IIA",), False), (("IIA", "IIX"), True):
        types = type_fibers(stain[["label", *channels]], table, "if")
        typed = table.merge(types.fibers, on="label")
        found = summarize_types(typed, typing=types.summary)
        assert found["assessable"] == assessable
        if assessable:
            share = found["type_1_share"]["share"]
            assert share == pytest.approx(np.mean(kinds == "I"), abs=0.02)
        else:
            assert "negative in IIA may be of type I or not" in found["why_not"]


def test_a_channel_without_two_levels_leaves_nothing_over():
    table, stain, kinds = section(shares={"I": 0.5, "IIA": 0.4, "IIX": 0.1})
    stain["IIX"] = 150 * np.exp(0.2 * np.random.default_rng(5).normal(size=len(stain)))
    types = type_fibers(stain, table, "if")
    assert (types.fibers["type"].to_numpy()[kinds == "IIX"] == "undetermined").all()
    assert any("Channel IIX shows no two levels" in note for note in types.summary["notes"])
    dark = stain.assign(I=150.0, IIA=150.0)
    types = type_fibers(dark, table, "if")
    assert not types.summary["assessable"]
    assert "channel I:" in types.summary["why_not"]


def test_light_that_shines_through_makes_no_hybrids():
    table, stain, kinds = section(shares={"I": 0.3, "IIA": 0.4, "IIX": 0.3})
    slow = kinds == "I"
    stain.loc[slow, "IIA"] *= 3
    types = type_fibers(stain, table, "if")
    assert np.mean(types.fibers["type"].to_numpy() == kinds) > 0.95
    assert any("shines through" in note for note in types.summary["notes"])


def test_an_antibody_that_binds_two_types_is_told():
    table, stain, kinds = section(shares={"I": 0.3, "IIA": 0.4, "IIX": 0.3})
    fast = kinds == "IIA"
    stain.loc[fast, "IIX"] *= 6
    types = type_fibers(stain, table, "if")
    assert any("seems to bind type IIA" in note for note in types.summary["notes"])
    assert set(types.fibers.loc[fast, "type"]) == {"IIA"}
    assert set(types.fibers.loc[kinds == "IIX", "type"]) == {"IIX"}


def test_both_at_once():
    """As in a real section: the light of I is taken off before IIA is compared with IIX."""
    table, stain, kinds = section(shares={"I": 0.3, "IIA": 0.4, "IIX": 0.3})
    stain.loc[kinds == "I", "IIA"] *= 3
    stain.loc[kinds == "IIA", "IIX"] *= 6
    types = type_fibers(stain, table, "if")
    assert np.mean(types.fibers["type"].to_numpy() == kinds) > 0.95


def test_thresholds_by_channel():
    table, stain, kinds = section()
    types = type_fibers(stain, table, "if", thresholds={"i": 400, "IIa": 400, "IIX": 400})
    assert types.summary["source"] == "thresholds"
    assert types.summary["separation"] is None
    assert np.mean(types.fibers["type"].to_numpy() == kinds) > 0.85
    some = type_fibers(stain, table, "if", thresholds={"I": 400})
    assert some.summary["model"]["I"] == {"threshold": 400.0}
    assert some.summary["source"] == "mixture"


def test_rare_hybrids_are_not_made_up():
    rng = np.random.default_rng(0)
    slow = rng.random(400) < 0.5
    # both channels are unsure of every tenth fiber
    unsure = rng.random(400) < 0.1
    positive = {
        "I": np.where(unsure, 0.5, slow).astype(float),
        "IIA": np.where(unsure, 0.5, ~slow).astype(float),
    }
    types, by_exclusion = combine_channels(positive, absent=("IIX",))
    assert by_exclusion == "IIX"
    assert sum(types.values()) == pytest.approx(1)
    assert types["I/IIA"][unsure].max() < 0.05
    assert types["I"][unsure] + types["IIA"][unsure] == pytest.approx(1, abs=0.05)


def test_names_of_combinations():
    assert name_combination(["IIA"]) == "IIA"
    assert name_combination(["I", "IIX"]) == "I/IIX"
    assert name_combination(["I", "IIA", "IIX"]) == "undetermined"
