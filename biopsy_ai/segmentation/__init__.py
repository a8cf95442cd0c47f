"""Outlines of fibers: found by the network, or brought by the user."""

from biopsy_ai.segmentation.drawing import FiberMaps, fiber_maps
from biopsy_ai.segmentation.instances import FiberInstances, label_fibers
from biopsy_ai.segmentation.model import Model, load_model, save_model
from biopsy_ai.segmentation.nuclei import Nuclei, NucleusThresholds, label_nuclei
from biopsy_ai.segmentation.outlines import read_outlines
from biopsy_ai.segmentation.predict import segment_fibers
from biopsy_ai.segmentation.result import Segmentation
from biopsy_ai.segmentation.thresholds import InstanceThresholds
from biopsy_ai.segmentation.tissue_map import TissueMap

__all__ = [
    "FiberInstances",
    "FiberMaps",
    "InstanceThresholds",
    "Model",
    "Nuclei",
    "NucleusThresholds",
    "Segmentation",
    "TissueMap",
    "fiber_maps",
    "label_fibers",
    "label_nuclei",
    "load_model",
    "read_outlines",
    "save_model",
    "segment_fibers",
]
