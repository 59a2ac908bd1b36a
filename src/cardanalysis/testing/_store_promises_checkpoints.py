"""Promises about checkpoints. A store that is no `cardanalysis.abc.CheckpointStore` does not make them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from attrs import define

from .._arguments import checkpoint_store
from .._errors import InvalidValue, ItemNotFound, LeaseLost, RunNotFound, StoreError
from .._models import Item, Usage
from .._status import ItemStatus
from ..abc import CheckpointStore
from ._store_promises_trial import (
    CANCELLED_AFTER,
    LEASE_SECONDS,
    MISSING,
    USAGE,
    NotOffered,
    Promises,
    StoreMaker,
    Trial,
    cards,
    check,
    equal,
    interrupted,
    raises,
    trial,
)

__all__ = ["PROMISES"]

PROMISES = Promises()


@define
class _Desk:
    """A trial whose store keeps checkpoints."""

    trial: Trial
    store: CheckpointStore

    async def save(
        self, item: Item, key: str = "1", *, usage: Usage = USAGE, token: int | None = None, **data: Any
    ) -> Item:
        token = item.token if token is None else token
        return await self.store.save_checkpoint(
            self.trial.run_id, item.id, token=token, key=key, data=data or {"part": key}, usage=usage
        )

    async def kept(self, item_id: str = "a") -> Mapping[str, Any]:
        return await self.store.checkpoints(self.trial.run_id, item_id)


@asynccontextmanager
async def desk(make_store: StoreMaker) -> AsyncGenerator[_Desk, None]:
    """Like `trial`, with two items and short ways to keep checkpoints.

    Raises:
        NotOffered: The store keeps none.
    """
    async with trial(make_store, "a", "b") as t:
        store = checkpoint_store(t.store)
        if store is None:
            raise NotOffered("The store is no cardanalysis.abc.CheckpointStore.")
        yield _Desk(t, store)


@PROMISES.add
async def checkpoints_are_kept_in_order(make_store: StoreMaker) -> None:
    """What is kept of an item in work is read back as it was given, in the order it was kept, and not as another's."""
    async with desk(make_store) as d:
        item = await d.trial.take()
        await d.trial.take("b")
        equal(await d.kept(), {}, "What is kept at first")
        await d.save(item, "2", cards=["ü", None, 1.5])
        await d.save(item, "10", cards=[])
        wanted: dict[str, Any] = {"2": {"cards": ["ü", None, 1.5]}, "10": {"cards": []}}
        equal(list((await d.kept()).items()), list(wanted.items()), "What is kept")
        equal(await d.kept("b"), {}, "What is kept of the other item")


@PROMISES.add
async def a_checkpoint_counts_what_it_cost(make_store: StoreMaker) -> None:
    """Usage, version and event change with it, in one go; status, claim, counters and outputs do not."""
    async with desk(make_store) as d:
        item = await d.trial.take()
        saved = await d.save(item)
        equal(saved, await d.trial.item(), "The item that is returned")
        equal(saved.version, item.version + 1, "The version")
        equal(saved.usage, USAGE, "The item's usage")
        equal((saved.status, saved.owner, saved.lease_until), (item.status, item.owner, item.lease_until), "The claim")
        now = await d.trial.snapshot()
        equal(now.run.usage, USAGE, "The run's usage")
        event = now.events[-1]
        equal((event.type, event.item_id, event.data["key"]), ("checkpoint", "a", "1"), "The event")
        equal(Usage(**event.data["usage"]), USAGE, "The usage that the event tells")
        check("part" not in event.data, "The event must not hold what is kept.")
        done = await d.trial.complete(saved)
        equal(done.usage, USAGE + USAGE, "The item's usage at the end")
        await d.trial.check_sums("at the end")


@PROMISES.add
async def a_key_is_kept_once(make_store: StoreMaker) -> None:
    """The same key again changes nothing, costs nothing, and returns the item."""
    async with desk(make_store) as d:
        saved = await d.save(await d.trial.take(), first=True)
        async with d.trial.unchanged("Keeping the same key again"):
            equal(await d.save(saved, first=False), saved, "The item")
        equal(await d.kept(), {"1": {"first": True}}, "What is kept")


