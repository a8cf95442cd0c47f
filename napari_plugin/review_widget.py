"""Going through the doubtful fibers of a section, and correcting what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from biopsy_ai.measure.condition import CONDITIONS
from napari_plugin.drawing import Drawing
from napari_plugin.following import Following
from napari_plugin.form_parts import words
from napari_plugin.review_keys import ReviewKeys, shown_key
from napari_plugin.review_queue import QueueView
from napari_plugin.section import OpenSection, sections_of

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from numpy.typing import NDArray

    from biopsy_ai.review import Change, Review

NO_SECTION = "Open a results folder, or analyze a slide, to review its fibers."
NOTHING_SELECTED = "Select a fiber first: click it in the picture, or a row of a list."
REASONS = ("artefact", "cut obliquely", "not a fiber", "damaged", "outline not to be trusted")
"""Reasons to exclude a fiber that are offered; any other can be typed."""
TYPES = ("I", "II", "IIA", "IIX", "undetermined")
TYPE_KEYS = ("1", "2", "3", "4", "5")
CONDITION_KEYS = ("6", "7", "8", "9", "0")
NORMAL_KEY = "G"
HISTORY_ROWS = 200
"""The latest changes that are listed."""
CROSSED_POINTS = 50
"""Points of a line at which it is asked which fiber lies under it."""


class ReviewWidget(QWidget):
    """Queue, actions and history of the review of the section in front.

    Each action acts on the selected fibers. It has a button and a key, which works wherever no
    text is typed while a layer of the section is the active one.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._sections = sections_of(napari_viewer)
        self._section: OpenSection | None = None
        self._drawing: Drawing | None = None
        self.progress = words()
        self.queue = QueueView()
        self.history = QListWidget()
        self.selected = words()
        self.message = words()
        self.reason = QComboBox()
        self.reason.setEditable(True)
        self.reason.addItems(REASONS)
        self.reason.setAccessibleName("Reason to exclude")
        self.buttons: dict[str, QPushButton] = {}
        self._actions: dict[str, tuple[str, Callable[[], None]]] = {}
        self._lay_out()
        self._keys = ReviewKeys({**dict(self._actions.values()), "Escape": self._stop_drawing})
        self.queue.chosen.connect(self._on_chosen)
        self._following = Following(self)
        self._following.follow((self._sections.active_changed, self._on_active))
        self._on_active()

    def _lay_out(self) -> None:
        lists = QTabWidget()
        lists.addTab(self.queue, "&Doubtful fibers")
        lists.addTab(self.history, "&History")
        steps = QHBoxLayout()
        for name, key, tip, act in (
            ("Back", "B", "Go back in the list of doubtful fibers", self.back),
            ("Next", "N", "Go to the next doubtful fiber", self.next),
            ("Undo", "Control-Z", "Take the last change back", self.undo),
            ("Redo", "Control-Shift-Z", "Make the change again", self.redo),
        ):
            steps.addWidget(self._button(name, key, tip, act))
        fibers = QGridLayout()
        outlines = (
            ("Accept", "A", "The fiber is right as it is", self.accept),
            ("Delete", "X", "This is no fiber: remove its outline", self.delete),
            ("Merge", "M", "Make one fiber of those selected", self.merge),
            ("Split", "S", "Draw a line across the fiber with the mouse", self.split),
            ("Redraw", "R", "Draw the outline of the fiber anew with the mouse", self.redraw),
            ("Draw new", "D", "Draw the outline of a fiber that is missing", self.draw),
        )
        for number, action in enumerate(outlines):
            fibers.addWidget(self._button(*action), *divmod(number, 3))
        excluding = QHBoxLayout()
        excluding.addWidget(self._button("Exclude", "E", "Leave it out, for:", self.exclude))
        excluding.addWidget(self.reason, stretch=1)
        excluding.addWidget(self._button("Include", "I", "Do not leave it out", self.include))
        kinds = QGridLayout()
        for number, (name, key) in enumerate(zip(TYPES, TYPE_KEYS, strict=True)):
            kinds.addWidget(self._type_button(name, key), 0, number)
        conditions = QGridLayout()
        keys = (NORMAL_KEY, *CONDITION_KEYS)
        for number, (name, key) in enumerate(zip(("normal", *CONDITIONS), keys, strict=True)):
            conditions.addWidget(self._condition_button(name, key), *divmod(number, 3))
        layout = QVBoxLayout(self)
        layout.addWidget(self.progress)
        layout.addWidget(lists, stretch=1)
        layout.addLayout(steps)
        layout.addWidget(self.selected)
        layout.addLayout(fibers)
        layout.addLayout(excluding)
        layout.addWidget(QLabel("Fiber type"))
        layout.addLayout(kinds)
        layout.addWidget(QLabel("Condition"))
        layout.addLayout(conditions)
        layout.addWidget(self.message)

    def _button(
        self, text: str, key: str, tip: str, act: Callable[[], None], name: str = ""
    ) -> QPushButton:
        name, short = name or text, shown_key(key)
        button = QPushButton(f"{text}  {short}" if len(short) == 1 else text)
        button.setToolTip(f"{tip}  [{short}]")
        # the columns of buttons share the width, whatever it is
        button.setMinimumWidth(button.fontMetrics().horizontalAdvance(button.text()) + 8)
        button.clicked.connect(lambda *_: act())
        self.buttons[name] = button
        self._actions[name] = (key, act)
        return button

    def _type_button(self, name: str, key: str) -> QPushButton:
        shown = "?" if name == "undetermined" else name
        return self._button(
            shown, key, f"The type is {name}", lambda: self.set_type(name), f"type {name}"
        )

    def _condition_button(self, name: str, key: str) -> QPushButton:
        tip = "Nothing is wrong with it" if name == "normal" else f"Mark as {name}"
        return self._button(
            name.capitalize(), key, tip, lambda: self.set_condition(name), f"condition {name}"
        )

    # the section

    def _on_active(self, *_: Any) -> None:
        old, self._section = self._section, self._sections.active
        self._stop_drawing()
        if old is not None:
            self._keys.unbind()
            self._following.leave(*self._slots(old))
        if self._section is not None:
            self._keys.bind(self._section.layers.values())
            self._following.follow(*self._slots(self._section))
        self._say("")
        self.refresh()

    def _slots(self, section: OpenSection) -> tuple[tuple[Any, Callable[..., None]], ...]:
        return (
            (section.selection_changed, self._on_selection),
            (section.fibers_changed, self._on_change),
            (section.scores_changed, self._on_scores),
            (section.message, self._say),
        )

    def refresh(self) -> None:
        """Show the state of the review."""
        section = self._section
        for button in self.buttons.values():
            button.setEnabled(section is not None)
        if section is None:
            self.progress.setText(NO_SECTION)
            self.queue.show_queue(self.queue.rows.queue.iloc[:0])
            self.history.clear()
            self.selected.setText("")
            return
        review = section.review
        queue = review.queue()
        self.queue.show_queue(queue)
        self.progress.setText(
            f"{review.saved.name}: {len(queue):,} of {len(review.table):,} fibers are doubtful and "
            "not settled yet. Every change is saved at once."
        )
        past = review.history().iloc[::-1].head(HISTORY_ROWS)
        self.history.clear()
        self.history.addItems([_in_words(row) for _, row in past.iterrows()])
        for name, text in (("Undo", review.undo_text), ("Redo", review.redo_text)):
            self.buttons[name].setEnabled(bool(text))
            key = shown_key(self._actions[name][0])
            self.buttons[name].setToolTip(
                f"{name}: {text or 'nothing to ' + name.lower()}  [{key}]"
            )
        self._on_selection(section.selection)

    def _on_change(self, change: Change, *_: Any) -> None:
        self.refresh()
        self._say(change.text)

    def _on_scores(self, *_: Any) -> None:
        if self._section is not None:
            self.queue.show_queue(self._section.review.queue())

    def _on_selection(self, labels: NDArray[np.int64], *_: Any) -> None:
        if self._section is None:
            return
        if len(labels) == 1:
            self.queue.mark(int(labels[0]))
        self.selected.setText(_selection_in_words(self._section.review, labels))

    def _on_chosen(self, label: int) -> None:
        if self._section is not None:
            self._section.select([label], go_there=True)

    def _say(self, text: str, *_: Any) -> None:
        self.message.setText(text)

    # actions

    def next(self) -> None:
        """Go to the next doubtful fiber."""
        self.queue.step(1)

    def back(self) -> None:
        """Go to the doubtful fiber before."""
        self.queue.step(-1)

    def undo(self) -> None:
        """Take the last change back."""
        self._apply(lambda review: review.undo())

    def redo(self) -> None:
        """Make the change that was taken back last again."""
        self._apply(lambda review: review.redo())

    def accept(self) -> None:
        """Settle the selected fibers as they are."""
        self._on_selected(lambda review, labels: review.accept(labels))

    def delete(self) -> None:
        """Remove the selected fibers."""
        self._on_selected(lambda review, labels: review.delete(labels))

    def merge(self) -> None:
        """Make one fiber of those selected."""
        self._on_selected(lambda review, labels: review.merge(labels))

    def exclude(self) -> None:
        """Leave the selected fibers out of the statistics."""
        reason = self.reason.currentText().strip()
        self._on_selected(lambda review, labels: review.exclude(labels, reason))

    def include(self) -> None:
        """Take the selected fibers into the statistics again."""
        self._on_selected(lambda review, labels: review.include(labels))

    def set_type(self, name: str) -> None:
        """Set the type of the selected fibers."""
        self._on_selected(lambda review, labels: review.set_type(labels, name))

    def set_condition(self, name: str) -> None:
        """Set the condition of the selected fibers."""
        self._on_selected(lambda review, labels: review.set_condition(labels, name))

    def split(self) -> None:
        """Take a line that parts the selected fiber, or the one that it crosses."""
        self._draw(
            "Draw a line across the fiber, from outside to outside. Escape: leave it.",
            lambda section, points: section.apply(
                lambda review: review.split(_crossed(section, points), points)
            ),
        )

    def redraw(self) -> None:
        """Take a new outline for the selected fiber."""
        section = self._section
        if section is None or len(section.selection) != 1:
            self._say("Select the one fiber that is to be drawn anew.")
            return
        label = int(section.selection[0])
        self._draw(
            f"Draw the outline of fiber {label} with one stroke. Escape: leave it.",
            lambda section, points: section.apply(lambda review: review.redraw(label, points)),
            closed=True,
        )

    def draw(self) -> None:
        """Take the outline of a fiber that is missing."""
        self._draw(
            "Draw the outline of the missing fiber with one stroke. Escape: leave it.",
            lambda section, points: section.apply(lambda review: review.draw(points)),
            closed=True,
        )

    def _draw(
        self,
        words: str,
        act: Callable[[OpenSection, NDArray[np.float64]], Any],
        *,
        closed: bool = False,
    ) -> None:
        self._stop_drawing()
        if self._section is None:
            return
        section = self._section
        self._say(words)
        self._drawing = Drawing(self._viewer, lambda points: act(section, points), closed=closed)
        self._drawing.start()

    def _stop_drawing(self) -> None:
        if self._drawing is not None:
            self._drawing.stop()
            self._drawing = None
            self._say("")

    def _on_selected(self, act: Callable[[Review, list[int]], Change | None]) -> None:
        if self._section is None:
            return
        labels = [int(label) for label in self._section.selection]
        if not labels:
            self._say(NOTHING_SELECTED)
            return
        at = self.queue.currentIndex().row()
        queued = self.queue.current_label in labels
        if self._apply(lambda review: act(review, labels)) is not None and queued:
            # what was settled has left the queue, so that the next fiber stands in its row
            self._go_on(at)

    def _go_on(self, row: int) -> None:
        if self.queue.rows.rowCount():
            self.queue.go_to_row(min(row, self.queue.rows.rowCount() - 1))

    def _apply(self, act: Callable[[Review], Change | None]) -> Change | None:
        self._stop_drawing()
        return None if self._section is None else self._section.apply(act)


