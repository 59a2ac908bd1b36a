"""Reading one upload in this process: find its format, check its size, parse it."""

from __future__ import annotations

import io

from attrs import frozen

from .._documents import Document
from .._errors import CardAnalysisError, DocumentError
from .._uploads import Upload
from ._formats import Format, Limits, Pages, Parsed, Source
from ._registry import choose
from ._types import HEAD, is_zip

__all__ = ["Reading", "check_size", "out_of_memory"]


@frozen
class Reading:
    """What is read, and how.

    Attributes:
        upload: What to read.
        limits: What it may hold.
        pages: What becomes of the pages of a PDF file.
    """

    upload: Upload
    limits: Limits
    pages: Pages

    def is_archive(self) -> bool:
        """Whether it is a zip archive, of which even the list of members may be hostile."""
        with self.upload.open() as file:
            return is_zip(file.read(HEAD))

    def choose(self) -> tuple[Format, tuple[str, ...]]:
        """Find the format, with notes on how it was found; see `_registry.choose`. Its limit on the size holds.

        Raises:
            DocumentError: There is none that can be read, or it is empty or too large.
        """
        name = self.upload.name
        with self.upload.open() as file:
            chosen, notes = choose(name, self.upload.media_type, file)
            # What it really has: an upload that was not made by its own methods may say anything.
            check_size(name, file.seek(0, io.SEEK_END), chosen.max_bytes(self.limits), chosen.limit)
        return chosen, notes

    def run(self) -> Document:
        """Read it.

        Raises:
            DocumentError: It cannot be read.
        """
        return self.read_as(*self.choose())

    def read_as(self, chosen: Format, notes: tuple[str, ...]) -> Document:
        """Read it in the format that was chosen.

        Raises:
            DocumentError: It cannot be read.
        """
        upload = self.upload
        parsed = self._parse(chosen)
        if not parsed.blocks:
            raise _empty(upload.name)
        return Document(
            upload_id=upload.id,
            name=upload.name,
            media_type=chosen.media_types[0],
            text=parsed.text,
            blocks=parsed.blocks,
            notes=notes + parsed.notes,
            missing=parsed.missing,
        )

    def _parse(self, chosen: Format) -> Parsed:
        name = self.upload.name
        source = Source(name=name, open=self.upload.open, limits=self.limits, pages=self.pages)
        try:
            return chosen.parse(source)
        except ModuleNotFoundError as error:
            problem = f"the package {error.name}, which is needed to read it, is not installed"
            remedy = 'Install it with pip install "cardanalysis[documents]".'
            raise DocumentError(name, problem, remedy, code="missing_extra") from error
        except (CardAnalysisError, MemoryError):
            raise
        except Exception as error:
            problem = f"something in it is not as it should be in {chosen.title} ({type(error).__qualname__})"
            raise source.malformed(problem) from error


def check_size(name: str, size: int, most: int, limit: str) -> None:
    """Refuse an upload that is empty or larger than its limit."""
    if size == 0:
        raise _empty(name)
    if size > most:
        raise DocumentError(
            name,
            f"it has {size:,} bytes and at most {most:,} are allowed",
            f"Split it into parts, or raise Limits.{limit}.",
            code="too_large",
        )


def out_of_memory(name: str, limits: Limits) -> DocumentError:
    """What to say of an upload whose parser needs too much memory."""
    problem = f"reading it takes more than {limits.memory_bytes:,} bytes of memory"
    return DocumentError(name, problem, "Split it into parts, or raise Limits.memory_bytes.", code="memory")


def _empty(name: str) -> DocumentError:
    return DocumentError(name, "it is empty", "Check that it was saved, or leave it out.", code="empty")
