"""One task as it goes to a worker, and what comes back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Call:
    """A function of a module with its arguments; it is called with ``progress`` besides.

    Attributes
    ----------
    name
        What messages call it: the slide.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Finished:
    """What a worker gives back.

    Attributes
    ----------
    value
        What the function returned; None where it ran out of memory.
    peak_bytes
        Most memory that the process held meanwhile.
    out_of_memory
        What the system said when there was no more memory; empty if there was.
    """

    value: Any
    peak_bytes: int
    out_of_memory: str = ""


@dataclass(frozen=True)
class Ended:
    """What became of a call.

    Attributes
    ----------
    value
        What the function returned; None if it never did.
    reason
        Why it did not, in words.
    attempts
        How often it was begun.
    seconds
        From the first beginning to the end.
    peak_bytes
        Most memory that the worker held meanwhile, as far as known.
    worker
        Address of the last worker.
    """

    value: Any
    reason: str = ""
    attempts: int = 1
    seconds: float = 0.0
    peak_bytes: int = 0
    worker: str = ""
