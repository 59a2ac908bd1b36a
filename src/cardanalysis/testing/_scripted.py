"""An analyzer that does as it is told, for testing apps without Claude."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from .._documents import Document
from .._models import Analysis, AnalysisRequest, Card, Usage

__all__ = ["ScriptedAnalyzer", "first_line_card"]


def first_line_card(document: Document) -> Analysis:
    """One card that has the document's first line as its title and its proof, at the price of one request."""
    line = next((line.strip() for line in document.text.splitlines() if line.strip()), document.name)
    return Analysis(cards=[Card(title=line[:120], quotes=[line])], usage=Usage(requests=1, input_tokens=10))


class ScriptedAnalyzer:
    """Answers from a function, after a latency, and remembers what it was asked.

    It needs no key and no network, and works under asyncio and trio.

    Args:
        script: Gives the analysis of a document, or raises what the analyzer shall raise.
        latency: Seconds that each document takes, or a function that tells them.
        name: The analyzer's name.

    Attributes:
        calls: The names of the documents, in the order in which they came.
        in_flight: How many are being analyzed.
        max_in_flight: The most that ever were at once.
    """

    def __init__(
        self,
        script: Callable[[Document], Analysis] = first_line_card,
        *,
        latency: float | Callable[[Document], float] = 0.0,
        name: str = "scripted",
    ) -> None:
        self.name = name
        self.calls: list[str] = []
        self.in_flight = 0
        self.max_in_flight = 0
        self._script = script
        self._latency = latency

    async def analyze(self, document: Document, request: AnalysisRequest, /) -> Analysis:
        """See `cardanalysis.abc.Analyzer.analyze`."""
        self.calls.append(document.name)
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        try:
            await anyio.sleep(self._latency(document) if callable(self._latency) else self._latency)
            return self._script(document)
        finally:
            self.in_flight -= 1
