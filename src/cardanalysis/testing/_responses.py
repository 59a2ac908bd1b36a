"""From what is to be answered to the HTTP response that says so; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._http import HTTPResponse
from ._json import dumps, is_object
from ._messages import error_json, message_json, stream_events
from ._recorded import RecordedRequest
from ._replies import ErrorBody, ModelAnswer, RawBody, Reply

__all__ = ["content_of", "http_response", "reported_usage"]

_ACCOUNT = {
    "anthropic-organization-id": "00000000-0000-4000-8000-000000000001",
    "anthropic-workspace-id": "wrkspc_000000000000000000000001",
}

_PIECES = 8
"""In how many pieces a body is sent that is slow or cut."""


def content_of(reply: Reply, request: RecordedRequest) -> Mapping[str, Any] | bytes:
    """What the response to a request holds: a JSON object, or bytes that are to be sent as they are."""
    match reply.body:
        case ModelAnswer() as answer:
            return message_json(answer, request)
        case ErrorBody() as error:
            return error_json(error, request.request_id)
        case RawBody(data=data):
            return data
        case body:
            return body.value


def reported_usage(content: Mapping[str, Any] | bytes) -> tuple[int, int]:
    """The input and output tokens that a response reports and that count towards the rate limits; 0 without usage."""
    usage = None if isinstance(content, bytes) else content.get("usage")
    if not is_object(usage):
        return 0, 0
    return (
        _count(usage, "input_tokens") + _count(usage, "cache_creation_input_tokens"),
        _count(usage, "output_tokens"),
    )


def _count(usage: dict[str, Any], name: str) -> int:
    count = usage.get(name)
    return count if isinstance(count, int) else 0


def http_response(
    reply: Reply,
    content: Mapping[str, Any] | bytes,
    request: RecordedRequest,
    rate_limits: Iterable[tuple[str, str]] = (),
) -> HTTPResponse:
    """The response of a reply, with the content it has for the request.

    Args:
        reply: What is answered.
        content: Its content.
        request: What it answers; one that asks for a stream gets a message as a stream of events.
        rate_limits: The headers that tell of the rate limits.
    """
    streamed = _is_streamed(content, request)
    pieces, media_type = _pieces(reply, content, streamed=streamed)
    headers = {"content-type": media_type, "request-id": request.request_id, **_ACCOUNT, **dict(rate_limits)}
    headers |= {name.lower(): value for name, value in reply.headers.items()}
    return HTTPResponse(
        status=reply.status,
        headers=headers.items(),
        pieces=pieces,
        chunked=streamed,
        pause_seconds=reply.trickle_seconds / len(pieces),
        cut=reply.failure == "cut",
    )


def _is_streamed(content: Mapping[str, Any] | bytes, request: RecordedRequest) -> bool:
    asked = is_object(request.body) and request.body.get("stream") is True
    return asked and not isinstance(content, bytes) and content.get("type") == "message"


def _pieces(reply: Reply, content: Mapping[str, Any] | bytes, *, streamed: bool) -> tuple[tuple[bytes, ...], str]:
    if streamed and not isinstance(content, bytes):
        return tuple(stream_events(content)), "text/event-stream; charset=utf-8"
    data = content if isinstance(content, bytes) else dumps(content).encode()
    media_type = reply.body.media_type if isinstance(reply.body, RawBody) else "application/json"
    if reply.failure is None and not reply.trickle_seconds:
        return (data,), media_type
    size = max(1, -(-len(data) // _PIECES))
    return tuple(data[start : start + size] for start in range(0, len(data), size)), media_type
