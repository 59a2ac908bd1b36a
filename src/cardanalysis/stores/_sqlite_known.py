"""What is known of the rows of an SQLite file, so that they need not be read for every call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .._models import Item

__all__ = ["Known"]

_MOST_ITEMS: Final = 10_000
"""Items that are done are among them, so that all are forgotten from time to time."""


class Known:
    """The keys of runs and items, and the items as they are in the file, or will be when the transaction is written.

    All of it is forgotten when anybody else has written to the file, and when a transaction is undone.

    Attributes:
        numbers: The keys of runs by their ids.
        items: The key of an item, and the item, by the run's key and the item's id.
    """

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.items: dict[tuple[int, str], tuple[int, Item]] = {}
        self._data_version: int | None = None

    def look_at(self, data_version: int) -> None:
        """Begin a transaction: what was known holds if nobody else has written, which ``PRAGMA data_version`` tells."""
        if data_version != self._data_version or len(self.items) > _MOST_ITEMS:
            self.forget()
        self._data_version = data_version

    def learn(self, run: int, items: Mapping[int, Item]) -> None:
        """Take items of a run, by their keys, as they are now."""
        for key, item in items.items():
            self.items[run, item.id] = key, item

    def forget(self) -> None:
        """Let everything be read again."""
        self.numbers.clear()
        self.items.clear()
