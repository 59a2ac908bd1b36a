"""The way a request goes to the API and its answer comes back; one attempt, without retries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Protocol

from attrs import field, frozen

from .._errors import CardAnalysisError
from ._prices import TokenCounts
from ._replies import Reply

__all__ = ["Answer", "AttemptFailed", "Begun", "Broken", "Failure", "FailureKind", "Transport", "ignored"]

Begun = Callable[[Mapping[str, str]], None]
"""Called with the headers of an answer, once, when it begins to come."""
Broken = Callable[["TokenCounts | None"], None]
"""Called with what an interrupted attempt had used, as far as that is known."""


def ignored(_tokens: TokenCounts | None) -> None:
    """Make nothing of an interruption."""


class FailureKind(StrEnum):
    """What a failed attempt means for the next one."""

    RATE_LIMIT = "rate_limit"
    """The limit that many share is reached: everyone who shares it waits."""
    OVERLOAD = "overload"
    """The API as a whole is overloaded: everyone waits."""
    TRANSIENT = "transient"
    """The same request may well succeed a little later."""
    TOO_LONG = "too_long"
    """The prompt does not fit; a part of it may."""
    FINAL = "final"
    """No further attempt mends it."""


@frozen(kw_only=True)
class Failure:
    """Why an attempt brought no message.

    Attributes:
        kind: What it means for the next attempt.
        error: What to raise when there is no next one. A `ConfigurationError` stops the run.
        status: The HTTP status; None if there was no answer.
        request_id: The API's id of the request, if it gave one.
        retry_after: What the API asked to wait in seconds, of the clock that paces the requests; None if nothing.
        headers: The answer's, by lower-case name.
        tokens: What was used before it failed, as far as a broken stream told; None if nothing is known.
        unbilled: Whether the API surely took nothing for it: it answered with an error.
    """

    kind: FailureKind
    error: CardAnalysisError
    status: int | None = None
    request_id: str | None = None
    retry_after: float | None = None
    headers: Mapping[str, str] = field(factory=dict[str, str], repr=False)
    tokens: TokenCounts | None = None
    unbilled: bool = False


class AttemptFailed(Exception):
    """An attempt brought no message."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure.error))
        self.failure = failure


@frozen(kw_only=True)
class Answer:
    """A message that came back.

    Attributes:
        reply: What it says.
        request_id: The API's id of the request, if it gave one.
        headers: The answer's, by lower-case name.
        kept: Whether the API keeps it, so that it can be taken again.
    """

    reply: Reply
    kept: bool = False
    request_id: str | None = None
    headers: Mapping[str, str] = field(factory=dict[str, str], repr=False)


class Transport(Protocol):
    """Sends requests one way: over an open client, or in a batch."""

    async def earlier(self, params: Mapping[str, Any], /, *, key: str) -> Answer | None:
        """The answer to an attempt that was interrupted and went on without us; None if there is none."""
        ...

    def goes_on(self, params: Mapping[str, Any], /, *, key: str) -> bool:
        """Whether an attempt that was just interrupted may be billed all the same."""
        ...

    async def send(self, params: Mapping[str, Any], /, *, key: str, begun: Begun, broken: Broken = ignored) -> Answer:
        """Make one attempt.

        Args:
            params: What ``messages.create`` takes: model, max_tokens, system, messages, output_config and so on.
            key: Tells this request from every other one of the run, and is the same after a restart.
            begun: Called when the answer begins to come, from which on the prompt cache holds the prefix.
            broken: Called when the attempt is interrupted, with the tokens of which the API had told by then.

        Raises:
            AttemptFailed: There is no message.
        """
        ...
