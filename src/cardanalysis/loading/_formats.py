"""What a format is: how it is recognised, how large it may be, and the function that parses it."""

from __future__ import annotations

from collections.abc import Callable

from attrs import field, frozen

from .._documents import Block
from .._validators import positive


@frozen(kw_only=True)
class Limits:
    """How large an upload may be, in bytes. A larger one is refused before it is read.

    Attributes:
        text_bytes: Plain text and Markdown.
        table_bytes: CSV and TSV.

    Raises:
        ConfigurationError: A limit is not a whole number of at least 1.
    """

    text_bytes: int = field(default=10_000_000, validator=positive)
    table_bytes: int = field(default=50_000_000, validator=positive)


@frozen(kw_only=True)
class Source:
    """What a parser gets.

    Attributes:
        name: The upload's name, for locations and errors.
        data: Its content.
    """

    name: str
    data: bytes = field(repr=False)


@frozen(kw_only=True)
class Parsed:
    """What a parser gives back: the text, its blocks in reading order, and what a person should know about them."""

    text: str = field(repr=False)
    blocks: list[Block] = field(repr=False)
    notes: tuple[str, ...] = ()


@frozen(kw_only=True)
class Format:
    """One format that can be read.

    Attributes:
        title: What people call it.
        media_types: The types it is declared as, lower case; the first is the one its documents get.
        endings: The endings of its files, lower case, with the dot.
        max_bytes: Picks its limit.
        parse: Parses it. An upload in which it finds no block counts as empty.
    """

    title: str
    media_types: tuple[str, ...]
    endings: tuple[str, ...]
    max_bytes: Callable[[Limits], int]
    parse: Callable[[Source], Parsed]
