from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from drawn_mosaics import hexagons

from biopsy_ai.patterns.assortativity import assortativity
from biopsy_ai.patterns.atrophy_clusters import (
    describe_clusters,
    measure_clusters,
    measure_joins,
    number_clusters,
)
from biopsy_ai.patterns.atrophy_strata import find_strata

PATH = np.array([[0, 1], [1, 2], [2, 3], [4, 5], [5, 6], [7, 8]])


def test_groups_are_numbered_from_the_largest() -> None:
    atrophic = np.array([1, 1, 0, 1, 1, 1, 1, 1, 1], bool)
    assert number_clusters(PATH, atrophic, 2).tolist() == [2, 2, 0, 0, 1, 1, 1, 3, 3]
    assert number_clusters(PATH, atrophic, 3).tolist() == [0, 0, 0, 0, 1, 1, 1, 0, 0]
    assert number_clusters(PATH, np.zeros(9, bool), 1).tolist() == [0] * 9
    assert number_clusters(np.empty((0, 2), int), np.ones(3, bool), 1).tolist() == [1, 2, 3]


def test_many_arrangements_are_measured_as_each_by_itself() -> None:
    _, pairs = hexagons(12, 12)
    codes = (np.random.default_rng(0).random((144, 20)) < 0.3).astype(np.int8)
    joins, clusters = measure_joins(pairs, codes), measure_clusters(pairs, codes, 5)
    for k in range(20):
        atrophic = codes[:, k] == 1
        size = np.bincount(number_clusters(pairs, atrophic, 1))[1:]
        groups = size[size >= 5]
        assert clusters[k].tolist() == [size.max(), len(groups), groups.sum()]
        assert joins[k, 1] == atrophic[pairs].all(axis=1).sum()
        assert joins[k, 0] == pytest.approx(assortativity(pairs, codes[:, k]), abs=1e-5)


def test_arrangements_without_and_of_nothing_but_atrophic_fibers() -> None:
    codes = np.stack([np.zeros(9, int), np.ones(9, int)], axis=1)
    assert measure_joins(PATH, codes).tolist() == [[0, 0], [0, 6]]
    assert measure_clusters(PATH, codes, 3).tolist() == [[0, 0, 0], [4, 2, 7]]


def nodes(types: list[str], **columns: object) -> pd.DataFrame:
    table = pd.DataFrame({"type": types, "shape_judged": True, "angular": False, "fascicle": 1})
    return table.assign(centroid_y_um=0.0, centroid_x_um=1.0, layer=3, **columns)


@pytest.mark.parametrize(
    ("members", "composition"),
    [
        (["I"] * 8, "pure"),
        (["I"] * 12 + ["IIA"], "pure"),
        (["I"] * 4 + ["IIX"] * 4, "mixed"),
        (["I"] * 4, "undetermined"),  # by chance in one of sixteen
        (["I"] * 5 + ["IIA"], "undetermined"),  # one fiber may be typed wrongly
        (["undetermined"] * 6, "undetermined"),
    ],
)
def test_composition(members: list[str], composition: str) -> None:
    others = ["I"] * 100 + ["IIA"] * 100
    cluster = np.repeat([1, 0], [len(members), len(others)])
    (group,) = describe_clusters(nodes(members + others), cluster).to_dict("records")
    assert group["composition"] == composition
    assert group["n_type_i"] == members.count("I")
    assert group["n_type_i"] + group["n_type_ii"] + group["n_untyped"] == len(members)


def test_large_is_many_fibers_or_half_of_a_fascicle() -> None:
    table = nodes(["I"] * 100, fascicle=0)
    table["fascicle"] = np.repeat([1, 2, 3], [60, 30, 10])
    cluster = np.zeros(100, int)
    cluster[:21], cluster[60:80], cluster[90:95] = 1, 2, 3
    groups = describe_clusters(table, cluster)
    assert groups["n_fibers"].tolist() == [21, 20, 5]
    assert groups["size"].tolist() == ["large", "large", "large"]
    assert groups["fascicle_share"].tolist() == pytest.approx([0.35, 2 / 3, 0.5])
    cluster[70:80] = 0
    assert describe_clusters(table, cluster)["size"].tolist() == ["large", "small", "large"]


def test_angular_share_is_of_the_fibers_with_a_shape() -> None:
    table = nodes(["I"] * 6)
    table["shape_judged"] = [True, True, True, True, False, False]
    table["angular"] = [True, True, True, False, False, False]
    group = describe_clusters(table, np.ones(6, int)).iloc[0]
    assert (group["n_angular"], group["angular_share"]) == (3, 0.75)
    assert group["n_outer"] == 0
    bare = describe_clusters(table[["shape_judged", "angular"]], np.ones(6, int)).iloc[0]
    assert pd.isna(bare["n_outer"])
    assert pd.isna(bare["fascicle"])
    assert describe_clusters(table, np.zeros(6, int)).empty


def test_strata_are_as_fine_as_what_is_known() -> None:
    table = pd.DataFrame({"atrophic": [True, False] * 4, "fascicle": [1] * 4 + [2] * 4})
    assert find_strata(table).primary == "fascicle"
    table["layer"] = pd.array([1, 1, 2, 2] * 2, dtype="Int64")
    assert find_strata(table).primary == "fascicle_layer"
    table["type"] = ["I", "I", "IIA", "IIX"] * 2
    strata = find_strata(table)
    assert (strata.primary, strata.without_layers) == ("fascicle_layer_type", "fascicle_type")
    assert len(np.unique(strata.of["fascicle_layer_type"])) == 4
    table["layer"] = pd.array([pd.NA] * 8, dtype="Int64")
    assert find_strata(table).primary == "fascicle_type"


def test_a_stain_that_types_no_small_fibers_makes_no_strata_of_types() -> None:
    table = pd.DataFrame({"atrophic": [True] * 5 + [False] * 20, "fascicle": 1})
    table["type"] = ["undetermined"] * 4 + ["I"] * 11 + ["II"] * 10
    strata = find_strata(table)
    assert strata.primary == "fascicle"
    assert "20 % of the atrophic" in " ".join(strata.words)
