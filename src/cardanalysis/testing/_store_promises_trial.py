"""What the promises of a store are checked with: a clock to turn, a store to try, assertions that show what differs."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar, cast

import anyio
from anyio.lowlevel import checkpoint
from attrs import define, evolve, field, frozen

from .._errors import LeaseLost
from .._models import Event, Item, ItemError, NewItem, NewOutput, Output, Run, Usage
from .._status import ACTIVE, RUN_MOVES, ItemStatus, RunStatus
from ..abc import Store

__all__ = [
    "BROKEN",
    "CANCELLED_AFTER",
    "LEASE_SECONDS",
    "MISSING",
    "USAGE",
    "ManualClock",
    "NotOffered",
    "Promise",
    "Promises",
    "Snapshot",
    "StoreMaker",
    "Trial",
    "all_at_once",
    "at_once",
    "cards",
    "check",
    "equal",
    "ids",
    "interrupted",
    "pick",
    "raises",
    "repeated",
    "titles",
    "trial",
]

_T = TypeVar("_T")
_E = TypeVar("_E", bound=Exception)

StoreMaker = Callable[[Callable[[], float]], AbstractAsyncContextManager[Store]]
"""Given a clock, makes a new and empty store that reads it, to be entered with ``async with``."""

Promise = Callable[[StoreMaker], Awaitable[None]]
"""Checks one promise on stores of its own; the first line of its docstring says which. It raises `NotOffered` if such a
store does not make it."""

LEASE_SECONDS: Final = 60.0
USAGE: Final = Usage(
    requests=1, input_tokens=100, output_tokens=10, cache_read_tokens=5, cache_write_tokens=2, cost=0.1
)
MISSING: Final = ItemError(code="truncated", message="Page 3 is missing.")
BROKEN: Final = ItemError(code="refused", message="The document was refused.")


CANCELLED_AFTER: Final = (0, 1, 1, 2, 2, 3, 4, 6, 9)
"""After how many rounds of the event loop a call is cancelled; 0: before it begins. Trio shuffles the tasks of a round,
so the first rounds are tried twice."""


class NotOffered(Exception):
    """The store does not make the promise, since it does not do what the promise is about."""


class Promises(list[Promise]):
    """Promises of one kind; its method `add` is a decorator."""

    def add(self, promise: Promise) -> Promise:
        """Append a promise."""
        self.append(promise)
        return promise


def check(truth: object, message: str) -> None:
    """Raise an AssertionError with a message unless something is so, also under ``python -O``."""
    if not truth:
        raise AssertionError(message)


def equal(got: _T, wanted: _T, what: str) -> None:
    """Raise an AssertionError that shows both sides unless they are equal."""
    check(got == wanted, f"{what}: got {got!r}, wanted {wanted!r}.")


async def raises(error: type[_E], what: str, call: Callable[..., Awaitable[object]], *args: Any, **options: Any) -> _E:
    """Raise an AssertionError unless a call raises an error, and return that."""
    try:
        await call(*args, **options)
    except error as raised:
        return raised
    except Exception as other:
        message = f"{what}: {error.__name__} was promised, {type(other).__name__} was raised: {other}"
        raise AssertionError(message) from other
    raise AssertionError(f"{what}: {error.__name__} was promised, but the call went through.")


async def at_once(*calls: Callable[[], Awaitable[_T]]) -> list[_T | Exception]:
    """Make calls in tasks of their own, and return what each returned or raised, in the order of the calls."""
    results: list[Any] = [None] * len(calls)

    async def run(place: int) -> None:
        try:
            results[place] = await calls[place]()
        except Exception as error:
            results[place] = error

    async with anyio.create_task_group() as tasks:
        for place in range(len(calls)):
            tasks.start_soon(run, place)
    return results


async def all_at_once(*calls: Callable[[], Awaitable[_T]]) -> list[_T]:
    """Like `at_once`, for calls none of which may raise."""
    results = await at_once(*calls)
    for result in results:
        if isinstance(result, Exception):
            raise result
    return cast("list[_T]", results)


async def interrupted(call: Callable[[], Awaitable[object]], *, after: int) -> None:
    """Make a call and cancel it when the event loop has gone round a number of times."""

    async def run() -> None:
        await call()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        for _ in range(after):
            await checkpoint()
        tasks.cancel_scope.cancel()


@define
class ManualClock:
    """A clock that stands still until it is turned.

    Attributes:
        now: Seconds since 1970.
    """

    now: float = 1_700_000_000.0

    def __call__(self) -> float:
        """Read the clock."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Turn the clock on, or back."""
        self.now += seconds


