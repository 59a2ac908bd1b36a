"""What goes in: uploads as the caller hands them in, and what is known about them beyond their content.

All models are frozen, slotted and keyword-only. A wrong value raises a `ConfigurationError` that names the field. Sizes
are bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import mimetypes
import os
import stat
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from attrs import field, frozen, validators

from ._errors import DocumentError, InvalidValue
from ._validators import at_most, choose, count, entries, every, instance_of, is_text, some_text, texts, writable

__all__ = [
    "Confidentiality",
    "DocumentType",
    "ProjectType",
    "QuestionAnswer",
    "Upload",
    "UploadContext",
]


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


@frozen(kw_only=True)
class Upload:
    """A document as the caller hands it in. Make one with `from_text`, `from_bytes` or `from_path`.

    Attributes:
        name: What people call it; shown in progress, errors and evidence.
        media_type: The declared or guessed media type, such as ``text/csv``; None if the name tells nothing.
        size: Bytes.
        context: What is known about it beyond its text.
        data: The bytes, or None for an upload that is read from `path` when its turn comes.
        path: The file, or None.
        modified_ns: When the file was last modified, as it was seen when the upload was made; None without a file.
    """

    name: str = field(converter=writable, validator=some_text)
    media_type: str | None = field(default=None, validator=validators.optional(is_text))
    size: int = field(validator=count)
    context: UploadContext | None = field(default=None, validator=validators.optional(instance_of(UploadContext)))
    data: bytes | None = field(default=None, validator=validators.optional(instance_of(bytes)), repr=False)
    path: Path | None = field(default=None, validator=validators.optional(instance_of(Path)), repr=False)
    modified_ns: int | None = field(default=None, repr=False)

    @classmethod
    def from_text(
        cls, text: str, name: str, *, media_type: str | None = None, context: UploadContext | None = None
    ) -> Upload:
        """Make an upload from text.

        Args:
            text: The document.
            name: What to call it; its ending (``.md``, ``.csv``) tells the format, plain text without one.
            media_type: The format, where the name does not tell it.
            context: What is known beyond the text.

        Raises:
            DocumentError: The text holds half of a surrogate pair, so it cannot be encoded.
            ConfigurationError: It is no text.
        """
        _check_content(text, str, "text", "Upload.from_bytes takes bytes")
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise DocumentError(
                name,
                f"character {error.start} is half of a surrogate pair and no text",
                "Decode the source with errors='replace', or pass its bytes to Upload.from_bytes.",
                code="undecodable",
            ) from None
        media_type = media_type or _media_type_of(name) or "text/plain"
        return cls(name=name, media_type=media_type, size=len(data), context=context, data=data)

    @classmethod
    def from_bytes(
        cls, data: bytes, name: str, media_type: str | None = None, *, context: UploadContext | None = None
    ) -> Upload:
        """Make an upload from bytes.

        Args:
            data: The document's content.
            name: What to call it; its ending tells the format where `media_type` is None.
            media_type: Such as ``text/markdown``.
            context: What is known beyond the content.

        Raises:
            ConfigurationError: It is neither bytes nor a buffer of bytes.
        """
        # bytes(5) would be five zeros.
        _check_content(data, (bytes, bytearray, memoryview), "bytes", "Upload.from_text takes text")
        data = bytes(data)
        return cls(name=name, media_type=media_type or _media_type_of(name), size=len(data), context=context, data=data)

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], *, context: UploadContext | None = None) -> Upload:
        """Make an upload from a file. Only its size is looked up now; it is read when its turn comes.

        Args:
            path: The file.
            context: What is known beyond the content.

        Raises:
            DocumentError: There is no such file, it is a folder, or its folder cannot be looked into.
        """
        path = Path(path)
        try:
            found = path.stat()
        except (OSError, ValueError) as error:  # ValueError: a null character
            raise _unreadable(path, error) from error
        if not stat.S_ISREG(found.st_mode):
            problem = "it is a folder" if stat.S_ISDIR(found.st_mode) else "it is no regular file"
            raise DocumentError(_name_of(path), problem, "Give the path of a file.", code="not_found")
        return cls(
            name=_name_of(path),
            media_type=_media_type_of(path.name),
            size=found.st_size,
            context=context,
            path=path,
            modified_ns=found.st_mtime_ns,
        )

    def read(self) -> bytes:
        """Return the content. For an upload made by `from_path` this reads the file, so call it off the event loop.

        Raises:
            DocumentError: The file is gone, cannot be read, or was changed since this upload was made.
        """
        with self._open() as file:
            return file.read()

    @cached_property
    def id(self) -> str:
        """32 hexadecimal digits made from the content, and from the context if there is one.

        The same content has the same id whatever its name or place. The first use reads a file, so call it off the
        event loop for uploads made by `from_path`.

        Raises:
            DocumentError: See `read`.
        """
        with self._open() as file:
            digest = hashlib.file_digest(file, "sha256")
        if self.context is not None:
            digest.update(b"\0context\0" + json.dumps(self.context.to_dict(), sort_keys=True).encode())
        return digest.hexdigest()[:32]

    @contextmanager
    def _open(self) -> Generator[io.BufferedReader | io.BytesIO, None, None]:
        """The content as a file, so that a large one need not be in memory to be known by its digest."""
        if self.data is not None:
            yield io.BytesIO(self.data)
            return
        if self.path is None:
            raise DocumentError(self.name, "it has neither data nor a path", "Use Upload.from_*.", code="not_found")
        try:
            with self.path.open("rb") as file:
                now = os.fstat(file.fileno())
                if self.modified_ns is not None and (now.st_mtime_ns, now.st_size) != (self.modified_ns, self.size):
                    remedy = "Make the upload again when nobody writes to the file."
                    raise DocumentError(self.name, "the file was changed meanwhile", remedy, code="changed")
                yield file
        except OSError as error:
            raise _unreadable(self.path, error) from error


def _check_content(value: object, kind: type | tuple[type, ...], what: str, otherwise: str) -> None:
    if not isinstance(value, kind):
        raise InvalidValue(f"An upload's content must be {what} here, not {type(value).__name__}. {otherwise}.")


def _name_of(path: Path) -> str:
    """A file's name as text that can be encoded, whatever bytes it has on disk."""
    return os.fsencode(path.name or path).decode(errors="replace")


def _unreadable(path: Path, error: OSError | ValueError) -> DocumentError:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        problem, remedy = "there is no such file", f"Check the path {str(path)!r}."
    else:
        reason = error.strerror if isinstance(error, OSError) else error
        problem, remedy = f"it cannot be read ({reason})", "Check the file and its rights."
    return DocumentError(_name_of(path), problem, remedy, code="not_found")


_MEDIA_TYPES = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
}
"""Those on which platforms disagree."""


def _media_type_of(name: object) -> str | None:
    """Guess a media type from a name. A compressed file is not of the type of what it holds."""
    if not isinstance(name, str):
        return None  # the field's validator says so
    fixed = _MEDIA_TYPES.get(Path(name).suffix.lower())
    guessed, compression = mimetypes.guess_type(name)
    return fixed or (None if compression else guessed)
