"""``biopsy-ai train DATASET``: what it tells while a model goes on learning."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from biopsy_ai.cli.json_lines import JsonLines
from biopsy_ai.cli.progress import StageBars
from biopsy_ai.cli.reporting import say

if TYPE_CHECKING:
    from biopsy_ai.training.checking import CheckedDataset
    from biopsy_ai.training.collection import ItemOptions
    from biopsy_ai.training.judging import Comparison
    from biopsy_ai.training.retrained import Retrained
    from biopsy_ai.training.retraining import TrainingStep


class Teller:
    """Tells what happens, as events or in words.

    Parameters
    ----------
    events
        Where programs listen; None for people.
    bars
        Progress bars to put aside before anything is said.
    skip_problems
        Whether pictures with problems are left out.
    """

    def __init__(
        self,
        events: JsonLines | None,
        bars: StageBars | JsonLines,
        *,
        skip_problems: bool = False,
    ) -> None:
        self._events = events
        self._bars = bars
        self._skip_problems = skip_problems

    def dataset(self, checked: CheckedDataset) -> None:
        """Tell what a dataset holds, and what is wrong with it."""
        training, held_out = (
            [checked.items[k].item.name for k in part]
            for part in (checked.training, checked.held_out)
        )
        n_slides = len(set(checked.groups))
        reviewed = checked.reviewed
        if self._events is not None:
            self._events.write(
                "dataset",
                pictures=len(checked.items),
                slides=n_slides,
                fibers=checked.n_fibers,
                reviewers=checked.reviewers,
                training=training,
                held_out=held_out,
                problems=[str(problem) for problem in checked.dataset.problems],
                notes=checked.dataset.notes,
                **reviewed,
            )
            return
        self._bars.close()
        for note in checked.dataset.notes:
            say(f"Note: {note}")
        if self._skip_problems:
            for problem in checked.dataset.problems:
                say(f"Left out: {problem}")
        by = f", corrected by {', '.join(checked.reviewers)}" if checked.reviewers else ""
        say(
            f"{_counted(len(checked.items), 'picture')} of "
            f"{_counted(n_slides, 'patient or slide', 'patients or slides')} with "
            f"{checked.n_fibers} labelled fibers{by}."
        )
        if reviewed["reviewed_fibers"]:
            say(
                f"{reviewed['reviewed_fibers']} fibers were looked at, of which "
                f"{reviewed['with_condition']} have a condition and {reviewed['with_type']} a type."
            )
        if training:
            say(f"Learned from: {', '.join(training)}.")
            say(f"Judged on: {', '.join(held_out) or 'none, as all come from one slide'}.")

    def step(self, step: TrainingStep) -> None:
        """Tell how far the training is."""
        if self._events is not None:
            self._events.write(
                "training",
                step=step.step,
                steps=step.steps,
                loss=step.loss,
                held_out_f1=step.held_out_f1,
            )
        elif step.held_out_f1 is not None:
            self._bars.close()
            loss = "" if step.loss is None else f"loss {step.loss:.3f}, "
            say(f"Step {step.step} of {step.steps}: {loss}held-out F1 {step.held_out_f1:.3f}")

    def model(self, made: Retrained) -> None:
        """Tell whether the new model earned its place."""
        if self._events is not None:
            self._events.write(
                "model",
                folder=str(made.folder),
                ready=made.verdict.ready,
                reason=made.verdict.text,
                held_out=_figures(made.held_out),
                samples=_figures(made.samples),
                rules=None if made.rules is None else made.rules.as_dict(),
                seconds=round(made.seconds, 1),
            )
            return
        self._bars.close()
        for title, found in (("held-out slides", made.held_out), ("samples", made.samples)):
            if found is not None:
                say(f"F1 on {title}: old {found.old}, new {found.new}, change {found.gain}")
        say(made.verdict.text)
        if made.rules is not None:
            say(made.rules.text)
        ready = "ready for use" if made.verdict.ready else "NOT ready for use"
        say(f"Model written to {made.folder}, {ready} ({made.seconds / 60:.1f} min).")


def check_only(
    dataset: Path,
    options: ItemOptions,
    held_out: Sequence[str],
    start: str | None,
    seed: int,
    bars: Any,
    teller: Teller,
    *,
    skip_problems: bool,
    outlines: bool = True,
) -> None:
    """Check a dataset and train nothing.

    Parameters
    ----------
    start
        Model to begin from: what it has learned from is not held out.
    seed
        Of the choice of what is held out.
    skip_problems
        Whether pictures with problems will be left out.
    outlines
        Whether pictures and labels are checked, too, and not the reviewed fibers alone.
    """
    from biopsy_ai.resources import list_models
    from biopsy_ai.training.checking import check_dataset, check_measured

    seen: set[str] = set()
    # The bundled models have learned from nobody's own slides; loading them takes seconds.
    if start is not None and start not in list_models():
        from biopsy_ai.segmentation import load_model
        from biopsy_ai.training.retrained import learned_from

        seen = learned_from(load_model(start).spec)
    chosen: dict[str, Any] = {"options": options, "held_out": held_out, "seen": seen, "seed": seed}
    if outlines:
        with tempfile.TemporaryDirectory(prefix="biopsy-ai-") as work:
            checked = check_dataset(dataset, work, progress=bars, **chosen)
    else:
        checked = check_measured(dataset, **chosen)
    teller.dataset(checked)
    checked.refuse_problems(skip=skip_problems)


def _figures(found: Comparison | None) -> dict[str, Any] | None:
    return None if found is None else found.as_dict()


def _counted(n: int, one: str, many: str = "") -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"
