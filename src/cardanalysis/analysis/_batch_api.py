"""The calls of the Message Batches API, each made once, and what their failures mean.

How the API and the SDK behave is from the public documentation (August 2026) and version 2.12 of the SDK.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from attrs import evolve, field, frozen

from .._errors import ConfigurationError
from ._batch_requests import BatchRequest
from ._batch_results import ResultLine, result_lines, transient
from ._failures import invalid_response
from ._schema import is_list
from ._sdk import create_batch, explain, is_stale, timeouts, without_retries
from ._transport import AttemptFailed, Failure, FailureKind

__all__ = ["BatchAPI", "BatchState"]

_CONNECT_SECONDS: Final = 5.0
_SILENCE_SECONDS: Final = 60.0
_CREATE_SILENCE_SECONDS: Final = 600.0  # a batch of 200 MB takes its time until the API has looked at it
_CLOCK_SLACK: Final = timedelta(minutes=10)
"""How far the clock of this machine may be off, or a request for a batch may take, without it being overlooked."""


@frozen(kw_only=True)
class BatchState:
    """What the API tells of a batch.

    Attributes:
        ended: Whether all of its requests have come to an end.
        has_results: Whether the results can be read; they are kept for 29 days.
        counts: How many requests came to which end.
    """

    ended: bool
    has_results: bool
    counts: Mapping[str, int] = field(repr=False)

    @property
    def results(self) -> int:
        """How many results there are."""
        return sum(self.counts.values())


class BatchAPI:
    """Batches at the API.

    Args:
        client: An async client of the SDK, of the running event loop.

    Raises:
        ConfigurationError: The client has no batches (code ``no_batches``).
    """

    def __init__(self, client: Any) -> None:
        # A batch that the client itself creates again after a lost answer would be paid twice.
        self._client = without_retries(client)
        self._batches: Any = getattr(self._client.messages, "batches", None)
        if self._batches is None:
            raise _no_batches(client)

    def explain(self, error: Exception) -> Failure:
        """What it means that a call raised an error."""
        if isinstance(error, AttemptFailed):
            return error.failure
        if is_stale(error):
            return transient("connection_failed", "A connection of an event loop that is closed was left over.")
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if "AnthropicError" in kinds and kinds.isdisjoint({"APIError", "CredentialsError"}):
            # Clients for clouds without batches raise it before anything is sent.
            return Failure(kind=FailureKind.FINAL, error=_no_batches(self._client), unbilled=True)
        return explain(error, model="", private=())

    async def create(self, requests: Sequence[BatchRequest]) -> str | None:
        """Submit a batch.

        Returns:
            Its id, or None if it cannot be known whether it was submitted.

        Raises:
            AttemptFailed: It was not.
        """
        body = [request.as_json() for request in requests]
        timeout = timeouts(connect=_CONNECT_SECONDS, silence=_CREATE_SILENCE_SECONDS)
        try:
            created = await create_batch(self._client, body, timeout=timeout)
        except Exception as error:
            failure = self.explain(error)
            if failure.status == 404:  # a gateway that passes on messages alone
                failure = evolve(failure, error=_no_batches(self._client))
            if _surely_nothing_happened(failure):
                raise AttemptFailed(failure) from None
            return None
        return _text(created, "id")

    async def look(self, batch_id: str) -> BatchState:
        """See how far a batch is.

        Raises:
            Exception: What the client raises, to be put to `explain`.
        """
        told = await self._batches.retrieve(batch_id, timeout=_timeout())
        status = _text(told, "processing_status")
        if status is None:
            raise _unreadable()
        return BatchState(
            ended=status == "ended",
            has_results=bool(getattr(told, "results_url", None)),
            counts=_counts(told),
        )

    async def find(self, *, size: int, at: datetime) -> list[str]:
        """The ids of batches with so many requests that were created around a time; more cannot be told from outside.

        Raises:
            Exception: What the client raises, to be put to `explain`.
        """
        found: list[str] = []
        page = await _page(self._batches.list(limit=100, timeout=_timeout()))
        while True:
            batches = [_listed(batch) for batch in _data(page)]
            around = [batch for batch in batches if abs(batch.created_at - at) <= _CLOCK_SLACK]
            found += [batch.id for batch in around if batch.size == size]
            # The newest come first.
            if any(batch.created_at < at - _CLOCK_SLACK for batch in batches) or not page.has_next_page():
                return found
            page = await _page(page.get_next_page())

    @asynccontextmanager
    async def results(self, batch_id: str) -> AsyncGenerator[AsyncGenerator[ResultLine]]:
        """Read the results of a batch that has ended, one after the other, without holding them.

        Raises:
            Exception: What the client raises, to be put to `explain`; also in the middle.
        """
        streaming = self._batches.with_streaming_response
        async with (
            streaming.results(batch_id) as response,
            aclosing(response.iter_bytes()) as chunks,
            aclosing(result_lines(chunks)) as lines,
        ):
            yield lines

    async def cancel(self, batch_id: str) -> None:
        """Ask for a batch to be cancelled.

        Raises:
            Exception: What the client raises, to be put to `explain`.
        """
        await self._batches.cancel(batch_id, timeout=_timeout())


def _timeout() -> Any:
    return timeouts(connect=_CONNECT_SECONDS, silence=_SILENCE_SECONDS)


def _surely_nothing_happened(failure: Failure) -> bool:
    """Whether a call that failed certainly had no effect: it was not sent, or the API refused it."""
    if failure.status is None:
        return failure.unbilled or failure.kind is FailureKind.FINAL
    return failure.status in (429, 529) or (400 <= failure.status < 500 and failure.status != 408)


def _no_batches(client: Any) -> ConfigurationError:
    return ConfigurationError(
        f'{type(client).__name__} has no message batches. Leave out mode="batch", or pass a client that has them, such '
        "as AsyncAnthropic.",
        code="no_batches",
    )


def _unreadable() -> AttemptFailed:
    return AttemptFailed(invalid_response("What came back is nothing of the Message Batches API."))


@frozen(kw_only=True)
class _Listed:
    id: str
    created_at: datetime
    size: int


async def _page(coming: Awaitable[Any]) -> Any:
    try:
        return await coming
    except AttributeError:  # what the SDK makes of a page of HTML with status 200
        raise _unreadable() from None


def _data(page: object) -> list[Any]:
    data = getattr(page, "data", None)
    if not is_list(data):
        raise _unreadable()
    return data


def _listed(batch: object) -> _Listed:
    batch_id, created_at = _text(batch, "id"), getattr(batch, "created_at", None)
    if batch_id is None or not isinstance(created_at, datetime):
        raise _unreadable()
    return _Listed(id=batch_id, created_at=created_at, size=sum(_counts(batch).values()))


def _text(told: object, name: str) -> str | None:
    # The SDK does not check responses: a page of HTML comes as text, another object with fields of None.
    value = getattr(told, name, None)
    return value if isinstance(value, str) and value else None


def _counts(told: object) -> dict[str, int]:
    counts = getattr(told, "request_counts", None)
    names = ("processing", "succeeded", "errored", "canceled", "expired")
    values = {name: getattr(counts, name, 0) for name in names}
    return {name: value for name, value in values.items() if isinstance(value, int)}
