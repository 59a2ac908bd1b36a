"""What calls of one batch see of each other before anything of it is committed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from cardanalysis import Run, RunNotFound, Usage
from cardanalysis.abc import NewItem
from cardanalysis.stores import _changes as changes
from cardanalysis.stores import _sqlite_queries as queries
from cardanalysis.stores._group_commit import Write
from cardanalysis.stores._sqlite_file import SQLiteFile
from cardanalysis.stores._sqlite_transaction import Transaction

NOW = 1_700_000_000.0


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SQLiteFile]:
    file = SQLiteFile(str(tmp_path / "cards.db"), synchronous="FULL")
    file.open()
    yield file
    file.close()


def commit(file: SQLiteFile, *works: Callable[[Transaction], Any]) -> list[Any]:
    """What each work returned or raised, all of them in one batch."""
    batch = [Write(work) for work in works]
    assert file.commit(batch) is None
    return [write.error or write.result for write in batch]


def read(file: SQLiteFile, run_id: str = "run") -> Run:
    write: Write[Any] = Write(lambda connection: queries.run(connection, run_id))
    assert file.read([write]) is None
    if write.error is not None:
        raise write.error
    run: Run = write.result
    return run


def insert(transaction: Transaction, run_id: str = "run") -> int:
    return transaction.insert_run(Run(id=run_id, kind="test", created_at=datetime.fromtimestamp(NOW, UTC)))


def count(transaction: Transaction, by: int, run_id: str = "run") -> int:
    return transaction.count(transaction.number(run_id), "n", by)


def log(transaction: Transaction, run_id: str = "run") -> int:
    return transaction.log(transaction.number(run_id), ("note", None, NOW, "{}"))


def add(transaction: Transaction, *item_ids: str) -> None:
    new = [NewItem(id=item_id, name=item_id, position=0) for item_id in item_ids]
    transaction.add(transaction.number("run"), [changes.add("run", each, now=NOW) for each in new], NOW)


def fail(transaction: Transaction) -> None:
    count(transaction, 1_000)
    log(transaction)
    raise ValueError("no")


def test_a_batch_sees_what_it_has_noted(file: SQLiteFile) -> None:
    """A run that is read in the batch is what it will be: version, counters, usage and the number of its last event."""
    spend = partial(Transaction.note, number=1, usage=(1, 2, 3, 4, 5, 1_000_000_000))
    answers = commit(
        file,
        insert,
        partial(count, by=2),
        log,
        lambda transaction: add(transaction, "a", "b"),
        spend,
        fail,
        partial(count, by=3),
        log,
        lambda transaction: transaction.run("run"),
    )
    assert answers[:3] == [1, 2, 1]
    assert (type(answers[5]), answers[6:8]) == (ValueError, [5, 4])
    seen = answers[8]
    assert seen == read(file)
    assert seen.counters == {"n": 5, "pending": 2, "total": 2}
    assert seen.usage == Usage(
        requests=1, input_tokens=2, output_tokens=3, cache_read_tokens=4, cache_write_tokens=5, cost=1
    )
    assert (seen.version, seen.last_event) == (5, 4)


def test_the_notes_of_a_deleted_run_go_with_it(file: SQLiteFile) -> None:
    """What was noted for a run that the batch deletes is not added to the one that takes its name."""
    answers = commit(
        file,
        insert,
        lambda transaction: count(transaction, 7),
        log,
        lambda transaction: transaction.delete_run("run"),
        log,
        insert,
        lambda transaction: count(transaction, 1),
        lambda transaction: transaction.run("run"),
    )
    assert isinstance(answers[4], RunNotFound)
    assert answers[-1] == read(file)
    assert (answers[-1].counters["n"], answers[-1].last_event) == (1, 0)


def test_a_run_that_was_undone_is_not_there(file: SQLiteFile) -> None:
    """Who makes a run and fails leaves no run to those behind, and the name is free."""

    def make_and_fail(transaction: Transaction) -> None:
        insert(transaction)
        count(transaction, 1)
        raise ValueError("no")

    answers = commit(file, make_and_fail, log, insert, log)
    assert [type(answer) for answer in answers] == [ValueError, RunNotFound, int, int]
    assert read(file).last_event == 1
    assert read(file).counters["n"] == 0


def test_an_unknown_cost_stays_unknown(file: SQLiteFile) -> None:
    """As soon as one cost is unknown the run's is, in the batch and after it."""
    spend = [partial(Transaction.note, number=1, usage=(1, 0, 0, 0, 0, cost)) for cost in (5, None, 7)]
    *_, seen = commit(file, insert, *spend, lambda transaction: transaction.run("run"))
    assert (seen.usage.cost, seen.usage.requests) == (None, 3)
    assert read(file).usage == seen.usage
