"""Several processes on one SQLite file: they share runs exactly, and one that is killed loses nothing it was told."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import anyio
import pytest

from cardanalysis import SQLiteStore
from cardanalysis._models import NewItem
from cardanalysis.testing._store_promises_trial import ManualClock, Snapshot, Trial

WORKER = textwrap.dedent("""
    import sys
    import anyio

    from cardanalysis import SQLiteStore
    from cardanalysis._models import NewOutput, Usage
    from cardanalysis._owner import new_owner

    async def count(store):
        for _ in range(100):
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(store.increment, "run", "n")

    async def claim(store):
        while claimed := await store.claim("run", "w" + sys.argv[2], lease_seconds=600, limit=7):
            print(*(item.id for item in claimed))

    async def complete(store):
        owner = new_owner()

        async def work():
            while claimed := await store.claim("run", owner, lease_seconds=600):
                item = claimed[0]
                outputs = [NewOutput(kind="cards", data={"title": item.id, "n": n}) for n in range(3)]
                usage = Usage(requests=1, cost=0.001)
                await store.complete_item("run", item.id, token=item.token, outputs=outputs, usage=usage)
                print(item.id, flush=True)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(work)

    async def hold(store):
        claimed = await store.claim("run", new_owner(), lease_seconds=600, limit=9)
        print(*(item.id for item in claimed), flush=True)
        sys.stdin.readline()

    async def main():
        async with SQLiteStore(sys.argv[1]) as store:
            await store.create_run("run", kind="test", fingerprint="f", asked={})
            print("ready", flush=True)
            sys.stdin.readline()
            await globals()[sys.argv[3]](store)

    anyio.run(main, backend=sys.argv[4])
""")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cards.db"


@pytest.fixture(params=["asyncio", "trio"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


Start = Callable[[int, str], list["subprocess.Popen[str]"]]


@pytest.fixture
def start(path: Path, backend: str) -> Iterator[Start]:
    """Starts workers, and lets them all go when all have opened the store; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(number: int, work: str) -> list[subprocess.Popen[str]]:
        for each in range(number):
            command = [sys.executable, "-c", WORKER, str(path), str(each), work, backend]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            started.append(subprocess.Popen(command, text=True, **pipes))
        workers = started[-number:]
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n", worker.communicate()
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        return workers

    yield start
    for worker in started:
        worker.kill()
        worker.communicate()


def outputs_of(workers: Sequence[subprocess.Popen[str]]) -> list[list[str]]:
    """What each worker printed, once all have ended well."""
    printed = []
    for worker in workers:
        out, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors
        printed.append(out.split())
    return printed


def prepare(path: Path, items: int) -> list[str]:
    names = [f"{number:04}" for number in range(items)]

    async def main() -> None:
        async with SQLiteStore(path) as store:
            await store.create_run("run", kind="test", fingerprint="f", asked={})
            await store.add_items("run", [NewItem(id=each, name=each, position=n) for n, each in enumerate(names)])

    anyio.run(main)
    return names


def checked(path: Path) -> Snapshot:
    """Everything in the file, which is whole and whose sums are right."""

    async def main() -> Snapshot:
        async with SQLiteStore(path) as store:
            return await Trial(store, ManualClock()).check_sums("after the processes")

    snapshot = anyio.run(main)
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()
    return snapshot


def test_processes_lose_no_increment(path: Path, start: Start) -> None:
    """Four processes that make the store and add 500 times each, five at a time, count exactly 2000."""
    outputs_of(start(4, "count"))
    assert dict(checked(path).run.counters) == {"n": 2000}


def test_processes_share_no_item(path: Path, start: Start) -> None:
    """Three processes that claim from one run get every item exactly once."""
    names = prepare(path, 500)
    claimed = outputs_of(start(3, "claim"))
    assert sorted(name for each in claimed for name in each) == names
    owners = {name: f"w{number}" for number, each in enumerate(claimed) for name in each}
    assert {item.id: item.owner for item in checked(path).items} == owners


def test_what_a_killed_process_was_told_is_there(path: Path, start: Start) -> None:
    """Of a process that is killed at work every result it was told of is stored, and no half of any other."""
    names = prepare(path, 2000)
    told: set[str] = set()
    for acknowledged in (1, 37, 120):
        (worker,) = start(1, "complete")
        assert worker.stdout is not None
        told |= {worker.stdout.readline().strip() for _ in range(acknowledged)}
        worker.kill()
        told |= set(worker.communicate()[0].split()[:-1])  # the last line may be cut off
        assert worker.returncode == -signal.SIGKILL

        now = checked(path)
        done = {item.id for item in now.items if item.status == "completed"}
        assert told <= done
        assert len(done) < len(names)
        assert len(done - told) <= 3 * 3 * 2
        stored = [(output.item_id, output.data["title"], output.data["n"]) for output in now.outputs]
        assert stored == [(each, each, n) for each in sorted(done) for n in range(3)]


def test_the_items_of_a_killed_process_can_be_claimed_at_once(path: Path, start: Start) -> None:
    """Its leases have minutes to go, but its owner is known to be dead; while it lives they are its own."""
    names = prepare(path, 5)
    (worker,) = start(1, "hold")
    assert worker.stdout is not None
    assert worker.stdout.readline().split() == names

    async def claim() -> list[str]:
        async with SQLiteStore(path) as store:
            return [item.id for item in await store.claim("run", "another", lease_seconds=60, limit=9)]

    assert anyio.run(claim) == []
    worker.kill()
    worker.wait(60)
    assert anyio.run(claim) == names
    assert {item.attempts for item in checked(path).items} == {2}
