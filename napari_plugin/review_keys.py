"""Keys of the review: bound to the layers of the section, so that no other layer is touched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

if TYPE_CHECKING:
    from napari.layers import Layer


def shown_key(key: str) -> str:
    """A key as it is written on buttons, such as ``Ctrl+Z``."""
    return key.replace("Control", "Ctrl").replace("-", "+")


class ReviewKeys:
    """Binds keys to layers, in place of what napari has them do there, and frees them again.

    Parameters
    ----------
    actions
        What each key does; methods are held weakly where they belong to a widget.
    """

    def __init__(self, actions: Mapping[str, Callable[[], None]]) -> None:
        self._actions = dict(actions)
        self._layers: WeakSet[Layer] = WeakSet()

    def bind(self, layers: Iterable[Layer]) -> None:
        """Have the keys act while one of these layers is the active one."""
        for layer in layers:
            for key, act in self._actions.items():
                layer.bind_key(key, _weakly(act), overwrite=True)
            self._layers.add(layer)

    def unbind(self) -> None:
        """Give the keys back to napari."""
        for layer in self._layers:
            for key in self._actions:
                layer.bind_key(key, None)
        self._layers.clear()


def _weakly(act: Callable[[], None]) -> Callable[[Any], None]:
    held = ref(act)

    def on_key(_: Any) -> None:
        wanted = held()
        if wanted is not None:
            wanted()

    return on_key
