"""The processes of the fault tests: a server that forks, and what the forked ones do. It is run as a script."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sqlite3
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import fault_power
import trio
from fault_kit import RUN, NotingAnalyzer, NotingStore, is_commit, name_of, nothing, noting, uploads, watched

import cardanalysis.loading
from cardanalysis import SQLiteStore, StoreError, analyze_cards
from cardanalysis.stores import _sqlite_file

alive: list[Any] = []
"""What must not be collected before the process ends."""
_IMPORTED = (cardanalysis.loading, trio)  # at once, and not in every process anew


# -- the server ----------------------------------------------------------------------------------------------


def serve(number: int) -> None:
    """Fork a process for each request until the other side is gone; then end all that still run."""
    running: set[int] = set()
    with socket.socket(fileno=number) as channel:
        while True:
            data, files, _, _ = socket.recv_fds(channel, 65536, 3)
            if not data:
                break
            request = json.loads(data)
            if "wait" in request:
                _, status = os.waitpid(request["wait"], 0)
                running.discard(request["wait"])
                answer = os.waitstatus_to_exitcode(status)
            else:
                answer = os.fork()
                if answer == 0:
                    channel.close()
                    become(JOBS[request["job"]], request["options"], files)
                running.add(answer)
                for file in files:
                    os.close(file)
            channel.send(json.dumps(answer).encode())
    for pid in running:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def become(job: Callable[..., None], options: dict[str, Any], files: list[int]) -> None:
    """Do a job in a process that was just forked, and end."""
    code = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        job(**options)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201 - to the test


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# -- runs ----------------------------------------------------------------------------------------------------


def analyze(  # noqa: C901 - one job with many faults
    path: str,
    backend: str,
    count: int,
    limit: int = 1,
    notes: str | None = None,
    lease: float = 60.0,
    latency: float = 0.0,
    padding: int = 0,
    mark: str = "",
    die_at: list[Any] | None = None,
    wait_at: list[str] | None = None,
    trace: str | None = None,
    most_bytes: int | None = None,
    user: int | None = None,
    synchronous: str = "FULL",
    keep_synced: str | None = None,
    rows_in_log: int | None = None,
    say_at: int | None = None,
) -> None:
    """Analyze documents in the one run, and say how that ended.

    Args:
        path: The store.
        backend: The event loop.
        count: How many documents.
        limit: How many at once.
        notes: The file in which to note what is done.
        lease: Seconds of the leases.
        latency: Seconds that each document takes.
        padding: Characters of each card.
        mark: What the titles end with.
        die_at: When to be killed: the document, and a word that is noted of it, or the statement of its completion
            before which to die, counted from 0; when there are no more statements, as soon as the last one was run.
        wait_at: When to say so and wait until a file is there: the word, the document and the file.
        trace: Say the statements of this document's completion.
        most_bytes: How large a file may become.
        user: The user to become first.
        synchronous: How durable the store is; it is said if anything is kept.
        keep_synced: The folder in which to keep what was synced.
        rows_in_log: After how many rows the log is written back.
        say_at: Say so when so many completions were acknowledged.
    """
    if most_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    tracer = Tracer(trace, die_at)
    if trace or die_at:
        sqlite3.connect = watched(tracer.before, tracer.after)  # type: ignore[assignment]
    connections: list[sqlite3.Connection] = []
    if keep_synced is not None:
        alive.append(fault_power.keep_synced(Path(keep_synced)))
        sqlite3.connect = watched(nothing, nothing, connections)  # type: ignore[assignment]
    if rows_in_log is not None:
        _sqlite_file._ROWS_IN_LOG = rows_in_log  # type: ignore[misc]
    write = noting(notes)
    words: Counter[str] = Counter()
    if user is not None:
        anyio.run(warm_up, backend=backend)
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)

    def note(word: str, name: str) -> None:
        write(word, name)
        if die_at == [name, word]:
            die()
        tracer.noted(word, name)
        words[word] += 1
        if word == "acknowledged" and words[word] == say_at:
            say(say_at, "acknowledged")

    async def main() -> None:
        analyzer = Waiting(note, wait_at, mark=mark, padding=padding, latency=latency)
        try:
            async with WaitingStore(path, note, wait_at, synchronous=synchronous) as store:
                if connections:
                    levels = [each.execute("PRAGMA synchronous").fetchone()[0] for each in connections]
                    say("synchronous", min(levels))
                run = await analyze_cards(
                    uploads(count), store, limit, analyzer=analyzer, run_id=RUN, lease_seconds=lease, collect=False
                )
        except StoreError as error:
            say("error", error.code)
        else:
            say("ended", run.status)

    anyio.run(main, backend=backend)
    if trace:
        say(json.dumps(tracer.statements))


async def warm_up() -> None:
    """Have everything imported: another user may not be able to read it."""
    async with SQLiteStore(":memory:") as store:
        await analyze_cards(uploads(1), store, analyzer=NotingAnalyzer(noting(None)))


class Tracer:
    """Follows the statements of one document's completion, and dies at one of them."""

    def __init__(self, trace: str | None, die_at: list[Any] | None) -> None:
        self._name = trace or (die_at[0] if die_at else None)
        self._place, self._last = die_at[1:] if die_at and isinstance(die_at[1], int) else (None, None)
        self._inside = False
        self.statements: list[str] = []

    def noted(self, word: str, name: str) -> None:
        if name == self._name:
            self._inside = word == "asked"

    def before(self, sql: str) -> None:
        if self._inside:
            if len(self.statements) == self._place:
                die()
            self.statements.append(sql)

    def after(self, sql: str) -> None:
        if self._inside and len(self.statements) == self._place == self._last:
            die()


