"""The fields of a training, and what is said of it."""

from __future__ import annotations

from qtpy.QtWidgets import (
    QLineEdit,
    QPushButton,
    QVBoxLayout,
)

from napari_plugin.comparison_table import ComparisonTable
from napari_plugin.form_parts import (
    add_field,
    chooser,
    form,
    narrow_combo,
    offer_models,
    row,
    words,
)
from napari_plugin.job_form import JobForm
from napari_plugin.passage import Passage, Problem
from napari_plugin.training_plot import TrainingPlot

WHAT_IT_IS = (
    "Let a model go on learning from sections that you have reviewed. It is compared with the old "
    "one on slides that it did not learn from."
)


class TrainForm(JobForm):
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
        self.choose_dataset = chooser("Choose the folder of the training data")
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
        self.choose_folder = chooser("Choose the folder for models")
        self.reason = words()
        self.start_button = QPushButton("&Start training")
        self.start_button.setToolTip("Takes minutes; the window can be used meanwhile")
        self.cancel_button.setToolTip("Stop; starting again goes on from there")
        self.plot = TrainingPlot()
        self.plot.setVisible(False)
        self.table = ComparisonTable()
        self.verdict = Passage("Whether the new model has earned its place")
        self.use_button = QPushButton("&Use this model")
        self.use_button.setToolTip("Take the new model for all analyses to come")
        self.use_reason = words()
        self._lay_out()
        self.show_idle()

    def _lay_out(self) -> None:
        data = form()
        add_field(data, "Training &data", self.dataset, self.choose_dataset)
        data.addRow(self.holds)
        data.addRow(self.data_problem)
        add_field(data, "Pi&xel size", self.pixel_size)
        add_field(data, "&Begin from", self.base)
        add_field(data, "&Name", self.name)
        add_field(data, "F&older", self.folder, self.choose_folder)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addWidget(words(WHAT_IT_IS))
        layout.addLayout(data)
        layout.addWidget(self.reason)
        layout.addLayout(row(self.start_button, self.cancel_button))
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
        offer_models(self.base, own, self.base.currentData())

    def show_result(self, *, shown: bool) -> None:
        """Show or hide what a training has come to."""
        self.use_button.setVisible(shown)
        self.use_reason.setVisible(shown)
        if not shown:
            self.table.clear_columns()
            self.verdict.say("")

    def _set_running(self, running: bool) -> None:
        super()._set_running(running)
        for field in (
            *(self.dataset, self.choose_dataset, self.pixel_size, self.base),
            *(self.name, self.folder, self.choose_folder),
        ):
            field.setEnabled(not running)
