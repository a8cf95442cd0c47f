import numpy as np
import pandas as pd
import pytest
from drawn_mosaics import contacts_of, hexagons, inside, types_of

from biopsy_ai.measure.fibers import CUT_BY_BORDER
from biopsy_ai.patterns.type_mosaic import class_name, read_mosaic, read_soft_mosaic


def section() -> tuple:
    centers, pairs = hexagons(6, 6)
    return contacts_of(pairs, inside(centers)), types_of(np.arange(36) % 2 == 0, centers), pairs


def test_hybrids_and_what_is_excluded_do_not_count():
    contacts, table, pairs = section()
    table.loc[[0, 1, 2], "type"] = ["I/IIA", "undetermined", pd.NA]
    table.loc[3, "excluded"] = "in an artefact"
    table.loc[4, "type"] = "IIA/IIX"
    mosaic = read_mosaic(contacts, table)
    assert mosaic.labels.tolist() == list(range(5, 37))
    assert mosaic.left_out == {"excluded": 1, "neither type I nor II": 3}
    assert not mosaic.is_type_i[0]
    assert mosaic.types[0] == "IIA/IIX"
    assert len(mosaic.pairs) == np.count_nonzero((pairs > 3).all(axis=1))
    assert class_name(True) == "I"


def test_joins_need_complete_fibers_and_neighbors_do_not():
    """Criteria §4.7: edges between complete fibers; all fibers are neighbors."""
    contacts, table, pairs = section()
    table.loc[8, "excluded"] = CUT_BY_BORDER
    table["touches_border"] = False
    table.loc[27, "touches_border"] = True
    mosaic = read_mosaic(contacts, table)
    assert len(mosaic.labels) == 36
    assert np.flatnonzero(~mosaic.complete).tolist() == [8, 27]
    assert len(mosaic.contacts) == len(pairs)
    assert len(mosaic.pairs) == np.count_nonzero(~np.isin(pairs, [8, 27]).any(axis=1))
    assert mosaic.inner.tolist() == contacts.inner.tolist()


def test_a_fiber_with_an_untyped_neighbor_is_no_inner_one():
    contacts, table, pairs = section()
    table.loc[14, "type"] = ""
    mosaic = read_mosaic(contacts, table)
    near = set(pairs[(pairs == 14).any(axis=1)].ravel() + 1)
    assert set(mosaic.labels[mosaic.inner]) == set(contacts.labels[contacts.inner]) - near


def test_strata_are_fascicle_and_border_layer():
    contacts, table, _ = section()
    assert "fascicles are not known" in read_mosaic(contacts, table).strata_words
    assert not read_mosaic(contacts, table).fascicles_known
    table["fascicle"] = np.repeat([1, 2], 18)
    by_fascicle = read_mosaic(contacts, table)
    assert by_fascicle.fascicles_known
    assert len(np.unique(by_fascicle.strata)) == 2
    table["layer"] = pd.array([1, 2, 3] * 12, dtype="Int64")
    layered = read_mosaic(contacts, table)
    assert "touch perimysium" in layered.strata_words
    assert len(np.unique(layered.strata)) == 4
    assert layered.strata[1] == layered.strata[2] != layered.strata[0]


def test_soft_mosaics_hold_hybrids_too():
    contacts, table, _ = section()
    table["type_i_posterior"] = 0.5
    table.loc[0, "type"] = "I/IIA"
    table.loc[1, "type_i_posterior"] = np.nan
    table.loc[2, "excluded"] = CUT_BY_BORDER
    soft = read_soft_mosaic(contacts, table)
    assert len(soft.type_i_posterior) == 34
    assert len(read_soft_mosaic(contacts, table.drop(columns="type_i_posterior")).strata) == 0


def test_the_table_must_hold_each_fiber_once():
    contacts, table, _ = section()
    with pytest.raises(ValueError, match="in no table row"):
        read_mosaic(contacts, table.iloc[1:])
    with pytest.raises(ValueError, match="a label twice"):
        read_mosaic(contacts, pd.concat([table, table.iloc[:1]]))
    shuffled = read_mosaic(contacts, table.sample(frac=1, random_state=0))
    assert np.array_equal(shuffled.is_type_i, read_mosaic(contacts, table).is_type_i)
