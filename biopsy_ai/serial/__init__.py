"""Serial sections: several stains of one block laid on each other, fiber by fiber."""

from biopsy_ai.serial.block import BlockSection, JoinedBlock, join_block
from biopsy_ai.serial.fiber_map import FiberMap, map_of, read_fiber_map
from biopsy_ai.serial.registration import Registration, register_sections
from biopsy_ai.serial.sample_sheet import SampleRow, SampleSheet, read_sample_sheet

__all__ = [
    "BlockSection",
    "FiberMap",
    "JoinedBlock",
    "Registration",
    "SampleRow",
    "SampleSheet",
    "join_block",
    "map_of",
    "read_fiber_map",
    "read_sample_sheet",
    "register_sections",
]
