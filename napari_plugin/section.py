"""A results folder open in a viewer: its review, its layers, and what is selected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

import numpy as np
from numpy.typing import NDArray
from psygnal import Signal

from biopsy_ai.errors import BiopsyError
from napari_plugin.coloring import color_by, first_coloring, known_colorings
from napari_plugin.layers import colormap_by_label
from napari_plugin.navigation import ADDING_KEYS, go_to_box, is_click
from napari_plugin.rescoring import Rescoring
from napari_plugin.section_layers import SectionLayers, fiber_features

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from biopsy_ai.review import Change, Review
    from biopsy_ai.slides import Slide

Labels = NDArray[np.int64]

NO_LABELS: Labels = np.empty(0, np.int64)


class OpenSection:
    """The results of one section, shown in a viewer and under review.

    Attributes
    ----------
    review
        Its fibers and all edits.
    layers
        "image", "fibers", "nuclei", "tissue", "fascicles", "groups", "clusters", "selection"; those
        that there is nothing for, or that the user removed, are missing.
    coloring
        What the colors of the fibers mean.
    selection
        Labels of the selected fibers, ascending.
    """

    selection_changed = Signal(object)
    """The labels that are selected now."""
    fibers_changed = Signal(object)
    """The `Change` that an edit made."""
    scores_changed = Signal()
    coloring_changed = Signal()
    message = Signal(str)
    """What went wrong, in words; empty after an edit that went well."""
    closed = Signal()

    def __init__(self, viewer: ViewerModel, review: Review, slide: Slide | None = None) -> None:
        """Add the layers of a review to a viewer; `open_results` is the way to do this."""
        self._viewer = ref(viewer)
        self.review = review
        self.selection: Labels = NO_LABELS
        self.is_open = True
        self.coloring = color_by(first_coloring(review.table), review.table)
        self._drawn = SectionLayers(review, slide)
        try:
            self._drawn.add_to(viewer)
        except BaseException:
            self._drawn.remove_from(viewer, set())
            raise
        self.layers: dict[str, Layer] = self._drawn.layers
        self._color()
        # without types, the stain itself says more than a tint
        self._drawn.outlined = self.coloring.key != "type"
        self._rescoring = Rescoring(self)

    @property
    def viewer(self) -> ViewerModel | None:
        """Where it is shown; None once that is gone."""
        return self._viewer()

    @property
    def is_rescoring(self) -> bool:
        """Whether the scores are older than the fibers."""
        return self._rescoring.is_due

    # selection

    def select(self, labels: Any, *, go_there: bool = False, add: bool = False) -> None:
        """Select fibers instead of those that were, or besides; labels of no fiber are left out."""
        wanted = np.unique(np.asarray(labels, np.int64).reshape(-1))
        if add:
            wanted = np.union1d(self.selection, wanted)
        chosen = np.intersect1d(wanted, self.review.ids)
        if go_there and len(chosen):
            self.go_to(chosen)
        if np.array_equal(chosen, self.selection):
            return
        self.selection = chosen
        self._drawn.show_selection(chosen)
        self.selection_changed.emit(chosen)

    def go_to(self, labels: Any) -> None:
        """Bring fibers into the middle of the view, zoomed so that all are seen."""
        viewer = self.viewer
        rows = np.searchsorted(self.review.ids, np.asarray(labels, np.int64).reshape(-1))
        if viewer is None or not len(rows):
            return
        boxes = np.asarray(self.review.boxes)[rows]
        around = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
        go_to_box(viewer, around * np.tile(self.review.mpp, 2))

    def label_at(self, position_um: Any) -> int:
        """Label of the fiber at a place (y, x) in µm; 0 beside all fibers."""
        labels = self.review.labels
        y, x = (
            int(np.floor(place / size))
            for place, size in zip(position_um[-2:], self.review.mpp, strict=True)
        )
        if not (0 <= y < labels.shape[0] and 0 <= x < labels.shape[1]):
            return 0
        return int(np.asarray(labels[y : y + 1, x : x + 1])[0, 0])

    # edits

    def apply(self, action: Callable[[Review], Change | None]) -> Change | None:
        """Do an edit, and show what it did.

        Parameters
        ----------
        action
            Called with the review, such as ``lambda review: review.merge(labels)``.

        Returns
        -------
        Change or None
            None where nothing was done: then `message` tells why.
        """
        try:
            change = action(self.review)
        except BiopsyError as error:
            self.tell(str(error))
            return None
        if change is None:
            return None
        self._follow(change)
        self.message.emit("")
        self.fibers_changed.emit(change)
        self.rescore()
        return change

    def tell(self, problem: str) -> None:
        """Say what went wrong where the user looks."""
        from napari.utils.notifications import show_error

        self.message.emit(problem)
        show_error(problem)

    def _follow(self, change: Change) -> None:
        before = self.selection
        chosen = np.intersect1d(before, self.review.ids)
        if change.box is not None:
            chosen = np.intersect1d(np.asarray(change.changed, np.int64), self.review.ids)
            self._drawn.update(change.box)
        self.selection = chosen
        self._recolor()
        self._drawn.show_selection(chosen)
        if not np.array_equal(chosen, before):
            self.selection_changed.emit(chosen)

    def rescore(self) -> None:
        """Have the scores made again, soon and in the background."""
        self._rescoring.put_off()

    def take_over(self, rescored: Any) -> None:
        """Show new scores and patterns."""
        self.review.take_over(rescored)
        self.show_again()

    def show_again(self) -> None:
        """Show what the table and the summary of the review say now."""
        self._drawn.show_patterns()
        self._recolor()
        self.scores_changed.emit()

    # colors

    def color_by(self, key: str) -> None:
        """Color the fibers by one of `napari_plugin.coloring.COLORINGS`."""
        self.coloring = color_by(key, self.review.table)
        self._color()
        self.coloring_changed.emit()

    @property
    def outlined(self) -> bool:
        """Whether only the outlines of the fibers have their color."""
        return self._drawn.outlined

    @outlined.setter
    def outlined(self, only: bool) -> None:
        self._drawn.outlined = only
        self.coloring_changed.emit()

    def _recolor(self) -> None:
        """Color by what the table says now."""
        table = self.review.table
        key = self.coloring.key
        self.coloring = color_by(key if key in known_colorings(table) else "outline", table)
        self._color()
        self.coloring_changed.emit()

    def _color(self) -> None:
        layer = self.layers.get("fibers")
        if layer is None:
            return
        table = self.review.table
        labels = table["label"].to_numpy(np.int64)
        layer.features = fiber_features(table)
        layer.colormap = colormap_by_label(labels, self.coloring.index, self.coloring.palette)

    # the end

    def forget(self, layer: Layer) -> bool:
        """Let go of a layer that was removed; without that of the fibers the section closes."""
        mine = [key for key, each in self.layers.items() if each is layer]
        for key in mine:
            del self.layers[key]
        if "fibers" in mine:
            viewer = self.viewer
            # napari removes what is selected one by one, and stumbles where one is gone already
            self._close(set() if viewer is None else set(viewer.layers.selection))
        return bool(mine)

    def close(self) -> None:
        """Remove the layers, and release the review for others. All edits are saved already."""
        self._close(set())

    def _close(self, leaving: set[Layer]) -> None:
        if not self.is_open:
            return
        self.is_open = False
        self._rescoring.stop()
        viewer = self.viewer
        if viewer is not None:
            self._drawn.remove_from(viewer, leaving)
        self.layers.clear()
        self.review.close()
        self._drawn.close()
        self.closed.emit()


class Sections:
    """All sections that are open in one viewer.

    Attributes
    ----------
    active
        The one whose layer was selected last.
    """

    active_changed = Signal()
    opened = Signal(object)

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = ref(viewer)
        self._all: list[OpenSection] = []
        self.active: OpenSection | None = None
        viewer.layers.selection.events.active.connect(self._on_layer)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.mouse_drag_callbacks.append(self._on_mouse)

    @property
    def all(self) -> tuple[OpenSection, ...]:
        return tuple(self._all)

    def of_folder(self, folder: str | Path) -> OpenSection | None:
        """The section of a results folder, where it is open."""
        wanted = Path(folder).resolve()
        return next((s for s in self._all if Path(s.review.folder).resolve() == wanted), None)

    def add(self, section: OpenSection) -> None:
        """Take in a section, which becomes the active one."""
        self._all.append(section)
        section.closed.connect(self._on_closed)
        self.activate(section)
        self.opened.emit(section)

    def activate(self, section: OpenSection | None) -> None:
        """Bring a section to the front."""
        if section is not self.active:
            self.active = section
            self.active_changed.emit()

    def _on_layer(self, *_: Any) -> None:
        viewer = self._viewer()
        layer = None if viewer is None else viewer.layers.selection.active
        if layer is None:
            return
        for section in self._all:
            if any(layer is each for each in section.layers.values()):
                self.activate(section)

    def _on_removed(self, event: Any) -> None:
        for section in self.all:
            section.forget(event.value)

    def _on_closed(self) -> None:
        self._all = [section for section in self._all if section.is_open]
        if self.active is not None and not self.active.is_open:
            self.activate(self._all[-1] if self._all else None)

    def _on_mouse(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        """Select the fiber that was clicked on."""
        clicked = False
        for clicked in is_click(viewer, event):
            if not clicked:
                yield
        section, layer = self.active, viewer.layers.selection.active
        if not clicked or section is None:
            return
        if layer is None or any(layer is each for each in section.layers.values()):
            add = any(key in event.modifiers for key in ADDING_KEYS)
            click(section, event.position, add=add)


def click(section: OpenSection, position_um: Any, *, add: bool = False) -> None:
    """Do what a click on a place does: select the fiber there, or add or take it."""
    label = section.label_at(position_um)
    if add and label and label in section.selection:
        section.select(np.setdiff1d(section.selection, [label]))
    elif label or not add:
        section.select([label] if label else [], add=add)


_SECTIONS: WeakKeyDictionary[Any, Sections] = WeakKeyDictionary()


def sections_of(viewer: ViewerModel) -> Sections:
    """The sections that are open in a viewer."""
    # what napari hands to widgets may be a proxy, which does not live as long
    viewer = getattr(viewer, "__wrapped__", viewer)
    if viewer not in _SECTIONS:
        _SECTIONS[viewer] = Sections(viewer)
    return _SECTIONS[viewer]


def open_results(
    viewer: ViewerModel, folder: str | Path, *, slide: str | Path | None = None
) -> OpenSection:
    """Open a results folder: its layers, and its review where that was left.

    Parameters
    ----------
    viewer
        To which the layers are added. A folder that is open in it already comes to the front.
    folder
        Of the results of one section.
    slide
        Where the slide is now, if it was moved. Without slide the fibers are shown alone.

    Raises
    ------
    BiopsyError
        If the folder holds no results, or its review is open elsewhere.
    """
    from biopsy_ai.review import Review
    from napari_plugin.settings import read_settings

    sections = sections_of(viewer)
    found = sections.of_folder(folder)
    if found is not None:
        sections.activate(found)
        viewer.layers.selection.active = found.layers.get("fibers")
        return found
    user = read_settings().user_name or None
    review = Review.open(folder, user=user, slide=slide)
    problem, image = "", None
    try:
        try:
            image = review.saved.open_slide()
        except BiopsyError as error:
            problem = f"The fibers are shown without their slide. {error}"
        section = OpenSection(viewer, review, image)
    except BaseException:
        review.close()
        if image is not None:
            image.close()
        raise
    if not review.summary_is_current:
        section.rescore()
    sections.add(section)
    if problem:
        section.tell(problem)
    return section
