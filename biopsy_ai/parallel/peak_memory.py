"""The most memory that a process held while it did something."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

INTERVAL_S = 0.1
"""How often memory is looked at; what is held for less may be missed. [default]"""


class PeakMemory:
    """Watches the memory of this process while it is entered: `bytes`."""

    def __init__(self) -> None:
        self.bytes = 0

    def __enter__(self) -> Self:
        import psutil

        self._process = psutil.Process()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="biopsy-ai-memory", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while True:
            self._look()
            if self._over.wait(INTERVAL_S):
                return

    def _look(self) -> None:
        self.bytes = max(self.bytes, int(self._process.memory_info().rss))
