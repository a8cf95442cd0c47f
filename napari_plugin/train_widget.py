"""Letting a model go on learning from reviewed sections, in a process beside the window."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_plugin.following import Following
from napari_plugin.job import Job
from napari_plugin.section import sections_of
from napari_plugin.settings import keep_model, read_settings
from napari_plugin.train_form import TrainForm

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QShowEvent

CHECK_AFTER_MS = 700
"""A folder is checked so long after the last letter of its name was typed. [default]"""

NO_DATA = (
    "Choose the folder of the training data: review a section and save it as training data first."
)
NOT_CHECKED = "Looking at the training data …"
UNUSUAL = re.compile(r'[<>:"/\\|?*\x00-\x1f]')


class TrainWidget(TrainForm):
    """Checks training data, trains, shows how it goes, compares, and takes the new model over.

    Attributes
    ----------
    check
        The check of the data that runs; None while none does.
    more_arguments
        Of ``biopsy-ai train``, beside those that the fields give.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._sections = sections_of(napari_viewer)
        self.check: Job | None = None
        self.more_arguments: tuple[str, ...] = ()
        self._found: dict[str, Any] | None = None
        self._made: dict[str, Any] | None = None
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(CHECK_AFTER_MS)
        self._soon.timeout.connect(self.check_data)
        self.name.setText("mine")
        self.show_models(read_settings().model)
        self.show_result(shown=False)
        for field in (self.dataset, self.pixel_size):
            field.textChanged.connect(lambda *_: self._on_data())
        for field in (self.name, self.folder):
            field.textChanged.connect(lambda *_: self._enable())
        # what the old model has learned from is not judged on
        self.base.currentIndexChanged.connect(lambda *_: self._on_data())
        for button, act in (
            (self.choose_dataset, self._choose_dataset),
            (self.choose_folder, self._choose_folder),
            (self.start_button, self.start),
            (self.cancel_button, self.cancel),
            (self.use_button, self.use),
        ):
            button.clicked.connect(lambda *_, act=act: act())
        self._following = Following(self)
        self._following.follow((self._sections.active_changed, self._on_section))
        self._on_section()
        self._enable()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Take over what was set or saved meanwhile."""
        super().showEvent(event)
        self.show_models(read_settings().model)
        self._on_section()
        if self.dataset.text().strip() and self.job is None:
            self._soon.start()

    # the data

    def _on_section(self, *_: Any) -> None:
        """Propose the folder that the section in front would be saved to."""
        named = read_settings().results_folder
        section = self._sections.active
        if named:
            home = Path(named).expanduser()
        elif section is not None:
            home = Path(section.review.folder).parent
        else:
            home = Path.home() / "biopsy-ai"
        if not self.folder.text().strip():
            self.folder.setText(str(Path.home() / "biopsy-ai" / "models"))
        if not self.dataset.text().strip() and (home / "training").is_dir():
            self.dataset.setText(str(home / "training"))

    def _on_data(self) -> None:
        self._found = None
        self.holds.say("")
        self.data_problem.say("")
        if self.dataset.text().strip():
            self._soon.start()
        self._enable()

    def check_data(self) -> None:
        """Look at the data, in a process beside the window."""
        self._soon.stop()
        if self.check is not None:
            self.check.cancel()
            self.check = None
        folder = self.dataset.text().strip()
        if not folder or self.job is not None:
            return
        base = str(self.base.currentData())
        job = Job(["train", *self._data_arguments(), "--from", base, "--check"], self)
        job.reported.connect(lambda event: self._on_checked(job, event))
        job.failed.connect(lambda text: self._on_check_failed(job, text))
        job.finished.connect(lambda: self._on_check_finished(job))
        self.check = job
        self.holds.say(NOT_CHECKED)
        self._enable()
        job.start()

    def _data_arguments(self) -> list[str]:
        given = [str(Path(self.dataset.text().strip()).expanduser())]
        text = self.pixel_size.text().strip().replace(",", ".")
        return [*given, "--mpp", text] if text else given

    def _on_checked(self, job: Job, event: dict[str, Any]) -> None:
        if job is self.check and event["event"] == "dataset":
            self._found = event
            self._show_found(event)

    def _on_check_failed(self, job: Job, text: str) -> None:
        if job is self.check and self._found is None:
            self.holds.say("")
            self.data_problem.say(text)

    def _on_check_finished(self, job: Job) -> None:
        if job is self.check:
            self.check = None
            if self.holds.text == NOT_CHECKED:
                self.holds.say("")
        job.deleteLater()
        self._enable()

    def _show_found(self, found: dict[str, Any]) -> None:
        """Say what the data hold, and what is wrong with them."""
        lines = []
        if found["pictures"]:
            slides = _counted(found["slides"], "slide or patient", "slides or patients")
            lines.append(
                f"{_counted(found['pictures'], 'picture')} of {slides}, {found['fibers']:,} fibers."
            )
            reviewers = found["reviewers"]
            if reviewers:
                lines.append(f"Corrected by {', '.join(reviewers)}.")
            if looked_at := found.get("reviewed_fibers"):
                lines.append(
                    f"{_counted(looked_at, 'fiber')} looked at, {found['with_condition']:,} with a "
                    f"condition and {found['with_type']:,} with a type."
                )
            held = ", ".join(found["held_out"])
            lines.append(
                f"Judged on: {held}."
                if held
                else "All come from one slide: there will be none to judge the new model on, and "
                "it cannot become ready for use."
            )
        self.holds.say("\n".join([*lines, *found["notes"]]))
        self.data_problem.say("\n".join(found["problems"]))

    # training

    @property
    def model_folder(self) -> Path | None:
        """Where the new model goes; None while its name or folder is missing."""
        folder, name = self.folder.text().strip(), self.name.text().strip()
        if not folder or not name or UNUSUAL.search(name) or name in (".", ".."):
            return None
        return Path(folder).expanduser() / name

    def _why_not(self) -> str:
        """Why the training cannot be started; empty if it can."""
        if not self.dataset.text().strip():
            return NO_DATA
        if self.model_folder is None:
            return "Give the new model a name, without special characters, and a folder."
        if (self.model_folder / "model.yaml").exists():
            return (
                f"A model of this name stands there already: {self.model_folder}. Choose another."
            )
        if self._found is None:
            return NOT_CHECKED if self.check is not None or self._soon.isActive() else ""
        if self._found["problems"]:
            return "Mend what is wrong with the training data first."
        return ""

    def _enable(self) -> None:
        why = self._why_not()
        idle = self.job is None
        self.reason.setText(why if why != self.holds.text else "")
        self.reason.setVisible(bool(self.reason.text()) and idle)
        self.start_button.setEnabled(idle and not why)

    def start(self) -> None:
        """Start the training, or go on with one that was stopped."""
        if self.job is not None or self._why_not() or self.model_folder is None:
            return
        self.problem.say("")
        self.plot.clear()
        self.plot.setVisible(True)
        self.show_result(shown=False)
        self._made = None
        arguments = ["train", *self._data_arguments(), "--from", str(self.base.currentData())]
        arguments += ["--name", self.name.text().strip(), "--out", str(self.model_folder)]
        job = self.prepare_job([*arguments, *self.more_arguments])
        self._enable()
        job.start()

    def _on_event(self, event: dict[str, Any]) -> None:
        if event["event"] == "dataset":
            self._found = event
            self._show_found(event)
        elif event["event"] == "training":
            self.plot.add(event["step"], event["steps"], event["loss"], event["held_out_f1"])
        elif event["event"] == "model":
            self._made = event

    def _on_finished(self) -> None:
        job, self.job = self.job, None
        self.show_idle()
        if job is not None:
            if job.was_cancelled:
                self.verdict.say("Stopped. Starting again with the same data and name goes on.")
            elif not job.succeeded:
                self._made = None
            job.deleteLater()
            self._show_made(failed=not job.succeeded and not job.was_cancelled)
        self._enable()

    # the new model

    def _show_made(self, *, failed: bool) -> None:
        made = self._made
        if made is None:
            self.use_button.setEnabled(False)
            self.use_button.setVisible(failed)
            self.use_reason.setVisible(failed)
            self.use_reason.setText("The training failed, so there is no new model.")
            return
        self.table.show_event(made)
        verdict = "Ready for use." if made["ready"] else "Not ready for use."
        # each rule of conditions and types was judged by itself
        lines = [f"{verdict} {made['reason']}", (made.get("rules") or {}).get("text", "")]
        lines.append(f"The new model stands in {made['folder']}.")
        self.verdict.say("\n".join(line for line in lines if line))
        self.use_button.setEnabled(True)
        self.use_reason.setText("")
        self.show_result(shown=True)

    def use(self) -> None:
        """Take the new model for all analyses to come; asks first if it is not ready."""
        made = self._made
        if made is None or not (made["ready"] or self._is_sure(made["reason"])):
            return
        if keep_model(made["folder"]):
            self.use_reason.setText("This model is used for all analyses from now on.")
            self.use_button.setEnabled(False)
            self.show_models(made["folder"])
        else:
            self.use_reason.setText(
                "The settings cannot be changed here. Choose the model in the tab Analyze, or give "
                f"--model {made['folder']} on the command line."
            )

    def _is_sure(self, reason: str) -> bool:
        """Ask whether a model that is not ready shall be used."""
        answer = QMessageBox.question(
            self,
            "Use a model that is not ready?",
            f"{reason}\n\nIts results will carry this warning. Use it all the same?",
            QMessageBox.StandardButton.Yes | QMessageBox.StandardButton.No,
            QMessageBox.StandardButton.No,
        )
        return answer == QMessageBox.StandardButton.Yes

    def _choose_dataset(self) -> None:
        self._choose(self.dataset, "Folder of the training data")

    def _choose_folder(self) -> None:
        self._choose(self.folder, "Folder for models")

    def _choose(self, field: Any, title: str) -> None:
        chosen = QFileDialog.getExistingDirectory(self, title, field.text())
        if chosen:
            field.setText(chosen)


def _counted(n: int, one: str, many: str = "") -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"
