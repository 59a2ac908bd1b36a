"""A ceiling that several processes share on one SQLite file, and one of them that is killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

from cardanalysis import SQLiteStore
from cardanalysis._budget import COMMITTED, Budget
from cardanalysis._clock import Clock
from cardanalysis._errors import RunStopped

WORKER = textwrap.dedent("""
    import random
    import sys
    import anyio

    from cardanalysis import SQLiteStore
    from cardanalysis._budget import Budget
    from cardanalysis._errors import RunStopped

    spent = 0

    async def request(budget, rng):
        global spent
        while True:
            worst = rng.randint(1, 50_000_000)
            try:
                reservation = await budget.reserve(worst / 1e9)
            except RunStopped:
                return
            cost = rng.randint(0, worst)
            spent += cost
            await anyio.sleep(0)
            await reservation.settle(cost / 1e9)

    async def spend(store):
        budget, rng = Budget(store, "run", 0.5), random.Random(int(sys.argv[3]))
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(request, budget, rng)
        print(spent, flush=True)

    async def die(store):
        reservation = await Budget(store, "run", 0.5).reserve(0.3)
        print("reserved", flush=True)
        sys.stdin.readline()

    async def main():
        async with SQLiteStore(sys.argv[1]) as store:
            await store.create_run("run", kind="test", fingerprint="f", asked={})
            print("ready", flush=True)
            sys.stdin.readline()
            await globals()[sys.argv[2]](store)

    anyio.run(main, backend=sys.argv[4])
""")


@contextmanager
def worker(path: Path, what: str, seed: int, backend: str) -> Iterator[subprocess.Popen[str]]:
    arguments = [sys.executable, "-c", WORKER, str(path), what, str(seed), backend]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert line(process) == "ready"
            yield process
        finally:
            process.kill()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def go(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


async def committed(path: Path) -> int:
    async with SQLiteStore(path) as store:
        return (await store.get_run("run")).counters[COMMITTED]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cards.db"


def test_two_processes_never_pass_the_ceiling(path: Path) -> None:
    """Sixteen tasks of two processes, on two event loops, spend until they are refused: near the ceiling, not past."""
    with worker(path, "spend", 1, "asyncio") as one, worker(path, "spend", 2, "trio") as other:
        go(one, other)
        spent = int(line(one)) + int(line(other))
    assert 400_000_000 < spent <= 500_000_000
    assert anyio.run(committed, path) == spent


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_what_a_killed_process_put_aside_counts_as_spent(path: Path) -> None:
    """Nobody knows whether its request was billed, so its worst case stays, also for who resumes the run."""

    async def resume() -> None:
        async with SQLiteStore(path) as store:
            budget = Budget(store, "run", 0.5, clock=Clock(speed=1000))
            await budget.begin(await store.get_run("run"))
            with pytest.raises(RunStopped, match=r"\$0\.30 is spent or put aside"):
                await budget.reserve(0.3)
            await budget.reserve(0.2)

    with worker(path, "die", 0, "asyncio") as process:
        go(process)
        assert line(process) == "reserved"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert anyio.run(committed, path) == 300_000_000
    anyio.run(resume)
