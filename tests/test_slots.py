"""Tokens of a limiter that are lent while their holder waits."""

from __future__ import annotations

import math

import anyio
import pytest
from anyio import CapacityLimiter, wait_all_tasks_blocked

from cardanalysis import ItemStatus, MemoryStore
from cardanalysis._errors import LeaseLost
from cardanalysis._jobs import Job
from cardanalysis._models import NewItem
from cardanalysis._slots import Aside, Slot

pytestmark = pytest.mark.anyio


async def test_a_slot_is_one_token() -> None:
    """Taken, given back, and given back once only."""
    limiter = CapacityLimiter(2)
    slot = Slot(limiter, Aside(limiter))
    slot.give_back()
    await slot.take()
    assert limiter.borrowed_tokens == 1
    slot.give_back()
    slot.give_back()
    assert limiter.borrowed_tokens == 0


async def test_a_slot_is_waited_for() -> None:
    """Where none is free, until somebody gives one back."""
    limiter = CapacityLimiter(1)
    aside = Aside(limiter)
    first, second = Slot(limiter, aside), Slot(limiter, aside)
    await first.take()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(second.take)
        await wait_all_tasks_blocked()
        assert limiter.borrowed_tokens == 1
        first.give_back()
    assert limiter.borrowed_tokens == 1
    second.give_back()


async def test_taking_a_slot_twice_is_an_error() -> None:
    """A fault of ours is not mistaken for a limiter without free tokens."""
    limiter = CapacityLimiter(2)
    slot = Slot(limiter, Aside(limiter))
    await slot.take()
    with pytest.raises(RuntimeError):
        await slot.take()
    slot.give_back()


async def test_a_lent_slot_may_be_taken_by_somebody_else() -> None:
    """And its holder waits for one again at the end."""
    limiter = CapacityLimiter(1)
    aside = Aside(limiter)
    holder, other = Slot(limiter, aside), Slot(limiter, aside)
    steps: list[str] = []

    async def hold() -> None:
        async with holder.lent():
            await other.take()
            steps.append("other has it")
        steps.append("holder has it again")
        holder.give_back()

    await holder.take()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold)
        await wait_all_tasks_blocked()
        assert steps == ["other has it"]
        other.give_back()
    assert steps == ["other has it", "holder has it again"]
    assert limiter.borrowed_tokens == 0


@pytest.mark.parametrize("slots", [1, 2, 3])
async def test_only_as_many_stand_aside_as_there_are_slots(slots: int) -> None:
    """Who finds no room keeps the slot."""
    limiter = CapacityLimiter(slots)
    aside = Aside(limiter)
    over = anyio.Event()
    waiting: list[bool] = []

    async def wait() -> None:
        slot = Slot(limiter, aside)
        await slot.take()
        async with slot.lent():
            waiting.append(slot._held)
            await over.wait()
        slot.give_back()

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(wait)
        await wait_all_tasks_blocked()
        assert waiting == [False] * slots + [True] * slots
        over.set()
    assert limiter.borrowed_tokens == 0
    assert [aside.enter() for _ in range(slots + 1)] == [True] * slots + [False]


async def test_the_place_aside_is_left_when_the_slot_is_held_again() -> None:
    """Who comes back waits aside, so that no more are there than twice as many as there are slots."""
    limiter = CapacityLimiter(1)
    aside = Aside(limiter)
    first, second, third = (Slot(limiter, aside) for _ in range(3))
    back = anyio.Event()

    async def stand_aside() -> None:
        async with first.lent():
            await back.wait()

    await first.take()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stand_aside)
        await wait_all_tasks_blocked()
        await second.take()
        back.set()
        await wait_all_tasks_blocked()
        assert not aside.enter()  # the only place is taken by who waits for this slot
        second.give_back()
    assert first._held
    await _takes_only_after(first, third)
    assert aside.enter()
    assert not aside.enter()


async def _takes_only_after(holder: Slot, other: Slot) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(other.take)
        await wait_all_tasks_blocked()
        assert not other._held
        holder.give_back()
    assert other._held
    other.give_back()


async def test_who_is_cancelled_while_it_waits_to_come_back_leaves_its_place() -> None:
    """And has no token, neither then nor when one comes free."""
    limiter = CapacityLimiter(1)
    aside = Aside(limiter)
    slot, other = Slot(limiter, aside), Slot(limiter, aside)
    back = anyio.Event()

    async def hold() -> None:
        await slot.take()
        try:
            async with slot.lent():
                await back.wait()
        finally:
            slot.give_back()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold)
        await wait_all_tasks_blocked()
        await other.take()
        back.set()
        await wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert limiter.borrowed_tokens == 1
    other.give_back()
    assert limiter.borrowed_tokens == 0
    assert aside.enter()
    assert not aside.enter()


# --- no more than so many at all --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("slots", "most"), [(2, 1), (1, 3), (2, 2), (2, 5)])
async def test_all_who_may_be_there_may_stand_aside(slots: int, most: int) -> None:
    """There are never more of them, so that nobody who waits keeps a slot."""
    limiter = CapacityLimiter(slots)
    aside = Aside(limiter, most)
    doors = [anyio.Event() for _ in range(8)]
    there: list[int] = []
    held: list[bool] = []

    async def wait(number: int) -> None:
        slot = Slot(limiter, aside)
        await slot.take()
        there.append(number)
        async with slot.lent():
            held.append(slot._held)
            await doors[number].wait()
        assert slot._held
        there.remove(number)
        slot.give_back()

    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(wait, number)
        for _ in range(8):
            await wait_all_tasks_blocked()
            assert len(there) == min(most, 8 - sum(door.is_set() for door in doors))
            assert limiter.borrowed_tokens == 0
            doors[there[0]].set()
    assert held == [False] * 8
    assert limiter.borrowed_tokens == 0
    assert aside.alive is not None
    assert aside.alive.borrowed_tokens == 0


