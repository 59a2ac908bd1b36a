"""From what the API or the way to it reports to failures of attempts. Everything here is pure.

A `ConfigurationError` stops the run, because every other document would fail alike; an `AnalyzerError` fails one
document. Messages say what to do and give the API's request id; they hold no key, no document text and nothing of the
text of causes, in which both can stand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from attrs import evolve, field, frozen

from .._errors import AnalyzerError, CardAnalysisError, ConfigurationError
from ._prices import TokenCounts
from ._replies import Reply, word
from ._transport import Failure, FailureKind

__all__ = [
    "STATUS_OF_TYPE",
    "StatusFailure",
    "explain_cause",
    "explain_stop",
    "invalid_response",
    "no_api_key",
    "request_note",
    "status_failure",
    "timed_out",
    "unended",
]


STATUS_OF_TYPE: Final[Mapping[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "overloaded_error": 529,
}
"""The HTTP status that goes with a type of error, for where errors come without one."""


@frozen(kw_only=True)
class StatusFailure:
    """An answer of the API with an error status.

    Attributes:
        status: The HTTP status.
        kind: The API's word for the kind of error; None if the answer is not from the API.
        error_code: The API's word for the cause, if it has one.
        message: The API's own explanation.
        request_id: The API's id of the request.
        model: The model that was asked.
        private: What was sent of the document, to be kept out of messages.
    """

    status: int
    kind: str | None = field(default=None, converter=word)
    error_code: str | None = field(default=None, converter=word)
    message: str = field(default="", repr=False)
    request_id: str | None = field(default=None, converter=word)
    model: str = ""
    private: Sequence[str] = field(default=(), repr=False)


def no_api_key(problem: str = "There is no API key for Claude.") -> ConfigurationError:
    """There is nothing to authenticate with."""
    return ConfigurationError(
        f"{problem} Set the environment variable ANTHROPIC_API_KEY, or pass a client: "
        "ClaudeAnalyzer(AsyncAnthropic(api_key=...)). To find cards by rules, offline and without a key, use "
        "OutlineAnalyzer.",
        code="no_api_key",
    )


def status_failure(told: StatusFailure, headers: Mapping[str, str], *, now: datetime) -> Failure:
    """The failure of an attempt that the API answered with an error status.

    Args:
        told: What the answer says.
        headers: The answer's, by lower-case name.
        now: The time, for a ``retry-after`` that is a date.
    """
    failure = Failure(
        kind=_status_kind(told.status),
        error=_explain_status(told),
        status=told.status,
        request_id=told.request_id,
        retry_after=_retry_after(headers, now),
        headers=headers,
        unbilled=True,
    )
    return evolve(failure, kind=_overruled(failure, headers.get("x-should-retry", "")))


# What the SDK itself tries again (anthropic 2.12), and what its rate limit page tells apart.
_KINDS: Final = {
    408: FailureKind.TRANSIENT,
    409: FailureKind.TRANSIENT,
    429: FailureKind.RATE_LIMIT,
    529: FailureKind.OVERLOAD,
}


def _status_kind(status: int) -> FailureKind:
    return _KINDS.get(status, FailureKind.TRANSIENT if status >= 500 else FailureKind.FINAL)


_TOO_LONG: Final = frozenset({"context_window_exceeded", "too_large"})


def _overruled(failure: Failure, should_retry: str) -> FailureKind:
    """What the error or the API's own advice says beyond the status."""
    if isinstance(failure.error, ConfigurationError):
        return FailureKind.FINAL
    if getattr(failure.error, "code", "") in _TOO_LONG:
        return FailureKind.TOO_LONG
    if should_retry.lower() == "false":
        return FailureKind.FINAL
    if should_retry.lower() == "true" and failure.kind is FailureKind.FINAL:
        return FailureKind.TRANSIENT
    return failure.kind


def _retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """What the API asks to wait, in seconds: the header in milliseconds first, as the SDK reads it."""
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after", "")
    seconds = _number(value)
    return _until(value, now) if seconds is None else seconds


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if 0 < number < math.inf else None