@PROMISES.add
async def only_the_newest_claim_keeps_checkpoints(make_store: StoreMaker) -> None:
    """A claim that is over keeps nothing, also where nobody else has the item; a lease that ended is still good."""
    async with desk(make_store) as d:
        old = await d.trial.take()
        d.trial.clock.advance(LEASE_SECONDS + 1)
        await d.save(old, "late")
        new = await d.trial.take(owner="w2")
        await d.trial.refuses(LeaseLost, "keeping under an old claim", d.save, old)
        await d.trial.release(new)
        await d.trial.refuses(LeaseLost, "keeping without a claim", d.save, new)
        equal(list(await d.kept()), ["late"], "What is kept")


@PROMISES.add
async def checkpoints_outlive_everything_but_completion(make_store: StoreMaker) -> None:
    """They are there for the next attempt after a release, a failure and a partial result; completing drops them."""
    async with desk(make_store) as d:
        item = await d.save(await d.trial.take())
        await d.trial.release(item)
        item = await d.save(await d.trial.take(), "2")
        await d.trial.fail(item)
        await d.trial.move(await d.trial.item(), ItemStatus.PENDING)
        item = await d.save(await d.trial.take(), "3")
        await d.trial.complete(item, cards("x"), error=MISSING)
        await d.trial.move(await d.trial.item(), ItemStatus.PENDING)
        equal(list(await d.kept()), ["1", "2", "3"], "What is kept before the end")
        await d.trial.complete(await d.trial.take(), cards("x"))
        equal(await d.kept(), {}, "What is kept at the end")


@PROMISES.add
async def checkpoints_of_nothing_are_refused(make_store: StoreMaker) -> None:
    """An unknown run or item, an empty key, and what is no JSON change nothing."""
    async with desk(make_store) as d:
        item = await d.trial.take()
        save = partial(d.store.save_checkpoint, token=item.token, data={}, usage=USAGE)
        await raises(RunNotFound, "Keeping in no run", save, "none", "a", key="1")
        await raises(RunNotFound, "Reading in no run", d.store.checkpoints, "none", "a")
        await raises(ItemNotFound, "Reading of no item", d.store.checkpoints, d.trial.run_id, "none")
        await d.trial.refuses(ItemNotFound, "keeping of no item", save, d.trial.run_id, "none", key="1")
        await d.trial.refuses(InvalidValue, "an empty key", save, d.trial.run_id, "a", key="")
        error = await d.trial.refuses(StoreError, "what is no JSON", d.save, item, wrong={1})
        equal(error.code, "not_json", "The code")
        equal(await d.kept(), {}, "What is kept")


@PROMISES.add
async def what_is_kept_is_a_copy(make_store: StoreMaker) -> None:
    """Neither what was given nor what was read changes what is kept."""
    async with desk(make_store) as d:
        given: dict[str, Any] = {"cards": [1]}
        await d.save(await d.trial.take(), **given)
        given["cards"].append(2)
        (await d.kept())["1"]["cards"].append(3)
        equal(await d.kept(), {"1": {"cards": [1]}}, "What is kept")


@PROMISES.add
async def a_cancelled_checkpoint_is_kept_or_not(make_store: StoreMaker) -> None:
    """A call that is cancelled counts its usage if and only if it kept its checkpoint."""
    async with desk(make_store) as d:
        item = await d.trial.take()
        saved, kept = item, await d.kept()
        for number, after in enumerate(CANCELLED_AFTER):
            await interrupted(partial(d.save, item, str(number)), after=after)
            await d.trial.run()  # a store may finish what it began; what is asked next waits for that
            kept = await d.kept()
            saved = await d.trial.item()
            equal(saved.usage, sum((USAGE for _ in kept), Usage()), "The usage of what is kept")
        check(saved.version == item.version + len(kept), "The version must rise with each checkpoint.")
