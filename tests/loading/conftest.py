"""Loading in tests: every document that is read is also checked against the promises that hold for all of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

import pytest

from cardanalysis._documents import Document
from cardanalysis._uploads import Upload
from cardanalysis.loading import load

Read = Callable[..., Document]


def line_of(text: str, offset: int) -> int:
    """The naive count: one more than the line ends before an offset."""
    return 1 + len(re.findall(r"\r\n|\r|\n", text[:offset]))


def check(document: Document, name: str) -> None:
    """Check what holds for every document."""
    text = document.text
    assert not text.startswith("\ufeff")
    assert document.name == name
    assert document.blocks
    for block in document.blocks:
        place = block.location
        assert block.text == text[place.start : place.end]
        assert block.text.strip()
        assert place.name == name or place.name.startswith(f"{name}/")
        if place.line is not None and place.name == name:  # the lines of an attachment are counted in it
            assert place.line == line_of(text, place.start)
            assert place.end_line == line_of(text, place.end - 1)
        assert not block.columns or len(block.columns) == len(block.cells)
    for before, after in pairwise(document.blocks):
        assert before.location.end <= after.location.start


@pytest.fixture(scope="session")
def read() -> Read:
    """Load text or bytes under a name, and check the document."""

    def load_and_check(content: str | bytes, name: str, media_type: str | None = None) -> Document:
        data = content.encode() if isinstance(content, str) else content
        document = load(Upload.from_bytes(data, name, media_type))
        check(document, name)
        return document

    return load_and_check


@pytest.fixture(scope="session")
def outline(read: Read) -> Callable[..., list[tuple[str, int, str]]]:
    """Load text under a name and give kind, level and text of every block."""

    def of(text: str, name: str) -> list[tuple[str, int, str]]:
        return [(str(block.kind), block.level, block.text) for block in read(text, name).blocks]

    return of
