"""The ceiling of a run's cost: what is put aside, given back, waited for and refused.

Time is virtual where it matters: `Clock(speed=...)` shortens the pauses, and trio's clock jumps.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis import ConfigurationError, MemoryStore, SQLiteStore, StoreError, Usage
from cardanalysis._budget import COMMITTED, Budget, check_max_cost
from cardanalysis._clock import Clock
from cardanalysis._errors import RunStopped
from cardanalysis._models import NewItem, Run
from cardanalysis._work import Reservation
from cardanalysis.abc import Store

QUICK = Clock(speed=1000)


async def new_run(store: Store, run_id: str = "r") -> Run:
    return await store.create_run(run_id, kind="test", fingerprint="f", asked={})


async def committed(store: Store, run_id: str = "r") -> int:
    return (await store.get_run(run_id)).counters.get(COMMITTED, 0)


@asynccontextmanager
async def opened(kind: str, tmp_path: Path) -> AsyncIterator[Store]:
    async with MemoryStore() if kind == "memory" else SQLiteStore(tmp_path / "cards.db") as store:
        await new_run(store)
        yield store


both_stores = pytest.mark.parametrize("kind", ["memory", "sqlite"])


class Untouched:
    """A store that nobody may call."""

    async def increment(self, run_id: str, counter: str, by: int = 1) -> int:
        raise AssertionError(counter)


# -- the bound -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, True, "1", 1e10, b"1", [1]])
def test_a_ceiling_is_a_number_above_zero(value: Any) -> None:
    """Anything else is told by its name, before a run begins."""
    with pytest.raises(ConfigurationError, match="max_cost must be a number"):
        check_max_cost(value)
    with pytest.raises(ConfigurationError, match="max_cost must be a number"):
        Budget(MemoryStore(), "r", value)


def test_a_ceiling_may_be_a_whole_number() -> None:
    """It comes back as a float; None means that there is none."""
    assert check_max_cost(2) == 2.0
    assert check_max_cost(None) is None


@pytest.mark.anyio
async def test_without_a_ceiling_the_store_is_not_asked() -> None:
    """Anything may be spent, at an unknown price too, and no call is made."""
    store: Any = Untouched()
    budget = Budget(store, "r", None)
    run = Run(id="r", kind="test", created_at=(await new_run(MemoryStore())).created_at, usage=Usage(cost=None))
    await budget.begin(run)
    for worst in (1e6, None):
        reservation = await budget.reserve(worst)
        await reservation.settle(5.0)
        await reservation.settle(None)


# -- one reservation -----------------------------------------------------------------------------------------------


@pytest.mark.anyio
@both_stores
@pytest.mark.parametrize(("dollars", "left"), [(0.25, 250_000_000), (0.0, 0), (None, 500_000_000), (0.5, 500_000_000)])
async def test_what_a_request_did_not_cost_is_given_back(
    kind: str, tmp_path: Path, dollars: float | None, left: int
) -> None:
    """The worst case is put aside, and what it really cost stays; all of it if that is unknown."""
    async with opened(kind, tmp_path) as store:
        reservation = await Budget(store, "r", 1.0).reserve(0.5)
        assert await committed(store) == 500_000_000
        await reservation.settle(dollars)
        assert await committed(store) == left


@pytest.mark.anyio
async def test_settling_again_changes_nothing() -> None:
    """Only the first word about what it cost counts."""
    store = MemoryStore()
    await new_run(store)
    reservation = await Budget(store, "r", 1.0).reserve(0.5)
    await reservation.settle(0.1)
    await reservation.settle(0.4)
    await reservation.settle(None)
    assert await committed(store) == 100_000_000


@pytest.mark.anyio
async def test_a_cost_above_the_worst_case_is_added_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The counter tells the truth even where the prices did not."""
    store = MemoryStore()
    await new_run(store)
    reservation = await Budget(store, "r", 1.0).reserve(0.5)
    with caplog.at_level(logging.WARNING, "cardanalysis"):
        await reservation.settle(0.75)
    assert await committed(store) == 750_000_000
    assert "$0.25 more" in caplog.text


