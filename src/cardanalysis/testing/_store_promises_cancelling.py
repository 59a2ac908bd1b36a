"""Promises about callers that are cancelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

import anyio

from .._models import Item
from .._status import ItemStatus, RunStatus
from ._store_promises_trial import (
    CANCELLED_AFTER,
    LEASE_SECONDS,
    USAGE,
    Promises,
    Snapshot,
    StoreMaker,
    Trial,
    cards,
    check,
    equal,
    interrupted,
    trial,
)

__all__ = ["PROMISES"]

PROMISES = Promises()

_CALLS: Final[Mapping[str, Callable[[Trial, Item], Awaitable[object]]]] = {
    "create_run": lambda t, _: t.store.create_run(
        t.run_id, kind="test", fingerprint="f2", asked={"n": 2}, accept_change=True
    ),
    "update_run": lambda t, _: t.set_run(RunStatus.RUNNING),
    "add_items": lambda t, _: t.add("d", "c", "b", "a"),
    "claim": lambda t, _: t.claim(2, owner="w2"),
    "renew": lambda t, _: t.store.renew(t.run_id, "w1", lease_seconds=9 * LEASE_SECONDS),
    "release": lambda t, claimed: t.release(claimed, usage=USAGE),
    "update_status": lambda t, claimed: t.move(claimed, ItemStatus.ANALYZING),
    "complete_item": lambda t, claimed: t.complete(claimed, cards("x", "y")),
    "fail_item": lambda t, claimed: t.fail(claimed),
    "increment": lambda t, _: t.store.increment(t.run_id, "n", 5),
    "append_event": lambda t, _: t.store.append_event(t.run_id, "told", data={"n": 1}),
}


async def _prepared(t: Trial, run_id: str) -> tuple[Trial, Item]:
    """A run of its own with three items, one of them claimed."""
    one = t.on(run_id)
    await one.create()
    await one.add("a", "b", "c")
    return one, await one.take("a")


@PROMISES.add
async def a_cancelled_call_happens_wholly_or_not_at_all(make_store: StoreMaker) -> None:
    """A call whose caller is cancelled at any point has done all that it does, or nothing."""
    async with trial(make_store) as t:
        for name, call in _CALLS.items():
            undone = await _after(t, f"{name} undone", None)
            done = await _after(t, f"{name} done", call)
            check(done != undone, f"{name} should have changed something.")
            for number, rounds in enumerate(CANCELLED_AFTER):
                got = await _after(t, f"{name} {number}", call, rounds=rounds)
                check(got in (undone, done), f"{name}, cancelled, left half of what it does: {got}")


async def _after(
    t: Trial, run_id: str, call: Callable[[Trial, Item], Awaitable[object]] | None, *, rounds: int | None = None
) -> Snapshot:
    """Everything about a run after a call, which is cancelled after some rounds unless that is None."""
    one, claimed = await _prepared(t, run_id)
    if call is not None and rounds is None:
        await call(one, claimed)
    elif call is not None and rounds is not None:
        await interrupted(partial(call, one, claimed), after=rounds)
    return (await one.snapshot()).anonymous()


@PROMISES.add
async def what_was_answered_has_happened(make_store: StoreMaker) -> None:
    """When many callers are cancelled at once, all that got an answer did what they asked, and the store goes on."""
    async with trial(make_store) as t:
        for rounds in CANCELLED_AFTER:
            answers: list[int] = []
            before = (await t.run()).counters["n"]
            await interrupted(partial(_increment_in_tasks, t, answers), after=rounds)
            counted = (await t.run()).counters["n"] - before
            check(len(answers) <= counted <= 20, f"{len(answers)} increments of 20 were answered, {counted} counted.")
            equal(len({*answers}), len(answers), "Different answers")
            equal(await t.store.increment("run", "n"), before + counted + 1, "The next answer")


async def _increment_in_tasks(t: Trial, answers: list[int]) -> None:
    async def increment() -> None:
        answers.append(await t.store.increment("run", "n"))

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(increment)


@PROMISES.add
async def a_cancelled_caller_writes_no_more(make_store: StoreMaker) -> None:
    """A caller that is cancelled already when it asks for a change changes nothing."""
    async with trial(make_store, "a") as t:
        claimed = await t.take("a")
        async with t.unchanged("A caller that is cancelled already"):
            for name, call in _CALLS.items():
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await call(t, claimed)
                check(scope.cancelled_caught, f"{name} must be cancelled.")
