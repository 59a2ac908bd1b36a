"""Promises about outcomes, usage, counters and the log."""

from __future__ import annotations

from functools import partial
from typing import Any

from anyio import Lock
from attrs import asdict, evolve

from .._errors import InvalidValue, LeaseLost
from .._models import Item, NewOutput, Usage
from .._status import ItemStatus, RunStatus
from ._store_promises_trial import (
    BROKEN,
    LEASE_SECONDS,
    MISSING,
    USAGE,
    Promises,
    StoreMaker,
    Trial,
    all_at_once,
    cards,
    equal,
    pick,
    repeated,
    titles,
    trial,
)

__all__ = ["PROMISES"]

PROMISES = Promises()


@PROMISES.add
async def a_completion_records_everything(make_store: StoreMaker) -> None:
    """complete_item writes outputs, status, counters, usage and one event, and ends the claim."""
    async with trial(make_store, "a", "b") as t:
        claimed = await t.take("a")
        last = (await t.run()).last_event
        t.clock.advance(5)
        outputs = [*cards("x", "y"), NewOutput(kind="notes", data={"n": 1})]
        done = await t.store.complete_item(
            "run", "a", token=claimed.token, outputs=outputs, usage=USAGE, data={"pages": 3}
        )
        equal(done, evolve(_ended(t, claimed), status=ItemStatus.COMPLETED), "The completed item")
        now = await t.check_sums("after a completion")
        equal(now.items[0], done, "The item that is read")
        stored = [(o.item_id, o.position, o.index, o.kind, o.data) for o in now.outputs]
        equal(stored, [("a", 0, n, o.kind, o.data) for n, o in enumerate(outputs)], "The outputs")
        events = now.events[last:]
        equal([(event.item_id, event.time) for event in events], [("a", t.time)], "The events of the completion")
        equal(events[0].data.get("pages"), 3, "The data that was given for the event")


def _ended(t: Trial, claimed: Item) -> Item:
    """A claimed item as its outcome leaves it, but for status and error."""
    version = claimed.version + 1
    return evolve(claimed, version=version, owner=None, lease_until=None, usage=USAGE, finished_at=t.time)


@PROMISES.add
async def a_completion_may_hold_nothing(make_store: StoreMaker) -> None:
    """An item without outputs is completed all the same, in every status of work."""
    async with trial(make_store, "loading", "analyzing", "saving") as t:
        for status in (ItemStatus.LOADING, ItemStatus.ANALYZING, ItemStatus.SAVING):
            done = await t.complete(await t.bring_to(status, status))
            equal(done.status, ItemStatus.COMPLETED, f"The status after {status}")
        equal(await t.store.outputs("run"), [], "The outputs")
        await t.check_sums("after empty completions")


@PROMISES.add
async def what_is_missing_makes_an_item_partial(make_store: StoreMaker) -> None:
    """With an error complete_item keeps the outputs and makes the item partial."""
    async with trial(make_store, "a") as t:
        done = await t.complete(await t.take("a"), cards("x"), error=MISSING)
        equal((done.status, done.error), (ItemStatus.PARTIAL, MISSING), "Status and error")
        equal(await t.item(), done, "The item that is read")
        now = await t.check_sums("after a partial completion")
        equal(titles(now.outputs), ["x"], "The outputs")


@PROMISES.add
async def a_failure_records_everything(make_store: StoreMaker) -> None:
    """fail_item writes status, error, counters, usage and one event, and ends the claim."""
    async with trial(make_store, "a") as t:
        claimed = await t.take("a")
        last = (await t.run()).last_event
        t.clock.advance(5)
        failed = await t.fail(claimed)
        equal(failed, evolve(_ended(t, claimed), status=ItemStatus.FAILED, error=BROKEN), "The failed item")
        now = await t.check_sums("after a failure")
        equal((now.items, now.outputs), ([failed], []), "Items and outputs that are read")
        equal([event.item_id for event in now.events[last:]], ["a"], "The events of the failure")


