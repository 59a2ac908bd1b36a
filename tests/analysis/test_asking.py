"""One question until it is answered: attempts, pauses, money, and the run around it."""

from __future__ import annotations

import math
import random
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from datetime import date
from pathlib import Path
from typing import Any

import anyio
import pytest
from anthropic import AsyncAnthropic
from attrs import evolve

from cardanalysis import (
    ConfigurationError,
    ItemStatus,
    MemoryStore,
    Run,
    RunStatus,
    RunStopped,
    Upload,
    Usage,
    analyze_cards,
)
from cardanalysis._budget import COMMITTED
from cardanalysis._errors import AnalyzerError
from cardanalysis._models import Event
from cardanalysis.analysis._asking import Asker, Passage, Prefix, Question, Tally
from cardanalysis.analysis._billing import Billing
from cardanalysis.analysis._gates import BatchGate
from cardanalysis.analysis._prices import LIST_PRICES, TokenCounts
from cardanalysis.analysis._replies import Reply as Said
from cardanalysis.analysis._retries import RetryPolicy
from cardanalysis.analysis._transport import Answer, AttemptFailed, Broken, Failure, FailureKind, ignored
from cardanalysis.testing import FakeMessagesAPI, RecordedRequest, Reply

sys.path.insert(0, str(Path(__file__).parent))

from claude_kit import CARD, KEY, ONCE, ONE_CARD, TEXT, Log, analyze, analyzer, failure, fast

pytestmark = pytest.mark.anyio


# --- attempts, without a network --------------------------------------------------------------------------------------

PARAMS: dict[str, Any] = {"model": "claude-sonnet-5-5", "max_tokens": 100, "messages": [], "system": []}
QUESTION = Question(params=PARAMS, tokens=50, most_tokens=90, prefix=Prefix(key="k", tokens=1, worthwhile=False))
SAID = Said(
    text="{}",
    stop_reason="end_turn",
    refusal=None,
    model="claude-sonnet-5-5",
    tokens=TokenCounts(input=100, output=10),
    price_factor=1.0,
)
ANSWER = Answer(reply=SAID, request_id="req_9")


def failed(kind: FailureKind = FailureKind.TRANSIENT, **facts: Any) -> Failure:
    return Failure(kind=kind, error=AnalyzerError("no", code="no"), **facts)


class Clocked:
    """A clock that only goes on while somebody sleeps by it."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await anyio.lowlevel.checkpoint()


class Scripted:
    """A transport that gives outcomes in order, each after some seconds."""

    left_from_before: Answer | None = None
    went_on = True

    def __init__(self, clock: Clocked, *outcomes: Failure | Answer | Exception, takes: float = 0.0) -> None:
        self.clock = clock
        self.outcomes = list(outcomes)
        self.takes = takes
        self.keys: list[str] = []

    async def earlier(self, params: Mapping[str, Any], /, *, key: str) -> Answer | None:
        return self.left_from_before

    def goes_on(self, params: Mapping[str, Any], /, *, key: str) -> bool:
        return self.went_on

    async def send(self, params: Mapping[str, Any], /, *, key: str, begun: Any, broken: Broken = ignored) -> Answer:
        await anyio.lowlevel.checkpoint()
        self.keys.append(key)
        self.clock.time += self.takes
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Failure):
            raise AttemptFailed(outcome)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class Open:
    """A gate that lets everything pass at once."""

    together = True

    def passage(self, question: Question, tally: Tally, /) -> Any:
        return nullcontext(self)

    def begun(self, headers: Mapping[str, str], /) -> None:
        pass

    def answered(self, answer: Answer, /) -> None:
        pass

    def failed(self, failure: Failure, /) -> None:
        pass


def asker(transport: Scripted, gate: Any = None, **policy: Any) -> Asker:
    return Asker(
        transport=transport,
        gate=gate or Open(),
        billing=Billing(prices=LIST_PRICES, model="claude-sonnet-5-5", today=lambda: date(2026, 11, 24)),
        policy=RetryPolicy(**policy),
        clock=transport.clock,  # type: ignore[arg-type]
        rng=random.Random(7),
    )


async def test_an_answer_ends_it() -> None:
    """What failed before is counted, and the request's id is kept; the key tells the document."""
    sender = Scripted(Clocked(), failed(tokens=TokenCounts(output=5)), failed(unbilled=True), ANSWER)
    log = Log()
    tally = Tally("u", log)
    assert await asker(sender).ask(QUESTION, tally) is ANSWER
    assert sender.keys == ["u", "u", "u"]
    assert (tally.attempts, tally.requests, tally.usage.requests, tally.usage.output_tokens) == (3, ["req_9"], 2, 15)
    assert log.usage == tally.usage
    assert len(log.of("attempt_failed")) == 2


