"""Follows batches to their ends and brings their results to those who wait for them.

Nothing here is given up because of the network: a batch that was submitted is paid for.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from itertools import islice
from typing import NamedTuple, TypeVar

from anyio.abc import TaskGroup
from attrs import define, evolve, frozen

from .._clock import Clock
from ._batch_api import BatchAPI, BatchState
from ._batch_log import BatchLog, Submission
from ._batch_mail import BatchMail, own_failure
from ._batch_requests import BatchOptions
from ._failures import invalid_response
from ._transport import AttemptFailed, Failure, FailureKind

__all__ = ["Batch", "Follower"]

logger = logging.getLogger(__name__)

_T = TypeVar("_T")
_DOWNLOADS = 5
"""How often results are read that are fewer than the API says there are."""
_GROWTH = 1.6


@define(eq=False, kw_only=True)
class Batch:
    """A batch that was submitted, or may have been.

    Attributes:
        submission: How it was submitted.
        mail: Its results.
        id: What the API calls it; None if that is not known (yet).
        ended: Whether it was seen to have ended.
        absent: Whether there is no such batch after all.
        followed: Whether somebody follows it.
    """

    submission: Submission
    mail: BatchMail
    id: str | None = None
    ended: bool = False
    absent: bool = False
    followed: bool = False


class _Read(NamedTuple):
    """How many results were read."""

    own: int
    strange: int

    @property
    def total(self) -> int:
        return self.own + self.strange


class _Gone(Exception):
    """The API does not know the batch, or its results are no longer kept."""


@frozen(kw_only=True, eq=False)
class Follower:
    """Follows the batches of one run.

    Attributes:
        api: Where they are.
        log: What the run notes of them.
        options: How patient to be.
        clock: What times are measured in.
        now: The time of day.
        tasks: Where the following is done.
        known: Says whether a batch of the API belongs to another submission of the run.
    """

    api: BatchAPI
    log: BatchLog
    options: BatchOptions
    clock: Clock
    now: Callable[[], datetime]
    tasks: TaskGroup
    known: Callable[[str], bool]

    async def result(self, batch: Batch, custom_id: str) -> bytes | None:
        """Wait for a request's result.

        Returns:
            The line that holds it, or None if the batch has none for it, or it was given out before.

        Raises:
            AttemptFailed: It cannot be known.
        """
        waiter = batch.mail.ask(custom_id)
        if batch.mail.is_awaited and not batch.followed:
            batch.followed = True
            self.tasks.start_soon(self._follow, batch)
        try:
            await waiter.wait()
        except BaseException:
            batch.mail.leave(custom_id, waiter)
            raise
        if waiter.failure is not None:
            raise own_failure(waiter.failure)
        return waiter.line

    async def _follow(self, batch: Batch) -> None:
        try:
            while batch.mail.is_awaited:
                await self._bring_results(batch)
        except _Gone:
            logger.warning("Batch %s is gone, and its results with it.", batch.id)
            batch.mail.close()
        except Exception as error:
            batch.mail.close(self.api.explain(error))
        finally:
            batch.followed = False

    async def _bring_results(self, batch: Batch) -> None:
        if batch.id is None:
            await self._identify(batch)
        if batch.id is None:
            batch.absent = True
            batch.mail.close()
            await self.log.absent(batch.submission)
            return
        state = await self._end_of(batch.id)
        if not batch.ended:
            batch.ended = True
            await self.log.ended(batch.submission, state.counts)
        await self._download(batch, batch.id, state)

    async def patiently(self, call: Callable[[], Awaitable[_T]]) -> _T:
        """Make a call until it works.

        Raises:
            AttemptFailed: It will not.
        """
        missing_since: float | None = None
        pauses = self.pauses()
        while True:
            try:
                return await call()
            except Exception as error:
                failure = self.api.explain(error)
            if failure.status == 404:  # also for batches that are there, for a while (anthropic-sdk-python issue 1432)
                missing_since = self.clock.now() if missing_since is None else missing_since
                if self.clock.now() - missing_since >= self.options.missing_seconds:
                    raise _Gone
            elif failure.kind is FailureKind.FINAL:
                raise AttemptFailed(failure)
            else:
                missing_since = None
            told = "it does not know the batch (404)." if failure.status == 404 else failure.error
            logger.warning("The Message Batches API cannot be asked now: %s", told)
            await self.clock.sleep(max(next(pauses), failure.retry_after or 0.0))

    def pauses(self) -> Iterator[float]:
        """Seconds to wait, growing, and different for everyone."""
        pause = self.options.poll_seconds
        while True:
            yield pause * random.uniform(0.8, 1.2)  # noqa: S311 - no secret
            pause = min(pause * _GROWTH, self.options.longest_poll_seconds)

    async def _end_of(self, batch_id: str) -> BatchState:
        pauses = self.pauses()
        while True:
            state = await self.patiently(lambda: self.api.look(batch_id))
            if state.ended:
                if not state.has_results:
                    raise _Gone
                return state
            await self.clock.sleep(next(pauses))

    async def _download(self, batch: Batch, batch_id: str, state: BatchState) -> None:
        read = _Read(0, 0)
        for pause in islice(self.pauses(), _DOWNLOADS):
            read = await self.patiently(lambda: self._read(batch, batch_id))
            if read.total >= state.results:
                break
            logger.warning("Of batch %s, %d of %d results could be read.", batch_id, read.total, state.results)
            await self.clock.sleep(pause)
        if state.results and not read.total:
            # Something stands between that answers in the API's place; to ask anew would be to pay anew.
            raise AttemptFailed(evolve(_unreadable(), kind=FailureKind.FINAL))
        if read.strange:
            logger.warning("Batch %s has %d results that are not of this run.", batch_id, read.strange)
        batch.mail.finish()

    async def _read(self, batch: Batch, batch_id: str) -> _Read:
        """Read all results, from the first."""
        own = strange = 0
        batch.mail.begin()
        async with self.api.results(batch_id) as lines:
            async for custom_id, line in lines:
                if batch.mail.deliver(custom_id, line):
                    own += 1
                else:
                    strange += 1
        return _Read(own, strange)

    async def _identify(self, batch: Batch) -> None:
        """Find out which batch of the API a submission of unknown outcome became, if any.

        Batches tell their creator only how many requests they hold and when they were created; whose they are shows in
        the ids of their results.
        """
        submission = batch.submission
        age = (self.now() - submission.at).total_seconds()
        await self.clock.sleep(max(0.0, self.options.settle_seconds - max(0.0, age)))
        size = len(submission.custom_ids)
        for candidate in await self.patiently(lambda: self.api.find(size=size, at=submission.at)):
            if not self.known(candidate) and await self._is_of(candidate, submission):
                batch.id = candidate
                await self.log.submitted(submission, candidate)
                return

    async def _is_of(self, candidate: str, submission: Submission) -> bool:
        logger.warning("Batch %s may be of this run; it is waited for before anything is submitted again.", candidate)

        async def read() -> bool:
            own: set[bool] = set()
            async with self.api.results(candidate) as lines:
                async for custom_id, _ in lines:  # to the end, which costs less than a connection that is cut
                    own.add(custom_id in submission.custom_ids)
            if not own:  # every batch has results, so this is something else
                raise AttemptFailed(_unreadable())
            return True in own

        try:
            await self._end_of(candidate)
            return await self.patiently(read)
        except _Gone:
            return False


def _unreadable() -> Failure:
    return invalid_response("The results of the batch cannot be read. Check what stands between, such as a proxy.")
