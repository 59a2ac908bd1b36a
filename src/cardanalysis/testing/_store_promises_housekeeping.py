"""Promises about looking after runs. A store that is no `cardanalysis.abc.Housekeeping` does not make them."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import chain
from typing import Any, TypeAlias

from attrs import evolve

from .._arguments import check_housekeeping, checkpoint_store
from .._errors import ConfigurationError, InvalidValue, ItemNotFound, RunNotFound, StoreError
from .._models import Event, Item, Output, Run
from .._status import ItemStatus, RunStatus
from ..abc import Housekeeping
from ._store_promises_trial import (
    CANCELLED_AFTER,
    LEASE_SECONDS,
    MISSING,
    USAGE,
    NotOffered,
    Promises,
    Snapshot,
    StoreMaker,
    Trial,
    cards,
    check,
    equal,
    ids,
    interrupted,
    raises,
    titles,
    trial,
)

__all__ = ["PROMISES"]

PROMISES = Promises()

_Record: TypeAlias = Item | Output | Event


@asynccontextmanager
async def house(make_store: StoreMaker, *item_ids: str) -> AsyncGenerator[tuple[Trial, Housekeeping], None]:
    """Like `trial`, with the store once more for what it does besides.

    Raises:
        NotOffered: It does nothing besides.
    """
    async with trial(make_store, *item_ids) as t:
        try:
            keeper = check_housekeeping(t.store, "This promise")
        except ConfigurationError:
            raise NotOffered("The store is no cardanalysis.abc.Housekeeping.") from None
        yield t, keeper


# -- reading runs --------------------------------------------------------------------------------------------------


async def _reads(keep: Housekeeping, wanted: list[str], what: str, **filters: Any) -> None:
    """Check which runs are read, wholly and page by page."""
    read = partial(keep.runs, **filters)
    whole = await read()
    equal([run.id for run in whole], wanted, what)
    for limit in (1, 2, len(wanted) + 1):
        equal(await _pages(read, limit), whole, f"{what}, in pages of {limit}")
    equal(await read(limit=0), [], f"{what}, at most 0")


async def _pages(read: Callable[..., Awaitable[list[Run]]], limit: int) -> list[Run]:
    found: list[Run] = []
    while page := await read(after=found[-1] if found else None, limit=limit):
        check(len(page) <= limit, f"A page of at most {limit} holds {len(page)}.")
        found += page
    return found


@PROMISES.add
async def runs_are_read_newest_first(make_store: StoreMaker) -> None:
    """Runs come in the order of their creation, the newest first, and of their ids where they are of one moment."""
    async with house(make_store, "a") as (t, keep):
        await t.complete(await t.take("a"), cards("x"))
        for moment in (["c", "a", "Größe 'x'"], ["b"], ["z", "e", "d"]):
            t.clock.advance(10)
            for each in moment:
                await t.on(each).create(n=each)
        await _reads(keep, ["d", "e", "z", "b", "Größe 'x'", "a", "c", "run"], "The runs")
        equal([await t.store.get_run(run.id) for run in await keep.runs()], await keep.runs(), "get_run of each")


@PROMISES.add
async def runs_are_read_by_kind_and_status(make_store: StoreMaker) -> None:
    """A kind and a status let only their runs through, wholly or page by page."""
    async with house(make_store) as (t, keep):
        for status in RunStatus:
            for kind in ("one", "two"):
                one = t.on(f"{status}-{kind}")
                await one.create(kind=kind)
                await one.bring_run_to(status)
        for status in RunStatus:
            wanted = [f"{status}-one", f"{status}-two", *(["run"] if status is RunStatus.QUEUED else [])]
            await _reads(keep, wanted, f"The {status} runs", status=status)
        await _reads(keep, sorted(f"{status}-one" for status in RunStatus), "The runs of a kind", kind="one")
        await _reads(keep, ["failed-two"], "The failed runs of a kind", kind="two", status=RunStatus.FAILED)
        await _reads(keep, [], "The runs of no kind", kind="nothing")


@PROMISES.add
async def a_run_that_is_silent_for_long_is_stale(make_store: StoreMaker) -> None:
    """`stale_seconds` lets running runs through whose last heartbeat is longer ago, not as long ago, than that."""
    async with house(make_store) as (t, keep):
        for each in ("begun", "claimed", "renewed"):
            await t.on(each).create(kind=each)
            await t.on(each).add("a")
            await t.on(each).set_run(RunStatus.RUNNING)
        t.clock.advance(10)
        await t.on("claimed").take("a")
        await t.on("renewed").store.renew("renewed", "w1", lease_seconds=1)
        t.clock.advance(50)
        await _reads(keep, [], "The runs that are silent for more than 60 s", stale_seconds=60)
        await _reads(keep, ["begun"], "The runs that are silent for more than 59 s", stale_seconds=59)
        await _reads(keep, ["begun"], "The runs that are silent for more than 50 s", stale_seconds=50)
        await _reads(keep, ["begun", "claimed", "renewed"], "The runs that are silent for 49 s", stale_seconds=49)
        await _reads(keep, ["claimed"], "The silent runs of a kind", stale_seconds=49, kind="claimed")
        await _reads(keep, [], "The silent runs that have ended", stale_seconds=49, status=RunStatus.FAILED)


@PROMISES.add
async def only_a_running_run_is_stale(make_store: StoreMaker) -> None:
    """`stale_seconds` lets no run through that is not running, however long ago its last heartbeat is."""
    async with house(make_store) as (t, keep):
        for status in RunStatus:
            one = t.on(status)
            await one.create()
            await one.add("a")
            await one.take("a")
            await one.bring_run_to(status)
        t.clock.advance(1000)
        await _reads(keep, ["running"], "The stale runs", stale_seconds=60)


@PROMISES.add
async def fewer_runs_than_none_are_refused(make_store: StoreMaker) -> None:
    """A negative limit raises InvalidValue."""
    async with house(make_store) as (_, keep):
        await raises(InvalidValue, "At most -1 runs", keep.runs, limit=-1)


# -- deleting ------------------------------------------------------------------------------------------------------


@PROMISES.add
async def deleting_a_run_deletes_everything(make_store: StoreMaker) -> None:
    """After delete_run nothing is left of the run, other runs are as they were, and a new one of its id begins anew."""
    async with house(make_store, "a", "b", "c") as (t, keep):
        other = t.on("other")
        for each in (t, other):
            await each.create()
            await each.add("a", "b", "c")
            await each.complete(await each.take("a"), cards("x", "y"), error=MISSING)
            await each.take("b")
            await t.store.increment(each.run_id, "n", 5)
        t.clock.advance(LEASE_SECONDS + 1)
        async with other.unchanged("Deleting another run"):
            await keep.delete_run("run")
            for name in ("get_run", "items", "outputs", "events"):
                await raises(RunNotFound, f"{name} of a deleted run", getattr(t.store, name), "run")
            await raises(RunNotFound, "get_item of a deleted run", t.item, "a")
            equal([run.id for run in await keep.runs()], ["other"], "The runs")
        await t.on("fresh").create()
        await t.create()
        for each in (t.on("fresh"), t):
            await each.add("b", "a")
            await each.take("a")
        got, wanted = await t.snapshot(), await t.on("fresh").snapshot()
        equal(got.anonymous(), wanted.anonymous(), "A new run with the id of a deleted one")


@PROMISES.add
async def a_running_run_is_not_deleted(make_store: StoreMaker) -> None:
    """delete_run of a running run raises StoreError with the code running; in every other status it is deleted."""
    async with house(make_store) as (t, keep):
        for status in RunStatus:
            one = t.on(status)
            await one.create()
            await one.add("a")
            await one.bring_run_to(status)
            if status is RunStatus.RUNNING:
                error = await one.refuses(StoreError, "Deleting a running run", keep.delete_run, status)
                equal(error.code, "running", "The error's code")
                await one.set_run(RunStatus.CANCELLED)
            await keep.delete_run(status)
            await raises(RunNotFound, f"Reading a run that was {status} and deleted", one.run)


@PROMISES.add
async def a_run_that_workers_hold_is_not_deleted(make_store: StoreMaker) -> None:
    """delete_run raises StoreError with the code running until every worker let go, or its lease ended."""
    async with house(make_store, "a", "b") as (t, keep):
        held, _ = await t.claim(2)
        await t.set_run(RunStatus.CANCELLED)
        for when in ("two items are held", "one item is held"):
            error = await t.refuses(StoreError, f"Deleting a run when {when}", keep.delete_run, "run")
            equal(error.code, "running", "The error's code")
            if when == "two items are held":
                await t.release(held)
        t.clock.advance(LEASE_SECONDS + 1)
        await keep.delete_run("run")
        await raises(RunNotFound, "Reading the deleted run", t.run)


@PROMISES.add
async def an_unknown_run_cannot_be_deleted(make_store: StoreMaker) -> None:
    """delete_run of a run that there is not raises RunNotFound and deletes nothing."""
    async with house(make_store, "a") as (t, keep):
        error = await t.refuses(RunNotFound, "Deleting an unknown run", keep.delete_run, "nowhere")
        equal(error.run_id, "nowhere", "The error's run_id")
        await keep.delete_run("run")
        await raises(RunNotFound, "Deleting a run twice", keep.delete_run, "run")


# -- what was done already -----------------------------------------------------------------------------------------


@PROMISES.add
async def what_was_completed_last_is_found(make_store: StoreMaker) -> None:
    """find_completed gives the item that was completed last, whenever its run was created, or None."""
    async with house(make_store) as (t, keep):
        find = partial(keep.find_completed, "a", kind="test", fingerprint="f1")
        equal(await find(), None, "What is found before anything was done")
        for run_id in ("first", "second", "third"):
            await t.on(run_id).create()
            await t.on(run_id).add("a", "b")
            t.clock.advance(1)
        for run_id in ("second", "third", "first"):
            t.clock.advance(1)
            await t.on(run_id).complete(await t.on(run_id).take("a"), cards("x"))
            equal(await find(), await t.on(run_id).item("a"), f"What is found after {run_id} has it")
        equal(await keep.find_completed("b", kind="test", fingerprint="f1"), None, "What is found of another item")
        await keep.delete_run("first")
        equal(await find(), await t.on("third").item("a"), "What is found after the newest was deleted")


@PROMISES.add
async def only_what_answers_the_same_question_is_found(make_store: StoreMaker) -> None:
    """find_completed passes over runs of another kind or fingerprint, as they are now."""
    async with house(make_store, "a") as (t, keep):
        await t.complete(await t.take("a"))
        for kind, fingerprint in (("other", "f1"), ("test", "f2")):
            one = t.on(f"{kind} {fingerprint}")
            await one.create(kind=kind, fingerprint=fingerprint)
            await one.add("a")
            t.clock.advance(1)
            await one.complete(await one.take("a"))
        for kind, fingerprint, run_id in (
            ("test", "f1", "run"),
            ("other", "f1", "other f1"),
            ("test", "f2", "test f2"),
        ):
            found = await keep.find_completed("a", kind=kind, fingerprint=fingerprint)
            equal(found, await t.on(run_id).item("a"), f"What is found of kind {kind} and fingerprint {fingerprint}")
        equal(await keep.find_completed("a", kind="other", fingerprint="f2"), None, "What is found of a third question")
        await t.store.create_run("run", kind="test", fingerprint="f3", asked={}, accept_change=True)
        equal(await keep.find_completed("a", kind="test", fingerprint="f1"), None, "What is found of an old question")


@PROMISES.add
async def only_what_is_completed_is_found(make_store: StoreMaker) -> None:
    """find_completed passes over items in every status but completed, also where they have outputs."""
    async with house(make_store, "a") as (t, keep):
        done = await t.complete(await t.take("a"))
        for status in frozenset(ItemStatus) - {ItemStatus.COMPLETED}:
            t.clock.advance(1)
            one = t.on(status)
            await one.create()
            await one.add("a")
            await one.bring_to("a", status)
            found = await keep.find_completed("a", kind="test", fingerprint="f1")
            equal(found, done, f"What is found beside an item that is {status}")


# -- restoring -----------------------------------------------------------------------------------------------------


async def _rich(t: Trial) -> Snapshot:
    """A run with something of everything."""
    await t.create(question={"list": [1, None], "text": "Größe"})
    await t.set_run(RunStatus.RUNNING)
    await t.add(*ItemStatus, "retried", "tail")
    for status in ItemStatus:
        t.clock.advance(0.25)
        await t.bring_to(status, status)
    await t.complete(await t.take("retried"), [*cards("r", "s"), *cards("n", kind="notes")], error=MISSING)
    await t.move(await t.item("retried"), ItemStatus.PENDING)
    await t.release(await t.take("retried"), usage=USAGE)
    await t.store.increment(t.run_id, "n", -3)
    await t.store.append_event(t.run_id, "told", item_id="tail", data={"n": [1.5]})
    t.clock.advance(1)
    await t.store.renew(t.run_id, "w1", lease_seconds=7)
    return await t.check_sums("of the run to be restored")


def _records(of: Snapshot, run_id: str) -> tuple[Run, list[_Record]]:
    """A run and all that belongs to it, under another id; each item is followed by its outputs."""
    found: list[_Record] = []
    for item in of.items:
        found.append(evolve(item, run_id=run_id))
        found.extend(output for output in of.outputs if output.item_id == item.id)
    found.extend(evolve(event, run_id=run_id) for event in of.events)
    return evolve(of.run, id=run_id), found


@PROMISES.add
async def a_restored_run_is_as_it_was(make_store: StoreMaker) -> None:
    """restore_run writes run, items, outputs and log as they were read, beside the run or after it was deleted."""
    async with house(make_store) as (t, keep):
        rich = t.on("rich")
        before = await _rich(rich)
        t.clock.advance(100)
        async with rich.unchanged("Restoring a copy"):
            run, records = _records(before, "copy")
            restored = await keep.restore_run(run, records)
        copy = await t.on("copy").check_sums("of the copy")
        equal(restored, copy.run, "What restore_run returned")
        equal(copy.anonymous(), before.anonymous(), "The copy")
        await rich.set_run(RunStatus.CANCELLED)
        last = await rich.snapshot()
        await keep.delete_run("rich")
        await keep.restore_run(last.run, chain(last.items, last.outputs, last.events))
        equal(await rich.snapshot(), last, "The run that was deleted and restored")
        equal([run.id for run in await keep.runs()], ["copy", "rich", "run"], "The runs")


@PROMISES.add
async def an_empty_run_can_be_restored(make_store: StoreMaker) -> None:
    """A run with nothing but its log, and one without even that, are restored."""
    async with house(make_store) as (t, keep):
        await keep.restore_run(*_records(await t.snapshot(), "copy"))
        equal((await t.on("copy").snapshot()).anonymous(), (await t.snapshot()).anonymous(), "The copy")
        bare = Run(id="bare", kind="test", created_at=t.time)
        equal(await keep.restore_run(bare, []), bare, "The run without a log")


@PROMISES.add
async def work_goes_on_in_a_restored_run(make_store: StoreMaker) -> None:
    """In a restored run items are claimed, finished under the claims they had, and event numbers go on."""
    async with house(make_store) as (t, keep):
        before = await _rich(t.on("rich"))
        await keep.restore_run(*_records(before, "copy"))
        copy = t.on("copy")
        done = await copy.complete(await copy.item("loading"), cards("held"))
        equal(done.status, ItemStatus.COMPLETED, "What was held")
        await copy.refuses_to_finish(evolve(await copy.item("saving"), token=0), "under no claim")
        equal((await copy.store.renew("copy", "w1", lease_seconds=9)).held, {"analyzing", "saving"}, "What is held")
        taken = await copy.claim(9, owner="w2")
        equal(ids(taken), ["pending", "retried", "tail"], "What is claimed")
        equal([(item.attempts, item.token) for item in taken], [(1, 1), (2, 3), (1, 1)], "Attempts and tokens")
        await copy.complete(taken[1], cards("again"))
        outputs = await copy.store.outputs("copy", item_id="retried")
        equal(titles(outputs), ["again"], "The outputs of the retry")
        equal(await copy.store.increment("copy", "n"), -2, "The counter")
        now = await copy.check_sums("after work on the copy")
        equal(now.run.last_event, before.run.last_event + 5, "The last event")


@PROMISES.add
async def a_run_is_not_restored_over_another(make_store: StoreMaker) -> None:
    """restore_run where there is a run of that id raises StoreError with the code run_exists and changes nothing."""
    async with house(make_store, "a") as (t, keep):
        before = await _rich(t.on("rich"))
        error = await t.refuses(StoreError, "Restoring over a run", keep.restore_run, *_records(before, "run"))
        equal(error.code, "run_exists", "The error's code")


class _Interrupted(Exception):
    pass


@PROMISES.add
async def a_failing_restore_leaves_nothing(make_store: StoreMaker) -> None:
    """What the records raise is raised, at whatever record, and nothing of the run is there."""
    async with house(make_store) as (t, keep):
        run, records = _records(await _rich(t.on("rich")), "copy")

        def failing(after: int) -> Iterator[_Record]:
            yield from records[:after]
            raise _Interrupted

        for after in (0, 1, len(records) // 2, len(records)):
            await raises(_Interrupted, "Records that fail", keep.restore_run, run, failing(after))
            await raises(RunNotFound, f"get_run after a failure at record {after}", t.store.get_run, "copy")
            equal([run.id for run in await keep.runs()], ["rich", "run"], "The runs")
        equal(await keep.restore_run(run, records), run, "The run, when nothing fails")


@PROMISES.add
async def only_whole_runs_are_restored(make_store: StoreMaker) -> None:
    """Records that are missing or there twice raise StoreError with the code corrupt, and no run is there."""
    async with house(make_store) as (t, keep):
        run, records = _records(await _rich(t.on("rich")), "copy")
        outputs = [n for n, record in enumerate(records) if isinstance(record, Output) and record.index == 0]
        events = [n for n, record in enumerate(records) if isinstance(record, Event)]
        for what, broken in (
            ("without its last event", records[:-1]),
            ("without an event", [record for n, record in enumerate(records) if n != events[3]]),
            ("with an event twice", [*records, records[-1]]),
            ("with an item twice", [records[0], *records]),
            ("with an output twice", [*records[: outputs[-1] + 1], *records[outputs[-1] :]]),
            ("without the first of two outputs", [record for n, record in enumerate(records) if n != outputs[-1]]),
        ):
            error = await raises(StoreError, f"A run {what}", keep.restore_run, run, broken)
            equal(error.code, "corrupt", f"The code of the error of a run {what}")
            await raises(RunNotFound, f"get_run after a run {what}", t.store.get_run, "copy")
        homeless = [record for record in records if not isinstance(record, Item)]
        await raises(ItemNotFound, "Outputs without items", keep.restore_run, run, homeless)
        await raises(RunNotFound, "get_run after outputs without items", t.store.get_run, "copy")


@PROMISES.add
async def records_are_read_beside_the_event_loop(make_store: StoreMaker) -> None:
    """The records that are restored are read once, in another thread than that of the event loop."""
    async with house(make_store) as (t, keep):
        run, records = _records(await _rich(t.on("rich")), "copy")
        threads: list[int] = []

        def told() -> Iterator[_Record]:
            for record in records:
                threads.append(threading.get_ident())
                yield record

        await keep.restore_run(run, told())
        equal(len(threads), len(records), "How many records were read")
        check(threading.get_ident() not in threads, "The records must be read in a worker thread.")


# -- callers that are cancelled --------------------------------------------------------------------------------------


@PROMISES.add
async def cancelled_housekeeping_happens_wholly_or_not_at_all(make_store: StoreMaker) -> None:
    """delete_run and restore_run whose caller is cancelled at any point have done all that they do, or nothing."""
    async with house(make_store) as (t, keep):
        before = await _rich(t.on("rich"))
        for number, rounds in enumerate(CANCELLED_AFTER):
            one = t.on(f"copy {number}")
            run, records = _records(before, one.run_id)
            await interrupted(partial(keep.restore_run, run, records), after=rounds)
            await _is_whole_or_gone(one, before, "A cancelled restore")
            if await _is_there(one):
                await one.set_run(RunStatus.CANCELLED)
                t.clock.advance(LEASE_SECONDS + 1)
                now = await one.snapshot()
                await interrupted(partial(keep.delete_run, one.run_id), after=rounds)
                await _is_whole_or_gone(one, now, "A cancelled deletion")


async def _is_there(t: Trial) -> bool:
    try:
        await t.run()
    except RunNotFound:
        return False
    return True


async def _is_whole_or_gone(t: Trial, wanted: Snapshot, what: str) -> None:
    if await _is_there(t):
        equal((await t.snapshot()).anonymous(), wanted.anonymous(), f"{what} that happened")


@PROMISES.add
async def a_deleted_run_leaves_no_checkpoints(make_store: StoreMaker) -> None:
    """A run that is made anew under the id of a deleted one has nothing of it."""
    async with house(make_store, "a") as (t, keeper):
        desk = checkpoint_store(t.store)
        if desk is None:
            raise NotOffered("The store is no cardanalysis.abc.CheckpointStore.")
        item = await t.take()
        await t.release(await desk.save_checkpoint(t.run_id, "a", token=item.token, key="1", data={}, usage=USAGE))
        await keeper.delete_run(t.run_id)
        await t.create()
        await t.add("a")
        equal(await desk.checkpoints(t.run_id, "a"), {}, "What is kept")
