"""One row per channel of a slide, to say what it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QWidget

from napari_plugin.analysis_choices import ROLE_WORDS
from napari_plugin.form_parts import narrow_combo

NAME_PX = 170
"""Room for the name of a channel; all of it stands in the tip."""


class ChannelRows(QWidget):
    """What each channel shows.

    Attributes
    ----------
    combos
        One per channel.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._layout = QFormLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self.combos: list[QComboBox] = []
        self._names: tuple[str, ...] = ()

    @property
    def roles(self) -> list[str]:
        """What each channel shows; empty for one that is not used."""
        return [str(combo.currentData()) for combo in self.combos]

    def show_channels(self, names: Sequence[str], roles: Mapping[str, int]) -> None:
        """Make a row for each channel.

        Parameters
        ----------
        names
            Of the channels, in order.
        roles
            What some of them show, to begin with.
        """
        if tuple(names) == self._names:
            return
        self._names = tuple(names)
        while self._layout.rowCount():
            self._layout.removeRow(0)
        self.combos = []
        known = {number: role for role, number in roles.items()}
        for number, name in enumerate(names):
            combo = narrow_combo(f"What channel {number} ({name}) shows")
            for role, words in ROLE_WORDS.items():
                combo.addItem(words, role)
            combo.setCurrentIndex(combo.findData(known.get(number, "")))
            combo.setAccessibleName(f"What channel {name} shows")
            combo.currentIndexChanged.connect(lambda *_: self.changed.emit())
            label = QLabel()
            words, metrics = f"Channel {number}: {name}", label.fontMetrics()
            label.setText(metrics.elidedText(words, Qt.TextElideMode.ElideRight, NAME_PX))
            label.setToolTip(words)
            self._layout.addRow(label, combo)
            self.combos.append(combo)
