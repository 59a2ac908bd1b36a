"""The conformance kit itself: it passes a store that keeps its promises, and catches those that do not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from attrs import evolve

from cardanalysis import MemoryStore
from cardanalysis._models import Event, Item, Output, Renewal, Run, Usage
from cardanalysis._status import ItemStatus, RunStatus
from cardanalysis.stores import RunState
from cardanalysis.stores import _changes as changes
from cardanalysis.stores._json import dumps
from cardanalysis.testing._store_promises import HOUSEKEEPING, PROMISES, check_store

NAMES = tuple(promise.__name__ for promise in PROMISES)
OF_HOUSEKEEPING = tuple(promise.__name__ for promise in HOUSEKEEPING)


@pytest.mark.anyio
async def test_a_store_that_keeps_its_promises_passes() -> None:
    """check_store returns the names of all promises, each of which has one."""
    assert await check_store(lambda clock: MemoryStore(clock=clock)) == NAMES
    assert len(set(NAMES)) == len(NAMES) > 90


class KeepsNoHouse(MemoryStore):
    """Can do all for work on a run, and lacks one of the methods besides."""

    restore_run: Any = None


@pytest.mark.anyio
async def test_a_store_need_not_keep_house() -> None:
    """check_store leaves the promises of housekeeping out where the store lacks one of its methods, and lists none."""

    def make_store(clock: Callable[[], float]) -> KeepsNoHouse:
        return KeepsNoHouse(clock=clock)

    assert await check_store(make_store) == NAMES[: -len(OF_HOUSEKEEPING)]
    assert NAMES[-len(OF_HOUSEKEEPING) :] == OF_HOUSEKEEPING


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
        self._state(run_id)._counters[counter] = value + by
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
        state = self._state(run_id)
        for item in state.items(status=ItemStatus.PENDING):
            if item.attempts:
                state._set_item(evolve(item, status=ItemStatus.LOADING, owner=owner))
        return await super().renew(run_id, owner, lease_seconds=lease_seconds)


class NeverStops(MemoryStore):
    async def renew(self, run_id: str, owner: str, *, lease_seconds: float) -> Renewal:
        return evolve(await super().renew(run_id, owner, lease_seconds=lease_seconds), stop=False)


class CompletesInTwoSteps(MemoryStore):
    async def complete_item(self, run_id: str, item_id: str, **options: Any) -> Item:
        item = await super().complete_item(run_id, item_id, **{**options, "outputs": []})
        for _ in range(4):
            await checkpoint()
        state = self._state(run_id)
        state._outputs[item_id] = [(output.kind, dumps(output.data)) for output in options["outputs"]]
        state._counters.update(output.kind for output in options["outputs"])
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


class NeverShortens(MemoryStore):
    async def renew(self, run_id: str, owner: str, *, lease_seconds: float) -> Renewal:
        left = [item.lease_until - self._clock() for item in await self.items(run_id) if item.owner == owner]
        return await super().renew(run_id, owner, lease_seconds=max([lease_seconds, *left]))


class IsDeadWithoutItems(MemoryStore):
    async def renew(self, run_id: str, owner: str, *, lease_seconds: float) -> Renewal:
        before = (await self.get_run(run_id)).heartbeat_at
        renewal = await super().renew(run_id, owner, lease_seconds=lease_seconds)
        if not renewal.held:
            set_heartbeat(self, run_id, before)
        return renewal


class BeatsForNothing(MemoryStore):
    async def claim(self, run_id: str, owner: str, **options: Any) -> list[Item]:
        taken = await super().claim(run_id, owner, **options)
        set_heartbeat(self, run_id, changes.at(self._clock()))
        return taken


class BeatsWithEveryOutcome(MemoryStore):
    async def fail_item(self, run_id: str, item_id: str, **options: Any) -> Item:
        item = await super().fail_item(run_id, item_id, **options)
        set_heartbeat(self, run_id, changes.at(self._clock()))
        return item


def set_heartbeat(store: MemoryStore, run_id: str, time: datetime | None) -> None:
    state = store._state(run_id)
    state._run = evolve(state._run, heartbeat_at=time)


class ReadsTheOldestFirst(MemoryStore):
    async def runs(self, *, after: Run | None = None, limit: int | None = None, **filters: Any) -> list[Run]:
        found = (await super().runs(**filters))[::-1]
        place = 0 if after is None else found.index(after) + 1
        return found[place:][:limit]


class PagesByCreation(MemoryStore):
    async def runs(self, *, after: Run | None = None, limit: int | None = None, **filters: Any) -> list[Run]:
        found = await super().runs(**filters)
        return [run for run in found if after is None or run.created_at < after.created_at][:limit]


class ForgetsTheKind(MemoryStore):
    async def runs(self, *, kind: str | None = None, **options: Any) -> list[Run]:
        return await super().runs(**options)


class HidesWhatIsDeleted(MemoryStore):
    """Gives the old run back when its id is used again."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.deleted: dict[str, RunState] = {}

    async def delete_run(self, run_id: str) -> None:
        state = self._state(run_id)
        await super().delete_run(run_id)
        self.deleted[run_id] = state

    async def create_run(self, run_id: str, **options: Any) -> Run:
        if run_id in self.deleted:
            self._runs[run_id] = self.deleted.pop(run_id)
        return await super().create_run(run_id, **options)