def _until(value: str, now: datetime) -> float | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    seconds = ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds()
    return seconds if seconds > 0 else None


def _explain_status(failure: StatusFailure) -> CardAnalysisError:
    if _is_billing(failure):
        return _stop(failure, "billing", "The account may not spend more", "Raise its limit or its credit, then resume")
    if failure.status in _STOPS or failure.error_code == "organization_on_hold":
        code, problem, remedy = _STOPS.get(failure.status, _ON_HOLD)
        return _stop(failure, code, problem, remedy)
    if failure.status == 404:
        return _not_found(failure)
    return _document_failure(failure)


_ON_HOLD: Final = ("permission", "The organization is on hold", "Ask its owner, then resume")
_STOPS: Final = {
    401: ("authentication", "The API did not accept the API key", "Check the key (ANTHROPIC_API_KEY), then resume"),
    403: ("permission", "The API key may not do this", "Check the rights of the key and its workspace, then resume"),
}
_SPEND_CODES: Final = frozenset({"enforced_spend_limit_reached", "contract_spend_limit_reached"})
# These two come as an invalid_request_error without a code of their own, so their wording is all there is.
_SPEND_WORDS: Final = ("api usage limits", "credit balance is too low")


def _is_billing(failure: StatusFailure) -> bool:
    if failure.status == 402 or failure.kind == "billing_error" or failure.error_code in _SPEND_CODES:
        return True
    return failure.status == 400 and any(words in failure.message.lower() for words in _SPEND_WORDS)


def _not_found(failure: StatusFailure) -> ConfigurationError:
    if failure.kind is None:
        return _stop(failure, "client_setup", "Nobody answers for the Messages API there", "Check the base URL")
    problem = f"The API does not know the model {failure.model!r}, or this key may not use it"
    return _stop(failure, "unknown_model", problem, "Choose another: ClaudeAnalyzer(model=...)")


def _document_failure(failure: StatusFailure) -> AnalyzerError:
    if failure.message.lower().startswith("prompt is too long"):
        return _fail(failure, "context_window_exceeded", "The document is too long for the model", _SPLIT)
    if failure.status >= 500:
        return _fail(failure, "api_unavailable", "The API is overloaded or out of order", "Run it again later")
    if failure.status not in _FAILS:
        return _fail(failure, "invalid_request", f"The API refused the request{_quoted(failure)}", "Check the settings")
    return _fail(failure, *_FAILS[failure.status])


_SPLIT: Final = "Split it, or choose a model with a larger context window"
_FAILS: Final = {
    408: ("request_timed_out", "The request took too long", "Run it again"),
    413: ("too_large", "The request is larger than the API takes", "Split the document"),
    429: ("rate_limited", "The rate limit is reached", "Run it again with a lower limit, or later"),
}


