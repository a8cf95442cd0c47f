"""The maps of the network for one batch of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from biopsy_ai.segmentation.device import Device, keep_memory
from biopsy_ai.segmentation.drawing import FiberMaps, fiber_maps
from biopsy_ai.segmentation.model import Model
from biopsy_ai.segmentation.tiles import Margins

if TYPE_CHECKING:
    import torch


class MapNetwork:
    """The network of a model on a device.

    Half precision has a small range. Should a picture ever leave it, the network goes on in
    single precision.
    """

    def __init__(self, model: Model, device: Device) -> None:
        if device.name == "cpu":
            keep_memory()
        self.device = device
        self._network = model.network(device)
        self._dtype = device.dtype

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
            maps = self._forward(batch, context)
            if self._dtype != torch.float32 and bool(torch.isnan(maps.sum())):
                self._network = self._network.float()
                self._dtype = torch.float32
                maps = self._forward(batch, context)
            quantized = maps.mul_(255).round_().to(torch.uint8).cpu().numpy()
        return [fiber_maps(*planes) for planes in quantized]

    def _forward(self, batch: torch.Tensor, context: Margins) -> torch.Tensor:
        import torch

        pictures = batch.to(
            device=self.device.name, dtype=self._dtype, memory_format=torch.channels_last
        )
        return self._network(pictures, context).contiguous().sigmoid()