@pytest.mark.parametrize("waits_for", ["slot", "place"])
async def test_who_is_cancelled_while_it_waits_to_begin_is_not_there(waits_for: str) -> None:
    """Neither the token nor the place among those who are there stays taken."""
    limiter = CapacityLimiter(1)
    aside = Aside(limiter, 2 if waits_for == "slot" else 1)
    slot, other = Slot(limiter, aside), Slot(limiter, aside)
    await other.take()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(slot.take)
        await wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert aside.alive is not None
    assert (limiter.borrowed_tokens, aside.alive.borrowed_tokens) == (1, 1)
    slot.give_back()
    assert (limiter.borrowed_tokens, aside.alive.borrowed_tokens) == (1, 1)
    other.give_back()
    other.give_back()
    assert (limiter.borrowed_tokens, aside.alive.borrowed_tokens) == (0, 0)


async def test_who_is_cancelled_aside_is_not_there_any_more() -> None:
    """The next one may come, which has the token and the place."""
    limiter = CapacityLimiter(1)
    aside = Aside(limiter, 1)
    slot, other = Slot(limiter, aside), Slot(limiter, aside)

    async def hold(scope: anyio.CancelScope) -> None:
        await slot.take()
        with scope:
            async with slot.lent():
                await anyio.sleep_forever()
        slot.give_back()

    holding = anyio.CancelScope()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold, holding)
        await wait_all_tasks_blocked()
        tasks.start_soon(other.take)
        await wait_all_tasks_blocked()
        assert limiter.borrowed_tokens == 0
        holding.cancel()
    assert other._held
    other.give_back()
    assert limiter.borrowed_tokens == 0


# --- lending ----------------------------------------------------------------------------------------------------------


async def test_a_slot_that_is_not_held_is_not_lent() -> None:
    """Inside of a block that lends it, another one does nothing."""
    limiter = CapacityLimiter(1)
    slot = Slot(limiter, Aside(limiter))
    async with slot.lent():
        assert limiter.borrowed_tokens == 0
    assert limiter.borrowed_tokens == 0
    await slot.take()
    async with slot.lent(), slot.lent():
        assert limiter.borrowed_tokens == 0
    assert limiter.borrowed_tokens == 1
    slot.give_back()


async def test_who_is_cancelled_while_aside_holds_nothing() -> None:
    """Neither a token that somebody else has by now, nor a place aside."""
    limiter = CapacityLimiter(1)
    aside = Aside(limiter)
    slot, other = Slot(limiter, aside), Slot(limiter, aside)

    async def hold() -> None:
        await slot.take()
        try:
            async with slot.lent():
                await anyio.sleep_forever()
        finally:
            slot.give_back()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold)
        await wait_all_tasks_blocked()
        await other.take()
        tasks.cancel_scope.cancel()
    assert limiter.borrowed_tokens == 1
    other.give_back()
    assert limiter.borrowed_tokens == 0
    assert aside.enter()
    assert not aside.enter()


async def test_an_error_while_aside_comes_through() -> None:
    """With the slot held again."""
    limiter = CapacityLimiter(1)
    slot = Slot(limiter, Aside(limiter))
    await slot.take()
    with pytest.raises(ZeroDivisionError):
        async with slot.lent():
            raise ZeroDivisionError
    assert limiter.borrowed_tokens == 1
    slot.give_back()


# --- the item that holds one ------------------------------------------------------------------------------------------


async def test_an_item_that_somebody_else_has_cannot_be_moved() -> None:
    """The worker that lost it learns so, and nothing is written."""
    async with MemoryStore() as store:
        await store.create_run("r", kind="k", fingerprint="f", asked={})
        await store.add_items("r", [NewItem(id="i", name="i", position=0)])
        (item,) = await store.claim("r", "me", lease_seconds=60, limit=1)
        limiter = CapacityLimiter(1)
        changes: list[int] = []
        job = Job(None, item, store, Slot(limiter, Aside(limiter)), lambda: changes.append(1))
        await job.move(ItemStatus.ANALYZING)
        await store.release("r", "i", token=item.token)
        with pytest.raises(LeaseLost):
            await job.move(ItemStatus.SAVING)
        assert changes == [1]


@pytest.mark.parametrize("timeout", [5.0, None])
async def test_the_time_of_an_item_stands_still_while_it_waits(timeout: float | None) -> None:
    """As much is left afterwards as before, also where one wait is inside of another."""
    limiter = CapacityLimiter(1)
    async with MemoryStore() as store:
        await store.create_run("r", kind="k", fingerprint="f", asked={})
        (item,) = await store.add_items("r", [NewItem(id="i", name="i", position=0)])
        slot = Slot(limiter, Aside(limiter))
        await slot.take()
        job = Job(None, item, store, slot, lambda: None)
        if timeout is not None:
            job.scope.deadline = anyio.current_time() + timeout
        with job.untimed():
            assert job.scope.deadline == math.inf
            async with job.aside():
                assert job.scope.deadline == math.inf
                assert limiter.borrowed_tokens == 0
            assert job.scope.deadline == math.inf
        left = job.scope.deadline - anyio.current_time()
        assert left == (math.inf if timeout is None else pytest.approx(timeout, abs=0.5))
        assert limiter.borrowed_tokens == 1
        slot.give_back()
