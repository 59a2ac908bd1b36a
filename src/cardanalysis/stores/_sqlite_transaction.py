"""One transaction on an SQLite file, in which the calls of many tasks write.

What each call adds to its run (version, counters, usage, events) is noted and written once for all of them at the end:
the run's row would otherwise be written as often as there are calls. Whoever reads the run in the transaction sees it
with what is noted.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from attrs import evolve

from .._models import Event, Item, Output, Run
from . import _changes as changes
from . import _rows as rows
from . import _sqlite_queries as queries
from ._json import dumps

__all__ = ["Transaction"]

_Line: TypeAlias = tuple[str, str | None, float, str]
"""An event without its number: type, item, time and data."""


class _Note(NamedTuple):
    """What one call adds to a run."""

    run: int
    version: int = 1
    counters: Mapping[str, int] = {}
    usage: rows.UsageValues = rows.NO_USAGE
    lines: Sequence[_Line] = ()


class Transaction:
    """The writes of one batch. Every method is called between the begin and the commit.

    Attributes:
        connection: The connection on which it was begun.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self._notes: list[_Note] = []
        self._numbers: dict[str, int] = {}

    # -- the batch -----------------------------------------------------------------------------------------------

    def mark(self) -> int:
        """Where a call begins."""
        return len(self._notes)

    def forget(self, mark: int) -> None:
        """Drop what was noted since a mark, because the rows that were written since then were undone."""
        del self._notes[mark:]
        self._numbers.clear()

    def flush(self) -> None:
        """Write what is noted."""
        by_run: dict[int, list[_Note]] = {}
        for note in self._notes:
            by_run.setdefault(note.run, []).append(note)
        for number, notes in by_run.items():
            self._write(number, _sum(notes))
        self._notes.clear()

    def _write(self, number: int, total: _Note) -> None:
        values = (total.version, len(total.lines), *total.usage, number)
        found = self.connection.execute(_ADD_TO_RUN, values).fetchall()
        if not found:  # it was deleted in the same transaction
            return
        first = found[0]["sequence"] - len(total.lines) + 1
        self.connection.executemany(_COUNT, [(number, name, by) for name, by in total.counters.items() if by])
        lines = [(number, first + place, *line) for place, line in enumerate(total.lines)]
        self.connection.executemany(_INSERT_EVENT, lines)

    # -- runs ----------------------------------------------------------------------------------------------------

    def number(self, run_id: str) -> int:
        """The key of a run.

        Raises:
            RunNotFound: There is none.
        """
        number = self._numbers.get(run_id)
        if number is None:
            number = self._numbers[run_id] = queries.number(self.connection, run_id)
        return number

    def run(self, run_id: str) -> Run:
        """Read a run, with what is noted.

        Raises:
            RunNotFound: There is none.
        """
        number = self.number(run_id)
        run = queries.run(self.connection, run_id)
        total = _sum([note for note in self._notes if note.run == number])
        counters = Counter(run.counters)
        counters.update(total.counters)
        return evolve(
            run,
            version=run.version + total.version,
            counters=counters,
            usage=run.usage + rows.usage_of(total.usage),
            last_event=run.last_event + len(total.lines),
        )

    def insert_run(self, run: Run) -> int:
        """Write a new run as it is, with its counters, and return its key."""
        row = rows.run_row(run)
        names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        sql = f"INSERT INTO runs ({names}) VALUES ({marks}) RETURNING number"  # noqa: S608 - our own names
        number: int = self.connection.execute(sql, row).fetchall()[0]["number"]
        self._numbers[run.id] = number
        self.connection.executemany(_COUNT, [(number, name, count) for name, count in run.counters.items()])
        return number

    def set_run(self, run_id: str, line: _Line | None = None, **values: Any) -> None:
        """Set columns of a run, and raise its version."""
        number = self.number(run_id)
        assignments = ", ".join(f"{name} = :{name}" for name in values)
        self.connection.execute(f"UPDATE runs SET {assignments} WHERE number = :number", {**values, "number": number})  # noqa: S608
        self.note(number, lines=() if line is None else [line])

    def beat(self, number: int, now: float) -> None:
        """Record the heartbeat of a run."""
        self.connection.execute("UPDATE runs SET heartbeat_at = ? WHERE number = ?", (now, number))

    def restore(self, run: Run, records: Iterable[Item | Output | Event]) -> None:
        """Write a run as it once was read.

        Raises:
            StoreError: There is one of that id, or something is missing or there twice.
            ItemNotFound: An output comes without its item before it.
        """
        changes.check_new(run.id, exists=queries.exists(self.connection, run.id))
        changes.check_text(run.id, "run_id")
        changes.check_text(run.kind, "kind")
        number = self.insert_run(run)
        item_id, key, index, sequence = "", 0, 0, 0
        for record in records:
            changes.check_record(run, record)
            if isinstance(record, Item):
                if queries.find_item(self.connection, number, run.id, record.id) is not None:
                    raise changes.misfit(run.id, f"item {record.id!r} is there twice")
                self._insert_item(number, record)
            elif isinstance(record, Output):
                if record.item_id != item_id:
                    item_id, index = record.item_id, 0
                    key, _ = queries.item(self.connection, number, run.id, item_id)
                if record.index != index:
                    raise changes.misfit(run.id, f"output {index} of item {item_id!r} is missing")
                if index == 0 and queries.has_outputs(self.connection, key):
                    raise changes.misfit(run.id, f"the outputs of item {item_id!r} are there twice")
                self.insert_outputs([(key, index, record.kind, dumps(record.data))])
                index += 1
            else:
                sequence += 1
                if record.sequence != sequence:
                    raise changes.misfit(run.id, f"event {sequence} is missing")
                line = (record.type, record.item_id, record.time.timestamp(), dumps(record.data))
                self.connection.execute(_INSERT_EVENT, (number, sequence, *line))
        if sequence != run.last_event:
            raise changes.misfit(run.id, f"{sequence} of {run.last_event} events are there")

    def delete_run(self, run_id: str) -> None:
        """Delete a run and all that belongs to it."""
        self.connection.execute("DELETE FROM runs WHERE number = ?", (self.number(run_id),))
        del self._numbers[run_id]

    def count(self, number: int, counter: str, by: int) -> int:
        """Add to a counter and return its new value."""
        self.note(number, counters={counter: by})
        noted = sum(note.counters.get(counter, 0) for note in self._notes if note.run == number)
        return queries.counter(self.connection, number, counter) + noted

    def log(self, number: int, line: _Line) -> int:
        """Append an event and return its number."""
        self.note(number, version=0, lines=[line])
        noted = sum(len(note.lines) for note in self._notes if note.run == number)
        return queries.last_event(self.connection, number) + noted

    def note(self, number: int, **added: Any) -> None:
        """Note what is to be added to a run."""
        self._notes.append(_Note(number, **added))

    # -- items ---------------------------------------------------------------------------------------------------

    def apply(
        self, number: int, made: Sequence[changes.Change], now: float, *, extra: Mapping[str, int] | None = None
    ) -> None:
        """Write changed items, and note their events, counters and usage."""
        if not made:
            return
        for change in made:
            if change.was is None:
                self._insert_item(number, change.item)
            else:
                self.connection.execute(_UPDATE_ITEM, (*rows.item_state(change.item), number, change.item.id))
        self.note(
            number,
            counters={**changes.tally(made), **(extra or {})},  # no output is called like a status
            usage=rows.add_usages(rows.usage_values(change.usage) for change in made),
            lines=[(change.event, change.item.id, now, dumps(change.data)) for change in made],
        )

    def _insert_item(self, number: int, item: Item) -> None:
        self.connection.execute(_INSERT_ITEM, (number, *rows.item_identity(item), *rows.item_state(item)))

    def set_position(self, number: int, item_id: str, position: int) -> None:
        """Set the position of an item."""
        sql = "UPDATE items SET position = ? WHERE run = ? AND id = ?"
        self.connection.execute(sql, (position, number, item_id))

    def extend_leases(self, number: int, owner: str, until: float) -> frozenset[str]:
        """Extend all that an owner holds, and return the items."""
        return frozenset(row["id"] for row in self.connection.execute(_EXTEND, (until, number, owner)).fetchall())

    def insert_outputs(self, outputs: Iterable[tuple[int, int, str, str]]) -> None:
        """Write outputs: the key of the item, the place among its outputs, the kind and the data."""
        self.connection.executemany("INSERT INTO outputs VALUES (?, ?, ?, ?)", outputs)

    def delete_outputs(self, key: int) -> list[str]:
        """Delete the outputs of an item and return their kinds."""
        deleted = self.connection.execute("DELETE FROM outputs WHERE item = ? RETURNING kind", (key,)).fetchall()
        return [row["kind"] for row in deleted]