@pytest.mark.anyio
async def test_the_worst_case_is_rounded_up() -> None:
    """Less than a billionth of a dollar is one, so that many tiny requests cannot pass the ceiling."""
    store = MemoryStore()
    await new_run(store)
    budget = Budget(store, "r", 3e-9, clock=QUICK)
    held = [await budget.reserve(1e-12) for _ in range(3)]
    assert await committed(store) == 3
    for each in held:
        await each.settle(None)
    with pytest.raises(RunStopped):
        await budget.reserve(1e-12)


@pytest.mark.anyio
async def test_a_ceiling_can_be_used_up_to_the_last_billionth() -> None:
    """What fits exactly fits."""
    store = MemoryStore()
    await new_run(store)
    budget = Budget(store, "r", 0.3, clock=QUICK)
    held = [await budget.reserve(0.1) for _ in range(3)]
    assert await committed(store) == 300_000_000
    del held


# -- money that is counted already ---------------------------------------------------------------------------------


@pytest.mark.anyio
@both_stores
@pytest.mark.parametrize(("dollars", "left"), [(0.25, 250_000_000), (0.0, 0), (None, 500_000_000), (0.75, 750_000_000)])
async def test_what_another_process_put_aside_is_settled_by_who_adopts_it(
    kind: str, tmp_path: Path, dollars: float | None, left: int
) -> None:
    """It is not counted again, and corrected once to what it really cost."""
    async with opened(kind, tmp_path) as store:
        await Budget(store, "r", 1.0).reserve(0.5)
        adopted = Budget(store, "r", 1.0).adopt(0.5)
        assert await committed(store) == 500_000_000
        await adopted.settle(dollars)
        await adopted.settle(0.1)
        assert await committed(store) == left