class Waiting(NotingAnalyzer):
    """Waits with its answer for a file."""

    def __init__(self, note: Callable[[str, str], None], wait_at: list[str] | None, **options: Any) -> None:
        super().__init__(note, **options)
        self._wait_at = wait_at

    async def analyze(self, document: Any, request: Any, /) -> Any:
        analysis = await super().analyze(document, request)
        await wait("call", document.name, self._wait_at)
        return analysis


class WaitingStore(NotingStore):
    """Waits with a completion for a file."""

    def __init__(self, path: str, note: Callable[[str, str], None], wait_at: list[str] | None, **options: Any) -> None:
        super().__init__(path, note, **options)
        self._wait_at = wait_at

    async def complete_item(self, run_id: str, item_id: str, **options: Any) -> Any:
        await wait("completing", name_of(item_id), self._wait_at)
        return await super().complete_item(run_id, item_id, **options)


async def wait(word: str, name: str, wait_at: list[str] | None) -> None:
    if wait_at and wait_at[:2] == [word, name]:
        say("waiting")
        while not Path(wait_at[2]).exists():  # noqa: ASYNC110 - another process makes it
            await anyio.sleep(0.01)


# -- counters ------------------------------------------------------------------------------------------------


def count(path: str, backend: str, times: int) -> None:
    """Add to a counter when told to, 25 at a time, and say every answer."""
    answers: list[int] = []

    async def main() -> None:
        async with SQLiteStore(path) as store:
            await store.create_run(RUN, kind="test", fingerprint="f", asked={})
            say("ready")
            sys.stdin.readline()

            async def add() -> None:
                for _ in range(times // 25):
                    answers.append(await store.increment(RUN, "n"))

            async with anyio.create_task_group() as tasks:
                for _ in range(25):
                    tasks.start_soon(add)

    anyio.run(main, backend=backend)
    for answer in answers:
        say(answer)


# -- locks ---------------------------------------------------------------------------------------------------


def hold(path: str) -> None:
    """Hold the write lock, as another program may, until told to let it go."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        say("locked")
        sys.stdin.readline()
        connection.execute("COMMIT")
    say("free")


# -- forks ---------------------------------------------------------------------------------------------------


def fork(path: str, backend: str, busy: bool) -> None:
    """Fork with an open store, idle or in the middle of a write, and use it in both processes."""

    async def main() -> None:
        async with SQLiteStore(path) as store:
            await store.create_run(RUN, kind="test", fingerprint="f", asked={})
            use = partial(use_in_fork, store, backend)
            if busy:
                hook.append(use)
            else:
                await anyio.to_thread.run_sync(in_fork, use)
            await store.increment(RUN, "n")
            for _ in range(2):
                await store.increment(RUN, "n", 501)
            say("parent", await store.increment(RUN, "n", 0))

    hook: list[Callable[[], None]] = []

    def before(sql: str) -> None:
        if is_commit(sql) and hook:
            in_fork(hook.pop())

    sqlite3.connect = watched(before, nothing)  # type: ignore[assignment]
    anyio.run(main, backend=backend)


def use_in_fork(store: SQLiteStore, backend: str) -> None:
    """Use a store that belongs to another process."""
    calls: dict[str, Callable[[], Any]] = {
        "increment": lambda: store.increment(RUN, "n", 10),
        "get_run": lambda: store.get_run(RUN),
        "claim": lambda: store.claim(RUN, "w", lease_seconds=9),
        "events": lambda: store.events(RUN),
    }

    async def use() -> None:
        for name, call in calls.items():
            try:
                await call()
            except StoreError as error:
                say(name, error.code)
            else:
                say(name, "went through")
        await store.__aexit__(None, None, None)
        say("closed")

    anyio.run(use, backend=backend)


def fork_anew(path: str, backend: str) -> None:
    """Fork with an open store, and open in the other process a store of its own, and then the same one anew."""

    async def main() -> None:
        async with SQLiteStore(path) as store:
            await store.create_run(RUN, kind="test", fingerprint="f", asked={})
            await store.increment(RUN, "n")

            async def open_anew() -> None:
                async with SQLiteStore(path) as another:
                    say("anew", await another.increment(RUN, "n"))
                await store.__aexit__(None, None, None)
                async with store:
                    say("again", await store.increment(RUN, "n"))

            await anyio.to_thread.run_sync(in_fork, partial(anyio.run, open_anew, backend=backend))
            say("parent", await store.increment(RUN, "n"))

    anyio.run(main, backend=backend)


def in_fork(work: Callable[[], None]) -> None:
    """Do something in a forked process and wait for its end. It is this thread that goes on there, alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that threads are running is what is tried here
        pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)  # the loop that set it does not exist here
        signal.alarm(10)  # it must not wait for what its parent's threads would have done
        become(work, {}, [])
    _, status = os.waitpid(pid, 0)
    if status:
        say("the forked process ended with", os.waitstatus_to_exitcode(status))


# -- schemas -------------------------------------------------------------------------------------------------


def open_file(
    path: str, backend: str, trace: bool = False, wait: bool = False, die_at: list[int] | None = None
) -> None:
    """Open a store, when told to or at once, and close it; or die before one of the statements, or after the last."""
    statements: list[str] = []
    place, last = die_at or (None, None)

    def before(sql: str) -> None:
        if len(statements) == place:
            die()
        statements.append(sql)

    def after(sql: str) -> None:
        if len(statements) == place == last:
            die()

    async def main() -> None:
        store = SQLiteStore(path)
        if wait:
            say("ready")
            sys.stdin.readline()
        async with store:
            say(json.dumps(statements) if trace else "opened")

    sqlite3.connect = watched(before, after)  # type: ignore[assignment]
    anyio.run(main, backend=backend)


JOBS: dict[str, Callable[..., None]] = {job.__name__: job for job in (analyze, count, hold, fork, fork_anew, open_file)}

if __name__ == "__main__":
    serve(int(sys.argv[1]))
