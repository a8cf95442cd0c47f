"""Benchmark of the grouping of fiber types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def test_alarms_power_and_speed_are_tables(load: Callable[[str], Any]) -> None:
    patterns = load("patterns")
    alarms = patterns.alarms_table(2, 19)
    assert len(alarms.splitlines()) == 5
    power = patterns.power_table(2, 19)
    assert "600 fibers" in power
    assert len(power.splitlines()) == 4 + len(patterns.LOSSES)


def test_the_drawn_section_holds_whole_fibers(load: Callable[[str], Any]) -> None:
    patterns = load("patterns")
    labels, table = patterns.draw_section(400, np.random.default_rng(0))
    assert labels.shape == (1000, 1000)
    assert np.array_equal(np.unique(labels)[1:], table["label"])
    whole = table[~table["touches_border"]]
    assert 320 < len(whole) < 400
    assert whole["area_um2"].median() > 1500
    # no fiber is in two pieces
    from scipy.ndimage import label as connected_parts

    for number in whole["label"].sample(25, random_state=0):
        assert connected_parts(labels == number)[1] == 1