@pytest.mark.anyio
@pytest.mark.parametrize(("dollars", "warned"), [(0.0, False), (0.5, True)])
async def test_only_a_worst_case_is_warned_of(dollars: float, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    """With nothing put aside all of the cost is more than that, and no prices are wrong."""
    store = MemoryStore()
    await new_run(store)
    with caplog.at_level(logging.WARNING, "cardanalysis"):
        await Budget(store, "r", 1.0).adopt(dollars).settle(0.75)
    assert await committed(store) == round((0.75 - dollars) * 1e9)
    assert ("more than it should" in caplog.text) is warned


@pytest.mark.anyio
async def test_a_price_of_nothing_that_was_wrong_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """A reservation of no money is one of the worst case all the same."""
    store = MemoryStore()
    await new_run(store)
    with caplog.at_level(logging.WARNING, "cardanalysis"):
        await (await Budget(store, "r", 1.0).reserve(0.0)).settle(0.75)
    assert "$0.75 more" in caplog.text


@pytest.mark.anyio
async def test_adopting_counts_nothing_and_is_never_refused() -> None:
    """The store is not asked, with a ceiling below it or without one."""
    store: Any = Untouched()
    assert Budget(store, "r", 1.0).adopt(5.0)
    free = Budget(store, "r", None).adopt(5.0)
    await free.settle(7.0)
    await free.settle(None)


@pytest.mark.anyio
async def test_a_request_waits_for_adopted_money() -> None:
    """It may come back, like one's own."""
    store, got = MemoryStore(), list[Reservation]()
    await new_run(store)
    await store.increment("r", COMMITTED, 800_000_000)
    budget = Budget(store, "r", 1.0)
    adopted = budget.adopt(0.8)

    async def wait() -> None:
        got.append(await budget.reserve(0.8))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert not got
        await adopted.settle(0.1)
    assert len(got) == 1
    assert await committed(store) == 900_000_000


@pytest.mark.anyio
async def test_nobody_waits_for_what_can_give_nothing_back() -> None:
    """Who finds no room is refused, though an adopted request of which nothing is put aside is under way."""
    store = MemoryStore()
    await new_run(store)
    budget = Budget(store, "r", 1.0, clock=QUICK)
    adopted = budget.adopt(0.0)
    with pytest.raises(RunStopped):
        await budget.reserve(1.5)
    await adopted.settle(0.25)
    assert await committed(store) == 250_000_000


# -- no room -------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@both_stores
async def test_what_does_not_fit_stops_the_run(kind: str, tmp_path: Path) -> None:
    """The error says what the ceiling is, what is spent, what the request may cost and how to go on."""
    async with opened(kind, tmp_path) as store:
        budget = Budget(store, "r", 1.0, clock=QUICK)
        await (await budget.reserve(0.75)).settle(0.7)
        with pytest.raises(RunStopped) as caught:
            await budget.reserve(0.300001)
        assert caught.value.code == "max_cost"
        assert str(caught.value) == (
            "max_cost is $1.00, of which $0.70 is spent or put aside for requests whose cost is not known, and the "
            "next request may cost up to $0.300001. What is finished is kept. To go on, make the same call with a "
            "higher max_cost."
        )
        assert await committed(store) == 700_000_000
        await Budget(store, "r", 1.1).reserve(0.300001)  # as told


@pytest.mark.anyio
async def test_an_unknown_price_is_refused_under_a_ceiling() -> None:
    """What cannot be bounded is not sent."""
    store = MemoryStore()
    await new_run(store)
    with pytest.raises(ConfigurationError, match="prices=") as caught:
        await Budget(store, "r", 1.0).reserve(None)
    assert caught.value.code == "unknown_price"
    assert await committed(store) == 0


@pytest.mark.anyio
async def test_a_failing_store_is_told() -> None:
    """The store's error comes out as it is, and nothing is waited for afterwards."""
    budget = Budget(MemoryStore(), "nobody", 1.0, clock=QUICK)
    for _ in range(2):
        with pytest.raises(StoreError):
            await budget.reserve(0.5)


@pytest.mark.anyio
async def test_a_store_that_fails_when_settling_leaves_it_spent() -> None:
    """The error comes out once; the money stays counted, and others do not wait for it."""
    store = MemoryStore()
    await new_run(store)
    budget = Budget(store, "r", 1.0, clock=QUICK)
    reservation = await budget.reserve(0.9)
    await store.delete_run("r")
    with pytest.raises(StoreError):
        await reservation.settle(0.1)
    await reservation.settle(0.1)
    await new_run(store)
    await store.increment("r", COMMITTED, 900_000_000)
    with pytest.raises(RunStopped):
        await budget.reserve(0.9)


# -- waiting -------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
@both_stores
async def test_a_request_waits_for_an_outstanding_one(kind: str, tmp_path: Path) -> None:
    """While something may come back, nobody is refused."""
    async with opened(kind, tmp_path) as store:
        budget = Budget(store, "r", 1.0)
        first, got = await budget.reserve(0.8), list[Reservation]()

        async def second() -> None:
            got.append(await budget.reserve(0.8))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(second)
            await anyio.wait_all_tasks_blocked()
            assert not got
            await first.settle(0.1)
        assert len(got) == 1
        assert await committed(store) == 900_000_000


@pytest.mark.anyio
async def test_who_waits_is_refused_when_the_last_one_cost_too_much() -> None:
    """With nothing outstanding any more, what does not fit stops the run; all who wait learn it."""
    store, refused = MemoryStore(), list[str]()
    await new_run(store)
    budget = Budget(store, "r", 1.0, clock=QUICK)
    first = await budget.reserve(0.8)

    async def wait() -> None:
        with pytest.raises(RunStopped) as caught:
            await budget.reserve(0.3)
        refused.append(caught.value.code)

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(wait)
        await anyio.wait_all_tasks_blocked()
        assert not refused
        await first.settle(None)
    assert refused == ["max_cost"] * 3
    assert await committed(store) == 800_000_000


@pytest.mark.anyio
async def test_who_came_first_is_served_first() -> None:
    """A large request is not overtaken for ever by small ones that would fit."""
    store, served = MemoryStore(), list[str]()
    await new_run(store)
    budget = Budget(store, "r", 1.0)
    first = await budget.reserve(0.5)

    async def ask(name: str, dollars: float) -> None:
        reservation = await budget.reserve(dollars)
        served.append(name)
        await reservation.settle(0.0)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, "large", 0.9)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(ask, "small", 0.1)
        await anyio.wait_all_tasks_blocked()
        assert not served
        await first.settle(0.1)
    assert served == ["large", "small"]