@PROMISES.add
async def a_failed_retry_keeps_what_there_was(make_store: StoreMaker) -> None:
    """An item that keeps outputs of an earlier attempt becomes partial when it fails, and failed where it has none."""
    async with trial(make_store, "a", "b") as t:
        await t.complete(await t.take("a"), [*cards("x", "y"), *cards("n", kind="notes")], error=MISSING)
        await t.complete(await t.take("b"), error=MISSING)
        for each in ("a", "b"):
            await t.move(await t.item(each), ItemStatus.PENDING)
        before = await t.check_sums("before the retry")
        ended = {each: await t.fail(await t.take(each)) for each in ("a", "b")}
        equal(ended["a"].status, ItemStatus.PARTIAL, "The status of an item that keeps outputs")
        equal(ended["b"].status, ItemStatus.FAILED, "The status of an item that has none")
        equal({item.error for item in ended.values()}, {BROKEN}, "The errors")
        now = await t.check_sums("after the retry")
        equal(list(now.items), list(ended.values()), "The items that are read")
        equal(now.outputs, before.outputs, "The outputs")
        async with t.unchanged("A second outcome"):
            equal(await t.fail(ended["a"]), ended["a"], "What the same failure returns")
        await t.move(await t.item("a"), ItemStatus.PENDING)
        await t.complete(await t.take("a"), cards("z"))
        equal(titles((await t.check_sums("after the next retry")).outputs), ["z"], "The outputs of the next retry")


@PROMISES.add
async def an_outcome_is_recorded_once(make_store: StoreMaker) -> None:
    """A second outcome under the same token changes nothing and returns the item as the first left it."""
    async with trial(make_store, "completed", "partial", "failed") as t:
        for status in (ItemStatus.COMPLETED, ItemStatus.PARTIAL, ItemStatus.FAILED):
            ended = await t.bring_to(status, status)
            t.clock.advance(5)
            async with t.unchanged(f"A second outcome of a {status} item"):
                other = cards("p", "q")
                equal(await t.complete(ended, cards("x")), ended, "What the same completion returns")
                equal(await t.complete(ended, other, error=BROKEN), ended, "What another completion returns")
                equal(await t.fail(ended, usage=Usage(requests=9)), ended, "What a failure returns")


@PROMISES.add
async def repeated_outcomes_at_once_are_recorded_once(make_store: StoreMaker) -> None:
    """Many complete_item calls with one token at once record one result."""
    async with trial(make_store, "a") as t:
        claimed = await t.take("a")
        last = (await t.run()).last_event
        results = await all_at_once(*repeated(t.complete, 10, claimed, cards("x", "y")))
        equal([result == results[0] for result in results], [True] * 10, "Whether all returned the same")
        now = await t.check_sums("after repeated completions")
        equal((titles(now.outputs), len(now.events)), (["x", "y"], last + 1), "Outputs and events")


@PROMISES.add
async def a_late_repeat_is_refused(make_store: StoreMaker) -> None:
    """A repeated outcome raises LeaseLost once the item was put back or claimed again, and nothing is written."""
    async with trial(make_store, "a") as t:
        first = await t.take("a")
        await t.move(await t.complete(first, cards("x"), error=MISSING), ItemStatus.PENDING)
        await t.refuses_to_finish(first, "again after the retry")
        second = await t.take("a")
        await t.refuses_to_finish(first, "again after the next claim")
        await t.complete(second, cards("y"))
        await t.refuses_to_finish(first, "again after the next outcome")


@PROMISES.add
async def outputs_of_a_retry_replace_the_earlier_ones(make_store: StoreMaker) -> None:
    """The outputs of a later attempt replace those of the earlier one, with right counters for every kind."""
    async with trial(make_store, "a", "b") as t:
        await t.complete(await t.take("b"), cards("other"))
        await t.complete(await t.take("a"), [*cards("1", "2", "3"), *cards("n", kind="notes")], error=MISSING)
        await t.check_sums("after the first attempt")
        await t.move(await t.item("a"), ItemStatus.PENDING)
        await t.check_sums("before the second attempt")
        await t.complete(await t.take("a"), [*cards("4"), *cards("e", "f", kind="extras")])
        now = await t.check_sums("after the second attempt")
        equal(titles(now.outputs), ["4", "e", "f", "other"], "The outputs")
        counted = {kind: now.run.counters[kind] for kind in ("cards", "notes", "extras")}
        equal(counted, {"cards": 2, "notes": 0, "extras": 2}, "The counters")


@PROMISES.add
async def usage_adds_up(make_store: StoreMaker) -> None:
    """The usage of every attempt is added to the item's and to the run's, exactly."""
    async with trial(make_store, "a", "b") as t:
        await t.move(await t.fail(await t.take("a"), usage=Usage(requests=2, cost=0.1)), ItemStatus.PENDING)
        done = await t.complete(await t.take("a"), usage=Usage(requests=1, input_tokens=7, cost=0.2))
        equal(done.usage, Usage(requests=3, input_tokens=7, cost=0.3), "The item's usage")
        await t.complete(await t.take("b"), usage=USAGE)
        now = await t.check_sums("after three attempts")
        wanted = Usage(
            requests=4, input_tokens=107, output_tokens=10, cache_read_tokens=5, cache_write_tokens=2, cost=0.4
        )
        equal(now.run.usage, wanted, "The run's usage")


