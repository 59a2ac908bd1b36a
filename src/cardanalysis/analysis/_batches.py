"""The cheap way of a request: in a batch of many, at half the price, for which one waits.

Requests are packed into batches, each batch is noted in the run's log before it is submitted, followed until it has
ended, and its results are brought to the requests that wait for them. A restarted run makes the same requests, under
the same ids, and so finds the results of batches that were submitted before.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import anyio
from anyio import CancelScope
from anyio.abc import TaskGroup
from attrs import define, evolve, field

from .._clock import Clock
from .._errors import AnalyzerError, ConfigurationError
from .._work import Journal
from ._batch_api import BatchAPI
from ._batch_follow import Batch, Follower
from ._batch_log import BatchLog, Submission
from ._batch_mail import BatchMail, Room, own_failure
from ._batch_requests import BatchOptions, BatchRequest, Pack, batch_request
from ._batch_results import read_result, transient
from ._sdk import utc_now
from ._transport import Answer, AttemptFailed, Begun, Broken, Failure, FailureKind, Transport, ignored

__all__ = ["BatchOptions", "BatchTransport", "batches_open"]

logger = logging.getLogger(__name__)

_NOTE_SECONDS = 5.0
"""How long an interrupted run may take to note the id of the batch that it has just submitted."""
_CANCEL_TRIES = 3
_PROBE_PAUSE_SECONDS = 10.0
"""How long nobody asks by itself after a refusal that does not say how long to wait."""
_OLD = timedelta(minutes=2)
"""When the noted time of a submission is too far back to find the batch by it."""


@asynccontextmanager
async def batches_open(
    client: Any,
    *,
    journal: Journal,
    options: BatchOptions | None = None,
    clock: Clock | None = None,
    probe: Transport | None = None,
    now: Callable[[], datetime] = utc_now,
) -> AsyncGenerator[BatchTransport]:
    """Open the way through batches for one run.

    Leaving it ends all that goes on here; batches that were submitted go on at the API.

    Args:
        client: An async client of the SDK, of the running event loop.
        journal: The run's log.
        options: How requests become batches; None for the defaults.
        clock: What times are measured in.
        probe: What sends requests by themselves until one was answered, so that settings that the API refuses are
            found before a batch is made of them; None to trust them.
        now: The time of day, in UTC.

    Raises:
        ConfigurationError: On entering: the client has no batches (code ``no_batches``).
    """
    api, log = BatchAPI(client), BatchLog(journal)
    failed: Exception | None = None
    async with anyio.create_task_group() as tasks:
        transport = BatchTransport(
            api, log, options=options or BatchOptions(), clock=clock or Clock(), probe=probe, now=now, tasks=tasks
        )
        try:
            await transport.catch_up()
            yield transport
        except Exception as error:  # carried out of the task group, which would wrap it
            failed = error
        finally:
            transport.close()
            tasks.cancel_scope.cancel()
    if failed is not None:
        raise failed


@define(eq=False)
class _Ticket:
    """A request that waits to be submitted.

    Attributes:
        request: The request.
        batch: The batch it was submitted in; None if its result has turned up elsewhere.
        failure: Why it was not.
        abandoned: Whether nobody waits for it any more.
    """

    request: BatchRequest
    batch: Batch | None = None
    failure: Failure | None = None
    abandoned: bool = False
    done: anyio.Event = field(factory=anyio.Event)

    def settle(self, *, batch: Batch | None = None, failure: Failure | None = None) -> None:
        """Say what came of it; only the first time counts."""
        if not self.done.is_set():
            self.batch, self.failure = batch, failure
            self.done.set()


class BatchTransport:
    """Sends requests in batches; see `Transport`, and `batches_open`, which makes it."""

    def __init__(
        self,
        api: BatchAPI,
        log: BatchLog,
        *,
        options: BatchOptions,
        clock: Clock,
        probe: Transport | None,
        now: Callable[[], datetime],
        tasks: TaskGroup,
    ) -> None:
        self._api = api
        self._log = log
        self._options = options
        self._clock = clock
        self._probe = probe
        self._now = now
        self._tasks = tasks
        self._follower = Follower(
            api=api, log=log, options=options, clock=clock, now=now, tasks=tasks, known=self._is_known
        )
        self._room = Room(options.held_bytes)
        self._batches: dict[str, Batch] = {}
        self._places: dict[str, list[Batch]] = {}
        self._pack = Pack(options)
        self._open: dict[str, _Ticket] = {}
        self._quiet_at = 0.0
        self._lingering = False
        self._submitting = anyio.Lock()
        self._probing = anyio.Lock()
        self._refused: Failure | None = None
        self._probe_at = -math.inf
        self._alone: set[str] = set()
        self._closed = False

    async def earlier(self, params: Mapping[str, Any], /, *, key: str) -> Answer | None:
        """The message that a batch of before the interruption holds, for which it is waited; see `Transport`."""
        if self._closed:
            raise own_failure(_closed())
        return await self._found(batch_request(params, key))

    def goes_on(self, params: Mapping[str, Any], /, *, key: str) -> bool:
        """Whether its batch was submitted, or may have been, or it was sent by itself; see `Transport`."""
        custom_id = batch_request(params, key).custom_id
        return custom_id in self._places or custom_id in self._alone

    async def send(self, params: Mapping[str, Any], /, *, key: str, begun: Begun, broken: Broken = ignored) -> Answer:
        """Make one attempt, and wait until its batch has ended; see `Transport`.

        A message that an earlier batch of the run holds for the same request is taken, as long as nobody else got it.
        """
        if self._closed:
            raise own_failure(_closed())
        request = batch_request(params, key)
        while True:
            found = await self._found(request)
            if found is None and self._probe is not None:
                answer = await self._probed(self._probe, request, params, begun, broken)
                if answer is not None:
                    return answer
            answer = found or await self._through_batch(request)
            if answer is not None:
                begun(answer.headers)
                return answer

    async def cancel(self) -> None:
        """Ask the API to cancel every batch that is under way. What they have done by then is paid."""
        with anyio.move_on_after(_NOTE_SECONDS):  # for a batch that is being submitted
            async with self._submitting:
                pass
        for batch in list(self._batches.values()):
            if batch.id is not None and not batch.ended:
                await self._cancel(batch.id)

    async def catch_up(self) -> None:
        """Learn what the run's log tells of batches since it was last asked."""
        for note in await self._log.news():
            batch = self._batches.get(note.submission.id) or self._add(note.submission)
            batch.id = batch.id or note.batch_id
            batch.ended |= note.ended

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._closed = True
        failure = _closed()
        for ticket in self._open.values():
            ticket.settle(failure=failure)
        for batch in self._batches.values():
            batch.mail.close(failure)

    # --- a request ----------------------------------------------------------------------------------------------------

    async def _found(self, request: BatchRequest) -> Answer | None:
        """The message that a batch submitted earlier holds for a request."""
        for batch in self._may_hold(request):
            line = await self._follower.result(batch, request.custom_id)
            try:
                if line is not None:
                    return Answer(reply=read_result(line, request.params), kept=True)
            except AttemptFailed as failed:  # whether somebody was told of it cannot be known, so it is tried anew
                logger.debug("A request failed in an earlier batch: %s", failed)
        return None

    def _may_hold(self, request: BatchRequest) -> list[Batch]:
        places = self._places.get(request.custom_id, ())
        return [batch for batch in places if not batch.mail.is_settled(request.custom_id)]

    async def _probed(
        self, probe: Transport, request: BatchRequest, params: Mapping[str, Any], begun: Begun, broken: Broken
    ) -> Answer | None:
        """Send a request by itself if none was answered yet, one at a time, and not while the API wants to be left."""
        async with self._probing:
            while (pause := self._probe_at - self._clock.now()) > 0:
                await self._clock.sleep(pause)
            if self._refused is not None:
                raise own_failure(self._refused)
            if self._probe is None:
                return None
            self._alone.add(request.custom_id)
            try:
                answer = await probe.send(params, key=request.custom_id, begun=begun, broken=broken)
            except AttemptFailed as failed:
                self._alone.discard(request.custom_id)
                failure = failed.failure
                if isinstance(failure.error, ConfigurationError):
                    self._refused = failure
                if failure.kind in (FailureKind.RATE_LIMIT, FailureKind.OVERLOAD):
                    self._probe_at = self._clock.now() + (failure.retry_after or _PROBE_PAUSE_SECONDS)
                raise
            self._probe = None
            return answer

    async def _through_batch(self, request: BatchRequest) -> Answer | None:
        """Have a request submitted and wait for its result. None if it should be looked for again."""
        batch = await self._submitted(request)
        if batch is None:
            return None
        line = await self._follower.result(batch, request.custom_id)
        if line is not None:
            return Answer(reply=read_result(line, request.params), kept=True)
        if batch.absent:
            return None
        raise AttemptFailed(transient("batch_result_missing", "The batch has ended without a result for this request."))

    async def _submitted(self, request: BatchRequest) -> Batch | None:
        """Wait until a request was submitted in a batch. None if it may be in another one already."""
        if not self._pack.takes(request):
            self._flush()
        self._pack.add(request)
        ticket = self._open[request.custom_id] = _Ticket(request)
        if self._pack.is_full:
            self._flush()
        else:
            self._linger()
        try:
            await ticket.done.wait()
        except BaseException:
            self._abandon(ticket)
            raise
        if ticket.failure is not None:
            raise own_failure(ticket.failure)
        return ticket.batch

    def _abandon(self, ticket: _Ticket) -> None:
        ticket.abandoned = True
        if self._open.get(ticket.request.custom_id) is ticket:
            del self._open[ticket.request.custom_id]
            self._pack.remove(ticket.request)

    # --- a batch ------------------------------------------------------------------------------------------------------

    def _linger(self) -> None:
        self._quiet_at = self._clock.now() + self._options.linger_seconds
        if not self._lingering:
            self._lingering = True
            self._tasks.start_soon(self._flush_when_quiet)

    async def _flush_when_quiet(self) -> None:
        while (left := self._quiet_at - self._clock.now()) > 0:
            await self._clock.sleep(left)
        self._lingering = False
        self._flush()

    def _flush(self) -> None:
        tickets, self._open, self._pack = list(self._open.values()), {}, Pack(self._options)
        if tickets:
            self._tasks.start_soon(self._submit, tickets)

    async def _submit(self, tickets: Sequence[_Ticket]) -> None:
        failure = _closed()
        try:
            async with self._submitting:  # one at a time, since a batch is large
                await self._submit_new(tickets)
        except Exception as error:
            failure = self._api.explain(error)
        finally:
            for ticket in tickets:
                ticket.settle(failure=failure)

    async def _submit_new(self, tickets: Sequence[_Ticket]) -> None:
        """Submit what no other worker of the run has submitted, whose item this worker may have taken over."""
        await self.catch_up()
        new: list[_Ticket] = []
        for ticket in tickets:
            if self._may_hold(ticket.request):
                ticket.settle()
            elif not ticket.abandoned:
                new.append(ticket)
        if not new:
            return
        submission = Submission.of((ticket.request.custom_id for ticket in new), self._now())
        await self._log.submitting(submission)
        batch = self._add(submission)
        try:
            await self._create(batch, new)
        except AttemptFailed:
            batch.absent = True
            batch.mail.close()
            await self._log.absent(submission)
            raise
        for ticket in new:
            ticket.settle(batch=batch)

    async def _create(self, batch: Batch, tickets: Sequence[_Ticket]) -> None:
        """Submit a batch, once there is room for it. Its id stays None if it cannot be known whether that happened.

        Raises:
            AttemptFailed: It did not happen, and will not; or nobody waits for it any more.
        """
        requests = [ticket.request for ticket in tickets]
        for pause in self._follower.pauses():
            try:
                batch.id = await self._api.create(requests)
                break
            except AttemptFailed as failed:
                failure = failed.failure
                if failure.kind in (FailureKind.FINAL, FailureKind.TOO_LONG) or _all_abandoned(tickets):
                    raise AttemptFailed(evolve(failure, kind=FailureKind.FINAL)) from None
            logger.warning("No batch can be submitted now: %s", failure.error)
            await self._clock.sleep(max(pause, failure.retry_after or 0.0))
            if self._now() - batch.submission.at > _OLD:
                batch.submission = await self._log.submitting_later(batch.submission, self._now())
        if batch.id is None:
            logger.warning("Whether a batch of %d requests was submitted is not known; it is looked for.", len(tickets))
            return
        with CancelScope(shield=True), anyio.move_on_after(_NOTE_SECONDS):
            await self._log.submitted(batch.submission, batch.id)

    def _add(self, submission: Submission) -> Batch:
        batch = Batch(submission=submission, mail=BatchMail(submission.custom_ids, self._room))
        self._batches[submission.id] = batch
        for custom_id in submission.custom_ids:
            self._places.setdefault(custom_id, []).append(batch)
        return batch

    def _is_known(self, batch_id: str) -> bool:
        return any(batch.id == batch_id for batch in self._batches.values())

    async def _cancel(self, batch_id: str) -> None:
        for pause in islice(self._follower.pauses(), _CANCEL_TRIES):
            try:
                await self._api.cancel(batch_id)
            except Exception as error:
                failure = self._api.explain(error)
            else:
                return
            logger.warning("Batch %s was not cancelled, and goes on unless it has ended: %s", batch_id, failure.error)
            if failure.kind is FailureKind.FINAL:
                return
            await self._clock.sleep(pause)


def _all_abandoned(tickets: Sequence[_Ticket]) -> bool:
    return all(ticket.abandoned for ticket in tickets)


def _closed() -> Failure:
    error = AnalyzerError("The run has ended. Resume it to have the result.", code="batches_closed")
    return Failure(kind=FailureKind.FINAL, error=error, unbilled=False)
