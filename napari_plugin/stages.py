"""The stages of an analysis in plain words."""

from __future__ import annotations

STAGES = {
    "open": "Reading the file",
    "tissue": "Looking for tissue",
    "segment": "Outlining fibers",
    "nuclei_channel": "Finding nuclei",
    "measure": "Measuring fibers and what lies around",
    "contacts": "Finding neighbors",
    "patterns": "Testing patterns",
    "report": "Writing results",
    "training_data": "Writing training data",
    "check": "Checking the data",
    "render": "Drawing synthetic sections",
    "train": "Training",
    "compare": "Comparing old and new",
}
"""Words for each stage that the core tells of."""


def stage_in_words(stage: str) -> str:
    """A stage as users read it; its own name, where it has no words here."""
    return STAGES.get(stage, stage.replace("_", " ").capitalize())
