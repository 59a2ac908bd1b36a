"""The pacer: turns that are waited for in virtual time, on both event loops, alone and with others."""

from __future__ import annotations

import asyncio
import gc
import random
import selectors
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis import ConfigurationError, _pacing
from cardanalysis._clock import Clock
from cardanalysis.pacing import LimitStatus, Pacer, Turn, default_pacer

MODEL = "claude-sonnet-5"


class Jumping(selectors.DefaultSelector):
    """Time that jumps to the next deadline when nothing else can happen, for asyncio."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready and timeout:
            self.now += timeout
        return ready


def jumping_loop() -> asyncio.AbstractEventLoop:
    selector = Jumping()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    return loop


def in_virtual_time(main: Callable[[Pacer], Awaitable[None]], backend: str) -> None:
    async def timed() -> None:
        with anyio.fail_after(1e7):
            await main(Pacer(clock=Clock(time=anyio.current_time), random=random.Random(0)))

    options: dict[str, Any] = {"loop_factory": jumping_loop}
    if backend == "trio":
        options = {"clock": trio.testing.MockClock(rate=0, autojump_threshold=0)}
    anyio.run(timed, backend=backend, backend_options=options)


def told(remaining: int = 1_000, *, limit: int = 1_000, name: str = "requests", **more: str) -> dict[str, str]:
    prefix = f"anthropic-ratelimit-{name}"
    return {f"{prefix}-limit": str(limit), f"{prefix}-remaining": str(remaining), **more}


async def take(pacer: Pacer, account: str = "a", model: str = MODEL, tokens: int = 0) -> Turn:
    return await pacer.take(account, model, input_tokens=tokens, output_tokens=0)


async def learn(pacer: Pacer, headers: dict[str, str], account: str = "a") -> None:
    """Let a request be answered with these headers."""
    with await take(pacer, account) as turn:
        turn.answered(headers, input_tokens=0, output_tokens=0)


def workspace(name: str) -> dict[str, str]:
    return {"anthropic-workspace-id": name}


# --- waiting --------------------------------------------------------------------------------------------------------


def test_a_request_with_room_goes_at_once(anyio_backend: str) -> None:
    """Nothing waits before anything is known, nor while there is room."""

    async def main(pacer: Pacer) -> None:
        begun = anyio.current_time()
        for _ in range(50):
            await learn(pacer, told(900))
        assert (await take(pacer)).waited_seconds == 0
        assert anyio.current_time() == begun

    in_virtual_time(main, anyio_backend)


def test_a_request_waits_until_the_bucket_holds_enough(anyio_backend: str) -> None:
    """It is sent neither before nor much after that."""

    async def main(pacer: Pacer) -> None:
        await learn(pacer, told(10_500, limit=60_000, name="input-tokens"))
        begun = anyio.current_time()
        turn = await take(pacer, tokens=25_000)
        assert 14.99 < turn.waited_seconds < 15.1
        assert turn.waited_seconds == pytest.approx(anyio.current_time() - begun)

    in_virtual_time(main, anyio_backend)


def test_everyone_who_shares_a_limit_pauses_as_long_as_asked(anyio_backend: str) -> None:
    """Even for hours, and also those who come later; another family of models goes on."""

    async def main(pacer: Pacer) -> None:
        turn, ends = await take(pacer), list[float]()

        async def wait() -> None:
            with await take(pacer) as mine:
                mine.failed()
            ends.append(anyio.current_time())

        begun = anyio.current_time()
        turn.refused({}, retry_after=7200)
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(wait)
            await anyio.sleep(100)
            assert (await take(pacer, model="claude-haiku-5-5")).waited_seconds == 0
            tasks.start_soon(wait)
        assert all(7200 <= end - begun < 7200.01 for end in ends)

    in_virtual_time(main, anyio_backend)


def test_many_refusals_are_one_pause(anyio_backend: str) -> None:
    """Twenty that were sent together and are refused together wait once; then half as many go."""

    async def main(pacer: Pacer) -> None:
        for _ in range(20):
            turns = [await take(pacer) for _ in range(8)]
            for turn in turns:
                turn.answered({}, input_tokens=0, output_tokens=0)
        turns = [await take(pacer) for _ in range(9)]
        for turn in turns:
            turn.refused({}, retry_after=30)
        assert pacer.limits("a", MODEL).window == 4
        assert pacer.limits("a", MODEL).paused_seconds == pytest.approx(30)
        assert (await take(pacer)).waited_seconds == pytest.approx(30, abs=0.01)

    in_virtual_time(main, anyio_backend)


def test_a_pause_outlives_who_reported_it(anyio_backend: str) -> None:
    """A worker that is cancelled right after a refusal leaves the pause behind."""

    async def main(pacer: Pacer) -> None:
        with anyio.move_on_after(1), await take(pacer) as turn:
            turn.refused({}, retry_after=60)
            await anyio.sleep(10)
        assert (await take(pacer)).waited_seconds == pytest.approx(59, abs=0.01)

    in_virtual_time(main, anyio_backend)


def test_a_request_larger_than_the_bucket_goes_alone(anyio_backend: str) -> None:
    """It waits until nothing is in flight and the bucket is full, and those behind it wait until it has gone."""

    async def main(pacer: Pacer) -> None:
        await learn(pacer, told(60_000, limit=60_000, name="input-tokens"))
        small, order = await take(pacer, tokens=30_000), list[str]()

        async def ask(name: str, tokens: int) -> None:
            with await take(pacer, tokens=tokens) as turn:
                order.append(name)
                assert name != "large" or pacer.limits("a", MODEL).in_flight == 1
                await anyio.sleep(5)
                turn.answered({}, input_tokens=tokens, output_tokens=0)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "large", 100_000)
            await anyio.sleep(1)
            tasks.start_soon(ask, "behind", 1)
            await anyio.sleep(1)
            small.answered({}, input_tokens=30_000, output_tokens=0)
        assert order == ["large", "behind"]

    in_virtual_time(main, anyio_backend)


@given(sizes=st.lists(st.integers(0, 90_000), min_size=1, max_size=12), data=st.data())
@settings(max_examples=40)
def test_requests_go_in_the_order_of_their_arrival(sizes: list[int], data: st.DataObject) -> None:
    """Small ones do not overtake large ones, whoever gives up; and nothing is left of those who did."""
    gives_up = data.draw(st.lists(st.booleans(), min_size=len(sizes), max_size=len(sizes)))

    async def main(pacer: Pacer) -> None:
        await learn(pacer, told(0, limit=60_000, name="input-tokens"))
        went = list[int]()

        async def ask(number: int) -> None:
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                with await take(pacer, tokens=sizes[number] + 1) as turn:
                    went.append(number)
                    await anyio.sleep(1)
                    turn.answered({}, input_tokens=sizes[number] + 1, output_tokens=0)

        scopes = list[anyio.CancelScope]()
        async with anyio.create_task_group() as tasks:
            for number in range(len(sizes)):
                tasks.start_soon(ask, number)
                await anyio.wait_all_tasks_blocked()
            for number, scope in enumerate(scopes):
                if gives_up[number]:
                    scope.cancel()
        assert went == [number for number in range(len(sizes)) if not gives_up[number]]
        status = pacer.limits("a", MODEL)
        assert (status.in_flight, status.waiting) == (0, 0)

    in_virtual_time(main, "trio")


def test_who_waits_is_woken_and_does_not_poll(anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pause of an hour, with a hundred waiting and others ending, each looks about once a minute at most."""
    looks = 0
    go = _pacing.Limits.go

    def counted(limits: _pacing.Limits, waiter: _pacing.Waiter) -> _pacing.Flight | None:
        nonlocal looks
        looks += 1
        return go(limits, waiter)

    monkeypatch.setattr(_pacing.Limits, "go", counted)

    async def main(pacer: Pacer) -> None:
        turns = [await take(pacer) for _ in range(8)]
        turns.pop().refused({}, retry_after=3600)

        async def ask() -> None:
            with await take(pacer) as turn:
                turn.answered({}, input_tokens=0, output_tokens=0)

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            before = looks
            for turn in turns:
                turn.answered({}, input_tokens=0, output_tokens=0)
            await anyio.sleep(59)
            assert looks - before <= 2
        assert looks < 100 * 65

    in_virtual_time(main, anyio_backend)


