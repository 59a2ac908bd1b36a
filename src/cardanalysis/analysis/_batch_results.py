"""The results of a batch: their lines and what they say. Everything here is pure.

Results come as lines of JSON in any order, told apart by their ``custom_id`` (public documentation, August 2026).
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from .._errors import AnalyzerError
from ._failures import STATUS_OF_TYPE, StatusFailure, invalid_response, status_failure, unended
from ._replies import InvalidReply, Reply, read_reply, word
from ._schema import is_list, is_object
from ._transport import AttemptFailed, Failure, FailureKind

__all__ = ["ResultLine", "read_result", "result_lines", "transient"]

ResultLine = tuple[str, bytes]
"""A request's ``custom_id``, and the line with its result."""


async def result_lines(chunks: AsyncIterable[bytes]) -> AsyncGenerator[ResultLine]:
    """The lines that are results; anything else is left out.

    The SDK's own ``iter_lines`` also breaks lines at characters such as U+2028, which JSON may hold as they are.
    """
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if (custom_id := _custom_id(line)) is not None:
                yield custom_id, line
    if (custom_id := _custom_id(rest)) is not None:
        yield custom_id, rest


def _custom_id(line: bytes) -> str | None:
    value = _decoded(line)
    custom_id = value.get("custom_id")
    return custom_id if isinstance(custom_id, str) and is_object(value.get("result")) else None


def _decoded(line: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return _object(value)


def _object(value: object) -> Mapping[str, Any]:
    return value if is_object(value) else {}


def read_result(line: bytes, params: Mapping[str, Any]) -> Reply:
    """What came of a request of a batch.

    Args:
        line: The line with its result.
        params: What was asked.

    Raises:
        AttemptFailed: There is no message.
    """
    result = _object(_decoded(line).get("result"))
    match result.get("type"):
        case "succeeded":
            return _message(result.get("message"))
        case "errored":
            raise AttemptFailed(_failure(result.get("error"), params))
        case "canceled":
            raise AttemptFailed(transient("batch_canceled", "The batch was cancelled before this request's turn."))
        case "expired":
            raise AttemptFailed(transient("batch_expired", "The batch expired before this request's turn."))
        case other:
            raise AttemptFailed(invalid_response(f"The batch holds no result that is known ({word(other) or 'none'})."))


def transient(code: str, problem: str) -> Failure:
    """A failure that nothing was taken for, and that the same request in another batch may not have."""
    error = AnalyzerError(f"{problem} Run it again.", code=code)
    return Failure(kind=FailureKind.TRANSIENT, error=error, unbilled=True)


def _message(message: object) -> Reply:
    try:
        reply = read_reply(_object(message))
    except InvalidReply as invalid:
        raise AttemptFailed(invalid_response(f"What a batch holds as the answer is none. {invalid}")) from None
    if (failure := unended(reply)) is not None:
        raise AttemptFailed(failure)
    return reply


# Results of batches tell no status.
_STATUSES: Final = {**STATUS_OF_TYPE, "conflict_error": 409, "timeout_error": 504}


_ANY_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)  # a result has no headers that could tell of a time


def _failure(answer: object, params: Mapping[str, Any]) -> Failure:
    """The failure of an ``errored`` result, as if the request had been answered by itself; it is not billed."""
    answer = _object(answer)
    error = _object(answer.get("error"))
    kind, message, details = error.get("type"), error.get("message"), error.get("details")
    told = StatusFailure(
        status=_STATUSES.get(str(kind), 500),
        kind=kind,
        error_code=_object(details).get("error_code"),
        message=message if isinstance(message, str) else "",
        request_id=answer.get("request_id"),
        model=str(params.get("model", "")),
        private=list(_texts(params.get("messages"))),
    )
    return status_failure(told, {}, now=_ANY_TIME)


def _texts(value: object) -> Iterator[str]:
    """The texts anywhere below ``messages``, which are the document's."""
    if isinstance(value, str):
        yield value
    elif is_list(value):
        for each in value:
            yield from _texts(each)
    elif is_object(value):
        yield from _texts(value.get("content"))
        yield from _texts(value.get("text"))
