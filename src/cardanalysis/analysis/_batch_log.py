"""What a run notes of its batches, so that a restarted run finds what was paid for.

A batch is noted twice: before it is submitted, with the ids of its requests, and after, with the API's id. A crash or a
lost answer between the two leaves a submission of which nobody knows whether it happened; it is looked for among the
API's batches before its requests are submitted again.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import anyio
from attrs import define, evolve, field, frozen

from .._work import Journal

__all__ = ["BATCH_EVENTS", "BatchLog", "Note", "Submission"]

BATCH_EVENTS: Final = ("batch_submitting", "batch_submitted", "batch_absent", "batch_ended")
"""The types of the events that are kept."""

_IDS_AN_EVENT: Final = 500


@frozen(kw_only=True, eq=False)
class Submission:
    """An attempt to have a batch.

    Attributes:
        id: Tells it from the others.
        at: When it was made, by the clock of this machine.
        custom_ids: The ids of its requests.
    """

    id: str
    at: datetime
    custom_ids: frozenset[str] = field(repr=False)

    @classmethod
    def of(cls, custom_ids: Iterable[str], at: datetime) -> Submission:
        """A new one."""
        return cls(id=uuid.uuid4().hex, at=at, custom_ids=frozenset(custom_ids))


@frozen(kw_only=True, eq=False)
class Note:
    """What is known of a submission.

    Attributes:
        submission: Which one.
        batch_id: What the API calls it; None if that is not known.
        ended: Whether it was seen to have ended.
    """

    submission: Submission
    batch_id: str | None
    ended: bool


class BatchLog:
    """Reads and writes what a run notes of its batches.

    Args:
        journal: Where it is kept.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._records: dict[str, _Record] = {}
        self._read_to = 0
        self._reading = anyio.Lock()

    async def submitting(self, submission: Submission) -> None:
        """Note that a batch is about to be submitted. Only then may it be."""
        ids = sorted(submission.custom_ids)
        for start in range(0, len(ids), _IDS_AN_EVENT):
            data = {
                "submission": submission.id,
                "at": submission.at.isoformat(),
                "count": len(ids),
                "custom_ids": ids[start : start + _IDS_AN_EVENT],
            }
            await self._journal.append("batch_submitting", data)

    async def submitting_later(self, submission: Submission, at: datetime) -> Submission:
        """Note that the time of a submission has moved, since the API would not have it before."""
        await self._journal.append("batch_submitting", {"submission": submission.id, "at": at.isoformat()})
        return evolve(submission, at=at)

    async def submitted(self, submission: Submission, batch_id: str) -> None:
        """Note what the API calls it."""
        await self._journal.append("batch_submitted", {"submission": submission.id, "batch_id": batch_id})

    async def absent(self, submission: Submission) -> None:
        """Note that the API has no such batch."""
        await self._journal.append("batch_absent", {"submission": submission.id, "absent": True})

    async def ended(self, submission: Submission, counts: Mapping[str, int]) -> None:
        """Note that it has ended, and how."""
        await self._journal.append("batch_ended", {"submission": submission.id, "counts": dict(counts)})

    async def news(self) -> list[Note]:
        """Submissions that happened, or of which nobody knows whether they did, the oldest first.

        At first these are all of the run; later, those of which something was noted since, by whichever worker.
        """
        async with self._reading:
            events, self._read_to = await self._journal.read(BATCH_EVENTS, self._read_to)
            changed: dict[str, _Record] = {}
            for data in events:
                name = data["submission"]
                changed[name] = self._records.setdefault(name, _Record())
                changed[name].add(data)
        return [record.note(name) for name, record in changed.items() if record.may_exist]


@define
class _Record:
    """The events of one submission, put together."""

    at: str = ""
    count: int = 0
    custom_ids: list[str] = field(factory=list[str])
    batch_id: str | None = None
    absent: bool = False
    ended: bool = False

    def add(self, data: Mapping[str, Any]) -> None:
        self.at = data.get("at", self.at)
        self.count = data.get("count", self.count)
        self.custom_ids += data.get("custom_ids", ())
        self.batch_id = data.get("batch_id", self.batch_id)
        self.absent |= "absent" in data
        self.ended |= "counts" in data

    @property
    def may_exist(self) -> bool:
        # Nothing is submitted before all of its ids are noted.
        return bool(self.count) and len(self.custom_ids) == self.count and not self.absent

    def note(self, name: str) -> Note:
        submission = Submission(id=name, at=datetime.fromisoformat(self.at), custom_ids=frozenset(self.custom_ids))
        return Note(submission=submission, batch_id=self.batch_id, ended=self.ended)