@PROMISES.add
async def many_small_costs_add_up(make_store: StoreMaker) -> None:
    """Costs that come at once add up exactly, whatever their order."""
    async with trial(make_store) as t:
        await t.add(*[f"i{number:02}" for number in range(30)])
        claimed = await t.claim(30)
        usages = [Usage(requests=1, cost=0.000_001 * (n + 1)) for n in range(30)]
        ways = (t.complete, t.fail, t.release)
        await all_at_once(*[partial(ways[n % 3], item, usage=usages[n]) for n, item in enumerate(claimed)])
        equal((await t.run()).usage, Usage(requests=30, cost=0.000_465), "The run's usage")


@PROMISES.add
async def an_unknown_cost_stays_unknown(make_store: StoreMaker) -> None:
    """Once the cost of an attempt is unknown, so is that of the item and of the run."""
    async with trial(make_store, "a", "b") as t:
        await t.move(await t.fail(await t.take("a"), usage=Usage(cost=None)), ItemStatus.PENDING)
        done = await t.complete(await t.take("a"), usage=Usage(requests=1, cost=0.5))
        equal(done.usage, Usage(requests=1, cost=None), "The item's usage")
        await t.complete(await t.take("b"), usage=Usage(requests=1, cost=0.5))
        now = await t.check_sums("after an unknown cost")
        equal(now.run.usage, Usage(requests=2, cost=None), "The run's usage")
        equal(now.items[1].usage.cost, 0.5, "The cost of the other item")


@PROMISES.add
async def what_a_release_had_cost_is_kept(make_store: StoreMaker) -> None:
    """What an attempt had cost when it was handed back is added to the item's and the run's usage, every time."""
    async with trial(make_store, "a", "b") as t:
        await t.complete(await t.take("b"), usage=Usage(requests=1, cost=0.7))
        total = Usage()
        for spent in (Usage(requests=1, input_tokens=7, cost=0.1), Usage(output_tokens=3, cost=0.2), USAGE):
            claimed, last, total = await t.take("a"), (await t.run()).last_event, total + spent
            back = await t.release(claimed, usage=spent)
            equal((back.status, back.attempts, back.usage), (ItemStatus.PENDING, 0, total), "The released item")
            equal(await t.item(), back, "get_item after the release")
            equal([event.data.get("usage") for event in await t.events(last)], [asdict(spent)], "What the log tells")
            now = await t.check_sums("after a release")
            equal(now.run.usage, total + Usage(requests=1, cost=0.7), "The run's usage")
        done = await t.complete(await t.take("a"), usage=Usage(requests=1, cost=0.5))
        equal(done.usage, total + Usage(requests=1, cost=0.5), "The usage of the item when it is done")
        await t.check_sums("after the completion")


@PROMISES.add
async def a_release_that_cost_nothing_adds_nothing(make_store: StoreMaker) -> None:
    """A release without a usage, or with one of nothing, changes no usage, and its event tells none."""
    async with trial(make_store, "a") as t:
        await t.release(await t.take("a"), usage=USAGE)
        for nothing in (None, Usage()):
            claimed, last = await t.take("a"), (await t.run()).last_event
            equal((await t.release(claimed, usage=nothing)).usage, USAGE, "The item's usage")
            equal(["usage" in event.data for event in await t.events(last)], [False], "Whether the log tells a usage")
        claimed = await t.take("a")
        equal((await t.store.release("run", "a", token=claimed.token)).usage, USAGE, "The usage where none is named")
        equal((await t.check_sums("after releases")).run.usage, USAGE, "The run's usage")


@PROMISES.add
async def an_unknown_cost_of_a_release_stays_unknown(make_store: StoreMaker) -> None:
    """Once an attempt was handed back whose cost is unknown, so is that of the item and of the run."""
    async with trial(make_store, "a", "b") as t:
        back = await t.release(await t.take("a"), usage=Usage(cost=None))
        equal(back.usage, Usage(cost=None), "The usage of the released item")
        await t.release(await t.take("a"), usage=Usage(requests=1, cost=0.5))
        await t.release(await t.take("b"), usage=Usage(requests=1, cost=0.5))
        now = await t.check_sums("after an unknown cost")
        equal([item.usage.cost for item in now.items], [None, 0.5], "The costs of the items")
        equal(now.run.usage, Usage(requests=2, cost=None), "The run's usage")