def _stop(failure: StatusFailure, code: str, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(f"{problem} ({_answer(failure)}). {remedy}.", code=code)


def _fail(failure: StatusFailure, code: str, problem: str, remedy: str) -> AnalyzerError:
    return AnalyzerError(f"{problem} ({_answer(failure)}). {remedy}.", code=code)


def _answer(failure: StatusFailure) -> str:
    """The facts with which the API's support can find the request."""
    words = [f"status {failure.status}", failure.kind, failure.error_code]
    return ", ".join(filter(None, [*words, failure.request_id and f"request {failure.request_id}"]))


_LONGEST: Final = 200
_WINDOW, _STRIDE = 12, 4


def _quoted(failure: StatusFailure) -> str:
    """The API's explanation, if it is short and shares no run of 15 or more characters with the document."""
    message = _one_line(failure.message).rstrip(".")
    if not message or len(message) > _LONGEST:
        return ""
    last = max(len(message) - _WINDOW, 0)
    windows = [message[start : start + _WINDOW].lower() for start in (*range(0, last, _STRIDE), last)]
    shared = any(window in private for private in map(_lowered, failure.private) for window in windows)
    return "" if shared else f": {message}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _lowered(text: str) -> str:
    return _one_line(text).lower()


def explain_cause(cause: BaseException | None) -> Failure:
    """The failure of an attempt that got no answer.

    Args:
        cause: What the SDK found. It reports faults of the set-up as connection errors too, although no retry mends
            them; they are told apart by the name of the class, without importing the HTTP library.
    """
    names = {kind.__name__ for kind in type(cause).__mro__}
    for name, problem in _SETUP_FAULTS.items():
        if name in names:
            return Failure(kind=FailureKind.FINAL, error=ConfigurationError(problem, code="client_setup"))
    error = AnalyzerError(
        "No connection to the API, or it broke. Check the network, the proxy and the base URL, and run it again.",
        code="connection_failed",
    )
    return Failure(kind=FailureKind.TRANSIENT, error=error, unbilled=not names.isdisjoint(_NOT_SENT))


_NOT_SENT: Final = ("ConnectError", "ConnectTimeout", "PoolTimeout")
"""Classes of the HTTP library for what ends before anything was sent."""
_SETUP_FAULTS: Final = {
    "LocalProtocolError": "A header is not valid, most likely because the API key holds a line break or another "
    "character that is not allowed. Set the key anew, without white space.",
    "UnsupportedProtocol": "The base URL of the API is not valid. It must begin with http:// or https://; check "
    "ANTHROPIC_BASE_URL.",
    "RuntimeError": "The client cannot be used here: it is closed, or belongs to another event loop. Make it inside "
    "the event loop that does the work, or pass no client.",
}


def timed_out(*, before_sending: bool = False) -> Failure:
    """The failure of an attempt that the API did not answer in time, or not to the end."""
    error = AnalyzerError(
        "The API did not answer in time. Run it again, or raise ClaudeAnalyzer(request_timeout=..., idle_timeout=...).",
        code="request_timed_out",
    )
    return Failure(kind=FailureKind.TRANSIENT, error=error, unbilled=before_sending)


def invalid_response(message: str, request_id: str | None = None, tokens: TokenCounts | None = None) -> Failure:
    """The failure of an attempt of which the answer is no whole message."""
    return Failure(
        kind=FailureKind.TRANSIENT,
        error=AnalyzerError(f"{message}{request_note(request_id)}", code="invalid_response"),
        status=200,
        request_id=word(request_id),
        tokens=tokens,
    )


def unended(reply: Reply, request_id: str | None = None) -> Failure | None:
    """The failure of an attempt whose message does not say why it stopped; None if it does."""
    if reply.stop_reason is not None:
        return None
    return invalid_response("The API's answer has no stop reason. Run it again.", request_id, reply.tokens)


def explain_stop(reply: Reply, *, max_tokens: int, request_id: str | None) -> AnalyzerError | None:
    """The error for a message that is not a whole answer, or None if it is one.

    Args:
        reply: The message.
        max_tokens: What the request allowed.
        request_id: The API's id of the request.
    """
    if reply.stop_reason in ("end_turn", "stop_sequence"):
        return None
    code, message = _stop_message(reply, max_tokens)
    return AnalyzerError(f"{message}{request_note(request_id)}", code=code)


def _stop_message(reply: Reply, max_tokens: int) -> tuple[str, str]:
    if reply.stop_reason == "max_tokens":
        remedy = "Raise ClaudeAnalyzer(max_tokens=...), ask for fewer cards, or split the document."
        return "truncated", f"The answer was cut at {max_tokens} tokens. {remedy}"
    if reply.stop_reason == "refusal":
        remedy = "The same request will be refused again: try another model, or take the passage out."
        return "refused", f"The model refused the document (category: {reply.refusal or 'none given'}). {remedy}"
    if reply.stop_reason == "model_context_window_exceeded":
        return "context_window_exceeded", f"The document and its answer do not fit into the model's window. {_SPLIT}."
    reason = f"stopped for an unexpected reason ({reply.stop_reason})" if reply.stop_reason else "has no stop reason"
    return "invalid_response", f"The API's answer {reason}. Run it again."


def request_note(request_id: str | None) -> str:
    """The API's request id for the end of a message, or nothing."""
    known = word(request_id)
    return f" (request {known})" if known else ""
