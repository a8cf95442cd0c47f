import numpy as np
import pytest
from drawn_hexagons import MPP, found, hexagons

from biopsy_ai.patterns.contact_summary import summarize_contacts
from biopsy_ai.patterns.contacts import Contacts


def test_contacts_are_sought_across_wide_endomysium():
    dense = summarize_contacts(found(hexagons(6, 6), MPP))
    assert dense["plausible"]
    assert dense["note"] == ""
    assert dense["widened_from_um"] is None
    wide = found(hexagons(6, 6, gap=9.0), MPP)
    summary = summarize_contacts(wide)
    assert summary["n_inner"] == 16
    assert summary["n_edges"] == dense["n_edges"]
    assert summary["widened_from_um"] == 5.0
    assert 9 <= summary["max_gap_um"] <= 10
    assert summary["median_gap_um"] == pytest.approx(9.0, abs=0.6)
    assert "in place of 5.0" in summary["note"]


def test_pieces_of_fibers_show_as_too_many_sides():
    labels = hexagons(6, 6)
    contacts = found(labels, MPP)
    many = Contacts(
        contacts.labels,
        contacts.pairs,
        contacts.gap_um,
        contacts.shared_um,
        contacts.shared_share,
        contacts.inner,
        contacts.max_gap_um,
        np.full(36, 7),
    )
    assert "in pieces" in summarize_contacts(many)["note"]
    unknown = contacts.among(np.ones(36, bool))
    assert summarize_contacts(unknown)["plausible"] is None


def test_fibers_that_are_missed_or_lie_apart():
    labels = hexagons(7, 7)
    contacts = found(labels, MPP)
    few = Contacts(
        contacts.labels,
        contacts.pairs,
        contacts.gap_um,
        contacts.shared_um,
        contacts.shared_share,
        contacts.inner,
        contacts.max_gap_um,
        np.full(49, 4),
        contacts.spacing_um,
    )
    summary = summarize_contacts(few)
    assert summary["plausible"] is False
    assert "missed" in summary["note"]


def test_without_fibers_nothing_is_known():
    summary = summarize_contacts(found(np.zeros((60, 60), np.int32)))
    assert summary["n_fibers"] == summary["n_edges"] == summary["n_inner"] == 0
    assert summary["mean_inner_degree"] is None
    assert summary["plausible"] is None
    assert "no fiber" in summary["note"]