def in_virtual_time(main: Callable[[], Awaitable[None]]) -> None:
    async def timed() -> None:
        with anyio.fail_after(10_000):
            await main()

    anyio.run(timed, backend="trio", backend_options={"clock": trio.testing.MockClock(rate=0, autojump_threshold=0.01)})


def test_a_reservation_that_nobody_holds_any_more_is_not_waited_for() -> None:
    """An analyzer that forgets to settle costs its worst case, and does not bring the others to a halt."""

    async def main() -> None:
        store = MemoryStore()
        await new_run(store)
        budget = Budget(store, "r", 1.0)
        await budget.reserve(0.8)
        gc.collect()
        with pytest.raises(RunStopped):
            await budget.reserve(0.3)

    in_virtual_time(main)


def test_what_another_worker_gives_back_is_noticed() -> None:
    """Who waits for an own request also sees room that another process makes."""

    async def main() -> None:
        store, got = MemoryStore(), list[float]()
        await new_run(store)
        mine, theirs = Budget(store, "r", 1.0), Budget(store, "r", 1.0)
        small, large = await mine.reserve(0.1), await theirs.reserve(0.8)

        async def wait() -> None:
            await mine.reserve(0.5)
            got.append(anyio.current_time())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.sleep(20.5)
            assert not got
            await large.settle(0.0)
            now = anyio.current_time()
        assert 0 < got[0] - now <= 1
        await small.settle(None)

    in_virtual_time(main)


class Colliding(MemoryStore):
    """A store in which somebody else adds a large amount, and takes it back a moment later, a few times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    async def increment(self, run_id: str, counter: str, by: int = 1) -> int:
        value = await super().increment(run_id, counter, by)
        if by > 0 and self.times:
            self.times -= 1
            return value + 10**10
        return value


@pytest.mark.anyio
async def test_a_collision_with_another_process_is_tried_again() -> None:
    """Of two that add at once and take back at once, at least one gets what would fit."""
    store = Colliding(4)
    await new_run(store)
    await Budget(store, "r", 1.0, clock=QUICK).reserve(0.9)
    assert await committed(store) == 900_000_000


@pytest.mark.anyio
async def test_many_collisions_end_in_a_refusal() -> None:
    """After a few attempts it is no collision."""
    store = Colliding(1000)
    await new_run(store)
    with pytest.raises(RunStopped):
        await Budget(store, "r", 1.0, clock=QUICK).reserve(0.9)
    assert store.times > 990
    assert await committed(store) == 0


@pytest.mark.anyio
async def test_those_behind_a_refused_request_are_refused_at_once() -> None:
    """The pauses against collisions are made once, not by each of many that wait; what fits gets through again."""
    store = Counting()
    await new_run(store)
    budget = Budget(store, "r", 1.0, clock=QUICK)
    for _ in range(10):
        with pytest.raises(RunStopped):
            await budget.reserve(2.0)
    assert store.added == 1 + 6 + 9 * 2  # each once in passing, the first six times in turn, the others once
    await (await budget.reserve(0.5)).settle(None)
    with pytest.raises(RunStopped):
        await budget.reserve(2.0)
    assert store.added == 25 + 1 + 7


class Counting(MemoryStore):
    """A store that counts additions."""

    added = 0

    async def increment(self, run_id: str, counter: str, by: int = 1) -> int:
        self.added += by > 0
        return await super().increment(run_id, counter, by)


# -- beginning -----------------------------------------------------------------------------------------------------


async def spend(store: Store, cost: float | None) -> None:
    """Record an item that cost something, as a run without a ceiling does."""
    await store.add_items("r", [NewItem(id="i", name="i", position=0)])
    (item,) = await store.claim("r", "w", lease_seconds=60)
    await store.complete_item("r", "i", token=item.token, outputs=[], usage=Usage(cost=cost))


@pytest.mark.anyio
@both_stores
async def test_what_the_run_spent_without_a_ceiling_counts(kind: str, tmp_path: Path) -> None:
    """It is added once, however often the run is resumed."""
    async with opened(kind, tmp_path) as store:
        await spend(store, 0.4)
        for _ in range(3):
            budget = Budget(store, "r", 0.5, clock=QUICK)
            await budget.begin(await store.get_run("r"))
        assert await committed(store) == 400_000_000
        with pytest.raises(RunStopped, match=r"\$0\.40 is spent"):
            await budget.reserve(0.2)


@pytest.mark.anyio
async def test_what_was_counted_already_is_not_counted_twice() -> None:
    """Under a ceiling the counter is at least what the run's usage says."""
    store = MemoryStore()
    await new_run(store)
    await (await Budget(store, "r", 1.0).reserve(0.5)).settle(0.45)
    await spend(store, 0.4)
    await Budget(store, "r", 1.0).begin(await store.get_run("r"))
    assert await committed(store) == 450_000_000