@frozen
class Snapshot:
    """All that a store tells of one run."""

    run: Run
    items: Sequence[Item]
    outputs: Sequence[Output]
    events: Sequence[Event]

    def anonymous(self) -> Snapshot:
        """The same without the run's id, to compare runs that went the same way."""
        return Snapshot(
            evolve(self.run, id=""),
            [evolve(item, run_id="") for item in self.items],
            self.outputs,
            [evolve(event, run_id="") for event in self.events],
        )


@define
class Trial:
    """An open store with a run to try it on, and short ways to do common things to that run.

    Attributes:
        store: The store.
        clock: The clock that it reads.
        run_id: The run that is used unless another is named.
    """

    store: Store
    clock: ManualClock
    run_id: str = field(default="run", kw_only=True)

    @property
    def time(self) -> datetime:
        """What the clock says, as models tell it."""
        return datetime.fromtimestamp(self.clock.now, UTC)

    def on(self, run_id: str) -> Trial:
        """The same for another run."""
        return Trial(self.store, self.clock, run_id=run_id)

    async def create(self, *, kind: str = "test", fingerprint: str = "f1", **asked: Any) -> Run:
        """Create the run, or open it."""
        return await self.store.create_run(self.run_id, kind=kind, fingerprint=fingerprint, asked=asked)

    async def run(self) -> Run:
        """Read the run."""
        return await self.store.get_run(self.run_id)

    async def add(self, *item_ids: str) -> list[Item]:
        """Add items in this order."""
        new = [NewItem(id=each, name=f"{each}.txt", position=n, size=n + 1) for n, each in enumerate(item_ids)]
        return await self.store.add_items(self.run_id, new)

    async def item(self, item_id: str = "a") -> Item:
        """Read one item."""
        return await self.store.get_item(self.run_id, item_id)

    async def claim(self, limit: int = 1, *, owner: str = "w1", item_ids: Iterable[str] | None = None) -> list[Item]:
        """Claim items for `LEASE_SECONDS`."""
        ids = None if item_ids is None else list(item_ids)
        return await self.store.claim(self.run_id, owner, lease_seconds=LEASE_SECONDS, limit=limit, item_ids=ids)

    async def take(self, item_id: str = "a", *, owner: str = "w1") -> Item:
        """Claim one item that is there to be claimed."""
        claimed = await self.claim(owner=owner, item_ids=[item_id])
        equal([item.id for item in claimed], [item_id], "What was claimed")
        return claimed[0]

    async def move(self, item: Item, status: ItemStatus) -> Item:
        """Set an item's status."""
        return await self.store.update_status(self.run_id, item.id, status, version=item.version)

    async def complete(
        self, item: Item, outputs: Iterable[NewOutput] = (), *, usage: Usage = USAGE, error: ItemError | None = None
    ) -> Item:
        """Record a result under the claim that an item was read with."""
        return await self.store.complete_item(
            self.run_id, item.id, token=item.token, outputs=list(outputs), usage=usage, error=error
        )

    async def fail(self, item: Item, *, usage: Usage = USAGE) -> Item:
        """Record under the claim that an item was read with that it has no result."""
        return await self.store.fail_item(self.run_id, item.id, token=item.token, error=BROKEN, usage=usage)

    async def release(self, item: Item, *, usage: Usage | None = None) -> Item:
        """Hand an item back under the claim that it was read with."""
        return await self.store.release(self.run_id, item.id, token=item.token, usage=usage)

    async def refuses_to_finish(self, claimed: Item, what: str) -> None:
        """Check that a claim can neither complete, fail nor release its item."""
        for way, call in (
            ("completing", partial(self.complete, claimed, cards("late"))),
            ("failing", partial(self.fail, claimed)),
            ("handing back", partial(self.release, claimed, usage=USAGE)),
        ):
            error = await self.refuses(LeaseLost, f"{way} {what}", call)
            named = (error.run_id, error.item_id, error.token)
            equal(named, (self.run_id, claimed.id, claimed.token), f"What the error of {way} {what} names")

    async def set_run(self, status: RunStatus, *, error: str | None = None) -> Run:
        """Set the run's status."""
        return await self.store.update_run(self.run_id, status, version=(await self.run()).version, error=error)

    async def bring_to(self, item_id: str, status: ItemStatus) -> Item:
        """Bring a pending item to a status by legal moves."""
        item = await self.item(item_id)
        if status in (ItemStatus.PENDING, ItemStatus.SKIPPED):
            return item if status is item.status else await self.move(item, status)
        item = await self.take(item_id)
        for step in ACTIVE[1 : ACTIVE.index(status) + 1] if status.is_active else ():
            item = await self.move(item, step)
        if status is ItemStatus.COMPLETED or status is ItemStatus.PARTIAL:
            return await self.complete(item, cards("x"), error=None if status is ItemStatus.COMPLETED else MISSING)
        if status is ItemStatus.FAILED:
            return await self.fail(item)
        return item if status.is_active else await self.move(item, status)

    async def bring_run_to(self, status: RunStatus) -> Run:
        """Bring a queued run to a status by legal moves."""
        run = await self.run()
        if status is not RunStatus.QUEUED and status not in RUN_MOVES[RunStatus.QUEUED]:
            run = await self.set_run(RunStatus.RUNNING)
        return run if status is run.status else await self.set_run(status)

    async def snapshot(self) -> Snapshot:
        """Read everything."""
        store, run_id = self.store, self.run_id
        return Snapshot(await self.run(), await store.items(run_id), await store.outputs(run_id), await self.events())

    async def events(self, after: int = 0) -> list[Event]:
        """Read the log."""
        return await self.store.events(self.run_id, after)

    @asynccontextmanager
    async def unchanged(self, what: str) -> AsyncGenerator[Snapshot, None]:
        """Check that what is done inside changes nothing at all of the run."""
        before = await self.snapshot()
        yield before
        after = await self.snapshot()
        for name in ("run", "items", "outputs", "events"):
            equal(getattr(after, name), getattr(before, name), f"{what} must change nothing; the {name}")

    async def refuses(
        self, error: type[_E], what: str, call: Callable[..., Awaitable[object]], *args: Any, **options: Any
    ) -> _E:
        """Check that a call raises an error and changes nothing at all of the run."""
        async with self.unchanged(what):
            return await raises(error, what, call, *args, **options)

    async def check_sums(self, when: str) -> Snapshot:
        """Check counters, usage and sequence numbers against a recount, and usage also against what the log tells."""
        now = await self.snapshot()
        wanted = Counter(str(item.status) for item in now.items)
        wanted.update(output.kind for output in now.outputs)
        wanted["total"] = len(now.items)
        names = {*wanted, *ItemStatus}
        equal(pick(now.run.counters, names), pick(wanted, names), f"The counters {when}")
        equal(now.run.usage, sum((item.usage for item in now.items), Usage()), f"The run's usage {when}")
        equal(sum(map(_told, now.events), Usage()), now.run.usage, f"The usage that the events tell {when}")
        numbers = [event.sequence for event in now.events]
        equal(numbers, list(range(1, len(numbers) + 1)), f"The sequence numbers {when}")
        equal(now.run.last_event, len(numbers), f"last_event {when}")
        return now