def test_the_end_of_a_request_wakes_the_next(anyio_backend: str) -> None:
    """With the window full, the next goes in the moment in which one ends, however it ends."""

    async def main(pacer: Pacer) -> None:
        turns = [await take(pacer) for _ in range(8)]
        for outcome in (
            lambda turn: turn.failed(),
            lambda turn: turn.failed(told()),
            lambda turn: turn.__exit__(*[None] * 3),
        ):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep, 5)

                async def end(outcome: Callable[[Turn], object] = outcome) -> None:
                    await anyio.sleep(3)
                    outcome(turns.pop())

                tasks.start_soon(end)
                turns.append(await take(pacer))
                assert turns[-1].waited_seconds == 3

    in_virtual_time(main, anyio_backend)


# --- outcomes -------------------------------------------------------------------------------------------------------


def test_the_first_word_counts(anyio_backend: str) -> None:
    """What is said of a turn that is over changes nothing."""

    async def main(pacer: Pacer) -> None:
        with await take(pacer) as turn:
            turn.answered(told(500), input_tokens=0, output_tokens=0)
            turn.refused({}, retry_after=100)
            turn.failed()
            turn.began(told(1))
            turn.answered(told(1), input_tokens=0, output_tokens=0)
        status = pacer.limits("a", MODEL)
        assert status.requests is not None
        assert (status.requests.remaining, status.paused_seconds, status.in_flight) == (500, 0, 0)

    in_virtual_time(main, anyio_backend)


