"""Patients: their blocks and sections summarized for each, and the fibers of a whole cohort."""

from biopsy_ai.patients.collecting import Written, collect, write_fibers_parquet, write_patients

__all__ = ["Written", "collect", "write_fibers_parquet", "write_patients"]
