"""A Messages API on loopback that the unmodified SDK talks to."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Collection
from functools import partial
from types import TracebackType
from typing import Any, Self

import attrs
from anyio import CancelScope, to_thread
from attrs import frozen

from .._validators import texts
from ._batch_endpoints import BatchEndpoints
from ._catalogue import KNOWN_MODELS, model_json
from ._http import Connection, HTTPRequest, HTTPResponse, LoopbackServer
from ._json import loads
from ._organization import Organization
from ._paging import page_json
from ._prompt_cache import NO_CACHE_USE, CacheUse, PromptCache
from ._rate_limits import RateLimits
from ._recorded import RecordedRequest, redacted
from ._replies import ModelAnswer, Reply
from ._request_checks import check_body, check_headers, check_model
from ._responses import (
    content_of,
    counted_tokens,
    http_response,
    is_streamed,
    reported_usage,
    without_stream,
)
from ._routes import BATCHES_PATH, MESSAGES_PATH, RequestRefused, check_route, max_body_bytes

__all__ = ["FakeMessagesAPI"]


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

    It knows ``POST /v1/messages`` (streamed too), ``POST /v1/messages/count_tokens``, ``GET /v1/models`` and batches.
    It checks requests as the API does, counts tokens as a quarter of the characters, cuts an answer at ``max_tokens``,
    keeps a prompt cache, and tells the rate limits in headers that really count down. It knows no files.

    - The prompt cache reads the longest prefix that ends at a breakpoint, or up to 20 blocks before it, and was written
      under the same model, schema, effort and thinking. It is written when a response begins. A reply's own ``usage``
      is reported all the same.
    - A batch answers its requests, evenly over `batch_seconds`, like messages that come alone: scripted replies are
      taken and `answer` is asked, and its errors make rows that are ``errored``. That happens when somebody first asks
      for a batch after its end. Creating one counts towards no limit.

    Args:
        latency: How many seconds a message takes, or a function of the request that says so. A request that is refused
            by the API's checks or limits is answered at once, and so is one of a batch.
        answer: What a message is answered with when nothing is scripted: a reply, or a function of the request that
            returns one, or None for the default answer. The function is called on the server's thread: it should be
            quick. Without it, the default is JSON that fits the request's schema, or a short text.
        intercept: A function of every other request: batches, token counts, models. It returns None to have it served
            as usual, an error to answer instead, or a reply such as ``Reply.dropped()`` or ``Reply.cut()``, whose
            request is served, and only its response does not arrive.
        limits: The rate limits to enforce, and to tell in the headers. With None they are higher than any test goes.
        api_keys: The API keys that are known. None takes any that is not empty.
        models: The models that are known. None takes any whose id begins with ``claude-``.
        min_cache_tokens: The shortest prefix that is cached. None for the one of each model: 512, 1,024, 2,048 or
            4,096 tokens.
        batch_seconds: How long a batch takes, by `clock`. It expires after 24 hours; with ``math.inf`` it runs until
            `end_batch` is called.
        batch_hidden_seconds: For how long a new batch cannot be found, nor listed, by `clock`.
        clock: The time in seconds, for the rate limits, the cache, batches and the times of the requests. It is read on
            the server's thread too. Delays are always real.

    Attributes:
        latency: As given; may be changed at any time, like the others here.
        answer: As given.
        intercept: As given.
        batch_seconds: As given; counts for batches that are created from now on.
        batch_hidden_seconds: As given; counts for batches that are created from now on.
    """

    def __init__(
        self,
        *,
        latency: float | Callable[[RecordedRequest], float] = 0.0,
        answer: Callable[[RecordedRequest], Reply | None] | Reply | None = None,
        intercept: Callable[[RecordedRequest], Reply | None] | None = None,
        limits: RateLimits | None = None,
        api_keys: Collection[str] | None = None,
        models: Collection[str] | None = None,
        min_cache_tokens: int | None = None,
        batch_seconds: float = 0.0,
        batch_hidden_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.latency: float | Callable[[RecordedRequest], float] = latency
        self.answer: Callable[[RecordedRequest], Reply | None] | Reply | None = answer
        self.intercept: Callable[[RecordedRequest], Reply | None] | None = intercept
        self.batch_seconds = batch_seconds
        self.batch_hidden_seconds = batch_hidden_seconds
        self._api_keys = None if api_keys is None else texts(api_keys)
        self._models = None if models is None else texts(models)
        self._clock = clock
        epoch = time.time() - clock()
        self._organization = Organization(limits, clock, epoch)
        self._cache = PromptCache(min_cache_tokens)
        self._batches = BatchEndpoints(
            partial(self._guarded, self._next_reply), models=self._models, cache=self._cache, epoch=epoch
        )
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
    def batch_requests(self) -> list[RecordedRequest]:
        """The requests of batches that were answered or refused so far, in that order; a copy.

        They arrived with their batch and were finished at its end. Their status is what they would have had alone;
        None for one that never came to an answer. Those that a batch did not get to are not here.
        """
        return list(self._batches.records)

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

    def use(self, model: str, *, requests: int = 0, input_tokens: int = 0, output_tokens: int = 0) -> None:
        """Take from a model's rate limits as if another client of the same organization had used so much.

        What is taken beyond what there is has to flow in before the next request passes.
        """
        self._organization.use(model, requests, input_tokens, output_tokens)

    def end_batch(self, batch_id: str, *, answered: int | None = None) -> None:
        """Have a batch end now.

        Args:
            batch_id: The batch.
            answered: How many of its requests were answered, the first ones; None for all. The others have expired,
                or are canceled if the batch was to be.

        Raises:
            KeyError: There is no such batch.
            RuntimeError: It has ended already.
        """
        self._batches.end(batch_id, self._clock(), answered=answered)

    def expire_batch(self, batch_id: str) -> None:
        """Have a batch end now, with none of its requests answered; see `end_batch`."""
        self.end_batch(batch_id, answered=0)

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
        self._server = LoopbackServer(self._serve, max_body_bytes=max_body_bytes)
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
        request, usage = self._records[index], None
        try:
            reply, admitted = self._decide(http, request)
            if reply.delay_seconds:
                await asyncio.sleep(reply.delay_seconds)
            if reply.failure == "dropped":
                connection.close()
            elif reply.failure == "stalled" and not is_streamed(request):
                await connection.hang()
            else:
                response, usage = self._respond(reply, request, admitted)
                await connection.send(response, partial(self._finish, index, reply.status, usage))
        finally:
            self._finish(index, None, usage)

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

    def _finish(self, index: int, status: int | None, usage: dict[str, Any] | None) -> None:
        """Note that a request is done with; only the first time counts."""
        record = self._records[index]
        if record.finished is not None:
            return
        record = attrs.evolve(record, finished=self._clock(), status=status, usage=usage)
        with self._changed:
            self._records[index] = record
            if record.path == MESSAGES_PATH:
                self._in_flight -= 1
            self._changed.notify_all()

    def _wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        with self._changed:
            return self._changed.wait_for(condition, timeout)

    def _decide(self, http: HTTPRequest, request: RecordedRequest) -> tuple[Reply, _Admission | None]:
        """What to answer, and for a message the limits and the cache that it came upon."""
        try:
            self._check(http, request)
            if request.path == MESSAGES_PATH:
                return self._admit(request)
            return self._serve_other(request), None
        except RequestRefused as refused:
            return Reply.error(refused.status, refused.type, str(refused)), None
        except RecursionError:
            return Reply.error(400, message="The request body is nested too deeply."), None

    def _check(self, http: HTTPRequest, request: RecordedRequest) -> None:
        check_route(request.method, request.path)
        if http.body is None:
            raise RequestRefused("Request exceeds the maximum size", status=413, type="request_too_large")
        check_headers(http.headers, self._api_keys)
        if request.method == "POST" and not request.path.startswith(BATCHES_PATH):
            counting = request.path != MESSAGES_PATH
            check_body(request.headers, request.body, counting=counting)
            check_model(request.body["model"], self._models)

    def _serve_other(self, request: RecordedRequest) -> Reply:
        """Answer what is no message, unless the test's function wants it otherwise."""
        asked = self._guarded(partial(_asked, self.intercept), request)
        if isinstance(asked.body, ModelAnswer):
            return attrs.evolve(asked, body=self._look_up(request).body)
        return asked

    def _look_up(self, request: RecordedRequest) -> Reply:
        """Answer what needs no model to run."""
        if request.path.startswith(BATCHES_PATH):
            seconds, hidden = self.batch_seconds, self.batch_hidden_seconds
            return self._batches.serve(request, self._clock(), self.base_url, seconds=seconds, hidden=hidden)
        if request.method == "POST":
            return Reply.message({"input_tokens": request.input_tokens})
        model = request.path.removeprefix("/v1/models").strip("/")
        if model:
            check_model(model, self._models)
            return Reply.message(model_json(model))
        try:
            return Reply.message(page_json(self._models or KNOWN_MODELS, request.query, model_json))
        except ValueError as error:
            raise RequestRefused(str(error)) from None

    def _admit(self, request: RecordedRequest) -> tuple[Reply, _Admission]:
        model, cache = request.body["model"], self._cache.look_up(request.body, self._clock())
        estimate = request.input_tokens - cache.read
        refusal = self._organization.admit(model, estimate)
        if refusal is not None:
            message, retry_after = refusal
            reply = Reply.error(429, message=message, headers={"retry-after": str(retry_after)})
            return reply, _Admission(model, estimate, NO_CACHE_USE)
        self._cache.keep(cache)
        reply = self._guarded(self._reply_to_message, request)
        return reply if is_streamed(request) else without_stream(reply), _Admission(model, estimate, cache)

    def _respond(
        self, reply: Reply, request: RecordedRequest, admitted: _Admission | None
    ) -> tuple[HTTPResponse, dict[str, Any] | None]:
        """The response, which begins now, and the usage that it reports."""
        if admitted is None:
            return http_response(reply, content_of(reply, request), request, self._organization.account), None
        content = content_of(reply, request, admitted.cache)
        usage = reported_usage(content)
        if usage is not None:
            self._cache.write(admitted.cache)
            inputs, outputs = counted_tokens(usage)
            extra = inputs - admitted.estimate if "input_tokens" in usage else 0
            self._organization.finish(admitted.model, extra, outputs)
        told = {**self._organization.account, **self._organization.headers(admitted.model)}
        return http_response(reply, content, request, told), usage

    # --- what the test's own functions say ----------------------------------------------------------------------------

    def _reply_to_message(self, request: RecordedRequest) -> Reply:
        reply = self._next_reply(request)
        latency = self.latency(request) if callable(self.latency) else self.latency
        return reply.after(reply.delay_seconds + latency) if latency else reply

    def _next_reply(self, request: RecordedRequest) -> Reply:
        return self._scripted.popleft() if self._scripted else _asked(self.answer, request)

    def _guarded(self, decide: Callable[[RecordedRequest], Reply], request: RecordedRequest) -> Reply:
        """A reply; an error of the function that decides it is kept, to be raised at the end."""
        try:
            return decide(request)
        except BaseException as error:  # an outcome of pytest is no Exception
            self._error = self._error or error
            message = f"The test's own function raised {type(error).__name__}."
            return Reply.error(500, message=message, headers={"x-should-retry": "false"})


@frozen
class _Admission:
    """How a message came in: its class of limits, the input that it was estimated to need, and what is cached of it."""

    model: str
    estimate: int
    cache: CacheUse


def _asked(function: Callable[[RecordedRequest], Reply | None] | Reply | None, request: RecordedRequest) -> Reply:
    reply = function(request) if callable(function) else function
    if reply is None:
        return Reply.default()
    if not isinstance(reply, Reply):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"answer and intercept must give a Reply or None, not {type(reply).__name__}.")
    return reply


def _decoded(body: bytes | None) -> object:
    try:
        return loads(body) if body else None
    except ValueError:
        return None


def _attempt(headers: dict[str, str]) -> int:
    count = headers.get("x-stainless-retry-count", "")
    return int(count) if count.isascii() and count.isdigit() else 0