@pytest.mark.parametrize(
    ("outcome", "settled"),
    [
        (ANSWER, (100 * 2 + 10 * 10) / 1e6),
        (failed(FailureKind.FINAL, status=400, unbilled=True), 0.0),
        (failed(FailureKind.FINAL), None),
        (failed(FailureKind.FINAL, tokens=TokenCounts(output=5)), None),
        (ZeroDivisionError(), None),
    ],
)
async def test_what_was_put_aside_is_settled(outcome: Any, settled: float | None) -> None:
    """By what the answer cost, by nothing for an error answer, and in full where it cannot be known."""
    log = Log()
    with suppress(AttemptFailed, ZeroDivisionError):
        await asker(Scripted(Clocked(), outcome)).ask(QUESTION, Tally("u", log))
    (reservation,) = log.reservations
    assert reservation.reserved
    assert reservation.settled == [settled if settled is None else pytest.approx(settled)]


async def test_what_was_surely_not_sent_costs_nothing() -> None:
    """As what waits for a batch that is not submitted yet: what was put aside for it is free again."""
    log = Log()
    sender = Scripted(Clocked(), ZeroDivisionError())
    sender.went_on = False
    with pytest.raises(ZeroDivisionError):
        await asker(sender).ask(QUESTION, Tally("u", log))
    assert log.reservations[0].settled == [0.0]


async def test_an_answer_from_before_an_interruption_needs_no_room() -> None:
    """It is paid for: nothing is put aside for it, and what it cost is counted."""
    log = Log()
    sender = Scripted(Clocked())
    sender.left_from_before = ANSWER
    tally = Tally("u", log)
    assert await asker(sender, BatchGate()).ask(QUESTION, tally) is ANSWER
    assert log.reservations == []
    assert log.adopted.settled == [tally.usage.cost]
    assert tally.usage.requests == 1


async def test_a_document_that_has_cost_enough_is_asked_about_no_more() -> None:
    """The bound on one document's dollars holds before each request, not only after failures."""
    log = Log()
    with pytest.raises(AttemptFailed) as caught:
        await asker(Scripted(Clocked(), ANSWER), cost=0.5).ask(QUESTION, Tally("u", log, usage=Usage(cost=0.5)))
    assert caught.value.failure.error.code == "cost_limit"
    assert log.reservations == []


async def test_what_is_cancelled_before_it_is_sent_cost_nothing() -> None:
    """While it waits at the gate; behind it nobody knows."""

    class Closed:
        together = True

        def passage(self, question: Question, tally: Tally, /) -> Any:
            return self

        async def __aenter__(self) -> Passage:
            await anyio.sleep_forever()
            raise AssertionError

        async def __aexit__(self, *_exc: object) -> None:
            raise AssertionError

    log = Log()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(asker(Scripted(Clocked()), Closed()).ask, QUESTION, Tally("u", log))
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert log.reservations[0].settled == [0.0]