class DeletesNothingQuietly(MemoryStore):
    async def delete_run(self, run_id: str) -> None:
        if run_id in self._runs:
            await super().delete_run(run_id)


class DeletesInTwoSteps(MemoryStore):
    async def delete_run(self, run_id: str) -> None:
        self._state(run_id).check_deletable(now=self._clock())
        self._state(run_id)._outputs.clear()
        for _ in range(4):
            await checkpoint()
        await super().delete_run(run_id)


class FindsInTheNewestRun(MemoryStore):
    async def find_completed(self, item_id: str, *, kind: str, fingerprint: str) -> Item | None:
        for state in reversed(self._runs.values()):
            if item := state.find_completed(item_id, kind=kind, fingerprint=fingerprint):
                return item
        return None


class FindsWhateverItIs(MemoryStore):
    """Forgets to look at the question, or at the status."""

    by_kind, by_fingerprint, in_status = True, True, {ItemStatus.COMPLETED}

    async def find_completed(self, item_id: str, *, kind: str, fingerprint: str) -> Item | None:
        found = [
            item
            for run in await self.runs()
            for item in await self.items(run.id)
            if item.id == item_id
            and item.status in self.in_status
            and (run.kind == kind or not self.by_kind)
            and (run.fingerprint == fingerprint or not self.by_fingerprint)
        ]
        return max(found, key=lambda item: item.finished_at, default=None)


class FindsOtherKinds(FindsWhateverItIs):
    by_kind = False


class FindsOtherFingerprints(FindsWhateverItIs):
    by_fingerprint = False


class FindsParts(FindsWhateverItIs):
    in_status = frozenset({ItemStatus.COMPLETED, ItemStatus.PARTIAL})


class RestoresAnew(MemoryStore):
    async def restore_run(self, run: Run, records: Iterable[Item | Output | Event]) -> Run:
        return await super().restore_run(evolve(run, version=1), records)


class LogsWhatItRestores(MemoryStore):
    async def restore_run(self, run: Run, records: Iterable[Item | Output | Event]) -> Run:
        await super().restore_run(run, records)
        await self.append_event(run.id, "run_restored")
        return await self.get_run(run.id)


class RestoresWithoutTokens(MemoryStore):
    async def restore_run(self, run: Run, records: Iterable[Item | Output | Event]) -> Run:
        anew = (evolve(record, token=0) if isinstance(record, Item) else record for record in records)
        return await super().restore_run(run, anew)


class RestoresOverAnything(MemoryStore):
    async def restore_run(self, run: Run, records: Iterable[Item | Output | Event]) -> Run:
        self._runs.pop(run.id, None)
        return await super().restore_run(run, records)


class RestoresBitByBit(MemoryStore):
    async def restore_run(self, run: Run, records: Iterable[Item | Output | Event]) -> Run:
        changes.check_new(run.id, exists=run.id in self._runs)
        state = self._runs[run.id] = RunState(run)
        for record in records:
            state._put_back(record)
            await checkpoint()
        return state.view()


class RestoresOnTheLoop(MemoryStore):
    async def restore_run(self, run: Run, records: Iterable[Item | Output | Event]) -> Run:
        return await super().restore_run(run, list(records))


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
        (NeverShortens, "a_renewal_may_shorten_a_lease"),
        (IsDeadWithoutItems, "a_renewal_is_a_heartbeat"),
        (BeatsForNothing, "a_claim_that_gives_something_is_a_heartbeat"),
        (BeatsWithEveryOutcome, "what_is_no_sign_of_life_is_no_heartbeat"),
        (ReadsTheOldestFirst, "runs_are_read_newest_first"),
        (PagesByCreation, "runs_are_read_newest_first"),
        (ForgetsTheKind, "runs_are_read_by_kind_and_status"),
        (HidesWhatIsDeleted, "deleting_a_run_deletes_everything"),
        (DeletesNothingQuietly, "an_unknown_run_cannot_be_deleted"),
        (DeletesInTwoSteps, "cancelled_housekeeping_happens_wholly_or_not_at_all"),
        (FindsInTheNewestRun, "what_was_completed_last_is_found"),
        (FindsOtherKinds, "only_what_answers_the_same_question_is_found"),
        (FindsOtherFingerprints, "only_what_answers_the_same_question_is_found"),
        (FindsParts, "only_what_is_completed_is_found"),
        (RestoresAnew, "a_restored_run_is_as_it_was"),
        (LogsWhatItRestores, "an_empty_run_can_be_restored"),
        (RestoresWithoutTokens, "work_goes_on_in_a_restored_run"),
        (RestoresOverAnything, "a_run_is_not_restored_over_another"),
        (RestoresBitByBit, "a_failing_restore_leaves_nothing"),
        (RestoresBitByBit, "cancelled_housekeeping_happens_wholly_or_not_at_all"),
        (RestoresOnTheLoop, "records_are_read_beside_the_event_loop"),
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
    def spoiled(item: Item, **options: Any) -> changes.Change:
        change = release(item, **options)
        return evolve(change, item=evolve(change.item, attempts=item.attempts))

    return spoiled


