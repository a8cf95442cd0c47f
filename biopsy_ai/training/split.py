"""Which slides a model learns from and which it is judged on: by patient, or else by slide."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import combinations, islice

import numpy as np

from biopsy_ai.errors import ConfigError
from biopsy_ai.training.item_checks import LEAST_FIBERS
from biopsy_ai.training.loading import LoadedItem

HELD_OUT_SHARE = 0.25
"""Share of the fibers that a model is judged on, as far as whole patients allow. [default]"""

_TRIED = 2000
"""So many choices of patients are compared."""


def group_items(items: Sequence[LoadedItem]) -> list[int]:
    """Number the patients, or else the slides, that pictures come from.

    Pictures of one patient, of one slide or of one image file belong together.

    Returns
    -------
    list of int
        Group of each picture, numbered from 0 in their order.
    """
    owner: dict[tuple[str, str], int] = {}
    parent = list(range(len(items)))

    def root(number: int) -> int:
        while parent[number] != number:
            number = parent[number]
        return number

    for number, one in enumerate(items):
        signs = [("slide", one.item.slide), ("image", str(one.origin["image_sha256"]))]
        if one.item.patient:
            signs.append(("patient", one.item.patient))
        for sign in signs:
            first = owner.setdefault(sign, number)
            parent[max(root(first), root(number))] = min(root(first), root(number))
    roots = [root(number) for number in range(len(items))]
    order = {value: place for place, value in enumerate(dict.fromkeys(roots))}
    return [order[value] for value in roots]


def hold_out(
    items: Sequence[LoadedItem],
    *,
    named: Collection[str] = (),
    seen: Collection[str] = (),
    seed: int = 0,
) -> tuple[list[int], list[int]]:
    """Choose what a model is judged on.

    Parameters
    ----------
    items
        All pictures.
    named
        Names of pictures, slides or patients that shall be held out, with all that belongs to
        the same patient or slide. Without any, whole patients or slides with about a quarter of
        the fibers are chosen.
    seen
        Slides, or hashes of pictures, that the model has learned from before: they are not held
        out.
    seed
        Of the choice.

    Returns
    -------
    training, held_out : list of int
        Numbers of the pictures; nothing is held out of a single patient or slide.

    Raises
    ------
    ConfigError
        A name is not known, belongs to what the model has learned from before, or all would be
        held out.
    """
    groups = np.array(group_items(items))
    n_groups = int(groups.max()) + 1
    known = {
        int(group)
        for one, group in zip(items, groups, strict=True)
        if one.item.slide in seen or one.origin["image_sha256"] in seen
    }
    if named:
        chosen = _named_groups(items, groups, named)
        if chosen & known:
            names = [
                one.item.name
                for one, group in zip(items, groups, strict=True)
                if group in chosen & known
            ]
            raise ConfigError(
                f"--held-out: the model that this begins from has learned from "
                f"{', '.join(names[:8])}, or from the same slide or patient, so that nothing can "
                "be judged on it. Name others, or begin from another model with --from."
            )
    elif n_groups == 1:
        chosen = set()
    else:
        chosen = _chosen_groups(items, groups, n_groups, known, seed)
    held = np.isin(groups, list(chosen))
    return np.flatnonzero(~held).tolist(), np.flatnonzero(held).tolist()


def _named_groups(
    items: Sequence[LoadedItem], groups: np.ndarray, named: Collection[str]
) -> set[int]:
    chosen = set()
    for name in named:
        found = [
            int(group)
            for one, group in zip(items, groups, strict=True)
            if name in (one.item.name, one.item.slide, one.item.patient, one.item.image.name)
        ]
        if not found:
            names = ", ".join(one.item.name for one in items[:8])
            raise ConfigError(
                f"--held-out {name}: there is no such picture, slide or patient. There are: {names}"
            )
        chosen.update(found)
    if len(chosen) == len(set(groups.tolist())):
        raise ConfigError(
            "--held-out names everything, so nothing is left to learn from (pictures of one "
            "patient or slide belong together)"
        )
    return chosen


def _chosen_groups(
    items: Sequence[LoadedItem], groups: np.ndarray, n_groups: int, known: set[int], seed: int
) -> set[int]:
    fibers = np.bincount(groups, [one.n_fibers for one in items], n_groups)
    order = [
        k for k in np.random.default_rng(seed).permutation(n_groups).tolist() if k not in known
    ]
    size = min(max(1, round(HELD_OUT_SHARE * n_groups)), len(order), n_groups - 1)
    if size == 0:
        return set()

    def cost(choice: Iterable[int]) -> tuple[bool, float]:
        held = fibers[list(choice)].sum()
        too_few = bool(min(held, fibers.sum() - held) < LEAST_FIBERS)
        return too_few, abs(held / fibers.sum() - HELD_OUT_SHARE)

    return set(min(islice(combinations(order, size), _TRIED), key=cost))
