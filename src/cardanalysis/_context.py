"""What a person knows about an upload that its content does not say."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from ._validators import at_most, choose, entries, every, is_text, texts

__all__ = ["Confidentiality", "DocumentType", "ProjectType", "QuestionAnswer", "UploadContext"]


class ProjectType(StrEnum):
    """What kind of project an upload belongs to."""

    NEW_DEVELOPMENT = "new-development"
    ENHANCEMENT = "enhancement"
    MIGRATION = "migration"
    MAINTENANCE = "maintenance"
    OTHER = "other"


class DocumentType(StrEnum):
    """What kind of document an upload is."""

    REQUIREMENTS = "requirements"
    DESIGN = "design"
    MEETING_NOTES = "meeting-notes"
    ANALYSIS = "analysis"
    SPECIFICATION = "specification"
    OTHER = "other"


class Confidentiality(StrEnum):
    """Who may see an upload. It is recorded with the upload; it does not stop it from being analyzed."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"


def _project_type(value: str | None) -> ProjectType | None:
    return choose(ProjectType, value, "project_type")


def _document_type(value: str | None) -> DocumentType | None:
    return choose(DocumentType, value, "document_type")


def _confidentiality(value: str | None) -> Confidentiality | None:
    return choose(Confidentiality, value, "confidentiality")


@frozen(kw_only=True)
class QuestionAnswer:
    """A clarifying question about an upload and its answer."""

    question: str = field(validator=is_text)
    answer: str = field(validator=is_text)


def _answers(value: Iterable[QuestionAnswer]) -> tuple[QuestionAnswer, ...]:
    return entries(value)


@frozen(kw_only=True)
class UploadContext:
    """What a person knows about an upload that its text does not say. Everything is optional and reaches the analyzer.

    Attributes:
        project_type: One of `ProjectType`, or its value.
        business_domain: At most 100 characters.
        target_audience: At most 500 characters.
        document_type: One of `DocumentType`, or its value.
        confidentiality: One of `Confidentiality`, or its value.
        notes: At most 2,000 characters.
        key_terms: Words the analysis should know.
        questions_and_answers: Clarifying questions with their answers.

    Raises:
        ConfigurationError: A value is not one of its choices, or too long.
    """

    project_type: ProjectType | None = field(default=None, converter=_project_type)
    business_domain: str = field(default="", validator=at_most(100))
    target_audience: str = field(default="", validator=at_most(500))
    document_type: DocumentType | None = field(default=None, converter=_document_type)
    confidentiality: Confidentiality | None = field(default=None, converter=_confidentiality)
    notes: str = field(default="", validator=at_most(2000), repr=False)
    key_terms: tuple[str, ...] = field(default=(), converter=texts, validator=every(str))
    questions_and_answers: tuple[QuestionAnswer, ...] = field(
        default=(), converter=_answers, validator=every(QuestionAnswer), repr=False
    )

    def to_dict(self) -> dict[str, Any]:
        """What is set, as plain JSON values."""
        values: dict[str, Any] = {
            name: getattr(self, name) for name in ("business_domain", "target_audience", "notes") if getattr(self, name)
        }
        for name in ("project_type", "document_type", "confidentiality"):
            if (choice := getattr(self, name)) is not None:
                values[name] = str(choice)
        if self.key_terms:
            values["key_terms"] = list(self.key_terms)
        if self.questions_and_answers:
            values["questions_and_answers"] = [
                {"question": each.question, "answer": each.answer} for each in self.questions_and_answers
            ]
        return values
