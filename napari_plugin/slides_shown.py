"""The slides that a viewer shows, each with its layers."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biopsy_ai.config import MPP_GIVEN
from napari_plugin.layers import METADATA_KEY, facts_of, in_um

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image

ROLES = {
    "border": ("laminin", "dystrophin", "wga", "caveolin", "collagen", "membrane", "border"),
    "nuclei": ("dapi", "hoechst", "nuclei"),
    "I": ("mhc1", "mhc i", "mhc-i", "myh7", "ba-d5", "type i", "slow"),
    "IIA": ("mhc2a", "mhc iia", "mhc-iia", "myh2", "sc-71", "type iia"),
    "IIX": ("mhc2x", "mhc iix", "mhc-iix", "myh1", "6h1", "type iix"),
}
"""What a channel may show, and words in the names of such channels."""


@dataclass(frozen=True, eq=False)
class ShownSlide:
    """A slide in a viewer.

    Attributes
    ----------
    path
        Its file.
    mpp
        µm per pixel (y, x) as shown; None where it is not known.
    mpp_is_given
        Whether a person said so, and not the file.
    channels
        Names of its channels, in order.
    is_rgb
        Whether it is one color picture.
    layers
        That show it, as many as it has channels.
    """

    path: Path
    mpp: tuple[float, float] | None
    mpp_is_given: bool
    channels: tuple[str, ...]
    is_rgb: bool
    layers: tuple[Image, ...]

    @property
    def name(self) -> str:
        return self.path.name

    def to_pixels(self, place: Any) -> tuple[float, float]:
        """Place (y, x) of the viewer in pixels of the slide, from the corner of its first pixel."""
        y, x = self.layers[0].world_to_data(place)[-2:]
        return float(y) + 0.5, float(x) + 0.5

    def place_in_um(self, mpp: tuple[float, float]) -> tuple[float, float]:
        """Show it with pixels of this size; gives how much larger (y, x) it is shown now."""
        before = self.layers[0].scale[-2:]
        for layer in self.layers:
            place = in_um(mpp)
            layer.scale, layer.translate = place["scale"], place["translate"]
            layer.units = place["units"]
            known = {"mpp": mpp, "mpp_source": MPP_GIVEN, "why_no_mpp": ""}
            layer.metadata[METADATA_KEY] = {**facts_of(layer), **known}
        return mpp[0] / float(before[0]), mpp[1] / float(before[1])


def slides_shown(viewer: ViewerModel) -> list[ShownSlide]:
    """All slides that a viewer shows, in the order of its layers."""
    by_path: dict[str, list[Image]] = {}
    for layer in viewer.layers:
        facts = facts_of(layer)
        if "path" in facts and "mpp_source" in facts:
            by_path.setdefault(str(facts["path"]), []).append(layer)
    return [_shown(Path(path), layers) for path, layers in by_path.items()]


def guess_roles(channels: tuple[str, ...]) -> dict[str, int]:
    """What the names of channels say that they show; what two of them claim is left open."""
    roles: dict[str, int] = {}
    for role, words in ROLES.items():
        found = [
            number
            for number, name in enumerate(channels)
            if name == role or any(_is_named(name.lower(), word) for word in words)
        ]
        if len(found) == 1 and found[0] not in roles.values():
            roles[role] = found[0]
    return roles


def sample_stain(path: Path) -> str | None:
    """Stain of a bundled sample slide; None for every other file."""
    from biopsy_ai.resources import bundled_folder

    folder = bundled_folder("sample_slides")
    if folder is None or path.resolve().parent != folder.resolve():
        return None
    with open(folder / "sections.csv", encoding="utf-8", newline="") as file:
        stains = {row["path"]: row["stain"] for row in csv.DictReader(file)}
    return stains.get(path.name)


def is_sample(path: Path) -> bool:
    """Whether a file is one of the bundled sample slides."""
    return sample_stain(path) is not None


def _shown(path: Path, layers: list[Image]) -> ShownSlide:
    facts = facts_of(layers[0])
    known = path, facts["mpp"], facts["mpp_source"] == MPP_GIVEN
    if "channel" not in facts:
        return ShownSlide(*known, ("red", "green", "blue"), True, tuple(layers))
    ordered = sorted(layers, key=lambda layer: int(facts_of(layer)["channel"]))
    highest = int(facts_of(ordered[-1])["channel"])
    # a channel whose layer was removed keeps its number
    names = [f"channel {number}" for number in range(highest + 1)]
    for layer in ordered:
        names[int(facts_of(layer)["channel"])] = str(facts_of(layer)["channel_name"])
    return ShownSlide(*known, tuple(names), False, tuple(ordered))


def _is_named(name: str, word: str) -> bool:
    """Whether the word stands in a name by itself: "mhc i" is not in "mhc iia"."""
    return bool(re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", name))
