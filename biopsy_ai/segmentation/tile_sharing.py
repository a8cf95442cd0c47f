"""Tiles of one slide that idle workers predict too.

The network sees tiles in the same batches whoever predicts them, and what is drawn of their maps
does not depend on the order in which they come, so that the result is the same.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from biopsy_ai.processors import threads_beside
from biopsy_ai.segmentation.streams import Batch, Predicted, count_streams, predict_batches
from biopsy_ai.segmentation.tiles import Tile

if TYPE_CHECKING:
    from biopsy_ai.config import AnalysisConfig
    from biopsy_ai.segmentation.maps import MapNetwork
    from biopsy_ai.segmentation.model import Model
    from biopsy_ai.segmentation.picture import PictureReader
    from biopsy_ai.segmentation.second_look import SecondLook

LEAST_BATCHES = 6
"""Slides of fewer batches are done before anyone else has opened them. [default]"""

CHUNK = 2
"""Batches that a helper takes at a time. [default]"""

_POLL_S = 0.05


class Helpers(Protocol):
    """Workers that may help: see `biopsy_ai.parallel.worker`."""

    def offer(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Let an idle worker call a function; None if none is idle, else a ticket."""

    def is_done(self, ticket: Any) -> bool:
        """Whether the call has ended, or never will."""

    def result(self, ticket: Any) -> Any:
        """What it returned; None if it failed."""


_helpers: Helpers | None = None


def let_help(helpers: Helpers | None) -> None:
    """Let these workers help this process from now on."""
    global _helpers
    _helpers = helpers


@dataclass(frozen=True)
class TileJob:
    """What a helper needs to know of a slide and its network, all of it small.

    Attributes
    ----------
    path, mpp, channels
        By which the slide is opened.
    working_mpp, low, high, channel
        As in `PictureReader`.
    model, weights_sha256
        Name or folder of the model, and the hash of its weights.
    precision
        Of the numbers that the network computes with.
    views, second_look
        As in `MapNetwork`.
    """

    path: Path
    mpp: float | tuple[float, float] | None
    channels: tuple[tuple[str, int], ...]
    working_mpp: float
    low: float
    high: float
    channel: int | None
    model: str
    weights_sha256: str
    precision: str
    views: int
    second_look: SecondLook | None

    @classmethod
    def of(
        cls, reader: PictureReader, config: AnalysisConfig, model: Model, network: MapNetwork
    ) -> TileJob:
        """Say it of a slide that is open, and of a model and its network."""
        slide = reader.slide
        # a bundled model is known by its name everywhere, others by their folder
        bundled = model.name == config.model
        return cls(
            path=slide.path.resolve(),
            mpp=config.mpp,
            channels=tuple(slide.channels.items()),
            working_mpp=reader.mpp,
            low=reader.low,
            high=reader.high,
            channel=reader.channel,
            model=model.name if bundled else str(model.folder.resolve()),
            weights_sha256=model.weights_sha256,
            precision=network.precision,
            views=network.views,
            second_look=network.second_look,
        )


def batches_of(tiles: Sequence[Tile], batch_px: int) -> list[Batch]:
    """Put neighboring tiles of one shape together, as many as go through the network at once."""
    batches: list[Batch] = []
    for tile in tiles:
        height, width = tile.input_shape
        last = batches[-1] if batches else []
        if (
            last
            and (tile.input_shape, tile.context) == (last[0].input_shape, last[0].context)
            and (len(last) + 1) * height * width <= batch_px
        ):
            last.append(tile)
        else:
            batches.append([tile])
    return batches


def predict_shared(
    batches: Sequence[Batch],
    describe: Callable[[], TileJob],
    predict: Callable[[Iterable[Batch]], Iterator[Predicted]],
) -> Iterator[Predicted]:
    """Predict batches here, the first of them first, and let idle workers begin at the end.

    Parameters
    ----------
    batches
        From `batches_of`.
    describe
        Gives what helpers need to know.
    predict
        Does it here.
    """
    helpers = _helpers
    if helpers is None or len(batches) < LEAST_BATCHES:
        yield from predict(batches)
        return
    job = describe()
    left = deque(batches)
    out: list[tuple[Any, list[Batch]]] = []
    lost: list[Batch] = []

    def mine() -> Iterator[Batch]:
        while left:
            _hand_out(helpers, job, left, out)
            if left:
                yield left.popleft()

    def come_back() -> Iterator[Predicted]:
        for ticket, chunk in list(out):
            if helpers.is_done(ticket):
                out.remove((ticket, chunk))
                found = helpers.result(ticket)
                if found is None:
                    lost.extend(chunk)
                else:
                    yield from found

    for predicted in predict(mine()):
        yield predicted
        yield from come_back()
    while out:
        yield from come_back()
        time.sleep(_POLL_S)
    yield from predict(lost)


def _hand_out(
    helpers: Helpers, job: TileJob, left: deque[Batch], out: list[tuple[Any, list[Batch]]]
) -> None:
    while len(left) > CHUNK:
        chunk = [left.pop() for _ in range(CHUNK)]
        ticket = helpers.offer(predict_for, job, chunk)
        if ticket is None:
            left.extend(reversed(chunk))
            return
        out.append((ticket, chunk))


def predict_for(job: TileJob, batches: list[Batch]) -> list[Predicted]:
    """Predict batches of a slide that another worker analyzes."""
    reader, network = _opened(job)
    streams = count_streams(network.device, len(batches))
    with threads_beside(1, "biopsy-ai-read") as readers:
        return list(predict_batches(batches, reader, network, readers, 1, streams))


@lru_cache(maxsize=1)
def _opened(job: TileJob) -> tuple[PictureReader, MapNetwork]:
    from biopsy_ai.errors import ModelError
    from biopsy_ai.segmentation.device import choose_device
    from biopsy_ai.segmentation.maps import MapNetwork
    from biopsy_ai.segmentation.model import load_model
    from biopsy_ai.segmentation.picture import PictureReader
    from biopsy_ai.slides import open_slide

    model = load_model(job.model)
    if model.weights_sha256 != job.weights_sha256:
        raise ModelError(f"{job.model}: other weights than those that the slide is analyzed with")
    device = choose_device("cpu")
    whole = device.whole_numbers and job.precision == "int8"
    network = MapNetwork(
        model, replace(device, whole_numbers=whole), job.views, second_look=job.second_look
    )
    if network.precision != job.precision:
        raise ModelError(f"{job.model}: this computer does not compute in {job.precision}")
    slide = open_slide(job.path, mpp=job.mpp, channels=dict(job.channels))
    reader = PictureReader(slide, job.working_mpp, job.low, job.high, job.channel)
    return reader, network
