"""The two scores on synthetic biopsies of known disease, from pixels to verdict.

``python benchmarks/score.py --cohort FOLDER`` makes 400 biopsies in FOLDER, or goes on with those
that are there (most of an hour on two processors; ``--made`` takes them as they are), scores them,
and prints verdicts, areas under the ROC curve, calibration, agreement of the intervals, what each
family of evidence contributes, and the published MyoPath score on the same sections; the goals come
last. The evidence file must never be tuned on this cohort: other seeds make another one.

A biopsy is *clear* here if it is healthy, or moderately or severely changed, and has 200 measured
fibers; the goals of the areas are those of clear biopsies. Some of the others are so little changed
that nobody could tell. All are drawn: nobody has validated the scores on patients.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from score_cohort import DISEASES, USE_CASES
from score_metrics import (
    auc,
    bootstrap,
    brier,
    calibration,
    calibration_error,
    covered,
    with_prior,
)
from score_results import (
    ABNORMAL,
    CHANGES,
    RIGHT,
    VERDICTS,
    is_clear,
    is_present,
    score_cohort,
    without_family,
)
from score_sections import add_cohort_options, make_cohort
from score_tissue import HEALTHY
from tables import markdown, number, share

BAND_NAMES = ("none", "minimal", "mild", "moderate", "severe")
AUC_GOAL, ACCURACY_GOAL, INDETERMINATE_GOAL, ALARM_GOAL = 0.95, 0.90, 0.20, 0.05
COVERAGE_GOAL = 0.85, 0.95


def main() -> None:
    """Parse, make or go on with the cohort, score, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohort", type=Path, help="its folder, to be kept")
    add_cohort_options(parser)
    parser.add_argument("--made", action="store_true", help="score what is there, make no more")
    parser.add_argument("--evidence", type=Path, help="evidence file, for that of the package")
    parser.add_argument("--scores", type=Path, help="CSV file to write all scores to")
    options = parser.parse_args()
    if options.made and options.cohort is None:
        parser.error("--made takes a cohort that is there: name it by --cohort")
    with tempfile.TemporaryDirectory() as passing:
        folder = options.cohort or Path(passing)
        if not options.made:
            make_cohort(
                folder,
                n_per_disease=options.per_disease,
                first_seed=options.first_seed,
                n_repeats=options.repeats,
                n_processes=options.processes,
                model=options.model,
            )
        start = time.perf_counter()
        biopsies, evidence = score_cohort(folder, options.evidence, options.processes)
    if options.scores is not None:
        biopsies.to_csv(options.scores, index=False)
    print(report(biopsies, evidence))
    print(f"\nscored in {time.perf_counter() - start:.0f} s")


def report(biopsies: pd.DataFrame, evidence: pd.DataFrame) -> str:
    """Make all tables, the goals last; `biopsies` and `evidence` as `score_results` gives them."""
    first = biopsies[biopsies["part"] == "first"].reset_index(drop=True)
    sections = {
        "Verdicts": verdict_table(first),
        "Right verdicts": accuracy_table(first),
        "Area under the ROC curve": auc_table(first),
        "Calibration": calibration_table(first),
        "Brier score": brier_table(first),
        "Agreement of two sections of one muscle": coverage_table(biopsies),
        "Without one family of evidence": family_table(first, evidence),
        "MyoPath, H&E": myopath_table(first),
        "Goals": goal_table(biopsies),
    }
    sizes = f"{len(first)} biopsies, {int((first['n_fibers'] >= 200).sum())} of 200 fibers or more"
    sizes += f", {int(is_clear(first).sum())} clear"
    return "\n\n".join([sizes, *(f"## {title}\n\n{text}" for title, text in sections.items())])


# --- verdicts -------------------------------------------------------------------------------------


def verdict_table(first: pd.DataFrame) -> str:
    """Confusion: how many biopsies of each disease got each verdict."""
    rows = []
    for disease in DISEASES:
        of_it = first[first["disease"] == disease]
        counts = of_it["verdict"].value_counts()
        rows.append([disease, str(len(of_it)), *(str(counts.get(v, 0)) for v in VERDICTS)])
    return markdown(("disease", "n", *VERDICTS), rows)


