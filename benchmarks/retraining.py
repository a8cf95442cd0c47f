"""How much a model gains by a few corrected fields of a look that it has never seen.

``python benchmarks/retraining.py`` prints Markdown. Synthetic sections in H&E are given looks that
no training knew (``benchmarks/looks.py``). A model is retrained on 1, 2, 4 and 8 fields as
``biopsy-ai train`` does, and judged on other sections in that look; the figure in domain is that of
the old model on these sections as they were. Then come labels that were spoiled, and, with
``--data FOLDER`` (see ``benchmarks/datasets.py``), real pictures that the shipped model was not
trained on: H&E in these looks, one learned from and another judged on, and fluorescence, of which
one half is learned from and the other judged on.
"""

from __future__ import annotations

import argparse
import math
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import yaml
from datasets import Section, labeled_sections
from looks import LOOKS
from numpy.typing import NDArray
from tables import markdown, number

from biopsy_ai.errors import TrainingDataError
from biopsy_ai.segmentation import load_model
from biopsy_ai.segmentation.device import choose_device
from biopsy_ai.synthesis import SectionParams, preset, random_imaging, synthesize_section
from biopsy_ai.training.checking import check_dataset
from biopsy_ai.training.held_out import count_slides, judged_items
from biopsy_ai.training.judging import Counts
from biopsy_ai.training.retraining import Retrained, retrain
from biopsy_ai.training.settings import FINE_TUNING

FIELD_UM = 768.0
MPP = 0.5

LEARNED = (
    "normal",
    "dystrophy",
    "chronic_reinnervation",
    "type2_atrophy",
    "acute_denervation",
    "inflammatory",
    "motor_neuron_loss",
    "dermatomyositis",
)
"""Presets of the fields that are learned from, in this order."""

JUDGED = (
    "chronic_reinnervation",
    "dystrophy",
    "acute_denervation",
    "inflammatory",
    "type2_atrophy",
    "dermatomyositis",
)
"""Presets of the sections that models are judged on."""

LEARNED_SEED, JUDGED_SEED = 710_000, 720_000
"""First seeds, far above those of training."""

HEADER = (
    "look",
    "fields",
    "fibers",
    "old F1",
    "new F1 (95 %)",
    "in domain",
    "of the gap",
    "half of the gap",
    "samples old / new",
    "ready",
    "minutes",
)


