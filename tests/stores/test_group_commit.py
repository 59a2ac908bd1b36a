"""Many writers, one commit: who leads, what errors do, and what is left of a cancelled writer."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial

import anyio
import pytest
import trio
import trio.testing
from anyio.lowlevel import checkpoint

from cardanalysis import StoreError
from cardanalysis.stores._group_commit import GroupCommit, Write


class Ledger:
    """Commits writes to a list, one batch at a time, and only while its gate is open."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.batches: list[list[str]] = []
        self.fails: BaseException | None = None
        self._busy = threading.Lock()

    def commit(self, batch: Sequence[Write[Ledger]]) -> None:
        assert self._busy.acquire(blocking=False), "two threads commit at once"
        try:
            self.entered.set()
            assert self.gate.wait(30)
            if self.fails is not None:
                raise self.fails
            self.batches.append([])
            for write in batch:
                try:
                    write.result = write.work(self)
                except Exception as error:
                    write.error = error
        finally:
            self._busy.release()

    @property
    def written(self) -> list[str]:
        return [name for batch in self.batches for name in batch]


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger()
    yield ledger
    ledger.gate.set()


@pytest.fixture
def writes(ledger: Ledger) -> GroupCommit[Ledger]:
    return GroupCommit(ledger.commit)


def writing(name: str) -> Callable[[Ledger], str]:
    def work(ledger: Ledger) -> str:
        ledger.batches[-1].append(name)
        return name.upper()

    return work


async def all_results(*calls: Callable[[], Awaitable[str]]) -> list[str | BaseException]:
    results: list[str | BaseException] = [RuntimeError("never ended")] * len(calls)

    async def run(place: int) -> None:
        try:
            results[place] = await calls[place]()
        except Exception as error:
            results[place] = error

    async with anyio.create_task_group() as tasks:
        for place in range(len(calls)):
            tasks.start_soon(run, place)
    return results


@pytest.mark.anyio
async def test_a_write_is_committed_and_answered(ledger: Ledger, writes: GroupCommit[Ledger]) -> None:
    """`run` returns what the work returned, and one write after the other is a batch of its own."""
    assert [await writes.run(writing("a")), await writes.run(writing("b"))] == ["A", "B"]
    assert ledger.batches == [["a"], ["b"]]


@pytest.mark.anyio
async def test_writes_that_come_during_a_commit_share_the_next(ledger: Ledger, writes: GroupCommit[Ledger]) -> None:
    """The first leads alone; all that queue up meanwhile are one batch, in the order in which they came."""
    ledger.gate.clear()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(writes.run, writing("a"))
        await anyio.to_thread.run_sync(ledger.entered.wait, 30)
        for name in "bcd":
            tasks.start_soon(writes.run, writing(name))
            await anyio.wait_all_tasks_blocked()
        ledger.gate.set()
    assert ledger.batches == [["a"], ["b", "c", "d"]]


@pytest.mark.anyio
async def test_a_batch_is_not_endless(ledger: Ledger, writes: GroupCommit[Ledger]) -> None:
    """At most 256 writes are committed together, and the rest follow in order."""
    ledger.gate.clear()
    names = [f"{number:03}" for number in range(600)]
    async with anyio.create_task_group() as tasks:
        for name in ["first", *names]:
            tasks.start_soon(writes.run, writing(name))
        await anyio.wait_all_tasks_blocked()
        ledger.gate.set()
    assert sorted(ledger.written) == sorted(["first", *names])
    assert max(map(len, ledger.batches)) == 256
    assert len(ledger.batches) in (3, 4)


@pytest.mark.anyio
async def test_many_rounds_answer_everybody(ledger: Ledger, writes: GroupCommit[Ledger]) -> None:
    """However the lead changes hands, every writer gets its own answer, and each write happens once."""

    async def write_many(writer: int) -> None:
        for number in range(20):
            name = f"{writer}-{number}"
            assert await writes.run(writing(name)) == name.upper()
            for _ in range(number % 3):
                await checkpoint()

    async with anyio.create_task_group() as tasks:
        for writer in range(15):
            tasks.start_soon(write_many, writer)
    assert sorted(ledger.written) == sorted(f"{writer}-{number}" for writer in range(15) for number in range(20))