async def test_pauses_are_drawn_and_waited_aside() -> None:
    """Another item may work meanwhile; what the API asks to wait is waited as it is."""
    clock = Clocked()
    log = Log()
    sender = Scripted(clock, failed(), failed(), failed(retry_after=7.5), ANSWER)
    await asker(sender).ask(QUESTION, Tally("u", log))
    first, second, third = clock.slept
    assert 0 < first <= 1
    assert 0 < second <= 2
    assert third == 7.5
    assert log.aside_count == 3
    assert [data["wait_seconds"] for data in log.of("attempt_failed")] == [round(pause, 3) for pause in clock.slept]


@pytest.mark.parametrize(
    ("policy", "attempts", "reason"),
    [
        ({"attempts": 3}, 3, "attempts"),
        ({"attempts": 1}, 1, "attempts"),
        ({"run_attempts": 2, "attempts": 9}, 3, "run_attempts"),
        ({"run_attempts": 0}, 1, "run_attempts"),
        ({"seconds": 25, "attempts": 99}, 3, "seconds"),
        ({"cost": 1e-9, "attempts": 9}, 1, "cost"),
    ],
)
async def test_every_bound_ends_it(policy: dict[str, Any], attempts: int, reason: str) -> None:
    """With the newest failure, and the reason in the log."""
    failures = [failed(tokens=TokenCounts(output=50), request_id=f"req_{n}") for n in range(9)]
    log = Log()
    tally = Tally("u", log)
    with pytest.raises(AttemptFailed) as caught:
        await asker(Scripted(Clocked(), *failures, takes=9.0), **policy).ask(QUESTION, tally)
    assert caught.value.failure.request_id == f"req_{attempts - 1}"
    assert tally.attempts == attempts
    told = log.of("attempt_failed")
    assert [data["again"] for data in told] == [True] * (attempts - 1) + [False]
    assert told[-1]["reason"] == reason


@pytest.mark.parametrize("kind", [FailureKind.RATE_LIMIT, FailureKind.OVERLOAD])
async def test_rate_limits_use_none_of_the_attempts(kind: FailureKind) -> None:
    """They have a number of their own, and cost no pause of one's own: the gate holds all of them back."""
    clock = Clocked()
    limited = [failed(kind, status=429, unbilled=True)] * 5
    await asker(Scripted(clock, *limited, ANSWER), attempts=1, rate_limits=5).ask(QUESTION, Tally("u", Log()))
    assert clock.slept == []
    with pytest.raises(AttemptFailed):
        await asker(Scripted(clock, *limited, ANSWER), attempts=9, rate_limits=4).ask(QUESTION, Tally("u", Log()))


async def test_waiting_for_the_limits_is_not_counted_as_time() -> None:
    """What everybody was held back for is taken off."""
    clock = Clocked()
    tally = Tally("u", Log())

    class Slow(Open):
        def passage(self, question: Question, tally: Tally, /) -> Any:
            clock.time += 1000
            return super().passage(question, tally)

    await asker(Scripted(clock, failed(), failed(), ANSWER), Slow(), seconds=10).ask(QUESTION, tally)


async def test_in_a_batch_an_item_stands_aside_and_its_time_does_not_count() -> None:
    """However long the batch takes, the next attempt is allowed."""
    log = Log()
    clock = Clocked()
    gate = BatchGate()
    tally = Tally("u", log)
    await asker(Scripted(clock, failed(retry_after=1), ANSWER, takes=80_000.0), gate, seconds=10).ask(QUESTION, tally)
    assert log.aside_count == 2 + 1
    assert tally.waited_seconds == 160_000


