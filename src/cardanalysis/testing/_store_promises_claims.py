"""Promises about claims, leases and fencing tokens."""

from __future__ import annotations

from functools import partial

from attrs import evolve

from .._errors import LeaseLost
from .._models import NewItem
from .._owner import is_dead, new_owner
from .._status import ACTIVE, ItemStatus, RunStatus
from ._store_promises_trial import (
    LEASE_SECONDS,
    USAGE,
    Promises,
    StoreMaker,
    Trial,
    all_at_once,
    at_once,
    cards,
    check,
    equal,
    ids,
    trial,
)

__all__ = ["PROMISES"]

PROMISES = Promises()


@PROMISES.add
async def a_claim_gives_items_to_an_owner(make_store: StoreMaker) -> None:
    """A claimed item is loading, held by its owner until the lease ends, with attempts and token one higher."""
    async with trial(make_store, "a") as t:
        before, last = await t.item(), (await t.run()).last_event
        t.clock.advance(5)
        claimed = await t.take("a", owner="w7")
        wanted = evolve(
            before,
            status=ItemStatus.LOADING,
            version=before.version + 1,
            attempts=1,
            token=before.token + 1,
            owner="w7",
            lease_until=t.clock.now + LEASE_SECONDS,
            started_at=t.time,
        )
        equal(claimed, wanted, "The claimed item")
        equal(await t.item(), claimed, "get_item after the claim")
        equal([event.item_id for event in await t.events(last)], ["a"], "The events of the claim")
        await t.check_sums("after a claim")


@PROMISES.add
async def items_are_claimed_in_order(make_store: StoreMaker) -> None:
    """Claims give at most `limit` items, in the order of their positions and then of their ids."""
    async with trial(make_store) as t:
        places = {"e": 0, "d": 2, "b": 1, "a": 1, "c": 1}
        await t.store.add_items("run", [NewItem(id=each, name=each, position=n) for each, n in places.items()])
        equal(ids(await t.claim(2)), ["e", "a"], "The first two")
        equal(ids(await t.claim()), ["b"], "The next one")
        equal(ids(await t.claim(10)), ["c", "d"], "The rest")
        async with t.unchanged("A claim where there is nothing more"):
            equal(await t.claim(10), [], "What is claimed of nothing")
        await t.check_sums("after claiming everything")


@PROMISES.add
async def only_named_items_are_claimed(make_store: StoreMaker) -> None:
    """With `item_ids` only these are claimed, each once; those that cannot be claimed are passed over."""
    async with trial(make_store, "a", "b", "c", "d") as t:
        await t.take("b", owner="w2")
        equal(ids(await t.claim(10, item_ids=["d", "b", "nothing", "a", "a", "d"])), ["a", "d"], "What is claimed")
        now = await t.check_sums("after a claim of named items")
        equal([item.version for item in now.items], [2, 2, 1, 2], "The versions")
        async with t.unchanged("A claim of no named items"):
            equal(await t.claim(10, item_ids=[]), [], "What is claimed of nothing")
        equal(ids(await t.claim(1, item_ids={"c"})), ["c"], "What is claimed from a set")


@PROMISES.add
async def a_limit_of_none_claims_none(make_store: StoreMaker) -> None:
    """A claim of at most 0 items gives none and changes nothing."""
    async with trial(make_store, "a") as t, t.unchanged("A claim of at most 0"):
        equal(await t.claim(0), [], "What is claimed")


@PROMISES.add
async def finished_items_cannot_be_claimed(make_store: StoreMaker) -> None:
    """Only pending items, and items in work whose lease ended, can be claimed."""
    async with trial(make_store, *ItemStatus) as t:
        for status in ItemStatus:
            await t.bring_to(status, status)
        equal(ids(await t.claim(20, owner="w2")), ["pending"], "What can be claimed before the leases end")
        t.clock.advance(LEASE_SECONDS + 1)
        wanted = [str(status) for status in ItemStatus if not status.is_terminal]
        equal(ids(await t.claim(20, owner="w3")), wanted, "What can be claimed when the leases have ended")
        await t.check_sums("after claims of items in every status")


