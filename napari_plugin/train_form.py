"""The fields of a training, and what is said of it."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_plugin.channel_rows import narrow_combo
from napari_plugin.comparison_table import ComparisonTable
from napari_plugin.passage import Passage, Problem
from napari_plugin.training_plot import TrainingPlot

WHAT_IT_IS = (
    "Let a model go on learning from sections that you have reviewed. It is compared with the old "
    "one on slides that it did not learn from."
)


class TrainForm(QWidget):
    """Fields, buttons, plot and words; what they do is that of `TrainWidget`."""

    def __init__(self) -> None:
        super().__init__()
        self.dataset = QLineEdit()
        self.dataset.setPlaceholderText("where reviews were saved as training data")
        self.dataset.setToolTip(
            "The folder that reviews were saved to as training data, or one with pictures and "
            "labels by name: a.tif with a_fibers.tif, a_masks.png, a_seg.npy, a.geojson or "
            "a_RoiSet.zip."
        )
        self.choose_dataset = _dots("Choose the folder of the training data")
        self.holds = Passage("What the training data hold")
        self.data_problem = Problem("What is wrong with the training data")
        self.pixel_size = QLineEdit()
        self.pixel_size.setPlaceholderText("µm, where files do not state it")
        self.pixel_size.setToolTip("Width of a pixel in µm, for pictures that do not state it")
        self.base = narrow_combo("The model that goes on learning; it stays as it is")
        self.name = QLineEdit()
        self.name.setToolTip("Name of the new model, and of its folder")
        self.folder = QLineEdit()
        self.folder.setToolTip("The new model gets a folder of its name in here")
        self.choose_folder = _dots("Choose the folder for models")
        self.reason = _words()
        self.start_button = QPushButton("&Start training")
        self.start_button.setToolTip("Takes minutes; the window can be used meanwhile")
        self.cancel_button = QPushButton("&Cancel")
        self.cancel_button.setToolTip("Stop; starting again goes on from there")
        self.stage = _words()
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress")
        self.problem = Problem("What went wrong")
        self.plot = TrainingPlot()
        self.plot.setVisible(False)
        self.table = ComparisonTable()
        self.verdict = Passage("Whether the new model has earned its place")
        self.use_button = QPushButton("&Use this model")
        self.use_button.setToolTip("Take the new model for all analyses to come")
        self.use_reason = _words()
        self._lay_out()
        self.show_idle()

    def _lay_out(self) -> None:
        what = _words()
        what.setText(WHAT_IT_IS)
        data = _form()
        _add(data, "Training &data", self.dataset, self.choose_dataset)
        data.addRow(self.holds)
        data.addRow(self.data_problem)
        _add(data, "Pi&xel size", self.pixel_size)
        _add(data, "&Begin from", self.base)
        _add(data, "&Name", self.name)
        _add(data, "F&older", self.folder, self.choose_folder)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(what)
        layout.addLayout(data)
        layout.addWidget(self.reason)
        layout.addLayout(_row(self.start_button, self.cancel_button))
        layout.addWidget(self.stage)
        layout.addWidget(self.bar)
        layout.addWidget(self.problem)
        layout.addWidget(self.plot)
        layout.addWidget(self.table)
        layout.addWidget(self.verdict)
        layout.addWidget(self.use_button)
        layout.addWidget(self.use_reason)
        layout.addStretch(1)

    def show_models(self, own: str) -> None:
        """Offer the bundled models and that of the settings."""
        from biopsy_ai.resources import list_models

        chosen = self.base.currentData()
        bundled = list_models()
        self.base.blockSignals(True)
        self.base.clear()
        for name in bundled:
            self.base.addItem(f"{name} (bundled)", name)
        if own not in bundled:
            self.base.addItem(f"{Path(own).name} (own)", own)
            self.base.setItemData(self.base.count() - 1, own, Qt.ItemDataRole.ToolTipRole)
        self.base.setCurrentIndex(max(self.base.findData(chosen), 0))
        self.base.blockSignals(False)

    def show_running(self, words: str) -> None:
        """Show that the training runs."""
        self.stage.setText(words)
        self.bar.setRange(0, 0)
        self._set_running(True)

    def show_progress(self, words: str, done: int, total: int) -> None:
        """Show how far a stage is."""
        self.stage.setText(words)
        self.bar.setRange(0, max(total, 1))
        self.bar.setValue(done)

    def show_stopping(self) -> None:
        """Show that the training was asked to stop."""
        self.show_running("Stopping …")
        self.cancel_button.setEnabled(False)

    def show_idle(self) -> None:
        """Show that nothing runs."""
        self._set_running(False)

    def show_result(self, *, shown: bool) -> None:
        """Show or hide what a training has come to."""
        self.use_button.setVisible(shown)
        self.use_reason.setVisible(shown)
        if not shown:
            self.table.clear_columns()
            self.verdict.say("")

    def _set_running(self, running: bool) -> None:
        self.bar.setVisible(running)
        self.stage.setVisible(running)
        self.cancel_button.setEnabled(running)
        for field in (
            *(self.dataset, self.choose_dataset, self.pixel_size, self.base),
            *(self.name, self.folder, self.choose_folder),
        ):
            field.setEnabled(not running)


def _form() -> QFormLayout:
    form = QFormLayout()
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return form


def _add(form: QFormLayout, title: str, first: QWidget, *others: QWidget) -> None:
    label = QLabel(title)
    label.setBuddy(first)
    form.addRow(label, _row(first, *others))


def _dots(name: str) -> QPushButton:
    button = QPushButton("…")
    button.setToolTip(name)
    button.setAccessibleName(name)
    return button


def _words() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget)
    return row