@pytest.mark.anyio
async def test_an_unknown_past_allows_no_ceiling() -> None:
    """If it is not known what the run cost so far, no ceiling can be kept."""
    store = MemoryStore()
    await new_run(store)
    await spend(store, None)
    with pytest.raises(ConfigurationError, match="cost so far is unknown") as caught:
        await Budget(store, "r", 1.0).begin(await store.get_run("r"))
    assert caught.value.code == "unknown_price"


@pytest.mark.anyio
async def test_two_that_begin_at_once_err_on_the_safe_side() -> None:
    """Both add what was spent before: the ceiling comes early, and is not passed."""
    store = MemoryStore()
    await new_run(store)
    await spend(store, 0.4)
    run = await store.get_run("r")
    for _ in range(2):
        await Budget(store, "r", 1.0).begin(run)
    assert await committed(store) == 800_000_000


# -- many at once --------------------------------------------------------------------------------------------------


amounts = st.lists(
    st.tuples(st.integers(0, 1_000_000), st.floats(0, 1), st.booleans(), st.integers(0, 3)), min_size=1, max_size=20
)


@settings(max_examples=60)
@given(amounts, st.integers(1, 3_000_000), st.integers(1, 3), st.integers())
def test_many_tasks_of_many_workers_never_pass_the_ceiling(
    requests: list[tuple[int, float, bool, int]], ceiling: int, workers: int, seed: int
) -> None:
    """Whatever is asked, spent, forgotten or cancelled, the sum of what was really spent is within the ceiling."""
    spent: list[int] = []
    rng = random.Random(seed)

    async def request(budget: Budget, worst: int, share: float, known: bool, turns: int) -> None:
        with anyio.CancelScope() as scope:
            if rng.random() < 0.2:
                scope.cancel()
            try:
                reservation = await budget.reserve(worst / 1e9)
            except RunStopped:
                return
            for _ in range(turns):
                await anyio.lowlevel.checkpoint()
            cost = int(worst * share)
            spent.append(cost)
            await reservation.settle(cost / 1e9 if known else None)

    async def main() -> None:
        store = MemoryStore()
        await new_run(store)
        budgets = [Budget(store, "r", ceiling / 1e9, clock=Clock(speed=1e9)) for _ in range(workers)]
        async with anyio.create_task_group() as tasks:
            for number, (worst, share, known, turns) in enumerate(requests):
                tasks.start_soon(request, budgets[number % workers], worst, share, known, turns)
        assert sum(spent) <= await committed(store) <= ceiling

    anyio.run(main)


