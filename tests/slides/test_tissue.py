from __future__ import annotations

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from biopsy_ai.errors import NoTissueError, SlideReadError
from biopsy_ai.slides import open_slide, tissue_mask
from biopsy_ai.slides.tissue import has_dark_background, is_background_unclear, is_dark_background
from biopsy_ai.synthesis import SectionParams, random_imaging, synthesize_section

MPP = 2.0
FIBER_PX = 25


def fibers(height, width):
    """Draw a section: dark borders around pale squares of 50 µm, 1 at the borders."""
    grid = np.zeros((height, width))
    grid[::FIBER_PX] = grid[:, ::FIBER_PX] = 1
    return ndimage.maximum_filter(grid, 2)


def inside(shape, box):
    mask = np.zeros(shape, bool)
    mask[box] = True
    return mask


def mask_of(tmp_path, image, stain="auto", **options):
    tifffile.imwrite(tmp_path / "a.tif", image, **options)
    with open_slide(tmp_path / "a.tif", mpp=MPP) as slide:
        tissue = tissue_mask(slide, stain)
        assert tissue.mask.shape == slide.grid_shape(tissue.mpp)
        scale = [n / m for n, m in zip(slide.shape, tissue.mask.shape, strict=True)]
    index = [(np.arange(n) / s).astype(int) for n, s in zip(image.shape, scale, strict=False)]
    return tissue.mask[np.ix_(*index)]


BOX = np.s_[200:500, 150:400]


def bright(stain, noise=3.0):
    """Draw a section of 600 × 500 µm on a slide with much glass."""
    rng = np.random.default_rng(0)
    image = np.full((700, 600, 3), (240.0, 238.0, 232.0))
    pattern = fibers(300, 250)[..., None]
    image[BOX] *= 1 - np.array(stain) * (0.5 + 0.5 * pattern)
    return np.clip(image + rng.normal(0, noise, image.shape), 0, 255).astype(np.uint8)


def fluorescent():
    """Draw the same section with bright borders on black."""
    border = np.full((700, 600), 100.0)
    border[BOX] += 900 * fibers(300, 250)
    return (border + np.random.default_rng(0).normal(0, 8, border.shape)).clip(0).astype(np.uint16)


def test_fat_cells_that_tissue_encloses_are_looked_at(tmp_path):
    # a lobule of 300 x 250 µm whose walls of 2 µm are 125 µm apart, in a section on much glass
    image = bright((0.15, 0.5, 0.3), noise=1.0)
    lobule = np.s_[250:400, 200:325]
    image[lobule] = (240, 238, 232)
    for row in range(250, 401, 62):
        image[row, 200:325] = (205, 120, 165)
    for column in range(200, 326, 62):
        image[250:400, column] = (205, 120, 165)
    mask = mask_of(tmp_path, image, "he", photometric="rgb")
    assert mask[BOX].all()
    assert not mask[:100].any()


def test_small_fields_are_looked_at_as_a_whole(tmp_path):
    image = bright((0.15, 0.5, 0.3))
    for name, picture, whole in (
        ("small", image, True),
        ("large", np.tile(image, (2, 1, 1)), False),
        ("fluorescence", fluorescent(), False),
    ):
        tifffile.imwrite(tmp_path / f"{name}.tif", picture)
        with open_slide(tmp_path / f"{name}.tif", mpp=MPP) as slide:
            tissue = tissue_mask(slide)
        assert (tissue.sought is not None and bool(tissue.sought.all())) == whole
        assert not tissue.mask.all()


@pytest.mark.parametrize(
    "stain", [(0.15, 0.5, 0.3), (0.12, 0.12, 0.12), (0.5, 0.5, 0.25)], ids=["he", "pale", "nadh"]
)
def test_bright_field(tmp_path, stain):
    mask = mask_of(tmp_path, bright(stain), photometric="rgb")
    assert mask[BOX].all()
    near = ndimage.binary_dilation(inside(mask.shape, BOX), iterations=40)
    assert not mask[~near].any()