def accuracy_table(first: pd.DataFrame) -> str:
    """Verdicts by severity and stain; of a mixed change one of the two is not right, nor wrong."""
    clear = first[is_clear(first)]
    groups = [("all", first), ("clear", clear)]
    groups += [(f"severity {band}", first[first["band"] == band]) for band in BAND_NAMES]
    groups += [(f"stains {case}", first[first["use_case"] == case]) for case in USE_CASES]
    groups += [(f"stains {case}, clear", clear[clear["use_case"] == case]) for case in USE_CASES]
    groups += [
        (f"{lowest}–{highest - 1} fibers", first[first["n_fibers"].between(lowest, highest - 1)])
        for lowest, highest in ((0, 100), (100, 200), (200, 10_000))
    ]
    rows = [_accuracy_row(title, group) for title, group in groups if len(group)]
    header = (
        *("biopsies", "n", "right", "one of two", "no abnormality, though diseased"),
        *("indeterminate", "not enough tissue", "wrong"),
        "denervation against myopathy: n told, right",
    )
    return markdown(header, rows)


def _accuracy_row(title: str, group: pd.DataFrame) -> list[str]:
    verdict, disease = group["verdict"], group["disease"]
    right = verdict == disease.map(RIGHT)
    half = disease.eq("mixed") & verdict.isin(CHANGES)
    missed = verdict.eq("no_abnormality") & ~disease.isin(HEALTHY)
    unsure, little = verdict.eq("indeterminate"), verdict.eq("not_enough_tissue")
    wrong = ~(right | half | missed | unsure | little)
    told, accuracy = told_apart(group)
    return [
        title,
        str(len(group)),
        *(share(float(flags.mean())) for flags in (right, half, missed, unsure, little, wrong)),
        f"{told}, {share(accuracy)}",
    ]


def told_apart(group: pd.DataFrame) -> tuple[int, float]:
    """Biopsies of one change that are said to be of one, and the share that is said right."""
    one = group[group["disease"].map(RIGHT).isin(CHANGES) & group["verdict"].isin(CHANGES)]
    return len(one), float((one["verdict"] == one["disease"].map(RIGHT)).mean())


# --- scores ---------------------------------------------------------------------------------------


def auc_table(first: pd.DataFrame) -> str:
    """Each score: biopsies with the change against all without it, healthy and diseased."""
    clear = first[is_clear(first)]
    groups = [("all", first), ("clear", clear)]
    groups += [(f"{case}, clear", clear[clear["use_case"] == case]) for case in USE_CASES]
    rows = []
    for change in CHANGES:
        for title, group in groups:
            rows.append([change, f"all without it, {title}", *_auc_cells(group, change)])
        healthy = clear[is_present(clear, change) | clear["disease"].isin(HEALTHY)]
        rows.append([change, "healthy, clear", *_auc_cells(healthy, change)])
        other = clear[is_present(clear, change) != _other_present(clear, change)]
        rows.append([change, "the other change, clear", *_auc_cells(other, change)])
    return markdown(("score", "against", "with it / without", "AUC", "95 % interval"), rows)


def _other_present(group: pd.DataFrame, change: str) -> np.ndarray:
    return is_present(group, CHANGES[1 - CHANGES.index(change)])


def _auc_cells(group: pd.DataFrame, score: str, change: str | None = None) -> list[str]:
    group = group[group[score].notna()]
    values, truth = group[score].to_numpy(float), is_present(group, change or score)
    low, high = bootstrap(auc, values, truth)
    count = f"{int(truth.sum())} / {int((~truth).sum())}"
    return [count, number(auc(values, truth)), f"{number(low)}–{number(high)}"]


def calibration_table(first: pd.DataFrame) -> str:
    """Bins of equal size: the mean score, and how many percent have the change."""
    rows = []
    for change in CHANGES:
        known = first[first[change].notna()]
        for held in calibration(known[change].to_numpy(float), is_present(known, change)):
            rows.append([change, str(held.n), number(held.said, ".1f"), number(held.seen, ".1f")])
    return markdown(("score", "n", "mean score", "with the change %"), rows)


