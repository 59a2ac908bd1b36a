"""Promises about runs, and about calls that name none."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial

from .._errors import FingerprintMismatch, IllegalMove, InvalidValue, ItemNotFound, RunNotFound, VersionConflict
from .._models import NewItem, Run, Usage
from .._status import RUN_MOVES, ItemStatus, RunStatus
from ..abc import Store
from ._store_promises_trial import (
    BROKEN,
    USAGE,
    Promises,
    StoreMaker,
    all_at_once,
    at_once,
    cards,
    check,
    equal,
    raises,
    repeated,
    trial,
)

__all__ = ["PROMISES"]

PROMISES = Promises()


@PROMISES.add
async def a_new_run_is_queued(make_store: StoreMaker) -> None:
    """A new run is queued, knows what was asked, and has counted nothing."""
    async with trial(make_store) as t:
        asked = {"analyzer": "outline", "options": {"max_cards": 3}, "models": ["a", "b"]}
        run = await t.store.create_run("new", kind="analyze_cards", fingerprint="f9", asked=asked)
        wanted = Run(id="new", kind="analyze_cards", fingerprint="f9", asked=asked, created_at=t.time)
        for name in ("id", "kind", "status", "counters", "usage", "asked", "fingerprint", "error", "created_at"):
            equal(getattr(run, name), getattr(wanted, name), f"A new run's {name}")
        equal((run.started_at, run.finished_at), (None, None), "A new run's start and end")
        equal(run.heartbeat_at, None, "A new run's heartbeat")
        equal(await t.store.get_run("new"), run, "get_run after create_run")


@PROMISES.add
async def creating_a_run_again_opens_it(make_store: StoreMaker) -> None:
    """create_run with the same question returns the run as it is and changes nothing."""
    async with trial(make_store, "a", "b") as t:
        await t.set_run(RunStatus.RUNNING)
        await t.complete(await t.take("a"), cards("x"))
        async with t.unchanged("Opening a run") as before:
            equal(await t.create(), before.run, "The opened run")
        async with t.unchanged("Opening a run and accepting a change where there is none") as before:
            run = await t.store.create_run("run", kind="test", fingerprint="f1", asked={}, accept_change=True)
            equal(run, before.run, "The opened run")


@PROMISES.add
async def many_that_create_a_run_at_once_share_it(make_store: StoreMaker) -> None:
    """Of many create_run calls at once, one creates the run and the others open it."""
    async with trial(make_store) as t:
        runs = await all_at_once(*repeated(t.on("shared").create, 20))
        equal([run == runs[0] for run in runs], [True] * 20, "Whether all got the same run")
        alone, shared = await t.snapshot(), await t.on("shared").snapshot()
        equal(len(shared.events), len(alone.events), "Events in the log of a run that many created")


@PROMISES.add
async def another_question_is_refused(make_store: StoreMaker) -> None:
    """A run of another fingerprint raises FingerprintMismatch, which names what differs, and nothing is written."""
    async with trial(make_store) as t:
        asked = {"model": "m1", "prompt": 1, "same": [1, 2], "gone": None}
        await t.store.create_run("asked", kind="test", fingerprint="f1", asked=asked)
        other = {"model": "m2", "prompt": 1, "same": [1, 2], "new": True}
        create = partial(t.store.create_run, "asked", kind="test")
        error = await t.on("asked").refuses(
            FingerprintMismatch, "Another question", create, fingerprint="f2", asked=other
        )
        equal(error.run_id, "asked", "The error's run_id")
        equal(sorted({*error.differences} - {"gone"}), ["model", "new"], "The error's differences")


@PROMISES.add
async def another_kind_is_refused(make_store: StoreMaker) -> None:
    """A run of another kind raises FingerprintMismatch, also where a changed question is accepted."""
    async with trial(make_store) as t:
        for accept in (False, True):
            create = partial(t.store.create_run, "run", kind="other", fingerprint="f1", asked={})
            error = await t.refuses(FingerprintMismatch, "Another kind", create, accept_change=accept)
            check("kind" in error.differences, f"The error must name the kind, not only {error.differences}.")


@PROMISES.add
async def a_changed_question_can_be_accepted(make_store: StoreMaker) -> None:
    """With accept_change the run takes the new question and keeps everything else."""
    async with trial(make_store, "a", "b") as t:
        await t.complete(await t.take("a"), cards("x"))
        before = await t.check_sums("before the change")
        changed = await t.store.create_run("run", kind="test", fingerprint="f2", asked={"n": 2}, accept_change=True)
        equal((changed.fingerprint, changed.asked), ("f2", {"n": 2}), "The new question")
        check(changed.version > before.run.version, "A changed question must raise the run's version.")
        after = await t.check_sums("after the change")
        equal(after.run, changed, "get_run after the change")
        equal((after.items, after.outputs), (before.items, before.outputs), "Items and outputs after the change")
        equal(await t.create(fingerprint="f2", n=2), changed, "The run when the new question is asked again")
        await t.refuses(FingerprintMismatch, "The old question", t.create)


def _calls_on_a_run(store: Store, run_id: str) -> dict[str, Callable[[], Awaitable[object]]]:
    return {
        "get_run": partial(store.get_run, run_id),
        "update_run": partial(store.update_run, run_id, RunStatus.RUNNING, version=1),
        "add_items": partial(store.add_items, run_id, [NewItem(id="x", name="x", position=0)]),
        "claim": partial(store.claim, run_id, "w1", lease_seconds=1.0),
        "renew": partial(store.renew, run_id, "w1", lease_seconds=1.0),
        "increment": partial(store.increment, run_id, "n"),
        "append_event": partial(store.append_event, run_id, "told"),
        "items": partial(store.items, run_id),
        "outputs": partial(store.outputs, run_id),
        "events": partial(store.events, run_id),
    }


def _calls_on_an_item(store: Store, run_id: str, item_id: str) -> dict[str, Callable[[], Awaitable[object]]]:
    return {
        "get_item": partial(store.get_item, run_id, item_id),
        "release": partial(store.release, run_id, item_id, token=1),
        "update_status": partial(store.update_status, run_id, item_id, ItemStatus.LOADING, version=1),
        "complete_item": partial(store.complete_item, run_id, item_id, token=1, outputs=[], usage=Usage()),
        "fail_item": partial(store.fail_item, run_id, item_id, token=1, error=BROKEN, usage=USAGE),
    }


@PROMISES.add
async def an_unknown_run_is_told(make_store: StoreMaker) -> None:
    """Every call on a run that there is not raises RunNotFound, and makes none."""
    async with trial(make_store, "a") as t:
        calls = _calls_on_a_run(t.store, "nowhere") | _calls_on_an_item(t.store, "nowhere", "a")
        for name, call in calls.items():
            error = await t.refuses(RunNotFound, f"{name} on an unknown run", call)
            equal(error.run_id, "nowhere", f"The run_id in the error of {name}")
        await raises(RunNotFound, "get_run after all these calls", t.store.get_run, "nowhere")


@PROMISES.add
async def what_makes_no_sense_is_refused(make_store: StoreMaker) -> None:
    """An empty id or name, a negative limit and a lease of no or endless length raise InvalidValue; nothing is done."""
    async with trial(make_store, "a", "b") as t:
        await t.take("a")
        for name, call in _senseless_calls(t.store, "run").items():
            await t.refuses(InvalidValue, name, call)
        create = partial(t.store.create_run, fingerprint="f1", asked={})
        await raises(InvalidValue, "A run without an id", create, "", kind="test")
        await raises(InvalidValue, "A run without a kind", create, "new", kind="")
        await raises(RunNotFound, "get_run after its creation was refused", t.store.get_run, "new")


def _senseless_calls(store: Store, run_id: str) -> dict[str, Callable[[], Awaitable[object]]]:
    claim, renew = partial(store.claim, run_id, "w1"), partial(store.renew, run_id, "w1")
    leases = [0, -1.0, math.inf, -math.inf, math.nan]
    return {
        "A claim by nobody": partial(store.claim, run_id, "", lease_seconds=1),
        "A claim of at most -1 items": partial(claim, lease_seconds=1, limit=-1),
        **{f"A claim for {seconds} s": partial(claim, lease_seconds=seconds) for seconds in leases},
        **{f"A renewal for {seconds} s": partial(renew, lease_seconds=seconds) for seconds in leases},
        "An increment of no counter": partial(store.increment, run_id, ""),
        "An event of no type": partial(store.append_event, run_id, ""),
        "At most -1 items": partial(store.items, run_id, limit=-1),
        "At most -1 outputs": partial(store.outputs, run_id, limit=-1),
        "At most -1 events": partial(store.events, run_id, limit=-1),
    }


@PROMISES.add
async def an_unknown_item_is_told(make_store: StoreMaker) -> None:
    """Every call on an item that the run has not raises ItemNotFound and writes nothing."""
    async with trial(make_store, "a") as t:
        await t.on("other").create()
        await t.on("other").add("elsewhere")
        await t.take("a")
        for name, call in _calls_on_an_item(t.store, "run", "elsewhere").items():
            error = await t.refuses(ItemNotFound, f"{name} on an unknown item", call)
            equal((error.run_id, error.item_id), ("run", "elsewhere"), f"What the error of {name} names")


@PROMISES.add
async def runs_do_not_mix(make_store: StoreMaker) -> None:
    """Runs with items of the same ids know nothing of each other."""
    async with trial(make_store, "a", "b") as t:
        other = t.on("other")
        await other.create()
        await other.add("a", "b")
        await t.complete(await t.take("a"), cards("x"))
        await other.fail(await other.take("a", owner="w1"))
        async with t.unchanged("What is done to another run"):
            await other.complete(await other.take("b"), cards("y", "z"))
            await t.store.increment("other", "n")
            await t.store.renew("other", "w1", lease_seconds=5.0)
        equal((await t.run()).counters["cards"], 1, "Cards of the first run")
        equal((await other.run()).counters["cards"], 2, "Cards of the other run")


@PROMISES.add
async def a_run_makes_every_legal_move(make_store: StoreMaker) -> None:
    """Every move in the table of run statuses is made, with one event each."""
    async with trial(make_store) as t:
        for old, new in [(old, new) for old, targets in RUN_MOVES.items() for new in sorted(targets)]:
            one = t.on(f"{old}-{new}")
            await one.create()
            before = await one.bring_run_to(old)
            after = await one.set_run(new)
            equal(after.status, new, f"The status after {old} to {new}")
            check(after.version > before.version, f"{old} to {new} must raise the run's version.")
            equal(after.last_event, before.last_event + 1, f"The last event after {old} to {new}")
            equal(await one.run(), after, f"get_run after {old} to {new}")


@PROMISES.add
async def a_run_makes_no_illegal_move(make_store: StoreMaker) -> None:
    """Every move that the table of run statuses lacks raises IllegalMove, and nothing is written."""
    async with trial(make_store) as t:
        for old in RunStatus:
            one = t.on(old)
            await one.create()
            run = await one.bring_run_to(old)
            for new in sorted(frozenset(RunStatus) - RUN_MOVES[old]):
                move = partial(t.store.update_run, old, new, version=run.version)
                error = await one.refuses(IllegalMove, f"A run's move from {old} to {new}", move)
                equal((error.old, error.new), (old, new), "What the error names")


@PROMISES.add
async def a_run_that_changed_meanwhile_is_not_moved(make_store: StoreMaker) -> None:
    """update_run with a version that is not the present one raises VersionConflict, and nothing is written."""
    async with trial(make_store, "a") as t:
        read = await t.run()
        await t.take("a")
        current = (await t.run()).version
        for stale in (read.version, current + 1):
            move = partial(t.store.update_run, "run", RunStatus.RUNNING, version=stale)
            error = await t.refuses(VersionConflict, "A stale version", move)
            equal((error.expected, error.current), (stale, current), "What the error names")


@PROMISES.add
async def one_of_many_moves_a_run(make_store: StoreMaker) -> None:
    """Of many update_run calls with one version at once, one succeeds and the others raise VersionConflict."""
    async with trial(make_store) as t:
        version = (await t.run()).version
        move = partial(t.store.update_run, "run", version=version)
        results = await at_once(*[partial(move, RunStatus.RUNNING) for _ in range(10)])
        conflicts = [result for result in results if isinstance(result, VersionConflict)]
        equal((len(results), len(conflicts)), (10, 9), "Calls, and version conflicts among them")


@PROMISES.add
async def a_run_knows_its_times(make_store: StoreMaker) -> None:
    """Running sets a run's start and clears its end; a terminal status sets its end."""
    async with trial(make_store) as t:
        begun = t.time
        t.clock.advance(10)
        started = t.time
        equal(_times(await t.set_run(RunStatus.RUNNING)), (begun, started, None), "Times when it starts")
        t.clock.advance(10)
        equal(_times(await t.set_run(RunStatus.PARTIAL)), (begun, started, t.time), "Times when it ends")
        t.clock.advance(10)
        equal(_times(await t.set_run(RunStatus.RUNNING)), (begun, t.time, None), "Times when it is resumed")
        equal(_times(await t.run()), (begun, t.time, None), "Times when it is read")