def _in_words(entry: Any) -> str:
    """An entry of the history, as a line, in the time of this computer."""
    try:
        when = f"{datetime.fromisoformat(entry['utc']).astimezone():%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        # as a log that was changed by hand has it
        when = entry["utc"]
    taken_back = " (taken back)" if entry["undone"] else ""
    return f"{when}  {entry['text']}{taken_back}, {entry['user']}"


def _selection_in_words(review: Review, labels: NDArray[np.int64]) -> str:
    if not len(labels):
        return NOTHING_SELECTED
    if len(labels) > 1:
        return f"{len(labels):,} fibers are selected."
    row = review.table[review.table["label"] == labels[0]].iloc[0]
    parts = [f"Fiber {int(labels[0])}", f"min Feret {row['min_feret_um']:.1f} µm"]
    if row.get("type"):
        parts.append(f"type {row['type']}")
    if row.get("condition"):
        parts.append(str(row["condition"]))
    if row["excluded"]:
        parts.append(f"left out: {row['excluded']}")
    return ", ".join(parts)


def _crossed(section: OpenSection, points: NDArray[np.float64]) -> int:
    """The fiber that a line is meant for: the selected one, or that under most of its points."""
    if len(section.selection) == 1:
        return int(section.selection[0])
    steps = np.linspace(0, len(points) - 1, CROSSED_POINTS)
    at = np.stack([np.interp(steps, np.arange(len(points)), points[:, k]) for k in (0, 1)], axis=1)
    under = [section.label_at((y, x)) for y, x in at]
    found, counts = np.unique([label for label in under if label], return_counts=True)
    return int(found[counts.argmax()]) if len(found) else 0
