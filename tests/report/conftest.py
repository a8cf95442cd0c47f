"""The drawn fibers, as fixtures."""

from drawn_fibers import drawn_labels, fibers, segmentation

__all__ = ["drawn_labels", "fibers", "segmentation"]
