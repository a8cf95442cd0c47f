from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.errors import ConfigError, TypesReadError
from biopsy_ai.patterns.fiber_types import type_fibers

SIDE_UM = 1200.0
DENSITIES = {
    "atpase:9.4": {"I": 0.1, "IIA": 0.5, "IIX": 0.5},
    "atpase:4.6": {"I": 0.55, "IIA": 0.09, "IIX": 0.3},
    "atpase:4.3": {"I": 0.55, "IIA": 0.1, "IIX": 0.1},
    "nadh": {"I": 0.5, "IIA": 0.27, "IIX": 0.12},
    "sdh": {"I": 0.5, "IIA": 0.27, "IIX": 0.12},
    "cox": {"I": 0.5, "IIA": 0.3, "IIX": 0.15},
}


def section(n: int = 400, share: float = 0.45, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Make a fiber table, and the types of its fibers."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice(["I", "IIA", "IIX"], n, p=[share, (1 - share) / 2, (1 - share) / 2])
    table = pd.DataFrame(
        {
            "label": np.arange(n) + 5,
            "centroid_y_um": rng.uniform(0, SIDE_UM, n),
            "centroid_x_um": rng.uniform(0, SIDE_UM, n),
            "min_feret_um": rng.normal(50, 5, n),
            "excluded": "",
        }
    )
    return table, kinds


def stained(table: pd.DataFrame, kinds: np.ndarray, stain: str, seed: int = 1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    od = np.array([DENSITIES[stain][kind] for kind in kinds])
    od = od * np.exp(0.06 * rng.normal(size=len(od))) + 0.005 * rng.normal(size=len(od))
    return pd.DataFrame({"label": table["label"], "od": od})


def two(kinds: np.ndarray) -> np.ndarray:
    return np.where(kinds == "I", "I", "II")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("stain", ["atpase:9.4", "atpase:4.3"])
def test_both_ends_of_atpase_give_the_same_types(stain, share):
    table, kinds = section(share=share)
    types = type_fibers(stained(table, kinds, stain), table, stain)
    fibers = types.fibers
    assert np.mean(fibers["type"].to_numpy() == two(kinds)) > 0.99
    told = fibers["type"] != "undetermined"
    assert fibers.loc[told, "type_posterior"].between(0.8, 1).all()
    assert np.corrcoef(fibers["type_i_posterior"], kinds == "I")[0, 1] > 0.98
    columns = [name for name in fibers if name.startswith("p_")]
    assert fibers[columns].sum(axis=1).to_numpy() == pytest.approx(1)
    summary = types.summary
    assert summary["assessable"]
    assert summary["polarity"]["agrees"]
    assert summary["separation"] > 5
    assert summary["expected_error"] < 0.01
    json.dumps(summary, allow_nan=False)


@pytest.mark.parametrize("stain", ["atpase:4.6", "nadh", "sdh", "cox"])
def test_three_levels_give_subtypes(stain):
    table, kinds = section()
    table["min_feret_um"] = 50.0  # none of them small
    types = type_fibers(stained(table, kinds, stain), table, stain)
    assert np.mean(types.fibers["type"].to_numpy() == kinds) > 0.97
    assert types.summary["approximate"] == (not stain.startswith("atpase"))
    assert any("approximately" in note for note in types.summary["notes"]) == (
        not stain.startswith("atpase")
    )


@pytest.mark.parametrize("stain", ["he", "trichrome", "sirius_red", "atpase", "unknown"])
def test_stains_that_tell_no_types_say_why(stain):
    table, kinds = section()
    types = type_fibers(stained(table, kinds, "atpase:9.4"), table, stain)
    assert not types.summary["assessable"]
    assert (types.fibers["type"] == "").all()
    assert types.fibers["type_i_posterior"].isna().all()
    assert len(types.summary["why_not"]) > 30
    if stain == "atpase":
        assert "atpase:9.4" in types.summary["why_not"]


def test_a_wrong_ph_is_seen_where_three_levels_contradict_it():
    table, kinds = section()
    types = type_fibers(stained(table, kinds, "atpase:4.6"), table, "atpase:9.4")
    assert not types.summary["polarity"]["agrees"]
    assert any("check the pH" in note for note in types.summary["notes"])
    # the middle level fits neither end
    assert (types.fibers["type"].to_numpy()[kinds == "IIX"] == "undetermined").mean() > 0.9


def test_one_type_only_is_not_parted():
    table, _ = section()
    kinds = np.full(len(table), "IIA")
    types = type_fibers(stained(table, kinds, "atpase:9.4"), table, "atpase:9.4")
    assert not types.summary["assessable"]
    assert "no two levels" in types.summary["why_not"]
    assert (types.fibers["type"] == "undetermined").all()
    assert types.summary["n_undetermined"] == len(table)


def test_small_fibers_are_not_typed_by_nadh():
    table, kinds = section()
    small = np.arange(len(table)) % 10 == 0
    table.loc[small, "min_feret_um"] = 15.0
    stain = stained(table, kinds, "nadh")
    stain.loc[small, "od"] = 0.55  # denervated: dark, whatever their type
    types = type_fibers(stain, table, "nadh")
    assert (types.fibers.loc[small, "type"] == "undetermined").all()
    assert types.fibers.loc[small, "type_i_posterior"].isna().all()
    assert types.summary["n_small_left_out"] >= small.sum()
    assert any("denervated" in note for note in types.summary["notes"])
    assert np.mean(types.fibers["type"].to_numpy()[~small] == kinds[~small]) > 0.9
    # ATPase does tell them
    by_atpase = type_fibers(stained(table, kinds, "atpase:4.6"), table, "atpase:4.6")
    assert by_atpase.summary["n_small_left_out"] == 0


def test_excluded_fibers_are_typed_but_not_fitted():
    table, kinds = section()
    stain = stained(table, kinds, "atpase:9.4")
    fold = np.arange(len(table)) < 150
    table.loc[fold, "excluded"] = "in an artefact"
    stain.loc[fold, "od"] *= 2  # tissue lies double
    table.loc[200:249, "excluded"] = "cut by the image border"
    stain.loc[stain.index[-1], "od"] = np.nan
    types = type_fibers(stain, table, "atpase:9.4")
    assert types.summary["model"]["od"]["n_fitted"] == len(table) - 150 - 1
    right = types.fibers["type"].to_numpy() == two(kinds)
    assert right[150:-1].mean() > 0.99
    assert (types.fibers.loc[fold, "type"] != "").all()
    assert types.fibers["type"].iloc[-1] == ""
    assert types.summary["n_without_stain"] == 1


def test_hybrids_lie_between_the_levels_at_ph_4_3():
    table, kinds = section(n=600)
    stain = stained(table, kinds, "atpase:4.3")
    hybrid = np.arange(len(table)) < 12
    stain.loc[hybrid, "od"] = 0.3
    types = type_fibers(stain, table, "atpase:4.3")
    assert (types.fibers.loc[hybrid, "type"] == "I/IIA").all()
    assert types.fibers.loc[hybrid, "type_i_posterior"].to_numpy() == pytest.approx(0.5, abs=0.1)
    assert types.summary["tells_hybrids"]
    # at 9.4 they look like type 2 or are not told
    stain["od"] = 0.65 - stain["od"]
    types = type_fibers(stain, table, "atpase:9.4")
    assert (types.fibers.loc[hybrid, "type"] == "undetermined").all()
    assert not types.summary["tells_hybrids"]


def test_thresholds_replace_the_model():
    table, kinds = section(n=20)
    stain = stained(table, kinds, "atpase:9.4")
    types = type_fibers(stain, table, "atpase:9.4", thresholds={"OD": 0.3})
    assert (types.fibers["type"].to_numpy() == two(kinds)).all()
    assert (types.fibers["type_posterior"] == 1).all()
    assert types.summary["source"] == "thresholds"
    acid = type_fibers(stain, table, "atpase:4.3", thresholds={"od": 0.3})
    assert (acid.fibers["type"].to_numpy() != types.fibers["type"].to_numpy()).all()
    with pytest.raises(ConfigError, match="IIA, which was not measured"):
        type_fibers(stain, table, "atpase:9.4", thresholds={"IIa": 0.3})
    assert not type_fibers(stain, table, "he", thresholds={"od": 0.3}).summary["assessable"]


def test_a_table_of_types_replaces_the_stain():
    table, _ = section(n=6)
    words = ["I", "IIA", "I/IIA", "undetermined", ""]
    given = pd.DataFrame({"label": table["label"].to_numpy()[4::-1], "type": words[::-1]})
    types = type_fibers(None, table, "he", given=given)
    assert types.fibers["type"].tolist() == [*words, ""]
    assert types.fibers["type_posterior"].tolist()[:3] == [1, 1, 1]
    assert types.fibers["type_posterior"].isna().tolist()[3:] == [True, True, True]
    assert types.fibers["type_i_posterior"].tolist()[:3] == [1, 0, 0.5]
    assert types.summary["source"] == "table"
    assert types.summary["counts"] == {"I": 1, "IIA": 1, "I/IIA": 1}
    with pytest.raises(TypesReadError, match="not there: 99"):
        type_fibers(None, table, "he", given=pd.DataFrame({"label": [99], "type": ["I"]}))


def test_what_was_not_measured_says_so():
    table, _ = section()
    for stain in (None, table[["label"]]):
        types = type_fibers(stain, table, "atpase:9.4")
        assert "not measured" in types.summary["why_not"]
    types = type_fibers(table[["label"]], table, "if")
    assert "no channel shows a fiber type" in types.summary["why_not"]


def test_without_an_image_or_colors_that_is_why():
    table, _ = section()
    assert "no image" in type_fibers(None, table, "auto").summary["why_not"]
    gray = pd.DataFrame({"label": table["label"], "od": np.nan})
    for thresholds in (None, {"od": 0.4}):
        types = type_fibers(gray, table, "atpase:9.4", thresholds=thresholds)
        assert "color picture" in types.summary["why_not"]
        assert not types.summary["assessable"]


def test_many_fibers_are_fitted_by_a_sample_that_the_seed_decides():
    table, kinds = section(n=6000)
    stain = stained(table, kinds, "atpase:9.4")
    first, again = (type_fibers(stain, table, "atpase:9.4", seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(first.fibers, again.fibers)
    assert first.summary["model"]["od"]["n_fitted"] == 2000
    assert np.mean(first.fibers["type"].to_numpy() == two(kinds)) > 0.99
