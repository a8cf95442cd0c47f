"""The mosaic of fiber types on the contact graph, as the tests of grouping take it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.measure.exclusion import is_excluded
from biopsy_ai.measure.fibers import CUT
from biopsy_ai.measure.type_class import TYPE_I, TYPE_II, type_classes
from biopsy_ai.patterns.contacts import Contacts

SUBTYPES = ("I", "II", "IIA", "IIX")
"""Types of their own in join counts of more than two; hybrids are left out."""


@dataclass(frozen=True, eq=False)
class TypeMosaic:
    """Typed fibers and their contacts.

    Attributes
    ----------
    labels
        (n,) int64, ascending: fibers with a type I or II, not excluded but for being cut by the
        image border. Types are dealt out among these.
    is_type_i
        (n,) bool.
    types
        (n,) str: the type by name.
    type_i_posterior
        (n,) float, NaN where it is not known.
    fascicles
        (n,) int64, 0 for none.
    strata
        (n,) int64: fascicle, and whether the fiber touches perimysium where that is known.
    strata_words
        How the strata are made, in words.
    complete
        (n,) bool: fibers that nothing cuts.
    contacts
        (k, 2) int64: all contacts between them.
    pairs
        (m, 2) int64: those whose both fibers are complete, which joins are counted over.
    shared_share
        (m,) float: their length as a share of the smaller perimeter.
    inner
        (n,) bool: fibers whose neighbors are all seen and typed.
    centers
        (n, 2) float, µm, or None where they are not known.
    left_out
        Fibers that are no part of it, by reason.
    """

    labels: NDArray[np.int64]
    is_type_i: NDArray[np.bool_]
    types: NDArray[np.object_]
    type_i_posterior: NDArray[np.float64]
    fascicles: NDArray[np.int64]
    strata: NDArray[np.int64]
    strata_words: str
    complete: NDArray[np.bool_]
    contacts: NDArray[np.int64]
    pairs: NDArray[np.int64]
    shared_share: NDArray[np.float64]
    inner: NDArray[np.bool_]
    centers: NDArray[np.float64] | None
    left_out: dict[str, int]

    @property
    def fascicles_known(self) -> bool:
        """Whether there is more than one fascicle, or layers of the one."""
        return len(np.unique(self.strata)) > 1


def read_mosaic(contacts: Contacts, table: pd.DataFrame) -> TypeMosaic:
    """Put together the contact graph and the types of its fibers.

    Parameters
    ----------
    contacts : Contacts
    table : DataFrame
        ``label`` and ``type``; as far as they are known ``type_i_posterior``, ``fascicle``,
        ``layer``, ``excluded``, ``touches_border``, ``centroid_y_um`` and ``centroid_x_um``.

    Returns
    -------
    TypeMosaic

    Raises
    ------
    ValueError
        If a label comes twice in the table or a fiber of the graph not at all.
    """
    rows = _rows(contacts, table)
    classes = type_classes(rows["type"])
    cut, out = _left_out(rows)
    keep = (classes != "") & ~out
    graph = contacts.among(keep)
    kept = rows[keep]
    complete = ~cut[keep]
    counted = complete[graph.pairs].all(axis=1)
    fascicles = _numbers(kept, "fascicle", 1)
    strata, words = _strata(fascicles, _numbers(kept, "layer", 0))
    return TypeMosaic(
        labels=graph.labels,
        is_type_i=np.asarray(classes[keep] == TYPE_I, dtype=bool),
        types=kept["type"].astype(str).to_numpy(object),
        type_i_posterior=_posterior(kept),
        fascicles=fascicles,
        strata=strata,
        strata_words=words,
        complete=complete,
        contacts=graph.pairs,
        pairs=graph.pairs[counted],
        shared_share=graph.shared_share[counted],
        inner=graph.inner,
        centers=_centers(kept),
        left_out={
            "excluded": int(out.sum()),
            "neither type I nor II": int((~out & (classes == "")).sum()),
        },
    )


@dataclass(frozen=True, eq=False)
class SoftMosaic:
    """Complete fibers with a probability to be of type I, hybrids and undetermined ones too.

    Attributes
    ----------
    pairs
        (m, 2) int64: contacts.
    type_i_posterior
        (n,) float.
    strata
        (n,) int64.
    """

    pairs: NDArray[np.int64]
    type_i_posterior: NDArray[np.float64]
    strata: NDArray[np.int64]


def read_soft_mosaic(contacts: Contacts, table: pd.DataFrame) -> SoftMosaic:
    """Put together the contact graph and the probabilities of types.

    Parameters
    ----------
    contacts, table
        As for `read_mosaic`.

    Returns
    -------
    SoftMosaic
        Without fibers where no probability is known.
    """
    rows = _rows(contacts, table)
    cut, out = _left_out(rows)
    posterior = _posterior(rows)
    keep = np.isfinite(posterior) & ~out & ~cut
    kept = rows[keep]
    strata, _ = _strata(_numbers(kept, "fascicle", 1), _numbers(kept, "layer", 0))
    return SoftMosaic(contacts.among(keep).pairs, posterior[keep], strata)


def class_name(is_type_i: bool) -> str:
    """Name of the class of a fiber."""
    return TYPE_I if is_type_i else TYPE_II


def _rows(contacts: Contacts, table: pd.DataFrame) -> pd.DataFrame:
    """The row of each fiber of the graph."""
    if table["label"].duplicated().any():
        raise ValueError("the table of fibers holds a label twice")
    missing = ~np.isin(contacts.labels, table["label"].to_numpy())
    if missing.any():
        raise ValueError(f"fiber {contacts.labels[missing][0]} has contacts and is in no table row")
    return table.set_index("label").loc[contacts.labels]


def _left_out(rows: pd.DataFrame) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Fibers that the image cuts, and those that are excluded for another reason."""
    cut = _flags(rows, "touches_border")
    if "excluded" not in rows:
        return cut, np.zeros(len(rows), dtype=bool)
    by_border = rows["excluded"].isin(CUT).to_numpy(bool)
    return cut | by_border, is_excluded(rows) & ~by_border


