from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from drawn_results import fascicles_of, patterns_of, with_patterns
from skimage.color import deltaE_ciede2000, rgb2lab

from biopsy_ai.formats.qupath import TYPE_COLORS
from biopsy_ai.report.legend import Entry
from biopsy_ai.report.overlay import DARKEST, TINT, Numbers, Shapes
from biopsy_ai.report.pattern_pictures import (
    ATROPHY_COLORS,
    has_atrophy,
    has_groups,
    has_types,
    show_atrophy,
    show_groups,
    show_types,
)
from biopsy_ai.report.pictures import Fibers

# Machado, Oliveira & Fernandes 2009 (doi:10.1109/TVCG.2009.113), severity 1, on linear RGB
COLOR_VISION = {
    "normal": np.eye(3),
    "protan": [
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ],
    "deutan": [
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ],
    "tritan": [
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ],
}


@pytest.fixture
def table(fibers) -> pd.DataFrame:
    return with_patterns(fibers)


@pytest.fixture
def drawn(segmentation, fibers) -> Fibers:
    return Fibers.of(segmentation, fibers)


def texts(picture) -> list[str]:
    return [entry.text for entry in picture.legend]


def tinted(picture) -> dict[tuple[int, int, int], int]:
    shapes = [layer for layer in picture.layers if isinstance(layer, Shapes) and layer.tinted]
    return {layer.color: len(layer.polygons) for layer in shapes}


def count_of(picture, start: str) -> int:
    (text,) = (text for text in texts(picture) if text.startswith(f"{start} ("))
    return int(text[len(start) + 2 :].split(",")[0].split(" ")[0].rstrip(")"))


def seen(color: tuple[int, int, int], vision: str, section: int) -> np.ndarray:
    """Lab of a tint on gray of the section."""
    below = DARKEST + section * (1 - DARKEST / 255)
    part = (np.array(color) * TINT + below * (1 - TINT)) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ np.transpose(COLOR_VISION[vision]), 0, 1)
    again = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb2lab(again[None, None])[0, 0]


@pytest.mark.parametrize("section", [0, 128, 230])
@pytest.mark.parametrize("vision", COLOR_VISION)
def test_types_are_told_apart_by_any_color_vision(vision: str, section: int) -> None:
    lab = {name: seen(color, vision, section) for name, color in TYPE_COLORS.items()}
    for names, least in (
        (("I", "II"), 25),
        (("I", "IIA", "IIX"), 11),
        (("II", "IIA", "IIX", "I"), 5),
        (("I/IIA", "IIA/IIX", "I/IIX"), 5),
    ):
        for one, other in itertools.combinations(names, 2):
            assert deltaE_ciede2000(lab[one], lab[other]) > least, (one, other)


def test_fibers_are_tinted_by_type_and_counted_without_those_left_out(drawn, table) -> None:
    picture = show_types(drawn, table)
    kept = table[table["excluded"] == ""]
    number = kept["type"].value_counts()
    told = int(number.drop(["", "undetermined"]).sum())
    assert texts(picture)[:4] == [
        f"{name} ({number[name]}, {100 * number[name] / told:.1f} %)"
        for name in ("I", "IIA", "IIX", "I/IIA")
    ]
    assert texts(picture)[4:7] == [
        f"undetermined ({number['undetermined']})",
        "% of the fibers with a type, by number",
        f"not typed ({number['']})",
    ]
    assert texts(picture)[7].startswith("left out of statistics (")
    everyone = table["type"].value_counts()
    assert tinted(picture) == {
        color: everyone[name] for name, color in TYPE_COLORS.items() if name in everyone
    }
    hybrids = [layer for layer in picture.layers if layer.hatched and layer.tinted]
    assert [layer.color for layer in hybrids] == [TYPE_COLORS["I/IIA"]]


def test_fibers_that_the_table_does_not_type_are_only_outlined(drawn, table) -> None:
    table["type"] = pd.Series(pd.NA, index=table.index, dtype="string")
    table.loc[table.index[1], "type"] = "II"
    picture = show_types(drawn, table)
    assert texts(picture)[0] == "II (1, 100.0 %)"
    assert sum(tinted(picture).values()) == 1


def test_groups_are_numbered_and_enclosed_fibers_stand_out(drawn, table) -> None:
    picture = show_groups(drawn, table)
    (numbers,) = (layer for layer in picture.layers if isinstance(layer, Numbers))
    assert list(numbers.texts) == ["1", "2"]
    assert (numbers.room_um > 0).all()
    (outlines,) = (layer for layer in picture.layers if getattr(layer, "halo", False))
    assert outlines.mpp == (1.0, 1.0)
    assert "groups around enclosed fibers (2, with 20 fibers)" in texts(picture)
    enclosed = table.loc[[4, 14], "type"].tolist()
    for name in set(enclosed):
        n = enclosed.count(name)
        assert f"{name}, enclosed ({n})" in texts(picture)
        assert tinted(picture)[TYPE_COLORS[name]] == n


