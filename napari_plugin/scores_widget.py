"""The two scores of the section in front, what speaks for and against, and the findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtGui import QFont
from qtpy.QtWidgets import (
    QHeaderView,
    QLabel,
    QSizePolicy,
    QTabWidget,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from biopsy_ai.report.document import Bar, Bullets, Table, Text, Tone
from biopsy_ai.report.finding_parts import NOT_ASSESSABLE, findings_part
from biopsy_ai.report.score_parts import evidence_part, interval_name, verdict_part
from napari_plugin.following import Following
from napari_plugin.form_parts import words
from napari_plugin.score_bar import ScoreBar
from napari_plugin.section import OpenSection, sections_of

if TYPE_CHECKING:
    from napari.viewer import Viewer

NO_SECTION = (
    "No section is open. Analyze a slide in the tab Analyze, or open a results folder "
    "(drag it into the window)."
)
WHAT_A_CLICK_DOES = "Click a line to see its fibers."
LISTS_PX = 130
"""Least height of the lists."""
N_BARS = 3
"""Denervation, myopathy, and one against the other."""

_NAME = Qt.ItemDataRole.UserRole


class ScoresWidget(QWidget):
    """Verdict, scores, evidence and findings; a click on a line shows the fibers behind it."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._sections = sections_of(napari_viewer)
        self._section: OpenSection | None = None
        self.verdict = words(selectable=True)
        _enlarge(self.verdict)
        self.state = words(selectable=True)
        self.reasons = words(selectable=True)
        self.bars = [ScoreBar() for _ in range(N_BARS)]
        self.notes = words(selectable=True)
        self.evidence = _tree("Finding", "Denerv.", "Myop.")
        self.findings = _tree("Finding", "Grade", "Value")
        self.detail = words(WHAT_A_CLICK_DOES, selectable=True)
        self.lists = QTabWidget()
        # the lists take what the words above and below leave, and scroll on their own
        policy = QSizePolicy.Policy
        self.lists.setSizePolicy(policy.Expanding, policy.Ignored)
        self.lists.setMinimumHeight(LISTS_PX)
        self.lists.addTab(self.evidence, "E&vidence")
        self.lists.addTab(self.findings, "F&indings")
        layout = QVBoxLayout(self)
        for part in (self.verdict, self.state, self.reasons, *self.bars, self.notes):
            layout.addWidget(part)
        layout.addWidget(self.lists, stretch=1)
        layout.addWidget(self.detail)
        for tree in (self.evidence, self.findings):
            tree.currentItemChanged.connect(self._on_line)
            tree.itemClicked.connect(self._on_line)
        self._following = Following(self)
        self._following.follow((self._sections.active_changed, self._on_active))
        self._on_active()

    def _on_active(self, *_: Any) -> None:
        if self._section is not None:
            self._following.leave(*self._slots(self._section))
        self._section = self._sections.active
        if self._section is not None:
            self._following.follow(*self._slots(self._section))
        self.refresh()

    def _slots(self, section: OpenSection) -> tuple[tuple[Any, Callable[..., None]], ...]:
        return (
            (section.scores_changed, self.refresh),
            (section.fibers_changed, self._on_edit),
        )

    def _on_edit(self, *_: Any) -> None:
        self.state.setText("The fibers have changed; the scores are being made again …")
        self.state.show()

    def refresh(self, *_: Any) -> None:
        """Show what the summary of the section says now."""
        summary = {} if self._section is None else self._section.review.summary
        score, findings = summary.get("score"), summary.get("findings") or []
        part = verdict_part(score)
        lead, *others = (block for block in part.blocks if isinstance(block, Text))
        self.verdict.setText(lead.text if summary else NO_SECTION)
        _show(self.reasons, " ".join(text.text for text in others) if summary else "")
        bars: list[Bar | None] = [block for block in part.blocks if isinstance(block, Bar)]
        for widget, bar in zip(self.bars, [*bars, *[None] * N_BARS], strict=False):
            widget.show_bar(bar)
        notes = [note for each in part.parts for block in each.blocks for note in _entries(block)]
        _show(self.notes, "\n".join(f"• {note}" for note in notes))
        _show(self.state, self._edits())
        self._fill_evidence(score, {f["name"]: str(f.get("sentence") or "") for f in findings})
        self._fill_findings(findings, interval_name(score))
        self.lists.setVisible(bool(summary))
        self.detail.setText(WHAT_A_CLICK_DOES if summary else "")

    def _edits(self) -> str:
        if self._section is None:
            return ""
        if self._section.is_rescoring:
            return "The fibers have changed; the scores are being made again …"
        if not self._section.review.summary_is_current:
            return "The fibers have changed since the scores were made."
        n = int((~self._section.review.history()["undone"]).sum())
        return f"With {n} {'change' if n == 1 else 'changes'} of the review." if n else ""

    def _fill_evidence(self, score: dict[str, Any] | None, sentences: dict[str, str]) -> None:
        self.evidence.clear()
        part = evidence_part(score)
        if part is None or score is None:
            return
        table = next(block for block in part.blocks if isinstance(block, Table))
        rows = score["evidence"]
        counted = [str(row["finding"]) for row in rows if row.get("counted")]
        muted = [str(row["finding"]) for row in rows if not row.get("counted")]
        sums = len(table.rows) - len(rows) - 1
        names = ["", *counted, *[""] * sums, *muted]
        for row, name in zip(table.rows, names, strict=True):
            tip = _joined(sentences.get(name, ""), row.cells[3].text)
            texts = [cell.text for cell in row.cells[:3]]
            _add(self.evidence, texts, name, tone=row.tone, tip=tip)

    def _fill_findings(self, findings: Sequence[dict[str, Any]], level: str) -> None:
        self.findings.clear()
        if not findings:
            return
        graded = [f["name"] for f in findings if f.get("grade") != NOT_ASSESSABLE]
        ungraded = [f["name"] for f in findings if f.get("grade") == NOT_ASSESSABLE]
        tables = [b for b in findings_part(findings, level).blocks if isinstance(b, Table)]
        rows = [row for table in tables for row in table.rows]
        for row, name in zip(rows, [*graded, *ungraded], strict=True):
            if name in ungraded:
                texts, tip = [row.cells[0].text, "not assessable"], row.cells[1].text
                _add(self.findings, texts, name, tone="muted", tip=tip)
            else:
                usual = row.cells[4]
                unit = row.cells[2].detail
                tip = _joined(
                    row.cells[0].detail,
                    f"{row.cells[2].text} {unit}.",
                    f"Usual: {usual.text}, {usual.detail}." if usual.detail else "",
                )
                texts = [cell.text for cell in row.cells[:3]]
                _add(self.findings, texts, name, tone=row.tone, tip=tip)

    def _on_line(self, item: QTreeWidgetItem | None, *_: Any) -> None:
        if item is None or self._section is None:
            return
        name = item.data(0, _NAME)
        found = {str(f["name"]): f for f in self._section.review.summary.get("findings") or []}
        finding = found.get(name)
        if finding is None:
            self.detail.setText(item.toolTip(0) or WHAT_A_CLICK_DOES)
            return
        labels = np.intersect1d(finding.get("labels") or [], self._section.review.ids)
        told = [item.toolTip(0)]
        if len(labels):
            self._section.select(labels, go_there=True)
            told.append(f"{len(labels)} {'fiber is' if len(labels) == 1 else 'fibers are'} lit.")
        else:
            self._section.select(labels)
            told.append("No single fiber stands behind it.")
        self.detail.setText(_joined(*told))