def _times(run: Run) -> tuple[object, object, object]:
    return run.created_at, run.started_at, run.finished_at


@PROMISES.add
async def a_run_that_begins_has_a_heartbeat(make_store: StoreMaker) -> None:
    """update_run sets the heartbeat when the run becomes running, and leaves it alone when it ends."""
    async with trial(make_store) as t:
        for end in (RunStatus.PARTIAL, RunStatus.CANCELLED):
            t.clock.advance(10)
            begun = t.time
            equal((await t.set_run(RunStatus.RUNNING)).heartbeat_at, begun, "The heartbeat when the run begins")
            t.clock.advance(10)
            equal((await t.set_run(end)).heartbeat_at, begun, f"The heartbeat when the run is {end}")
            equal((await t.run()).heartbeat_at, begun, "The heartbeat that is read")


@PROMISES.add
async def a_run_knows_why_it_stopped(make_store: StoreMaker) -> None:
    """update_run keeps the error, and the next start clears it."""
    async with trial(make_store) as t:
        await t.set_run(RunStatus.RUNNING)
        await t.set_run(RunStatus.FAILED, error="The key is wrong.")
        equal((await t.run()).error, "The key is wrong.", "Why the run stopped")
        await t.set_run(RunStatus.RUNNING)
        equal((await t.run()).error, None, "Why the run stopped, when it runs again")


