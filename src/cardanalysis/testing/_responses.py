"""From what is to be answered to the HTTP response that says so; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from ._http import HTTPResponse
from ._json import dumps, is_object
from ._messages import error_event, error_json, message_json, stream_events
from ._prompt_cache import NO_CACHE_USE, CacheUse
from ._recorded import RecordedRequest
from ._replies import ErrorBody, ModelAnswer, RawBody, Reply, error_status

__all__ = [
    "Content",
    "batch_result",
    "content_of",
    "counted_tokens",
    "http_response",
    "is_streamed",
    "reported_usage",
    "without_stream",
]

_PIECES = 8
"""In how many pieces a body is sent that is slow or cut."""

_LAST_EVENTS = 2
"""The events that an early end leaves out: ``message_delta`` and ``message_stop``."""

Content = Mapping[str, Any] | bytes
"""What a response holds: a JSON object, or bytes that are to be sent as they are."""


def content_of(reply: Reply, request: RecordedRequest, cache: CacheUse = NO_CACHE_USE) -> Content:
    """What the response to a request holds.

    Args:
        reply: What is answered.
        request: The request.
        cache: What the request has to do with the prompt cache.
    """
    match reply.body:
        case ModelAnswer() as answer:
            return message_json(answer, request, cache)
        case ErrorBody() as error:
            return error_json(error, request.request_id)
        case RawBody(data=data):
            return data
        case body:
            return body.value


def reported_usage(content: Content) -> dict[str, Any] | None:
    """The usage that a response reports, or None."""
    usage = None if isinstance(content, bytes) else content.get("usage")
    return usage if is_object(usage) else None


def counted_tokens(usage: dict[str, Any]) -> tuple[int, int]:
    """The input and output tokens of a usage that count towards the rate limits."""
    return (
        _count(usage, "input_tokens") + _count(usage, "cache_creation_input_tokens"),
        _count(usage, "output_tokens"),
    )


def _count(usage: dict[str, Any], name: str) -> int:
    count = usage.get(name)
    return count if isinstance(count, int) else 0


def is_streamed(request: RecordedRequest) -> bool:
    """Whether a request asks for its message as a stream of events."""
    return is_object(request.body) and request.body.get("stream") is True


def without_stream(reply: Reply) -> Reply:
    """What a reply that breaks off a stream is when there is none: an ordinary error."""
    error = reply.stream_error_body
    if error is None:
        return reply
    return attrs.evolve(reply, body=error, status=error_status(error.type), failure=None, stream_error_body=None)


def http_response(reply: Reply, content: Content, request: RecordedRequest, told: Mapping[str, str]) -> HTTPResponse:
    """The response of a reply, with the content it has for the request.

    Args:
        reply: What is answered.
        content: Its content.
        request: What it answers; one that asks for a stream gets a message as a stream of events.
        told: The headers that tell of the account and its rate limits.
    """
    headers = {"request-id": request.request_id, **told}
    headers |= {name.lower(): value for name, value in reply.headers.items()}
    if is_streamed(request) and not isinstance(content, bytes) and content.get("type") == "message":
        pieces, sent = _events(reply, content, request)
        media_type, chunked = "text/event-stream; charset=utf-8", True
    else:
        pieces, sent = _pieces(reply, content)
        media_type, chunked = reply.body.media_type if isinstance(reply.body, RawBody) else "application/json", False
    return HTTPResponse(
        status=reply.status,
        headers=({"content-type": media_type} | headers).items(),
        pieces=pieces,
        chunked=chunked,
        pause_seconds=reply.trickle_seconds / len(pieces) if pieces else 0.0,
        sent=sent,
        stalled=reply.failure == "stalled",
    )


def _events(reply: Reply, content: Mapping[str, Any], request: RecordedRequest) -> tuple[tuple[bytes, ...], int | None]:
    """The events of a stream, and how many of them are sent; None for all."""
    events = tuple(stream_events(content))
    after = len(events) // 2 if reply.after_events is None else reply.after_events
    if reply.failure in ("cut", "stalled"):
        return events, after
    if reply.failure == "ended_early":
        return events[:-_LAST_EVENTS][: reply.after_events], None
    if reply.stream_error_body is not None:
        return (*events[:after], error_event(reply.stream_error_body, request.request_id)), None
    return events, None


def _pieces(reply: Reply, content: Content) -> tuple[tuple[bytes, ...], int | None]:
    """The pieces of a body, and how many of them are sent; None for all."""
    data = content if isinstance(content, bytes) else dumps(content).encode()
    if reply.failure != "cut" and not reply.trickle_seconds:
        return (data,), None
    size = max(1, -(-len(data) // _PIECES))
    pieces = tuple(data[start : start + size] for start in range(0, len(data), size))
    return pieces, len(pieces) // 2 if reply.failure == "cut" else None


def batch_result(reply: Reply, content: Content, request: RecordedRequest) -> dict[str, Any]:
    """The result of a request of a batch, as its line tells it."""
    if reply.failure in ("expired", "stalled"):
        return {"type": "expired"}
    if isinstance(reply.body, ErrorBody):
        return {"type": "errored", "error": content}
    if isinstance(content, bytes) or reply.failure is not None:
        error = ErrorBody(type="api_error", message="Internal server error")
        return {"type": "errored", "error": error_json(error, request.request_id)}
    return {"type": "succeeded", "message": content}