def test_gray_bright_field(tmp_path):
    mask = mask_of(tmp_path, bright((0.4, 0.4, 0.4))[..., 1])
    assert mask[BOX].all()
    assert 0.2 < mask.mean() < 0.4


def test_without_glass_everything_is_tissue(tmp_path):
    image = bright((0.15, 0.5, 0.3))[BOX]
    assert mask_of(tmp_path, image, photometric="rgb").all()


def test_small_biopsies_and_cracks(tmp_path):
    image = bright((0.15, 0.5, 0.3))
    image[:] = np.where(inside(image.shape[:2], np.s_[300:350, 200:250])[..., None], image, 240)
    mask = mask_of(tmp_path, image, photometric="rgb")
    assert mask[300:350, 200:250].all()
    cracked = bright((0.15, 0.5, 0.3))
    cracked[340:370, 150:400] = 240  # 60 µm wide
    assert mask_of(tmp_path, cracked, photometric="rgb")[BOX].all()


@pytest.mark.parametrize("kind", ["one", "four", "rgb"])
def test_fluorescence(tmp_path, kind):
    border = fluorescent()
    empty = np.random.default_rng(1).normal(100, 8, border.shape).astype(np.uint16)
    if kind == "one":
        mask = mask_of(tmp_path, border)
    elif kind == "four":
        image = np.stack([empty, empty, empty, border])
        tifffile.imwrite(tmp_path / "a.tif", image, photometric="minisblack")
        with open_slide(tmp_path / "a.tif", mpp=MPP) as slide:
            mask = np.kron(tissue_mask(slide).mask, np.ones((2, 2), bool))
    else:
        image = np.zeros((*border.shape, 3), np.uint8)
        image[..., 1] = ((border - 80.0) / 4).clip(0, 255)
        mask = mask_of(tmp_path, image, photometric="rgb")
    assert mask[BOX].all()
    near = ndimage.binary_dilation(inside(mask.shape, BOX), iterations=40)
    assert not mask[~near].any()


