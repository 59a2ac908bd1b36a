"""Pages and pictures that the model looks at: how they are sent, and what they weigh. Pure.

The API's limits are those of its public documentation on vision and PDF support (August 2026).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any, Final

from .._documents import Block, Document, Media

__all__ = [
    "CHARACTERS_A_PICTURE",
    "MOST_BYTES",
    "MOST_PICTURES",
    "extent",
    "media_block",
    "pictures_in",
    "share_of_pictures",
]

MOST_BYTES: Final = 8_000_000
"""Bytes of all pictures of a request. The API takes a body of 32 MB, but one of that size stops the event loop for a
tenth of a second while it is encoded."""
MOST_PICTURES: Final = 90
"""Pages and pictures of a request. The API takes 100 where the model's window is below a million tokens."""
CHARACTERS_A_PICTURE: Final = 2_000
"""What a page of text has, more or less, so that a page that is a picture counts as much as one that is none."""


def media_block(media: Media) -> dict[str, Any]:
    """A page or picture as a content block of a request."""
    kind = "document" if media.media_type == "application/pdf" else "image"
    data = base64.b64encode(media.data).decode("ascii")
    return {"type": kind, "source": {"type": "base64", "media_type": media.media_type, "data": data}}


def pictures_in(document: Document, start: int, end: int) -> Iterator[Block]:
    """The blocks of a span that have something to look at, in order."""
    for block in document.pictures:
        if start <= block.location.start < end:
            yield block


def share_of_pictures(document: Document) -> float:
    """Which share of a document its pictures are, from 0 to 1."""
    whole = extent(document, 0, len(document.text))
    return 1 - len(document.text) / whole if whole else 0.0


def extent(document: Document, start: int, end: int) -> int:
    """How much of a document a span is: its characters, and so many more for each picture."""
    return end - start + CHARACTERS_A_PICTURE * sum(1 for _ in pictures_in(document, start, end))
