"""The same random program does the same to MemoryStore and to SQLiteStore, and as a small model says.

Every answer, every error and every trace is compared. Calls of several callers at once must come out as if they had
been made one after the other, in some order.

For a deeper run set ``STORES_AGREE_EXAMPLES`` to the number of programs to try.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Awaitable, Sequence
from contextlib import ExitStack
from itertools import chain, permutations
from pathlib import Path
from typing import Any

import anyio
import anyio.from_thread
import pytest
from attrs import evolve
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from store_calls import (
    LEFT_OPEN,
    RUNS,
    Call,
    ItemCall,
    Raised,
    claims,
    creations,
    ends,
    housekeeping,
    item_ids,
    new_items,
    outcome,
    races,
    reads,
    same,
    snapshot,
    work,
)
from store_model import GISTS, Model, ModelRun

from cardanalysis import CardAnalysisError, MemoryStore, SQLiteStore, Store
from cardanalysis._models import NewItem
from cardanalysis._status import ItemStatus
from cardanalysis.stores import RunState
from cardanalysis.testing._store_promises_trial import ManualClock, Snapshot, Trial

EXAMPLES = int(os.environ.get("STORES_AGREE_EXAMPLES", "50"))


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


async def ready(call: Call, store: Store) -> Call | None:
    """The same call with the version or the token that it has now; None where there is none."""
    try:
        return Call(call.method, call.run_id, {**await call.more(store), **call.options})
    except CardAnalysisError:
        return None


def explained(before: Snapshot, calls: Sequence[Call], results: Sequence[Any], after: Snapshot, now: float) -> bool:
    """Whether the calls, made one after the other in some order, give these results and leave this behind."""
    for order in permutations(range(len(calls))):
        state = RunState.restore(before.run, chain(before.items, before.outputs, before.events))
        if all(on_state(state, calls[each], now) == results[each] for each in order) and whole(state) == after:
            return True
    return False


def on_state(state: RunState, call: Call, now: float) -> Any:
    time = {} if call.method == "increment" else {"now": now}
    try:
        return getattr(state, call.method)(**call.options, **time)
    except CardAnalysisError as error:
        return Raised.of(error)


def whole(state: RunState) -> Snapshot:
    return Snapshot(state.view(), state.items(), state.outputs(), state.events())


class StoresAgree(RuleBasedStateMachine):
    """Does everything to both stores and to the model, and compares what they say and what they hold."""

    backend = "asyncio"

    def __init__(self) -> None:
        super().__init__()
        self._open = ExitStack()
        self._portal = self._open.enter_context(anyio.from_thread.start_blocking_portal(self.backend))
        self._path = Path(self._open.enter_context(tempfile.TemporaryDirectory())) / "cards.db"
        self.clock = ManualClock()
        self.model = Model()
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
        assert same(one, other), f"memory: {one!r}; SQLite: {other!r}"
        self.expected(call, one)

    def expected(self, call: Call, answer: Any) -> None:
        """The model expects an answer."""
        codes, gist = self.model.expect(call, self.clock.now)
        code = answer.code if isinstance(answer, Raised) else "ok"
        open_too = LEFT_OPEN if "run_not_found" in codes else set()
        assert code in codes | open_too, f"{call!r} gave {code}; the model expects {codes}"
        if code == "ok" and gist is not None:
            told = GISTS[call.method](answer) if call.method in GISTS else str(answer.status)
            assert told == gist, f"{call!r} gave {told!r}; the model expects {gist!r}"

    @initialize(items=st.lists(new_items, min_size=2, max_size=5))
    def begin(self, items: list[NewItem]) -> None:
        for run_id in RUNS[:2]:
            self.make_sure_of(run_id)
            self.agree(Call("add_items", run_id, {"items": items}))

    def make_sure_of(self, run_id: str) -> None:
        if run_id not in self.model.runs:
            options = {"kind": "test", "fingerprint": "f", "asked": {}, "accept_change": False}
            self.agree(Call("create_run", run_id, options))

    @rule(call=work)
    def write(self, call: Call) -> None:
        self.agree(call)

    @rule(run_id=st.sampled_from(RUNS[:2]), item_id=item_ids, outcomes=st.lists(ends, min_size=1, max_size=3))
    def attempt(self, run_id: str, item_id: str, outcomes: list[ItemCall]) -> None:
        """An item is claimed and finished, and tried again."""
        again = {"status": ItemStatus.PENDING}
        claim = {"owner": "w1", "lease_seconds": 60, "limit": 1, "item_ids": [item_id]}
        for end in outcomes:
            self.agree(ItemCall("update_status", run_id, again, item_id=item_id, names="version"))
            self.agree(Call("claim", run_id, claim))
            self.agree(evolve(end, run_id=run_id, item_id=item_id, off=0))

    @rule(call=creations)
    def create(self, call: Call) -> None:
        self.agree(call)

    @rule(call=reads)
    def read(self, call: Call) -> None:
        self.agree(call)

    @rule(call=housekeeping)
    def keep_house(self, call: Call) -> None:
        self.agree(call)

    @rule(programs=st.lists(st.lists(work | reads, min_size=1, max_size=4), min_size=2, max_size=2))
    def do_apart(self, programs: list[list[Call]]) -> None:
        """Programs on different runs go on at the same time; what each sees does not depend on the others."""
        apart = [[evolve(call, run_id=run_id) for call in each] for each, run_id in zip(programs, RUNS, strict=False)]
        for run_id in RUNS[:2]:
            self.make_sure_of(run_id)
        one = self._portal.call(at_once, self.memory, apart)
        other = self._portal.call(at_once, self.sqlite, apart)
        assert one == other, f"memory: {one!r}; SQLite: {other!r}"
        for call, answer in zip(chain(*apart), chain(*one), strict=True):
            self.expected(call, answer)

    @rule(race=races, run_id=st.sampled_from(RUNS[:2]))
    def race(self, race: list[Call], run_id: str) -> None:
        """Calls on one run at the same time come out as if made one after the other, on each store in its own order."""
        self.make_sure_of(run_id)
        found = [self._portal.call(ready, evolve(call, run_id=run_id), self.memory) for call in race]
        calls = [call for call in found if call is not None]
        before = self._portal.call(snapshot, self.memory, run_id)
        for store in (self.memory, self.sqlite):
            results = self._portal.call(at_once, store, [[call] for call in calls])
            after = self._portal.call(snapshot, store, run_id)
            flat = [result for (result,) in results]
            assert explained(before, calls, flat, after, self.clock.now), f"{store!r}: {calls!r} gave {flat!r}"
        # Both were right, each in its own way. From here on they go the same way again.
        state = RunState.restore(after.run, chain(after.items, after.outputs, after.events))
        self.memory._runs[run_id] = state
        self.model.runs[run_id] = ModelRun.of(after)

    @rule(seconds=st.sampled_from([0.25, 1.0, 10.0, 60.5, -5.0]))
    def turn_the_clock(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(first=claims, seconds=st.sampled_from([0.75, 1.0, 1.25]), second=claims)
    def take_over(self, first: Call, seconds: float, second: Call) -> None:
        """Somebody claims items about when the lease of another ends."""
        self.agree(evolve(first, options={**first.options, "lease_seconds": 1.0}))
        self.clock.advance(seconds)
        self.agree(evolve(second, run_id=first.run_id))

    @rule()
    def open_the_file_again(self) -> None:
        self._file.close()
        self.sqlite = self._enter()

    @invariant()
    def they_hold_the_same(self) -> None:
        one, other = self._portal.call(self.held, self.memory), self._portal.call(self.held, self.sqlite)
        assert one == other
        assert {run_id: ModelRun.of(held) for run_id, held in one.items()} == self.model.runs

    async def held(self, store: Any) -> dict[str, Snapshot]:
        """Everything in a store, whose sums are right."""
        found = [run.id for run in await store.runs()]
        return {each: await Trial(store, self.clock, run_id=each).check_sums("after a step") for each in found}


class StoresAgreeOnTrio(StoresAgree):
    backend = "trio"


@pytest.mark.parametrize("machine", [StoresAgree, StoresAgreeOnTrio], ids=["asyncio", "trio"])
def test_stores_agree(machine: type[StoresAgree]) -> None:
    """Whatever is done to both stores, they answer and hold the same, and what the model says, with right sums."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=30,
            deadline=None,
            phases=[phase for phase in Phase if phase is not Phase.explain],  # it takes minutes here
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
