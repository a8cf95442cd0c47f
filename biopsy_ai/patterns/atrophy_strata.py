"""Strata that the atrophic label is permuted in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biopsy_ai.measure.reference import DEFAULTS, Limits
from biopsy_ai.measure.type_class import type_classes


@dataclass(frozen=True, eq=False)
class Strata:
    """Strata of the fibers of a section, coarse and fine.

    Attributes
    ----------
    of : dict of str to (n,) array of int
        By name: ``section``, ``fascicle``, and as far as they are known ``fascicle_layer``,
        ``fascicle_type`` and ``fascicle_layer_type``.
    primary, without_layers : str
        Names of the finest, and of the finest that leaves out layers.
    has_layers : bool
    words : tuple of str
        Why fascicles, layers, or types are no strata.
    """

    of: dict[str, NDArray[np.int64]]
    primary: str
    without_layers: str
    has_layers: bool
    words: tuple[str, ...]


def find_strata(nodes: pd.DataFrame, limits: Limits = DEFAULTS) -> Strata:
    """Find the strata of the fibers of a section.

    Parameters
    ----------
    nodes : DataFrame
        Columns ``atrophic`` and ``fascicle``, ``layer`` and ``type`` where known.
    limits : Limits, optional

    Returns
    -------
    Strata

    Notes
    -----
    Types are strata, as class I, class II and the rest, where of the atrophic and of the other
    fibers at least 0.8 each have a class. Else a stain that leaves small fibers untyped would make
    a stratum of them, within which there is nothing to permute.
    """
    fascicle = nodes["fascicle"].to_numpy(np.int64)
    of = {"section": np.zeros(len(nodes), np.int64), "fascicle": fascicle}
    words = []
    if len(np.unique(fascicle)) < 2:
        words.append("There is one fascicle, or fascicles are not known: the section is one.")
    primary = without_layers = "fascicle"
    has_layers = "layer" in nodes and bool(nodes["layer"].notna().any())
    if has_layers:
        layer = nodes["layer"].fillna(0).to_numpy(np.int64)
        of["fascicle_layer"] = _cross(fascicle, layer)
        primary = "fascicle_layer"
    else:
        words.append("Layers within fascicles are not known, and are no strata.")
    why_not = _why_no_types(nodes, limits)
    if why_not:
        words.append(why_not)
    else:
        code = pd.factorize(type_classes(nodes["type"]), sort=True)[0]
        of["fascicle_type"] = _cross(fascicle, code)
        without_layers = "fascicle_type"
        if has_layers:
            of["fascicle_layer_type"] = _cross(fascicle, layer, code)
        primary = "fascicle_layer_type" if has_layers else "fascicle_type"
    return Strata(of, primary, without_layers, has_layers, tuple(words))


def _why_no_types(nodes: pd.DataFrame, limits: Limits) -> str:
    if "type" not in nodes:
        return "Types are not known, and are no strata."
    typed = type_classes(nodes["type"]) != ""
    atrophic = nodes["atrophic"].to_numpy(bool)
    shares = [float(typed[these].mean()) for these in (atrophic, ~atrophic) if these.any()]
    if min(shares, default=0.0) >= limits["typed_share_from"]:
        return ""
    if not typed.any():
        return "Types are not known, and are no strata."
    return (
        f"Types are no strata: {100 * shares[0]:.0f} % of the atrophic and "
        f"{100 * shares[-1]:.0f} % of the other fibers have one, and "
        f"{100 * limits['typed_share_from']:.0f} % of either are needed."
    )


def _cross(*codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """One number for each combination."""
    _, stratum = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)
    return np.asarray(stratum, np.int64).ravel()
