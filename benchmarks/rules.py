"""How much the rules of conditions and types gain by a few corrected sections.

``python benchmarks/rules.py`` prints Markdown. Synthetic sections, in H&E for conditions and in
ATPase for types, are analyzed, corrected by their truth as a person would and saved as training
data. The rules are refitted to 1, 2, 4 and 8 of them as ``biopsy-ai train --learn rules`` does and
judged on others, in the looks of `LOOKS` and beginning with a model whose limits are wrong. Then
come corrections that were spoiled, which must not earn their place.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from synthetic import MPP, write_picture
from tables import markdown

from biopsy_ai import Review, analyze, load_model
from biopsy_ai.config import make_config
from biopsy_ai.evaluation.matching import match_fibers
from biopsy_ai.measure.condition import CONDITIONS
from biopsy_ai.segmentation import save_model
from biopsy_ai.synthesis import (
    SectionParams,
    SyntheticSection,
    preset,
    random_imaging,
    synthesize_section,
)
from biopsy_ai.training.relearning import relearn_rules
from biopsy_ai.training.rule_fit import LIMITS_OF
from biopsy_ai.training.rules import LearnedRules

FIELD_UM = 900.0
SEVERITY = 0.4

LOOKS: dict[str, dict[str, Any]] = {
    "usual": {"fiber_variation": 0.2},
    "blurred": {"fiber_variation": 0.1, "blur_um": 1.3, "source_mpp": 1.0},
    "uneven": {"fiber_variation": 0.35},
}
"""Settings of `ImagingParams` by name."""

CASES = (("he", "usual"), ("he", "blurred"), ("atpase:9.4", "usual"), ("atpase:9.4", "uneven"))
"""Stain and look."""

TISSUES = {"he": ("dystrophy", "inflammatory"), "atpase:9.4": ("normal", "chronic_reinnervation")}
"""Presets of the sections in each stain, which take turns."""

SICK = {
    **dict.fromkeys(("necrotic", "hypercontracted", "vacuolated", "split"), 0.05),
    "regenerating": 0.06,
}
"""Share of the fibers with each condition in H&E: enough to count."""

WRONG = {"basophilic_z": 5.5, "opaque_z": 4.5, "cleft_share_above": 0.45, "clear_share_above": 0.07}
"""Limits of a model to begin from that flag too little."""

LEARNED, JUDGED = 8, 6
"""Sections of each case to learn from and to judge on."""

LEARNED_SEED, JUDGED_SEED = 730_000, 740_000
"""First seeds, far above those of training."""

IOU = 0.5
"""A person takes an outline that overlaps a fiber by so much for that fiber."""


@dataclass(frozen=True)
class Corrected:
    """Sections that were corrected and saved as training data, as folders."""

    learned: list[Path]
    judged: list[Path]


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sections", default="1,2,4,8", help="numbers, comma-separated")
    parser.add_argument("--model", default="muscle", help="bundled model or model folder")
    parser.add_argument("--work", type=Path, help="keep everything here")
    options = parser.parse_args()
    counts = [int(n) for n in options.sections.split(",")]
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        ready = {case: correct_all(*case, work, options.model, max(counts)) for case in CASES}
        header = [
            "stain",
            "look",
            "rule",
            "before",
            *(f"{n} section{'s' * (n > 1)}" for n in counts),
        ]
        print("## F1 of conditions, agreement of types, on held-out sections\n")
        rows = [
            [*case, *row] for case in CASES for row in learning(ready[case], counts, options.model)
        ]
        print(markdown(header, rows))
        print("\n## The same, from limits that are wrong\n")
        start = wrong_model(work / "wrong", options.model)
        print(
            markdown(
                header, ([*CASES[0], *row] for row in learning(ready[CASES[0]], counts, start))
            )
        )
        print("\n## Spoiled corrections\n")
        print(markdown(["stain", "corrections", "what comes of it"], spoiled(ready, options.model)))


def correct_all(stain: str, look: str, work: Path, model: str, n_learned: int) -> Corrected:
    """Draw, analyze, correct and save the sections of a case, as far as they are not there yet."""
    home = work / f"{stain.replace(':', '_')}_{look}"
    folders = []
    for first, n in ((LEARNED_SEED, n_learned), (JUDGED_SEED, JUDGED)):
        part = []
        for seed in range(first, first + n):
            folder = home / "items" / str(seed)
            if not folder.is_dir():
                correct_one(draw(stain, look, seed), stain, home, folder, model)
            part.append(folder)
        folders.append(part)
    return Corrected(*folders)


def draw(stain: str, look: str, seed: int) -> SyntheticSection:
    """Draw a section."""
    names = TISSUES[stain]
    tissue = replace(preset(names[seed % len(names)]), fill_gaps=True)
    if stain == "he":
        tissue = replace(tissue, **SICK)
    imaging = random_imaging(np.random.default_rng(seed), stain, severity=SEVERITY)
    imaging = replace(imaging, folds=0, tears=0, freezing_holes=0.0, **LOOKS[look])
    params = SectionParams(tissue, imaging, stain, (FIELD_UM, FIELD_UM), MPP)
    return synthesize_section(params, seed)


def correct_one(
    section: SyntheticSection, stain: str, home: Path, folder: Path, model: str
) -> None:
    """Analyze a section, correct what is told of its fibers, and save it as training data."""
    name = folder.name
    picture = home / "slides" / f"{name}.tif"
    picture.parent.mkdir(parents=True, exist_ok=True)
    write_picture(picture, section)
    config = make_config(mpp=MPP, stain=stain, model=model, patterns={"n_permutations": 99})
    with analyze(picture, config) as analysis:
        results = analysis.save(home / "results" / name)
    with Review.open(results, user="truth") as review:
        correct(review, section, stain)
        review.export_training(folder.parent, whole_section=False)


def correct(review: Review, section: SyntheticSection, stain: str) -> None:
    """Say of each fiber that was found what it is."""
    matching = match_fibers(np.asarray(review.labels), section.labels, iou_threshold=IOU)
    pairs = [(int(found), int(true)) for found, true, *_ in matching.pairs]
    truth = section.fibers.set_index("label")
    table = review.table.set_index("label")
    column, known = ("condition", CONDITIONS) if stain == "he" else ("type", ())
    wrong: dict[str, list[int]] = {}
    for found, true in pairs:
        word = str(truth.loc[true, column])
        if stain == "he" and word not in known:
            word = "normal"
        if table.loc[found, column] != word:
            wrong.setdefault(word, []).append(found)
    for word, labels in sorted(wrong.items()):
        (review.set_condition if stain == "he" else review.set_type)(labels, word)
    corrected = {label for labels in wrong.values() for label in labels}
    review.accept([found for found, _ in pairs if found not in corrected])


def learning(corrected: Corrected, counts: Sequence[int], start: str | Path) -> Iterator[list[str]]:
    """A row for each rule: before, and after so many sections."""
    made = [learn(corrected.learned[:n], corrected.judged, start) for n in counts]
    names = dict.fromkeys(rule.name for rules in made for rule in rules.rules)
    # conditions are few in sections that are typed, and nobody looked for them
    typed = set(names) - set(LIMITS_OF)
    for name in sorted(typed or names, key=[*LIMITS_OF, *names].index):
        before, cells = "–", []
        for rules in made:
            rule = next((rule for rule in rules.rules if rule.name == name), None)
            if rule is None or rule.comparison is None:
                cells.append("too few")
                continue
            found = rule.comparison
            before = f"{getattr(found.old, found.judged_by):.3f}"
            value = f"{getattr(found.new, found.judged_by):.3f}"
            cells.append(f"**{value}**" if rule.taken else f"{value}, not taken")
        yield [name, before, *cells]


def learn(
    learned: Sequence[Path],
    judged: Sequence[Path],
    start: str | Path,
    spoil: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
) -> LearnedRules:
    """Refit the rules as the command line does."""
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        for folder in (*learned, *judged):
            shutil.copytree(folder, data / folder.name)
            if spoil is not None:
                file = data / folder.name / "measured.csv"
                spoil(pd.read_csv(file, keep_default_na=False)).to_csv(file, index=False)
        made = relearn_rules(
            data, Path(scratch) / "mine", start=start, held_out=[folder.name for folder in judged]
        )
    assert made.rules is not None
    return made.rules


def wrong_model(folder: Path, model: str) -> Path:
    """A model whose rules flag too little."""
    base = load_model(model)
    rules = {"limits": WRONG, "types": {}, "source": "made wrong"}
    return save_model(folder, base.unfolded(), {**base.spec, "rules": rules})


def spoiled(ready: dict[tuple[str, str], Corrected], model: str) -> Iterable[list[str]]:
    """What becomes of corrections that are wrong."""
    rng = np.random.default_rng(0)
    kinds: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
        "drawn by lot among the fibers": lambda table: by_lot(table, rng),
        "types exchanged, sick and normal exchanged": exchanged,
    }
    for words, spoil in kinds.items():
        for case in (CASES[0], CASES[-1]):
            rules = learn(ready[case].learned[:4], ready[case].judged, model, spoil)
            for rule in rules.rules:
                yield [case[0], words, rule.text]


def by_lot(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Give what was said of the fibers to others."""
    order = rng.permutation(len(table))
    columns = ["type", "condition"]
    return table.assign(**{name: table[name].to_numpy()[order] for name in columns})


def exchanged(table: pd.DataFrame) -> pd.DataFrame:
    """Say the opposite."""
    types = table["type"].map(lambda kind: {"I": "II"}.get(kind, "I" if kind else ""))
    sick = ~table["condition"].isin(["normal", ""])
    return table.assign(type=types, condition=np.where(sick, "normal", "regenerating"))


if __name__ == "__main__":
    main()