async def test_the_bound_of_a_run_holds_for_all_at_once() -> None:
    """However many fail in the same moment, no more than that are made again."""
    sender = Scripted(Clocked(), *[failed()] * 10, *[ANSWER] * 3)
    shared = asker(sender, run_attempts=3)
    ended: Counter[str] = Counter()

    class Slow(Log):
        async def report(self, type: str, data: Mapping[str, Any], /) -> None:  # noqa: A002
            for _ in range(5):
                await anyio.lowlevel.checkpoint()

    async def one(number: int) -> None:
        try:
            await shared.ask(QUESTION, Tally(str(number), Slow()))
            ended["answered"] += 1
        except AttemptFailed:
            ended["failed"] += 1

    async with anyio.create_task_group() as tasks:
        for number in range(10):
            tasks.start_soon(one, number)
    assert ended == {"answered": 3, "failed": 7}


async def test_a_failed_attempt_is_told_with_all_that_helps() -> None:
    """And with nothing that is not known."""
    log = Log()
    sender = Scripted(Clocked(), failed(status=503, request_id="req_1", retry_after=2.0), failed(FailureKind.FINAL))
    with pytest.raises(AttemptFailed):
        await asker(sender).ask(QUESTION, Tally("u", log))
    assert log.of("attempt_failed") == [
        {
            "attempt": 1,
            "code": "no",
            "status": 503,
            "request_id": "req_1",
            "retry_after": 2.0,
            "again": True,
            "wait_seconds": 2.0,
        },
        {"attempt": 2, "code": "no", "again": False, "wait_seconds": 0.0, "reason": "not_retryable"},
    ]


# --- through the real client ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "code", "status"),
    [
        (Reply.error(408), "request_timed_out", 408),
        (Reply.error(409), "invalid_request", 409),
        (Reply.error(500), "api_unavailable", 500),
        (Reply.html(502), "api_unavailable", 502),
        (Reply.error(503), "api_unavailable", 503),
        (Reply.overloaded(), "api_unavailable", 529),
        (Reply.rate_limited(3), "rate_limited", 429),
        (Reply.ramp_limited(), "rate_limited", 429),
        (Reply.error(400, headers={"x-should-retry": "true"}), "invalid_request", 400),
        (Reply.error(500, headers={"retry-after-ms": "1500"}), "api_unavailable", 500),
        (Reply.html(200), "invalid_response", 200),
        (Reply.ended_early(ONE_CARD), "invalid_response", 200),
        (Reply.cut(ONE_CARD), "connection_failed", None),
        (Reply.dropped(), "connection_failed", None),
        (Reply.stream_error(answer=ONE_CARD), "api_unavailable", 529),
        (Reply.stalled(ONE_CARD), "request_timed_out", None),
    ],
)
async def test_what_a_retry_mends_is_tried_again(reply: Reply, code: str, status: int | None) -> None:
    """Each failed attempt is an event; the answer of the last one is taken."""
    log = Log()
    with FakeMessagesAPI(answer=Reply.json(ONE_CARD)) as api:
        api.script(reply)
        analysis = await analyze(api, work=log, idle_timeout=0.5)
    assert len(analysis.cards) == 1
    assert analysis.requests == (api.requests[1].request_id,)
    (event,) = log.of("attempt_failed")
    assert (event["code"], event.get("status"), event["again"], event["attempt"]) == (code, status, True, 1)
    if status is not None:
        assert event["request_id"] == api.requests[0].request_id


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply.error(400), "invalid_request"),
        (Reply.error(422), "invalid_request"),
        (Reply.error(401), "authentication"),
        (Reply.spend_limit(), "billing"),
        (Reply.error(500, headers={"x-should-retry": "false"}), "api_unavailable"),
        (Reply.error(429, headers={"x-should-retry": "false"}), "rate_limited"),
        (Reply.refusal("bio"), "refused"),
    ],
)
async def test_what_no_retry_mends_is_asked_once(reply: Reply, code: str) -> None:
    """Nothing more is spent on it."""
    with FakeMessagesAPI(answer=reply) as api:
        assert (await failure(api)).code == code
        assert len(api.requests) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "40"}, 40.0),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
    ],
)
async def test_the_pause_that_the_api_asks_for_is_kept(headers: dict[str, str], seconds: float) -> None:
    """By the clock: exactly in the log, and never shorter on the wire."""
    log = Log()
    with FakeMessagesAPI(answer=Reply.json(ONE_CARD)) as api:
        api.script(Reply.error(500, headers=headers))
        await analyze(api, work=log)
        first, second = api.requests
    assert log.of("attempt_failed")[0]["wait_seconds"] == seconds
    assert second.arrived - first.arrived >= seconds / 1000


