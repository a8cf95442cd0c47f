"""The operations of a network in order, for programs other than torch to run it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

if TYPE_CHECKING:
    from torch import nn

    from biopsy_ai.segmentation.network import FiberNet

Value = TypeVar("Value")


class Graph(ABC, Generic[Value]):
    """What can be done with a value of a graph; each operation gives another one."""

    @abstractmethod
    def unshuffled(self, x: Value) -> Value:
        """Half as many pixels a side, four times the channels."""

    @abstractmethod
    def convolution(self, x: Value, module: nn.Conv2d) -> Value:
        """Convolution, with its bias."""

    @abstractmethod
    def rectified(self, x: Value, name: str) -> Value:
        """ReLU, at the end of the module of that name."""

    @abstractmethod
    def added(self, x: Value, y: Value) -> Value:
        """Sum."""

    @abstractmethod
    def joined(self, x: Value, y: Value) -> Value:
        """Channels of both."""

    @abstractmethod
    def doubled(self, x: Value) -> Value:
        """Twice as many pixels a side, each of them four times."""

    @abstractmethod
    def spread(self, x: Value) -> Value:
        """Twice as many pixels a side, a fourth of the channels."""

    def maps(self, x: Value) -> Value:
        """Maps of fibers or nuclei, on the grid of the picture."""
        return self.spread(x)

    def cut(self, x: Value, number: int) -> Value:
        """Leave context away, see `plan_cuts`; two for each stage on the way up."""
        return x

    def stem(self, picture: Value, module: nn.Conv2d) -> Value:
        """Convolution of the picture, unshuffled."""
        return self.convolution(self.unshuffled(picture), module)


def draw_graph(network: FiberNet, graph: Graph[Value], picture: Value) -> dict[str, Value]:
    """Put the operations of a network together.

    Parameters
    ----------
    network
        With normalization folded.
    graph
        Gets the operations in order.
    picture
        Its input.

    Returns
    -------
    dict
        The outputs ``fibers``, ``nuclei`` and ``tissue``, before sigmoid and softmax if the graph
        adds none; those that the network does not draw are absent.
    """
    names = {module: name for name, module in network.named_modules()}

    def activated(x: Value, block: Any) -> Value:
        return graph.rectified(graph.convolution(x, block[0]), names[block])

    def stage(x: Value, modules: Iterable[Any]) -> Value:
        from biopsy_ai.segmentation.network import Residual

        for module in modules:
            if isinstance(module, Residual):
                first, second = cast("tuple[Any, Any]", tuple(module.body))
                inner = graph.convolution(activated(x, first), second[0])
                x = graph.rectified(graph.added(x, inner), names[module])
            else:
                x = activated(x, module)
        return x

    first = cast("nn.Conv2d", network.stem[0])
    x = graph.rectified(graph.stem(picture, first), names[network.stem])
    skips = []
    for down in cast("Iterable[Any]", network.downs):
        skips.append(x)
        x = stage(x, down)
    for number, up in enumerate((*network.ups, [network.last])):
        x, skip = graph.cut(x, 2 * number), graph.cut(skips.pop(), 2 * number + 1)
        x = stage(graph.joined(graph.doubled(x), skip), cast("Iterable[Any]", up))
    x = stage(x, cast("Iterable[Any]", network.fine))
    drawn = {"fibers": graph.maps(graph.convolution(x, network.head))}
    if network.nucleus_head is not None:
        block, last = cast("tuple[Any, Any]", tuple(network.nucleus_head))
        drawn["nuclei"] = graph.maps(graph.convolution(activated(x, block), last))
    if network.tissue_head is not None:
        block, last = cast("tuple[Any, Any]", tuple(network.tissue_head))
        drawn["tissue"] = graph.convolution(activated(x, block), last)
    return drawn


def joined_modules(network: FiberNet) -> list[tuple[str, str]]:
    """Names of the modules whose outputs are joined on the way up."""
    downs = [f"downs.{i}.{len(cast(Any, down)) - 1}" for i, down in enumerate(network.downs)]
    ups = [f"ups.{i}.{len(cast(Any, up)) - 1}" for i, up in enumerate(network.ups)]
    return list(zip([downs[-1], *ups], ["stem", *downs[:-1]][::-1], strict=True))