@PROMISES.add
async def what_is_over_costs_nothing_more(make_store: StoreMaker) -> None:
    """A release with a usage under a claim that is over raises LeaseLost, and adds nothing to any usage."""
    async with trial(make_store, "a") as t:
        first = await t.take("a")
        await t.release(first, usage=USAGE)
        await t.refuses(LeaseLost, "A second release", t.release, first, usage=USAGE)
        second = await t.take("a")
        await t.refuses(LeaseLost, "A release under the old claim", t.release, first, usage=USAGE)
        await t.complete(second, usage=USAGE)
        await t.refuses(LeaseLost, "A release after the outcome", t.release, second, usage=USAGE)
        equal((await t.check_sums("after late releases")).run.usage, USAGE + USAGE, "The run's usage")


@PROMISES.add
async def increments_count(make_store: StoreMaker) -> None:
    """An increment returns the new value; a new counter begins at 0; it may go down, and below 0."""
    async with trial(make_store) as t:
        got = [await t.store.increment("run", "seen", by) for by in (5, -7, 0)]
        got.append(await t.store.increment("run", "seen"))
        equal(got, [5, -2, -2, -1], "The returned values")
        equal(await t.store.increment("run", "Other name: 'ü'"), 1, "Another counter")
        counters = (await t.run()).counters
        equal((counters["seen"], counters["Other name: 'ü'"], counters["none"]), (-1, 1, 0), "The counters")


@PROMISES.add
async def the_stores_own_counters_are_its_own(make_store: StoreMaker) -> None:
    """An increment of `total`, or of a status of items, raises InvalidValue and changes nothing."""
    async with trial(make_store, "a") as t:
        for name in ("total", *map(str, ItemStatus)):
            await t.refuses(InvalidValue, f"An increment of {name}", t.store.increment, "run", name)
        equal(await t.store.increment("run", "Total"), 1, "A counter of another name")


@PROMISES.add
async def no_increment_is_lost(make_store: StoreMaker) -> None:
    """Increments of many tasks at once all count, and no two return the same value."""
    async with trial(make_store) as t:
        values = await all_at_once(*repeated(t.store.increment, 200, "run", "n"))
        equal(sorted(values), list(range(1, 201)), "The returned values")
        equal((await t.run()).counters["n"], 200, "The counter")


@PROMISES.add
async def counters_are_right_after_every_step(make_store: StoreMaker) -> None:
    """Counters, usage and sequence numbers equal a recount after every step of an item's life."""
    async with trial(make_store, "a", "b", "c") as t:
        await t.check_sums("at the beginning")
        for n, status in enumerate(ItemStatus):
            await t.add("a", "b", "c", *(f"new{each}" for each in range(n + 1)))
            await t.check_sums(f"after adding new{n}")
            await t.bring_to(f"new{n}", status)
            await t.check_sums(f"when new{n} is {status}")
        await t.release(await t.take("a"))
        await t.check_sums("after a release")
        await t.release(await t.take("a"), usage=USAGE)
        await t.check_sums("after a release that had cost something")
        await t.complete(await t.take("a"), cards("x"), error=MISSING)
        await t.check_sums("after a partial completion")
        await t.move(await t.item("a"), ItemStatus.PENDING)
        await t.check_sums("after a retry")
        t.clock.advance(LEASE_SECONDS + 1)
        await t.claim(20, owner="w2")
        await t.check_sums("after a takeover")


@PROMISES.add
async def a_reader_sees_whole_changes(make_store: StoreMaker) -> None:
    """While many write, every run that is read has counters and an event number that fit together."""
    async with trial(make_store) as t:
        await t.add(*[f"i{number:02}" for number in range(30)])
        claimed = await t.claim(30)
        first = (await t.run()).last_event
        writes = [partial(_complete_and_look, t, n, first) for n in range(30)]
        equal(len(claimed), len(await all_at_once(*writes)), "Completions")
        await t.check_sums("after writes and reads at once")


async def _complete_and_look(t: Trial, number: int, first: int) -> None:
    await t.complete(await t.item(f"i{number:02}"), cards("x", "y"))
    run = await t.run()
    done = run.last_event - first
    wanted = {"cards": 2 * done, "completed": done, "loading": 30 - done, "total": 30}
    equal(pick(run.counters, wanted), wanted, f"The counters after {done} completions")
    equal(run.usage.requests, done, f"Requests after {done} completions")


