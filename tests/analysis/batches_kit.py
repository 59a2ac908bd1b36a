"""What the tests of batches share: a fake API and a transport whose time runs fast, and a log in memory."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
from anthropic import AsyncAnthropic

from cardanalysis._clock import Clock
from cardanalysis.analysis._batches import BatchOptions, BatchTransport, batches_open
from cardanalysis.analysis._transport import Answer, AttemptFailed, Failure, Transport
from cardanalysis.testing import FakeMessagesAPI, Reply
from cardanalysis.testing._recorded import RecordedRequest

SPEED = 1_000.0
QUICK = {"linger_seconds": 1.0, "poll_seconds": 2.0, "longest_poll_seconds": 5.0, "settle_seconds": 5.0}
BATCHES = "/v1/messages/batches"


class FastTime:
    """A clock that stands until it is started, then runs fast."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._date = time.time()
        self._ahead = 0.0

    def start(self) -> None:
        self._started = time.monotonic()

    def skip(self, seconds: float) -> None:
        self._ahead += seconds

    def __call__(self) -> float:
        passed = 0.0 if self._started is None else time.monotonic() - self._started
        return passed * SPEED + self._ahead

    def date(self) -> datetime:
        return datetime.fromtimestamp(self._date + self(), UTC)


class ListJournal:
    """A run's log in memory."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.error: Exception | None = None
        self._added = anyio.Event()

    async def append(self, type: str, data: Mapping[str, Any], /) -> None:  # noqa: A002
        await anyio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        self.events.append((type, dict(data)))
        self._added.set()
        self._added = anyio.Event()

    async def until(self, type: str) -> None:  # noqa: A002
        """Wait until the newest event has this type."""
        while self.types[-1:] != [type]:
            await self._added.wait()

    async def read(self, types: Collection[str], after: int = 0, /) -> tuple[list[Mapping[str, Any]], int]:
        await anyio.lowlevel.checkpoint()
        return [data for type, data in self.events[after:] if type in types], len(self.events)  # noqa: A001

    @property
    def types(self) -> list[str]:
        return [type for type, _ in self.events]  # noqa: A001


def echo(request: RecordedRequest) -> Reply:
    return Reply.json({"echo": request.text})


def params(text: str, **more: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": text}]
    message = {"role": "user", "content": content}
    return {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": [message], **more}


class Bench:
    """A fake API, a log, and transports that use both."""

    def __init__(self, **settings: Any) -> None:
        self.time = FastTime()
        self.api = FakeMessagesAPI(clock=self.time, **{"answer": echo, **settings})
        self.time.start()
        self.journal = ListJournal()

    @asynccontextmanager
    async def open(self, *, probe: Transport | None = None, **options: Any) -> AsyncGenerator[BatchTransport]:
        """A transport as a run that begins, or is resumed, has it. The client would repeat requests by itself."""
        async with (
            AsyncAnthropic(api_key="sk-any", base_url=self.api.base_url) as client,
            batches_open(
                client,
                journal=self.journal,
                options=BatchOptions(**{**QUICK, **options}),
                clock=Clock(time=lambda: self.time() / SPEED, speed=SPEED),
                probe=probe,
                now=self.time.date,
            ) as transport,
        ):
            yield transport

    def calls(self, method: str, end: str = "") -> list[RecordedRequest]:
        """The requests about batches, by method and end of path."""
        about = [request for request in self.api.requests if request.path.startswith(BATCHES)]
        return [request for request in about if request.method == method and request.path.endswith(end)]

    async def until_called(self, method: str, end: str = "", count: int = 1) -> None:
        """Wait until there were so many requests about batches."""
        while len(self.calls(method, end)) < count:
            arrived = len(self.api.requests)
            await anyio.to_thread.run_sync(self.api.wait_for_requests, arrived + 1)

    @property
    def created(self) -> list[int]:
        """How many requests each batch has that the API was asked to create."""
        return [len(request.body["requests"]) for request in self.calls("POST", BATCHES)]


async def send(transport: Transport, text: str, *, key: str | None = None, **more: Any) -> str:
    """Send one request and return the text of its answer."""
    return (await answer(transport, text, key=key, **more)).reply.text


async def answer(transport: Transport, text: str, *, key: str | None = None, **more: Any) -> Answer:
    return await transport.send(params(text, **more), key=key or text, begun=lambda headers: None)


async def failure(transport: Transport, text: str, **more: Any) -> Failure:
    """Send one request that must fail and return why it did."""
    try:
        got = await send(transport, text, **more)
    except AttemptFailed as failed:
        return failed.failure
    raise AssertionError(f"It did not fail, but brought {got!r}.")


async def send_all(
    transport: Transport, texts: Collection[str], do: Callable[..., Any] = send, **more: Any
) -> dict[str, Any]:
    """Send requests at once; what came of each, by its text."""
    results: dict[str, Any] = {}

    async def one(text: str) -> None:
        results[text] = await do(transport, text, **more)

    async with anyio.create_task_group() as tasks:
        for text in texts:
            tasks.start_soon(one, text)
    return results
