"""One question to the model: paced, paid for, and asked again where that may help."""

from __future__ import annotations

import random
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from attrs import define, evolve, field, frozen

from .._clock import Clock
from .._errors import AnalyzerError
from .._models import Usage
from .._work import Reservation, WorkContext
from ._billing import Billing
from ._prices import TokenCounts
from ._retries import Attempts, Decision, RetryPolicy, decide
from ._transport import Answer, AttemptFailed, Failure, FailureKind, Transport

__all__ = ["Asker", "Gate", "Passage", "Prefix", "Question", "Tally"]


@define(eq=False)
class Tally:
    """What the requests for one document came to.

    Attributes:
        key: Tells the document from the others of the run, and is the same after a restart.
        work: The run around it.
        usage: What they cost, failed ones included.
        requests: The API's ids of those that brought an answer.
        attempts: How many were made.
        waited_seconds: How long they were held back together with all others.
    """

    key: str
    work: WorkContext
    usage: Usage = field(factory=Usage)
    requests: list[str] = field(factory=list[str])
    attempts: int = 0
    waited_seconds: float = 0.0

    def add(self, usage: Usage, *, kept: bool = False) -> None:
        """Count what an attempt cost.

        Args:
            usage: What it cost.
            kept: Whether the API keeps the answer. A work that is interrupted will take and count it again, and so
                tells nothing of it to the run before it comes to an outcome.
        """
        self.usage += usage
        if not kept:
            self.work.spent(usage)


@frozen(kw_only=True)
class Prefix:
    """What a prompt cache may hold of a question.

    Attributes:
        key: Tells it from other prefixes.
        tokens: How long it is, estimated.
        worthwhile: Whether it is long enough to be cached.
    """

    key: str
    tokens: int
    worthwhile: bool


@frozen(kw_only=True, eq=False)
class Question:
    """A request to be made until it is answered.

    Attributes:
        params: What ``messages.create`` takes.
        tokens: How many input tokens it has, estimated.
        most_tokens: How many it has at most.
        prefix: What many requests begin with.
    """

    params: Mapping[str, Any]
    tokens: int
    most_tokens: int
    prefix: Prefix


class Passage(Protocol):
    """The way through a gate for one attempt."""

    def begun(self, headers: Mapping[str, str], /) -> None:
        """The answer has begun."""
        ...

    def answered(self, answer: Answer, /) -> None:
        """It is there."""
        ...

    def failed(self, failure: Failure, /) -> None:
        """There is none."""
        ...


class Gate(Protocol):
    """What holds an attempt back until it may be made."""

    @property
    def together(self) -> bool:
        """Whether all who share a limit wait out its refusals here together, one attempt after the other."""
        ...

    def passage(self, question: Question, tally: Tally, /) -> AbstractAsyncContextManager[Passage]:
        """Entering waits; the attempt is made inside."""
        ...