def _sum(notes: Sequence[_Note]) -> _Note:
    """What several calls add to one run."""
    counters: dict[str, int] = {}
    for note in notes:
        for name, by in note.counters.items():
            counters[name] = counters.get(name, 0) + by
    return _Note(
        notes[0].run if notes else 0,
        sum(note.version for note in notes),
        counters,
        rows.add_usages(note.usage for note in notes),
        [line for note in notes for line in note.lines],
    )


_ADDED = ", ".join(f"{name} = {name} + ?" for name in ("version", "sequence", *rows.USAGE_COLUMNS))
_ADD_TO_RUN = f"UPDATE runs SET {_ADDED} WHERE number = ? RETURNING sequence"  # noqa: S608 - our own names
_COUNT = """
    INSERT INTO counters (run, name, value) VALUES (?, ?, ?)
    ON CONFLICT (run, name) DO UPDATE SET value = value + excluded.value"""

_INSERT_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)"
_NAMES = ("run", *rows.ITEM_IDENTITY, *rows.ITEM_STATE)
_INSERT_ITEM = f"INSERT INTO items ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))})"  # noqa: S608
_SET = ", ".join(f"{name} = ?" for name in rows.ITEM_STATE)
_UPDATE_ITEM = f"UPDATE items SET {_SET} WHERE run = ? AND id = ?"  # noqa: S608 - our own names
_EXTEND = f"UPDATE items SET lease_until = ? WHERE run = ? AND owner = ? AND {queries.IN_WORK} RETURNING id"  # noqa: S608
