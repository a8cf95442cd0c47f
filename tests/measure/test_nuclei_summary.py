import json

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.measure.brooke_engel import wilson_interval
from biopsy_ai.measure.nuclei_summary import nuclear_centralization, summarize_nuclei
from biopsy_ai.measure.reference import Limits


@pytest.fixture
def nuclei() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "label": np.arange(1, 8),
            "fiber": [1, 1, 2, 3, 0, 0, 0],
            "class": ["subsarcolemmal", "central", "internal", "internal"] + ["interstitial"] * 3,
            "relative_depth": [0.1, 0.9, 0.5, 0.3, np.nan, np.nan, np.nan],
            "tissue_class": pd.array([1, 1, 1, 1, 2, 3, 5], dtype="Int64"),
        }
    )


@pytest.fixture
def fibers() -> pd.DataFrame:
    return pd.DataFrame({"label": [1, 2, 3, 4], "excluded": ["", "", "torn", ""]})


def test_section_statistics(nuclei, fibers):
    summary = summarize_nuclei(
        nuclei,
        fibers,
        tissue_area_um2=1e6,
        interstitium_area_um2=2e5,
        clusters=np.array([0, 0, 0, 0, 1, 1, 0]),
        clumps=np.zeros(7, int),
    )
    assert summary["assessable"]
    assert summary["internal_fiber_percent"] == pytest.approx(200 / 3)
    assert summary["internal_fibers"]["wilson_95"] == list(wilson_interval(2, 3))
    assert summary["centrally_nucleated_fibers"]["n"] == 1
    assert summary["nuclei_per_fiber"] == pytest.approx(1.0)
    assert summary["centralization"] == {
        "n": 3,
        "index": pytest.approx(0.5),
        "central_share": pytest.approx(1 / 3),
    }
    assert summary["interstitial"]["n"] == 2
    assert summary["interstitial"]["n_in_vessels_and_nerves"] == 1
    assert summary["interstitial"]["per_mm2_tissue"] == pytest.approx(2)
    assert summary["interstitial"]["per_mm2_interstitium"] == pytest.approx(10)
    assert summary["clusters"] == {"n": 1, "n_nuclei": 2, "largest": 2, "per_mm2_tissue": 1.0}
    assert summary["clumps"]["n"] == 0
    json.dumps(summary, allow_nan=False)


def test_the_limits_of_the_user_decide(nuclei, fibers):
    limits = Limits({"central_zone_from": 0.4, "internal_fibers_normal_percent": 5.0})
    summary = summarize_nuclei(nuclei, fibers, limits=limits)
    assert summary["centralization"]["central_share"] == pytest.approx(2 / 3)
    assert summary["internal_normal_below_percent"]["value"] == 5
    assert summary["internal_normal_below_percent"]["mark"] == "user"


def test_what_was_not_seen_is_not_0(fibers):
    assert summarize_nuclei(None, fibers, why_not="the stain nadh shows no nuclei") == {
        "assessable": False,
        "why_not": "the stain nadh shows no nuclei",
    }


def test_without_fibers_shares_are_missing(nuclei, fibers):
    summary = summarize_nuclei(nuclei, fibers[:0])
    assert summary["internal_fiber_percent"] is None
    assert summary["nuclei_per_fiber"] is None
    assert summary["centralization"]["index"] is None
    assert summary["clusters"] is None
    assert summary["interstitial"]["per_mm2_tissue"] is None


def test_centralization_caps_depth_at_the_radius():
    assert nuclear_centralization(np.array([1.4, 0.2, np.nan]))["index"] == pytest.approx(0.6)
