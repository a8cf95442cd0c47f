"""Analyzing a slide: what it is, which part of it, and how far the work is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTemporaryDir
from qtpy.QtWidgets import QFileDialog

from biopsy_ai.errors import BiopsyError, ConfigError
from napari_plugin.analysis_choices import (
    Choices,
    chosen_channels,
    parse_pixel_size,
    show_pixel_size,
)
from napari_plugin.analysis_form import AnalysisForm
from napari_plugin.drawn_regions import (
    drawn_region,
    rescale,
    shapes_layers,
    start_drawing,
    write_region,
)
from napari_plugin.following import Following
from napari_plugin.results_place import Place, free_folder, usual_folder
from napari_plugin.section import open_results, sections_of
from napari_plugin.settings import read_settings
from napari_plugin.slides_shown import ShownSlide, guess_roles, sample_stain, slides_shown

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtGui import QShowEvent

NO_SLIDE = (
    "Open a slide first: drag its file into this window, or choose File > Open Sample > biopsy-ai."
)
TIP = Qt.ItemDataRole.ToolTipRole
NO_PIXEL_SIZE = "State the pixel size: the file does not."


class AnalyzeWidget(AnalysisForm):
    """Analyzes one of the slides that are shown, in a process beside the window."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._sections = sections_of(napari_viewer)
        self._slides: list[ShownSlide] = []
        self._folder_is_usual = True
        self._told: dict[str, Any] = {}
        self._analyzed: tuple[ShownSlide, Choices] | None = None
        # the region of the job that runs
        self._scratch = QTemporaryDir()
        layers = napari_viewer.layers
        self._following = Following(self)
        self._following.follow(
            (layers.events.inserted, self._on_layers),
            (layers.events.removed, self._on_layers),
            (layers.selection.events.active, self._on_active),
            (self._sections.opened, self._on_sections),
        )
        self.section.currentIndexChanged.connect(lambda *_: self._on_section())
        self.stain.currentIndexChanged.connect(lambda *_: self._show_channels())
        self.channels.changed.connect(self._check)
        self.pixel_size.textChanged.connect(lambda *_: self._check())
        self.folder.textEdited.connect(lambda *_: self._on_folder())
        self.choose_folder.clicked.connect(lambda *_: self._choose_folder())
        self.draw.clicked.connect(lambda *_: self.draw_region())
        self.run_button.clicked.connect(lambda *_: self.run())
        self.cancel_button.clicked.connect(lambda *_: self.cancel())
        self._on_layers()

    @property
    def slide(self) -> ShownSlide | None:
        """The one that is chosen."""
        index = self.section.currentIndex()
        return self._slides[index] if 0 <= index < len(self._slides) else None

    # what there is to choose

    def _on_layers(self, *_: Any) -> None:
        before = self.slide
        self._slides = slides_shown(self._viewer)
        paths = [slide.path for slide in self._slides]
        at = paths.index(before.path) if before is not None and before.path in paths else None
        new = [k for k, path in enumerate(paths) if before is None or path != before.path]
        self.section.blockSignals(True)
        self.section.clear()
        for slide in self._slides:
            self.section.addItem(slide.name)
            self.section.setItemData(self.section.count() - 1, str(slide.path), TIP)
        if at is None and new:
            at = new[-1]
        self.section.setCurrentIndex(-1 if at is None else at)
        self.section.blockSignals(False)
        self._show_regions()
        after = self.slide
        if before is None or after is None or before.path != after.path:
            self._on_section()
        else:
            self._show_channels()

    def _on_active(self, *_: Any) -> None:
        """Choose the slide whose layer was selected."""
        active = self._viewer.layers.selection.active
        for index, slide in enumerate(self._slides):
            if any(layer is active for layer in slide.layers):
                self.section.setCurrentIndex(index)

    def _on_section(self) -> None:
        slide = self.slide
        self.problem.say("")
        self.done.say("")
        if slide is not None:
            self.choose_stain(sample_stain(slide.path) or "auto")
            self.pixel_size.setText(show_pixel_size(slide.mpp))
        if slide is not None and self._folder_is_usual:
            named = read_settings().results_folder
            self.folder.setText(str(usual_folder(slide.path, named)))
        self._show_channels()
        self._show_place()

    def _on_sections(self, *_: Any) -> None:
        self._show_place()

    def _show_channels(self) -> None:
        slide = self.slide
        shown = slide is not None and self._has_channels(slide)
        if slide is not None:
            self.channels.show_channels(slide.channels, guess_roles(slide.channels))
        self.show_channel_rows(shown)
        self._check()

    def _has_channels(self, slide: ShownSlide) -> bool:
        """Whether there is something to say about its channels."""
        if slide.is_rgb:
            return self.chosen_stain == "if"
        return len(slide.channels) > 1

    def _show_regions(self) -> None:
        self.show_regions([layer.name for layer in shapes_layers(self._viewer)])

    def draw_region(self) -> None:
        """Let the mouse draw a region."""
        layer = start_drawing(self._viewer, self.slide)
        self._show_regions()
        self.region.setCurrentIndex(self.region.findData(layer.name))

    def _choose_folder(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder for results", self.folder.text())
        if chosen:
            self.folder.setText(chosen)
            self._on_folder()

    def _on_folder(self) -> None:
        self._folder_is_usual = not self.folder.text().strip()
        self._show_place()

    def _show_place(self) -> None:
        slide = self.slide
        place = None if slide is None else self._place(slide)
        self.place.say("" if place is None else place.note)
        self._check()

    def _place(self, slide: ShownSlide) -> Place | None:
        from biopsy_ai.slides.formats import slide_name

        wanted = self.folder.text().strip()
        if not wanted:
            return None
        in_use = [Path(section.review.folder) for section in self._sections.all]
        return free_folder(Path(wanted).expanduser().absolute(), slide_name(slide.path), in_use)

    def showEvent(self, event: QShowEvent) -> None:
        """Take over what was set meanwhile, such as a new model."""
        super().showEvent(event)
        self.show_models(read_settings().model)

    # running

    def _check(self) -> None:
        """Say why the analysis cannot be started yet, if it cannot."""
        why = ""
        try:
            self._choices()
        except ConfigError as error:
            why = str(error)
        self.reason.setText(why)
        self.reason.setVisible(bool(why) and self.job is None)
        self.run_button.setEnabled(not why and self.job is None)

    def _choices(self) -> Choices:
        """What is chosen but for the region.

        Raises
        ------
        ConfigError
            If something is missing or cannot be.
        """
        slide = self.slide
        if slide is None:
            raise ConfigError(NO_SLIDE)
        text = self.pixel_size.text().strip()
        if not text:
            raise ConfigError(NO_PIXEL_SIZE)
        mpp = None
        if slide.mpp_is_given or text != show_pixel_size(slide.mpp):
            mpp = parse_pixel_size(text)
        channels: dict[str, int] = {}
        if self._has_channels(slide):
            channels = chosen_channels(self.channels.roles, needed=True)
        place = self._place(slide)
        if place is None:
            raise ConfigError("Choose a folder for the results.")
        return Choices(
            slide.path,
            place.folder,
            stain=self.chosen_stain,
            mpp=mpp,
            channels=channels,
            **self.chosen_facts(),
        )

    def run(self) -> None:
        """Start the analysis."""
        slide = self.slide
        if self.job is not None or slide is None:
            return
        self.problem.say("")
        self.done.say("")
        try:
            choices = self._choices()
            choices = self._with_region(choices, slide)
        except ConfigError as error:
            self.problem.say(str(error))
            return
        self._analyzed, self._told = (slide, choices), {}
        job = self.prepare_job(choices.arguments())
        self._check()
        job.start()

    def _with_region(self, choices: Choices, slide: ShownSlide) -> Choices:
        name = self.chosen_region
        if not name:
            return choices
        layer = next((each for each in shapes_layers(self._viewer) if each.name == name), None)
        if layer is None:
            raise ConfigError(f'The layer "{name}" is gone. Draw the region again.')
        path = Path(self._scratch.path()) / "region.geojson"
        write_region(path, drawn_region(layer), slide)
        return replace(choices, region=path)

    def _on_event(self, event: dict[str, Any]) -> None:
        if event["event"] == "slide":
            self._told = event

    def _on_finished(self) -> None:
        job, self.job = self.job, None
        self.show_idle()
        if job is not None:
            if job.succeeded:
                self._open()
            elif job.was_cancelled:
                self.done.say("Stopped. Nothing half-written is left.")
            job.deleteLater()
        self._show_place()

    def _open(self) -> None:
        """Show the results, over the layers of the slide that are there already."""
        told = self._told
        if self._analyzed is None or not told.get("folder"):
            self.problem.say(str(told.get("reason") or "The analysis gave no results."))
            return
        slide, choices = self._analyzed
        folder = Path(told["folder"])
        if choices.mpp is not None:
            self._place_in_um(slide, choices.mpp)
        try:
            section = open_results(self._viewer, folder, slide=slide.path)
        except BiopsyError as error:
            self.problem.say(f"The results stand in {folder}, but cannot be shown. {error}")
            return
        lines = [f"{len(section.review.table):,} fibers. The results stand in {folder}."]
        if told.get("reason"):
            lines.append(f"Nothing was done again: {told['reason']}.")
        lines += [str(warning) for warning in told.get("warnings") or ()]
        self.done.say("\n".join(lines))

    def _place_in_um(self, slide: ShownSlide, mpp: tuple[float, float]) -> None:
        """Show a slide, and what is drawn on it, with pixels of the size that a person stated."""
        factor = slide.place_in_um(mpp)
        name = self.chosen_region
        for layer in shapes_layers(self._viewer):
            if layer.name == name:
                rescale(layer, factor)
