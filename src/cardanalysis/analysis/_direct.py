"""The ordinary way of a request: over an open client, at once."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, Final

import anyio
from attrs import evolve, field, frozen

from ._events import MessageStream
from ._failures import STATUS_OF_TYPE, StatusFailure, invalid_response, status_failure, timed_out, unended
from ._replies import InvalidReply, read_reply
from ._schema import is_object
from ._sdk import explain, is_stale, no_counting, not_async, streams_events, timeouts, utc_now
from ._transport import Answer, AttemptFailed, Begun, Broken, Failure, FailureKind, ignored

__all__ = ["DirectTransport"]

_MOST_STALE: Final = 1_000
"""How many connections of a closed event loop a client may still hold; each costs one try that sends nothing."""


@frozen(kw_only=True, eq=False)
class DirectTransport:
    """Sends each request by itself.

    Attributes:
        client: An async client of the running event loop, which makes each request once.
        connect_timeout: Seconds until a connection must stand.
        request_timeout: Seconds that one attempt may take in all.
        idle_timeout: Seconds of silence after which a stream is given up.
        stream: Whether to ask for a stream, where the client can.
    """

    client: Any = field(repr=False)
    connect_timeout: float
    request_timeout: float
    idle_timeout: float
    stream: bool

    async def earlier(self, params: Mapping[str, Any], /, *, key: str) -> Answer | None:
        """None: what was interrupted is lost."""
        return None

    def goes_on(self, params: Mapping[str, Any], /, *, key: str) -> bool:
        """The API may have made all of the answer."""
        return True

    async def send(
        self, params: Mapping[str, Any], /, *, key: str = "", begun: Begun, broken: Broken = ignored
    ) -> Answer:
        """Make one attempt; see `Transport`."""
        received = MessageStream()
        try:
            return await self._in_time(params, received, begun)
        except BaseException as error:
            if not isinstance(error, Exception):
                broken(received.tokens())
            raise

    async def _in_time(self, params: Mapping[str, Any], received: MessageStream, begun: Begun) -> Answer:
        with anyio.move_on_after(self.request_timeout):
            try:
                return await self._send(params, received, begun)
            except AttemptFailed:
                raise
            except Exception as error:
                failure = explain(error, model=params["model"], private=_texts(params))
                # Not chained: the texts of causes can hold the key or parts of the request.
                raise AttemptFailed(evolve(failure, tokens=received.tokens())) from None
        raise AttemptFailed(evolve(timed_out(), tokens=received.tokens()))

    async def count(self, params: Mapping[str, Any], /) -> int:
        """Ask how many input tokens a request has.

        Raises:
            AttemptFailed: There is no answer.
        """
        kept = {name: value for name, value in params.items() if name != "max_tokens"}
        count_tokens = getattr(self.client.messages, "count_tokens", None)
        if count_tokens is None:
            raise AttemptFailed(Failure(kind=FailureKind.FINAL, error=no_counting(type(self.client).__name__)))
        try:
            counted = await count_tokens(**kept, timeout=self.request_timeout)
            return int(counted.input_tokens)
        except Exception as error:
            raise AttemptFailed(explain(error, model=params["model"], private=_texts(params))) from None

    async def _send(self, params: Mapping[str, Any], received: MessageStream, begun: Begun) -> Answer:
        for _ in range(_MOST_STALE):
            try:
                return await self._ask(params, received, begun)
            except Exception as error:
                if not is_stale(error):
                    raise
        return await self._ask(params, received, begun)

    async def _ask(self, params: Mapping[str, Any], received: MessageStream, begun: Begun) -> Answer:
        messages = self.client.messages
        raw = getattr(messages, "with_raw_response", None)
        if raw is None or not self.stream or not streams_events(self.client):
            # A plain call would build models that check nothing; `parse` loses the usage of an answer that is cut.
            create = messages.create if raw is None else raw.create
            pending = create(**params, timeout=timeouts(connect=self.connect_timeout, silence=self.request_timeout))
            if not inspect.isawaitable(pending):
                raise not_async(type(self.client).__name__)
            response = await pending
            begun({})  # its headers are as new when they are read with the answer
            return _answer(await _body(response), response, params)
        timeout = timeouts(connect=self.connect_timeout, silence=self.idle_timeout)
        response = await raw.create(**params, stream=True, timeout=timeout)
        try:
            if not str(_headers(response).get("content-type", "")).startswith("text/event-stream"):
                begun(_headers(response))
                return _answer(await _body(response), response, params)
            return await self._read(response, received, begun, params)
        finally:
            if hasattr(response, "http_response"):  # not a message that a middleware gave
                await response.close()

    async def _read(self, response: Any, received: MessageStream, begun: Begun, params: Mapping[str, Any]) -> Answer:
        try:
            await _feed(received, response, begun)
        except Exception:
            # What breaks behind the last event, or behind the API's own error, changes nothing.
            if received.message() is None and received.error is None:
                raise
        if received.error is not None:
            raise AttemptFailed(_stream_failure(received, response, params))
        message = received.message()
        if message is None:
            failure = invalid_response("The API's answer ended early. Run it again.", response.request_id)
            raise AttemptFailed(evolve(failure, tokens=received.tokens(), headers=_headers(response)))
        return _answer(message, response, params)


async def _feed(received: MessageStream, response: Any, begun: Begun) -> None:
    told = False
    with anyio.CancelScope() as reading:
        async for chunk in response.iter_bytes():
            received.feed(chunk)
            if received.begun and not told:
                told = True
                begun(_headers(response))
            if received.error is not None:
                # Left by `break`, the generators that the SDK reads with would never be closed, of which trio warns.
                reading.cancel()


def _texts(params: Mapping[str, Any]) -> list[str]:
    """What was sent of the document."""
    return [block["text"] for message in params["messages"] for block in message["content"]]


def _headers(response: Any) -> Mapping[str, str]:
    """The headers by name in any case; of a client that gives none, none."""
    headers = getattr(response, "headers", None)
    return headers if is_object(headers) else {}


async def _body(response: Any) -> bytes | Mapping[str, Any]:
    """The raw body; of a client whose middleware, or whose own way, gives a ready message instead, its values."""
    raw: bytes | Mapping[str, Any] = b""
    if hasattr(response, "http_response"):
        raw = await response.read()
    elif hasattr(response, "model_dump"):
        raw = response.model_dump(mode="json", warnings=False)
    elif is_object(response):
        raw = response
    return raw


def _answer(body: bytes | Mapping[str, Any], response: Any, params: Mapping[str, Any]) -> Answer:
    request_id, headers = getattr(response, "request_id", None), _headers(response)
    try:
        reply = read_reply(body)
    except InvalidReply as invalid:
        message = (
            f"What came back with status 200 is no answer of the Messages API. {invalid} Check the base URL and what "
            "stands between, such as a proxy, and run it again."
        )
        raise AttemptFailed(evolve(invalid_response(message, request_id), headers=headers)) from None
    if (failure := unended(reply, request_id)) is not None:
        raise AttemptFailed(evolve(failure, headers=headers))
    return Answer(reply=reply, request_id=request_id, headers=headers)


def _stream_failure(received: MessageStream, response: Any, params: Mapping[str, Any]) -> Failure:
    error = received.error or {}
    kind, message = error.get("type"), error.get("message")
    told = StatusFailure(
        # The HTTP status of a stream that breaks off was 200.
        status=STATUS_OF_TYPE.get(kind if isinstance(kind, str) else "", 500),
        kind=kind if isinstance(kind, str) else None,
        message=message if isinstance(message, str) else "",
        request_id=response.request_id,
        model=params["model"],
        private=_texts(params),
    )
    failure = status_failure(told, _headers(response), now=utc_now())
    return evolve(failure, tokens=received.tokens(), unbilled=False)
