"""Widgets that follow a section for as long as they are there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

Slot = Callable[..., Any]


class Signal(Protocol):
    """Signals of psygnal, and events of napari's own layers and viewer."""

    def connect(self, slot: Slot, /) -> Any: ...

    def disconnect(self, slot: Slot, /) -> Any: ...


class Following:
    """What a widget listens to, until it is closed.

    A closed dock is gone for Qt while Python may still hold its widget: what is told to that then
    is an error.

    Parameters
    ----------
    widget
        That listens, with methods of its own.
    """

    def __init__(self, widget: QWidget) -> None:
        self._links: list[tuple[Signal, Slot]] = []
        widget.destroyed.connect(self.stop)

    def follow(self, *links: tuple[Signal, Slot]) -> None:
        """Listen to signals."""
        for signal, slot in links:
            signal.connect(slot)
            self._links.append((signal, slot))

    def leave(self, *links: tuple[Signal, Slot]) -> None:
        """Listen to them no more."""
        for signal, slot in links:
            signal.disconnect(slot)
        gone = list(links)
        self._links = [link for link in self._links if link not in gone]

    def stop(self, *_: Any) -> None:
        """Listen to nothing any more."""
        self.leave(*self._links)