def test_headers_are_read_when_an_answer_begins(anyio_backend: str) -> None:
    """The limits of a stream are known before its end, and its old headers are not read again then."""

    async def main(pacer: Pacer) -> None:
        with await take(pacer) as turn:
            turn.began(told(500))
            status = pacer.limits("a", MODEL)
            assert status.requests is not None
            assert status.requests.remaining in (499, 500)
            await anyio.sleep(60)
            turn.began(told(1))
            turn.answered(told(1), input_tokens=0, output_tokens=0)
        status = pacer.limits("a", MODEL)
        assert status.requests is not None
        assert status.requests.remaining == 1_000

    in_virtual_time(main, anyio_backend)


def test_a_cancelled_request_counts_its_input(anyio_backend: str) -> None:
    """It may have been counted by the API."""

    async def main(pacer: Pacer) -> None:
        await learn(pacer, told(300_500, limit=600_000, name="input-tokens"))
        with anyio.move_on_after(0), await take(pacer, tokens=100_000):
            await anyio.sleep(1)
        status = pacer.limits("a", MODEL)
        assert status.input_tokens is not None
        assert status.input_tokens.remaining == 200_000
        assert status.in_flight == 0

    in_virtual_time(main, anyio_backend)


def test_a_pause_without_a_wish_is_random_and_bounded(anyio_backend: str) -> None:
    """An overloaded API that names no time is asked ever more seldom, but at least about every minute."""

    async def main(pacer: Pacer) -> None:
        waits = list[float]()
        for _ in range(60):
            with await take(pacer) as turn:
                turn.refused({}, retry_after=None)
                waits.append(pacer.limits("a", MODEL).paused_seconds)
        assert max(waits[:3]) <= 4
        assert 30 < max(waits) <= 60
        assert len(set(waits)) == 60

    in_virtual_time(main, anyio_backend)


