"""The maps of the network for one batch of pictures."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.segmentation.device import Device, keep_memory
from biopsy_ai.segmentation.drawing import VOTE, FiberMaps, fiber_maps
from biopsy_ai.segmentation.model import Model
from biopsy_ai.segmentation.second_look import SecondLook, look_again, second_look_for
from biopsy_ai.segmentation.thresholds import THRESHOLD_SETS
from biopsy_ai.segmentation.tiles import Margins
from biopsy_ai.slides.quality import quality_limits
from biopsy_ai.tissue_classes import ARTEFACT

if TYPE_CHECKING:
    import torch

    from biopsy_ai.segmentation.network import Logits


MIRRORS = ((), (2, 3), (2,), (3,))
"""Axes of (N, C, H, W) along which the picture is mirrored in each view: a few views are the first
of these."""


class MapNetwork:
    """The network of a model on a device, for any number of threads.

    Half precision has a small range. Should a picture ever leave it, the network goes on in
    single precision. Where `Device.whole_numbers` holds and the model says how large its values
    become, whole numbers of eight bit take its place.

    Parameters
    ----------
    model, device
        What runs, and where.
    views
        Mirror images of each picture, at most four, over which the maps are averaged: what the
        network is unsure of it draws differently in each.
    second_look
        How small fibers are looked at again, enlarged (`look_again`); None if they are not.

    Attributes
    ----------
    device
        Where it runs.
    views, second_look
        As given.
    precision
        Of the numbers that it begins with: "int8", or the name of a type of torch.
    """

    def __init__(
        self, model: Model, device: Device, views: int = 1, *, second_look: SecondLook | None = None
    ) -> None:
        if device.is_cpu:
            keep_memory()
        self.device = device
        self.views = views
        self.second_look = second_look
        self._model = model
        network, dtype, self.precision = fastest_network(model, device)
        self._in_use = network, dtype

    def predict(self, pictures: Sequence[NDArray[np.float32]], context: Margins) -> list[FiberMaps]:
        """Predict the maps of pictures of one size.

        Parameters
        ----------
        pictures
            (h, w, 3) normalized, sides multiples of 64.
        context
            Pixels to leave away on each side, the same for all.

        Returns
        -------
        list of FiberMaps
            Of the pictures without their context.
        """
        import torch

        stack = pictures[0][None] if len(pictures) == 1 else np.stack(pictures)
        batch = torch.from_numpy(stack).permute(0, 3, 1, 2)
        with torch.inference_mode():
            views = [self._view(batch, context, axes) for axes in MIRRORS[: self.views]]
            drawn = [view.nuclei for view in views if view.nuclei is not None]
            told = [view.tissue for view in views if view.tissue is not None]
            fibers = _mean([view.fibers for view in views])
            nuclei = _mean(drawn) if drawn else None
            tissue = _classes(torch.stack(told).mean(0)).cpu().numpy() if told else None
        maps = [
            fiber_maps(
                planes[0],
                planes[1],
                planes[2],
                nuclei=None if nuclei is None else (nuclei[i, 0], nuclei[i, 1]),
                tissue=None if tissue is None else tissue[i],
            )
            for i, planes in enumerate(fibers)
        ]
        how = self.second_look
        if how is None:
            return maps
        mpp = self._model.working_mpp
        return [
            look_again(first, picture, context, mpp, self._draw_fibers, how)
            for first, picture in zip(maps, pictures, strict=True)
        ]

    def _draw_fibers(self, pictures: NDArray[np.float32], context: Margins) -> NDArray[np.uint8]:
        """Draw the maps of fibers of pictures (N, h, w, 3) without their context."""
        import torch

        with torch.inference_mode():
            return self._view(torch.from_numpy(pictures).permute(0, 3, 1, 2), context, ()).fibers

    def _view(self, batch: torch.Tensor, context: Margins, axes: tuple[int, ...]) -> _View:
        """Draw the maps of pictures as a mirror shows them, and mirror the maps back."""
        import torch

        if axes:
            batch, context = torch.flip(batch, axes), context.mirrored(axes)
        network, dtype = self._in_use
        logits = _forward(network, self.device, dtype, batch, context)
        if dtype != torch.float32 and _overflowed(logits):
            # the other is that of the model, and of other threads
            single = copy.deepcopy(cast("torch.nn.Module", network)).float()
            network, dtype = single, torch.float32
            self._in_use = network, dtype
            logits = _forward(network, self.device, dtype, batch, context)
        tissue = logits.tissue
        return _View(
            np.flip(_quantized(logits.fibers), axes),
            None if logits.nuclei is None else np.flip(_quantized(logits.nuclei), axes),
            # a copy: the network draws the next classes into the same memory
            None if tissue is None else torch.flip(tissue, axes),
        )


def networks_by_set(model: Model, device: Device) -> dict[str, MapNetwork]:
    """The network as sections are outlined with it, for each of `THRESHOLD_SETS`."""
    return {
        name: MapNetwork(model, device, second_look=second_look_for(name))
        for name in THRESHOLD_SETS
    }


class _View(NamedTuple):
    """Maps of fibers and of nuclei from 0 to 255, and the logits of tissue classes."""

    fibers: NDArray[np.uint8]
    nuclei: NDArray[np.uint8] | None
    tissue: torch.Tensor | None


def fastest_network(
    model: Model, device: Device
) -> tuple[Callable[[torch.Tensor, Margins], Logits], torch.dtype, str]:
    """Choose how a model is run on a device.

    Returns
    -------
    network
        Takes pictures (N, 3, H, W) and their context.
    dtype
        That it takes.
    precision
        Of the numbers that it computes with.
    """
    import torch

    if device.whole_numbers and model.activation_ranges:
        return model.in_whole_numbers, torch.float32, "int8"
    return model.prepared(device), device.dtype, str(device.dtype).removeprefix("torch.")


def _forward(
    network: Callable[..., Logits],
    device: Device,
    dtype: torch.dtype,
    batch: torch.Tensor,
    context: Margins,
) -> Logits:
    import torch

    pictures = batch.to(device=device.name, dtype=dtype, memory_format=torch.channels_last)
    return network(pictures, context)


def _overflowed(logits: Logits) -> bool:
    import torch

    return any(part is not None and bool(torch.isnan(part.sum())) for part in logits)


def _classes(logits: torch.Tensor) -> torch.Tensor:
    """Most probable class, with `VOTE` where an artefact is not much less probable."""
    import torch

    least = math.log(float(quality_limits()["artefact_odds_from"]["value"]))
    best, classes = logits.max(1)
    vote = logits[:, ARTEFACT] - best >= least
    return classes.to(torch.uint8) | (vote.to(torch.uint8) * VOTE)


def _mean(maps: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Mean of maps from 0 to 255."""
    if len(maps) == 1:
        return maps[0]
    total = np.sum(maps, axis=0, dtype=np.uint16)
    return np.asarray((total + len(maps) // 2) // len(maps), np.uint8)


def _quantized(logits: torch.Tensor) -> NDArray[np.uint8]:
    """Maps from 0 to 255; a network in whole numbers draws them itself."""
    import torch

    if logits.dtype == torch.uint8:
        # a copy: the network draws the next maps into the same memory
        return np.array(logits.numpy())
    maps = logits.contiguous().sigmoid().mul_(255).round_()
    quantized: NDArray[np.uint8] = maps.to(torch.uint8).cpu().numpy()
    return quantized
