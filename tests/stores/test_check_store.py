"""The conformance kit itself: it passes a store that keeps its promises, and catches those that do not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from attrs import evolve

from cardanalysis import MemoryStore
from cardanalysis._models import Item, Output, Renewal, Run
from cardanalysis._status import ItemStatus
from cardanalysis.stores import _changes as changes
from cardanalysis.stores import memory
from cardanalysis.testing._store_promises import PROMISES, check_store

NAMES = tuple(promise.__name__ for promise in PROMISES)


@pytest.mark.anyio
async def test_a_store_that_keeps_its_promises_passes() -> None:
    """check_store returns the names of all promises, each of which has one."""
    assert await check_store(lambda clock: MemoryStore(clock=clock)) == NAMES
    assert len(set(NAMES)) == len(NAMES) > 70


def test_every_promise_says_what_it_is() -> None:
    """The docstring of a promise is one sentence."""
    for promise in PROMISES:
        assert promise.__doc__ is not None
        assert promise.__doc__.strip().endswith(".")
        assert "\n" not in promise.__doc__.strip()


async def broken(make: Callable[..., MemoryStore], promise: str) -> str:
    """What a promise says of a store that breaks it."""
    check = PROMISES[NAMES.index(promise)]
    with pytest.raises(AssertionError) as caught:
        await check(lambda clock: make(clock=clock))
    return str(caught.value)


def breaks(monkeypatch: pytest.MonkeyPatch, name: str, spoil: Callable[..., Callable[..., Any]]) -> None:
    monkeypatch.setattr(changes, name, spoil(getattr(changes, name)))


class LosesIncrements(MemoryStore):
    async def increment(self, run_id: str, counter: str, by: int = 1) -> int:
        value = (await self.get_run(run_id)).counters[counter]
        await checkpoint()
        self._kept(run_id).counters[counter] = value + by
        return value + by


class HandsOutItsOwn(MemoryStore):
    """Keeps what it was given."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.asked: dict[str, Any] = {}

    async def create_run(self, run_id: str, *, asked: Mapping[str, Any], **options: Any) -> Run:
        run = await super().create_run(run_id, asked=asked, **options)
        return evolve(run, asked=self.asked.setdefault(run_id, asked))

    async def get_run(self, run_id: str) -> Run:
        return evolve(await super().get_run(run_id), asked=self.asked.get(run_id, {}))


class PagesByPosition(MemoryStore):
    async def items(self, run_id: str, *, after: Item | None = None, **options: Any) -> list[Item]:
        found = await super().items(run_id, status=options.get("status"))
        found = [item for item in found if after is None or item.position > after.position]
        return found[: options.get("limit")]


class ForgetsTheLimit(MemoryStore):
    async def outputs(self, run_id: str, *, limit: int | None = None, **options: Any) -> list[Output]:
        return await super().outputs(run_id, **options)


class ResurrectsLeases(MemoryStore):
    async def renew(self, run_id: str, owner: str, *, lease_seconds: float) -> Renewal:
        kept = self._kept(run_id)
        for item in kept.items.values():
            if item.status is ItemStatus.PENDING and item.attempts:
                kept.items[item.id] = evolve(item, status=ItemStatus.LOADING, owner=owner)
        return await super().renew(run_id, owner, lease_seconds=lease_seconds)


class NeverStops(MemoryStore):
    async def renew(self, run_id: str, owner: str, *, lease_seconds: float) -> Renewal:
        return evolve(await super().renew(run_id, owner, lease_seconds=lease_seconds), stop=False)


class CompletesInTwoSteps(MemoryStore):
    async def complete_item(self, run_id: str, item_id: str, **options: Any) -> Item:
        item = await super().complete_item(run_id, item_id, **{**options, "outputs": []})
        for _ in range(4):
            await checkpoint()
        kept = self._kept(run_id)
        kept.outputs[item_id] = [(output.kind, memory.dumps(output.data)) for output in options["outputs"]]
        kept.counters.update(output.kind for output in options["outputs"])
        return item


class LogsRefusals(MemoryStore):
    async def update_status(self, run_id: str, item_id: str, status: ItemStatus, *, version: int) -> Item:
        try:
            return await super().update_status(run_id, item_id, status, version=version)
        except Exception:
            await self.append_event(run_id, "refused", item_id=item_id)
            raise


class ClaimsWithoutLock(MemoryStore):
    async def claim(self, run_id: str, owner: str, *, limit: int = 1, **options: Any) -> list[Item]:
        found = await self.items(run_id, status=ItemStatus.PENDING, limit=limit)
        await checkpoint()
        taken = await super().claim(run_id, owner, limit=limit, **options)
        return taken or found


class MakesMissingRuns(MemoryStore):
    async def increment(self, run_id: str, counter: str, by: int = 1) -> int:
        await self.create_run(run_id, kind="test", fingerprint="f1", asked={})
        return await super().increment(run_id, counter, by)


class RaisesAnything(MemoryStore):
    async def get_item(self, run_id: str, item_id: str) -> Item:
        raise NotImplementedError("not yet")


@pytest.mark.parametrize(
    ("store", "promise"),
    [
        (LosesIncrements, "no_increment_is_lost"),
        (HandsOutItsOwn, "what_is_handed_out_is_a_copy"),
        (PagesByPosition, "items_are_read_in_order"),
        (ForgetsTheLimit, "outputs_are_read_in_order"),
        (ResurrectsLeases, "a_renewal_brings_nothing_back"),
        (NeverStops, "a_renewal_tells_that_the_run_was_cancelled"),
        (CompletesInTwoSteps, "a_cancelled_call_happens_wholly_or_not_at_all"),
        (LogsRefusals, "an_item_makes_no_illegal_move"),
        (ClaimsWithoutLock, "many_that_claim_never_share_an_item"),
        (MakesMissingRuns, "an_unknown_run_is_told"),
    ],
)
@pytest.mark.anyio
async def test_a_store_that_breaks_a_promise_is_caught(store: Callable[..., MemoryStore], promise: str) -> None:
    """The promise that a store breaks says what it saw."""
    assert await broken(store, promise)