@PROMISES.add
async def a_lease_holds_until_its_end(make_store: StoreMaker) -> None:
    """An item in work can be claimed when its lease has ended, and not at the moment of the end."""
    async with trial(make_store, *ACTIVE) as t:
        for status in ACTIVE:
            await t.bring_to(status, status)
        t.clock.advance(LEASE_SECONDS)
        equal(await t.claim(5, owner="w2"), [], "What can be claimed at the end of the lease")
        t.clock.advance(1)
        claimed = await t.claim(5, owner="w2")
        equal(ids(claimed), [str(status) for status in ACTIVE], "What can be claimed after the lease")
        equal({item.attempts for item in claimed}, {2}, "The attempts")
        equal({item.status for item in claimed}, {ItemStatus.LOADING}, "The statuses")


@PROMISES.add
async def the_items_of_a_dead_owner_can_be_claimed(make_store: StoreMaker) -> None:
    """An item whose owner is known to be dead can be claimed before its lease ends; that of a living one cannot."""
    async with trial(make_store, "a", "b") as t:
        alive = new_owner()
        parts = alive.split("|")
        dead = "|".join([*parts[:4], "1", *parts[5:]])  # a process of that number which began at another time
        if not is_dead(dead):
            return  # on this platform nobody is known to be dead
        await t.take("a", owner=dead)
        await t.take("b", owner=alive)
        equal(ids(await t.claim(5)), ["a"], "What can be claimed")


@PROMISES.add
async def tokens_rise_and_never_fall(make_store: StoreMaker) -> None:
    """Every claim has a higher token than all before, also after release, retry and the end of a lease."""
    async with trial(make_store, "a") as t:
        tokens = [(await t.take("a")).token]
        await t.release(await t.item())
        tokens.append((await t.take("a", owner="w2")).token)
        await t.move(await t.fail(await t.item()), ItemStatus.PENDING)
        tokens.append((await t.take("a")).token)
        await t.move(await t.item(), ItemStatus.PENDING)
        tokens.append((await t.take("a")).token)
        t.clock.advance(LEASE_SECONDS + 1)
        tokens.append((await t.take("a", owner="w2")).token)
        equal(tokens, sorted(set(tokens)), "The tokens")
        check(tokens[0] > 0, "The first token must be above 0.")


@PROMISES.add
async def a_release_hands_back(make_store: StoreMaker) -> None:
    """A released item is pending, belongs to nobody, keeps its token, and the attempt does not count."""
    async with trial(make_store, "loading", "analyzing", "saving") as t:
        for status in ACTIVE:
            claimed = await t.bring_to(status, status)
            last = (await t.run()).last_event
            back = await t.release(claimed)
            equal((back.status, back.owner, back.lease_until), (ItemStatus.PENDING, None, None), "The released item")
            equal((back.attempts, back.token), (0, claimed.token), "Attempts and token of the released item")
            equal(await t.item(status), back, "get_item after the release")
            equal([event.item_id for event in await t.events(last)], [str(status)], "The events of the release")
        await t.check_sums("after releases")
        equal(len(await t.claim(3, owner="w2")), 3, "What can be claimed after the releases")


@PROMISES.add
async def a_newer_claim_wins(make_store: StoreMaker) -> None:
    """With a token that is not the newest, complete, fail and release raise LeaseLost, and nothing is written."""
    async with trial(make_store, "a") as t:
        old = await t.take("a")
        t.clock.advance(LEASE_SECONDS + 1)
        new = await t.take("a", owner="w2")
        for token in (old.token, new.token + 1, 0):
            await t.refuses_to_finish(evolve(new, token=token), "under a claim that is not the newest")
        done = await t.complete(new, cards("in time"))
        equal(done.status, ItemStatus.COMPLETED, "What the newest claim makes")
        await t.refuses_to_finish(old, "what the newest claim completed")


@PROMISES.add
async def what_was_handed_back_cannot_be_finished(make_store: StoreMaker) -> None:
    """After a release, complete, fail and a second release raise LeaseLost, and nothing is written."""
    async with trial(make_store, "a") as t:
        claimed = await t.take("a")
        await t.release(claimed)
        await t.refuses_to_finish(claimed, "what was handed back")


@PROMISES.add
async def an_ended_lease_is_good_until_somebody_claims(make_store: StoreMaker) -> None:
    """After its lease ended an unclaimed item can still be completed, failed and released."""
    async with trial(make_store, "a", "b", "c") as t:
        a, b, c = await t.claim(3)
        t.clock.advance(10 * LEASE_SECONDS)
        equal((await t.complete(a, cards("x"))).status, ItemStatus.COMPLETED, "The completed item")
        equal((await t.fail(b)).status, ItemStatus.FAILED, "The failed item")
        equal((await t.release(c)).status, ItemStatus.PENDING, "The released item")
        await t.check_sums("after late outcomes")


