"""What uploads become when they are loaded: documents of blocks, each with the place where a person can look it up.

All models are frozen, slotted and keyword-only. A wrong value raises a `ConfigurationError` that names the field.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from functools import cached_property

from attrs import Attribute, field, frozen, validators

from ._errors import InvalidValue
from ._validators import count, entries, every, instance_of, is_text, positive, some_text, texts

__all__ = ["Block", "BlockKind", "Document", "Location", "Media"]


class BlockKind(StrEnum):
    """What a block of a document is."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST_ITEM = "list_item"
    CODE = "code"
    TABLE_HEADER = "table_header"
    TABLE_ROW = "table_row"
    IMAGE = "image"
    NOTE = "note"


def _not_before_start(location: Location, attribute: Attribute[int], value: int) -> None:
    if value < location.start:
        raise InvalidValue(f"{attribute.name} must not be less than start.")


_place = validators.optional(positive)


@frozen(kw_only=True)
class Location:
    """Where something stands in a document, so that a person can look it up.

    Attributes:
        name: The document.
        start: Offset of the first character in `Document.text`, in code points.
        end: Offset behind the last character.
        line: First line, counted from 1; None where lines mean nothing.
        end_line: Last line.
        page: Counted from 1.
        slide: Counted from 1.
        sheet: Name of the sheet.
        cells: Cells of the sheet, such as ``A3:F3``.
        paragraph: Counted from 1, tables not counted; for text documents whose pages are not known.
    """

    name: str = field(validator=is_text)
    start: int = field(validator=count)
    end: int = field(validator=[count, _not_before_start])
    line: int | None = field(default=None, validator=_place)
    end_line: int | None = field(default=None, validator=_place)
    page: int | None = field(default=None, validator=_place)
    slide: int | None = field(default=None, validator=_place)
    sheet: str | None = field(default=None, validator=validators.optional(is_text))
    cells: str | None = field(default=None, validator=validators.optional(is_text))
    paragraph: int | None = field(default=None, validator=_place)

    def __str__(self) -> str:
        if self.sheet is not None:
            return f"{self.name}, {self.sheet}!{self.cells}" if self.cells else f"{self.name}, {self.sheet}"
        if self.slide is not None:
            return f"{self.name}, slide {self.slide}"
        if self.page is not None:
            return f"{self.name}, page {self.page}"
        if self.paragraph is not None:
            return f"{self.name}, paragraph {self.paragraph}"
        if self.line is None:
            return self.name
        if self.end_line in (None, self.line):
            return f"{self.name}, line {self.line}"
        return f"{self.name}, lines {self.line}-{self.end_line}"


@frozen(kw_only=True)
class Media:
    """A page or picture that has to be looked at, since its text is not known.

    Attributes:
        media_type: ``application/pdf`` for one page of a PDF file, else the type of an image: ``image/png``,
            ``image/jpeg``, ``image/webp`` or ``image/gif``.
        data: Its content.
        width: Of an image, in pixels; 0 for a page.
        height: Of an image, in pixels; 0 for a page.
    """

    media_type: str = field(validator=some_text)
    data: bytes = field(validator=instance_of(bytes), repr=False)
    width: int = field(default=0, validator=count)
    height: int = field(default=0, validator=count)


@frozen(kw_only=True)
class Block:
    """One piece of a document, in reading order.

    Attributes:
        kind: What it is.
        text: Exactly ``document.text[location.start:location.end]``.
        location: Where it stands.
        level: Depth of a heading (1 is the highest) or of a list item (1 is the outermost); else 0.
        cells: The values of a table row or header, unquoted; else empty.
        columns: For a table row, the header's name of each cell; empty for a table without a header.
        hidden: Whether it stands on a hidden slide or sheet, or is hidden text.
        media: For an image whose text is not known, what to look at; its `text` only says that it is there.
    """

    kind: BlockKind = field(validator=instance_of(BlockKind))
    text: str = field(validator=is_text, repr=False)
    location: Location = field(validator=instance_of(Location))
    level: int = field(default=0, validator=count)
    cells: tuple[str, ...] = field(default=(), converter=texts, validator=every(str), repr=False)
    columns: tuple[str, ...] = field(default=(), converter=texts, validator=every(str), repr=False)
    hidden: bool = False
    media: Media | None = field(default=None, validator=validators.optional(instance_of(Media)))


def _blocks(value: Iterable[Block]) -> tuple[Block, ...]:
    return entries(value)


@frozen(kw_only=True)
class Document:
    """A loaded upload.

    Attributes:
        upload_id: The upload it came from.
        name: The upload's name.
        media_type: What it turned out to be.
        text: All of it; every block and every quote is a slice of this.
        blocks: In reading order, without overlap.
        notes: What a person should know about how it was read, such as a guessed encoding.
        missing: Places that should have been read and could not be, such as ``page 3``, which is damaged. The upload is
            then *partial*.
    """

    upload_id: str = field(validator=is_text)
    name: str = field(validator=is_text)
    media_type: str = field(validator=is_text)
    text: str = field(validator=is_text, repr=False)
    blocks: tuple[Block, ...] = field(converter=_blocks, validator=every(Block), repr=False)
    notes: tuple[str, ...] = field(default=(), converter=texts, validator=every(str))
    missing: tuple[str, ...] = field(default=(), converter=texts, validator=every(str))

    @cached_property
    def pictures(self) -> tuple[Block, ...]:
        """The blocks that have something to look at: of the many blocks of a long table they are asked for often."""
        return tuple(block for block in self.blocks if block.media is not None)