@pytest.mark.anyio
async def test_every_broken_promise_is_told() -> None:
    """check_store goes on after a broken promise, and its message says of each what was promised and what was seen."""
    with pytest.raises(AssertionError) as caught:
        await check_store(lambda clock: RaisesAnything(clock=clock))
    lines = str(caught.value).splitlines()
    assert f"of {len(NAMES)} promises are broken." in lines[0]
    told = [line.split(":")[0] for line in lines[1::2]]
    assert told == [name for name in NAMES if name in told]
    assert {"added_items_are_pending", "times_are_the_clocks"} <= set(told)
    assert "a_new_run_is_queued" not in told
    assert "  NotImplementedError: not yet" in lines[2::2]
    assert isinstance(caught.value.__cause__, AssertionError)


def with_lease_at_its_end(is_claimable: Callable[..., bool]) -> Callable[..., bool]:
    return lambda item, *, now: is_claimable(item, now=now + 0.5)


def without_fencing(finish: Callable[..., Any]) -> Callable[..., Any]:
    return lambda item, *args, token, **options: finish(item, *args, token=item.token, **options)


def counting_the_attempt(release: Callable[..., Any]) -> Callable[..., Any]:
    def spoiled(item: Item, *, token: int) -> changes.Change:
        change = release(item, token=token)
        return evolve(change, item=evolve(change.item, attempts=item.attempts))

    return spoiled


def with_tokens_that_fall(release: Callable[..., Any]) -> Callable[..., Any]:
    def spoiled(item: Item, *, token: int) -> changes.Change:
        change = release(item, token=token)
        return evolve(change, item=evolve(change.item, token=0))

    return spoiled


def recording_twice(complete: Callable[..., Any]) -> Callable[..., Any]:
    def spoiled(item: Item, **options: Any) -> changes.Change | None:
        if item.status.is_terminal:
            item = evolve(item, status=ItemStatus.SAVING, owner="w1")
        return complete(item, **options)

    return spoiled


def keeping_the_error(move: Callable[..., Any]) -> Callable[..., Any]:
    def spoiled(item: Item, status: ItemStatus, **options: Any) -> changes.Change:
        change = move(item, status, **options)
        return evolve(change, item=evolve(change.item, error=item.error))

    return spoiled


def without_the_item(tally: Callable[..., Any]) -> Callable[..., Any]:
    def spoiled(made: Sequence[changes.Change]) -> Any:
        counters = tally(made)
        counters.pop("partial", None)
        return counters

    return spoiled


def in_local_time(at: Callable[[float], Any]) -> Callable[[float], Any]:
    return lambda now: at(now).replace(tzinfo=None)


def adding_outputs(output_tally: Callable[..., Any]) -> Callable[..., Any]:
    return lambda old, new: output_tally((), new)


@pytest.mark.parametrize(
    ("function", "spoil", "promise"),
    [
        ("is_claimable", with_lease_at_its_end, "a_lease_holds_until_its_end"),
        ("complete", without_fencing, "a_newer_claim_wins"),
        ("fail", without_fencing, "a_late_repeat_is_refused"),
        ("release", counting_the_attempt, "a_release_hands_back"),
        ("release", with_tokens_that_fall, "tokens_rise_and_never_fall"),
        ("complete", recording_twice, "an_outcome_is_recorded_once"),
        ("move", keeping_the_error, "a_retry_begins_anew"),
        ("tally", without_the_item, "counters_are_right_after_every_step"),
        ("at", in_local_time, "times_are_the_clocks"),
        ("output_tally", adding_outputs, "outputs_of_a_retry_replace_the_earlier_ones"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_wrong_rule_is_caught(
    monkeypatch: pytest.MonkeyPatch, function: str, spoil: Callable[..., Any], promise: str
) -> None:
    """The promise that a store with one wrong rule breaks says what it saw."""
    breaks(monkeypatch, function, spoil)
    assert anyio.run(broken, MemoryStore, promise)


def run_python(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def test_the_kit_needs_no_pytest() -> None:
    """check_store can be imported and run where no pytest is; the test class says what is missing."""
    script = """
import sys
sys.modules["pytest"] = None
import anyio
from cardanalysis import MemoryStore
from cardanalysis.testing._store_promises import check_store
print(len(anyio.run(check_store, lambda clock: MemoryStore(clock=clock))) > 70)
try:
    import cardanalysis.testing.store_tests
except ModuleNotFoundError as error:
    print(error)
"""
    first, second = run_python(script).splitlines()
    assert first == "True"
    assert "Install pytest" in second
    assert "check_store" in second


def test_a_subclass_must_say_how_to_make_a_store(tmp_path: Any) -> None:
    """Without the fixture make_store the tests of a subclass say what to do."""
    test = tmp_path / "test_forgotten.py"
    test.write_text("from cardanalysis.testing.store_tests import StoreTests\nclass TestMine(StoreTests): pass\n")
    done = run_python(f"import pytest; pytest.main([{str(test)!r}, '-q', '-x', '--rootdir', {str(tmp_path)!r}])")
    assert "Override the fixture make_store" in done