# --- accounts -------------------------------------------------------------------------------------------------------


def test_accounts_are_apart_until_they_turn_out_to_be_one(anyio_backend: str) -> None:
    """Two keys of one workspace share a limit once answers have told so; keys of others do not."""

    async def main(pacer: Pacer) -> None:
        await learn(pacer, told(50, **workspace("w")), "one")
        assert pacer.limits("two", MODEL).requests is None
        await learn(pacer, workspace("w"), "two")
        await learn(pacer, workspace("v"), "three")
        assert pacer.limits("two", MODEL) == pacer.limits("one", MODEL) != pacer.limits("three", MODEL)
        (await take(pacer, "one")).refused(workspace("w"), retry_after=60)
        assert (await take(pacer, "three")).waited_seconds == 0
        assert (await take(pacer, "two")).waited_seconds == pytest.approx(60, abs=0.01)

    in_virtual_time(main, anyio_backend)


def test_who_waits_moves_to_the_shared_limit(anyio_backend: str) -> None:
    """Requests in flight and waiting when a workspace becomes known are counted there from then on."""

    async def main(pacer: Pacer) -> None:
        first = await take(pacer, "one")
        others = [await take(pacer, "two") for _ in range(8)]
        went = list[str]()

        async def ask(account: str) -> None:
            with await take(pacer, account) as turn:
                went.append(account)
                turn.failed()

        async with anyio.create_task_group() as tasks:
            first.answered(workspace("w"), input_tokens=0, output_tokens=0)
            tasks.start_soon(ask, "two")
            await anyio.wait_all_tasks_blocked()
            others[0].answered(workspace("w"), input_tokens=0, output_tokens=0)
            tasks.start_soon(ask, "one")
            for other in others[1:]:
                other.failed(workspace("w"))
        assert sorted(went) == ["one", "two"]  # trio resumes tasks of one turn in any order
        status = pacer.limits("one", MODEL)
        assert (status.in_flight, status.waiting) == (0, 0)
        assert status == pacer.limits("two", MODEL)

    in_virtual_time(main, anyio_backend)


def test_a_change_of_workspace_is_followed(anyio_backend: str) -> None:
    """Behind a gateway the same key can end up in another workspace; new requests go by that one."""

    async def main(pacer: Pacer) -> None:
        await learn(pacer, told(**workspace("w")))
        await learn(pacer, workspace("v"))
        assert pacer.limits("a", MODEL).requests is None
        await learn(pacer, workspace("w"))
        assert pacer.limits("a", MODEL).requests is not None

    in_virtual_time(main, anyio_backend)


