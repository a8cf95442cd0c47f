"""Contributions rounded so that they add up to the score as it is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence

DECIMALS = 2
"""Decimals of scores and contributions."""


def round_to_sum(parts: Sequence[float], total: float, decimals: int = DECIMALS) -> list[float]:
    """Round the parts of a sum so that they add up to the rounded sum.

    Each part is rounded down, and what is missing to the sum goes to those that lost most (method
    of the largest remainder, of Hamilton). No part moves by a whole unit of the last decimal.

    Parameters
    ----------
    parts
        What adds up to `total`, apart from errors of floating point.
    total
        The sum.
    decimals
        To round to.

    Returns
    -------
    list of float
        As many as `parts`, in their order. Counted in units of the last decimal, they add up to
        `total` rounded.

    Raises
    ------
    ValueError
        If the parts do not add up to the total, or a number is not finite.

    Examples
    --------
    >>> round_to_sum([33.333, 33.333, 33.334], 100.0)
    [33.33, 33.33, 33.34]
    """
    unit = 10**decimals
    if not all(math.isfinite(number) for number in (*parts, total)):
        raise ValueError("contributions and their sum must be finite")
    if abs(math.fsum(parts) - total) * unit > 0.5:
        raise ValueError(f"contributions add up to {math.fsum(parts):.6g} and not to {total:.6g}")
    scaled = [part * unit for part in parts]
    # a part that is whole but for the error of floating point stays as it is
    whole = [math.floor(part + 1e-9) for part in scaled]
    missing = round(float(f"{total:.{decimals}f}") * unit) - sum(whole)
    by_loss = sorted(range(len(parts)), key=lambda i: (whole[i] - scaled[i], i))
    step = 1 if missing >= 0 else -1
    order = by_loss if missing >= 0 else by_loss[::-1]
    for i in order[: abs(missing)]:
        whole[i] += step
    return [number / unit + 0.0 for number in whole]