@dataclass(frozen=True)
class Field:
    """A synthetic section as it was and its fibers."""

    name: str
    picture: NDArray[np.uint8]
    labels: NDArray[np.int32]


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--looks", default=",".join(LOOKS), help="comma-separated")
    parser.add_argument("--fields", default="1,2,4,8", help="numbers of fields, comma-separated")
    parser.add_argument("--first", default="0", help="first field of each, comma-separated")
    parser.add_argument("--steps", type=int, default=FINE_TUNING.steps)
    parser.add_argument("--data", type=Path, help="folder of real images with manifest.csv")
    parser.add_argument("--no-spoiled", action="store_true", help="leave spoiled labels out")
    parser.add_argument("--work", type=Path, help="keep everything here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        config = {"config": replace(FINE_TUNING, steps=options.steps)}
        looks = options.looks.split(",")
        counts = [int(n) for n in options.fields.split(",")] if options.fields else []
        first = [int(n) for n in options.first.split(",")]
        if counts:
            print("## Fields of a look that was withheld\n")
            _print(HEADER, _learning(looks, counts, first, work, config))
        if not options.no_spoiled:
            print("\n## Spoiled labels\n")
            _print(("labels", "what comes of it"), _spoiled(looks[0], work, config))
        if options.data is not None:
            print("\n## Real pictures: one learned from, another judged on\n")
            _print(HEADER, _real(options.data, looks, work, config))


def _print(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table as its rows come, each of which takes minutes."""
    print(markdown(header, []), flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def draw(presets: Sequence[str], seed: int) -> Iterator[Field]:
    """Draw sections in H&E."""
    for k, name in enumerate(presets):
        imaging = random_imaging(np.random.default_rng(seed + k), "he", severity=0.4)
        params = SectionParams(preset(name), imaging, "he", (FIELD_UM, FIELD_UM), MPP)
        section = synthesize_section(params, seed + k)
        yield Field(f"{k}_{name}", section.image, section.labels)


def write(
    folder: Path, prefix: str, fields: Sequence[Field], look: str = "", mpp: float = MPP
) -> list[str]:
    """Write fields as pictures with labels; give their names."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for k, field in enumerate(fields):
        picture = field.picture
        if look:
            picture = LOOKS[look](picture, np.random.default_rng([len(prefix), k]))
        name = f"{prefix}_{field.name}"
        _write_pair(folder / f"{name}.tif", picture, field.labels, mpp)
        names.append(name)
    return names


def _write_pair(path: Path, picture: NDArray[Any], labels: NDArray[Any], mpp: float) -> None:
    tifffile.imwrite(
        path,
        picture,
        photometric="rgb",
        compression="zlib",
        resolution=(1e4 / mpp, 1e4 / mpp),
        resolutionunit="CENTIMETER",
    )
    labels = labels.astype(np.uint16)
    tifffile.imwrite(path.with_name(f"{path.stem}_fibers.tif"), labels, compression="zlib")


def _learning(
    looks: Sequence[str],
    counts: Sequence[int],
    firsts: Sequence[int],
    work: Path,
    options: dict[str, Any],
) -> Iterator[list[str]]:
    learned = list(draw(LEARNED, LEARNED_SEED))
    judged = list(draw(JUDGED, JUDGED_SEED))
    names = write(work / "plain", "judged", judged)
    in_domain = _f1_of_base(work / "plain")
    for look in looks:
        for n in counts:
            for first in firsts:
                chosen = [learned[(first + k) % len(learned)] for k in range(n)]
                folder = work / f"{look}_{n}_{first}"
                write(folder, "learned", chosen, look)
                write(folder, "judged", judged, look)
                yield _timed(look, chosen, folder, names, in_domain, options)


def _timed(
    look: str,
    learned: Sequence[Field],
    folder: Path,
    held_out: Sequence[str],
    in_domain: float,
    options: dict[str, Any],
) -> list[str]:
    """Retrain on a folder; a row of the table."""
    began = time.monotonic()
    made = retrain(folder, folder.with_suffix(".model"), held_out=held_out, **options)
    minutes = (time.monotonic() - began) / 60
    n_fibers = sum(len(np.unique(f.labels)) - 1 for f in learned)
    return _row(look, len(learned), n_fibers, made, in_domain, minutes)


def _row(
    look: str, n: int, n_fibers: int, made: Retrained, in_domain: float, minutes: float
) -> list[str]:
    found, samples = made.held_out, made.samples
    assert found is not None
    assert samples is not None
    gap = in_domain - found.old.value
    share = found.gain.value / gap
    return [
        look,
        str(n),
        str(n_fibers),
        number(found.old.value),
        str(found.new),
        number(in_domain),
        number(100 * share, ".0f") + " %",
        "–" if math.isnan(share) else "met" if share >= 0.5 else "not met",
        f"{samples.old.value:.3f} / {samples.new.value:.3f}",
        "yes" if made.verdict.ready else "no",
        f"{minutes:.1f}",
    ]


def _f1_of_base(folder: Path) -> float:
    """F1 of the shipped model on all pictures of a folder."""
    checked = check_dataset(folder, folder / "work")
    checked.refuse_problems()
    slides = judged_items(checked.items, checked.groups)
    counts = count_slides(load_model("muscle"), slides, choose_device())
    pooled = Counts(*(sum(getattr(c, key) for c in counts) for key in ("found", "extra", "missed")))
    return pooled.f1


def _spoiled(look: str, work: Path, options: dict[str, Any]) -> Iterator[list[str]]:
    """Labels with typical mistakes, in the look."""
    fields = list(draw(LEARNED[:4], LEARNED_SEED))
    rng = np.random.default_rng(0)
    spoilers = {
        "moved by 2 µm": lambda x: _moved(x, 4, 0),
        "moved by 5 µm": lambda x: _moved(x, 7, 7),
        "moved by 12 µm": lambda x: _moved(x, 24, 3),
        "mirrored": lambda x: x[:, ::-1],
        "each moved by 6 µm its own way": lambda x: _jittered(x, 12, rng),
        "neighbors joined": _joined,
    }
    for words, spoil in spoilers.items():
        folder = work / f"spoiled_{words.replace(' ', '_')}"
        bad = [Field(f.name, f.picture, spoil(f.labels)) for f in fields]
        write(folder, "field", bad, look)
        try:
            made = retrain(folder, folder.with_suffix(".model"), **options)
        except TrainingDataError as error:
            yield [words, f"refused: {str(error).splitlines()[1].partition(': ')[2]}"]
            continue
        yield [words, f"{'ready' if made.verdict.ready else 'not ready'}: {made.verdict.text}"]


def _moved(labels: NDArray[np.int32], rows: int, columns: int) -> NDArray[np.int32]:
    moved = np.zeros_like(labels)
    height, width = labels.shape
    moved[rows:, columns:] = labels[: height - rows, : width - columns]
    return moved


def _jittered(
    labels: NDArray[np.int32], distance_px: float, rng: np.random.Generator
) -> NDArray[np.int32]:
    moved = np.zeros_like(labels)
    for label in np.unique(labels[labels > 0]):
        angle = rng.uniform(0, 2 * np.pi)
        step = np.rint(distance_px * np.array([[np.sin(angle)], [np.cos(angle)]])).astype(int)
        rows, columns = np.array(np.nonzero(labels == label)) + step
        inside = (rows >= 0) & (columns >= 0) & (rows < moved.shape[0]) & (columns < moved.shape[1])
        moved[rows[inside], columns[inside]] = label
    return moved


def _joined(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Every second fiber takes the number of the one before; gaps between them are filled."""
    from scipy import ndimage

    joined = np.where(labels > 0, (labels + 1) // 2, 0)
    return ndimage.grey_closing(joined, size=(9, 9)).astype(np.int32)


def _real(
    data: Path, looks: Sequence[str], work: Path, options: dict[str, Any]
) -> Iterator[list[str]]:
    """Pictures in H&E that the shipped model was not trained on, in the looks; then halves."""
    sections = [s for s in labeled_sections(data) if s.use != "train"]
    bright = [s for s in sections if s.border_channel is None]
    plain = [Field(s.path.stem, s.image(), s.truth()) for s in bright]
    mpp = bright[0].mpp
    judged = write(work / "real_plain", "judged", plain[1:], mpp=mpp)
    in_domain = _f1_of_base(work / "real_plain")
    for look in looks:
        folder = work / f"real_{look}"
        write(folder, "learned", plain[:1], look, mpp=mpp)
        write(folder, "judged", plain[1:], look, mpp=mpp)
        yield _timed(f"real H&E, {look}", plain[:1], folder, judged, in_domain, options)
    for section in sections:
        if section.border_channel is not None:
            folder, right = _halves(section, work)
            yield _timed(f"{section.name}, halves", [], folder, [right], float("nan"), options)


def _halves(section: Section, work: Path) -> tuple[Path, str]:
    """Write the halves of a fluorescence picture; give the name of the right one."""
    pixels, labels = section.image(), section.truth()
    half = labels.shape[1] // 2
    folder = work / f"real_{section.path.stem}"
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for part, columns in (("left", slice(0, half)), ("right", slice(half, None))):
        path = folder / f"{section.path.stem}_{part}.tif"
        tifffile.imwrite(path, np.moveaxis(pixels[:, columns], 2, 0), photometric="minisblack")
        truth = path.with_name(f"{path.stem}_fibers.tif")
        tifffile.imwrite(truth, labels[:, columns].astype(np.uint16))
        entry = {"image": path.name, "labels": truth.name, "mpp": section.mpp, "slide": path.stem}
        entry |= {"license": "see manifest.csv", "channel": section.border_channel}
        entries.append(entry | {"shrink_um": section.shrink_um})
    (folder / "training.yaml").write_text(yaml.safe_dump(entries))
    return folder, str(entries[-1]["slide"])


if __name__ == "__main__":
    main()
