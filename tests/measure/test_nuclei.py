import numpy as np
import pandas as pd
import pytest
from skimage.draw import disk, ellipse

from biopsy_ai import labels as labels_room
from biopsy_ai.labels import view_on_grid
from biopsy_ai.measure.nuclei import COLUMNS, count_nuclei, measure_nuclei, why_no_nuclei
from biopsy_ai.measure.reference import Limits, stain_vector
from biopsy_ai.slides.stain_separation import StainSeparation

MPP = (0.5, 0.5)


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray]:
    """Fibers 3 and 8, discs of 30 µm radius; one nucleus of every class, and one in a hole."""
    fibers = np.zeros((160, 320), np.int32)
    fibers[disk((70, 70), 60)] = 3
    fibers[disk((80, 220), 60)] = 8
    nuclei = np.zeros_like(fibers)
    nuclei[ellipse(70, 14, 9, 4)] = 1  # along the border: centroid 2 µm below it
    nuclei[disk((70, 70), 7)] = 2  # in the middle
    nuclei[disk((70, 110), 7)] = 4  # 10 µm deep
    nuclei[disk((80, 145), 6)] = 5  # between the fibers
    nuclei[disk((80, 220), 7)] = 9
    fibers[disk((80, 220), 8)] = 0  # a nucleus that the outline leaves out
    return nuclei, fibers


def test_every_class_and_where_each_nucleus_lies(drawn):
    table = measure_nuclei(*drawn, MPP).set_index("label")
    assert tuple(table.reset_index().columns) == COLUMNS
    assert table["class"].to_dict() == {
        1: "subsarcolemmal",
        2: "central",
        4: "internal",
        5: "interstitial",
        9: "central",
    }
    assert table["fiber"].to_dict() == {1: 3, 2: 3, 4: 3, 5: 0, 9: 8}
    assert table.loc[2, "depth_um"] == pytest.approx(30, abs=0.6)
    assert table.loc[4, "depth_um"] == pytest.approx(10, abs=0.6)
    assert table.loc[4, "relative_depth"] == pytest.approx(1 / 3, abs=0.02)
    assert np.isnan(table.loc[5, "depth_um"])
    assert table.loc[2, "area_um2"] == pytest.approx(np.pi * 3.5**2, rel=0.08)
    assert table.loc[2, "centroid_y_um"] == pytest.approx(35.25, abs=0.1)
    assert table.loc[2, "circularity"] > 0.95
    assert table.loc[1, "axis_major_length_um"] > 2 * table.loc[1, "axis_minor_length_um"]
    assert table["hematoxylin"].isna().all()
    assert table["tissue_class"].isna().all()


def test_the_limits_of_the_user_decide(drawn):
    deep = measure_nuclei(*drawn, MPP, limits=Limits({"internal_depth_um": 12.0}))
    assert deep.set_index("label").loc[4, "class"] == "subsarcolemmal"
    near = measure_nuclei(*drawn, MPP, limits=Limits({"central_depth_share": 0.3}))
    assert near.set_index("label").loc[4, "class"] == "central"


def test_nucleus_belongs_where_most_of_it_lies():
    fibers = np.zeros((40, 60), np.int32)
    fibers[5:35, 5:25] = 1
    fibers[5:35, 27:55] = 2
    nuclei = np.zeros_like(fibers)
    nuclei[10:14, 20:30] = 1  # 5 columns in fiber 1, 2 between, 3 in fiber 2
    nuclei[20:24, 22:32] = 2  # 3 in fiber 1, 2 between, 5 in fiber 2
    nuclei[30:33, 24:28] = 3  # 1 in fiber 1, 2 between, 1 in fiber 2
    assert measure_nuclei(nuclei, fibers, MPP)["fiber"].tolist() == [1, 2, 0]


def test_hematoxylin_and_tissue_class(drawn, monkeypatch):
    nuclei, fibers = drawn
    hematoxylin, eosin = stain_vector("hematoxylin"), stain_vector("eosin")
    density = np.where((nuclei > 0)[..., None], 0.8 * hematoxylin, 0.3 * eosin)
    image = 256 * 10.0**-density - 1
    dyes = StainSeparation(
        ("hematoxylin", "eosin"), np.stack([hematoxylin, eosin]), np.full(3, 255.0, np.float32)
    )
    tissue = np.where(fibers > 0, 1, 2).astype(np.uint8)
    table = measure_nuclei(nuclei, fibers, MPP, image=image, separation=dyes, tissue=tissue)
    assert table["hematoxylin"].to_numpy() == pytest.approx(0.8, abs=0.01)
    monkeypatch.setattr("biopsy_ai.measure.nuclei._BAND_PX", 7)
    bands = measure_nuclei(nuclei, fibers, MPP, image=image, separation=dyes, tissue=tissue)
    pd.testing.assert_frame_equal(bands, table)
    assert table["tissue_class"].tolist() == [1, 1, 1, 2, 2]


