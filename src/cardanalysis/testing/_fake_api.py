"""A Messages API on loopback that the unmodified SDK talks to."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from types import TracebackType
from typing import Self

import attrs
from anyio import CancelScope, to_thread

from .._validators import texts
from ._catalogue import KNOWN_MODELS, model_json, page_json
from ._http import Connection, HTTPRequest, HTTPResponse, LoopbackServer
from ._json import loads
from ._rate_limits import RateLimiter, RateLimits, limit_class
from ._recorded import RecordedRequest, redacted
from ._replies import Reply
from ._request_checks import (
    MESSAGES_PATH,
    RequestRefused,
    check_body,
    check_headers,
    check_model,
    check_route,
)
from ._responses import content_of, http_response, reported_usage

__all__ = ["FakeMessagesAPI"]

_MAX_BODY_BYTES = 32 * 1024 * 1024


class FakeMessagesAPI:
    """A Messages API on loopback, for tests of anything that talks to Claude.

    It is a real HTTP server in a thread of its own, so it serves sync code, asyncio and trio alike, and goes on serving
    while your event loop is busy. Point the official SDK, unmodified, at `base_url`::

        with FakeMessagesAPI(latency=0.2) as api:
            api.script(Reply.rate_limited(retry_after=1), Reply.json({"cards": []}))
            client = anthropic.Anthropic(api_key="any", base_url=api.base_url)
            message = client.messages.create(model="claude-sonnet-5-5", max_tokens=100, messages=[...])
            assert [request.status for request in api.requests] == [429, 200]

    ``async with`` works as well. Leaving closes every connection, whatever it is doing, and ends the thread; if
    `answer` or `latency` had raised an error, that error is raised there, so that an assertion in them is not lost.

    It knows ``POST /v1/messages`` (streamed too), ``POST /v1/messages/count_tokens`` and ``GET /v1/models``, checks
    requests as the API does, counts tokens as a quarter of the characters, and tells the rate limits in headers that
    really count down. It has no prompt cache (say what was read from it with a reply's ``usage``), does not cut an
    answer at ``max_tokens``, and knows no batches and no files.

    Args:
        latency: How many seconds a message takes, or a function of the request that says so. A request that is refused
            by the API's checks or limits is answered at once.
        answer: What a message is answered with when nothing is scripted: a reply, or a function of the request that
            returns one, or None for the default answer. The function is called on the server's thread: it should be
            quick. Without it, the default is JSON that fits the request's schema, or a short text.
        limits: The rate limits to enforce. With None those of the Start tier are told in the headers, and never
            enforced.
        api_keys: The API keys that are known. None takes any that is not empty.
        models: The models that are known. None takes any whose id begins with ``claude-``.
        clock: The time in seconds, for the rate limits and the times of the requests. Delays are always real.

    Attributes:
        latency: As given; may be changed at any time.
        answer: As given; may be changed at any time.
    """

    def __init__(
        self,
        *,
        latency: float | Callable[[RecordedRequest], float] = 0.0,
        answer: Callable[[RecordedRequest], Reply | None] | Reply | None = None,
        limits: RateLimits | None = None,
        api_keys: Collection[str] | None = None,
        models: Collection[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.latency: float | Callable[[RecordedRequest], float] = latency
        self.answer: Callable[[RecordedRequest], Reply | None] | Reply | None = answer
        self._limits = limits or RateLimits()
        self._enforced = limits is not None
        self._api_keys = None if api_keys is None else texts(api_keys)
        self._models = None if models is None else texts(models)
        self._clock = clock
        self._epoch = time.time() - clock()
        self._limiters: dict[str, RateLimiter] = {}
        self._scripted: deque[Reply] = deque()
        self._records: list[RecordedRequest] = []
        self._changed = threading.Condition()
        self._in_flight = 0
        self._max_in_flight = 0
        self._error: BaseException | None = None
        self._server: LoopbackServer | None = None
        self._base_url: str | None = None

    # --- what the user sees -------------------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """The URL to give to the SDK.

        Raises:
            RuntimeError: The API was not entered yet.
        """
        if self._base_url is None:
            raise RuntimeError("The API has no address yet. Enter it first: with FakeMessagesAPI() as api: ...")
        return self._base_url

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request that has arrived so far, in the order of arrival, as it stands now; a copy."""
        return list(self._records)

    @property
    def in_flight(self) -> int:
        """How many messages are being served, from their request being read whole to the end of their response."""
        return self._in_flight

    @property
    def max_in_flight(self) -> int:
        """The most messages that were ever being served at once."""
        return self._max_in_flight

    def script(self, *replies: Reply) -> None:
        """Add replies to a queue; each answers one message, in the order of arrival, before `answer` is asked."""
        self._scripted.extend(replies)

    def wait_for_requests(self, count: int, timeout: float = 10.0) -> list[RecordedRequest]:
        """Block until so many requests have arrived in all, and return those there are.

        In async code call it in a thread: ``await anyio.to_thread.run_sync(api.wait_for_requests, 3)``.

        Raises:
            TimeoutError: They have not within `timeout` seconds.
        """
        if not self._wait(lambda: len(self._records) >= count, timeout):
            raise TimeoutError(f"{len(self._records)} of {count} requests had arrived after {timeout:g} seconds.")
        return self.requests

    def wait_until_idle(self, timeout: float = 10.0) -> None:
        """Block until no message is being served, because all are answered or their clients have hung up.

        Raises:
            TimeoutError: Some are still being served after `timeout` seconds.
        """
        if not self._wait(lambda: self._in_flight == 0, timeout):
            raise TimeoutError(f"{self._in_flight} messages were still being served after {timeout:g} seconds.")

    def __enter__(self) -> Self:
        if self._server is not None:
            raise RuntimeError("The API is already running. Enter it once.")
        self._server = LoopbackServer(self._serve, max_body_bytes=_MAX_BODY_BYTES)
        self._base_url = f"http://127.0.0.1:{self._server.port}"
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        error, self._error = self._error, None
        # A failed request is but the consequence of that error; a cancellation or Ctrl-C must pass.
        if error is not None and (exc is None or isinstance(exc, Exception)):
            raise error

    async def __aenter__(self) -> Self:
        return await to_thread.run_sync(self.__enter__)

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with CancelScope(shield=True):
            await to_thread.run_sync(self.__exit__, exc_type, exc, traceback)

    # --- one request, on the server's thread --------------------------------------------------------------------------

    async def _serve(self, http: HTTPRequest, connection: Connection) -> None:
        index = self._begin(http)
        request = self._records[index]
        try:
            reply, limiter = self._decide(http, request)
            if reply.delay_seconds:
                await asyncio.sleep(reply.delay_seconds)
            if reply.failure == "dropped":
                connection.close()
            else:
                response = self._respond(reply, request, limiter)
                await connection.send(response, partial(self._finish, index, reply.status))
        finally:
            self._finish(index, None)

    def _begin(self, http: HTTPRequest) -> int:
        index = len(self._records)
        record = RecordedRequest(
            method=http.method,
            path=http.path,
            query=http.query,
            headers=redacted(http.headers),
            body=_decoded(http.body),
            arrived=self._clock(),
            request_id=f"req_{index + 1:024d}",
            attempt=_attempt(http.headers),
        )
        with self._changed:
            self._records.append(record)
            if record.path == MESSAGES_PATH:
                self._in_flight += 1
                self._max_in_flight = max(self._max_in_flight, self._in_flight)
            self._changed.notify_all()
        return index

    def _finish(self, index: int, status: int | None) -> None:
        """Note that a request is done with; only the first time counts."""
        record = self._records[index]
        if record.finished is not None:
            return
        record = attrs.evolve(record, finished=self._clock(), status=status)
        with self._changed:
            self._records[index] = record
            if record.path == MESSAGES_PATH:
                self._in_flight -= 1
            self._changed.notify_all()

    def _wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(condition, timeout)

    def _decide(self, http: HTTPRequest, request: RecordedRequest) -> tuple[Reply, RateLimiter | None]:
        """What to answer, and the limits that the request falls under."""
        try:
            self._check(http, request)
            if request.path == MESSAGES_PATH:
                return self._admit(request)
            return self._look_up(request), None
        except RequestRefused as refused:
            return Reply.error(refused.status, refused.type, str(refused)), None
        except RecursionError:
            return Reply.error(400, message="The request body is nested too deeply."), None

    def _check(self, http: HTTPRequest, request: RecordedRequest) -> None:
        check_route(request.method, request.path)
        if http.body is None:
            raise RequestRefused("Request exceeds the maximum size", status=413, type="request_too_large")
        check_headers(http.headers, self._api_keys)
        if request.method == "POST":
            counting = request.path != MESSAGES_PATH
            check_body(request.headers, request.body, counting=counting)
            check_model(request.body["model"], self._models)

    def _look_up(self, request: RecordedRequest) -> Reply:
        """Answer what needs no model to run."""
        if request.method == "POST":
            return Reply.message({"input_tokens": request.input_tokens})
        model = request.path.removeprefix("/v1/models").strip("/")
        if model:
            check_model(model, self._models)
            return Reply.message(model_json(model))
        try:
            return Reply.message(page_json(self._models or KNOWN_MODELS, request.query))
        except ValueError as error:
            raise RequestRefused(str(error)) from None

    def _admit(self, request: RecordedRequest) -> tuple[Reply, RateLimiter]:
        now, tokens = self._clock(), request.input_tokens
        limiter = self._limiter(request.body["model"], now)
        refusal = limiter.refusal(tokens, now) if self._enforced else None
        if refusal is not None:
            message, retry_after = refusal
            return Reply.error(429, message=message, headers={"retry-after": str(retry_after)}), limiter
        limiter.begin(tokens, now)
        return self._next_reply(request), limiter

    def _respond(self, reply: Reply, request: RecordedRequest, limiter: RateLimiter | None) -> HTTPResponse:
        content = content_of(reply, request)
        if limiter is None:
            return http_response(reply, content, request)
        now, (inputs, outputs) = self._clock(), reported_usage(content)
        limiter.finish(inputs - request.input_tokens if inputs else 0, outputs, now)
        return http_response(reply, content, request, limiter.headers(now, self._epoch))

    def _limiter(self, model: str, now: float) -> RateLimiter:
        shared = limit_class(model)
        if shared not in self._limiters:
            self._limiters[shared] = RateLimiter(self._limits, now)
        return self._limiters[shared]

    def _next_reply(self, request: RecordedRequest) -> Reply:
        try:
            reply = self._scripted.popleft() if self._scripted else self._ask(request)
            latency = self.latency(request) if callable(self.latency) else self.latency
            return reply.after(reply.delay_seconds + latency) if latency else reply
        except BaseException as error:  # an outcome of pytest is no Exception
            self._error = self._error or error
            message = f"The test's own answer or latency function raised {type(error).__name__}."
            return Reply.error(500, message=message, headers={"x-should-retry": "false"})

    def _ask(self, request: RecordedRequest) -> Reply:
        reply = self.answer(request) if callable(self.answer) else self.answer
        if reply is None:
            return Reply.default()
        if not isinstance(reply, Reply):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"answer must give a Reply or None, not {type(reply).__name__}.")
        return reply


def _decoded(body: bytes | None) -> object:
    try:
        return loads(body) if body else None
    except ValueError:
        return None


def _attempt(headers: dict[str, str]) -> int:
    count = headers.get("x-stainless-retry-count", "")
    return int(count) if count.isascii() and count.isdigit() else 0
