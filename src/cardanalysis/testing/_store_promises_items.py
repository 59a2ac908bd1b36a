"""Promises about items and their statuses."""

from __future__ import annotations

from functools import partial

from attrs import evolve

from .._errors import IllegalMove, VersionConflict
from .._models import Item, NewItem
from .._status import MOVES, ItemStatus
from ._store_promises_trial import (
    BROKEN,
    LEASE_SECONDS,
    MISSING,
    Promises,
    StoreMaker,
    Trial,
    at_once,
    cards,
    equal,
    ids,
    trial,
)

__all__ = ["PROMISES"]

PROMISES = Promises()


@PROMISES.add
async def added_items_are_pending(make_store: StoreMaker) -> None:
    """add_items returns new items, pending and as they were given, in the order given."""
    async with trial(make_store) as t:
        new = [
            NewItem(id="b", name="Brief.pdf", position=1, kind="upload", size=7),
            NewItem(id="a", name="", position=0, kind="card"),
        ]
        wanted = [
            Item(run_id="run", id=n.id, kind=n.kind, name=n.name, position=n.position, size=n.size, created_at=t.time)
            for n in new
        ]
        equal(await t.store.add_items("run", new), wanted, "The added items")
        equal(await t.store.items("run"), wanted[::-1], "The items that are read")
        equal(await t.item("b"), wanted[0], "The item that is read")
        await t.check_sums("after adding items")


@PROMISES.add
async def adding_items_again_changes_nothing(make_store: StoreMaker) -> None:
    """add_items returns items that the run has already as they are, whatever their status."""
    async with trial(make_store, *ItemStatus) as t:
        for status in ItemStatus:
            await t.bring_to(status, status)
        t.clock.advance(5)
        async with t.unchanged("Adding items again") as before:
            equal(await t.add(*ItemStatus), list(before.items), "What add_items returned")
        async with t.unchanged("Adding no item"):
            equal(await t.store.add_items("run", []), [], "What add_items returned")


@PROMISES.add
async def an_item_given_twice_is_added_once(make_store: StoreMaker) -> None:
    """Of an id that is twice in one call one item is made; the second only brings its position up to date."""
    async with trial(make_store) as t:
        first = NewItem(id="a", name="first", position=0, size=1)
        second = NewItem(id="a", name="second", position=5, size=2)
        added = await t.store.add_items("run", [first, NewItem(id="b", name="b", position=1), second])
        equal([(item.id, item.name, item.position) for item in added], _POSITIONS, "The added items")
        equal(ids(await t.store.items("run")), ["b", "a"], "The items that are read")
        now = await t.check_sums("after adding an item twice")
        equal(now.run.counters["total"], 2, "The counter total")
        equal(len([event for event in now.events if event.item_id == "a"]), 1, "Events of the item")


_POSITIONS = [("a", "first", 5), ("b", "b", 1), ("a", "first", 5)]


@PROMISES.add
async def a_new_position_is_all_that_changes(make_store: StoreMaker) -> None:
    """add_items moves an item that the run has, without a new version or event; outputs move along."""
    async with trial(make_store, "a", "b") as t:
        for each in await t.claim(2):
            await t.complete(each, cards(each.id))
        before = await t.snapshot()
        moved = await t.store.add_items("run", [NewItem(id="a", name="other", position=9, kind="other", size=9)])
        equal(moved, [evolve(before.items[0], position=9)], "The moved item")
        after = await t.check_sums("after a move")
        equal(after.events, before.events, "The log after a move")
        equal(after.items, [before.items[1], *moved], "The items after a move")
        wanted = [before.outputs[1], evolve(before.outputs[0], position=9)]
        equal(after.outputs, wanted, "The outputs after a move")


@PROMISES.add
async def items_added_at_once_are_all_there_once(make_store: StoreMaker) -> None:
    """Many add_items calls at once that share items add each item once."""
    async with trial(make_store) as t:
        names = [f"i{number:02}" for number in range(20)]
        new = [NewItem(id=name, name=name, position=n) for n, name in enumerate(names)]
        results = await at_once(*[partial(t.store.add_items, "run", new[n : n + 6]) for n in range(15)])
        equal([result for result in results if isinstance(result, Exception)], [], "Errors")
        now = await t.check_sums("after adding at once")
        equal(ids(now.items), names, "The items")
        equal(len({event.item_id for event in now.events} - {None}), 20, "Items in the log")


@PROMISES.add
async def an_item_makes_every_legal_move(make_store: StoreMaker) -> None:
    """update_status makes every move in the table of statuses: one version, one event, right counters."""
    async with trial(make_store) as t:
        for old, new in [(old, new) for old, targets in MOVES.items() for new in sorted(targets)]:
            one = t.on(f"{old}-{new}")
            await one.create()
            await one.add("a", "b")
            before = await one.bring_to("a", old)
            last = (await one.run()).last_event
            after = await one.move(before, new)
            equal((after.status, after.version), (new, before.version + 1), f"Status and version after {old} to {new}")
            equal(await one.item(), after, f"get_item after {old} to {new}")
            equal([event.item_id for event in await one.events(last)], ["a"], f"The events of {old} to {new}")
            await one.check_sums(f"after {old} to {new}")