@pytest.mark.anyio
async def test_an_error_of_one_work_is_its_callers_alone(ledger: Ledger, writes: GroupCommit[Ledger]) -> None:
    """A write that raises tells only its caller; its neighbours in the batch are answered."""

    def poison(_: Ledger) -> str:
        raise LookupError("poison")

    calls = [partial(writes.run, work) for work in (writing("a"), writing("b"), poison, writing("c"))]
    results = await all_results(*calls)
    assert [result for result in results if isinstance(result, str)] == ["A", "B", "C"]
    assert isinstance(results[2], LookupError)


@pytest.mark.anyio
async def test_a_failed_commit_is_told_to_everybody(ledger: Ledger, writes: GroupCommit[Ledger]) -> None:
    """When a commit raises, no writer of the batch takes it for a success, and the next writers are served."""
    ledger.fails = OSError("the disk is gone")
    ledger.gate.clear()
    results: list[str | BaseException] = []

    async def fail() -> None:
        results.extend(await all_results(*[partial(writes.run, writing(name)) for name in "abcd"]))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fail)
        await anyio.wait_all_tasks_blocked()
        ledger.gate.set()
    assert [type(result) for result in results] == [OSError] * 4
    ledger.fails = None
    assert await writes.run(writing("after")) == "AFTER"
    assert ledger.written == ["after"]


@pytest.mark.anyio
async def test_who_is_cancelled_already_writes_nothing(ledger: Ledger, writes: GroupCommit[Ledger]) -> None:
    """A cancelled caller does not even queue up."""
    with anyio.CancelScope() as scope:
        scope.cancel()
        await writes.run(writing("never"))
    assert scope.cancelled_caught
    await writes.run(writing("next"))
    assert ledger.batches == [["next"]]


@pytest.mark.anyio
async def test_a_queued_write_outlasts_its_cancelled_callers(ledger: Ledger, writes: GroupCommit[Ledger]) -> None:
    """Callers that are cancelled while they lead or wait get their answer first, and the others theirs."""
    ledger.gate.clear()
    answers: list[str] = []

    async def write(name: str) -> None:
        answers.append(await writes.run(writing(name)))

    async with anyio.create_task_group() as others:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as cancelled:
                cancelled.start_soon(write, "a")
                await anyio.to_thread.run_sync(ledger.entered.wait, 30)
                cancelled.start_soon(write, "b")
                await anyio.wait_all_tasks_blocked()
                others.start_soon(write, "c")
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
                ledger.gate.set()
    assert sorted(answers) == ["A", "B", "C"]
    assert ledger.batches == [["a"], ["b", "c"]]


@pytest.mark.parametrize("cancelled", [(0,), (1,), (2,), (0, 1), (1, 3), (0, 1, 2, 3, 4)], ids=str)
@pytest.mark.parametrize("times", [1, 3])
def test_a_bare_cancel_of_asyncio_leaves_nobody_waiting(ledger: Ledger, cancelled: Sequence[int], times: int) -> None:
    """`task.cancel()` on the leader or on waiting writers is raised in them, after their write, and nowhere else."""

    async def main() -> None:
        writes = GroupCommit(ledger.commit)
        ledger.gate.clear()
        tasks = [asyncio.create_task(writes.run(writing(name))) for name in "abcde"]
        assert await asyncio.to_thread(ledger.entered.wait, 30)
        for _ in range(times):
            for number in cancelled:
                tasks[number].cancel()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        ledger.gate.set()
        results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 30)
        for number, (name, result) in enumerate(zip("abcde", results, strict=True)):
            assert isinstance(result, asyncio.CancelledError) if number in cancelled else result == name.upper()
        assert await asyncio.wait_for(writes.run(writing("after")), 30) == "AFTER"

    asyncio.run(main())
    assert ledger.written == [*"abcde", "after"]


def test_a_timeout_of_asyncio_waits_for_the_outcome(ledger: Ledger) -> None:
    """`asyncio.timeout` raises TimeoutError when the write has happened, not while it may still happen."""

    async def main() -> None:
        writes = GroupCommit(ledger.commit)
        ledger.gate.clear()
        opening = asyncio.get_running_loop().call_later(0.05, ledger.gate.set)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await writes.run(writing("a"))
        assert ledger.written == ["a"]
        opening.cancel()

    asyncio.run(main())


