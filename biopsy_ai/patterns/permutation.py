"""Permutations within strata, and the p values drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.processors import usable_cores, worker_threads
from biopsy_ai.progress import Progress

Codes = NDArray[np.int8]
"""(n, c) of int8: what each node is, a column for each permutation; negative for nothing."""

CHUNK = 64
"""Permutations made at once: so many codes of a fiber fill one line of the processor's cache."""

_SAME = 1e-9
"""Statistics that differ by less, relative to their size, are the same but for rounding."""


def stratified_permutations(
    codes: np.ndarray,
    strata: np.ndarray,
    n_permutations: int,
    rng: np.random.Generator,
    *,
    chunk: int = CHUNK,
) -> Iterator[Codes]:
    """Permute codes within strata.

    Parameters
    ----------
    codes : (n,) array of int
        What each node is, below 128. Negative codes stay where they are.
    strata : (n,) array of int
        Codes are exchanged between nodes of the same stratum only.
    n_permutations : int
    rng : numpy.random.Generator
    chunk : int, optional
        Permutations in each array.

    Yields
    ------
    (n, c) ndarray of int8
        A column for each permutation, at most ``chunk`` of them; in all ``n_permutations``. The
        same generator gives the same permutations.

    Raises
    ------
    ValueError
        If codes and strata differ in length, a code is above 127, or a number is not positive.
    """
    strata_of = _Strata(codes, strata)
    for part, size in _parts(rng, n_permutations, chunk):
        yield strata_of.permute(part, size)


def measure_permuted(
    measure: Callable[[Codes], np.ndarray],
    codes: np.ndarray,
    strata: np.ndarray,
    n_permutations: int,
    rng: np.random.Generator,
    *,
    chunk: int = CHUNK,
    progress: Progress | None = None,
    stage: str = "permutations",
) -> NDArray[np.float64]:
    """Measure a statistic on every permutation, several chunks at the same time.

    Parameters
    ----------
    measure : callable
        Given (n, c) codes it returns (c, k) statistics; called from several threads.
    codes, strata, n_permutations, rng, chunk
        As in `stratified_permutations`, which gives the same permutations.
    progress : callable, optional
        ``progress(stage, done, total)`` after every chunk.
    stage : str, optional

    Returns
    -------
    (n_permutations, k) ndarray of float
    """
    strata_of = _Strata(codes, strata)
    parts = _parts(rng, n_permutations, chunk)

    def one(part: tuple[np.random.Generator, int]) -> np.ndarray:
        return np.asarray(measure(strata_of.permute(*part)), dtype=float)

    measured, done = [], 0
    with worker_threads("permute", min(usable_cores(), 4, len(parts))) as threads:
        for result in threads.map(one, parts):
            measured.append(result)
            done += len(result)
            if progress is not None:
                progress(stage, done, n_permutations)
    return np.concatenate(measured)


def permutation_p(
    observed: float, permuted: np.ndarray, *, tail: Literal["greater", "less"]
) -> float:
    """Share of permutations at least as extreme as what is observed, itself among them.

    Parameters
    ----------
    observed : float
    permuted : (B,) array
        The statistic of each permutation.
    tail : {"greater", "less"}
        Which values are extreme.

    Returns
    -------
    float
        (1 + number) / (B + 1), never 0 (criteria §4.4; Phipson & Smyth 2010).

    Raises
    ------
    ValueError
        If there are no permutations, something is not a number, or the tail is none of these.
    """
    values = np.asarray(permuted, dtype=float)
    if not len(values):
        raise ValueError("a permutation p needs at least one permutation")
    if not (np.isfinite(observed) and np.isfinite(values).all()):
        raise ValueError("a permutation p needs finite statistics")
    slack = _SAME * max(1.0, abs(observed))
    if tail == "greater":
        extreme = values >= observed - slack
    elif tail == "less":
        extreme = values <= observed + slack
    else:
        raise ValueError(f"tail is {tail!r}; it is 'greater' or 'less'")
    return float((1 + np.count_nonzero(extreme)) / (len(values) + 1))


def permutation_entry(
    observed: float,
    permuted: np.ndarray,
    *,
    tail: Literal["greater", "less"],
    n: int,
    null: str,
) -> dict[str, Any]:
    """Set a statistic against its permutations, ready for JSON.

    Parameters
    ----------
    observed : float
    permuted : (B,) array
    tail : {"greater", "less"}
        Which values speak against the null.
    n : int
        What the statistic is a number of, or out of how many.
    null : str
        What the permutations leave to chance, in words.

    Returns
    -------
    dict
        ``observed``, ``expected`` and ``sd`` (of the permutations), ``z`` (None where they do not
        vary), ``p`` (one-sided), ``tail``, ``n``, ``n_permutations``, ``null``.
    """
    expected, sd = float(np.mean(permuted)), float(np.std(permuted))
    if sd <= _SAME * max(1.0, abs(expected)):
        sd = 0.0
    return {
        "observed": float(observed),
        "expected": expected,
        "sd": sd,
        "z": (float(observed) - expected) / sd if sd > 0 else None,
        "p": permutation_p(observed, permuted, tail=tail),
        "tail": tail,
        "n": int(n),
        "n_permutations": len(permuted),
        "null": null,
    }


def can_exchange(codes: np.ndarray, strata: np.ndarray) -> bool:
    """Tell whether any stratum holds different codes, without which there is nothing to permute.

    Parameters
    ----------
    codes, strata
        As in `stratified_permutations`.
    """
    return bool(_Strata(codes, strata).spans)


class _Strata:
    """The codes in the order of their strata."""

    def __init__(self, codes: np.ndarray, strata: np.ndarray) -> None:
        codes, strata = np.asarray(codes), np.asarray(strata)
        if codes.shape != strata.shape or codes.ndim != 1:
            raise ValueError(
                f"codes of shape {codes.shape} and strata of shape {strata.shape}: each node needs "
                "one of either"
            )
        if codes.max(initial=0) > np.iinfo(np.int8).max:
            raise ValueError(f"code {codes.max()}; codes are at most 127")
        self.codes = np.maximum(codes, -1).astype(np.int8)
        present = np.flatnonzero(codes >= 0)
        self.order = present[np.argsort(strata[present], kind="stable")]
        starts = np.flatnonzero(np.diff(strata[self.order], prepend=np.nan))
        edges = [*starts.tolist(), len(self.order)]
        sorted_codes = self.codes[self.order]
        # where all are the same there is nothing to exchange
        self.spans = [
            (start, stop)
            for start, stop in zip(edges[:-1], edges[1:], strict=True)
            if (sorted_codes[start:stop] != sorted_codes[start]).any()
        ]

    def permute(self, rng: np.random.Generator, size: int) -> Codes:
        rows = np.repeat(self.codes[self.order][None], size, axis=0)
        for start, stop in self.spans:
            span = rows[:, start:stop]
            rng.permuted(span, axis=1, out=span)
        permuted = np.repeat(self.codes[:, None], size, axis=1)
        permuted[self.order] = rows.T
        return permuted


def _parts(
    rng: np.random.Generator, n_permutations: int, chunk: int
) -> list[tuple[np.random.Generator, int]]:
    """Generator and number of permutations of each chunk: independent of who is first."""
    if n_permutations < 1 or chunk < 1:
        raise ValueError(f"{n_permutations} permutations by {chunk}: both must be at least 1")
    n_chunks = -(-n_permutations // chunk)
    sizes = [chunk] * (n_chunks - 1) + [n_permutations - chunk * (n_chunks - 1)]
    return list(zip(rng.spawn(n_chunks), sizes, strict=True))
