"""Threads that write results beside the one that asks for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self, TypeVar

from biopsy_ai.errors import Cancelled
from biopsy_ai.labels import LabelArray
from biopsy_ai.processors import threads_beside

Result = TypeVar("Result")


class Background:
    """Threads that write label images and pictures until the rest has failed or was stopped.

    An action may wait for the result of one that was started before it, for they start in order.
    """

    def __init__(self) -> None:
        self.writing: list[Future[Any]] = []
        self._threads = threads_beside(2, "biopsy-ai-save")
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._stopped.set()
        self._threads.shutdown(cancel_futures=kind is not None)

    def prepare(self, action: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Start what others need as soon as one of the threads is free."""
        return self._threads.submit(action, *arguments)

    def write(self, action: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Start writing a file as soon as one of the threads is free."""
        self.writing.append(self.prepare(action, *arguments))
        return self.writing[-1]

    def guard(self, pixels: LabelArray) -> LabelArray:
        """See an image in a way that ends the thread that reads it when all is stopped."""
        return _UntilStopped(pixels, self._stopped)


class _UntilStopped:
    """An image that cannot be read any more once all was stopped."""

    def __init__(self, pixels: LabelArray, stopped: threading.Event) -> None:
        self.pixels = pixels
        self.shape = pixels.shape
        self.stopped = stopped

    def __getitem__(self, key: Any, /) -> Any:
        if self.stopped.is_set():
            raise Cancelled("saving was stopped")
        return self.pixels[key]
