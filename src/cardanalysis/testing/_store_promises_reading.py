"""Promises about reading page by page, and about what a store may hold."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC
from functools import partial
from typing import Any, TypeVar, cast

from attrs import evolve

from .._errors import StoreError
from .._models import Item, NewItem, NewOutput, Output
from .._status import ItemStatus, RunStatus
from ._store_promises_trial import (
    BROKEN,
    USAGE,
    Promises,
    StoreMaker,
    Trial,
    cards,
    check,
    equal,
    ids,
    titles,
    trial,
)

__all__ = ["PROMISES"]

PROMISES = Promises()

_R = TypeVar("_R", Item, Output)


async def _pages(read: Callable[..., Awaitable[list[_R]]], limit: int) -> list[_R]:
    """Read page by page; a page that is not full is the last."""
    found: list[_R] = []
    while page := await read(after=found[-1] if found else None, limit=limit):
        check(len(page) <= limit, f"A page of at most {limit} holds {len(page)}.")
        found += page
    return found


async def _equals_its_pages(read: Callable[..., Awaitable[list[_R]]], what: str) -> None:
    whole = await read()
    for limit in (1, 2, 3, len(whole) + 1):
        equal(await _pages(read, limit), whole, f"{what}, in pages of {limit}")
    equal(await read(limit=0), [], f"{what}, at most 0")


async def _many_items(t: Trial) -> None:
    """Items at equal positions, some with outputs of two kinds, and some without."""
    places = {"f": 0, "e": 1, "d": 1, "c": 1, "b": 2, "a": 7, "g": 7}
    await t.store.add_items("run", [NewItem(id=each, name=each, position=place) for each, place in places.items()])
    for each in ("a", "c", "d", "f"):
        outputs = [*cards(f"{each}1", f"{each}2"), *cards(f"{each}3", kind="notes"), *cards(f"{each}4")]
        await t.complete(await t.take(each), outputs)
    await t.fail(await t.take("e"))


@PROMISES.add
async def items_are_read_in_order(make_store: StoreMaker) -> None:
    """Items come in the order of positions and ids, wholly or page by page, also where positions are equal."""
    async with trial(make_store) as t:
        await _many_items(t)
        equal(ids(await t.store.items("run")), ["f", "c", "d", "e", "b", "a", "g"], "The items")
        await _equals_its_pages(partial(t.store.items, "run"), "The items")


@PROMISES.add
async def items_are_read_by_status(make_store: StoreMaker) -> None:
    """A status lets only items in it through, wholly or page by page."""
    async with trial(make_store) as t:
        await _many_items(t)
        for status, wanted in (("completed", "fcda"), ("failed", "e"), ("pending", "bg"), ("cancelled", "")):
            read = partial(t.store.items, "run", status=ItemStatus(status))
            equal("".join(ids(await read())), wanted, f"The {status} items")
            await _equals_its_pages(read, f"The {status} items")
        beyond = await t.store.items("run", status=ItemStatus.COMPLETED, after=await t.item("e"))
        equal(ids(beyond), ["a"], "The completed items behind one that is not completed")


@PROMISES.add
async def outputs_are_read_in_order(make_store: StoreMaker) -> None:
    """Outputs come in the order of their items, and within an item in its own, wholly or page by page."""
    async with trial(make_store) as t:
        await _many_items(t)
        wanted = [f"{each}{number}" for each in "fcda" for number in range(1, 5)]
        equal(titles(await t.store.outputs("run")), wanted, "The outputs")
        await _equals_its_pages(partial(t.store.outputs, "run"), "The outputs")


@PROMISES.add
async def outputs_are_read_by_kind_and_item(make_store: StoreMaker) -> None:
    """A kind and an item let only their outputs through, wholly or page by page."""
    async with trial(make_store) as t:
        await _many_items(t)
        for kind, item_id, wanted in (
            ("notes", None, ["f3", "c3", "d3", "a3"]),
            ("cards", "d", ["d1", "d2", "d4"]),
            (None, "a", ["a1", "a2", "a3", "a4"]),
            ("nothing", None, []),
            (None, "e", []),
            (None, "nothing", []),
        ):
            read = partial(t.store.outputs, "run", kind=kind, item_id=item_id)
            equal(titles(await read()), wanted, f"Outputs of kind {kind} and item {item_id}")
            await _equals_its_pages(read, f"Outputs of kind {kind} and item {item_id}")


@PROMISES.add
async def events_are_read_in_order(make_store: StoreMaker) -> None:
    """Events come in the order of their numbers, wholly, page by page, and from any number on."""
    async with trial(make_store) as t:
        await _many_items(t)
        whole = await t.events()
        for limit in (1, 4, len(whole)):
            read: list[Any] = []
            while page := await t.store.events("run", len(read), limit=limit):
                read += page
            equal(read, whole, f"The log, in pages of {limit}")
        equal(await t.events(len(whole) + 5), [], "Events behind the last")
        equal(await t.store.events("run", 2, limit=3), whole[2:5], "Three events behind the second")
        equal(await t.store.events("run", limit=0), [], "At most 0 events")


JSON: dict[str, Any] = {
    "text": "„Größe“ \u2013 中文 \u202e 👩\u200d💻 'q' \"d\" \\ / \n\t\r \x7f",
    "": {"": [[], {}, [{"deep": [None, True, False]}]]},
    "numbers": [0, -1, 2**53 + 1, 10**30, 0.1, -1.5e-300, 1e300],
    "Ключ 'x'; --": "%s {0} :name ?",
}


@PROMISES.add
async def json_values_come_back_as_they_were(make_store: StoreMaker) -> None:
    """What was asked, outputs and the data of events come back as they were given, whatever JSON they hold."""
    async with trial(make_store, "a") as t:
        run = await t.on("asked").create(**JSON)
        equal((run.asked, (await t.store.get_run("asked")).asked), (JSON, JSON), "What was asked")
        await t.complete(await t.take("a"), [NewOutput(kind="cards", data=JSON), NewOutput(kind="cards", data={})])
        equal([output.data for output in await t.store.outputs("run")], [JSON, {}], "The outputs")
        event = await t.store.append_event("run", "told", data=JSON)
        equal((event.data, (await t.events())[-1].data), (JSON, JSON), "The data of the event")


@PROMISES.add
async def only_json_values_are_stored(make_store: StoreMaker) -> None:
    """What is no JSON raises StoreError with the code not_json, and nothing is written."""
    async with trial(make_store, "a") as t:
        claimed = await t.take("a")
        complete = partial(t.store.complete_item, "run", "a", token=claimed.token, usage=USAGE)
        for value in (object(), b"bytes", {1, 2}, math.nan, math.inf, {1: "a number as key"}, t.time):
            data = cast("dict[str, Any]", {"fine": 1, "list": [value]})
            output = NewOutput(kind="cards", data=data)
            what = f"{type(value).__name__}, which is no JSON,"
            for call in (
                partial(complete, outputs=[*cards("x"), output]),
                partial(complete, outputs=cards("x"), data=data),
                partial(t.store.append_event, "run", "told", data=data),
                partial(t.store.create_run, "run", kind="test", fingerprint="f2", asked=data, accept_change=True),
            ):
                error = await t.refuses(StoreError, what, call)
                equal(error.code, "not_json", "The error's code")
        await t.complete(claimed, cards("x"))
        await t.check_sums("after all the refusals")


@PROMISES.add
async def what_is_handed_out_is_a_copy(make_store: StoreMaker) -> None:
    """Nobody changes what is stored by changing what was given to the store or came from it."""
    async with trial(make_store, "a") as t:
        asked: dict[str, Any] = {"list": [1]}
        data: dict[str, Any] = {"list": [1]}
        run = await t.on("asked").create(**asked)
        await t.complete(await t.take("a"), [NewOutput(kind="cards", data=data)])
        event = await t.store.append_event("run", "told", data=data)
        for value in (asked, data, run.asked, event.data, *await _values(t)):
            _spoil(value)
        equal(await _values(t), [{"list": [1]}] * 3, "What is stored after what was handed out was changed")
        cast("dict[str, int]", (await t.run()).counters)["total"] = 99
        equal((await t.run()).counters["total"], 1, "The counter after what was handed out was changed")


async def _values(t: Trial) -> list[Mapping[str, Any]]:
    asked = (await t.on("asked").run()).asked
    return [asked, (await t.store.outputs("run"))[0].data, (await t.events())[-1].data]


def _spoil(value: object) -> None:
    changeable = cast("dict[str, Any]", value)
    changeable["list"].append(2)
    changeable["new"] = 3


ODD_TEXTS = (
    'it\'s "quoted"; DROP TABLE runs; --',
    "two\nlines\tand a tab",
    "👩\u200d💻 中文 ناقل",
    "../../etc/passwd",
    "%s %d {0} :id ?1",
    " spaces ",
    "Case",
    "case",
    "e\u0301",
    "é",
    "x" * 10_000,
)


@PROMISES.add
async def any_text_names_a_run(make_store: StoreMaker) -> None:
    """Run ids may be any text; two that differ at all are two runs."""
    async with trial(make_store) as t:
        for text in ODD_TEXTS:
            await t.on(text).create(fingerprint=text, kind=text)
            await t.on(text).add("a")
        for n, text in enumerate(ODD_TEXTS):
            await t.store.increment(text, "n", n)
        for n, text in enumerate(ODD_TEXTS):
            run = await t.store.get_run(text)
            equal((run.id, run.kind, run.fingerprint, run.counters["n"]), (text, text, text, n), "The run")


@PROMISES.add
async def any_text_is_kept(make_store: StoreMaker) -> None:
    """Ids and names of items, owners, kinds, counters and messages come back as they were given."""
    async with trial(make_store) as t:
        new = [NewItem(id=text, name=text, position=n, kind=text) for n, text in enumerate(ODD_TEXTS)]
        await t.store.add_items("run", new)
        for text in ODD_TEXTS:
            claimed = await t.take(text, owner=text)
            equal((claimed.id, claimed.name, claimed.kind, claimed.owner), (text,) * 4, "The claimed item")
            equal((await t.store.renew("run", text, lease_seconds=9)).held, {text}, "What is held")
            await t.complete(claimed, cards(text, kind=text), error=evolve(BROKEN, code=text, message=text))
            item = await t.item(text)
            equal(item.error, evolve(BROKEN, code=text, message=text), "The error")
            outputs = await t.store.outputs("run", kind=text, item_id=text)
            equal([(output.kind, output.data["title"]) for output in outputs], [(text, text)], "The output")
            event = await t.store.append_event("run", text, item_id=text)
            equal((await t.events())[-1], event, "The event")
        await t.check_sums("after odd texts")


@PROMISES.add
async def large_outputs_are_kept(make_store: StoreMaker) -> None:
    """An output of megabytes, and an item with a thousand outputs, come back whole."""
    async with trial(make_store, "a", "b") as t:
        large = "Größe 👩\u200d💻 " * 100_000
        await t.complete(await t.take("a"), cards(large))
        await t.complete(await t.take("b"), cards(*map(str, range(1000))))
        stored = titles(await t.store.outputs("run"))
        check(stored[0] == large, "The large output is not the same.")
        equal(stored[1:], [str(number) for number in range(1000)], "The many outputs")
        equal((await t.run()).counters["cards"], 1001, "The counter")


@PROMISES.add
async def times_are_the_clocks(make_store: StoreMaker) -> None:
    """Every time is aware, in UTC, and what the given clock said, to the microsecond."""
    async with trial(make_store) as t:
        t.clock.advance(0.123_456)
        run = await t.on("timed").create()
        await t.on("timed").set_run(RunStatus.RUNNING)
        run = await t.on("timed").set_run(RunStatus.FAILED)
        await t.add("a")
        item = await t.fail(await t.take("a"))
        event = await t.store.append_event("run", "told")
        times = [each for model in (run, item) for each in (model.created_at, model.started_at, model.finished_at)]
        for time in [*times, event.time]:
            equal(time, t.time, "The time")
            check(time is not None and time.tzinfo is UTC, f"The time {time} must be in UTC.")
        equal((await t.item()).duration_seconds, 0.0, "The duration")
        equal(await t.item(), item, "The item that is read")


@PROMISES.add
async def a_clock_that_is_set_back_does_no_harm(make_store: StoreMaker) -> None:
    """When the clock goes back an hour, what is held stays held, and outcomes are recorded."""
    async with trial(make_store, "a", "b") as t:
        claimed = await t.take("a")
        t.clock.advance(-3600)
        equal(ids(await t.claim(5, owner="w2")), ["b"], "What can be claimed")
        equal((await t.complete(claimed, cards("x"))).status, ItemStatus.COMPLETED, "The status")
        await t.check_sums("after the clock was set back")
