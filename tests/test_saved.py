"""Results are read back as they were before they were saved."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from drawn_results import fascicles_of, nuclei_of
from drawn_sections import DrawnSection

import biopsy_ai
from biopsy_ai import Analysis, AnalysisConfig, analyze, labels, read_analysis
from biopsy_ai.errors import OutputError, SlideReadError
from biopsy_ai.formats.tables import to_json_ready
from biopsy_ai.saved import SavedAnalysis, is_results
from biopsy_ai.segmentation.tissue_map import TissueMap

DIGITS = 5e-6


@pytest.fixture
def analysis(section: DrawnSection, fake_network: None) -> Analysis:
    """With nuclei, fascicles and tissue, which the network of the test does not draw."""
    found = analyze(section.image, AnalysisConfig(stain="he", sex="male"))
    drawn, nuclei = nuclei_of(found.labels.shape, 4)
    classes = np.arange(72 * 96, dtype=np.uint8).reshape(72, 96) % 7
    segmentation = replace(found.segmentation, nuclei=drawn, tissue=TissueMap(classes, (1.0, 1.0)))
    nuclei["fiber"] = [1, 0, 2, 3]
    nuclei["tissue_class"] = pd.array([1, 3, pd.NA, 1], dtype="Int64")
    return replace(
        found, segmentation=segmentation, nuclei=nuclei, fascicles=fascicles_of(segmentation)
    )


@pytest.fixture
def folder(analysis: Analysis, tmp_path: Path) -> Path:
    return analysis.save(tmp_path / "results" / "section")


def assert_same(saved: SavedAnalysis, analysis: Analysis) -> None:
    """What was read back is what was in memory, to six digits."""
    pd.testing.assert_frame_equal(saved.fibers, analysis.fibers, rtol=DIGITS)
    assert analysis.patterns is not None
    contacts = analysis.patterns.contacts.table()
    pd.testing.assert_frame_equal(saved.contacts, contacts, rtol=DIGITS)
    assert (saved.nuclei is None) == (analysis.nuclei is None)
    if analysis.nuclei is not None:
        pd.testing.assert_frame_equal(saved.nuclei, analysis.nuclei, rtol=DIGITS)
    read, drawn = saved.segmentation, analysis.segmentation
    for name in ("labels", "ids", "boxes", "touches_tissue_edge"):
        np.testing.assert_array_equal(getattr(read, name), getattr(drawn, name))
        assert getattr(read, name).dtype == getattr(drawn, name).dtype
    np.testing.assert_allclose(read.confidence, drawn.confidence, rtol=DIGITS)
    assert read.mpp == drawn.mpp
    if drawn.tissue is not None:
        assert read.tissue is not None
        np.testing.assert_array_equal(read.tissue.classes, drawn.tissue.classes)
        assert read.tissue.mpp == drawn.tissue.mpp
    if drawn.nuclei is not None and analysis.nuclei is not None:
        assert read.nuclei is not None
        for name in ("labels", "area_px", "boxes"):
            np.testing.assert_array_equal(getattr(read.nuclei, name), getattr(drawn.nuclei, name))
        np.testing.assert_allclose(read.nuclei.centroid_px, drawn.nuclei.centroid_px, atol=0.02)
        assert read.nuclei.mpp == drawn.nuclei.mpp
    assert to_json_ready(read.provenance) == to_json_ready(drawn.provenance)
    assert saved.summary == to_json_ready(analysis.summary)
    assert saved.config == analysis.config
    assert saved.name == analysis.name


def test_everything_is_read_back(analysis: Analysis, folder: Path) -> None:
    saved = read_analysis(folder)
    assert_same(saved, analysis)
    assert saved.folder == folder
    assert analysis.fascicles is not None
    np.testing.assert_array_equal(saved.fascicles, analysis.fascicles.labels)
    assert saved.fascicles_mpp == analysis.fascicles.mpp


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "stain"), [("acute_denervation_he", "he"), ("type2_atrophy_atpase", "atpase:9.4")]
)
def test_a_sample_is_read_back(name: str, stain: str, tmp_path: Path) -> None:
    (slide,) = (path for path in biopsy_ai.sample_slides() if path.stem == name)
    with analyze(slide, AnalysisConfig(stain=stain)) as analysis:
        saved = read_analysis(analysis.save(tmp_path / name))
        assert_same(saved, analysis)
    assert saved.slide_path == slide


@pytest.mark.usefixtures("fake_network")
def test_unknown_values_are_read_back(section: DrawnSection, tmp_path: Path) -> None:
    """Outlines alone: neither confidence nor tissue edge nor fascicles are known."""
    analysis = analyze(None, fibers=section.labels)
    saved = read_analysis(analysis.save(tmp_path / "outlines"))
    assert_same(saved, analysis)
    assert saved.nuclei is saved.fascicles is saved.fascicles_mpp is saved.slide_path is None
    with pytest.raises(SlideReadError, match="outlines alone"):
        saved.open_slide()


@pytest.mark.usefixtures("fake_network")
def test_one_fiber_with_label_1_is_no_mask(section: DrawnSection, tmp_path: Path) -> None:
    """Labels are taken as they stand in the file, also where they are two parts of one fiber."""
    pixels = tifffile.imread(section.labels)
    pixels = np.isin(pixels, (1, 7)).astype(np.int32)
    pixels[0, 0] = 2
    path = section.labels.with_name("one.tif")
    tifffile.imwrite(path, pixels, resolution=(2e4, 2e4), resolutionunit="CENTIMETER")
    analysis = analyze(None, fibers=path)
    folder = analysis.save(tmp_path / "one")
    assert analysis.labels.max() == read_analysis(folder).labels.max() == 2
    np.testing.assert_array_equal(read_analysis(folder).labels, pixels)


def test_large_label_images_are_compressed(
    folder: Path, analysis: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "IN_MEMORY_PX", 1000)
    read = read_analysis(folder).labels
    assert not isinstance(read, np.ndarray)
    np.testing.assert_array_equal(read[:, :], analysis.labels)


def test_folders_with_results_are_told_from_others(folder: Path, tmp_path: Path) -> None:
    assert is_results(folder)
    assert is_results(str(folder))
    for other in (tmp_path, tmp_path / "missing", folder / "fibers.csv", "a\0b"):
        assert not is_results(other)
    (folder / "summary.json").unlink()
    assert not is_results(folder)


@pytest.mark.parametrize(
    "name",
    ["fibers.csv", "fibers.tif", "nuclei.csv", "nuclei.tif", "tissue.tif", "contacts.csv"],
)
def test_missing_and_truncated_files_are_named(folder: Path, name: str) -> None:
    path = folder / name
    content = path.read_bytes()
    # the end of an image may be of no tile
    lengths = (0, len(content) // 2, *([len(content) - 3] if name.endswith(".csv") else []))
    for length in lengths:
        path.write_bytes(content[:length])
        with pytest.raises(OutputError, match=rf"{name}.*Analyze the section again"):
            read_analysis(folder)
    path.unlink()
    with pytest.raises(OutputError, match=rf"{name}.*Analyze the section again"):
        read_analysis(folder)


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"files": []}'])
def test_a_summary_that_is_none(folder: Path, text: str | None) -> None:
    path = folder / "summary.json"
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(OutputError, match=r"summary\.json.*Analyze the section again"):
        read_analysis(folder)


def test_results_of_an_earlier_version(folder: Path) -> None:
    path = folder / "summary.json"
    summary = json.loads(path.read_text())
    del summary["cores"], summary["adequacy"]
    summary["provenance"]["biopsy_ai_version"] = "0.1.0"
    path.write_text(json.dumps(summary))
    with pytest.raises(OutputError, match=r"0\.1\.0, .* cores, adequacy\. Analyze the section"):
        read_analysis(folder)


def test_settings_of_another_version(folder: Path) -> None:
    path = folder / "summary.json"
    summary = json.loads(path.read_text())
    summary["provenance"]["configuration"]["bread"] = "rye"
    path.write_text(json.dumps(summary))
    with pytest.raises(OutputError, match=r"another version.*bread.*Analyze the section again"):
        read_analysis(folder)


def test_files_of_another_analysis(folder: Path) -> None:
    header, *rows = (folder / "fibers.csv").read_text().splitlines(keepends=True)
    (folder / "fibers.csv").write_text("".join([header, *rows[:-1]]))
    with pytest.raises(OutputError, match=r"fibers\.tif: holds 12 fibers, fibers\.csv .* 11"):
        read_analysis(folder)


def test_the_slide_is_found_where_it_was_moved(
    folder: Path, section: DrawnSection, tmp_path: Path
) -> None:
    assert read_analysis(folder).slide_path == section.image.resolve()
    content = section.image.read_bytes()
    section.image.unlink()
    assert read_analysis(folder).slide_path is None
    with pytest.raises(SlideReadError, match=r"section\.tif: the slide of .* is not there"):
        read_analysis(folder).open_slide()
    for place in (folder.parent.parent, folder.parent, folder):
        (place / section.image.name).write_bytes(content)
        saved = read_analysis(folder)
        assert saved.slide_path == place.resolve() / section.image.name
        with saved.open_slide() as slide:
            assert slide.mpp == (0.5, 0.5)
    elsewhere = tmp_path / "other name.tif"
    elsewhere.write_bytes(content)
    assert read_analysis(folder, elsewhere).slide_path == elsewhere


def test_another_slide_in_its_place_is_refused(folder: Path, section: DrawnSection) -> None:
    pixels = tifffile.imread(section.image)
    tifffile.imwrite(section.image, pixels[:100], resolution=(2e4, 2e4), resolutionunit=3)
    with pytest.raises(SlideReadError, match="is not the image"):
        read_analysis(folder).open_slide()


@pytest.mark.usefixtures("fake_network")
def test_the_slide_is_opened_as_it_was(section: DrawnSection, tmp_path: Path) -> None:
    """Its pixel size and channels were given when it was opened, not in the settings."""
    with biopsy_ai.open_slide(section.image, mpp=0.6, channels={"border": 0}) as slide:
        folder = analyze(slide).save(tmp_path / "opened")
    with read_analysis(folder).open_slide() as again:
        assert again.mpp == (0.6, 0.6)
        assert again.mpp_source == "given by the user"
        assert again.channels == {"border": 0}