def with_tokens_that_fall(release: Callable[..., Any]) -> Callable[..., Any]:
    def spoiled(item: Item, **options: Any) -> changes.Change:
        change = release(item, **options)
        return evolve(change, item=evolve(change.item, token=0))

    return spoiled


def for_nothing(release: Callable[..., Any]) -> Callable[..., Any]:
    return lambda item, **options: release(item, **{**options, "usage": None})


def at_the_items_cost(release: Callable[..., Any]) -> Callable[..., Any]:
    return lambda item, **options: evolve(release(item, **options), usage=changes.NO_USAGE)


def of_what_was_spent_last(release: Callable[..., Any]) -> Callable[..., Any]:
    def spoiled(item: Item, **options: Any) -> changes.Change:
        change = release(item, **options)
        return evolve(change, item=evolve(change.item, usage=options["usage"] or changes.NO_USAGE))

    return spoiled


def without_a_word(release: Callable[..., Any]) -> Callable[..., Any]:
    def spoiled(item: Item, **options: Any) -> changes.Change:
        change = release(item, **options)
        return evolve(change, data={name: value for name, value in change.data.items() if name != "usage"})

    return spoiled


def guessing_costs(release: Callable[..., Any]) -> Callable[..., Any]:
    def spoiled(item: Item, *, usage: Usage | None, **options: Any) -> changes.Change:
        return release(item, usage=evolve(usage, cost=usage.cost or 0.0) if usage else None, **options)

    return spoiled


def telling_of_nothing(release: Callable[..., Any]) -> Callable[..., Any]:
    def spoiled(item: Item, **options: Any) -> changes.Change:
        change = release(item, **options)
        return evolve(change, data={"usage": {}, **change.data})

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


def for_good(move_run: Callable[..., Any]) -> Callable[..., Any]:
    def spoiled(run: Run, status: RunStatus, *, now: float, **options: Any) -> Run:
        return evolve(move_run(run, status, now=now, **options), heartbeat_at=changes.at(now))

    return spoiled


def without_looking(check: Callable[..., None]) -> Callable[..., None]:
    return lambda *args, **options: None


def forgetting_what_it_keeps(fail: Callable[..., Any]) -> Callable[..., Any]:
    return lambda item, **options: fail(item, **{**options, "keeps_outputs": False})


def also_at_the_end(is_stale: Callable[..., bool]) -> Callable[..., bool]:
    return lambda run, *, seconds, now: is_stale(run, seconds=seconds - 0.5, now=now)


def whatever_its_status(is_stale: Callable[..., bool]) -> Callable[..., bool]:
    return lambda run, **options: is_stale(evolve(run, status=RunStatus.RUNNING), **options)


