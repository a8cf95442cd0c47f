from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from biopsy_ai.measure.condition import FLAGS
from biopsy_ai.measure.condition_summary import summarize_conditions


def test_conditions_count_measured_fibers_and_doubts_all() -> None:
    fibers = pd.DataFrame({"excluded": ["", "", "", "", "torn"]})
    for flag in FLAGS:
        fibers[flag] = 0.1
    fibers["split"] = [0.9, 0.5, 0.2, np.nan, 0.9]
    fibers["artefact"] = [0.0, 0.0, 0.0, 0.0, 1.0]
    fibers["necrotic"] = np.nan
    summary = summarize_conditions(fibers)
    assert list(summary) == list(FLAGS)
    assert (summary["split"]["n"], summary["split"]["of"]) == (2, 3)
    assert summary["split"]["percent"] == pytest.approx(200 / 3)
    assert (summary["artefact"]["n"], summary["artefact"]["of"]) == (1, 5)
    assert summary["vacuolated"]["percent"] == 0
    assert not summary["necrotic"]["assessable"]
    assert summary["necrotic"]["percent"] is None
    json.dumps(summary, allow_nan=False)