@PROMISES.add
async def an_item_makes_no_illegal_move(make_store: StoreMaker) -> None:
    """update_status raises IllegalMove for every other move, and nothing is written."""
    async with trial(make_store, *ItemStatus) as t:
        for old in ItemStatus:
            item = await t.bring_to(old, old)
            for new in sorted(frozenset(ItemStatus) - MOVES[old]):
                error = await t.refuses(IllegalMove, f"A move from {old} to {new}", t.move, item, new)
                equal((error.old, error.new), (old, new), "What the error names")


@PROMISES.add
async def an_item_that_changed_meanwhile_is_not_moved(make_store: StoreMaker) -> None:
    """update_status with a version that is not the present one raises VersionConflict, and nothing is written."""
    async with trial(make_store, "a") as t:
        item = await t.take("a")
        for stale in (1, 3):
            stale_item = evolve(item, version=stale)
            error = await t.refuses(VersionConflict, "A stale version", t.move, stale_item, ItemStatus.ANALYZING)
            equal((error.expected, error.current), (stale, 2), "What the error names")


@PROMISES.add
async def one_of_many_moves_an_item(make_store: StoreMaker) -> None:
    """Of many update_status calls with one version at once, one succeeds and the others raise VersionConflict."""
    async with trial(make_store, "a") as t:
        item = await t.take("a")
        results = await at_once(*[partial(t.move, item, ItemStatus.ANALYZING) for _ in range(10)])
        equal(len([result for result in results if isinstance(result, VersionConflict)]), 9, "Version conflicts")
        equal(await t.item(), evolve(item, status=ItemStatus.ANALYZING, version=item.version + 1), "The item")
        await t.check_sums("after a race for one move")


@PROMISES.add
async def every_change_raises_an_items_version_by_one(make_store: StoreMaker) -> None:
    """Claim, move, release, failure, retry and completion each raise the item's version by one."""
    async with trial(make_store, "a") as t:
        seen = [await t.item(), await t.take("a")]
        seen.append(await t.release(seen[-1]))
        seen.append(await t.take("a"))
        seen.append(await t.move(seen[-1], ItemStatus.ANALYZING))
        seen.append(await t.fail(seen[-1]))
        seen.append(await t.move(seen[-1], ItemStatus.PENDING))
        seen.append(await t.take("a"))
        seen.append(await t.complete(seen[-1]))
        equal([item.version for item in seen], list(range(1, 10)), "The versions")
        equal(await t.item(), seen[-1], "The item that is read")


@PROMISES.add
async def a_retry_begins_anew(make_store: StoreMaker) -> None:
    """A move from a terminal status to pending clears error and end, and keeps attempts, token and usage."""
    async with trial(make_store, "partial", "failed", "cancelled") as t:
        for status in (ItemStatus.PARTIAL, ItemStatus.FAILED, ItemStatus.CANCELLED):
            ended = await t.bring_to(status, status)
            error = {ItemStatus.PARTIAL: MISSING, ItemStatus.FAILED: BROKEN}.get(status)
            equal((ended.error, ended.finished_at), (error, t.time), f"Error and end of a {status} item")
            again = await t.move(ended, ItemStatus.PENDING)
            equal((again.error, again.finished_at), (None, None), f"Error and end of a {status} item after the retry")
            kept = (ended.attempts, ended.token, ended.usage)
            equal((again.attempts, again.token, again.usage), kept, "Attempts, token and usage after the retry")
            await t.check_sums(f"after the retry of a {status} item")
            taken = await t.take(status)
            equal(
                (taken.attempts, taken.token), (ended.attempts + 1, ended.token + 1), "Attempts and token of the next"
            )


@PROMISES.add
async def a_move_to_pending_ends_the_claim(make_store: StoreMaker) -> None:
    """An item that is put back to pending belongs to nobody, and its former owner can do nothing with it."""
    async with trial(make_store, "loading", "analyzing", "saving") as t:
        for status in (ItemStatus.LOADING, ItemStatus.ANALYZING, ItemStatus.SAVING):
            claimed = await t.bring_to(status, status)
            back = await t.move(claimed, ItemStatus.PENDING)
            equal((back.owner, back.lease_until), (None, None), f"The claim on a {status} item that is put back")
            await _owns_nothing(t, claimed)
            equal(ids(await t.claim(owner="w2", item_ids=[status])), [str(status)], "What can be claimed at once")


@PROMISES.add
async def a_cancelled_item_is_taken_away(make_store: StoreMaker) -> None:
    """An item that is cancelled while in work has its end, and its former owner can do nothing with it."""
    async with trial(make_store, "a") as t:
        claimed = await t.take("a")
        t.clock.advance(3)
        ended = await t.move(claimed, ItemStatus.CANCELLED)
        equal((ended.owner, ended.lease_until, ended.finished_at), (None, None, t.time), "Owner, lease and end")
        await _owns_nothing(t, claimed)


@PROMISES.add
async def an_item_nobody_claimed_cannot_be_finished(make_store: StoreMaker) -> None:
    """The token of a claim that is over stays worthless when the item is set in work without a claim."""
    async with trial(make_store, "a", "b") as t:
        released = await t.take("a")
        await t.move(await t.release(released), ItemStatus.LOADING)
        await _owns_nothing(t, released)
        await _owns_nothing(t, await t.move(await t.item("b"), ItemStatus.LOADING))
        equal(ids(await t.claim(5)), ["a", "b"], "What can be claimed")


async def _owns_nothing(t: Trial, claimed: Item) -> None:
    await t.refuses_to_finish(claimed, "what was taken away")
    held = await t.store.renew("run", "w1", lease_seconds=LEASE_SECONDS)
    equal(held.held, frozenset(), "What the former owner holds")