@pytest.mark.parametrize(
    ("function", "spoil", "promise"),
    [
        ("is_claimable", with_lease_at_its_end, "a_lease_holds_until_its_end"),
        ("complete", without_fencing, "a_newer_claim_wins"),
        ("fail", without_fencing, "a_late_repeat_is_refused"),
        ("release", counting_the_attempt, "a_release_hands_back"),
        ("release", with_tokens_that_fall, "tokens_rise_and_never_fall"),
        ("release", for_nothing, "what_a_release_had_cost_is_kept"),
        ("release", at_the_items_cost, "what_a_release_had_cost_is_kept"),
        ("release", of_what_was_spent_last, "what_a_release_had_cost_is_kept"),
        ("release", without_a_word, "what_a_release_had_cost_is_kept"),
        ("release", telling_of_nothing, "a_release_that_cost_nothing_adds_nothing"),
        ("release", guessing_costs, "an_unknown_cost_of_a_release_stays_unknown"),
        ("release", without_fencing, "what_is_over_costs_nothing_more"),
        ("complete", recording_twice, "an_outcome_is_recorded_once"),
        ("move", keeping_the_error, "a_retry_begins_anew"),
        ("tally", without_the_item, "counters_are_right_after_every_step"),
        ("at", in_local_time, "times_are_the_clocks"),
        ("output_tally", adding_outputs, "outputs_of_a_retry_replace_the_earlier_ones"),
        ("move_run", for_good, "a_run_that_begins_has_a_heartbeat"),
        ("check_text", without_looking, "what_makes_no_sense_is_refused"),
        ("check_limit", without_looking, "what_makes_no_sense_is_refused"),
        ("check_lease", without_looking, "what_makes_no_sense_is_refused"),
        ("check_counter", without_looking, "the_stores_own_counters_are_its_own"),
        ("fail", forgetting_what_it_keeps, "a_failed_retry_keeps_what_there_was"),
        ("is_stale", also_at_the_end, "a_run_that_is_silent_for_long_is_stale"),
        ("is_stale", whatever_its_status, "only_a_running_run_is_stale"),
        ("check_limit", without_looking, "fewer_runs_than_none_are_refused"),
        ("check_deletable", without_looking, "a_running_run_is_not_deleted"),
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


def test_promises_of_housekeeping_are_skipped(tmp_path: Any) -> None:
    """The tests of a subclass whose store does not keep house skip those promises, and say why."""
    test = tmp_path / "test_no_house.py"
    test.write_text("""
import pytest
from cardanalysis import MemoryStore
from cardanalysis.testing.store_tests import StoreTests

class Store(MemoryStore):
    runs = None

class TestMine(StoreTests):
    @pytest.fixture
    def make_store(self):
        return lambda clock: Store(clock=clock)

    @pytest.fixture
    def anyio_backend(self):
        return "asyncio"
""")
    done = run_python(f"import pytest; pytest.main([{str(test)!r}, '-q', '-rs', '--rootdir', {str(tmp_path)!r}])")
    assert f"{len(NAMES) - len(OF_HOUSEKEEPING)} passed, {len(OF_HOUSEKEEPING)} skipped" in done
    assert "no cardanalysis.abc.Housekeeping" in done


def test_a_subclass_must_say_how_to_make_a_store(tmp_path: Any) -> None:
    """Without the fixture make_store the tests of a subclass say what to do."""
    test = tmp_path / "test_forgotten.py"
    test.write_text("from cardanalysis.testing.store_tests import StoreTests\nclass TestMine(StoreTests): pass\n")
    done = run_python(f"import pytest; pytest.main([{str(test)!r}, '-q', '-x', '--rootdir', {str(tmp_path)!r}])")
    assert "Override the fixture make_store" in done


@pytest.mark.anyio
async def test_a_call_that_waits_for_ever_is_told() -> None:
    """A promise that does not end is broken, and the others are checked all the same."""

    class Waits(MemoryStore):
        async def increment(self, run_id: str, counter: str, by: int = 1) -> int:
            await anyio.sleep_forever()
            raise AssertionError

    with pytest.raises(AssertionError, match=r"did not end within 0\.01 seconds") as caught:
        await check_store(lambda clock: Waits(clock=clock), promise_timeout=0.01)
    assert "increments_count" in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: MemoryStore(), "it raised TypeError"),
        (lambda clock: None, "it returned NoneType"),
        (MemoryStore, "it raised TypeError"),
    ],
)
async def test_what_makes_no_store_is_told_once(make: Any, told: str) -> None:
    """A mistake in making the store is one line, and not one for each promise."""
    with pytest.raises(AssertionError, match="make_store must take a clock") as caught:
        await check_store(make)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.anyio
async def test_a_method_that_is_not_async_is_named() -> None:
    """A store whose method is no coroutine function, or is missing, is told by the method's name."""

    class Plain(MemoryStore):
        release = None  # type: ignore[assignment]

        def increment(self, run_id: str, counter: str, by: int = 1) -> int:  # type: ignore[override]
            return by

    with pytest.raises(AssertionError, match="Plain has no async method release, increment"):
        await check_store(lambda clock: Plain(clock=clock))


@pytest.mark.anyio
async def test_a_store_that_hands_its_calls_on_is_checked_as_a_whole() -> None:
    """Housekeeping is found by its methods, also where they are those of another store behind this one."""

    class Handing:
        def __init__(self, clock: Callable[[], float]) -> None:
            self._store = MemoryStore(clock=clock)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        async def __aenter__(self) -> Any:
            return self

        async def __aexit__(self, *error: object) -> None:
            pass

    assert "deleting_a_run_deletes_everything" in await check_store(Handing)
