"""Where the network runs, and in what precision."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from biopsy_ai.errors import ConfigError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Device:
    """A device and the fastest sound way to run convolutions on it.

    Attributes
    ----------
    name
        "cuda", "mps" or "cpu".
    dtype
        Half precision on accelerators, bfloat16 on processors that compute in it, else float32.
    batch_px
        Pixels that are put through the network at once.
    whole_numbers
        Whether networks that can are run in whole numbers of eight bit.
    """

    name: str
    dtype: torch.dtype
    batch_px: int
    whole_numbers: bool = False

    @property
    def is_cpu(self) -> bool:
        """Whether network and instance step share the same processor."""
        return self.name == "cpu"


def choose_device(name: str = "auto") -> Device:
    """Choose the device of the network.

    Parameters
    ----------
    name
        "cuda", "mps", "cpu", or "auto" for the first of these that is there.

    Raises
    ------
    ConfigError
        When the device asked for is not there.
    """
    import torch

    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, available in there.items() if available)
    if not there.get(name, False):
        usable = ", ".join(device for device, available in there.items() if available)
        raise ConfigError(
            f"device {name!r} is not available on this computer; available: {usable}. "
            "Choose one with --device, or leave it to auto."
        )
    if name == "cpu":
        dtype = torch.bfloat16 if has_bfloat16() else torch.float32
        return Device(name, dtype, 1 << 20, whole_numbers=computes_whole_numbers())
    return Device(name, torch.float16, 1 << 24 if name == "cuda" else 1 << 22)


def computes_whole_numbers() -> bool:
    """Whether OpenVINO is installed, and the processor adds products of eight bit (AVX2)."""
    import importlib.util
    import platform

    import torch

    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    supported = getattr(torch.cpu, "_is_avx2_supported", bool)()
    return bool(supported) and importlib.util.find_spec("openvino") is not None


def has_bfloat16() -> bool:
    """Whether this processor multiplies in bfloat16 (AVX512-BF16, AMX, or Arm BF16).

    Without such instructions bfloat16 is emulated, and slower than float32.
    """
    import platform

    import torch

    if platform.machine().lower() in ("x86_64", "amd64"):
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, probe, bool)() for probe in probes)
    mkldnn = getattr(torch.ops, "mkldnn", None)
    try:
        return bool(mkldnn._is_mkldnn_bf16_supported())  # type: ignore[union-attr]
    except (AttributeError, RuntimeError):
        return False


_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
"""Parameters of ``mallopt`` in glibc's ``malloc.h``."""


def keep_memory() -> None:
    """Let the C library keep the memory of large tensors for the next ones.

    By default glibc gives every block above 32 MB back to the system and asks for it anew, and
    the system clears each page again: nearly half of the time of the network on a CPU. One arena
    serves all threads, so that any of them can use what another has freed. Does nothing with other
    C libraries.
    """
    import ctypes

    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MMAP_MAX, 0)
    mallopt(_TRIM_THRESHOLD, 1 << 30)
    mallopt(_TOP_PAD, 1 << 26)
    mallopt(_ARENA_MAX, 1)