def _told(event: Event) -> Usage:
    """What an event says was spent."""
    return Usage(**event.data.get("usage", {})) if event.type in ("item_status", "checkpoint") else Usage()


@asynccontextmanager
async def trial(make_store: StoreMaker, *item_ids: str) -> AsyncGenerator[Trial, None]:
    """Open a new store that holds a new run with some items."""
    clock = ManualClock()
    async with make_store(clock) as store:
        opened = Trial(store, clock)
        await opened.create()
        if item_ids:
            await opened.add(*item_ids)
        yield opened


def pick(counters: Mapping[str, int], names: Iterable[str]) -> dict[str, int]:
    """Some counters, as plain names."""
    return {str(name): counters[name] for name in sorted(names)}


def cards(*titles: str, kind: str = "cards") -> list[NewOutput]:
    """One output for each title."""
    return [NewOutput(kind=kind, data={"title": title}) for title in titles]


def titles(outputs: Iterable[Output]) -> list[str]:
    """The titles of outputs that `cards` made."""
    return [output.data["title"] for output in outputs]


def ids(items: Iterable[Item]) -> list[str]:
    """The ids of items."""
    return [item.id for item in items]


def repeated(
    call: Callable[..., Awaitable[_T]], times: int, /, *args: Any, **options: Any
) -> list[Callable[[], Awaitable[_T]]]:
    """The same call many times, for `all_at_once`."""
    return [partial(call, *args, **options)] * times
