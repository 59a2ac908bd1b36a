"""Random calls on a store: what the test that stores agree is made of."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any, Self

from attrs import evolve, field, frozen
from hypothesis import strategies as st

from cardanalysis import CardAnalysisError, Store, Usage
from cardanalysis._models import ItemError, NewItem, NewOutput
from cardanalysis._status import ItemStatus, RunStatus
from cardanalysis.testing._store_promises_trial import ManualClock, Snapshot, Trial

RUNS = ("run", "Größe 'x'\n", "copy")
"""The runs that may be there; the first two are at the beginning."""
UNKNOWN = "nowhere"


@frozen
class Call:
    """A call of a store's method on a run."""

    method: str
    run_id: str
    options: dict[str, Any] = field(factory=dict)

    async def on(self, store: Store) -> Any:
        return await getattr(store, self.method)(self.run_id, **await self.more(store), **self.options)

    async def more(self, store: Store) -> dict[str, Any]:
        return {}


@frozen
class RunCall(Call):
    """A call that names the run's version, or one beside it."""

    off: int = 0

    async def more(self, store: Store) -> dict[str, Any]:
        return {"version": (await store.get_run(self.run_id)).version + self.off}


@frozen
class ItemCall(Call):
    """A call that names an item and its version or token, or one beside it."""

    item_id: str = "a"
    names: str | None = None
    off: int = 0

    async def more(self, store: Store) -> dict[str, Any]:
        item = await store.get_item(self.run_id, self.item_id)
        return {"item_id": item.id} | ({self.names: getattr(item, self.names) + self.off} if self.names else {})


@frozen
class PageCall(Call):
    """Reads what comes after one of the first rows."""

    behind: int = 0

    async def more(self, store: Store) -> dict[str, Any]:
        rows = await getattr(store, self.method)(self.run_id)
        return {"after": rows[self.behind] if self.behind < len(rows) else None}


@frozen
class RunsCall(Call):
    """Looks through the runs; those behind one of the first."""

    behind: int = 9

    async def on(self, store: Any) -> Any:
        runs = await store.runs()
        return await store.runs(after=runs[self.behind] if self.behind < len(runs) else None, **self.options)


@frozen
class FindCall(Call):
    """Looks for an item in whatever run."""

    async def on(self, store: Any) -> Any:
        return await store.find_completed(**self.options)


@frozen
class RestoreCall(Call):
    """Reads a run and restores it under another id."""

    new_id: str = "copy"

    async def on(self, store: Any) -> Any:
        of = await snapshot(store, self.run_id)
        run = evolve(of.run, id=self.new_id)
        items, events = ([evolve(each, run_id=self.new_id) for each in which] for which in (of.items, of.events))
        return await store.restore_run(run, chain(items, of.outputs, events))


async def snapshot(store: Store, run_id: str) -> Snapshot:
    return await Trial(store, ManualClock(), run_id=run_id).snapshot()


@frozen
class Raised:
    """What a call raised, in place of what it returned."""

    kind: type[Exception]
    message: str
    code: str

    @classmethod
    def of(cls, error: CardAnalysisError) -> Self:
        return cls(type(error), str(error), error.code)


async def outcome(call: Call, store: Store) -> Any:
    try:
        return await call.on(store)
    except CardAnalysisError as error:
        return Raised.of(error)


LEFT_OPEN = {"run_not_found", "invalid_value", "not_json"}
"""Where the run is not there and an argument makes no sense, either may be told."""


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Raised) and isinstance(other, Raised) and "run_not_found" in (one.code, other.code):
        return {one.code, other.code} <= LEFT_OPEN
    return bool(one == other)


