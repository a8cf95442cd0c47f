from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from biopsy_ai.config import STAINS
from biopsy_ai.slides import open_slide, tissue_mask
from biopsy_ai.slides.stain_colors import StainColors, stain_colors
from biopsy_ai.slides.stain_detection import (
    TITLES,
    StainCall,
    detect_stain,
    recognise_stain,
    settle_stain,
    stain_contradiction,
)

COLORS = {
    # paler and darker fibers, and what lies between them; 8-bit RGB
    "he": ((222, 128, 165), (226, 136, 170), (238, 200, 217)),
    "trichrome": ((96, 140, 140), (122, 165, 155), (118, 190, 168)),
    "sirius_red": ((214, 196, 120), (224, 208, 140), (196, 70, 72)),
    "atpase": ((205, 196, 188), (88, 74, 66), (222, 220, 216)),
    "nadh_sdh": ((66, 70, 142), (178, 182, 214), (224, 224, 236)),
    "cox": ((122, 82, 48), (192, 162, 124), (226, 216, 202)),
}


def drawn(stain: str) -> np.ndarray:
    """Draw fibers of two colors with something between them, and glass beside, at 4 µm."""
    first, second, between = COLORS[stain]
    y, x = np.indices((60, 80))
    image = np.where(((y // 12 + x // 12) % 2)[..., None], first, second)
    image[(y % 12 == 0) | (x % 12 == 0)] = between
    if stain == "he":
        image[::4, ::4] = (150, 100, 150)  # nuclei, a pixel wide
    image[:, 70:] = 250
    noise = np.random.default_rng(0).normal(0, 2, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.float32)


@pytest.mark.parametrize("stain", COLORS)
def test_stains_are_recognised(stain: str) -> None:
    call = recognise_stain(drawn(stain))
    assert call.stain == stain
    assert call.confidence > 0.7
    assert sum(call.probabilities.values()) == pytest.approx(1)
    assert call.variant == ("gomori" if stain == "trichrome" else None)
    assert "% green" in call.reason
    json.dumps(call.as_dict(), allow_nan=False)


@pytest.mark.parametrize("factor", [0.6, 1.5])
def test_strength_does_not_matter(factor: float) -> None:
    image = 255 * (drawn("he") / 255) ** factor
    assert recognise_stain(image.astype(np.float32)).stain == "he"


def test_a_color_of_no_stain_is_unknown() -> None:
    image = np.full((60, 80, 3), 250.0, np.float32)  # cyan
    image[..., 0] = drawn("he")[..., 1]
    call = recognise_stain(image)
    assert call.stain == "unknown"
    assert stain_contradiction(call, "he") is None


@pytest.mark.parametrize(
    ("ground", "nuclei"), [((246, 246, 246), (140, 60, 185)), ((190, 150, 250), (90, 40, 190))]
)
def test_violet_without_eosin_is_no_stain_of_muscle(
    ground: tuple[int, int, int], nuclei: tuple[int, int, int]
) -> None:
    image = np.full((60, 80, 3), ground, np.float32)
    y, x = np.indices((60, 80)) % 6 - 2.5
    image[np.hypot(y, x) < 2] = nuclei
    image[:, 76:] = 250
    image += np.random.default_rng(0).normal(0, 2, image.shape).astype(np.float32)
    call = recognise_stain(image)
    assert call.stain == "unknown"
    assert call.probabilities["nadh_sdh"] < 0.3
    assert "nearest to violet" in call.reason
    assert stain_contradiction(call, "sdh") is None


def test_what_is_less_likely_than_all_others_together_is_not_named() -> None:
    # three stains of the same colors share the probability
    center = stain_colors().means[:1]
    colors = StainColors(("he", "cox", "sdh"), center.repeat(3, 0), np.eye(7), {})
    call = recognise_stain(drawn("he"), colors=colors)
    assert (call.stain, call.confidence) == ("unknown", 0)
    assert call.probabilities["cox"] == pytest.approx(1 / 3, abs=0.01)


def test_gray_and_empty_pictures_tell_nothing() -> None:
    gray = np.repeat(drawn("he").mean(axis=-1, keepdims=True), 3, axis=-1)
    assert recognise_stain(gray).stain == "unknown"
    assert "gray" in recognise_stain(gray[..., :1]).reason
    glass = np.full((60, 80, 3), (250.0, 248.0, 244.0), np.float32)
    call = recognise_stain(glass)
    assert (call.stain, call.confidence) == ("unknown", 0)
    assert "too little" in call.reason
    assert recognise_stain(drawn("he"), mask=np.zeros((60, 80), bool)).stain == "unknown"


def test_a_dark_ground_is_fluorescence() -> None:
    image = np.zeros((60, 80, 3), np.float32)
    image[::6, :, 1] = 200
    assert recognise_stain(image).stain == "if"
    planes = np.zeros((60, 80, 4), np.float32)
    assert recognise_stain(planes, white=65535.0, is_rgb=False).stain == "if"


def test_only_the_tissue_is_looked_at() -> None:
    image = drawn("he")
    image[:, 40:70] = (40, 60, 200)  # a pen
    mask = np.zeros((60, 80), bool)
    mask[:, :40] = True
    assert recognise_stain(image, mask=mask).stain == "he"


def test_from_a_slide(tmp_path) -> None:
    path = tmp_path / "section.tif"
    tifffile.imwrite(path, drawn("nadh_sdh").astype(np.uint8), photometric="rgb")
    with open_slide(path, mpp=4.0) as slide:
        alone, within = detect_stain(slide), detect_stain(slide, tissue_mask(slide))
    assert alone.stain == within.stain == "nadh_sdh"


def call_of(stain: str, confidence: float = 0.95) -> StainCall:
    return StainCall(stain, confidence, None, {}, {}, "what was seen")


def test_contradictions_are_told() -> None:
    text = stain_contradiction(call_of("nadh_sdh"), "he")
    assert text is not None
    assert "looks like NADH-TR or SDH (confidence 0.95: what was seen)" in text
    assert "given as he" in text
    assert stain_contradiction(call_of("if"), "cox") is not None
    assert stain_contradiction(call_of("he"), "if") is not None


@pytest.mark.parametrize(
    ("seen", "named"),
    [
        ("he", "he"),
        ("trichrome", "trichrome"),
        ("atpase", "atpase:4.6"),
        ("nadh_sdh", "sdh"),
        ("nadh_sdh", "nadh"),
        ("he", "auto"),
        ("unknown", "cox"),
    ],
)
def test_agreement_is_not_told(seen: str, named: str) -> None:
    assert stain_contradiction(call_of(seen), named) is None


def test_an_unsure_call_contradicts_nobody() -> None:
    assert stain_contradiction(call_of("cox", 0.6), "he") is None


def test_every_stain_of_the_settings_can_be_recognised() -> None:
    for stain in set(STAINS) - {"auto"}:
        agreeing = [s for s in TITLES if stain_contradiction(call_of(s), stain) is None]
        assert len(agreeing) == 2, stain  # its own, and unknown


@pytest.mark.parametrize(
    ("file", "mpp", "stain"),
    [
        ("he_weichenchu/img_01.tif", 0.2773, "he"),
        ("if_fibersight/psr_1.tif", 0.5, "sirius_red"),
        ("if_fibersight/skm_rat_R7x10ta.tif", 0.922, "if"),
        ("look_only_myoquant/atpase.jpg", 0.3125, "atpase"),
        ("look_only_myoquant/sdh.jpg", 0.5, "nadh_sdh"),
    ],
)
def test_real_sections(shared, file: str, mpp: float, stain: str) -> None:
    path = shared / file
    if not path.exists():
        pytest.skip("real images are not here")
    with open_slide(path, mpp=mpp) as slide:
        assert detect_stain(slide).stain == stain


@pytest.mark.parametrize(
    ("seen", "confidence", "named", "channels", "expected"),
    [
        ("he", 0.9, "auto", {}, ("he", "recognised")),
        ("nadh_sdh", 0.6, "auto", {}, ("nadh_sdh", "recognised")),
        ("atpase", 0.55, "auto", {}, ("unknown", "unknown")),
        ("unknown", 0.0, "auto", {}, ("unknown", "unknown")),
        ("he", 0.9, "atpase:4.6", {}, ("atpase:4.6", "given")),
        ("he", 0.9, "auto", {"border": 1}, ("if", "given")),
    ],
)
def test_the_user_goes_before_what_was_recognised(
    seen: str, confidence: float, named: str, channels: dict[str, int], expected: tuple[str, str]
) -> None:
    call = StainCall(seen, confidence, None, {}, {}, "")
    stain = settle_stain(call, named, channels)
    assert (stain.name, stain.source) == expected
    assert stain.call is call
