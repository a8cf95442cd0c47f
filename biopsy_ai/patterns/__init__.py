"""How the fibers of a section are arranged."""

from biopsy_ai.patterns.fascicles import Fascicles, find_fascicles

__all__ = ["Fascicles", "find_fascicles"]
