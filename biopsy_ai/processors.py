"""How many cores this process may use: all it is allowed, or its share beside other workers."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

_share: int | None = None


def usable_cores() -> int:
    """Cores that this process may use, at least one."""
    if _share is not None:
        return _share
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def take_share(cores: int) -> None:
    """Let everything in this process use so many cores: thread pools, PyTorch and OpenCV."""
    global _share
    import cv2
    import torch

    _share = cores
    torch.set_num_threads(cores)
    cv2.setNumThreads(cores)


def threads_beside(count: int, name: str) -> Executor:
    """Make threads that work beside this one; with a single core all is done in this one.

    A map of theirs begins as it is read, and is never far ahead of its reader.

    Parameters
    ----------
    count
        Threads, at most.
    name
        Beginning of their names.
    """
    return Beside(count, name) if usable_cores() > 1 else InTurn()


@contextmanager
def worker_threads(name: str, count: int) -> Iterator[Executor]:
    """Threads that finish their queue, or drop it when something goes wrong.

    Parameters
    ----------
    name
        What they do.
    count
        Threads, at most.
    """
    pool = threads_beside(count, f"biopsy-ai-{name}")
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=True, cancel_futures=True)
        raise
    pool.shutdown()


class Beside(ThreadPoolExecutor):
    """Threads that stop soon after the reader of a map: two calls for each are begun ahead."""

    def __init__(self, count: int, name: str) -> None:
        super().__init__(count, name)
        self._ahead = 2 * count

    def map(  # type: ignore[override]
        self, fn: Callable[..., _Result], /, *iterables: Iterable[Any], **_: Any
    ) -> Iterator[_Result]:
        """Results in the order of what is given."""
        waiting: deque[Future[_Result]] = deque()
        for arguments in zip(*iterables, strict=False):
            waiting.append(self.submit(fn, *arguments))
            if len(waiting) > self._ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


class InTurn(Executor):
    """Does what is submitted at once, in the thread that submits it; a map, as it is read."""

    def map(  # type: ignore[override]
        self, fn: Callable[..., _Result], /, *iterables: Iterable[Any], **_: Any
    ) -> Iterator[_Result]:
        """Do one after the other, each when its result is asked for."""
        return map(fn, *iterables)

    def submit(
        self,
        fn: Callable[_Arguments, _Result],
        /,
        *args: _Arguments.args,
        **kwargs: _Arguments.kwargs,
    ) -> Future[_Result]:
        """Do it, and give what came of it."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future
