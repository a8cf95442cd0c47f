"""What a section was found to be, as files: tables, label images, outlines, overlays."""

from __future__ import annotations

from biopsy_ai.report.overlay import write_overlay
from biopsy_ai.report.save import save_analysis

__all__ = ["save_analysis", "write_overlay"]
