"""What a format is: how it is recognised, how large it may be, and the function that parses it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from typing import BinaryIO, Literal

from attrs import define, field, frozen

from .._documents import Block
from .._errors import DocumentError
from .._validators import duration, positive

Pages = Literal["auto", "text", "picture"]
"""Which pages of a PDF file are looked at: those without text that can be read, none, or all."""


@frozen(kw_only=True)
class Limits:
    """How large an upload may be, and what reading it may take. A larger one is refused with an error that says so.

    Sizes are bytes. Those of files are checked before a file is read.

    Attributes:
        text_bytes: Plain text, Markdown and HTML.
        table_bytes: CSV and TSV.
        document_bytes: PDF, Word, Excel and mail.
        slides_bytes: PowerPoint.
        image_bytes: PNG, JPEG and WebP.
        gif_bytes: GIF.
        archive_bytes: Zip archives.
        members: Files in an archive; Word, Excel and PowerPoint files are archives too.
        expanded_bytes: What the members of an archive may come to when they are unpacked.
        pages: Pages or slides.
        blocks: Paragraphs, list items, rows and the like of a document; each takes half a kilobyte and more of memory.
        rows: Rows of all tables of a document together.
        cells: Cells of all tables of a document together.
        pixels: Pixels of one image.
        seconds: How long a parser may take. Text, Markdown, CSV and TSV are read in a thread, without such a bound:
            their readers take time in proportion to the size.
        memory_bytes: What a parser may take beyond what its process needs to start, on Linux and macOS. What a document
            takes in your own process is bounded by its size and by `blocks`, `rows` and `cells`.

    Raises:
        ConfigurationError: A limit is not a whole number of at least 1, or `seconds` is not more than 0.
    """

    text_bytes: int = field(default=10_000_000, validator=positive)
    table_bytes: int = field(default=50_000_000, validator=positive)
    document_bytes: int = field(default=50_000_000, validator=positive)
    slides_bytes: int = field(default=100_000_000, validator=positive)
    image_bytes: int = field(default=20_000_000, validator=positive)
    gif_bytes: int = field(default=10_000_000, validator=positive)
    archive_bytes: int = field(default=500_000_000, validator=positive)
    members: int = field(default=10_000, validator=positive)
    expanded_bytes: int = field(default=1_000_000_000, validator=positive)
    pages: int = field(default=2_000, validator=positive)
    blocks: int = field(default=250_000, validator=positive)
    rows: int = field(default=250_000, validator=positive)
    cells: int = field(default=2_500_000, validator=positive)
    pixels: int = field(default=100_000_000, validator=positive)
    seconds: float = field(default=60.0, validator=duration)
    memory_bytes: int = field(default=256_000_000, validator=positive)


def malformed(name: str, problem: str) -> DocumentError:
    """What to raise where a file is not what it should be; `problem` is a clause: ``it ends in the middle``."""
    remedy = "Open it in the program it came from and save it again."
    return DocumentError(name, problem, remedy, code="malformed")


@frozen(kw_only=True)
class Source:
    """What a parser gets.

    Attributes:
        name: The upload's name, for locations and errors.
        open: Opens its content as a file that can seek, until the context ends.
        limits: What it may hold.
        pages: What becomes of the pages of a PDF file; see `DocumentLoader`.
    """

    name: str
    open: Callable[[], AbstractContextManager[BinaryIO]] = field(repr=False)
    limits: Limits = field(factory=Limits)
    pages: Pages = "auto"

    @classmethod
    def of(cls, data: bytes, name: str, limits: Limits | None = None) -> Source:
        """Make one of what is in memory, such as a mail's attachment."""
        return cls(name=name, open=lambda: nullcontext(BytesIO(data)), limits=limits or Limits())

    @property
    def data(self) -> bytes:
        """All of the content, read anew each time."""
        with self.open() as file:
            return file.read()

    def too_large(self, found: str, limit: str) -> DocumentError:
        """What to raise where it holds more than a limit allows.

        Args:
            found: What was found, as a clause: ``it has more than 500,000 rows``.
            limit: The limit's name, such as ``rows``.
        """
        remedy = f"Split it into parts, or raise Limits.{limit}."
        return DocumentError(self.name, found, remedy, code="too_large")

    def check_blocks(self, count: int) -> None:
        """Refuse a document that has more blocks than are allowed."""
        if count > self.limits.blocks:
            raise self.too_large(f"it has more than {self.limits.blocks:,} paragraphs, items and rows", "blocks")

    def malformed(self, problem: str) -> DocumentError:
        """What to raise where it is not what it should be; `problem` is a clause: ``it ends in the middle``."""
        return malformed(self.name, problem)


@define
class RowTally:
    """Counts the rows and cells of a document, of which there may be only so many.

    Args:
        source: What is read.
    """

    _source: Source
    _rows: int = field(default=0, init=False)
    _cells: int = field(default=0, init=False)

    def add(self, cells: int) -> bool:
        """Count a row and return True.

        Raises:
            DocumentError: There are more rows or cells than the limits allow.
        """
        limits = self._source.limits
        self._rows += 1
        self._cells += cells
        if self._rows > limits.rows:
            raise self._source.too_large(f"it has more than {limits.rows:,} rows", "rows")
        if self._cells > limits.cells:
            raise self._source.too_large(f"it has more than {limits.cells:,} cells", "cells")
        return True


@frozen(kw_only=True)
class Parsed:
    """What a parser gives back: the text, its blocks in reading order, and what a person should know about them.

    What is missing are places that should have been read and could not be, such as ``page 3``.
    """

    text: str = field(repr=False)
    blocks: list[Block] = field(repr=False)
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@frozen(kw_only=True)
class Format:
    """One format that can be read.

    Attributes:
        title: What people call it.
        media_types: The types it is declared as, lower case; the first is the one its documents get.
        endings: The endings of its files, lower case, with the dot.
        limit: The field of `Limits` that has the size of its largest file.
        parse: Parses it. An upload in which it finds no block counts as empty. It imports other packages when it is
            called, not before.
        isolated: Whether it is parsed in a process of its own, with limits: by code that hostile files can hang.
    """

    title: str
    media_types: tuple[str, ...]
    endings: tuple[str, ...]
    limit: str
    parse: Callable[[Source], Parsed] = field(repr=False)
    isolated: bool = False

    def max_bytes(self, limits: Limits) -> int:
        """The size of its largest file."""
        most: int = getattr(limits, self.limit)
        return most

    @property
    def is_text(self) -> bool:
        """Whether its files are text that a person could read in an editor."""
        return self.media_types[0].startswith(("text/", "message/"))
