"""What the tests of the Claude analyzer share: documents, cards, a pacer whose time runs fast, and a work context."""

from __future__ import annotations

import traceback
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from anthropic import AsyncAnthropic

from cardanalysis._clock import Clock
from cardanalysis._context import UploadContext
from cardanalysis._documents import Document
from cardanalysis._errors import CardAnalysisError
from cardanalysis._models import Analysis, AnalysisRequest, Usage
from cardanalysis._work import ALONE, Alone, WorkContext
from cardanalysis.analysis._claude import ClaudeAnalyzer
from cardanalysis.analysis._retries import RetryPolicy
from cardanalysis.pacing import Pacer
from cardanalysis.testing import FakeMessagesAPI

KEY = "sk-ant-secret"
TEXT = "Clerks retype every order by hand. This must end by 1 March."
CARD: dict[str, Any] = {
    "quotes": ["Clerks retype every order by hand."],
    "title": "Import orders",
    "problem": "",
    "target_users": ["clerks"],
    "current_state": "By hand.",
    "desired_outcomes": [],
    "constraints": ["1 March"],
    "systems": [],
    "priority": "high",
    "impact": "",
}
ONE_CARD = {"cards": [CARD]}
ONCE = RetryPolicy(attempts=1, rate_limits=0, repairs=0)


def cards(*titles: str) -> dict[str, Any]:
    """An answer with cards of these titles and no quotes."""
    return {"cards": [CARD | {"title": title, "quotes": []} for title in titles]}


def document(text: str = TEXT, name: str = "brief.md", upload_id: str = "u") -> Document:
    return Document(upload_id=upload_id, name=name, media_type="text/markdown", text=text, blocks=())


def fast_clock(speed: float = 1_000.0) -> Clock:
    """A clock of which a second is a millisecond."""
    return Clock(speed=speed)


def fast(speed: float = 1_000.0) -> Pacer:
    """A pacer of one's own that has such a clock."""
    return Pacer(clock=fast_clock(speed))


class Settled:
    """A reservation that remembers what was settled; only the first time counts."""

    def __init__(self, reserved: float | None) -> None:
        self.reserved = reserved
        self.settled: list[float | None] = []

    async def settle(self, dollars: float | None, /) -> None:
        if not self.settled:
            self.settled.append(dollars)


class Log(Alone):
    """A work context that remembers all that it is told, and lets anything be spent unless `error` is set."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Mapping[str, Any]]] = []
        self.reservations: list[Settled] = []
        self.usage = Usage()
        self.error: CardAnalysisError | None = None
        self.free_requests = 1_000_000
        self.untimed_now = 0
        self.aside_count = 0

    async def report(self, type: str, data: Mapping[str, Any], /) -> None:  # noqa: A002
        self.events.append((type, data))

    def spent(self, usage: Usage, /) -> None:
        self.usage += usage

    @contextmanager
    def untimed(self) -> Generator[None, None, None]:
        self.untimed_now += 1
        try:
            yield
        finally:
            self.untimed_now -= 1

    @asynccontextmanager
    async def aside(self) -> AsyncGenerator[None, None]:
        self.aside_count += 1
        yield

    async def reserve(self, dollars: float | None, /) -> Settled:
        if self.error is not None and len(self.reservations) >= self.free_requests:
            raise self.error
        self.reservations.append(Settled(dollars))
        return self.reservations[-1]

    def adopt(self, dollars: float, /) -> Settled:
        self.adopted = Settled(dollars)
        return self.adopted

    def of(self, type: str) -> list[Mapping[str, Any]]:  # noqa: A002
        return [data for kind, data in self.events if kind == type]


def analyzer(client: Any = None, **settings: Any) -> ClaudeAnalyzer:
    """An analyzer with a fast pacer of its own."""
    return ClaudeAnalyzer(client, **{"pacer": fast(), **settings})


async def analyze(
    api: FakeMessagesAPI,
    *,
    text: str | Document = TEXT,
    max_cards: int = 20,
    context: UploadContext | None = None,
    work: WorkContext = ALONE,
    **settings: Any,
) -> Analysis:
    """Analyze one document with a client of the caller's own."""
    async with AsyncAnthropic(api_key=KEY, base_url=api.base_url) as client:
        request = AnalysisRequest(max_cards=max_cards, context=context, work=work)
        read = document(text) if isinstance(text, str) else text
        return await analyzer(client, **settings).analyze(read, request)


async def failure(api: FakeMessagesAPI, **settings: Any) -> CardAnalysisError:
    """The error of an analysis, after checking that nothing private is in it."""
    with pytest.raises(CardAnalysisError) as caught:
        await analyze(api, **settings)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert KEY not in shown
    assert TEXT[:15] not in shown
    return caught.value
