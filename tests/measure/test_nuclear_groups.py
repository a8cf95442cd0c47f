import numpy as np
import pandas as pd
import pytest
from skimage.draw import disk

from biopsy_ai.measure.nuclear_groups import clump_numbers, cluster_numbers, touching_pairs
from biopsy_ai.measure.nuclei import measure_nuclei
from biopsy_ai.measure.reference import Limits

MPP = (0.5, 0.5)


def nucleus_table(centers: list[tuple[float, float]], **columns: object) -> pd.DataFrame:
    table = pd.DataFrame(centers, columns=["centroid_y_um", "centroid_x_um"])
    table.insert(0, "label", np.arange(1, len(table) + 1))
    table["class"] = "interstitial"
    table["tissue_class"] = pd.array([2] * len(table), dtype="Int64")
    return table.assign(**columns)


def test_ten_near_nuclei_are_a_cluster_and_nine_are_not():
    ten = [(10.0 * k, 0.0) for k in range(10)]
    nine = [(10.0 * k, 500.0) for k in range(9)]
    numbers = cluster_numbers(nucleus_table(nine + ten))
    assert numbers.tolist() == [0] * 9 + [1] * 10


def test_nuclei_far_apart_in_fibers_or_in_vessels_are_no_cluster():
    assert not cluster_numbers(nucleus_table([(16.0 * k, 0.0) for k in range(12)])).any()
    near = [(10.0 * k, 0.0) for k in range(12)]
    assert not cluster_numbers(nucleus_table(near, **{"class": "internal"})).any()
    assert not cluster_numbers(nucleus_table(near, tissue_class=5)).any()
    assert cluster_numbers(nucleus_table(near, tissue_class=pd.NA)).all()
    assert not len(cluster_numbers(nucleus_table([])))


def test_the_limits_of_the_user_decide(knot):
    nine = nucleus_table([(16.0 * k, 0.0) for k in range(9)])
    assert not cluster_numbers(nine).any()
    limits = Limits({"cluster_min_nuclei": 9.0, "cluster_distance_um": 17.0})
    assert cluster_numbers(nine, limits).all()
    table = measure_nuclei(knot, np.zeros_like(knot), MPP)
    pairs_too = Limits({"clump_min_nuclei": 2.0})
    assert clump_numbers(table, knot, MPP, limits=pairs_too).tolist() == [1, 1, 1, 1, 2, 2, 0]
    assert len(touching_pairs(knot, MPP, Limits({"touching_gap_um": 60.0}))) == 21


@pytest.fixture
def knot() -> np.ndarray:
    """Four touching nuclei (1 to 4), a touching pair and a lone one."""
    nuclei = np.zeros((120, 120), np.int32)
    for label, at in enumerate([(20, 20), (20, 31), (31, 20), (31, 31)], start=1):
        nuclei[disk(at, 6)] = label
    nuclei[disk((80, 80), 6)] = 7
    nuclei[disk((80, 93), 6)] = 8
    nuclei[disk((30, 90), 6)] = 9
    return nuclei


def test_touching_pairs(knot):
    pairs = touching_pairs(knot, MPP).tolist()
    assert [7, 8] in pairs
    assert [1, 2] in pairs
    assert not any(9 in pair for pair in pairs)
    assert touching_pairs(np.zeros((5, 5), np.int32), MPP).shape == (0, 2)


def test_a_knot_without_cytoplasm_is_a_clump(knot):
    nothing = np.zeros_like(knot)
    table = measure_nuclei(knot, nothing, MPP)
    assert clump_numbers(table, knot, MPP).tolist() == [1, 1, 1, 1, 0, 0, 0]
    clusters = np.array([1, 1, 1, 1, 0, 0, 0])
    assert not clump_numbers(table, knot, MPP, clusters=clusters).any()
    perimysium = measure_nuclei(knot, nothing, MPP, tissue=np.full(knot.shape, 3, np.uint8))
    assert not clump_numbers(perimysium, knot, MPP).any()


@pytest.mark.parametrize(("radius", "is_clump"), [(14, True), (30, False)])
def test_what_is_left_of_the_fiber_decides(knot, radius, is_clump):
    fibers = np.zeros_like(knot)
    fibers[disk((25.5, 25.5), radius, shape=fibers.shape)] = 5
    table = measure_nuclei(knot, fibers, MPP)
    areas = pd.DataFrame({"label": [5], "area_um2": [np.count_nonzero(fibers) * 0.25]})
    assert clump_numbers(table, knot, MPP, areas)[:4].all() == is_clump


def test_a_wide_knot_is_no_clump():
    nuclei = np.zeros((40, 200), np.int32)
    for k in range(6):
        nuclei[disk((20, 20 + 13 * k), 6)] = k + 1
    table = measure_nuclei(nuclei, np.zeros_like(nuclei), MPP)
    assert not clump_numbers(table, nuclei, MPP).any()
    assert not len(clump_numbers(table[:0], np.zeros_like(nuclei), MPP))