def brier_table(first: pd.DataFrame) -> str:
    """Brier score and calibration error, also with the share of this cohort as prior.

    The score starts from even odds, and fewer than half of the cohort have each change.
    """
    rows = []
    for change in CHANGES:
        for title, group in (("all", first), ("clear", first[is_clear(first)])):
            known = group[group[change].notna()]
            values, truth = known[change].to_numpy(float), is_present(known, change)
            if not len(known):
                continue
            usual = float(truth.mean())
            cells = [change, title, str(len(known)), share(usual)]
            scores = [values]
            if 0 < usual < 1:
                scores.append(with_prior(values, usual))
            for changed in scores:
                cells += [
                    number(brier(changed, truth)),
                    number(calibration_error(calibration(changed, truth)), ".1f"),
                ]
            cells += ["–"] * (8 - len(cells)) + [number(usual * (1 - usual))]
            rows.append(cells)
    header = (
        *("score", "biopsies", "n", "with the change", "Brier", "calibration error, points"),
        *("Brier, prior of the cohort", "calibration error", "Brier of the share alone"),
    )
    return markdown(header, rows)


def coverage_table(biopsies: pd.DataFrame) -> str:
    """Pairs of independent sections; `covered` says what is expected of right intervals."""
    rows = []
    for change in CHANGES:
        for title, clear in (("all", False), ("clear", True)):
            pairs = pairs_of(biopsies, change, clear=clear)
            if not len(pairs[0]):
                continue
            by_difference, one_in_other = covered(*pairs)
            low, high = bootstrap(np.mean, by_difference)
            width = np.concatenate([table[:, 2] - table[:, 1] for table in pairs])
            rows.append(
                [
                    *(change, title, str(len(by_difference)), share(float(by_difference.mean()))),
                    f"{share(low)}–{share(high)}",
                    share(float(one_in_other.mean())),
                    number(float(np.median(width)), ".1f"),
                ]
            )
    header = (
        *("score", "biopsies", "pairs", "differ as the intervals say (right: 90 %)", "95 %"),
        *("score in the interval of the other (right: about 75 %)", "median width, points"),
    )
    return markdown(header, rows)