@pytest.mark.anyio
@both_stores
async def test_all_that_fit_are_served(kind: str, tmp_path: Path) -> None:
    """Forty tasks whose worst cases are far above the ceiling, and their costs below it, are all let through."""
    async with opened(kind, tmp_path) as store:
        budget, held, most = Budget(store, "r", 1.0), 0, 0

        async def request() -> None:
            nonlocal held, most
            reservation = await budget.reserve(0.3)
            held += 1
            most = max(most, held)
            await anyio.lowlevel.checkpoint()
            held -= 1
            await reservation.settle(0.01)

        async with anyio.create_task_group() as tasks:
            for _ in range(40):
                tasks.start_soon(request)
        assert await committed(store) == 400_000_000
        assert most <= 3


# -- cancellation --------------------------------------------------------------------------------------------------


class Stepping(MemoryStore):
    """A store that takes several turns of the event loop, before it adds and after."""

    async def increment(self, run_id: str, counter: str, by: int = 1) -> int:
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        value = await super().increment(run_id, counter, by)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        return value


@pytest.mark.anyio
@pytest.mark.parametrize("turns", range(14))
async def test_a_cancelled_reserve_leaves_nothing_behind(turns: int) -> None:
    """Wherever the cancellation comes, what was added is taken back, or the caller has the reservation."""
    store, got = Stepping(), list[Reservation]()
    await new_run(store)
    budget = Budget(store, "r", 1.0)

    async def reserve(*, task_status: Any) -> None:
        with anyio.CancelScope() as scope:
            task_status.started(scope)
            got.append(await budget.reserve(0.5))

    async with anyio.create_task_group() as tasks:
        scope = await tasks.start(reserve)
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        scope.cancel()
    assert await committed(store) == 500_000_000 * len(got)


@pytest.mark.anyio
async def test_who_is_cancelled_while_waiting_has_put_nothing_aside() -> None:
    """The queue goes on without it."""
    store = MemoryStore()
    await new_run(store)
    budget = Budget(store, "r", 1.0)
    first = await budget.reserve(0.8)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(budget.reserve, 0.8)
        tasks.start_soon(budget.reserve, 0.8)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert await committed(store) == 800_000_000
    await first.settle(0.0)
    await budget.reserve(1.0)


@pytest.mark.anyio
async def test_settling_is_seen_through_when_cancelled() -> None:
    """The money is given back, and the cancellation waits: what was paid for is not lost to it."""
    store, after = Stepping(), list[str]()
    await new_run(store)
    reservation = await Budget(store, "r", 1.0).reserve(0.5)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await reservation.settle(0.1)
        after.append("kept")
        await anyio.lowlevel.checkpoint()
        after.append("cancelled too late")
    assert after == ["kept"]
    assert await committed(store) == 100_000_000


@pytest.mark.parametrize("turns", range(1, 14))
def test_a_bare_cancellation_of_asyncio_leaves_nothing_behind(turns: int) -> None:
    """A task.cancel() that no shield holds off is raised after what was begun is seen through."""

    async def main() -> None:
        store = Stepping()
        await new_run(store)
        budget = Budget(store, "r", 1.0)
        task = asyncio.create_task(_wrapped(budget.reserve(0.5)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            assert await committed(store) == 0
        else:
            assert await committed(store) == 500_000_000

    anyio.run(main)


@pytest.mark.parametrize("turns", range(1, 8))
def test_a_bare_cancellation_of_asyncio_does_not_hinder_settling(turns: int) -> None:
    """What is given back is given back once, and the cancellation comes out."""

    async def main() -> None:
        store = Stepping()
        await new_run(store)
        reservation = await Budget(store, "r", 1.0).reserve(0.5)
        task = asyncio.create_task(_wrapped(reservation.settle(0.1)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await committed(store) == 100_000_000

    anyio.run(main)


async def _wrapped(work: Awaitable[Any]) -> Any:
    return await work
