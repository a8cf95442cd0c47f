import numpy as np
import pandas as pd
import pytest
from drawn_hexagons import MPP, WIDTH, found, hexagons

from biopsy_ai import labels as labels_room
from biopsy_ai.measure import measure_fibers
from biopsy_ai.measure.reference import Limits
from biopsy_ai.patterns.contacts import Contacts, find_contacts


def two_squares(gap: int, *, shift: int = 0, side: int = 40) -> np.ndarray:
    """Two squares of so many µm beside each other at 1 µm per pixel."""
    labels = np.zeros((2 * side + 40, 2 * side + gap + 40), np.int32)
    labels[20 : 20 + side, 20 : 20 + side] = 1
    x = 20 + side + gap
    labels[20 + shift : 20 + shift + side, x : x + side] = 2
    return labels


def edges(contacts: Contacts) -> list[tuple[int, int]]:
    return [tuple(pair) for pair in contacts.labels[contacts.pairs].tolist()]


def assert_same(one: Contacts, other: Contacts) -> None:
    for name in ("labels", "pairs", "gap_um", "shared_um", "shared_share", "inner", "n_sides"):
        assert getattr(one, name).tolist() == getattr(other, name).tolist(), name
    assert one.spacing_um == other.spacing_um


@pytest.mark.parametrize("mpp", [MPP, (1.0, 1.0), (0.7, 0.4), (0.25, 0.25)])
def test_hexagons_have_six_neighbors(mpp):
    contacts = found(hexagons(6, 7, mpp=mpp), mpp)
    inside = np.zeros((6, 7), bool)
    inside[1:-1, 1:-1] = True
    assert contacts.inner.tolist() == inside.ravel().tolist()
    assert (contacts.degree[contacts.inner] == 6).all()
    assert contacts.mean_inner_degree() == 6.0
    assert contacts.mean_inner_sides() == 6.0
    assert len(contacts.pairs) == 6 * 6 + 5 * 13
    side = WIDTH / np.sqrt(3)
    # at the end of the lattice a line goes on a little between two corners
    between = contacts.inner[contacts.pairs].all(axis=1)
    assert contacts.shared_um[between] == pytest.approx(side, rel=0.1)
    assert contacts.shared_um[between].mean() == pytest.approx(side, rel=0.04)
    assert contacts.shared_share[between].mean() == pytest.approx(1 / 6, rel=0.06)
    assert contacts.gap_um.mean() == pytest.approx(2.0, abs=0.25)


@pytest.mark.parametrize("gap", [0, 1, 2, 3, 4])
def test_the_gap_is_that_between_the_outlines(gap):
    contacts = found(two_squares(gap, side=100), min_feret_um=40.0)
    assert contacts.gap_um[0] == pytest.approx(gap, abs=0.2)
    assert contacts.shared_um[0] == pytest.approx(100, abs=6)


@pytest.mark.parametrize("gap", [0.0, 1.0, 2.5, 4.0])
def test_the_gap_does_not_depend_on_the_direction(gap):
    y, x = (np.indices((240, 240)) + 0.5) * 0.5 - 60
    table = pd.DataFrame({"label": [1, 2], "min_feret_um": 40.0, "perimeter_um": 200.0})
    for angle in np.radians([0, 15, 30, 45, 60, 90]):
        gaps = []
        for offset in (0.0, 0.3, 0.6, 0.9):
            across = np.cos(angle) * x + np.sin(angle) * y + offset
            labels = np.where(across < -gap / 2, 1, np.where(across >= gap / 2, 2, 0))
            labels[np.hypot(x, y) > 45] = 0
            gaps.append(find_contacts(labels, MPP, table).gap_um[0])
        assert np.mean(gaps) == pytest.approx(gap, abs=0.35)