def test_ctrl_c_in_trio_leaves_nobody_waiting(ledger: Ledger) -> None:
    """A KeyboardInterrupt in a task that waits for its turn is raised when its write has happened."""

    async def main() -> None:
        writes = GroupCommit(ledger.commit)
        ledger.gate.clear()
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(writes.run, writing("a"))
                await trio.to_thread.run_sync(ledger.entered.wait, 30)
                nursery.start_soon(interrupt)
                with pytest.raises(KeyboardInterrupt):
                    await writes.run(writing("b"))
            assert await writes.run(writing("c")) == "C"

    @trio.lowlevel.enable_ki_protection  # so that it is trio that gets the signal and interrupts the main task
    def press_ctrl_c() -> None:
        signal.raise_signal(signal.SIGINT)

    async def interrupt() -> None:
        press_ctrl_c()
        await trio.testing.wait_all_tasks_blocked()
        ledger.gate.set()

    trio.run(main)
    assert ledger.batches == [["a"], ["b"], ["c"]]


@pytest.mark.anyio
async def test_no_thread_is_to_be_had(
    ledger: Ledger, writes: GroupCommit[Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When no worker thread can be started every writer is told, and later writers are served."""

    async def refuse(*_: object, **__: object) -> None:
        await checkpoint()
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr("cardanalysis.stores._threads.to_thread.run_sync", refuse)
        results = await all_results(*[partial(writes.run, writing(name)) for name in "abc"])
    assert [type(result) for result in results] == [RuntimeError] * 3
    assert await writes.run(writing("after")) == "AFTER"
    assert ledger.batches == [["after"]]


@pytest.mark.anyio
async def test_everybody_has_an_error_of_his_own(ledger: Ledger, writes: GroupCommit[Ledger]) -> None:
    """Callers of a batch that failed raise errors of the same kind and text, but not one and the same object."""
    ledger.fails = StoreError("The disk is gone.", code="io_error")
    ledger.gate.clear()
    errors: dict[str, StoreError] = {}

    async def write(name: str) -> None:
        try:
            await writes.run(writing(name))
        except StoreError as error:
            errors[name] = error

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write, "first")
        await anyio.wait_all_tasks_blocked()
        for name in "abc":  # they share a batch
            tasks.start_soon(write, name)
        await anyio.wait_all_tasks_blocked()
        ledger.gate.set()
    shared = [errors[name] for name in "abc"]
    assert [(str(error), error.code) for error in shared] == [("The disk is gone.", "io_error")] * 3
    assert len({id(error) for error in shared}) == 3


@pytest.mark.parametrize("first", ["scope", "task"])
@pytest.mark.parametrize("waits", [False, True], ids=["leads", "waits"])
def test_a_bare_cancel_beside_a_cancelled_scope_is_not_lost(ledger: Ledger, first: str, waits: bool) -> None:
    """`task.cancel()` comes once, so that it is raised also where a scope around the call was cancelled as well."""

    async def main() -> None:
        writes = GroupCommit(ledger.commit)
        ledger.gate.clear()
        leading = asyncio.create_task(writes.run(writing("leader"))) if waits else None
        await asyncio.sleep(0)
        scopes: list[anyio.CancelScope] = []

        async def call() -> str:
            with anyio.CancelScope() as scope:
                scopes.append(scope)
                await writes.run(writing("a"))
            await asyncio.sleep(0)
            return "went on"

        task = asyncio.create_task(call())
        await asyncio.to_thread(ledger.entered.wait, 30)
        cancels = [scopes[0].cancel, task.cancel] if first == "scope" else [task.cancel, scopes[0].cancel]
        for cancel in cancels:
            cancel()
            for _ in range(3):
                await asyncio.sleep(0)
        ledger.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        if leading is not None:
            await leading

    asyncio.run(main())
    assert "a" in ledger.written


def test_a_thread_that_cannot_be_started_again_is_waited_for(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a bare cancel no second thread is needed: the first one goes on, and what it did is told."""
    starts: list[int] = []
    run_sync = anyio.to_thread.run_sync

    async def start_once(*arguments: object, **options: object) -> object:
        starts.append(1)
        if len(starts) > 1:
            raise RuntimeError("can't start new thread")
        return await run_sync(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("cardanalysis.stores._threads.to_thread.run_sync", start_once)

    async def main() -> None:
        writes = GroupCommit(ledger.commit)
        ledger.gate.clear()
        task = asyncio.create_task(writes.run(writing("a")))
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, ledger.entered.wait, 30)
        task.cancel()
        loop.call_later(0.05, ledger.gate.set)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert (ledger.written, len(starts)) == (["a"], 1)
