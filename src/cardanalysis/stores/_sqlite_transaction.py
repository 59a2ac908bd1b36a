"""One transaction on an SQLite file, in which the calls of many tasks write.

What a call changes (items, outputs, and what it adds to its run: version, counters, usage, events) is noted, and
written for many calls together: most of the time would otherwise go into single statements. A call that fails before
that leaves nothing to be undone. One that needs SQL of its own finds everything written that was noted before it, and
gets a savepoint.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

from attrs import evolve

from .._models import Event, Item, Output, Run
from .._status import ItemStatus
from . import _changes as changes
from . import _rows as rows
from . import _sqlite_queries as queries
from ._json import dumps
from ._sqlite_known import Known

__all__ = ["Transaction", "Undone"]

_T = TypeVar("_T")
_Line: TypeAlias = tuple[str, str | None, float, str]
"""An event without its number: type, item, time and data."""
_OutputRow: TypeAlias = tuple[int, str, str]
"""Key, kind and data of an output."""


class Undone(Exception):
    """The whole batch was undone before its commit, because of one of its writes."""


class _Note(NamedTuple):
    """What one call changes in a run, and adds to it."""

    run: int
    version: int = 1
    counters: Mapping[str, int] = {}
    usage: rows.UsageValues = rows.NO_USAGE
    lines: Sequence[_Line] = ()
    items: Mapping[int, Item] = {}
    outputs: Sequence[_OutputRow] = ()


class Transaction:
    """The writes of one batch. Every method is called between the begin and the commit.

    Args:
        connection: The connection on which it was begun.
        known: What is known of the file's rows; it learns what becomes of them.
    """

    def __init__(self, connection: sqlite3.Connection, known: Known) -> None:
        self._connection = connection
        self._known = known
        self._notes: list[_Note] = []  # of the calls that succeeded
        self._own: list[_Note] = []  # of the call that is being done
        self._has_savepoint = False

    # -- the batch -----------------------------------------------------------------------------------------------

    def do(self, work: Callable[[Transaction], _T]) -> _T:
        """Do one call. What it raises is raised, and then nothing of it remains.

        Raises:
            Undone: Nothing of the whole batch remains.
        """
        try:
            result = work(self)
        except Undone:
            raise
        except Exception as error:
            if not self._connection.in_transaction:  # a full disk or an I/O error
                raise Undone from error
            self._drop()
            raise
        self._keep()
        return result

    def _keep(self) -> None:
        if self._has_savepoint:
            self._savepoint("RELEASE call")
        for note in self._own:
            self._known.learn(note.run, note.items)
        self._notes += self._own
        self._own.clear()

    def _drop(self) -> None:
        if self._has_savepoint:
            self._savepoint("ROLLBACK TO call")
            self._savepoint("RELEASE call")
            self._known.forget()  # no earlier call has anything noted any more, so that it can be read again
        self._own.clear()

    @property
    def connection(self) -> sqlite3.Connection:
        """For SQL of a call: it finds what earlier calls did, and is undone with its own.

        Raises:
            Undone: What earlier calls did cannot be written.
        """
        if not self._has_savepoint:
            self.flush()
            self._savepoint("SAVEPOINT call")
        return self._connection

    def _savepoint(self, sql: str) -> None:
        try:
            self._connection.execute(sql)
        except sqlite3.Error as error:
            raise Undone from error
        self._has_savepoint = not sql.startswith("RELEASE")

    def flush(self) -> None:
        """Write what the calls before have noted.

        Raises:
            Undone: It cannot be written.
        """
        if not self._notes:
            return
        try:
            self._write_items()
            by_run: dict[int, list[_Note]] = {}
            for note in self._notes:
                by_run.setdefault(note.run, []).append(note)
            for number, notes in by_run.items():
                self._write(number, _sum(notes))
        except Exception as error:
            raise Undone from error
        self._notes.clear()

    def _write_items(self) -> None:
        items = {key: item for note in self._notes for key, item in note.items.items()}  # each as it was left
        self._connection.executemany(_UPDATE_ITEM, [(*rows.item_state(item), key) for key, item in items.items()])
        self._connection.executemany(_INSERT_OUTPUT, [row for note in self._notes for row in note.outputs])
        completed = [(key,) for key, item in items.items() if item.status is ItemStatus.COMPLETED]
        self._connection.executemany("DELETE FROM checkpoints WHERE item = ?", completed)

    def _write(self, number: int, total: _Note) -> None:
        values = (total.version, len(total.lines), *total.usage, number)
        found = self._connection.execute(_ADD_TO_RUN, values).fetchall()
        first = found[0]["sequence"] - len(total.lines) + 1
        self._connection.executemany(_COUNT, [(number, name, by) for name, by in total.counters.items() if by])
        lines = [(number, first + place, *line) for place, line in enumerate(total.lines)]
        self._connection.executemany(_INSERT_EVENT, lines)

    # -- runs ----------------------------------------------------------------------------------------------------

    def number(self, run_id: str) -> int:
        """The key of a run.

        Raises:
            RunNotFound: There is none.
        """
        number = self._known.numbers.get(run_id)
        if number is None:
            number = self._known.numbers[run_id] = queries.number(self._connection, run_id)
        return number

    def run(self, run_id: str) -> Run:
        """Read a run, with what is noted.

        Raises:
            RunNotFound: There is none.
        """
        number = self.number(run_id)
        run = queries.run(self._connection, run_id)
        total = _sum(self._noted(number))
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
        self._known.numbers[run.id] = number
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
                self.connection.execute(_INSERT_ITEM, _item_row(number, record))
            elif isinstance(record, Output):
                if record.item_id != item_id:
                    item_id, index = record.item_id, 0
                    key, _ = queries.item(self.connection, number, run.id, item_id)
                if record.index != index:
                    raise changes.misfit(run.id, f"output {index} of item {item_id!r} is missing")
                if index == 0 and queries.has_outputs(self.connection, key):
                    raise changes.misfit(run.id, f"the outputs of item {item_id!r} are there twice")
                self.connection.execute(_INSERT_OUTPUT, (rows.output_key(key, index), record.kind, dumps(record.data)))
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
        self._known.forget()

    def count(self, number: int, counter: str, by: int) -> int:
        """Add to a counter and return its new value."""
        self.note(number, counters={counter: by})
        noted = sum(note.counters.get(counter, 0) for note in self._noted(number))
        return queries.counter(self._connection, number, counter) + noted

    def log(self, number: int, line: _Line) -> int:
        """Append an event and return its number."""
        self.note(number, version=0, lines=[line])
        noted = sum(len(note.lines) for note in self._noted(number))
        return queries.last_event(self._connection, number) + noted

    def note(self, number: int, **added: Any) -> None:
        """Note what is to be changed in a run, and added to it."""
        self._own.append(_Note(number, **added))

    def _noted(self, number: int) -> list[_Note]:
        return [note for notes in (self._notes, self._own) for note in notes if note.run == number]

    # -- items ---------------------------------------------------------------------------------------------------

    def item(self, number: int, run_id: str, item_id: str) -> tuple[int, Item]:
        """The key of an item, and the item.

        Raises:
            ItemNotFound: The run has no such item.
        """
        found = self._known.items.get((number, item_id))
        if found is None:  # then nothing about it is noted, since what is noted is known
            found = self._known.items[number, item_id] = queries.item(self._connection, number, run_id, item_id)
        return found

    def add(self, number: int, made: Sequence[changes.Change], now: float) -> None:
        """Write new items, and note their events and counters."""
        if made:
            self.connection.executemany(_INSERT_ITEM, [_item_row(number, change.item) for change in made])
            self._note_changes(number, made, now)

    def change(
        self,
        number: int,
        made: Mapping[int, changes.Change],
        now: float,
        *,
        extra: Mapping[str, int] | None = None,
        outputs: Iterable[tuple[str, str]] = (),
    ) -> None:
        """Note changed items by their keys, with their events, counters and usage, and new outputs of a single one.

        Args:
            number: The key of the run.
            made: The changes.
            now: The time of the events.
            extra: More to count.
            outputs: Kinds and data.
        """
        if made:
            items = {key: change.item for key, change in made.items()}
            new = [(rows.output_key(key, index), *output) for key in made for index, output in enumerate(outputs)]
            self._note_changes(number, made.values(), now, extra or {}, items=items, outputs=new)

    def _note_changes(
        self,
        number: int,
        made: Collection[changes.Change],
        now: float,
        extra: Mapping[str, int] = {},
        **rows_of_it: Any,
    ) -> None:
        self.note(
            number,
            counters={**changes.tally(made), **extra},  # no output is called like a status
            usage=rows.add_usages(rows.usage_values(change.usage) for change in made),
            lines=[(change.event, change.item.id, now, dumps(change.data)) for change in made],
            **rows_of_it,
        )

    def set_position(self, number: int, item_id: str, position: int) -> None:
        """Set the position of an item."""
        sql = "UPDATE items SET position = ? WHERE run = ? AND id = ?"
        self.connection.execute(sql, (position, number, item_id))
        self._known.items.pop((number, item_id), None)

    def extend_leases(self, number: int, owner: str, until: float) -> frozenset[str]:
        """Extend all that an owner holds, and return the items."""
        held = frozenset(row["id"] for row in self.connection.execute(_EXTEND, (until, number, owner)).fetchall())
        for item_id in held:
            self._known.items.pop((number, item_id), None)
        return held

    def save_checkpoint(self, key: int, name: str, data: str) -> bool:
        """Keep a checkpoint of an item, unless there is one of that name; return whether it is new."""
        sql = "INSERT INTO checkpoints VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
        return self.connection.execute(sql, (key, name, data)).rowcount == 1

    def delete_outputs(self, key: int) -> list[str]:
        """Delete the outputs of an item and return their kinds."""
        sql = "DELETE FROM outputs WHERE number BETWEEN ? AND ? RETURNING kind"
        return [row["kind"] for row in self.connection.execute(sql, rows.output_keys(key)).fetchall()]


def _item_row(number: int, item: Item) -> tuple[Any, ...]:
    return (number, *rows.item_identity(item), *rows.item_state(item))


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

_INSERT_OUTPUT = "INSERT INTO outputs VALUES (?, ?, ?)"
_INSERT_EVENT = "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)"
_NAMES = ("run", *rows.ITEM_IDENTITY, *rows.ITEM_STATE)
_INSERT_ITEM = f"INSERT INTO items ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))})"  # noqa: S608
_SET = ", ".join(f"{name} = ?" for name in rows.ITEM_STATE)
_UPDATE_ITEM = f"UPDATE items SET {_SET} WHERE number = ?"  # noqa: S608 - our own names
_EXTEND = f"UPDATE items SET lease_until = ? WHERE run = ? AND owner = ? AND {queries.IN_WORK} RETURNING id"  # noqa: S608
