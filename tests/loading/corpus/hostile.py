"""Files that are meant to harm, or are not what they seem, each with what must come of it.

``python -m tests.loading.corpus.hostile FOLDER`` writes all of them into a folder, from the root of the repository.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path

from attrs import frozen

UNREADABLE = frozenset({"malformed", "empty", "undecodable", "unknown_type"})
"""The codes of what is damaged beyond knowing what it was."""


@frozen(kw_only=True)
class Hostile:
    """A file, and what comes of loading it.

    Attributes:
        name: Its name.
        make: Makes its bytes.
        codes: The codes of errors that are right.
        text: If it can be read, what must be found in it; None if it must not be read.
        noted: Whether a note must tell of something when it is read.
    """

    name: str
    make: Callable[[], bytes]
    codes: frozenset[str] = frozenset()
    text: str | None = None
    noted: bool = False

    @cached_property
    def data(self) -> bytes:
        """Its bytes, made once."""
        return self.make()


HOSTILE: dict[str, Hostile] = {}
"""All of them, by name."""

Make = Callable[[], bytes]


def refused(name: str, *codes: str) -> Callable[[Make], Make]:
    """What is made must be refused with one of these codes."""

    def add(make: Make) -> Make:
        HOSTILE[name] = Hostile(name=name, make=make, codes=frozenset(codes))
        return make

    return add


def read(name: str, text: str, *codes: str, noted: bool = False) -> Callable[[Make], Make]:
    """What is made must be read, with a text in it; if there are codes, it may as well be refused with one of them."""

    def add(make: Make) -> Make:
        HOSTILE[name] = Hostile(name=name, make=make, codes=frozenset(codes), text=text, noted=noted)
        return make

    return add


def files() -> Mapping[str, Hostile]:
    """All of them."""
    from . import hostile_office, hostile_others, hostile_pages  # noqa: F401 - they add theirs

    return HOSTILE


def write(folder: Path) -> None:
    """Write all of them into a folder."""
    for name, hostile in files().items():
        (folder / name).write_bytes(hostile.data)


if __name__ == "__main__":
    from . import hostile as imported

    imported.write(Path(sys.argv[1]))
