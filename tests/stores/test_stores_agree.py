"""The same random program does the same to MemoryStore and to SQLiteStore: every answer, every error, every trace.

For a deeper run set ``STORES_AGREE_EXAMPLES`` to the number of programs to try.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Awaitable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest
from attrs import evolve, field, frozen
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from cardanalysis import CardAnalysisError, MemoryStore, SQLiteStore, Store, Usage
from cardanalysis._models import ItemError, NewItem, NewOutput
from cardanalysis._status import ItemStatus, RunStatus
from cardanalysis.testing._store_promises_trial import ManualClock, Snapshot, Trial

EXAMPLES = int(os.environ.get("STORES_AGREE_EXAMPLES", "25"))

RUNS = ("run", "Größe 'x'\n")
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
class Raised:
    """What a call raised, in place of what it returned."""

    kind: type[Exception]
    message: str
    code: str


async def outcome(call: Call, store: Store) -> Any:
    try:
        return await call.on(store)
    except CardAnalysisError as error:
        return Raised(type(error), str(error), error.code)


run_ids = st.sampled_from([*RUNS * 4, UNKNOWN])
item_ids = st.sampled_from("abcdef")
owners = st.sampled_from(["w1", "w2"])
leases = st.sampled_from([1.0, 10.0, 60.0])
mostly_right = st.sampled_from([0] * 8 + [-1, 1])
limits = st.none() | st.integers(0, 4)
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
    return st.builds(shape, st.just(method), run_ids, st.fixed_dictionaries(options), **(own or {}))


def on_item(method: str, names: str | None, /, **options: Any) -> Any:
    """A strategy for calls on an item, by the version or token that they name."""
    own = {"item_id": item_ids, "names": st.just(names), "off": mostly_right}
    return calls(method, ItemCall, own, **options)


claims = calls(
    "claim",
    owner=owners,
    lease_seconds=leases,
    limit=st.integers(0, 4),
    item_ids=st.none() | st.none() | st.lists(item_ids, max_size=4),
)
completions = on_item(
    "complete_item", "token", outputs=outputs, usage=usages, error=st.none() | errors, data=st.none() | data
)
writes = st.one_of(
    calls(
        "create_run",
        kind=st.sampled_from(["test", "test", "test", "other"]),
        fingerprint=st.sampled_from("fg"),
        asked=data,
        accept_change=st.booleans(),
    ),
    calls(
        "update_run",
        RunCall,
        {"off": mostly_right},
        status=st.sampled_from(RunStatus),
        error=st.none() | texts,
    ),
    calls("add_items", items=st.lists(new_items, max_size=4)),
    claims,
    claims,
    calls("renew", owner=owners, lease_seconds=leases),
    on_item("release", "token"),
    on_item("update_status", "version", status=statuses),
    on_item("update_status", "version", status=st.sampled_from([ItemStatus.PENDING, ItemStatus.SAVING])),
    completions,
    completions,
    on_item("fail_item", "token", error=errors, usage=usages),
    calls("increment", counter=st.sampled_from(["seen", "cost in ¢"]), by=st.integers(-5, 5)),
    calls("append_event", type=texts, item_id=st.none() | item_ids, data=st.none() | data),
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


async def both(one: Awaitable[Any], other: Awaitable[Any]) -> tuple[Any, Any]:
    return await one, await other


async def at_once(store: Store, programs: Sequence[Sequence[Call]]) -> list[list[Any]]:
    """Run programs next to each other, and each by itself in order."""
    results: list[list[Any]] = [[] for _ in programs]

    async def run(number: int) -> None:
        for call in programs[number]:
            results[number].append(await outcome(call, store))

    async with anyio.create_task_group() as tasks:
        for number in range(len(programs)):
            tasks.start_soon(run, number)
    return results


class StoresAgree(RuleBasedStateMachine):
    """Does everything to both stores, and compares what they say and what they hold."""

    backend = "asyncio"

    def __init__(self) -> None:
        super().__init__()
        self._open = ExitStack()
        self._portal = self._open.enter_context(anyio.from_thread.start_blocking_portal(self.backend))
        self._path = Path(self._open.enter_context(tempfile.TemporaryDirectory())) / "cards.db"
        self.clock = ManualClock()
        self.memory = MemoryStore(clock=self.clock)
        self.sqlite = self._enter()

    def _enter(self) -> SQLiteStore:
        self._file = ExitStack()
        store = SQLiteStore(self._path, clock=self.clock, synchronous="NORMAL")
        return self._file.enter_context(self._portal.wrap_async_context_manager(store))

    def teardown(self) -> None:
        self._file.close()
        self._open.close()

    def agree(self, call: Call) -> None:
        one, other = self._portal.call(both, outcome(call, self.memory), outcome(call, self.sqlite))
        assert one == other, f"memory: {one!r}; SQLite: {other!r}"

    @initialize(items=st.lists(new_items, min_size=2, max_size=5))
    def begin(self, items: list[NewItem]) -> None:
        for run_id in RUNS:
            self.agree(Call("create_run", run_id, {"kind": "test", "fingerprint": "f", "asked": {}}))
            self.agree(Call("add_items", run_id, {"items": items}))

    @rule(call=writes)
    def write(self, call: Call) -> None:
        self.agree(call)

    @rule(call=completions)
    def complete(self, call: Call) -> None:
        self.agree(call)

    @rule(call=reads)
    def read(self, call: Call) -> None:
        self.agree(call)

    @rule(programs=st.lists(st.lists(writes | reads, min_size=1, max_size=4), min_size=2, max_size=2))
    def do_at_once(self, programs: list[list[Call]]) -> None:
        """Programs on different runs go on at the same time; what each sees does not depend on the others."""
        apart = [
            [evolve(call, run_id=run_id) for call in program] for program, run_id in zip(programs, RUNS, strict=True)
        ]
        one = self._portal.call(at_once, self.memory, apart)
        other = self._portal.call(at_once, self.sqlite, apart)
        assert one == other, f"memory: {one!r}; SQLite: {other!r}"

    @rule(seconds=st.sampled_from([0.25, 1.0, 10.0, 60.5, -5.0]))
    def turn_the_clock(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def open_the_file_again(self) -> None:
        self._file.close()
        self.sqlite = self._enter()

    @invariant()
    def they_hold_the_same(self) -> None:
        assert self._portal.call(self.held, self.memory) == self._portal.call(self.held, self.sqlite)

    async def held(self, store: Store) -> list[Snapshot]:
        """Everything in a store, whose sums are right."""
        return [await Trial(store, self.clock, run_id=run_id).check_sums("after a step") for run_id in RUNS]


class StoresAgreeOnTrio(StoresAgree):
    backend = "trio"


@pytest.mark.parametrize("machine", [StoresAgree, StoresAgreeOnTrio], ids=["asyncio", "trio"])
def test_stores_agree(machine: type[StoresAgree]) -> None:
    """Whatever is done to both stores, they answer the same, hold the same, and their sums are right."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