async def test_everybody_waits_for_a_rate_limit() -> None:
    """One is told to wait, and none of the others goes before that."""
    with FakeMessagesAPI(answer=Reply.json(ONE_CARD)) as api:
        api.script(Reply.rate_limited(100))
        run = await run_of(api, 6, limit=3, pacer=fast(), cache=False)
        refused = api.requests[0]
        assert refused.finished is not None
        later = [request for request in api.requests[1:] if request.arrived > refused.finished + 0.02]
    assert run.status is RunStatus.SUCCEEDED
    assert min(request.arrived for request in later) >= refused.finished + 0.08


# --- in a run ---------------------------------------------------------------------------------------------------------


def uploads(count: int) -> list[Upload]:
    return [Upload.from_text(f"Document {n:03d}. {TEXT}", f"{n:03d}.md") for n in range(count)]


def echo(request: RecordedRequest) -> Reply:
    """One card, named after its document."""
    name = request.text.partition("Document ")[2][:3]
    return Reply.json({"cards": [CARD | {"title": f"Card {name}"}]})


async def run_of(
    api: FakeMessagesAPI,
    documents: int = 3,
    *,
    store: MemoryStore | None = None,
    limit: int = 2,
    how: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Run:
    """A run over some documents, in a store that lives as long."""
    async with AsyncAnthropic(api_key=KEY, base_url=api.base_url) as client:
        claude = analyzer(client, **settings)
        if store is not None:
            return await analyze_cards(uploads(documents), store, limit, analyzer=claude, **(how or {}))
        async with MemoryStore() as own:
            return await analyze_cards(uploads(documents), own, limit, analyzer=claude, **(how or {}))


@pytest.mark.parametrize("seed", [1])
async def test_a_storm_loses_and_doubles_nothing(seed: int) -> None:
    """A hundred uploads while a third of all requests goes wrong, in every way there is."""
    luck = random.Random(seed)
    bad = [
        Reply.rate_limited(1),
        Reply.error(500),
        Reply.overloaded(),
        Reply.cut(ONE_CARD),
        Reply.html(200),
        Reply.ended_early(ONE_CARD),
        Reply.stream_error(answer=ONE_CARD),
        Reply.dropped(),
        Reply.stalled(ONE_CARD),
    ]

    def answer(request: RecordedRequest) -> Reply:
        return luck.choice(bad) if luck.random() < 0.3 else echo(request)

    events: list[Event] = []
    with FakeMessagesAPI(answer=answer) as api:
        async with MemoryStore() as store:
            run = await run_of(
                api,
                100,
                store=store,
                limit=16,
                how={"run_id": "r"},
                retry=RetryPolicy(attempts=12, rate_limits=100, seconds=None),
                idle_timeout=0.3,
                pacer=fast(5_000),
            )
            events = await store.events("r")
        sent = [request for request in api.requests if request.path == "/v1/messages"]
    assert run.status is RunStatus.SUCCEEDED
    assert Counter(card.title for card in run.cards) == {f"Card {n:03d}": 1 for n in range(100)}
    attempts = [event.data for event in events if event.type == "attempt_failed"]
    # On a busy machine an attempt may end before its request has arrived.
    assert len(attempts) >= len(sent) - 100 > 20, Counter(data["code"] for data in attempts)
    assert all(data["again"] for data in attempts)
    assert run.usage.requests == len(sent)
    assert TEXT[:15] not in str(events)
    assert KEY not in str(events)


async def test_a_failed_attempt_stands_in_the_log_of_the_run() -> None:
    """With its upload, its code, status and request id, and whether it goes on."""
    with FakeMessagesAPI(answer=echo) as api:
        api.script(Reply.error(500), Reply.error(400))
        async with MemoryStore() as store:
            run = await run_of(api, 1, store=store, how={"run_id": "r"})
            events = [event for event in await store.events("r") if event.type == "attempt_failed"]
    assert run.items[0].status is ItemStatus.FAILED
    assert [(event.item_id, event.data["code"], event.data["status"], event.data["again"]) for event in events] == [
        (run.items[0].id, "api_unavailable", 500, True),
        (run.items[0].id, "invalid_request", 400, False),
    ]
    assert [event.data["request_id"] for event in events] == [request.request_id for request in api.requests]


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply.error(401), "authentication"),
        (Reply.error(402), "billing"),
        (Reply.error(403), "permission"),
        (Reply.error(404), "unknown_model"),
        (Reply.spend_limit(), "billing"),
    ],
)
async def test_what_fails_every_document_stops_the_run(reply: Reply, code: str) -> None:
    """Before the next request; what is left is pending, and the same call goes on."""
    with FakeMessagesAPI(answer=echo) as api:
        api.script(Reply.json(ONE_CARD), reply)
        async with MemoryStore() as store:
            with pytest.raises(ConfigurationError) as caught:
                await run_of(api, 5, store=store, limit=1, how={"run_id": "r"})
            assert caught.value.code == code
            assert len(api.requests) == 2
            statuses = Counter(item.status for item in await store.items("r"))
            assert statuses == {ItemStatus.COMPLETED: 1, ItemStatus.PENDING: 4}
            run = await run_of(api, 5, store=store, limit=1, how={"run_id": "r"})
    assert run.status is RunStatus.SUCCEEDED
    assert len(api.requests) == 6


