"""Errors raised by biopsy-ai. Each message says what is wrong and what to do next."""

from __future__ import annotations


class BiopsyError(Exception):
    """Base of every error that a user can cause and mend."""


class SlideReadError(BiopsyError):
    """A slide file is missing, damaged, too large or in a format that cannot be read."""


class PixelSizeError(BiopsyError):
    """The pixel size is missing, implausible or contradictory."""


class ChannelError(BiopsyError):
    """A named channel does not exist, or none is named where one is needed."""


class NoTissueError(BiopsyError):
    """The image holds nothing that looks like muscle."""


class OutlineReadError(BiopsyError):
    """A file with fiber outlines cannot be read or does not fit the image."""


class TypesReadError(BiopsyError):
    """A table of fiber types cannot be read or does not fit the fibers."""


class ModelError(BiopsyError):
    """A model folder is missing, incomplete or damaged."""


class ConfigError(BiopsyError):
    """An option has a value that cannot be used."""


class RegistrationError(BiopsyError):
    """Two sections of a block do not fit on each other."""


class CalibrationError(BiopsyError):
    """A cohort is too small to calibrate evidence on, or its labels do not fit its results."""


class TrainingDataError(BiopsyError):
    """Pictures or labels cannot be trained on as they are."""


class ReviewError(BiopsyError):
    """A correction cannot be made as asked, or a review cannot be opened or saved."""


class OutputError(BiopsyError):
    """Results cannot be written where they were asked for."""


class ClusterError(BiopsyError):
    """Workers cannot be started or reached, or do not fit the run."""


class Cancelled(BiopsyError):
    """The user stopped the analysis."""