@PROMISES.add
async def every_status_change_is_one_event(make_store: StoreMaker) -> None:
    """Each status change of the run or an item appends one event, at the clock's time and about that item."""
    async with trial(make_store, "a") as t:
        await t.set_run(RunStatus.RUNNING)
        t.clock.advance(1)
        await t.take("a")
        await t.move(await t.item(), ItemStatus.ANALYZING)
        await t.release(await t.item())
        t.clock.advance(1)
        await t.fail(await t.take("a"))
        events = (await t.check_sums("at the end")).events[2:]
        equal([event.item_id for event in events], [None, *["a"] * 5], "The items of the events")
        ages = [t.clock.now - event.time.timestamp() for event in events]
        equal(ages, [2, 1, 1, 1, 0, 0], "The seconds since the events")


@PROMISES.add
async def events_can_be_appended(make_store: StoreMaker) -> None:
    """append_event returns the event as it is read, with the next number, and changes no status."""
    async with trial(make_store, "a") as t:
        before = await t.snapshot()
        data = {"reason": "same_content", "of": ["b", 1, None]}
        told = await t.store.append_event("run", "item_skipped", item_id="a", data=data)
        plain = await t.store.append_event("run", "told")
        equal((told.run_id, told.type, told.item_id, told.data), ("run", "item_skipped", "a", data), "The event")
        equal((plain.item_id, plain.data, plain.time), (None, {}, t.time), "An event with nothing more to say")
        last = before.run.last_event
        equal([told.sequence, plain.sequence], [last + 1, last + 2], "The numbers")
        now = await t.check_sums("after appending")
        equal(now.events, [*before.events, told, plain], "The log")
        equal((now.items, now.run.status), (before.items, before.run.status), "Items and status")


@PROMISES.add
async def a_reader_of_the_log_misses_nothing(make_store: StoreMaker) -> None:
    """Who has seen event n has seen all before, also while many write: numbers have no gaps and stay."""
    async with trial(make_store) as t:
        seen: list[int] = []

        one_reader = Lock()

        async def write(number: int) -> None:
            for _ in range(5):
                await t.store.append_event("run", f"told by {number}")
                async with one_reader:
                    seen.extend(event.sequence for event in await t.events(len(seen)))

        await all_at_once(*[partial(write, number) for number in range(8)])
        equal(seen, list(range(1, (await t.run()).last_event + 1)), "The numbers that the reader saw")


@PROMISES.add
async def events_tell_what_happened(make_store: StoreMaker) -> None:
    """The events of a run and its items tell each move, the attempt, the error, the cost and the number of results."""
    async with trial(make_store) as t:
        await t.add("a")
        await t.set_run(RunStatus.RUNNING)
        await t.release(await t.take("a"))
        await t.release(await t.take("a"), usage=USAGE)
        await t.fail(await t.take("a"))
        await t.move(await t.item(), ItemStatus.PENDING)
        item = await t.move(await t.take("a"), ItemStatus.ANALYZING)
        await t.store.complete_item(
            "run", "a", token=item.token, outputs=cards("x", "y"), usage=Usage(), data={"notes": ["n"]}
        )
        await t.store.update_run("run", RunStatus.FAILED, version=(await t.run()).version, error="Why.")
        await t.store.create_run("run", kind="test", fingerprint="f2", asked={}, accept_change=True)
        cost, free = asdict(USAGE), asdict(Usage())
        moves: list[tuple[str, str, int, dict[str, Any]]] = [
            ("pending", "loading", 1, {}),
            ("loading", "pending", 1, {}),
            ("pending", "loading", 1, {}),
            ("loading", "pending", 1, {"usage": cost}),
            ("pending", "loading", 1, {}),
            ("loading", "failed", 1, {"error": asdict(BROKEN), "usage": cost}),
            ("failed", "pending", 1, {}),
            ("pending", "loading", 2, {}),
            ("loading", "analyzing", 2, {}),
            ("analyzing", "completed", 2, {"notes": ["n"], "usage": free, "outputs": {"cards": 2}}),
        ]
        told = [{"name": "a.txt", "from": old, "to": new, "attempt": n, **more} for old, new, n, more in moves]
        wanted: list[tuple[str, dict[str, Any]]] = [
            ("run_created", {"kind": "test"}),
            ("item_added", {"name": "a.txt", "size": 1}),
            ("run_status", {"from": "queued", "to": "running"}),
            *(("item_status", data) for data in told),
            ("run_status", {"from": "running", "to": "failed", "error": "Why."}),
            ("run_changed", {"fingerprint": "f2"}),
        ]
        equal([(event.type, dict(event.data)) for event in await t.events()], wanted, "What the log tells")
