"""Contacts between fibers: which ones lie side by side, and how much of their border they share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.labels import LabelArray
from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.patterns.territories import KnownLines, measure_territories
from biopsy_ai.progress import Progress


@dataclass(frozen=True, eq=False)
class Contacts:
    """The contact graph of a section: fibers, and which of them lie side by side.

    Attributes
    ----------
    labels
        (n,) int64, ascending: the fibers.
    pairs
        (m, 2) int64: rows of ``labels`` of the two fibers of each contact, the lower one first;
        sorted, each pair once.
    gap_um
        (m,) mean width of the gap between the two along the contact.
    shared_um
        (m,) length of the contact, along the line half way between the two.
    shared_share
        (m,) that length as a share of the perimeter of the smaller fiber.
    inner
        (n,) bool: fibers with all sides seen and taken by other fibers of their fascicle.
    max_gap_um
        Gap up to which fibers are in contact; NaN where it is not known.
    n_sides
        (n,) int64: fibers of its fascicle that each fiber meets within that gap along any length,
        be it too short for a contact; None where it is not known.
    spacing_um
        Gap within which nine in ten of the neighbors of inner fibers lie, whether or not they are
        in contact; NaN where it is not known.
    widened_from_um
        Gap that contacts were first sought over, where it proved too narrow; else NaN.
    """

    labels: NDArray[np.int64]
    pairs: NDArray[np.int64]
    gap_um: NDArray[np.float64]
    shared_um: NDArray[np.float64]
    shared_share: NDArray[np.float64]
    inner: NDArray[np.bool_]
    max_gap_um: float = np.nan
    n_sides: NDArray[np.int64] | None = None
    spacing_um: float = np.nan
    widened_from_um: float = np.nan

    @property
    def degree(self) -> NDArray[np.int64]:
        """(n,) number of neighbors of each fiber."""
        return np.bincount(self.pairs.ravel(), minlength=len(self.labels)).astype(np.int64)

    def mean_inner_degree(self) -> float | None:
        """Mean number of neighbors of the inner fibers, None where there are none."""
        return float(self.degree[self.inner].mean()) if self.inner.any() else None

    def mean_inner_sides(self) -> float | None:
        """Mean number of fibers that inner ones meet along any length, None if not known."""
        if self.n_sides is None or not self.inner.any():
            return None
        return float(self.n_sides[self.inner].mean())

    def among(self, keep: NDArray[np.bool_]) -> Contacts:
        """The contacts among some of the fibers.

        Parameters
        ----------
        keep : (n,) array of bool

        Returns
        -------
        Contacts
            A fiber stays an inner one if all its neighbors are kept. What is known of the whole
            section alone, ``n_sides`` and ``spacing_um``, is left out.

        Raises
        ------
        ValueError
            If `keep` does not have one entry per fiber.
        """
        keep = np.asarray(keep, dtype=bool)
        if keep.shape != self.labels.shape:
            raise ValueError(f"{keep.shape} entries to choose among {len(self.labels)} fibers")
        both = keep[self.pairs].all(axis=1)
        bereft = np.zeros(len(keep), dtype=bool)
        bereft[self.pairs[~both].ravel()] = True
        row = np.cumsum(keep) - 1
        return Contacts(
            labels=self.labels[keep],
            pairs=row[self.pairs[both]],
            gap_um=self.gap_um[both],
            shared_um=self.shared_um[both],
            shared_share=self.shared_share[both],
            inner=(self.inner & ~bereft)[keep],
            max_gap_um=self.max_gap_um,
        )

    def table(self) -> pd.DataFrame:
        """One row per contact: label, neighbor, gap_um, shared_um, shared_share."""
        return pd.DataFrame(
            {
                "label": self.labels[self.pairs[:, 0]],
                "neighbor": self.labels[self.pairs[:, 1]],
                "gap_um": self.gap_um,
                "shared_um": self.shared_um,
                "shared_share": self.shared_share,
            }
        )


def find_contacts(
    fibers: LabelArray,
    mpp: tuple[float, float],
    table: pd.DataFrame,
    *,
    ids: NDArray[Any] | None = None,
    gaps_um: tuple[float, float] | None = None,
    known: KnownLines | None = None,
    limits: Limits = DEFAULTS,
    progress: Progress | None = None,
) -> Contacts:
    """Find which fibers lie side by side.

    Parameters
    ----------
    fibers : (H, W) array of int
        Label image; read in windows and never held whole.
    mpp : (y, x) tuple of float
        Pixel size in µm.
    table : DataFrame
        One row per fiber: ``label``, ``min_feret_um`` and ``perimeter_um``. Where it has them,
        ``fascicle`` and ``layer`` of `find_fascicles`, ``touches_border`` and
        ``touches_tissue_edge`` count too.
    ids : (n,) array of int, optional
        The fibers wanted, all of the table if not given. Others still lie between them.
    gaps_um : (gap, reach) tuple of float, optional
        Of a contact, and up to which a fiber takes a side of its neighbor, in place of those that
        follow from the fibers, see `contact_gaps`; contacts are then not sought again over a wider
        gap.
    known : KnownLines, optional
        What was drawn before of a section of which little has changed.
    limits : Limits, optional
    progress : callable, optional
        Called as ``progress("contacts", done, total)``.

    Returns
    -------
    Contacts

    Raises
    ------
    ValueError
        If a label comes twice in the table, or a fiber wanted is not in it.

    Notes
    -----
    Two fibers of one fascicle are in contact where the gap between their outlines is at most 5 µm
    or 0.1 times the median diameter, whichever is larger, along at least a tenth of the perimeter
    of the smaller one, and nothing nearer to either lies between (criteria §4.1, engineering
    proposal; the generalized Voronoi diagram of the masks clipped at half that gap on each side).
    The length is that of the line half way between the two, which is longer than an outline by π
    times the gap in a full turn, and is compared with the perimeter so lengthened.

    A fiber is an inner one where all but 0.05 of the outline of its territory, clipped at half of
    0.4 median diameters [defaults], meets other fibers of its fascicle, so that no place is left
    for one more neighbor; where neither the image nor the edge of the tissue cuts it; and where it
    does not touch perimysium. That limit is wider than the gap of a contact, so that endomysium
    too wide for contacts shows as few sides of inner fibers, not as a lack of these.

    Where it does, inner fibers meeting fewer than 5.5 others, contacts are sought again over the
    gap within which nine in ten of their neighbors lie: by the formula above fibrosis would leave
    no graph. Permutations of labels stay valid on any graph that the labels did not make.
    """
    nodes = _nodes(table, ids)
    max_gap, reach = gaps_um or _gaps(nodes, limits)
    found = _measured(fibers, mpp, nodes, max_gap, reach, limits, progress, known)
    if gaps_um is not None:
        return found
    sides = found.mean_inner_sides()
    wider = min(float(np.ceil(found.spacing_um)), reach) if np.isfinite(found.spacing_um) else 0.0
    if sides is None or sides >= limits["inner_sides_low"] or wider <= max_gap:
        return found
    widened = _measured(fibers, mpp, nodes, wider, reach, limits, progress, known)
    return replace(widened, widened_from_um=max_gap)


def contact_gaps(table: pd.DataFrame, limits: Limits = DEFAULTS) -> tuple[float, float]:
    """Gap of a contact, and gap up to which a fiber takes a side of its neighbor, µm.

    Parameters
    ----------
    table : DataFrame
        As for `find_contacts`.
    limits : Limits, optional
    """
    return _gaps(_nodes(table, None), limits)


def _measured(
    fibers: LabelArray,
    mpp: tuple[float, float],
    nodes: pd.DataFrame,
    max_gap: float,
    reach: float,
    limits: Limits,
    progress: Progress | None,
    known: KnownLines | None,
) -> Contacts:
    """The contacts over gaps of some width."""
    lines = measure_territories(
        fibers, mpp, gap_um=max_gap, reach_um=reach, known=known, progress=progress
    )
    labels = nodes["label"].to_numpy(np.int64)
    n = len(labels)
    # row n stands for nothing, and for what is no fiber of the table
    pairs = np.stack([_rows(labels, lines[name]) for name in ("label", "neighbor")], axis=1)
    met, near, gap = (lines[name].to_numpy(float) for name in ("met_um", "near_um", "near_gap_um"))
    fascicle = np.append(_column(nodes, "fascicle", 1), 0)
    together = (pairs < n).all(axis=1)
    together &= (fascicle[pairs[:, 0]] == fascicle[pairs[:, 1]]) & (fascicle[pairs[:, 0]] > 0)

    def ends(chosen: NDArray[Any]) -> NDArray[np.float64]:
        """Sum of something over the lines around each fiber."""
        weight = np.repeat(chosen.astype(float), 2)
        return np.bincount(pairs.ravel(), weight, minlength=n + 1)[:n].astype(float)

    outline, least = ends(met), limits["contact_share"]
    inner = (outline > 0) & (ends(met * ~together) <= limits["inner_free_share"] * outline)
    inner &= (_column(nodes, "layer", 0) != 1) & (_column(nodes, "touches_border", 0) == 0)
    inner &= _column(nodes, "touches_tissue_edge", 0) == 0

    perimeter = np.append(nodes["perimeter_um"].to_numpy(float), np.nan)
    smaller = perimeter[pairs].min(axis=1)
    with np.errstate(invalid="ignore"):
        share = near / (smaller + np.pi * gap)
        edges = np.flatnonzero(together & (share >= least))
        beside = together & np.append(inner, False)[pairs].any(axis=1)
        beside &= met / (smaller + np.pi * lines["met_gap_um"].to_numpy(float)) >= least
    edges = edges[np.lexsort(pairs[edges].T[::-1])]
    spacing = lines["met_gap_um"].to_numpy(float)[beside]
    return Contacts(
        labels=labels,
        pairs=pairs[edges],
        gap_um=gap[edges],
        shared_um=near[edges],
        shared_share=share[edges],
        inner=inner,
        max_gap_um=max_gap,
        n_sides=ends(together & (near > 0)).astype(np.int64),
        spacing_um=float(np.quantile(spacing, 0.9)) if len(spacing) else np.nan,
    )


def _nodes(table: pd.DataFrame, ids: NDArray[Any] | None) -> pd.DataFrame:
    """The rows of the fibers wanted, ascending."""
    if table["label"].duplicated().any():
        raise ValueError("a label comes twice in the table of fibers")
    if ids is not None:
        missing = np.setdiff1d(ids, table["label"])
        if len(missing):
            raise ValueError(f"no fiber {missing[0]} in the table of fibers")
        table = table[table["label"].isin(np.asarray(ids))]
    return table.sort_values("label")


def _gaps(nodes: pd.DataFrame, limits: Limits) -> tuple[float, float]:
    """Gap of a contact, and gap up to which a fiber takes a side of its neighbor, µm."""
    diameters = nodes["min_feret_um"].to_numpy(float)[_column(nodes, "touches_border", 0) == 0]
    diameters = diameters[np.isfinite(diameters)]
    median = float(np.median(diameters)) if len(diameters) else 0.0
    gap = max(limits["contact_gap_um"], limits["contact_gap_share"] * median)
    return gap, max(gap, limits["inner_gap_share"] * median)


def _column(nodes: pd.DataFrame, name: str, default: int) -> NDArray[np.int64]:
    """A column of whole numbers, the default where it or a value of it is missing."""
    if name not in nodes:
        return np.full(len(nodes), default, dtype=np.int64)
    return np.asarray(nodes[name].astype("Int64").fillna(default), dtype=np.int64)


def _rows(labels: NDArray[np.int64], wanted: pd.Series) -> NDArray[np.int64]:
    """Row of each label wanted, the number of labels where there is none."""
    found = wanted.to_numpy(np.int64)
    row = np.searchsorted(labels, found)
    known = np.append(labels, -1)[row] == found
    return np.where(known, row, len(labels)).astype(np.int64)
