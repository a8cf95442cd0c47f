"""The contact graph of a section in numbers, and whether it can be trusted."""

from __future__ import annotations

from typing import Any

import numpy as np

from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.patterns.contacts import Contacts


def summarize_contacts(contacts: Contacts, limits: Limits = DEFAULTS) -> dict[str, Any]:
    """Summarize the contact graph, and say where it is not to be trusted.

    Parameters
    ----------
    contacts : Contacts
        Of all fibers of a section.
    limits : Limits, optional

    Returns
    -------
    dict
        ``n_fibers``, ``n_edges``, ``n_inner``, ``mean_inner_degree``, ``mean_inner_sides``,
        ``max_gap_um``, ``widened_from_um``, ``median_gap_um``, ``spacing_um``, ``plausible`` (None
        without inner fibers) and ``note``: empty, or what is odd. Values that are not known are
        None.

    Notes
    -----
    An inner fiber meets 6 others on average (Euler's formula), and 5.5 to 6.2 in simulated mosaics
    (criteria §4.1). That holds for all it meets, ``mean_inner_sides``: contacts along less than a
    tenth of the perimeter do not count in ``mean_inner_degree``, which is lower by 0.3 to 1.2.
    """
    sides = contacts.mean_inner_sides()
    low, high = limits["inner_sides_low"], limits["inner_sides_high"]
    note = ""
    if not contacts.inner.any():
        note = "no fiber has neighbors on all sides"
    elif sides is not None and sides < low:
        note = (
            f"inner fibers meet {sides:.2f} others within {contacts.max_gap_um:.1f} µm, fewer than "
            f"the {low:g} of a plausible mosaic: fibers may be missed, or lie apart"
        )
    elif sides is not None and sides > high:
        note = (
            f"inner fibers meet {sides:.2f} others, more than the {high:g} of a plausible mosaic: "
            "there are fibers in pieces"
        )
    if np.isfinite(contacts.widened_from_um):
        note = (
            f"contacts were sought within {contacts.max_gap_um:.0f} µm in place of "
            f"{contacts.widened_from_um:.1f}: the endomysium is wide here"
        ) + (f"; {note}" if note else "")
    return {
        "n_fibers": len(contacts.labels),
        "n_edges": len(contacts.pairs),
        "n_inner": int(contacts.inner.sum()),
        "mean_inner_degree": contacts.mean_inner_degree(),
        "mean_inner_sides": sides,
        "max_gap_um": _known(contacts.max_gap_um),
        "widened_from_um": _known(contacts.widened_from_um),
        "median_gap_um": float(np.median(contacts.gap_um)) if len(contacts.pairs) else None,
        "spacing_um": _known(contacts.spacing_um),
        "plausible": None if sides is None else low <= sides <= high,
        "note": note,
    }


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
