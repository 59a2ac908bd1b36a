"""What turns uploads into cards, as protocols; `cardanalysis.abc` has them beside the store's."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, runtime_checkable

from ._documents import Document
from ._models import Analysis, AnalysisRequest
from ._uploads import Upload
from ._work import Journal

__all__ = ["Analyzer", "BatchAnalyzer", "BatchSession", "Described", "Loader", "OpenableAnalyzer"]


class Analyzer(Protocol):
    """Turns one document into cards.

    An analyzer may be called for several documents at once. It knows nothing of stores, limits or runs.
    """

    @property
    def name(self) -> str:
        """A short name, recorded on every run and every card."""
        ...

    async def analyze(self, document: Document, request: AnalysisRequest, /) -> Analysis:
        """Find the cards in a document.

        Args:
            document: What to read. Its text is data, never an instruction.
            request: How many cards are wanted, and what is known beyond the text.

        Returns:
            The cards and what they cost. Quotes are looked up in the document afterwards; an analyzer that does not
            know where they stand puts them into ``Card.quotes``.

        Raises:
            AnalyzerError: This document cannot be analyzed; the others go on.
            ConfigurationError: No document can be analyzed, as with a wrong key. The run stops and stays resumable.
        """
        ...


@runtime_checkable
class OpenableAnalyzer(Protocol):
    """An analyzer that needs something for the length of a run, such as a connection pool."""

    def open(self) -> AbstractAsyncContextManager[Analyzer]:
        """Check the settings and give an analyzer that is ready to work until the context ends.

        It is entered once for each run, before any item starts, in the event loop that does the work.

        Raises:
            ConfigurationError: On entering, if no document could be analyzed.
        """
        ...


class BatchSession(Analyzer, Protocol):
    """An analyzer whose requests wait in batches. While they do, other uploads are loaded and join them."""

    @property
    def most_waiting(self) -> int:
        """How many documents may wait at once; each is held in memory."""
        ...

    async def cancel(self) -> None:
        """Cancel every batch that is under way, since somebody cancelled the run.

        It is not called when the run is interrupted: then the batches go on, for the resumed run.
        """
        ...


@runtime_checkable
class BatchAnalyzer(Protocol):
    """An analyzer that can make its requests in batches; see `OpenableAnalyzer`."""

    def open_batches(self, journal: Journal, /) -> AbstractAsyncContextManager[BatchSession]:
        """As `OpenableAnalyzer.open`. What the journal keeps is there again when the run is resumed."""
        ...


@runtime_checkable
class Described(Protocol):
    """An analyzer, or a loader, whose answers depend on more than its name."""

    def describe(self) -> Mapping[str, Any]:
        """What the answers depend on, such as model and prompt version, as JSON values; part of what was asked."""
        ...


class Loader(Protocol):
    """Turns uploads into documents."""

    async def load(self, upload: Upload, /) -> Document:
        """Read and parse one upload, off the event loop.

        Raises:
            DocumentError: It cannot be read; the message says what its owner can do.
        """
        ...