@PROMISES.add
async def many_that_claim_never_share_an_item(make_store: StoreMaker) -> None:
    """Many tasks that claim at once get every item exactly once."""
    async with trial(make_store) as t:
        names = [f"i{number:03}" for number in range(60)]
        await t.add(*names)
        calls = [partial(t.claim, limit, owner=f"w{n}") for n, limit in enumerate([1, 2, 3, 4, 5] * 5)]
        got = await all_at_once(*calls)
        equal(sorted(item.id for items in got for item in items), names, "The claimed items")
        for n, items in enumerate(got):
            equal({item.owner for item in items} - {f"w{n}"}, set(), "Owners of what another claimed")
        now = await t.check_sums("after claims at once")
        equal({(item.attempts, item.token) for item in now.items}, {(1, 1)}, "Attempts and tokens")


@PROMISES.add
async def one_of_many_takes_over(make_store: StoreMaker) -> None:
    """When a lease has ended, one of many that claim at once gets the item."""
    async with trial(make_store, "a") as t:
        await t.take("a")
        t.clock.advance(LEASE_SECONDS + 1)
        got = await all_at_once(*[partial(t.claim, owner=f"n{n}") for n in range(10)])
        equal(len([items for items in got if items]), 1, "Claims that got the item")
        equal((await t.item()).attempts, 2, "The attempts")


@PROMISES.add
async def one_claim_has_one_outcome(make_store: StoreMaker) -> None:
    """Of completion, failure and release of one claim at once exactly one happens."""
    async with trial(make_store, "a") as t:
        claimed = await t.take("a")
        last = (await t.run()).last_event
        back = partial(t.release, claimed, usage=USAGE)
        results = await at_once(*[partial(t.complete, claimed, cards("x")), partial(t.fail, claimed), back] * 3)
        wrong = [each for each in results if isinstance(each, Exception) and not isinstance(each, LeaseLost)]
        equal(wrong, [], "Errors other than LeaseLost")
        equal(len(await t.events(last)), 1, "Events")
        equal((await t.run()).usage, USAGE, "The run's usage, of one outcome")
        await t.check_sums("after a race for the outcome")


@PROMISES.add
async def a_renewal_extends_what_is_held(make_store: StoreMaker) -> None:
    """A renewal extends every lease of the owner, tells which, and changes nothing else but the heartbeat."""
    async with trial(make_store, "a", "b", "c") as t:
        mine, theirs = await t.claim(2), await t.claim(1, owner="w2")
        t.clock.advance(50)
        before = await t.snapshot()
        renewal = await t.store.renew("run", "w1", lease_seconds=100)
        equal((renewal.held, renewal.stop), (frozenset({"a", "b"}), False), "The renewal")
        after = await t.snapshot()
        equal(after.events, before.events, "The log after a renewal")
        equal(after.run, evolve(before.run, heartbeat_at=t.time), "The run after a renewal")
        extended = [evolve(item, lease_until=t.clock.now + 100) for item in mine]
        equal(after.items, [*extended, *theirs], "The items after a renewal")
        t.clock.advance(100)
        equal(ids(await t.claim(5, owner="w3")), ["c"], "What can be claimed at the end of the new lease")
        t.clock.advance(1)
        equal(ids(await t.claim(5, owner="w3")), ["a", "b"], "What can be claimed after the new lease")


@PROMISES.add
async def a_renewal_may_shorten_a_lease(make_store: StoreMaker) -> None:
    """A renewal sets how long items are held from now on, also where that is less than was left."""
    async with trial(make_store, "a") as t:
        await t.take("a")
        t.clock.advance(10)
        equal((await t.store.renew("run", "w1", lease_seconds=5)).held, frozenset({"a"}), "What is held")
        equal((await t.item()).lease_until, t.clock.now + 5, "The end of the lease")
        t.clock.advance(5.5)
        equal(ids(await t.claim(owner="w2")), ["a"], "What can be claimed after the shorter lease")


