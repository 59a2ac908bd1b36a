"""Stores of earlier versions, as those versions wrote them."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from cardanalysis import ItemStatus, SQLiteStore, StoreError, Usage, to_dict
from cardanalysis.stores import _sqlite_schema

DATA = Path(__file__).with_name("data")
VERSIONS = range(1, _sqlite_schema.SCHEMA_VERSION)
HELD = json.loads((DATA / "store_1.json").read_text(encoding="utf-8"))
"""What the stores of all versions hold, as the code of version 1 read it."""


def copy_of(version: int, folder: Path) -> Path:
    """A store as that version of the schema left it."""
    return Path(shutil.copy(DATA / f"store_{version}.db", folder / "cards.db"))


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return copy_of(request.param, tmp_path)


def schema(path: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(
            "SELECT type, name, tbl_name, replace(sql, '\"', '') FROM sqlite_schema ORDER BY type, name"
        ).fetchall()


async def make(path: Path) -> None:
    async with SQLiteStore(path):
        pass


async def read(store: SQLiteStore, run_id: str) -> dict[str, Any]:
    run = to_dict(await store.get_run(run_id))
    kept = {name: value for name, value in run.items() if name not in ("items", "cards", "heartbeat_at")}
    return {
        "run": kept,
        "items": [to_dict(item) for item in await store.items(run_id)],
        "outputs": [to_dict(output) for output in await store.outputs(run_id)],
        "events": [to_dict(event) for event in await store.events(run_id)],
    }


@pytest.mark.anyio
async def test_an_old_store_holds_what_it_held(old: Path) -> None:
    """Runs, items, outputs and events are read as the version read them that wrote them."""
    async with SQLiteStore(old) as store:
        assert {run_id: await read(store, run_id) for run_id in HELD} == HELD
        assert [run.id for run in await store.runs()] == ["first", "second"]


@pytest.mark.anyio
async def test_work_on_an_old_store_goes_on(old: Path) -> None:
    """What was pending, or held by a worker of long ago, is claimed under a higher token and completed."""
    async with SQLiteStore(old) as store:
        before = await store.get_run("first")
        claimed = await store.claim("first", "new", lease_seconds=60, limit=10)
        assert [item.status for item in claimed] == [ItemStatus.LOADING] * len(claimed)
        assert len(claimed) == 4
        for item in claimed:
            await store.complete_item("first", item.id, token=item.token, outputs=[], usage=Usage(requests=1))
        run = await store.get_run("first")
        assert run.counters["completed"] == before.counters["completed"] + 4
        assert [event.sequence for event in await store.events("first")] == list(range(1, run.last_event + 1))


@pytest.mark.anyio
async def test_what_is_deleted_from_an_old_store_takes_its_outputs_along(old: Path) -> None:
    """A run of an old store is deleted with all that belongs to it, and the other one keeps what it has."""
    async with SQLiteStore(old) as store:
        await store.delete_run("second")
        assert await read(store, "first") == HELD["first"]
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("SELECT count(*) FROM outputs").fetchone() == (len(HELD["first"]["outputs"]),)


def test_an_old_store_becomes_like_a_new_one(old: Path, tmp_path: Path) -> None:
    """After the migration tables and indexes are those of a new store, and every reference leads somewhere."""
    new = tmp_path / "new.db"
    anyio.run(make, old)
    anyio.run(make, new)
    assert schema(old) == schema(new)
    with closing(sqlite3.connect(old)) as connection:
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA user_version").fetchone() == (_sqlite_schema.SCHEMA_VERSION,)


def places() -> Iterator[tuple[int, int]]:
    """From which version, and at which of its statements, a migration fails; 0 for nowhere."""
    for version in VERSIONS:
        folder = Path(_sqlite_schema.__file__).parent / "sql"
        scripts = [folder / f"sqlite_{step}.sql" for step in range(version + 1, _sqlite_schema.SCHEMA_VERSION + 1)]
        count = sum(len(script.read_text(encoding="utf-8").split(";\n")) for script in scripts)
        yield from ((version, place) for place in range(0, count, 5 if count > 10 else 1))


@pytest.mark.parametrize(("version", "fails_at"), list(places()))
def test_a_migration_that_fails_changes_nothing(
    tmp_path: Path, version: int, fails_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it fails, the old store is as it was, and the next try brings it up to date."""
    old = copy_of(version, tmp_path)
    before = schema(old)
    connect = sqlite3.connect

    class Failing(sqlite3.Connection):
        left = fails_at

        def execute(self, *arguments: Any) -> sqlite3.Cursor:
            if self.in_transaction:
                Failing.left -= 1
                if Failing.left == 0:
                    raise sqlite3.OperationalError("told to fail")
            return super().execute(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, **options, factory=Failing))
        if fails_at:
            with pytest.raises(StoreError, match="told to fail"):
                anyio.run(make, old)
            assert schema(old) == before
    anyio.run(make, old)
    assert schema(old) != before


def test_a_store_that_is_up_to_date_is_opened_without_writing(tmp_path: Path) -> None:
    """Opening waits for nobody: while another process writes, a store that is up to date is opened all the same."""
    path = tmp_path / "cards.db"
    anyio.run(make, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        anyio.run(make, path)
        other.execute("ROLLBACK")