def test_numbers_lie_in_their_groups(segmentation, drawn, table) -> None:
    label = int(table["label"].iloc[30])
    table["group"] = pd.array([pd.NA] * len(table), dtype="Int64")
    table.loc[30, "group"] = 7
    (numbers,) = (x for x in show_groups(drawn, table).layers if isinstance(x, Numbers))
    row, column = (numbers.centers_um[0] / segmentation.mpp).astype(int)
    assert segmentation.labels[row, column] == label


def test_sections_without_groups_say_so(drawn, table) -> None:
    table["group"] = pd.array([pd.NA] * len(table), dtype="Int64")
    table["is_enclosed"] = pd.array([False] * len(table), dtype="boolean")
    picture = show_groups(drawn, table)
    assert "groups around enclosed fibers (0)" in texts(picture)
    assert not [layer for layer in picture.layers if isinstance(layer, Numbers)]


def test_fascicles_with_grouping_are_outlined_and_named_with_p(drawn, table, segmentation) -> None:
    tested = patterns_of(table).grouping.fascicles
    fascicles = fascicles_of(segmentation)
    picture = show_groups(drawn, table, fascicles=fascicles, tested=tested)
    assert texts(picture)[-1] == "fascicles with grouped types (p, adjusted): 2 (0.012)"
    assert len(picture.layers[0].polygons) == 1
    for known in (
        {"fascicles": fascicles_of(segmentation, whole_section=True), "tested": tested},
        {"fascicles": fascicles, "tested": tested[:2]},
        {"fascicles": fascicles, "tested": tested[:0]},
        {"tested": tested},
    ):
        assert texts(show_groups(drawn, table, **known)) == texts(picture)[:-1]


def test_a_long_list_of_fascicles_is_cut(drawn, table, segmentation) -> None:
    tested = pd.DataFrame({"fascicle": range(1, 21), "grouped": True, "p_adjusted": 1e-5})
    picture = show_groups(drawn, table, fascicles=fascicles_of(segmentation), tested=tested)
    assert texts(picture)[-1].endswith("6 (< 0.001) and 14 more")


def test_small_fibers_are_tinted_and_their_clusters_outlined(drawn, table) -> None:
    picture = show_atrophy(drawn, table)
    kept = table["excluded"] == ""
    angular = table["is_angular_atrophic"].astype(bool) & kept
    small = table["is_atrophic"].fillna(False).astype(bool) & kept & ~angular
    assert count_of(picture, "atrophic") == small.sum()
    assert count_of(picture, "angular atrophic") == angular.sum()
    assert tinted(picture) == {
        ATROPHY_COLORS["atrophic"]: small.sum(),
        ATROPHY_COLORS["angular atrophic"]: angular.sum(),
    }
    assert "clusters of atrophic fibers (1, with 3 fibers)" in texts(picture)
    assert not [text for text in texts(picture) if text.startswith("hypertrophic")]
    (numbers,) = (layer for layer in picture.layers if isinstance(layer, Numbers))
    assert list(numbers.texts) == ["1"]


def test_large_fibers_are_shown_where_they_are_known(drawn, table) -> None:
    table["is_hypertrophic"] = np.arange(len(table)) % 10 == 1
    picture = show_atrophy(drawn, table)
    assert count_of(picture, "hypertrophic") == table["is_hypertrophic"].sum()
    assert ATROPHY_COLORS["hypertrophic"] in tinted(picture)


def test_fibers_that_could_not_be_judged_are_no_others(drawn, table) -> None:
    table["is_atrophic"] = pd.array([pd.NA] * len(table), dtype="boolean")
    table["is_angular_atrophic"] = False
    table["excluded"] = ""
    picture = show_atrophy(Fibers(drawn.polygons, drawn.mpp, table), table)
    assert "others (0)" in texts(picture)
    assert f"not judged ({len(table)})" in texts(picture)


def test_maps_are_drawn_only_of_what_was_looked_at(fibers, table) -> None:
    assert [has(table) for has in (has_types, has_groups, has_atrophy)] == [True] * 3
    assert [has(fibers) for has in (has_types, has_groups, has_atrophy)] == [False] * 3
    empty = table.assign(
        type=pd.Series([pd.NA, ""] * len(table), dtype="string")[: len(table)],
        is_atrophic=pd.array([pd.NA] * len(table), dtype="boolean"),
    )
    assert [has(empty) for has in (has_types, has_groups, has_atrophy)] == [False] * 3
    unknown = table.assign(is_enclosed=pd.array([pd.NA] * len(table), dtype="boolean"))
    assert has_types(unknown)
    assert not has_groups(unknown)


def test_legends_hold_nothing_but_entries(drawn, table) -> None:
    for show in (show_types, show_groups, show_atrophy):
        assert all(isinstance(entry, Entry) for entry in show(drawn, table).legend)


def test_a_section_without_fibers_has_maps(fibers) -> None:
    none = with_patterns(fibers)[:0]
    drawn = Fibers({}, (0.5, 0.5), none)
    for show in (show_types, show_groups, show_atrophy):
        assert show(drawn, none).legend is not None