def test_fibers_farther_apart_than_the_limit_are_not_in_contact():
    assert edges(found(two_squares(4))) == [(1, 2)]
    assert edges(found(two_squares(6))) == []
    assert found(two_squares(6)).max_gap_um == 5.0
    # a tenth of the median diameter, where that is more
    wide = found(two_squares(6, side=80))
    assert wide.max_gap_um == pytest.approx(8.0, abs=0.1)
    assert edges(wide) == [(1, 2)]
    labels = two_squares(6)
    table = measure_fibers(labels, (1.0, 1.0))
    user = find_contacts(labels, (1.0, 1.0), table, limits=Limits({"contact_gap_um": 7.0}))
    assert edges(user) == [(1, 2)]


def test_a_short_contact_is_none():
    assert edges(found(two_squares(2, shift=20))) == [(1, 2)]
    corner = found(two_squares(2, shift=34))
    assert edges(corner) == []
    assert corner.n_sides.tolist() == [1, 1]


def test_the_smaller_fiber_decides():
    labels = two_squares(2)
    labels[labels == 2] = 0
    labels[30:42, 62:74] = 2
    contacts = found(labels)
    assert edges(contacts) == [(1, 2)]
    assert contacts.shared_share[0] == pytest.approx(12 / 48, rel=0.35)


def test_a_fiber_between_two_keeps_them_apart():
    labels = two_squares(4)
    labels[10:90, 61:63] = 3
    assert edges(found(labels)) == [(1, 3), (2, 3)]


def test_fascicles_are_not_joined():
    labels = hexagons(4, 6)
    table = measure_fibers(labels, MPP)
    column = np.tile(np.arange(6), 4)
    table["fascicle"] = pd.array(np.where(column < 3, 1, 2), dtype="Int64")
    table.loc[0, "fascicle"] = 0
    contacts = find_contacts(labels, MPP, table)
    fascicle = table["fascicle"].to_numpy(int)[contacts.pairs]
    assert (fascicle[:, 0] == fascicle[:, 1]).all()
    assert contacts.degree[0] == 0, "a fiber in no fascicle"
    # what lies beside the other fascicle is not an inner one
    assert contacts.labels[contacts.inner].tolist() == [8, 11, 14, 17]

    table["fascicle"], table["layer"] = 1, pd.array([pd.NA] * 24, dtype="Int64")
    free = find_contacts(labels, MPP, table)
    assert free.inner.reshape(4, 6)[1:-1, 1:-1].all()
    table.loc[8, "layer"] = 1
    assert not find_contacts(labels, MPP, table).inner[8]


@pytest.mark.parametrize("edge", ["touches_border", "touches_tissue_edge"])
def test_a_cut_fiber_is_a_neighbor_but_no_inner_one(edge):
    labels = hexagons(5, 5)
    table = measure_fibers(labels, MPP)
    table[edge] = table["label"] == 13
    contacts = find_contacts(labels, MPP, table)
    assert not contacts.inner[12]
    assert contacts.degree[12] == 6
    assert contacts.inner[11]


def test_what_the_image_does_not_show_is_no_neighbor():
    labels = hexagons(5, 5)
    whole = found(labels, MPP)
    assert whole.inner[11]
    # the image ends 5 µm from a fiber whose neighbor lies beyond
    cut = np.where(labels == 11, 0, labels)[:, round((20 + WIDTH - 4) / 0.5) :]
    table = measure_fibers(cut, MPP)
    assert not table.loc[table["label"] == 12, "touches_border"].any()
    contacts = find_contacts(cut, MPP, table)
    assert contacts.labels[contacts.inner].tolist() == [7, 8, 9, 13, 14, 17, 18, 19]


def test_a_missing_fiber_opens_a_side_and_a_small_space_does_not():
    labels = hexagons(7, 7)
    inside = found(labels, MPP).inner.sum()
    missing = found(np.where(labels == 25, 0, labels), MPP)
    assert missing.inner.sum() == inside - 7
    assert not missing.inner[np.isin(missing.labels, [24, 26])].any()
    y, x = (np.indices(labels.shape) + 0.5) * 0.5
    corner = np.hypot(y - y[labels == 25].min(), x - x[labels == 25].mean()) < 5
    assert found(np.where(corner, 0, labels), MPP).inner.sum() == inside


