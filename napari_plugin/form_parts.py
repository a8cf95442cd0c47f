"""What the tabs are made of: words, rows, buttons and lists of choices."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QWidget,
)


def words(text: str = "", *, selectable: bool = False) -> QLabel:
    """Words that break into lines and are shown as they are, without markup."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    if selectable:
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def row(*widgets: QWidget) -> QHBoxLayout:
    """Widgets beside each other; what can grow takes the room."""
    layout = QHBoxLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        layout.addWidget(widget)
    return layout


def form() -> QFormLayout:
    """Fields below each other, as wide as there is room."""
    layout = QFormLayout()
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return layout


def add_field(fields: QFormLayout, title: str, first: QWidget, *others: QWidget) -> None:
    """Add a field, with what stands beside it; the letter after ``&`` in its title leads there."""
    label = QLabel(title)
    label.setBuddy(first)
    fields.addRow(label, row(first, *others) if others else first)


def chooser(tip: str) -> QPushButton:
    """A small button beside a field, by which a folder is chosen."""
    button = QPushButton("…")
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    return button


def narrow_combo(tip: str) -> QComboBox:
    """Make a combo box that gives way to the width of the tab."""
    combo = QComboBox()
    combo.setToolTip(tip)
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(8)
    combo.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return combo


def offer_models(combo: QComboBox, own: str, chosen: str | None) -> None:
    """Offer the bundled models and a user's own, without a signal; choose one, else the first.

    Parameters
    ----------
    combo
        Its data are the names of bundled models, and the folder of the own one.
    own
        That of the settings, which may be a bundled one.
    chosen
        By its data.
    """
    from biopsy_ai.resources import list_models

    bundled = list_models()
    blocked = combo.blockSignals(True)
    combo.clear()
    for name in bundled:
        combo.addItem(f"{name} (bundled)", name)
    if own not in bundled:
        combo.addItem(f"{Path(own).name} (own)", own)
        combo.setItemData(combo.count() - 1, own, Qt.ItemDataRole.ToolTipRole)
    combo.setCurrentIndex(max(combo.findData(chosen), 0))
    combo.blockSignals(blocked)