def test_the_stain_settles_how_tissue_is_found(tmp_path):
    """What is the brightest on the slide is glass in bright field, and signal in fluorescence."""
    box = inside((700, 600), BOX)
    image = bright((0.4, 0.4, 0.4))[..., 1]
    assert mask_of(tmp_path, image, "he")[BOX].all()
    far = ~ndimage.binary_dilation(box, iterations=40)
    assert not mask_of(tmp_path, image, "nadh")[far].any()
    assert mask_of(tmp_path, image, "if")[far].all()
    dark = (image // 8).astype(np.uint8)
    color = np.stack([dark, dark + 3, dark], axis=2)
    color[:15, :15] = 255  # what has the rest pass for a dark background
    assert mask_of(tmp_path, color, photometric="rgb")[far].all()
    mask = mask_of(tmp_path, color, "he", photometric="rgb")
    assert mask[BOX].all()
    assert not mask[far].any()


def test_a_named_border_makes_a_gray_image_fluorescence(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", bright((0.4, 0.4, 0.4))[..., 1])
    for channels, dark in (({}, False), ({"border": 0}, True)):
        with open_slide(tmp_path / "a.tif", mpp=MPP, channels=channels) as slide:
            assert has_dark_background(slide) == dark
            assert (tissue_mask(slide).mask.mean() > 0.9) == dark


def is_dark(image, white=255):
    return is_dark_background(np.float32(image)[..., None], False, white)


def written_as(image):
    """The same gray image as other programs write it: value of white, and pixels."""
    low, high = np.percentile(image, (0.1, 99.9))
    return {
        "8 bits": (255, image),
        "12 bits of 16": (65535, image * 16),
        "16 bits": (65535, image * 257),
        "contrast stretched": (255, np.clip((image - low) / (high - low), 0, 1) * 255),
        "floating point": (1, image / 255),
    }


@pytest.mark.parametrize(
    "name",
    [
        "normal_he",
        "normal_atpase",
        "acute_denervation_he",
        "chronic_reinnervation_atpase",
        "dystrophy_he",
        "type2_atrophy_atpase",
    ],
)
def test_gray_samples_are_bright_field(repository, name):
    with open_slide(repository / "data" / "sample_slides" / f"{name}.tif") as slide:
        color, mpp = slide.thumbnail(4.0)
    assert mpp == 4.0
    half = 125  # 500 µm
    luma = color @ np.float32([0.299, 0.587, 0.114])
    for gray in (luma, luma[:half, :half], luma[half:, half:], *np.moveaxis(color, 2, 0)):
        for how, (white, pixels) in written_as(gray).items():
            assert not is_dark(pixels, white), how


@pytest.mark.parametrize("seed", range(3))
def test_synthetic_border_channel_is_fluorescence(seed):
    imaging = random_imaging(np.random.default_rng(seed), "if", severity=0.5)
    params = SectionParams(imaging=imaging, stain="if", size_um=(250.0, 250.0), mpp=1.0)
    image = synthesize_section(params, seed).image.astype(np.float32)
    thumbnail = image[:248, :248].reshape(62, 4, 62, 4).mean((1, 3))
    assert is_dark(thumbnail, 65535)
    for how, (white, pixels) in written_as(thumbnail * 255 / thumbnail.max()).items():
        assert is_dark(pixels, white), how
    assert not is_dark(thumbnail.max() - thumbnail, 65535)


def test_the_offset_of_a_camera_does_not_matter():
    border = 900 * fibers(300, 250)
    assert is_dark(border + 100, 65535)
    assert is_dark(border + 600, 65535)


def test_gray_saved_as_color_counts_as_gray(tmp_path):
    border = (250 * fibers(300, 250)).astype(np.uint8)
    for image, dark in ((border, True), (255 - border, False)):
        tifffile.imwrite(tmp_path / "a.tif", np.stack([image] * 3, axis=2), photometric="rgb")
        with open_slide(tmp_path / "a.tif", mpp=MPP) as slide:
            assert has_dark_background(slide) == dark


@pytest.mark.parametrize(
    ("dark", "light", "share", "is_dark", "unclear"),
    [
        (10, 200, 0.10, True, False),
        (20, 200, 0.25, True, True),
        (50, 200, 0.25, False, True),
        (10, 50, 0.25, True, True),  # nobody exposes bright field so little
        (50, 200, 0.60, False, False),
        (0, 0, 1.0, True, False),
        (255, 255, 1.0, False, False),
    ],
)
def test_doubt_is_known(tmp_path, dark, light, share, is_dark, unclear):
    """Two brightnesses in known shares."""
    image = np.full((200, 200), dark, np.uint8)
    image[: round(200 * share)] = light
    tifffile.imwrite(tmp_path / "a.tif", image)
    with open_slide(tmp_path / "a.tif", mpp=4.0) as slide:
        assert (has_dark_background(slide), is_background_unclear(slide)) == (is_dark, unclear)
    color = np.stack([image, image // 2, image // 3], axis=2)
    tifffile.imwrite(tmp_path / "a.tif", color, photometric="rgb")
    with open_slide(tmp_path / "a.tif", mpp=4.0) as slide:
        assert is_background_unclear(slide) == (light == 0 and unclear)


@pytest.mark.parametrize("kind", ["bright", "fluorescent"])
@pytest.mark.parametrize("side_um", [500, 100])
def test_area_is_without_the_margin(tmp_path, kind, side_um):
    """Densities are per area of tissue, and 30 µm more on each side would halve small ones."""
    side = round(side_um / MPP)
    here = inside((700, 600), np.s_[200 : 200 + side, 150 : 150 + side])
    if kind == "bright":
        image = np.where(here[..., None], bright((0.15, 0.5, 0.3)), np.uint8(239))
        tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb")
    else:
        empty = np.random.default_rng(1).normal(100, 8, here.shape).astype(np.uint16)
        tifffile.imwrite(tmp_path / "a.tif", np.where(here, fluorescent(), empty))
    with open_slide(tmp_path / "a.tif", mpp=MPP) as slide:
        tissue = tissue_mask(slide)
    assert tissue.area_um2 == pytest.approx(side_um**2, rel=0.1)
    assert tissue.mask.sum() * tissue.mpp**2 > 1.1 * tissue.area_um2


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint16, np.uint32])
def test_colors_in_the_range_of_another_type_are_refused(tmp_path, dtype):
    image = bright((0.3, 0.6, 0.3))
    with pytest.raises(SlideReadError, match=r"a\.tif: the colors reach 2\d\d.*8 or 16 bits"):
        mask_of(tmp_path, image.astype(dtype), photometric="rgb")
    if dtype == np.float32:
        overshot = image.astype(dtype) / 200
        assert mask_of(tmp_path, overshot, photometric="rgb")[BOX].all()
    if dtype == np.uint16:
        of_12_bits = image.astype(dtype) << 4
        assert mask_of(tmp_path, of_12_bits, photometric="rgb")[BOX].all()


@pytest.mark.parametrize("value", [0, 128, 255])
@pytest.mark.parametrize("noise", [0, 4])
@pytest.mark.parametrize("channels", [1, 3])
def test_blank_images(tmp_path, value, noise, channels):
    rng = np.random.default_rng(0)
    image = value + rng.normal(0, noise, (300, 300, channels))
    image = np.clip(image, 0, 255).astype(np.uint8)
    options = {"photometric": "rgb"} if channels == 3 else {}
    tifffile.imwrite(tmp_path / "blank.tif", image.squeeze(), **options)
    with (
        open_slide(tmp_path / "blank.tif", mpp=MPP) as slide,
        pytest.raises(NoTissueError, match="blank.tif"),
    ):
        tissue_mask(slide)


@pytest.mark.parametrize(
    ("file", "mpp"),
    [
        ("he_weichenchu/img_02.tif", 0.2773),
        ("if_fibersight/skm_rat_R7x10ta.tif", None),
        ("look_only_myoquant/atpase.jpg", 0.3125),
        ("look_only_myoquant/sdh.jpg", 0.5),
        ("if_fibersight/psr_1.tif", 0.5),
    ],
)
def test_real_fields_are_tissue_throughout(shared, file, mpp):
    path = shared / file
    if not path.exists():
        pytest.skip("real images are not here")
    with open_slide(path, mpp=mpp) as slide:
        assert tissue_mask(slide).mask.mean() > 0.99


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_real_gray_he_is_bright_field(shared, number):
    path = shared / f"he_weichenchu/img_0{number}.tif"
    if not path.exists():
        pytest.skip("real images are not here")
    with open_slide(path, mpp=0.2773) as slide:
        image, _ = slide.thumbnail(4.0)
    for gray in (image @ np.float32([0.299, 0.587, 0.114]), *np.moveaxis(image, 2, 0)):
        assert not is_dark(gray)


@pytest.mark.parametrize("name", ["skm_hs_cw", "skm_rat_R7x10ta"])
def test_real_single_channels_are_fluorescence(shared, name):
    path = shared / f"if_fibersight/{name}.tif"
    if not path.exists():
        pytest.skip("real images are not here")
    with open_slide(path) as slide:
        image, _ = slide.thumbnail(4.0)
    for channel in np.moveaxis(image, 2, 0):
        assert is_dark(channel, 65535)


@pytest.mark.parametrize("shade", [0.0, 0.03, 0.08])
def test_area_does_not_depend_on_uneven_light(tmp_path, shade):
    y, x = np.mgrid[-1:1:700j, -1:1:600j]
    light = 1 - shade * (0.5 * (x**2 + y**2) + 0.3 * x)
    image = (bright((0.15, 0.5, 0.3)) * light[..., None]).clip(0, 255).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image)
    with open_slide(tmp_path / "a.tif", mpp=MPP) as slide:
        assert tissue_mask(slide).area_um2 == pytest.approx(600 * 500, rel=0.08)