@define(eq=False)
class Asker:
    """Asks for as long as an analyzer is open.

    Attributes:
        transport: How requests travel.
        gate: What holds them back.
        billing: What they cost.
        policy: When they are made again.
        clock: By which pauses are measured.
        rng: Draws the pauses.
    """

    transport: Transport
    gate: Gate
    billing: Billing
    policy: RetryPolicy
    clock: Clock
    rng: random.Random = field(factory=random.Random)
    _repeated: int = 0

    async def ask(self, question: Question, tally: Tally) -> Answer:
        """Ask until there is an answer, or no further attempt is worth it.

        Args:
            question: What to ask.
            tally: Where what it costs is added.

        Raises:
            AttemptFailed: There is no answer; with the newest failure.
            RunStopped: The run may not spend more.
            ConfigurationError: There is a bound on what it may spend, and the price is unknown.
        """
        if self.policy.cost is not None and (tally.usage.cost is None or tally.usage.cost >= self.policy.cost):
            raise AttemptFailed(_too_dear(self.policy.cost))
        began = self.clock.now() - tally.waited_seconds
        attempts = Attempts()
        while True:
            try:
                return await self._attempt(question, tally)
            except AttemptFailed as failed:
                failure = failed.failure
            elapsed = self.clock.now() - tally.waited_seconds - began
            attempts = evolve(attempts.after(failure), elapsed=elapsed, spent=tally.usage.cost, in_run=self._repeated)
            decision = decide(self.policy, attempts, failure, draw=self.rng.random(), together=self.gate.together)
            if decision.again and failure.kind is FailureKind.TRANSIENT:
                self._repeated += 1  # before anything is awaited: the bound is everybody's
            await tally.work.report("attempt_failed", _told(failure, decision, tally.attempts))
            if not decision.again:
                raise AttemptFailed(failure)
            if decision.wait_seconds:
                async with tally.work.aside():
                    await self.clock.sleep(decision.wait_seconds)

    async def _attempt(self, question: Question, tally: Tally) -> Answer:
        tally.attempts += 1
        if not self.gate.together:
            return await self._attempt_aside(question, tally)
        began = self.clock.now()
        reservation = await self._reserve(question, tally)
        try:
            async with self.gate.passage(question, tally) as passage:
                tally.waited_seconds += self.clock.now() - began
                return await self._send(question, tally, passage, reservation)
        finally:
            await reservation.settle(0.0)  # if it was never sent; a second time it counts for nothing

    async def _attempt_aside(self, question: Question, tally: Tally) -> Answer:
        """Wait for all of it without a slot; what an interrupted attempt left is paid for and needs no room."""
        began = self.clock.now()
        try:
            async with self.gate.passage(question, tally) as passage:
                answer = await self.transport.earlier(question.params, key=tally.key)
                if answer is None:
                    return await self._send(question, tally, passage, await self._reserve(question, tally))
                usage = self.billing.answered(answer.reply)
                tally.add(usage, kept=True)
                await tally.work.adopt(0.0).settle(usage.cost)
                return answer
        finally:
            tally.waited_seconds += self.clock.now() - began

    async def _reserve(self, question: Question, tally: Tally) -> Reservation:
        with tally.work.untimed():
            return await tally.work.reserve(self.billing.worst(question.most_tokens, question.params["max_tokens"]))

    async def _send(self, question: Question, tally: Tally, passage: Passage, reservation: Reservation) -> Answer:
        spent: float | None = 0.0

        def broken(tokens: TokenCounts | None) -> None:
            tally.add(self.billing.broken(tokens))

        try:
            try:
                answer = await self.transport.send(question.params, key=tally.key, begun=passage.begun, broken=broken)
            except AttemptFailed as failed:
                spent = 0.0 if failed.failure.unbilled else None
                tally.add(self.billing.failed(failed.failure))
                passage.failed(failed.failure)
                raise
            except BaseException:
                # What goes on without us may be billed, and what was sent too.
                spent = None if self.transport.goes_on(question.params, key=tally.key) else 0.0
                raise
            usage = self.billing.answered(answer.reply)
            spent = usage.cost
            tally.add(usage, kept=answer.kept)
        finally:
            # Before the passage is left: that may wait for a slot, which somebody has who waits for this money.
            await reservation.settle(spent)
        passage.answered(answer)
        if answer.request_id:
            tally.requests.append(answer.request_id)
        return answer


def _too_dear(cost: float) -> Failure:
    error = AnalyzerError(
        f"The requests for this document cost more than RetryPolicy(cost={cost:g}) allows. Raise it, or split the "
        "document.",
        code="cost_limit",
    )
    return Failure(kind=FailureKind.FINAL, error=error, unbilled=True)


def _told(failure: Failure, decision: Decision, attempt: int) -> dict[str, Any]:
    """What the log tells of a failed attempt."""
    told: dict[str, Any] = {
        "attempt": attempt,
        "code": getattr(failure.error, "code", ""),
        "status": failure.status,
        "request_id": failure.request_id,
        "retry_after": failure.retry_after,
        "again": decision.again,
        "wait_seconds": round(decision.wait_seconds, 3),
        "reason": decision.reason,
    }
    return {name: value for name, value in told.items() if value not in (None, "")}