async def test_another_upload_is_worked_on_while_one_waits() -> None:
    """The only slot is lent for the pause between two attempts."""
    with FakeMessagesAPI(answer=echo) as api:
        api.script(Reply.error(500, headers={"retry-after": "300"}))
        run = await run_of(api, 2, limit=1, pacer=fast(1_000), cache=False)
        texts = [request.text.partition("Document ")[2][:3] for request in api.requests]
        assert api.max_in_flight == 1
    assert run.status is RunStatus.SUCCEEDED
    assert texts in (["000", "001", "000"], ["001", "000", "001"])


async def test_no_more_stand_aside_than_there_are_slots() -> None:
    """Of five that fail with a long pause, two stand aside and two keep their slots; the fifth is not begun."""
    with FakeMessagesAPI(answer=Reply.error(500, headers={"retry-after": "500"})) as api:
        with pytest.raises(RunStopped):
            await run_of(
                api,
                8,
                limit=2,
                how={"run_timeout": 0.3},
                cache=False,
                retry=RetryPolicy(seconds=None),
            )
        assert len(api.requests) == 4


async def test_the_time_of_an_item_stands_still_while_it_waits() -> None:
    """For a rate limit and between attempts: much longer than the item may take, and it is not given up."""
    with FakeMessagesAPI(answer=echo) as api:
        api.script(Reply.rate_limited(300), Reply.error(500, headers={"retry-after": "300"}))
        run = await run_of(api, 1, how={"item_timeout": 0.25})
    assert run.status is RunStatus.SUCCEEDED


async def test_the_time_of_an_item_does_not_stand_still_while_it_is_answered() -> None:
    """A slow answer is given up, and the item says so."""
    with FakeMessagesAPI(answer=Reply.json(ONE_CARD).after(30)) as api:
        run = await run_of(api, 1, how={"item_timeout": 0.15})
    assert run.items[0].error is not None
    assert run.items[0].error.code == "timeout"


# --- money ------------------------------------------------------------------------------------------------------------


