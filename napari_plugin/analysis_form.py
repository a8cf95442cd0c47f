"""The fields of an analysis, and what is said of it while it runs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QCompleter,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from biopsy_ai.patterns.muscles import muscle_names
from napari_plugin.analysis_choices import STAIN_WORDS, VIEW_WORDS
from napari_plugin.channel_rows import ChannelRows
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
from napari_plugin.passage import Passage

WHOLE = "Whole section"
NOT_STATED = "not stated"
OLDEST = 130


class AnalysisForm(JobForm):
    """Fields, buttons, progress and messages; what they do is that of `AnalyzeWidget`."""

    def __init__(self) -> None:
        super().__init__()
        self.section = narrow_combo("The slide to analyze, of those that are open")
        self.stain = narrow_combo(
            "How the section is stained. It decides how fibers are outlined, and what can be told "
            "of nuclei, collagen and fiber types."
        )
        for stain, name in STAIN_WORDS.items():
            self.stain.addItem(name, stain)
        self.pixel_size = QLineEdit()
        self.pixel_size.setPlaceholderText("µm per pixel")
        self.pixel_size.setToolTip(
            "Width of a pixel in µm, as the file states it. Two numbers where its height differs: "
            "height, width."
        )
        self.channels = ChannelRows()
        self.region = narrow_combo("Analyze all of the section, or a part that you draw")
        self.draw = QPushButton("&Draw")
        self.draw.setToolTip(
            "Draw a region: click its corners, and double-click the last one. Tissue outside does "
            "not count."
        )
        self.muscle = narrow_combo("Decides which share of type I fibers is usual")
        self.muscle.setEditable(True)
        self.muscle.addItems(["", *muscle_names()])
        self.muscle.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        completer = QCompleter(muscle_names(), self.muscle)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        self.muscle.setCompleter(completer)
        edit = self.muscle.lineEdit()
        if edit is not None:
            edit.setPlaceholderText(NOT_STATED)
        self.side = narrow_combo("Recorded with the result")
        self.sex = narrow_combo("Decides the usual size of fibers")
        for combo, names in ((self.side, ("left", "right")), (self.sex, ("female", "male"))):
            combo.addItem(NOT_STATED, "")
            for name in names:
                combo.addItem(name, name)
        self.age = QSpinBox()
        self.age.setRange(-1, OLDEST)
        self.age.setSpecialValueText(NOT_STATED)
        self.age.setValue(-1)
        self.age.setSuffix(" years")
        self.age.setToolTip("Children have smaller fibers")
        self.model = narrow_combo(
            "Outlines the fibers: a bundled model, or the one from the settings"
        )
        self._own_model = ""
        self.views = narrow_combo(
            "Mirror images of the section over which the network averages: with four it "
            "finds fewer false fibers, draws outlines a little better, misses some faint borders, "
            "and takes longer"
        )
        for views, name in VIEW_WORDS.items():
            self.views.addItem(name, views)
        self.folder = QLineEdit()
        self.folder.setToolTip(
            "The results of each slide go to a folder of its name in here. Empty takes the folder "
            'of the settings, or "results" beside the slide.'
        )
        self.choose_folder = chooser("Choose the folder for results")
        self.place = Passage("Where the results go")
        self.reason = words()
        self.run_button = QPushButton("&Run analysis")
        self.run_button.setToolTip("Outline and measure the fibers, and score the section")
        self.cancel_button.setToolTip("Stop the analysis; earlier results stay")
        self.done = Passage("What was found")
        self.show_regions([])
        self._lay_out()
        self.show_idle()

    def _lay_out(self) -> None:
        fields = form()
        for title, first, *others in (
            ("Sectio&n", self.section),
            ("S&tain", self.stain),
            ("Pi&xel size (µm)", self.pixel_size),
            ("", self.channels),
            ("Re&gion", self.region, self.draw),
            ("&Muscle", self.muscle),
            ("S&ide", self.side),
            ("&Age", self.age),
            ("&Sex", self.sex),
            ("Mod&el", self.model),
            ("O&utlines", self.views),
            ("F&older", self.folder, self.choose_folder),
        ):
            if title:
                add_field(fields, title, first, *others)
            else:
                fields.addRow(first)
        fields.addRow(self.place)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 4, 4, 4)
        layout.addLayout(fields)
        layout.addWidget(self.reason)
        layout.addLayout(row(self.run_button, self.cancel_button))
        layout.addWidget(self.stage)
        layout.addWidget(self.bar)
        layout.addWidget(self.problem)
        layout.addWidget(self.done)
        layout.addStretch(1)

    # what is chosen

    @property
    def chosen_stain(self) -> str:
        return str(self.stain.currentData())

    def choose_stain(self, stain: str) -> None:
        """Choose a stain by the name that the command line gives it."""
        self.stain.setCurrentIndex(self.stain.findData(stain))

    @property
    def chosen_region(self) -> str:
        """Name of the layer in which the region is drawn; empty for the whole section."""
        return str(self.region.currentData() or "")

    def chosen_facts(self) -> dict[str, Any]:
        """What is stated of the patient, the model, and how it looks."""
        age = self.age.value()
        return {
            "muscle": self.muscle.currentText().strip(),
            "side": str(self.side.currentData()),
            "sex": str(self.sex.currentData()),
            "age": float(age) if age >= 0 else None,
            "model": str(self.model.currentData() or ""),
            "views": str(self.views.currentData()),
        }

    # what is offered

    def show_channel_rows(self, shown: bool) -> None:
        """Show or hide the rows of channels."""
        self.channels.setVisible(shown)
        self._set_tab_order()

    def show_regions(self, layers: list[str]) -> None:
        """Offer the whole section, and the shape in each layer of these names."""
        chosen = self.chosen_region
        self.region.clear()
        self.region.addItem(WHOLE, "")
        for name in layers:
            self.region.addItem(f'Shape in "{name}"', name)
        self.region.setCurrentIndex(max(self.region.findData(chosen), 0))

    def show_models(self, own: str) -> None:
        """Offer the bundled models and that of the settings, which is chosen where it is new."""
        chosen = self.model.currentData() if own == self._own_model else own
        self._own_model = own
        offer_models(self.model, own, chosen)

    def _set_tab_order(self) -> None:
        in_order = (
            *(self.section, self.stain, self.pixel_size, *self.channels.combos),
            *(self.region, self.draw, self.muscle, self.side, self.age, self.sex),
            *(self.model, self.views, self.folder, self.choose_folder, self.place),
            *(self.run_button, self.cancel_button, self.problem, self.done),
        )
        for one, following in pairwise(in_order):
            QWidget.setTabOrder(one, following)
