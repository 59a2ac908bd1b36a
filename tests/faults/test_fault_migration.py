"""Processes that make the tables of a file at once, or are killed while they do: the file ends up like any other."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest
from fault_kit import check_file, schema_of

from cardanalysis import SQLiteStore, to_dict

DATA = Path(__file__).parents[1] / "stores" / "data"
HELD = json.loads((DATA / "store_1.json").read_text(encoding="utf-8"))
"""What the store of the oldest schema holds."""


async def open_it(path: Path) -> None:
    async with SQLiteStore(path):
        pass


def new(path: Path) -> None:
    """A file that does not exist yet."""


def old(path: Path) -> None:
    """A file of the oldest schema."""
    shutil.copy(DATA / "store_1.db", path)


async def check_kept(path: Path) -> None:
    """What the old file held is there."""
    async with SQLiteStore(path) as store:
        for run_id, held in HELD.items():
            assert (await store.get_run(run_id)).version == held["run"]["version"]
            assert [to_dict(item) for item in await store.items(run_id)] == held["items"]
            assert [to_dict(output) for output in await store.outputs(run_id)] == held["outputs"]
            assert [to_dict(event) for event in await store.events(run_id)] == held["events"]


def check_migrated(path: Path, fresh: list[tuple[Any, ...]], begin: Any) -> None:
    anyio.run(open_it, path)
    assert schema_of(path) == fresh
    if begin is old:
        anyio.run(check_kept, path)
    check_file(path)


@pytest.fixture
def fresh(tmp_path: Path) -> list[tuple[Any, ...]]:
    """The schema of a file that was made in one go."""
    path = tmp_path / "fresh.db"
    anyio.run(open_it, path)
    return schema_of(path)


@pytest.mark.parametrize("begin", [new, old])
def test_a_kill_in_a_migration_leaves_it_to_the_next(
    children: Any, path: Path, fresh: list[tuple[Any, ...]], begin: Any
) -> None:
    """Killed before or after any statement that makes the tables, the file is made right by whoever opens it next."""
    begin(path)
    traced = children.start("open_file", path=path, backend="asyncio", trace=True)
    statements = json.loads(traced.line())
    traced.rest()
    assert len(statements) > 10
    for place in range(len(statements) + 1):
        killed_at = path.with_name(f"{place}.db")
        begin(killed_at)
        backend = ("asyncio", "trio")[place % 2]
        killed = children.start("open_file", path=killed_at, backend=backend, die_at=[place, len(statements)])
        assert killed.wait() == -signal.SIGKILL
        check_migrated(killed_at, fresh, begin)


@pytest.mark.parametrize("begin", [new, old])
def test_processes_that_migrate_at_once_share_the_file(
    children: Any, path: Path, backend: str, fresh: list[tuple[Any, ...]], begin: Any
) -> None:
    """Of four processes that open one file at once, all get in, and the tables are made once."""
    for attempt in range(10):
        together = path.with_name(f"{attempt}.db")
        begin(together)
        openers = [children.start("open_file", path=together, backend=backend, wait=True) for _ in range(4)]
        for opener in openers:
            assert opener.line() == "ready"
        for opener in openers:
            opener.send()
        assert [opener.rest() for opener in openers] == [["opened"]] * 4
        check_migrated(together, fresh, begin)