def _enlarge(label: QLabel) -> None:
    font = QFont(label.font())
    font.setBold(True)
    font.setPointSizeF(font.pointSizeF() * 1.3)
    label.setFont(font)


def _show(label: QLabel, text: str) -> None:
    label.setText(text)
    label.setVisible(bool(text))


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def _entries(block: object) -> tuple[str, ...]:
    return block.entries if isinstance(block, Bullets) else ()


def _tree(*titles: str) -> QTreeWidget:
    tree = QTreeWidget()
    tree.setHeaderLabels(list(titles))
    tree.setRootIsDecorated(False)
    tree.setUniformRowHeights(True)
    header = tree.header()
    header.setStretchLastSection(False)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    for column in range(1, len(titles)):
        header.setSectionResizeMode(column, QHeaderView.ResizeMode.ResizeToContents)
    return tree


def _add(tree: QTreeWidget, texts: Sequence[str], name: str, *, tone: Tone, tip: str) -> None:
    """Add a line; `name` is that of its finding, empty where it has none."""
    item = QTreeWidgetItem(list(texts))
    item.setData(0, _NAME, name)
    font = QFont(tree.font())
    font.setBold(tone == "strong")
    for column in range(tree.columnCount()):
        item.setToolTip(column, tip)
        item.setFont(column, font)
        if tone == "muted":
            item.setForeground(column, tree.palette().placeholderText())
        if column:
            item.setTextAlignment(column, Qt.AlignmentFlag.AlignRight)
    tree.addTopLevelItem(item)