@PROMISES.add
async def every_change_raises_the_runs_version(make_store: StoreMaker) -> None:
    """The run's version rises with every change of the run, of its items and of its counters."""
    async with trial(make_store) as t:
        item = (await t.add("a"))[0]
        steps: dict[str, Callable[[], Awaitable[object]]] = {
            "update_run": lambda: t.set_run(RunStatus.RUNNING),
            "add_items": lambda: t.add("a", "b", "c"),
            "claim": lambda: t.take("a"),
            "release": lambda: t.store.release("run", "a", token=1),
            "update_status": lambda: t.move(item, ItemStatus.SKIPPED),
            "increment": lambda: t.store.increment("run", "n"),
            "complete_item": lambda: t.bring_to("b", ItemStatus.COMPLETED),
            "fail_item": lambda: t.bring_to("c", ItemStatus.FAILED),
        }
        for name, step in steps.items():
            item, before = await t.item("a"), (await t.run()).version
            await step()
            check((await t.run()).version > before, f"{name} must raise the run's version.")


@PROMISES.add
async def reading_changes_nothing(make_store: StoreMaker) -> None:
    """What only reads leaves the run as it is."""
    async with trial(make_store, "a", "b") as t:
        await t.complete(await t.take("a"), cards("x"))
        async with t.unchanged("Reading"):
            await t.snapshot()
            await t.item("b")
            await t.store.items("run", status=ItemStatus.PENDING, limit=1)
            await t.store.outputs("run", kind="cards", item_id="a", limit=1)
            await t.store.events("run", 1, limit=1)