@PROMISES.add
async def a_renewal_is_a_heartbeat(make_store: StoreMaker) -> None:
    """A renewal records the heartbeat, also by somebody who holds nothing, without a new version or event."""
    async with trial(make_store, "a") as t:
        await t.set_run(RunStatus.RUNNING)
        for owner in ("w1", "nobody"):
            t.clock.advance(10)
            before = await t.snapshot()
            await t.store.renew("run", owner, lease_seconds=LEASE_SECONDS)
            after = await t.snapshot()
            equal(after.run, evolve(before.run, heartbeat_at=t.time), f"The run after a renewal by {owner}")
            equal((after.items, after.events), (before.items, before.events), f"The rest after a renewal by {owner}")


@PROMISES.add
async def a_claim_that_gives_something_is_a_heartbeat(make_store: StoreMaker) -> None:
    """A claim records the heartbeat when it gives an item, and not when there is none to give."""
    async with trial(make_store, "a") as t:
        t.clock.advance(10)
        claimed = t.time
        await t.take("a")
        equal((await t.run()).heartbeat_at, claimed, "The heartbeat after a claim")
        t.clock.advance(10)
        async with t.unchanged("A claim that gives nothing"):
            equal(await t.claim(5, owner="w2"), [], "What is claimed")


@PROMISES.add
async def what_is_no_sign_of_life_is_no_heartbeat(make_store: StoreMaker) -> None:
    """Only a start, a claim and a renewal are heartbeats: what others may do to a run is none."""
    async with trial(make_store, "a", "b", "c") as t:
        done, failed, released = await t.claim(3)
        alive = t.time
        t.clock.advance(10)
        await t.add("a", "b", "c", "d")
        await t.move(await t.item("d"), ItemStatus.SKIPPED)
        await t.complete(done, cards("x"))
        await t.fail(failed)
        await t.release(released)
        await t.store.increment("run", "n")
        await t.store.append_event("run", "told")
        await t.create()
        equal((await t.run()).heartbeat_at, alive, "The heartbeat")


@PROMISES.add
async def a_renewal_brings_nothing_back(make_store: StoreMaker) -> None:
    """A renewal leaves out what the owner lost, handed back or finished, and does not touch it."""
    async with trial(make_store, "lost", "released", "completed", "failed", "retried", "kept") as t:
        await _lose_all_but_one(t)
        before = await t.snapshot()
        renewal = await t.store.renew("run", "w1", lease_seconds=500)
        equal(renewal.held, frozenset({"kept"}), "What the owner still holds")
        after = await t.snapshot()
        equal(after.items[:-1], before.items[:-1], "What the owner does not hold")
        async with t.unchanged("A renewal by somebody who holds nothing"):
            renewal = await t.store.renew("run", "nobody", lease_seconds=500)
            equal(renewal.held, frozenset(), "What somebody else holds")


async def _lose_all_but_one(t: Trial) -> None:
    lost, released, completed, failed, retried, _ = await t.claim(6)
    await t.release(released)
    await t.complete(completed)
    await t.fail(failed)
    await t.move(await t.fail(retried), ItemStatus.PENDING)
    t.clock.advance(LEASE_SECONDS + 1)
    await t.take(lost.id, owner="w2")


@PROMISES.add
async def an_ended_lease_can_be_renewed_until_somebody_claims(make_store: StoreMaker) -> None:
    """A lease that ended is still held, and can be extended, until somebody else claims the item."""
    async with trial(make_store, "a") as t:
        await t.take("a")
        t.clock.advance(LEASE_SECONDS + 1)
        renewal = await t.store.renew("run", "w1", lease_seconds=LEASE_SECONDS)
        equal(renewal.held, frozenset({"a"}), "What the owner holds")
        equal(await t.claim(owner="w2"), [], "What can be claimed after the renewal")


@PROMISES.add
async def a_renewal_tells_that_the_run_was_cancelled(make_store: StoreMaker) -> None:
    """`stop` is set while the run is cancelled, and in no other status."""
    async with trial(make_store) as t:
        for status in RunStatus:
            one = t.on(status)
            await one.create()
            await one.add("a")
            await one.take("a")
            await one.bring_run_to(status)
            renewal = await t.store.renew(status, "w1", lease_seconds=LEASE_SECONDS)
            wanted = (frozenset({"a"}), status is RunStatus.CANCELLED)
            equal((renewal.held, renewal.stop), wanted, f"The renewal in a {status} run")
        await t.on(RunStatus.CANCELLED).set_run(RunStatus.RUNNING)
        renewal = await t.store.renew(RunStatus.CANCELLED, "w1", lease_seconds=LEASE_SECONDS)
        equal(renewal.stop, False, "`stop` when the run was resumed")
