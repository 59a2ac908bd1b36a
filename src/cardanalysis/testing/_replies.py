"""What the fake Messages API can be told to answer."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import attrs
from attrs import Attribute, field, frozen

from ._json import dumps

__all__ = ["ErrorBody", "Failure", "JSONBody", "ModelAnswer", "RawBody", "Reply", "error_status"]

_ERROR_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def error_status(error_type: str) -> int:
    """The HTTP status that goes with an error's type."""
    statuses = {usual: status for status, usual in _ERROR_TYPES.items()}
    return statuses.get(error_type, 400 if error_type == "invalid_request_error" else 500)


@frozen(kw_only=True)
class ModelAnswer:
    """What the model says; the API makes a message of it.

    Attributes:
        text: The text, or None for the default answer to the request.
        halved: Whether only the first half of the text is said.
        blocks: Over how many text blocks the text is spread; 0 leaves the content empty.
        thinking: The text of a thinking block that comes first, or None for no such block.
        stop_reason: Why the model stopped.
        stop_details: What is told beside it.
        usage: What to report instead of the counts that are estimated, by the names of the API.
    """

    text: str | None = None
    halved: bool = False
    blocks: int = 1
    thinking: str | None = None
    stop_reason: str = "end_turn"
    stop_details: Mapping[str, Any] | None = None
    usage: Mapping[str, int] = MappingProxyType({})


@frozen(kw_only=True)
class ErrorBody:
    """An error as the API words it."""

    type: str
    message: str
    error_code: str | None = None


@frozen(kw_only=True)
class JSONBody:
    """Any JSON object."""

    value: Mapping[str, Any]


@frozen(kw_only=True)
class RawBody:
    """Any bytes."""

    data: bytes
    media_type: str = "application/json"


Failure = Literal["cut", "dropped", "stalled", "stream_error", "ended_early", "expired"]
"""How a reply goes wrong though its beginning is good."""


