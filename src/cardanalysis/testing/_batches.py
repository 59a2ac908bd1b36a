"""Batches of messages as the API keeps them: their lives, and their JSON; the time is always an argument."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import define, field

from ._json import dumps

__all__ = ["Answerer", "Batch", "BatchBook", "batch_json", "is_archived"]

_EXPIRY_SECONDS = 24 * 3600.0
_KEPT_SECONDS = 29 * 24 * 3600.0
"""How long after a batch's creation its results can be read."""

_OUTCOMES = ("succeeded", "errored", "canceled", "expired")


@define(kw_only=True)
class Batch:
    """One batch.

    Attributes:
        number: Which batch of the API it is, from 1.
        requests: The requests, each with its ``custom_id`` and ``params``.
        headers: The headers of the HTTP request that created it.
        created_at: When it was created; this and every time below in seconds of the API's clock.
        visible_at: From when on it can be found.
        seconds: How long it takes to answer all of its requests, evenly one after the other.
        ends_at: When it will end.
        cancel_at: When it was asked to be canceled, if ever.
        answered: How many requests are answered; None for as many as it gets to until it ends.
        lines: The lines of its results, without line breaks; None until it has ended.
        counts: How many of its requests came to which end.
    """

    number: int
    requests: list[dict[str, Any]] = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    created_at: float
    visible_at: float
    seconds: float
    ends_at: float
    cancel_at: float | None = None
    answered: int | None = None
    lines: list[bytes] | None = field(default=None, repr=False)
    counts: Counter[str] = field(factory=Counter[str])

    @property
    def id(self) -> str:
        """The id under which the API knows it."""
        return f"msgbatch_{self.number:024d}"

    @property
    def has_ended(self) -> bool:
        """Whether its results are there."""
        return self.lines is not None

    def end(self, answer: Answerer) -> None:
        """Answer the requests that it got to, and make the results, in an order of their own."""
        answered = self._reached() if self.answered is None else self.answered
        rest = "expired" if self.cancel_at is None else "canceled"
        lines: list[bytes] = []
        for index, request in enumerate(self.requests):
            result = answer(self, index) if index < answered else {"type": rest}
            self.counts[result["type"]] += 1
            lines.append(dumps({"custom_id": request["custom_id"], "result": result}).encode())
        random.Random(self.number).shuffle(lines)  # noqa: S311 - the same order every time
        self.lines = lines

    def _reached(self) -> int:
        """How many requests it got to until it ended."""
        if self.ends_at >= self.created_at + self.seconds:
            return len(self.requests)
        return int(len(self.requests) * (self.ends_at - self.created_at) / self.seconds)


Answerer = Callable[[Batch, int], Mapping[str, Any]]
"""Gives the result of a batch's request, told by its index."""


class BatchBook:
    """All batches of an API.

    Args:
        answer: Called when a batch has ended, for each of its requests that was answered.
    """

    def __init__(self, answer: Answerer) -> None:
        self._answer = answer
        self._batches: dict[str, Batch] = {}
        self._number = 0

    def create(
        self, requests: list[dict[str, Any]], headers: dict[str, str], now: float, *, seconds: float, hidden: float
    ) -> Batch:
        """Begin a batch that takes so many seconds, and can be found after some."""
        self._number += 1
        batch = Batch(
            number=self._number,
            requests=requests,
            headers=headers,
            created_at=now,
            visible_at=now + hidden,
            seconds=seconds,
            ends_at=now + min(seconds, _EXPIRY_SECONDS),
        )
        self._batches[batch.id] = batch
        return batch

    def get(self, batch_id: str) -> Batch:
        """A batch, seen or not.

        Raises:
            KeyError: There is none of that id.
        """
        return self._batches[batch_id]

    def visible(self, now: float) -> Iterator[Batch]:
        """The batches that can be found, the newest first."""
        return (batch for batch in reversed(list(self._batches.values())) if batch.visible_at <= now)

    def delete(self, batch: Batch) -> None:
        """Forget a batch."""
        del self._batches[batch.id]

    def end_due(self, now: float) -> None:
        """End the batches whose time has come, in the order in which they end."""
        due = [batch for batch in self._batches.values() if not batch.has_ended and batch.ends_at <= now]
        for batch in sorted(due, key=lambda batch: batch.ends_at):
            batch.end(self._answer)

    @staticmethod
    def cancel(batch: Batch, now: float) -> None:
        """Have a batch that runs end now; a second time changes nothing."""
        if batch.cancel_at is None:
            batch.cancel_at = batch.ends_at = now


def is_archived(batch: Batch, now: float) -> bool:
    """Whether a batch is so old that its results are gone."""
    return now >= batch.created_at + _KEPT_SECONDS


def batch_json(batch: Batch, now: float, *, epoch: float, base_url: str) -> dict[str, Any]:
    """What the API tells of a batch.

    Args:
        batch: The batch.
        now: The time.
        epoch: What to add to a time to have seconds since 1970.
        base_url: The API's address.
    """

    def told(time: float | None) -> str | None:
        if time is None:
            return None
        return datetime.fromtimestamp(time + epoch, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

    archived = is_archived(batch, now)
    status = "ended" if batch.has_ended else "in_progress" if batch.cancel_at is None else "canceling"
    processing = 0 if batch.has_ended else len(batch.requests)
    has_results = batch.has_ended and not archived
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": status,
        "request_counts": {"processing": processing, **{name: batch.counts[name] for name in _OUTCOMES}},
        "created_at": told(batch.created_at),
        "expires_at": told(batch.created_at + _EXPIRY_SECONDS),
        "ended_at": told(batch.ends_at) if batch.has_ended else None,
        "cancel_initiated_at": told(batch.cancel_at),
        "archived_at": told(batch.created_at + _KEPT_SECONDS) if archived else None,
        "results_url": f"{base_url}/v1/messages/batches/{batch.id}/results" if has_results else None,
    }
