"""Saving what a review has come to: reports and tables, and data to train on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QGroupBox,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from biopsy_ai.progress import Progress
from biopsy_ai.result_names import REPORT_FILE, REVIEWED_FOLDER
from napari_plugin.following import Following
from napari_plugin.form_parts import row, words
from napari_plugin.section import OpenSection, sections_of
from napari_plugin.settings import read_settings
from napari_plugin.stages import stage_in_words
from napari_plugin.worker import Work

if TYPE_CHECKING:
    from napari.viewer import Viewer

NO_SECTION = "Open a results folder, or analyze a slide; then its review can be saved."
WHAT_IS_SAVED = (
    "Everything that the command line writes: report (HTML and PDF), tables, label images, "
    "QuPath and ImageJ outlines, overlays. They are measured anew from the corrected fibers. "
    "The results of the program itself stay as they are."
)
WHAT_IS_TRAINED = (
    "The picture, the corrected fibers and the review log, as the tab Train and "
    "“biopsy-ai train” read them."
)


class SaveWidget(QWidget):
    """Saves the review of the section in front."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._sections = sections_of(napari_viewer)
        self._section: OpenSection | None = None
        self._work: Work | None = None
        self._report: Path | None = None
        self.section_name = words()
        self.save_button = QPushButton("&Save reviewed results")
        self.report_button = QPushButton("Open the &report")
        self.folder_button = QPushButton("Open the f&older")
        self.training_folder = QLineEdit()
        self.training_folder.setAccessibleName("Folder for training data")
        self.choose_button = QPushButton("&Choose …")
        self.whole = QCheckBox("The &whole section was reviewed")
        self.whole.setToolTip(
            "Off: only fibers that a person has accepted or changed count as known.\n"
            "On: every fiber counts as right, and where there is none, there is none."
        )
        self.train_button = QPushButton("Save as &training data")
        self.bar = QProgressBar()
        self.cancel_button = QPushButton("Ca&ncel")
        self.message = words(selectable=True)
        self._lay_out()
        for button, act in (
            (self.save_button, self.save),
            (self.report_button, self.open_report),
            (self.folder_button, self.open_folder),
            (self.choose_button, self._choose_folder),
            (self.train_button, self.save_training),
            (self.cancel_button, self.cancel),
        ):
            button.clicked.connect(act)
        self._following = Following(self)
        self._following.follow((self._sections.active_changed, self._on_active))
        self._on_active()

    def _lay_out(self) -> None:
        results = QGroupBox("Results")
        inside = QVBoxLayout(results)
        inside.addWidget(words(WHAT_IS_SAVED))
        inside.addWidget(self.save_button)
        inside.addLayout(row(self.report_button, self.folder_button))
        training = QGroupBox("Training data")
        inside = QVBoxLayout(training)
        inside.addWidget(words(WHAT_IS_TRAINED))
        inside.addLayout(row(self.training_folder, self.choose_button))
        inside.addWidget(self.whole)
        inside.addWidget(self.train_button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.section_name)
        layout.addWidget(results)
        layout.addWidget(training)
        layout.addLayout(row(self.bar, self.cancel_button))
        layout.addWidget(self.message)
        layout.addStretch(1)

    def _on_active(self, *_: Any) -> None:
        section = self._sections.active
        if section is not self._section:
            # what was said of one section does not hold for another
            self.whole.setChecked(False)
            self._section = section
        self.section_name.setText(NO_SECTION if section is None else section.review.saved.name)
        if section is not None and not self.training_folder.text():
            named = read_settings().results_folder
            home = Path(named) if named else section.review.folder.parent
            self.training_folder.setText(str(home / "training"))
        self._report = None if section is None else _report_of(section)
        self._enable()

    def _enable(self) -> None:
        idle = self._work is None
        ready = idle and self._sections.active is not None
        for button in (self.save_button, self.train_button):
            button.setEnabled(ready)
        self.folder_button.setEnabled(self._sections.active is not None)
        self.report_button.setEnabled(self._report is not None)
        self.bar.setVisible(not idle)
        self.cancel_button.setVisible(not idle)

    def save(self, *_: Any) -> None:
        """Write the reviewed results beside those of the program."""
        section = self._sections.active
        if section is not None:
            review = section.review
            self._begin(lambda told: review.save(progress=told), partial(_saved, section))

    def save_training(self, *_: Any) -> None:
        """Write picture, corrected fibers and log for training."""
        section, folder = self._sections.active, self.training_folder.text().strip()
        if section is None:
            return
        if not folder:
            self.message.setText("Choose a folder for the training data first.")
            return
        review, whole = section.review, self.whole.isChecked()
        self._begin(
            lambda told: review.export_training(Path(folder), whole_section=whole, progress=told),
            lambda written: f"The training data stand in {written}.",
        )

    def cancel(self, *_: Any) -> None:
        """Stop what is being saved; what stood there before stays."""
        if self._work is not None:
            self._work.cancel()
            self.message.setText("Stopping …")

    def open_report(self, *_: Any) -> None:
        """Show the report in the web browser."""
        if self._report is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._report)))

    def open_folder(self, *_: Any) -> None:
        """Show the results folder in the file manager."""
        if self._sections.active is not None:
            folder = self._sections.active.review.folder
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(folder)))

    def _choose_folder(self, *_: Any) -> None:
        chosen = QFileDialog.getExistingDirectory(
            self, "Folder for training data", self.training_folder.text()
        )
        if chosen:
            self.training_folder.setText(chosen)

    def _begin(self, function: Callable[[Progress], Any], told: Callable[[Any], str]) -> None:
        if self._work is not None:
            return
        work = Work(function, self)
        work.progressed.connect(self._on_progress)
        work.finished.connect(lambda result: self._end(told(result)))
        work.failed.connect(self._end)
        work.cancelled.connect(self._on_cancelled)
        self._work = work
        self.bar.setRange(0, 0)
        self.message.setText("")
        self._enable()
        work.start()

    def _on_progress(self, stage: str, done: int, total: int) -> None:
        self.bar.setRange(0, max(total, 1))
        self.bar.setValue(done)
        self.bar.setFormat(f"{stage_in_words(stage)} %p %")

    def _on_cancelled(self) -> None:
        self._end("Stopped; nothing half-written is left.")

    def _end(self, text: str) -> None:
        self._work = None
        self.message.setText(text)
        self._on_active()


def _saved(section: OpenSection, folder: Path) -> str:
    """Show what was measured anew, and say where it stands."""
    if section.is_open:
        if not section.review.summary_is_current:
            # something was changed meanwhile, and is not in what was saved
            section.rescore()
        section.show_again()
    return f"The reviewed results stand in {folder}."


def _report_of(section: OpenSection) -> Path | None:
    """The report of the review, else that of the program."""
    folder = section.review.folder
    reports = (folder / REVIEWED_FOLDER / REPORT_FILE, folder / REPORT_FILE)
    return next((path for path in reports if path.is_file()), None)