def _count(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if value is not None and (type(value) is not int or value < 0):
        raise ValueError(f"{attribute.name} must be a whole number of at least 0, not {value!r}.")


def _seconds(_instance: object, attribute: Attribute[Any], value: float) -> None:
    if not value >= 0:
        raise ValueError(f"{attribute.name} must be at least 0 seconds, not {value!r}.")


@frozen(kw_only=True)
class Reply:
    """One answer of the fake API, good or bad.

    Make one with a constructor below, and slow it down with `after` or `trickling`::

        Reply.json({"cards": []})
        Reply.rate_limited(retry_after=2)
        Reply.default().after(0.5)

    Attributes:
        body: What is answered.
        status: The HTTP status.
        headers: Headers to send besides the usual ones.
        delay_seconds: How long the response is held back before its first byte.
        trickle_seconds: Over how long its body is spread.
        failure: How it goes wrong though its beginning is good: ``cut``, ``dropped``, ``stalled``, ``stream_error``,
            ``ended_early`` or ``expired``, as the constructors of these names tell.
        after_events: After how many events of a stream it goes wrong; None for half of them.
        stream_error_body: The error in the middle of a stream.
    """

    body: ModelAnswer | ErrorBody | JSONBody | RawBody = field(factory=ModelAnswer, repr=False)
    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})
    delay_seconds: float = field(default=0.0, validator=_seconds)
    trickle_seconds: float = field(default=0.0, validator=_seconds)
    failure: Failure | None = None
    after_events: int | None = field(default=None, validator=_count)
    stream_error_body: ErrorBody | None = field(default=None, repr=False)

    # --- messages -----------------------------------------------------------------------------------------------------

    @classmethod
    def default(cls) -> Reply:
        """What is answered when nothing else was asked for: JSON that fits the request's schema, or a short text."""
        return cls()

    @classmethod
    def text(
        cls,
        text: str,
        *,
        stop_reason: str = "end_turn",
        thinking: str | None = None,
        blocks: int = 1,
        usage: Mapping[str, int] | None = None,
    ) -> Reply:
        """A message with a text.

        Args:
            text: What the model says.
            stop_reason: Why it stopped.
            thinking: The text of a thinking block before it; the empty string for one that hides its text.
            blocks: Over how many text blocks the text is spread. With 0 the content is empty.
            usage: Counts to report instead of the estimated ones: ``input_tokens``, ``output_tokens``,
                ``cache_creation_input_tokens``, ``cache_read_input_tokens``. Without ``input_tokens``, what is read
                from the cache or written to it is taken off the estimate, so that the three still add up.
        """
        answer = ModelAnswer(text=text, stop_reason=stop_reason, thinking=thinking, blocks=blocks, usage=usage or {})
        return cls(body=answer)

    @classmethod
    def json(
        cls,
        value: object,
        *,
        stop_reason: str = "end_turn",
        thinking: str | None = None,
        blocks: int = 1,
        usage: Mapping[str, int] | None = None,
    ) -> Reply:
        """A message whose text is a value as JSON; for the rest see `text`."""
        return cls.text(dumps(value), stop_reason=stop_reason, thinking=thinking, blocks=blocks, usage=usage)

    @classmethod
    def message(cls, message: Mapping[str, Any]) -> Reply:
        """Exactly this JSON object in place of a message; nothing is filled in."""
        return cls(body=JSONBody(value=message))

    @classmethod
    def truncated(cls, answer: object = None) -> Reply:
        """A message that ran into ``max_tokens``.

        Args:
            answer: A text is said as it is, so cut it yourself. Of any other value, as JSON, the first half is said,
                and with None the first half of the default answer.
        """
        return cls(body=_cut_short(answer, "max_tokens"))

    @classmethod
    def context_window_exceeded(cls, answer: object = None) -> Reply:
        """A message that filled the model's context window; for the argument see `truncated`."""
        return cls(body=_cut_short(answer, "model_context_window_exceeded"))

    @classmethod
    def refusal(cls, category: str | None = None, *, text: str | None = None) -> Reply:
        """A message in which the model declines to answer; its HTTP status is 200 all the same.

        Args:
            category: The policy it names, such as ``cyber`` or ``bio``, or None.
            text: What it had said before; None leaves the content empty.
        """
        details = {"type": "refusal", "category": category, "explanation": None}
        blocks = 0 if text is None else 1
        answer = ModelAnswer(text=text or "", blocks=blocks, stop_reason="refusal", stop_details=details)
        return cls(body=answer)

    # --- errors -------------------------------------------------------------------------------------------------------

    @classmethod
    def error(
        cls,
        status: int,
        type: str | None = None,  # noqa: A002 - the API's name
        message: str | None = None,
        *,
        error_code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """An error in the API's own form.

        Args:
            status: The HTTP status.
            type: The error's type; by default the one that goes with the status.
            message: The error's message.
            error_code: The stable code below ``details``, if any.
            headers: Headers to send besides the usual ones, such as ``retry-after-ms`` or ``x-should-retry``.
        """
        usual = _ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
        body = ErrorBody(type=type or usual, message=message or f"This is a made-up {usual}.", error_code=error_code)
        return cls(body=body, status=status, headers=headers or {})

    @classmethod
    def rate_limited(cls, retry_after: float | None = None) -> Reply:
        """A 429, with a ``retry-after`` header of so many seconds unless it is None."""
        headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
        return cls.error(429, message="This request would exceed your rate limit.", headers=headers)

    @classmethod
    def ramp_limited(cls, retry_after: float | None = None) -> Reply:
        """A 429 for requests that have grown too fast, whatever the limits leave; see `rate_limited`."""
        headers = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
        message = "Your usage has grown too fast. Ramp up your requests more slowly."
        return cls.error(429, message=message, error_code="ramp_limit_exceeded", headers=headers)

    @classmethod
    def spend_limit(cls) -> Reply:
        """A 429 that no waiting mends: the organization has spent what it may this month."""
        message = "Your organization has reached its monthly spend limit."
        return cls.error(429, message=message, error_code="enforced_spend_limit_reached")

    @classmethod
    def overloaded(cls) -> Reply:
        """A 529: the API as a whole is overloaded."""
        return cls.error(529, message="Overloaded")

    @classmethod
    def html(cls, status: int = 502) -> Reply:
        """A page of HTML, as a proxy between client and API sends it."""
        page = b"<html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>"
        return cls(status=status, body=RawBody(data=page, media_type="text/html"))

    @classmethod
    def malformed(cls) -> Reply:
        """A 200 whose body says it is JSON, and is not."""
        return cls(body=RawBody(data=b'{"id": "msg_'))

    @classmethod
    def garbage(cls) -> Reply:
        """A 200 whose body is JSON, but no message."""
        return cls.message({"foo": 1})

    # --- connections and time -----------------------------------------------------------------------------------------

    @classmethod
    def cut(cls, answer: object = None, *, after_events: int | None = None) -> Reply:
        """A message whose connection ends in the middle of the body.

        Args:
            answer: A text, or any other value as JSON; None for the default answer.
            after_events: After how many events a stream ends; None for half of them. What is no stream ends after
                half of its bytes.
        """
        return cls(body=_said(answer), failure="cut", after_events=after_events)

    @classmethod
    def dropped(cls) -> Reply:
        """Nothing: the connection ends before the first byte."""
        return cls(failure="dropped")

    @classmethod
    def stalled(cls, answer: object = None, *, after_events: int | None = None) -> Reply:
        """A stream that sends so many events and then nothing more, until the client hangs up; see `cut`.

        A message that is no stream never begins to come.
        """
        return cls(body=_said(answer), failure="stalled", after_events=after_events)

    @classmethod
    def stream_error(
        cls,
        type: str = "overloaded_error",  # noqa: A002 - the API's name
        message: str | None = None,
        *,
        answer: object = None,
        after_events: int | None = None,
    ) -> Reply:
        """A stream that breaks off with an ``error`` event; its HTTP status was 200 all the same; see `cut`.

        A message that is no stream is an ordinary error of that type.
        """
        error = ErrorBody(type=type, message=message or f"This is a made-up {type}.")
        return cls(body=_said(answer), failure="stream_error", after_events=after_events, stream_error_body=error)

    @classmethod
    def ended_early(cls, answer: object = None, *, after_events: int | None = None) -> Reply:
        """A stream that ends as it should, but for its last events: nothing tells why the model stopped.

        Args:
            answer: See `cut`.
            after_events: After how many events it ends; None for all but ``message_delta`` and ``message_stop``.
        """
        return cls(body=_said(answer), failure="ended_early", after_events=after_events)

    @classmethod
    def expired(cls) -> Reply:
        """In a batch, a request that expires; a message that comes alone gets a 504."""
        return attrs.evolve(cls.error(504, message="The request timed out."), failure="expired")

    def after(self, seconds: float) -> Reply:
        """The same, held back for so many seconds beyond the API's latency."""
        return attrs.evolve(self, delay_seconds=seconds)

    def trickling(self, seconds: float) -> Reply:
        """The same, with its body spread over so many seconds, beginning after the head."""
        return attrs.evolve(self, trickle_seconds=seconds)


def _said(answer: object) -> ModelAnswer:
    return ModelAnswer(text=answer if answer is None or isinstance(answer, str) else dumps(answer))


def _cut_short(answer: object, stop_reason: str) -> ModelAnswer:
    text = answer if answer is None or isinstance(answer, str) else dumps(answer)
    return ModelAnswer(text=text, halved=not isinstance(answer, str), stop_reason=stop_reason)
