"""Findings, evidence and the two scores: how strongly a section speaks for each change."""

from biopsy_ai.score.evidence import Evidence, load_evidence
from biopsy_ai.score.finding import Finding
from biopsy_ai.score.scoring import SectionScore, score_block, score_folder, score_section
from biopsy_ai.score.section import Section, read_section, section_of

__all__ = [
    "Evidence",
    "Finding",
    "Section",
    "SectionScore",
    "load_evidence",
    "read_section",
    "score_block",
    "score_folder",
    "score_section",
    "section_of",
]
