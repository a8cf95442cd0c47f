"""A bank of rendered synthetic sections on disk, made once and read many times in training."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.errors import ConfigError, OutlineReadError, SlideReadError
from biopsy_ai.formats.files import replacing
from biopsy_ai.progress import Progress
from biopsy_ai.synthesis import (
    STAINS,
    SectionParams,
    SyntheticSection,
    random_artefacts,
    random_imaging,
    random_lesions,
    random_tissue,
    synthesize_section,
)
from biopsy_ai.synthesis.geometry import geometry_from_outlines
from biopsy_ai.synthesis.render import shows_nuclei
from biopsy_ai.tissue_classes import ARTEFACT
from biopsy_ai.training.fingerprint import bank_fingerprint, check_fingerprint
from biopsy_ai.training.targets import Truth, make_nucleus_targets, make_targets
from biopsy_ai.yaml_text import load_yaml

RECORD_FILE = "bank.yaml"
"""What the sections beside it are made from."""

FIELD_UM = 512.0
"""Side of a bank section, µm."""

_STAIN_WEIGHTS = {
    "he": 0.26,
    "if": 0.15,
    "gomori": 0.14,
    "atpase:4.6": 0.08,
    "atpase:4.3": 0.08,
}
"""Share of the sections by stain; the other stains share the rest equally."""

_MANY_SMALL = 0.5
"""Share of the sections with many small, mostly angular fibers: few pixels, much at stake."""

_ALL_SMALL = 0.15
"""Share of the sections whose fibers are all small, as in children and in mice."""

_TIGHT = 0.12
"""Share of the bright-field sections whose fibers touch, hardly any endomysium between them."""

_TIGHT_GOMORI = 0.5
"""The same in Gomori trichrome, where fibers have nearly the color of collagen: they are hard."""

_TIGHT_LARGE = 0.6
"""Share of these whose fibers are those of healthy adults, so wide that hardly a border is near."""

_LOOSE = 0.35
"""Share of the enzyme sections whose fibers lie apart, round and each by itself."""

_LOOSE_LARGE = 0.5
"""Share of these whose fibers are as wide as those of adults, or the pixel size given too large."""

_RELIEF = 0.6
"""Share of the enzyme sections in whose unstained tissue light is bent, as in watery mountants."""

_ENZYMES = ("atpase:9.4", "atpase:4.6", "atpase:4.3", "nadh", "sdh", "cox")

_REAL_FAT = 0.5
"""Share of the sections whose lobules are painted with real fat, where some is given."""

_REAL_OUTLINES = 0.12
"""Share of the sections laid out with real outlines, where some are given."""


@cache
def read_real_outlines(path: Path) -> tuple[list[NDArray[np.float64]], float]:
    """Outlines (row, column, pixels) of a label image, and their median diameter in pixels."""
    import cv2
    import tifffile

    labels = tifffile.imread(path)
    if labels.ndim != 2:
        raise OutlineReadError(f"{path}: expected a two-dimensional label image")
    from scipy.ndimage import find_objects

    outlines = []
    diameters = []
    for label, box in enumerate(find_objects(labels), start=1):
        if box is None:
            continue
        mask = (labels[box] == label).astype(np.uint8)
        if mask.sum() < 500:
            continue
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        ring = max(contours, key=len)[:, 0, ::-1].astype(float)
        step = max(len(ring) // 120, 1)
        outlines.append(ring[::step] + (box[0].start, box[1].start) + 0.5)
        diameters.append(2 * np.sqrt(mask.sum() / np.pi))
    if not outlines:
        raise OutlineReadError(f"{path}: no outlines of at least 500 pixels")
    return outlines, float(np.median(diameters))


@cache
def read_fat_picture(path: Path) -> NDArray[np.uint8]:
    """A picture of real fat, 8-bit RGB, taken to be at the pixel size of the bank."""
    import cv2

    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise SlideReadError(f"{path}: the picture of fat cannot be read. Check --adipose.")
    return np.ascontiguousarray(picture[..., ::-1], dtype=np.uint8)


def render_training_section(
    seed: int, outline_files: tuple[Path, ...] = (), adipose: tuple[Path, ...] = ()
) -> SyntheticSection:
    """One random section as training sees it: any preset, stain, lesion and imaging defect."""
    rng = np.random.default_rng(seed)
    rest = (1 - sum(_STAIN_WEIGHTS.values())) / (len(STAINS) - len(_STAIN_WEIGHTS))
    stain = str(rng.choice(STAINS, p=[_STAIN_WEIGHTS.get(s, rest) for s in STAINS]))
    tissue = random_tissue(rng)
    if rng.random() < _MANY_SMALL:
        tissue = replace(
            tissue,
            atrophic_share=float(rng.uniform(0.15, 0.45)),
            atrophic_type=0,
            atrophic_diameter_um=(9.0, 28.0),
            angular_share=float(rng.uniform(0.5, 1.0)),
            endomysium_um=min(tissue.endomysium_um, 3.0),
            stretch=1.0,
        )
    tissue = random_lesions(tissue, rng)
    imaging = random_imaging(rng, stain, severity=float(rng.uniform(0.2, 1.0)))
    imaging = random_artefacts(imaging, rng)
    if rng.random() < _ALL_SMALL:
        mean = float(rng.uniform(11, 26))
        tissue = replace(
            tissue,
            diameter_um=(mean, mean * float(rng.uniform(0.8, 1.5))),
            atrophic_diameter_um=(6.0, 14.0),
            endomysium_um=float(rng.uniform(0.6, 1.6)),
            perimysium_um=min(tissue.perimysium_um, 25.0),
            crack_um=min(tissue.crack_um, 0.5),
        )
    elif stain != "if" and rng.random() < (_TIGHT_GOMORI if stain == "gomori" else _TIGHT):
        tissue = replace(
            tissue,
            endomysium_um=float(rng.uniform(0.2, 1.0)),
            perimysium_um=float(rng.uniform(3, 25)),
            crack_um=0.0,
            rounding=float(rng.uniform(0, 0.2)),
            fibrosis=0.0,
        )
        if rng.random() < _TIGHT_LARGE:
            mean = float(rng.uniform(50, 100))
            tissue = replace(
                tissue,
                diameter_um=(mean, mean * float(rng.uniform(0.85, 1.15))),
                diameter_cv=float(rng.uniform(0.08, 0.25)),
                atrophic_share=0.0,
            )
    if stain in _ENZYMES and rng.random() < _LOOSE:
        tissue = replace(
            tissue,
            endomysium_um=float(rng.uniform(5, 20)),
            rounding=float(rng.uniform(0.2, 0.9)),
            fibrosis=0.0,
            # a nerve looks like a pale fiber here, and would teach that such a fiber is none
            nerves_per_mm2=0.0,
        )
        if rng.random() < _LOOSE_LARGE:
            mean = float(rng.uniform(50, 95))
            tissue = replace(tissue, diameter_um=(mean, mean * float(rng.uniform(0.8, 1.2))))
    if stain in _ENZYMES and rng.random() < _RELIEF:
        imaging = replace(imaging, relief=float(rng.uniform(0.2, 1.2)))
    if stain == "if":
        # in laminin fat cells, vessels and what is left of a fiber among infiltrates look like
        # dark fibers: more than a few of them would teach to miss those
        fatty, vascular, inflamed = rng.random(3) < 0.02
        tissue = replace(
            tissue,
            fat=tissue.fat if fatty else 0.0,
            vessels_per_mm2=tissue.vessels_per_mm2 if vascular else 0.0,
            inflammation=tissue.inflammation if inflamed else 0.0,
            lobules=tissue.lobules if fatty else 0.0,
            spindles_per_mm2=0.0,
        )
    size = (FIELD_UM, FIELD_UM)
    geometry = None
    if outline_files and rng.random() < _REAL_OUTLINES:
        chosen = outline_files[int(rng.integers(len(outline_files)))]
        outlines, diameter = read_real_outlines(chosen)
        scale = float(rng.uniform(25, 70)) / diameter
        middle = outlines[int(rng.integers(len(outlines)))].mean(0) * scale
        corner = middle - FIELD_UM / 2
        moved = [o * scale - corner for o in outlines]
        near = [o for o in moved if (o.max(0) > 0).all() and (o.min(0) < FIELD_UM).all()]
        geometry = geometry_from_outlines(near, tissue, size, rng)
        tissue = replace(tissue, fat=0.0, glass=0.0, lobules=0.0, fibrosis=0.0)
    params = SectionParams(tissue, imaging, stain, size, OUTLINE_MPP)
    picture = None
    if adipose and rng.random() < _REAL_FAT:
        picture = read_fat_picture(adipose[int(rng.integers(len(adipose)))])
    return synthesize_section(params, rng, geometry=geometry, fat_picture=picture)


def section_truth(section: SyntheticSection) -> Truth:
    """What the network learns from a section.

    Where a stain shows no nuclei there are none to be seen, and none are to be drawn. Nuclei in
    artefacts and in pictures of real fat count neither way, nor do fibers that cannot be told.
    """
    fibers = make_targets(section.labels, section.mpp, holes=section.holes)
    fibers[section.doubtful, 3] = 0
    visible = shows_nuclei(section.params.stain)
    known = (section.tissue != ARTEFACT) & ~section.real_fat
    nuclei = make_nucleus_targets(
        section.nuclei_labels if visible else np.zeros_like(section.nuclei_labels),
        section.mpp,
        known=known,
    )
    return Truth(fibers, nuclei, section.tissue)


def write_bank_section(path: Path, section: SyntheticSection) -> None:
    """Store the picture and the truth of a section, as `bank_section` reads them."""
    truth = section_truth(section)
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez(
            file,
            image=section.image,
            targets=truth.fibers,
            nuclei=truth.nuclei,
            tissue=truth.tissue,
        )


def _write_section(
    path: Path, seed: int, outline_files: tuple[Path, ...], adipose: tuple[Path, ...] = ()
) -> None:
    import cv2

    cv2.setNumThreads(1)
    write_bank_section(path, render_training_section(seed, outline_files, adipose))


def render_bank(
    folder: str | Path,
    count: int,
    *,
    seed: int = 0,
    outline_files: tuple[Path, ...] = (),
    adipose: tuple[Path, ...] = (),
    workers: int = 1,
    progress: Progress | None = None,
) -> list[Path]:
    """Render `count` sections into `folder`; those already there are kept.

    Parameters
    ----------
    seed
        Section ``i`` is made from seed ``seed + i``, so a bank can be continued or remade.
    outline_files
        Label images whose outlines some sections are laid out with.
    adipose
        Pictures of fat in H&E at the pixel size of the bank, as texture of some lobules.

    Raises
    ------
    ConfigError
        If the folder holds sections that were made otherwise.
    """
    folder = Path(folder)
    claim_bank(folder, bank_fingerprint(seed, outline_files, adipose))
    paths = [folder / f"{seed + i:08d}.npz" for i in range(count)]
    missing = [p for p in paths if not p.exists()]
    done = count - len(missing)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = [
            pool.submit(_write_section, p, int(p.stem), outline_files, adipose) for p in missing
        ]
        for job in as_completed(jobs):
            job.result()
            done += 1
            if progress:
                progress("render", done, count)
    return paths


def claim_bank(folder: Path, fingerprint: dict[str, Any]) -> None:
    """Write down what the bank is made from, or check that it was made from this.

    Raises
    ------
    ConfigError
        It was made otherwise.
    """
    record = folder / RECORD_FILE
    if record.exists():
        try:
            stored = load_yaml(record.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(
                f"{record}: cannot be read ({error}). Choose another folder with --work, or delete "
                f"{folder}."
            ) from error
        check_fingerprint(folder, stored, fingerprint)
    elif any(folder.glob("*.npz")):
        check_fingerprint(folder, None, fingerprint)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(record) as temporary:
            temporary.write_text(yaml.safe_dump(fingerprint, sort_keys=False), encoding="utf-8")