def test_result_does_not_depend_on_the_windows_or_on_where_the_image_is_kept(monkeypatch, tmp_path):
    import zarr

    rng = np.random.default_rng(4)
    labels = hexagons(5, 6, gap=3.0)
    labels = np.where(rng.random(labels.shape) < 0.02, 0, labels)
    labels[150:230, 180:260] = 0
    table = measure_fibers(labels, MPP)
    whole = find_contacts(labels, MPP, table)
    stored = zarr.create_array(tmp_path / "f.zarr", shape=labels.shape, dtype="i4", chunks=(64, 64))
    stored[:] = labels
    for side in (47, 150):
        monkeypatch.setattr(labels_room, "WINDOW_PX", side)
        assert_same(find_contacts(stored, MPP, table), whole)


def test_labels_need_not_be_in_order_and_others_may_lie_between():
    labels = hexagons(5, 5)
    plain = found(labels, MPP)
    new = np.append(0, np.random.default_rng(0).choice(2**31 - 2, 25, replace=False) + 1)
    shuffled = found(new[labels], MPP)
    assert shuffled.labels.tolist() == sorted(new[1:].tolist())
    at = np.searchsorted(shuffled.labels, new[1:])
    assert shuffled.degree[at].tolist() == plain.degree.tolist()

    table = measure_fibers(labels, MPP)
    some = find_contacts(labels, MPP, table, ids=np.delete(np.arange(1, 26), 12))
    assert 13 not in some.labels
    assert len(some.pairs) == len(plain.pairs) - 6
    assert not some.inner[some.labels == 12].any()


def test_contacts_among_some_fibers():
    contacts = found(hexagons(5, 5), MPP)
    some = contacts.among(contacts.labels != 2)
    assert some.labels.tolist() == [1, *range(3, 26)]
    assert edges(some) == [pair for pair in edges(contacts) if 2 not in pair]
    assert not some.inner[some.labels == 7].any(), "it lost a neighbor"
    assert some.inner.sum() == contacts.inner.sum() - 1
    none = contacts.among(np.zeros(25, bool))
    assert none.table().empty
    assert none.mean_inner_degree() is None
    with pytest.raises(ValueError, match="25 fibers"):
        contacts.among(np.ones(3, bool))


def test_table_of_contacts():
    table = found(two_squares(2)).table()
    assert table.columns.tolist() == ["label", "neighbor", "gap_um", "shared_um", "shared_share"]
    assert table[["label", "neighbor"]].to_numpy().tolist() == [[1, 2]]


def test_one_fiber_and_none():
    one = found(np.where(two_squares(2) == 1, 1, 0))
    assert one.labels.tolist() == [1]
    assert one.pairs.shape == (0, 2)
    assert one.degree.tolist() == [0]
    assert not one.inner.any()
    none = found(np.zeros((60, 60), np.int32))
    assert none.labels.shape == (0,)
    assert none.pairs.shape == (0, 2)


def test_small_fibers():
    labels = np.zeros((40, 40), np.int32)
    labels[10:13, 10:13], labels[10:13, 14:17], labels[11, 18] = 1, 2, 3
    assert edges(found(labels)) == [(1, 2), (2, 3)]


def test_what_does_not_fit_is_refused():
    labels = two_squares(2)
    table = measure_fibers(labels, (1.0, 1.0))
    with pytest.raises(ValueError, match="twice"):
        find_contacts(labels, (1.0, 1.0), pd.concat([table, table]))
    with pytest.raises(ValueError, match="no fiber 7"):
        find_contacts(labels, (1.0, 1.0), table, ids=np.array([1, 7]))