def pairs_of(
    biopsies: pd.DataFrame, change: str, *, clear: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Score and interval of the first and the second section of the biopsies that have two."""
    columns = [change, f"{change}_low", f"{change}_high"]
    kept = biopsies[is_clear(biopsies)] if clear else biopsies
    known = kept[kept[columns].notna().all(axis=1)].set_index("number")
    first, second = (known[known["part"] == part] for part in ("first", "second"))
    both = first.index.intersection(second.index)
    return first.loc[both, columns].to_numpy(float), second.loc[both, columns].to_numpy(float)


# --- what counts ----------------------------------------------------------------------------------


def family_table(first: pd.DataFrame, evidence: pd.DataFrame) -> str:
    """Clear biopsies, scored from the evidence of all families but one.

    The accuracy is that of the higher of the two scores where one of the changes is present.
    """
    clear = first[is_clear(first) & first[list(CHANGES)].notna().all(axis=1)]
    one = clear["disease"].map(RIGHT).isin(CHANGES).to_numpy()
    families = list(dict.fromkeys(evidence["family"]))
    rows, whole = [], np.zeros(3)
    for family in (None, *families):
        scores = {change: without_family(clear, evidence, change, family) for change in CHANGES}
        areas = [auc(scores[change], is_present(clear, change)) for change in CHANGES]
        nerve = (scores["denervation"] > scores["myopathy"])[one]
        accuracy = float(np.mean(nerve == is_present(clear, "denervation")[one]))
        found = np.array([*areas, accuracy])
        if family is None:
            whole = found
        cells = [number(value) for value in found]
        if family is not None:
            cells = [
                f"{cell} ({value:+.3f})" for cell, value in zip(cells, found - whole, strict=True)
            ]
        rows.append([family or "all families", *cells])
    header = ("without", *(f"AUC {change}" for change in CHANGES), "higher score is right")
    return markdown(header, rows)


def myopath_table(first: pd.DataFrame) -> str:
    """The published score and ours on the same sections stained with H&E."""
    seen = first[first["myopath"].notna() & is_clear(first)]
    alone = seen[seen["use_case"] == "he"]
    normal = seen["disease"].isin(HEALTHY)
    groups = {
        "myopathy against healthy": seen[is_present(seen, "myopathy") | normal],
        "myopathy against all without it": seen,
        "myopathy against denervation": seen[
            is_present(seen, "myopathy") != is_present(seen, "denervation")
        ],
        "the same, H&E alone": alone[
            is_present(alone, "myopathy") != is_present(alone, "denervation")
        ],
    }
    rows = []
    for title, group in groups.items():
        theirs = _auc_cells(group, "myopath", "myopathy")
        ours = _auc_cells(group, "myopathy")
        rows.append([title, theirs[0], *(" (".join(c[1:]) + ")" for c in (theirs, ours))])
    rates = [
        [disease, str(len(group)), number(float(group["myopath"].median()), ".1f")]
        + [share(float((group[score] > 50).mean())) for score in ("myopath", "myopathy")]
        for disease, group in ((d, seen[seen["disease"] == d]) for d in DISEASES)
        if len(group)
    ]
    first_table = markdown(("AUC, clear biopsies", "n", "MyoPath", "our myopathy score"), rows)
    header = ("disease", "n", "MyoPath, median", "MyoPath above 50", "our myopathy score above 50")
    return f"{first_table}\n\n{markdown(header, rates)}"


# --- goals ----------------------------------------------------------------------------------------


def goal_table(biopsies: pd.DataFrame) -> str:
    """Each goal, what was found, and whether it is met; only what was drawn is listed."""
    first = biopsies[biopsies["part"] == "first"].reset_index(drop=True)
    clear = first[is_clear(first)]
    rows: list[list[str]] = []

    def add(what: str, goal: str, text: str, met: bool) -> None:
        rows.append([what, goal, text, "met" if met else "not met"])

    for change in CHANGES:
        count, area, interval = _auc_cells(clear, change)
        if area != "–":
            text = f"{area} ({interval}), {count}"
            add(f"AUC {change}, clear biopsies", f"≥ {AUC_GOAL}", text, float(area) >= AUC_GOAL)
    for title, group in (("clear biopsies", clear), ("all biopsies", first)):
        told, accuracy = told_apart(group)
        if told:
            text = f"{share(accuracy)} of {told}"
            what = f"denervation against myopathy where one is said, {title}"
            add(what, "≥ 90 %", text, accuracy >= ACCURACY_GOAL)
        one = group[is_present(group, "denervation") != is_present(group, "myopathy")]
        for what, part in (
            (f"indeterminate where there is one of the two, {title}", one),
            (f"indeterminate, {title}", group),
        ):
            if len(part):
                unsure = float(part["verdict"].eq("indeterminate").mean())
                text = f"{share(unsure)} of {len(part)}"
                add(what, "≤ 20 %", text, unsure <= INDETERMINATE_GOAL)
    healthy = first[first["disease"].isin(HEALTHY)]
    if len(healthy):
        alarms = float(healthy["verdict"].isin(ABNORMAL).mean())
        text = f"{share(alarms)} of {len(healthy)}"
        add("normal and ageing called abnormal", "< 5 %", text, alarms < ALARM_GOAL)
    for change in CHANGES:
        pairs = pairs_of(biopsies, change)
        if len(pairs[0]):
            held = float(covered(*pairs)[0].mean())
            met = COVERAGE_GOAL[0] <= held <= COVERAGE_GOAL[1]
            text = f"{share(held)} of {len(pairs[0])} pairs"
            add(f"90 % interval of {change} covers", "85–95 %", text, met)
    return markdown(("what", "goal", "found", ""), rows)


if __name__ == "__main__":
    main()