run_ids = st.sampled_from([*RUNS[:2] * 4, *RUNS[2:], UNKNOWN])
item_ids = st.sampled_from("abcdef")
owners = st.sampled_from(["w1", "w2"])
leases = st.sampled_from([1.0, 10.0, 60.0] * 4 + [0, -1.0, math.inf, math.nan])
mostly_right = st.sampled_from([0] * 8 + [-1, 1])
limits = st.none() | st.integers(-1, 4)
statuses = st.sampled_from(ItemStatus)
kinds = st.sampled_from(["cards", "notes"])
texts = st.text(st.characters(codec="utf-8"), max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
odd_values = st.sampled_from([math.nan, b"bytes", {1: 2}, {"x"}])
data = st.dictionaries(texts, values, max_size=2) | st.dictionaries(texts, values | odd_values, max_size=2)
usages = st.builds(
    Usage,
    requests=st.integers(0, 3),
    input_tokens=st.integers(0, 1000),
    cost=st.none() | st.floats(0, 1) | st.floats(0, 1) | st.floats(0, 1),
)
errors = st.builds(ItemError, code=texts, message=texts)
outputs = st.lists(st.builds(NewOutput, kind=kinds, data=data), max_size=4)
new_items = st.builds(NewItem, id=item_ids, name=texts, position=st.integers(0, 4), size=st.integers(0, 9))


def calls(method: str, shape: type[Call] = Call, own: dict[str, Any] | None = None, /, **options: Any) -> Any:
    """A strategy for calls of a method with some options."""
    own = {"run_id": run_ids, **(own or {})}
    return st.builds(shape, st.just(method), options=st.fixed_dictionaries(options), **own)


def on_item(method: str, names: str | None, /, **options: Any) -> Any:
    """A strategy for calls on an item, by the version or token that they name."""
    own = {"item_id": item_ids, "names": st.just(names), "off": mostly_right}
    return calls(method, ItemCall, own, **options)


claims = calls(
    "claim",
    owner=owners,
    lease_seconds=leases,
    limit=st.sampled_from([0, 1, 1, 2, 2, 3, 4, 4, -1]),
    item_ids=st.none() | st.none() | st.lists(item_ids, max_size=4),
)
completions = on_item(
    "complete_item", "token", outputs=outputs, usage=usages, error=st.none() | errors, data=st.none() | data
)
failures = on_item("fail_item", "token", error=errors, usage=usages)
releases = on_item("release", "token", usage=st.none() | usages)
ends = completions | failures | releases
increments = calls(
    "increment", counter=st.sampled_from(["seen", "seen", "cost in ¢", "total", "saving", ""]), by=st.integers(-5, 5)
)
moves = on_item("update_status", "version", status=statuses)
work = st.one_of(
    calls("update_run", RunCall, {"off": mostly_right}, status=st.sampled_from(RunStatus), error=st.none() | texts),
    calls("add_items", items=st.lists(new_items, max_size=4)),
    claims,
    claims,
    calls("renew", owner=owners, lease_seconds=leases),
    releases,
    moves,
    on_item("update_status", "version", status=st.sampled_from([ItemStatus.PENDING, ItemStatus.SAVING])),
    completions,
    failures,
    increments,
    calls("append_event", type=texts, item_id=st.none() | item_ids, data=st.none() | data),
)
creations = calls(
    "create_run",
    Call,
    {"run_id": st.sampled_from([*RUNS * 3, ""])},
    kind=st.sampled_from(["test", "test", "test", "other", ""]),
    fingerprint=st.sampled_from("fg"),
    asked=data,
    accept_change=st.booleans(),
)
reads = st.one_of(
    calls("get_run"),
    on_item("get_item", None),
    calls("items", PageCall, {"behind": st.integers(0, 6)}, status=st.none() | statuses, limit=limits),
    calls(
        "outputs",
        PageCall,
        {"behind": st.integers(0, 6)},
        kind=st.none() | kinds,
        item_id=st.none() | item_ids,
        limit=limits,
    ),
    calls("events", after=st.integers(-1, 60), limit=limits),
)
housekeeping = st.one_of(
    calls(
        "runs",
        RunsCall,
        {"behind": st.sampled_from([0, 1, 9, 9])},
        kind=st.sampled_from([None, None, "test"]),
        status=st.none() | st.none() | st.sampled_from(RunStatus),
        stale_seconds=st.sampled_from([None, None, 0.0, 0.25, 1.0, 10.0]),
        limit=limits,
    ),
    calls(
        "find_completed",
        FindCall,
        item_id=item_ids,
        kind=st.sampled_from(["test", "test", "other"]),
        fingerprint=st.sampled_from("ffg"),
    ),
    calls("delete_run"),
    calls("restore_run", RestoreCall, {"new_id": st.sampled_from([*RUNS, "copy", "copy"])}),
)
races = st.lists(work, min_size=2, max_size=3) | st.builds(
    lambda call, times: [call] * times, claims | completions | increments | moves | releases, st.integers(2, 4)
)
