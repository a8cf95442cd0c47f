"""How what a report shows was computed, with the publications that the methods are from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from biopsy_ai.report.document import Bullets, Part, Text

Summary = Mapping[str, Any]


@dataclass(frozen=True)
class Method:
    """One step of the analysis.

    Attributes
    ----------
    text
        What is done.
    applies
        Whether a summary holds results of it.
    sources
        Publications that it is from.
    """

    text: str
    applies: Callable[[Summary], bool]
    sources: tuple[str, ...] = ()


def _pattern(name: str) -> Callable[[Summary], bool]:
    return lambda summary: bool(((summary.get("patterns") or {}).get(name) or {}).get("assessable"))


def _part(name: str) -> Callable[[Summary], bool]:
    return lambda summary: bool((summary.get(name) or {}).get("assessable"))


def _segmented(summary: Summary) -> bool:
    made = (summary.get("provenance") or {}).get("segmentation") or {}
    return bool(made.get("model")) and not (summary.get("provenance") or {}).get("outlines_sha256")


def _fluorescence(summary: Summary) -> bool:
    return (summary.get("image") or {}).get("illumination") == "fluorescence"


def _separated(summary: Summary) -> bool:
    return bool(summary.get("image")) and not _fluorescence(summary)


def _sized(summary: Summary) -> bool:
    return bool(((summary.get("fibers") or {}).get("quantities") or {}).get("min_feret_um"))


def _factors(summary: Summary) -> bool:
    return "atrophy_factor" in ((summary.get("fibers") or {}).get("atrophy_hypertrophy") or {})


def _modes(summary: Summary) -> bool:
    modes = ((summary.get("patterns") or {}).get("size_modes") or {}).get("all") or {}
    return bool(modes.get("assessable"))


def _fascicle_tests(summary: Summary) -> bool:
    tested = ((summary.get("patterns") or {}).get("type_grouping") or {}).get("fascicles") or {}
    return bool(tested.get("n_tested"))


def _learned(summary: Summary) -> bool:
    made_by = summary.get("provenance") or {}
    return bool((made_by.get("configuration") or {}).get("rules"))


_RUIFROK = "Ruifrok & Johnston 2001, Anal Quant Cytol Histol 23:291"
_DUBOWITZ = "Dubowitz & Brooke 1973, Muscle Biopsy: A Modern Approach"

METHODS = (
    Method(
        "A convolutional network marks fibers and their borders; fibers are grown from the middle "
        "outwards, and each gets one outline.",
        _segmented,
    ),
    Method(
        "A person reviewed the section. Fibers whose outline was corrected were measured again, "
        "and so was what lies around and between all fibers; types, conditions and exclusions that "
        "the person decided stand in the place of those that were measured.",
        lambda summary: bool(summary.get("review")),
    ),
    Method(
        "Limits of conditions, or the border between fiber types, were refitted to what people "
        "corrected in other sections; the settings and the card of the model tell them.",
        _learned,
    ),
    Method(
        "Dyes are separated by optical density, with directions estimated from the slide itself.",
        _separated,
        (_RUIFROK, "Macenko et al. 2009"),
    ),
    Method(
        "Sizes are measured on the outlines. Min Feret is the least distance of two parallels that "
        "hold the fiber, and depends little on the angle of the cut. Circularity is 4π area / "
        "perimeter², the perimeter by the formula of Crofton. The variability coefficient is "
        "1000 SD / mean of min Feret. Fibers cut by the border of the image are left out.",
        _sized,
        (_DUBOWITZ,),
    ),
    Method(
        "Atrophy and hypertrophy factor weigh fibers by how far they lie beyond the limits of "
        "normal size of men or women.",
        _factors,
        (_DUBOWITZ,),
    ),
    Method(
        "Intervals of shares are those of Wilson.", _sized, ("Wilson 1927, J Am Stat Assoc 22:209",)
    ),
    Method(
        "Whether sizes have one mode or two: two Gaussians against one on the logarithm of min "
        "Feret by the Bayesian information criterion, Ashman's D between them, and the dip test.",
        _modes,
        (
            "Schwarz 1978, Ann Stat 6:461",
            "Ashman, Bird & Zepf 1994, Astron J 108:2348",
            "Hartigan & Hartigan 1985, Ann Stat 13:70",
        ),
    ),
    Method(
        "Nuclei are outlined one by one. One is internal where its middle lies deeper in the fiber "
        "than nuclei below the sarcolemma do. The centralization index is the mean depth of the "
        "nuclei of a fiber relative to its radius.",
        _part("nuclei"),
        ("Zhong et al. 2026, medRxiv 2026.05.27.26349805",),
    ),
    Method(
        "Each pixel of the tissue belongs to fiber, endomysium, perimysium, fat, or vessels and "
        "nerves; shares are of the tissue without glass and artefacts.",
        _part("tissue"),
    ),
    Method(
        "Fiber types are read off the strength of the stain in each fiber by a mixture of levels, "
        "or taken from a table; a fiber whose type is not clear has none.",
        _part("types"),
    ),
    Method(
        "Grouping of types: the contacts between fibers of different types are counted and held "
        "against types dealt out at random within each fascicle, apart for fibers that touch "
        "perimysium. The assortativity is 0 in a random mosaic and 1 where types are apart. "
        "Moments are those of random labeling.",
        _pattern("type_grouping"),
        (
            "Cliff & Ord 1981, Spatial Processes",
            "Newman 2003, Phys Rev E 67:026126",
        ),
    ),
    Method(
        "Enclosed fibers, whose neighbors are all of their own type, and the largest groups are "
        "held against the same permutations, adjusted for each other.",
        _pattern("type_grouping"),
        (
            "Jennekens et al. 1971",
            "Johnson et al. 1973, J Neurol Sci 18:111",
            "Holm 1979, Scand J Stat 6:65",
        ),
    ),
    Method(
        "Fascicle by fascicle, grouping is exploratory, with the false discovery rate controlled.",
        _fascicle_tests,
        ("Benjamini & Hochberg 1995, J R Stat Soc B 57:289",),
    ),
    Method(
        "Grouping of atrophic fibers: the same statistic for fibers that are too small for their "
        "type, against random places within fascicle, layer and type.",
        _pattern("grouped_atrophy"),
        ("Cliff & Ord 1981, Spatial Processes",),
    ),
    Method(
        "Atrophy at the edge of fascicles: sizes in the outer layer against those inside, held "
        "against sizes dealt out at random between the two.",
        _pattern("perifascicular_atrophy"),
    ),
    Method(
        "Scores: each finding gives a likelihood ratio for denervation and for myopathy against "
        "muscle without the change. Findings of one family repeat each other, so a family counts "
        "up to a limit, and the sum is tempered. Evidence for one change is never subtracted from "
        "the other.",
        lambda summary: bool(summary.get("score")),
    ),
)


def methods_part(*summaries: Summary) -> Part:
    """How what the report shows was computed; only what was done is named.

    Parameters
    ----------
    *summaries
        Of the sections that it is about, at least one.
    """
    used = [method for method in METHODS if any(map(method.applies, summaries))]
    sources = sorted({source for method in used for source in method.sources})
    entries = tuple(
        method.text + (f" ({'; '.join(method.sources)})" if method.sources else "")
        for method in used
    )
    provenance = summaries[0].get("provenance") or {}
    settings = (provenance.get("configuration") or {}).get("patterns") or {}
    blocks: list[Text | Bullets] = [Bullets(entries)] if entries else []
    if settings.get("n_permutations"):
        blocks.append(
            Text(
                f"Tests use {settings['n_permutations']:,} permutations with the seed "
                f"{settings.get('seed')}; the same input gives the same numbers.",
                "note",
            )
        )
    parts = (Part("Publications", (Bullets(tuple(sources)),)),) if sources else ()
    return Part("Methods", tuple(blocks), parts)


DESCRIPTIVE = (
    "What is described is a pattern. What caused it can only be told together with the clinical "
    "picture and electrophysiology.",
)
"""Limits of a report whose results state none."""


def limits_part(score: Mapping[str, Any] | None, notice: str) -> Part:
    """What the report must not be used for, and what is not known."""
    stated = (score or {}).get("limits_of_use") or ()
    entries = dict.fromkeys([notice, *(str(text) for text in stated or DESCRIPTIVE)])
    return Part("Limits", (Bullets(tuple(entries)),))