async def test_what_is_put_aside_and_what_it_cost_agree() -> None:
    """At the end the counter in the store is the run's cost, also after failed attempts."""
    with FakeMessagesAPI(answer=echo) as api:
        api.script(Reply.error(500), Reply.rate_limited(1), Reply.text("no json"))
        run = await run_of(api, 6, limit=3, how={"max_cost": 5.0})
    assert run.status is RunStatus.SUCCEEDED
    assert run.usage.cost is not None
    assert run.counters[COMMITTED] == run.usage.cost_nano
    assert run.usage.cost > 0


async def test_where_an_attempt_may_have_been_billed_all_of_it_counts() -> None:
    """The ceiling is for what is certain: a broken stream may have cost up to its worst case."""
    with FakeMessagesAPI(answer=echo) as api:
        api.script(Reply.cut(ONE_CARD))
        run = await run_of(api, 2, how={"max_cost": 5.0})
    assert run.usage.cost_nano is not None
    assert run.counters[COMMITTED] > run.usage.cost_nano


async def test_a_ceiling_stops_the_run_and_more_of_it_goes_on() -> None:
    """What is finished is kept, and what is left is pending."""
    dear = Reply.json(ONE_CARD, usage={"output_tokens": 10_000})
    with FakeMessagesAPI(answer=dear) as api:
        async with MemoryStore() as store:
            with pytest.raises(RunStopped) as caught:
                await run_of(api, 6, store=store, limit=1, how={"run_id": "r", "max_cost": 0.5})
            assert caught.value.code == "max_cost"
            asked = len(api.requests)
            assert 0 < asked < 6
            statuses = Counter(item.status for item in await store.items("r"))
            assert statuses == {ItemStatus.COMPLETED: asked, ItemStatus.PENDING: 6 - asked}
            run = await run_of(api, 6, store=store, how={"run_id": "r", "max_cost": 9.0})
    assert run.status is RunStatus.SUCCEEDED
    assert len(api.requests) == 6
    assert run.counters[COMMITTED] == run.usage.cost_nano


async def test_a_ceiling_needs_a_price() -> None:
    """Nothing is sent for a model whose price is unknown."""
    with FakeMessagesAPI(answer=echo) as api:
        with pytest.raises(ConfigurationError) as caught:
            await run_of(api, 2, how={"max_cost": 5.0}, model="claude-future-9")
        assert caught.value.code == "unknown_price"
        assert api.requests == []


async def test_a_run_that_takes_too_long_is_left_and_resumed() -> None:
    """What was answered is kept; the rest is pending."""
    slow = True

    def latency(request: RecordedRequest) -> float:
        return 30.0 if slow and "Document 002" in request.text else 0.0

    with FakeMessagesAPI(answer=echo, latency=latency) as api:
        async with MemoryStore() as store:
            with pytest.raises(RunStopped) as caught:
                await run_of(api, 3, store=store, how={"run_id": "r", "run_timeout": 0.5})
            assert caught.value.code == "run_timeout"
            statuses = Counter(item.status for item in await store.items("r"))
            assert statuses == {ItemStatus.COMPLETED: 2, ItemStatus.PENDING: 1}
            slow = False
            run = await run_of(api, 3, store=store, how={"run_id": "r"})
    assert run.status is RunStatus.SUCCEEDED
    assert len(run.cards) == 3


async def test_failed_attempts_stand_in_the_usage_of_a_failed_item() -> None:
    """Nothing that was spent is lost."""
    with FakeMessagesAPI(answer=Reply.cut(ONE_CARD)) as api:
        run = await run_of(api, 1, retry=evolve(ONCE, attempts=3))
        assert len(api.requests) == 3
    assert run.status is RunStatus.FAILED
    assert run.usage.requests == 3
    assert run.usage.cost
    assert math.isfinite(run.usage.cost)
    assert run.usage != Usage()
