"""The review of a section by a person: corrections, their log, and what they lead to."""

from biopsy_ai.review.change import Change
from biopsy_ai.review.log import has_review
from biopsy_ai.review.review import Review

__all__ = ["Change", "Review", "has_review"]
