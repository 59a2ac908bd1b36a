"""A worker that was stopped for longer than its lease comes back too late: its result is refused, and does no harm."""

from __future__ import annotations

import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fault_kit import RUN, Notes, check_finished, titles

from cardanalysis import SQLiteStore, Usage
from cardanalysis.abc import LeaseLost, NewItem, NewOutput
from cardanalysis.testing._store_promises_trial import ManualClock

FIRST, SECOND = "0000.txt", "0001.txt"
LEASE_SECONDS = 0.6


def stop(child: Any, path: Path) -> None:
    """Stop a process at a moment when it does not hold the lock of the file."""
    while True:
        child.kill(signal.SIGSTOP)
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:  # it was just renewing its lease
                child.kill(signal.SIGCONT)
                continue
            connection.execute("ROLLBACK")
            return


@pytest.mark.parametrize("where", ["call", "completing"])
def test_a_stopped_worker_comes_back_too_late(children: Any, path: Path, backend: str, where: str) -> None:
    """Stopped at work or with its result in hand, it finds its item done by another, drops its own, and ends well."""
    go_on, notes = path.with_name("go-on"), Notes(path.with_suffix(".notes"))
    same = {"backend": backend, "count": 2, "lease": LEASE_SECONDS}
    waiting = {"wait_at": [where, FIRST, str(go_on)], "mark": "/late", "notes": notes.path}
    zombie = children.start("analyze", path=path, **waiting, **same)
    assert zombie.line() == "waiting"
    stop(zombie, path)

    # Nobody can know that it will not come back: the other one waits for the lease to end.
    assert children.start("analyze", path=path, mark="/won", **same).rest() == ["ended succeeded"]
    before = check_finished(path, 2)
    go_on.touch()
    zombie.kill(signal.SIGCONT)
    assert zombie.rest("was taken over; its result was dropped") == ["ended succeeded"]

    now = check_finished(path, 2)
    assert [item.attempts for item in now.items] == [2, 1]
    assert {output.data["title"] for output in now.outputs} == {*titles(FIRST, "/won"), *titles(SECOND, "/won")}
    assert (now.items, now.outputs, now.run.usage) == (before.items, before.outputs, before.run.usage)
    assert notes.of("acknowledged") == []
    # A heartbeat may tell it of the loss before its completion is refused.
    assert notes.of("lost") in ([], [FIRST] if where == "completing" else [])


@pytest.mark.anyio
async def test_a_late_worker_changes_nothing(path: Path) -> None:
    """By a clock that is turned: whose lease another store's worker took over can neither renew nor finish it."""
    clock = ManualClock()
    outputs = [NewOutput(kind="cards", data={"title": title}) for title in titles(FIRST)]
    async with SQLiteStore(path, clock=clock) as one, SQLiteStore(path, clock=clock) as other:
        await one.create_run(RUN, kind="test", fingerprint="f", asked={})
        await one.add_items(RUN, [NewItem(id="a", name=FIRST, position=0)])
        (late,) = await one.claim(RUN, "late", lease_seconds=60)
        clock.advance(60)
        assert await other.claim(RUN, "new", lease_seconds=60) == []
        clock.advance(0.001)
        (new,) = await other.claim(RUN, "new", lease_seconds=60)
        assert (new.token, new.attempts) == (late.token + 1, 2)
        assert (await one.renew(RUN, "late", lease_seconds=3600)).held == frozenset()
        with pytest.raises(LeaseLost):
            await one.complete_item(RUN, "a", token=late.token, outputs=outputs[:1], usage=Usage(requests=5))
        done = await other.complete_item(RUN, "a", token=new.token, outputs=outputs, usage=Usage(requests=1))
        with pytest.raises(LeaseLost):
            await one.complete_item(RUN, "a", token=late.token, outputs=outputs[:1], usage=Usage(requests=5))
        assert await one.get_item(RUN, "a") == done
        assert len(await one.outputs(RUN)) == len(outputs)
        assert (await one.get_run(RUN)).usage.requests == 1
