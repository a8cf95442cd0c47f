"""How many cores this process may use: all it is allowed, or its share beside other workers."""

from __future__ import annotations

import os

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