def _strata(
    fascicles: NDArray[np.int64], layer: NDArray[np.int64]
) -> tuple[NDArray[np.int64], str]:
    """Strata: fascicle, and border layer or deeper (criteria §4.4)."""
    depth = np.where(layer == 0, 2, np.where(layer == 1, 0, 1))
    strata = np.unique(fascicles * 3 + depth, return_inverse=True)[1].astype(np.int64)
    several = len(np.unique(fascicles)) > 1
    if (layer > 0).any():
        words = "within each fascicle, among those that touch perimysium and among the others"
    elif several:
        words = "within each fascicle; which fibers touch perimysium is not known"
    else:
        words = "over the whole section, as its fascicles are not known"
    return strata, words


def _flags(rows: pd.DataFrame, name: str) -> NDArray[np.bool_]:
    if name not in rows:
        return np.zeros(len(rows), dtype=bool)
    return np.asarray(rows[name].astype("boolean").fillna(False).to_numpy(bool))


def _numbers(rows: pd.DataFrame, name: str, default: int) -> NDArray[np.int64]:
    if name not in rows:
        return np.full(len(rows), default, dtype=np.int64)
    return np.asarray(rows[name].astype("Int64").fillna(0).to_numpy(np.int64))


def _posterior(rows: pd.DataFrame) -> NDArray[np.float64]:
    if "type_i_posterior" not in rows:
        return np.full(len(rows), np.nan)
    values = rows["type_i_posterior"].astype("Float64")
    return np.asarray(values.to_numpy(float, na_value=np.nan))


def _centers(rows: pd.DataFrame) -> NDArray[np.float64] | None:
    names = ["centroid_y_um", "centroid_x_um"]
    if not set(names) <= set(rows.columns):
        return None
    values = rows[names].to_numpy(float)
    return values if len(values) and np.isfinite(values).all() else None
