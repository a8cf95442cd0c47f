from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from drawn_fascicles import draw_fascicles

from biopsy_ai.measure.reference import Limits
from biopsy_ai.patterns.contacts import Contacts
from biopsy_ai.patterns.perifascicular import find_perifascicular_atrophy


@pytest.fixture(scope="module")
def healthy() -> tuple[pd.DataFrame, Contacts]:
    return draw_fascicles()


def shrink(table: pd.DataFrame, which: np.ndarray, factor: float) -> pd.DataFrame:
    table = table.copy()
    table.loc[which, "min_feret_um"] *= factor
    return table


def find(table: pd.DataFrame, contacts: Contacts, **given: Any) -> dict[str, Any]:
    told = find_perifascicular_atrophy(
        table, contacts, **{"sex": "male", "n_permutations": 499, **given}
    )
    json.dumps(told, allow_nan=False)
    return told


def outer(table: pd.DataFrame) -> np.ndarray:
    return (table["layer"] == 1).to_numpy(bool)


def test_healthy_fascicles_show_none(healthy) -> None:
    told = find(*healthy)
    assert told["p"] > 0.05
    assert told["ratio"] == pytest.approx(1, abs=0.05)
    assert (told["n_flagged"], told["positive"]) == (0, False)
    assert "no sign" in told["verdict"]


def test_small_fibers_at_the_edge_of_fascicles_are_found(healthy) -> None:
    table, contacts = healthy
    told = find(shrink(table, outer(table), 0.5), contacts)
    assert told["p"] == 1 / 500
    assert told["ratio"] == pytest.approx(0.5, abs=0.05)
    assert told["positive"]
    assert told["n_flagged"] == told["n_fascicles"]
    assert "compatible with perifascicular atrophy" in told["verdict"]
    first = told["fascicles"][0]
    assert 6 <= first["longest_run"] <= first["n_outer"]


def test_one_fascicle_is_too_few_for_a_call(healthy) -> None:
    table, contacts = healthy
    table = shrink(table, outer(table) & (table["fascicle"] == 5).to_numpy(bool), 0.5)
    told = find(table, contacts)
    assert (told["n_flagged"], told["positive"]) == (1, False)
    assert [entry["fascicle"] for entry in told["fascicles"] if entry["flagged"]] == [5]
    assert "compatible with perifascicular atrophy" not in told["verdict"]


@pytest.mark.parametrize(("run", "flagged"), [(5, 0), (6, 1)])
def test_a_flag_takes_a_run_of_six(healthy, run: int, flagged: int) -> None:
    table, contacts = healthy
    table = table.assign(min_feret_um=58 + 6 * np.linspace(-1, 1, len(table)))
    place = table[["centroid_y_um", "centroid_x_um"]].to_numpy() / 60
    first = outer(table) & (table["fascicle"] == 5).to_numpy(bool)
    top = np.flatnonzero(first & (place[:, 0] < place[first, 0].min() + 0.1))
    # the rest of the edge is smaller, but above the limit
    table = shrink(table, first, 0.74)
    table.loc[top[:run], "min_feret_um"] = 20.0
    told = find(table, contacts, limits=Limits({"small_z": -5}))
    entry = next(entry for entry in told["fascicles"] if entry["fascicle"] == 5)
    assert entry["ratio"] < 0.75
    assert entry["longest_run"] == run
    assert told["n_flagged"] == flagged
    assert "without enough for a call" in told["verdict"]


def test_more_of_a_smaller_type_at_the_edge_is_none(healthy) -> None:
    table, contacts = healthy
    rng = np.random.default_rng(0)
    types = np.where(rng.random(len(table)) < np.where(outer(table), 0.8, 0.3), "IIX", "I")
    table = shrink(table, types == "IIX", 0.8)
    assert find(table, contacts)["p"] < 0.01
    told = find(table.assign(type=types), contacts)
    assert told["p"] > 0.05
    assert "type class" in told["null"]


def test_false_alarms() -> None:
    table, contacts = draw_fascicles(2, spread=0.2)
    rng = np.random.default_rng(0)
    sizes = table["min_feret_um"].to_numpy()
    ps = [
        find(table.assign(min_feret_um=rng.permutation(sizes)), contacts, n_permutations=99)["p"]
        for _ in range(60)
    ]
    assert np.mean(np.array(ps) <= 0.05) <= 0.15
    assert 0.4 < np.mean(ps) < 0.6


def test_without_a_reference_no_fascicle_is_flagged(healthy) -> None:
    table, contacts = healthy
    told = find(shrink(table, np.ones(len(table), bool), 0.4), contacts, sex=None)
    assert told["assessable"]
    assert (told["positive"], told["n_flagged"]) == (None, None)
    assert "cannot tell" in told["verdict"]


@pytest.mark.parametrize("known", ["no column", "no layers", "few fibers"])
def test_without_layers_it_is_not_assessable(healthy, known: str) -> None:
    table, contacts = healthy
    if known == "no column":
        table = table.drop(columns="layer")
    elif known == "no layers":
        table = table.assign(layer=pd.array([pd.NA] * len(table), dtype="Int64"))
    else:
        table = table[table["layer"] != 3]
    told = find(table, contacts)
    assert not told["assessable"]
    assert told["why_not"]
    assert (told["p"], told["ratio"], told["positive"]) == (None, None, None)


def test_layers_of_different_types_are_not_compared(healthy) -> None:
    table, contacts = healthy
    told = find(table.assign(type=np.where(outer(table), "IIX", "I")), contacts)
    assert (told["p"], told["z"]) == (None, None)
    assert "of the same type" in told["verdict"]


def test_flagged_fascicles_without_a_difference_within_types_are_no_clear_sign(healthy) -> None:
    table, contacts = healthy
    rng = np.random.default_rng(0)
    types = np.where(rng.random(len(table)) < np.where(outer(table), 0.9, 0.1), "IIX", "I")
    told = find(shrink(table, types == "IIX", 0.5).assign(type=types), contacts)
    assert told["positive"]
    assert told["p"] > 0.05
    assert "cannot tell" in told["verdict"]
