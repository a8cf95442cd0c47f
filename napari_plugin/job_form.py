"""A tab whose work is done in a process beside the window: started, followed, stopped."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QProgressBar, QPushButton, QWidget

from napari_plugin.form_parts import words
from napari_plugin.job import Job
from napari_plugin.passage import Problem
from napari_plugin.stages import stage_in_words

UNSHOWN_STAGES = ("slides",)
"""Stages that count what stages belong to."""


class JobForm(QWidget):
    """Progress, cancelling, and what went wrong; what is told and what comes of it is the tab's.

    Attributes
    ----------
    job
        The one that runs; None while none does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.job: Job | None = None
        self.cancel_button = QPushButton("&Cancel")
        self.stage = words()
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress")
        self.problem = Problem("What went wrong")

    def prepare_job(self, arguments: list[str]) -> Job:
        """Make a job of the command line and show that it runs; start it next."""
        job = Job(arguments, self)
        job.progressed.connect(self._on_progress)
        job.reported.connect(self._on_event)
        job.failed.connect(self.problem.say)
        job.finished.connect(self._on_finished)
        self.job = job
        self.show_running("Starting …")
        return job

    def cancel(self) -> None:
        """Stop the work; nothing half-written is left."""
        if self.job is not None:
            self.show_running("Stopping …")
            self.cancel_button.setEnabled(False)
            self.job.cancel()

    def show_running(self, what: str) -> None:
        """Show that the work goes on, for how long is not known."""
        self.stage.setText(what)
        self.bar.setRange(0, 0)
        self._set_running(True)

    def show_progress(self, what: str, done: int, total: int) -> None:
        """Show how far a stage is."""
        self.stage.setText(what)
        self.bar.setRange(0, max(total, 1))
        self.bar.setValue(done)

    def show_idle(self) -> None:
        """Show that nothing runs."""
        self._set_running(False)

    def _set_running(self, running: bool) -> None:
        self.bar.setVisible(running)
        self.stage.setVisible(running)
        self.cancel_button.setEnabled(running)

    def _on_progress(self, stage: str, done: int, total: int) -> None:
        if self.job is not None and not self.job.was_cancelled and stage not in UNSHOWN_STAGES:
            self.show_progress(stage_in_words(stage), done, total)

    def _on_event(self, event: dict[str, Any]) -> None:
        """Take in what the job tells of, besides its progress."""

    def _on_finished(self) -> None:
        """Take in what has come of the job."""