def test_memory_does_not_grow(anyio_backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is kept of a request that is over; and of very many accounts, only those in use."""
    monkeypatch.setattr(_pacing, "_MOST_LIMITS", 10)

    async def main(pacer: Pacer) -> None:
        kept = await take(pacer, "kept")
        (await take(pacer, "paused")).refused({}, retry_after=1e6)
        for number in range(100):
            await learn(pacer, workspace(f"w{number}"), f"account {number}")
            await anyio.sleep(61)
        limits = pacer._limits
        assert len(limits._queues) <= 11
        assert len(limits._homes) <= 10
        assert pacer.limits("kept", MODEL).in_flight == 1
        assert pacer.limits("paused", MODEL).paused_seconds > 0
        kept.failed()
        gc.collect()
        before = len(gc.get_objects())
        for _ in range(500):
            await learn(pacer, workspace("w99"), "account 99")
        gc.collect()
        assert len(gc.get_objects()) - before < 250

    in_virtual_time(main, anyio_backend)


# --- limiters of concurrency ----------------------------------------------------------------------------------------


def test_a_limiter_follows(anyio_backend: str) -> None:
    """It grows by one with each success while others wait for it, and is halved once per pause."""

    async def main(pacer: Pacer) -> None:
        limiter = anyio.CapacityLimiter(1)
        pacer.adapt(limiter, minimum=2, maximum=6)
        assert limiter.total_tokens == 2
        sizes = list[float]()

        async def ask() -> None:
            async with limiter:
                with await take(pacer) as turn:
                    await anyio.sleep(1)
                    turn.answered({}, input_tokens=0, output_tokens=0)
            sizes.append(limiter.total_tokens)

        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(ask)
        assert sizes[:3] == [3, 4, 5]
        assert max(sizes) == limiter.total_tokens == 6
        turns = [await take(pacer) for _ in range(6)]
        for turn in turns:
            turn.refused({}, retry_after=5)
        assert limiter.total_tokens == 3
        for _ in range(3):
            (await take(pacer)).refused({}, retry_after=5)
        assert limiter.total_tokens == 2

    in_virtual_time(main, anyio_backend)


def test_a_limiter_nobody_waits_for_stays(anyio_backend: str) -> None:
    """Nor does it grow while requests wait for the rate limit: more at once would not help."""

    async def main(pacer: Pacer) -> None:
        limiter = anyio.CapacityLimiter(2)
        pacer.adapt(limiter, maximum=10)
        await learn(pacer, told(2, limit=2))
        assert limiter.total_tokens == 2
        async with anyio.create_task_group() as tasks:
            for number in range(3):
                tasks.start_soon(partial(limiter.acquire_on_behalf_of, number))
            await anyio.wait_all_tasks_blocked()
            turns = [await take(pacer), await take(pacer)]
            tasks.start_soon(learn, pacer, {})
            await anyio.wait_all_tasks_blocked()
            turns[0].answered({}, input_tokens=0, output_tokens=0)
            assert limiter.total_tokens == 2
            turns[1].failed()
            tasks.cancel_scope.cancel()

    in_virtual_time(main, anyio_backend)


def test_a_limiter_made_outside_of_an_event_loop_is_adapted(anyio_backend: str) -> None:
    """It belongs to the first event loop that takes turns."""
    limiter = anyio.CapacityLimiter(4)

    async def main() -> None:
        shared = Pacer()
        await anyio.to_thread.run_sync(partial(shared.adapt, limiter, maximum=4))
        (await take(shared)).refused({}, retry_after=1)
        assert limiter.total_tokens == 2

    anyio.run(main, backend=anyio_backend)


def test_a_limiter_is_let_go(anyio_backend: str) -> None:
    """A pacer that outlives many runs holds none of their limiters; adapting one anew changes its bounds."""

    async def main(pacer: Pacer) -> None:
        limiter = anyio.CapacityLimiter(8)
        pacer.adapt(limiter, maximum=8)
        pacer.adapt(limiter, maximum=5)
        assert limiter.total_tokens == 5
        assert len(pacer._limits._adapted) == 1
        del limiter
        gc.collect()
        await learn(pacer, {})
        assert pacer._limits._adapted == []

    in_virtual_time(main, anyio_backend)


@pytest.mark.parametrize(("minimum", "maximum"), [(0, 5), (5, 4), (1.0, 5), (1, True), (1, "5")])
def test_bounds_must_make_sense(minimum: Any, maximum: Any) -> None:
    """Anything else is an error that says so."""
    with pytest.raises(ConfigurationError, match="whole numbers with 1 <= minimum <= maximum"):
        Pacer().adapt(anyio.CapacityLimiter(1), minimum=minimum, maximum=maximum)


# --- threads --------------------------------------------------------------------------------------------------------


def run_in_threads(*mains: Callable[[], Awaitable[None]]) -> None:
    errors = list[BaseException]()

    def start(main: Callable[[], Awaitable[None]], backend: str) -> None:
        async def timed() -> None:
            with anyio.fail_after(60):
                await main()

        try:
            anyio.run(timed, backend=backend)
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=start, args=(main, ("asyncio", "trio")[number % 2]))
        for number, main in enumerate(mains)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_event_loops_in_threads_share_a_pacer() -> None:
    """Four threads with an event loop each never have more in flight than the window allows, and all get done."""
    pacer = Pacer(clock=Clock(speed=1000))
    most, done = list[tuple[int, int]](), list[int]()

    async def main() -> None:
        async def ask() -> None:
            with await take(pacer) as turn:
                status = pacer.limits("a", MODEL)
                most.append((status.in_flight, status.window))
                await anyio.sleep(0.001)
                turn.failed(told(900))
            done.append(1)

        async with anyio.create_task_group() as tasks:
            for _ in range(40):
                tasks.start_soon(ask)

    run_in_threads(main, main, main, main)
    assert len(done) == 160
    assert all(in_flight <= window for in_flight, window in most)
    status = pacer.limits("a", MODEL)
    assert (status.in_flight, status.waiting) == (0, 0)


def test_a_pause_reported_in_one_thread_holds_in_another() -> None:
    """And a limiter of the other thread is halved there, when its own requests take a turn."""
    clock = Clock(speed=1000)
    pacer, taken, refused = Pacer(clock=clock), threading.Event(), threading.Event()
    waits = list[float]()

    async def reporter() -> None:
        turn = await take(pacer)
        await anyio.to_thread.run_sync(taken.wait)
        turn.refused({}, retry_after=20)
        refused.set()

    async def other() -> None:
        limiter = anyio.CapacityLimiter(8)
        pacer.adapt(limiter, maximum=8)
        taken.set()
        await anyio.to_thread.run_sync(refused.wait)
        assert limiter.total_tokens == 8
        with await take(pacer) as turn:
            waits.append(pacer.limits("a", MODEL).paused_seconds)
            assert limiter.total_tokens == 4
            turn.failed()

    run_in_threads(reporter, other)
    assert waits == [0]


def test_a_forked_process_begins_anew(anyio_backend: str) -> None:
    """What its parent has in flight, or a lock that a thread of the parent held, never stops it."""

    async def main(pacer: Pacer) -> None:
        turns = [await take(pacer) for _ in range(8)]
        pacer._limits._lock.acquire()
        _pacing._begin_anew()
        assert (await take(pacer)).waited_seconds == 0
        assert pacer.limits("a", MODEL).in_flight == 1
        assert len(turns) == 8

    in_virtual_time(main, anyio_backend)


def test_an_outcome_may_be_told_outside_of_an_event_loop() -> None:
    """As when the work is cleaned up after its loop has ended."""
    pacer = Pacer()
    turn = anyio.run(take, pacer)
    turn.answered(told(), input_tokens=0, output_tokens=0)
    assert pacer.limits("a", MODEL).in_flight == 0


# --- what is shown --------------------------------------------------------------------------------------------------


def test_nothing_is_known_at_first() -> None:
    """Asking changes nothing."""
    pacer = Pacer()
    assert pacer.limits("a", "claude-opus-4-8") == LimitStatus(family="claude-opus-4")
    assert repr(pacer) == "Pacer(0 limits, 0 requests in flight, 0 waiting)"


def test_no_account_is_shown(anyio_backend: str) -> None:
    """What is printed of a pacer, a turn and a status holds neither account nor workspace."""

    async def main(pacer: Pacer) -> None:
        await learn(pacer, workspace("secret-w"), "secret-a")
        turn = await take(pacer, "secret-a")
        shown = f"{pacer!r} {turn!r} {pacer.limits('secret-a', MODEL)!r}"
        assert "secret" not in shown
        assert "1 limits, 1 requests in flight" in shown
        assert "claude-sonnet-5, in flight" in shown
        turn.failed()
        assert "over" in repr(turn)

    in_virtual_time(main, anyio_backend)


def test_a_status_tells_what_is_known(anyio_backend: str) -> None:
    """All resources of which an answer told, with what requests in flight are expected to use already taken off."""

    async def main(pacer: Pacer) -> None:
        with await take(pacer, tokens=1_000) as turn:
            turn.answered(told(100) | told(400_000, limit=500_000, name="tokens"), input_tokens=500, output_tokens=80)
        await pacer.take("a", MODEL, input_tokens=10_000, output_tokens=16_000)
        status = pacer.limits("a", MODEL)
        assert status.requests is not None
        assert status.tokens is not None
        assert (status.requests.limit, status.requests.remaining) == (1_000, 99)
        assert (status.tokens.limit, status.tokens.remaining) == (500_000, 399_500 - 5_000 - 80)
        assert status.input_tokens is status.output_tokens is None
        assert (status.in_flight, status.input_factor, status.output_mean) == (1, 0.5, 80)
        assert pacer.all_limits() == (status,)

    in_virtual_time(main, anyio_backend)


def test_the_process_has_one_pacer() -> None:
    """Everyone who asks for none in particular gets the same."""
    assert default_pacer() is default_pacer()


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: Pacer(clock=5), "clock must be Clock or None, not int"),
        (lambda: Pacer(clock=0), "clock must be Clock or None, not int"),
        (lambda: Pacer(random=5), "random must be Random or None, not int"),
        (lambda: Clock(speed=0), "speed must be a number above 0"),
        (lambda: Clock(speed=-1), "speed must be a number above 0"),
        (lambda: Clock(speed="x"), "speed must be a number above 0"),
        (lambda: Clock(speed=True), "speed must be a number above 0"),
        (lambda: Clock(speed=float("inf")), "speed must be a number above 0"),
        (lambda: Clock(speed=float("nan")), "speed must be a number above 0"),
        (lambda: Clock(time=5), "time must be a function, not int"),
        (lambda: Pacer().adapt(3, maximum=5), "limiter must be an anyio.CapacityLimiter, not int"),
        (lambda: Pacer().adapt(None, maximum=5), "limiter must be an anyio.CapacityLimiter, not NoneType"),
    ],
)
def test_what_a_pacer_cannot_be_made_of_is_named(wrong: Any, told: str) -> None:
    """At once, and not by a request that waits for ever."""
    with pytest.raises(ConfigurationError, match=f"^{told}"):
        wrong()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"account": 5}, "account must be text, not int"),
        ({"model": None}, "model must be text, not NoneType"),
        ({"input_tokens": -1}, "input_tokens must be a whole number"),
        ({"input_tokens": 1.5}, "input_tokens must be a whole number"),
        ({"output_tokens": "x"}, "output_tokens must be a whole number"),
        ({"output_tokens": True}, "output_tokens must be a whole number"),
    ],
)
def test_a_request_that_cannot_be_counted_takes_no_turn(anyio_backend: str, wrong: dict[str, Any], told: str) -> None:
    """Nothing of it stays in the queue."""

    async def main(pacer: Pacer) -> None:
        with pytest.raises(ConfigurationError, match=f"^{told}"):
            await pacer.take(**({"account": "a", "model": MODEL, "input_tokens": 0, "output_tokens": 0} | wrong))
        assert pacer.all_limits() == ()

    in_virtual_time(main, anyio_backend)


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), "3", True])
def test_a_wait_that_never_ends_is_refused(anyio_backend: str, wrong: Any) -> None:
    """It is told before it makes everyone pause, and the turn can still be told what became of it."""

    async def main(pacer: Pacer) -> None:
        turn = await take(pacer)
        with pytest.raises(ConfigurationError, match="retry_after must be a number of seconds"):
            turn.refused({}, retry_after=wrong)
        assert pacer.limits("a", MODEL).paused_seconds == 0
        turn.refused({}, retry_after=3)
        assert (await take(pacer)).waited_seconds == pytest.approx(3, abs=0.01)

    in_virtual_time(main, anyio_backend)