def test_result_does_not_depend_on_the_pieces(monkeypatch):
    rng = np.random.default_rng(4)
    fibers = np.zeros((300, 300), np.int32)
    nuclei = np.zeros_like(fibers)
    for k in range(16):
        center = np.array([38 + 75 * (k // 4), 38 + 75 * (k % 4)])
        fibers[disk(center, 34, shape=fibers.shape)] = k + 1
        for _ in range(4):
            at = center + rng.integers(-34, 34, 2)
            nuclei[disk(at, 5, shape=fibers.shape)] = nuclei.max() + 1
    tissue = np.where(fibers > 0, 1, 2).astype(np.uint8)[::2, ::2]
    tissue = view_on_grid(tissue, (1.0, 1.0), fibers.shape, MPP)
    whole = measure_nuclei(nuclei, fibers, MPP, tissue=tissue)
    assert set(whole["class"]) == {"subsarcolemmal", "internal", "central", "interstitial"}
    for window in (40, 97):
        monkeypatch.setattr(labels_room, "WINDOW_PX", window)
        pd.testing.assert_frame_equal(measure_nuclei(nuclei, fibers, MPP, tissue=tissue), whole)


def test_counts_per_fiber(drawn):
    counts = count_nuclei(measure_nuclei(*drawn, MPP), np.array([3, 8, 11])).set_index("label")
    assert counts["n_nuclei"].tolist() == [3, 1, 0]
    assert counts["n_internal_nuclei"].tolist() == [2, 1, 0]
    assert counts["is_centrally_nucleated"].tolist() == [True, True, False]


def test_not_assessable_is_missing_and_never_0():
    counts = count_nuclei(None, np.array([3, 8]))
    assert counts.drop(columns="label").isna().all().all()


@pytest.mark.parametrize(
    ("stain", "channels", "mpp", "words"),
    [
        ("he", {}, (0.5, 0.5), ""),
        ("unknown", {}, (0.5, 0.5), "not known"),
        ("nadh_sdh", {}, (0.5, 0.5), "shows no nuclei"),
        ("nadh", {}, (0.5, 0.5), "shows no nuclei"),
        ("atpase:9.4", {}, (0.5, 0.5), "shows no nuclei"),
        ("if", {"border": 0}, (0.5, 0.5), "no channel"),
        ("if", {"border": 0, "nuclei": 1}, (0.5, 0.5), ""),
        ("he", {}, (0.5, 1.6), "coarser"),
    ],
)
def test_why_nuclei_cannot_be_assessed(stain, channels, mpp, words):
    reason = why_no_nuclei(stain, channels, mpp)
    assert words in reason
    assert bool(reason) == bool(words)


def test_no_nuclei_and_no_fibers():
    empty = np.zeros((20, 20), np.int32)
    assert tuple(measure_nuclei(empty, empty, MPP).columns) == COLUMNS
    nuclei = empty.copy()
    nuclei[5:9, 5:9] = 1
    assert measure_nuclei(nuclei, empty, MPP)["class"].tolist() == ["interstitial"]


def test_arguments_that_do_not_fit_are_errors(drawn):
    nuclei, fibers = drawn
    with pytest.raises(ValueError, match="same grid"):
        measure_nuclei(nuclei, fibers[:-1], MPP)
    dyes = StainSeparation(("a", "b"), np.eye(3)[:2], np.full(3, 255.0, np.float32))
    with pytest.raises(ValueError, match="hematoxylin"):
        measure_nuclei(nuclei, fibers, MPP, image=np.ones((*fibers.shape, 3)), separation=dyes)


def test_progress_ends_at_the_total(drawn):
    calls: list[tuple[str, int, int]] = []
    measure_nuclei(*drawn, MPP, progress=lambda *call: calls.append(call))
    assert calls[0] == ("nuclei", 0, 7)
    assert calls[-1] == ("nuclei", 7, 7)
