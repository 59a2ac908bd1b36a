"""A run as one file of JSON lines, and back.

The first line tells the format, the last one how much there is, so that a file that was cut off is noticed.
"""

from __future__ import annotations

import json
import os
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any, Final, Self, TextIO, cast

from anyio import CancelScope, to_thread
from attrs import define, evolve, field

from ._arguments import check_housekeeping, check_run_id, check_store
from ._errors import ConfigurationError, StoreError
from ._models import Event, Item, Output, Run
from ._run_lines import Record, decode, encode
from ._status import RESERVED_COUNTERS
from ._version import __version__
from .abc import Store

__all__ = ["export_run", "import_run"]

_FORMAT: Final = 1
_PAGE = 500


async def export_run(store: Store, run_id: str, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a run with its items, outputs and events into one file of JSON lines.

    It is read by page and written as it is read, so that a large run needs little memory. The file appears at `path`
    when it is whole.

    Args:
        store: Where the run is kept.
        run_id: The run.
        path: The file.
        overwrite: Replace what is there.

    Raises:
        RunNotFound: There is none of that id.
        ConfigurationError: There is something at `path`, or its folder cannot be written.
        StoreError: With code ``changed``, somebody worked on the run meanwhile, so that the pages do not fit together.
            Otherwise the store failed. Nothing is left at `path`.
    """
    check_store(store)
    target = Path(path)
    run = await store.get_run(check_run_id(run_id))
    try:
        await to_thread.run_sync(_check_not_the_store, store, target)
        file = await to_thread.run_sync(_ExportFile.begin, target, overwrite)
        try:
            await to_thread.run_sync(file.write, [run])
            async with aclosing(_pages(store, run_id)) as pages:
                async for page in pages:
                    await to_thread.run_sync(file.write, page)
            now = await store.get_run(run_id)
            if (now.version, now.last_event) != (run.version, run.last_event):
                raise StoreError(
                    f"Run {run_id!r} was changed while it was exported. Cancel it or wait for its end; or take a "
                    "backup of the whole store, which can be had at any time.",
                    code="changed",
                )
            await to_thread.run_sync(file.finish)
        finally:
            with CancelScope(shield=True):
                await to_thread.run_sync(file.discard)
    except OSError as error:
        raise ConfigurationError(f"{target.name} cannot be written ({error.strerror}). Choose another path.") from error


async def _pages(store: Store, run_id: str) -> AsyncGenerator[Sequence[Item | Output | Event], None]:
    items = await store.items(run_id, limit=_PAGE)
    while items:
        yield items
        items = await store.items(run_id, after=items[-1], limit=_PAGE)
    outputs = await store.outputs(run_id, limit=_PAGE)
    while outputs:
        yield outputs
        outputs = await store.outputs(run_id, after=outputs[-1], limit=_PAGE)
    events = await store.events(run_id, limit=_PAGE)
    while events:
        yield events
        events = await store.events(run_id, events[-1].sequence, limit=_PAGE)


@define
class _ExportFile:
    """An export in the making, under another name. Its methods block."""

    _target: Path
    _overwrite: bool
    _made: Path
    _file: TextIO
    _count: Counter[str] = field(factory=Counter[str])

    @classmethod
    def begin(cls, target: Path, overwrite: bool) -> Self:
        _check_free(target, overwrite)
        made = target.with_name(f".cardanalysis-{uuid.uuid4().hex}")
        export = cls(target, overwrite, made, made.open("x", encoding="utf-8", newline="\n"))
        export._put({"cardanalysis": {"format": _FORMAT, "version": __version__}})
        return export

    def write(self, records: Sequence[Record]) -> None:
        for record in records:
            self._count[_plural(record)] += 1
            self._file.write(f"{encode(record)}\n")

    def finish(self) -> None:
        self._put({"end": {name: self._count[name] for name in _SUMMED}})
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        _check_free(self._target, self._overwrite)  # somebody may have been quicker
        self._made.replace(self._target)

    def discard(self) -> None:
        """Leave nothing, unless it is finished."""
        with suppress(OSError):  # the disk may be full
            self._file.close()
        self._made.unlink(missing_ok=True)

    def _put(self, values: Mapping[str, Any]) -> None:
        self._file.write(f"{json.dumps(values)}\n")


def _check_not_the_store(store: Store, target: Path) -> None:
    """Refuse to write over the file that the run is kept in."""
    kept_in = getattr(store, "path", None)
    if isinstance(kept_in, str) and target.exists() and Path(kept_in).exists() and target.samefile(kept_in):
        raise ConfigurationError(f"{target.name} is the store itself. Choose another path for the export.")


def _check_free(target: Path, overwrite: bool) -> None:
    if target.is_dir():
        raise ConfigurationError(f"{target.name} is a folder. Give the path of a file.")
    if target.exists() and not overwrite:
        raise ConfigurationError(f"{target.name} exists. Choose another path, or pass overwrite=True.")


async def import_run(store: Store, path: str | os.PathLike[str], *, run_id: str | None = None) -> Run:
    """Read a run from a file that `export_run` wrote: the same run, with its items, outputs, events and versions.

    It happens in one transaction, during which nobody else can write to the store, and in little memory.

    Args:
        store: Where the run is to be kept.
        path: The file.
        run_id: Another name for the run; None for its own.

    Returns:
        The run, without its items and cards.

    Raises:
        ConfigurationError: The file cannot be read, or the store does not take runs from elsewhere.
        StoreError: With code ``run_exists``, there is a run of that id; with ``invalid_export``, the file was cut off
            or changed, and the message tells the line; with ``too_new``, a newer version of the library wrote it.
            Nothing was written.
    """
    keeper = check_housekeeping(store, "import_run")
    name = None if run_id is None else check_run_id(run_id)
    source = Path(path)
    try:
        file: BufferedReader = await to_thread.run_sync(lambda: source.open("rb"))
    except OSError as error:
        raise ConfigurationError(f"{source.name} cannot be read ({error.strerror}). Check the path.") from error
    records = _Records(file, name)
    try:
        run = await to_thread.run_sync(records.begin)
        return await keeper.restore_run(run, records)
    except StoreError as error:
        if error.code not in _UNSTORABLE:
            raise
        raise records.invalid(str(error).rstrip(".")) from error
    finally:
        with CancelScope(shield=True):
            await to_thread.run_sync(file.close)


class _Records:
    """What a file holds behind its run, checked while it is read. Reading blocks.

    Args:
        lines: The lines of the file.
        run_id: The name that the run is to have; None for its own.
    """

    def __init__(self, lines: Iterable[bytes], run_id: str | None) -> None:
        self._lines = iter(lines)
        self._run_id = run_id
        self._number = 0
        self._run: Run | None = None
        self._end: dict[str, Any] | None = None
        self._count: Counter[str] = Counter()
        self._counters: Counter[str] = Counter()
        self._outputs: dict[str, int] = {}
        """For each item, how many outputs it has so far."""

    def begin(self) -> Run:
        """Read the head of the file and the run."""
        found = self._values(self._next(), "cardanalysis").get("format")
        if type(found) is not int or found < 1:
            raise self.invalid("the format is none")
        if found > _FORMAT:
            message = f"The export is of format {found}, and this version knows {_FORMAT}. Upgrade cardanalysis."
            raise StoreError(message, code="too_new")
        run = self._decoded(self._next())
        if not isinstance(run, Run):
            raise self.invalid("a run is expected")
        self._run = run
        self._count["runs"] = 1
        try:
            return evolve(run, id=check_run_id(self._run_id or run.id))
        except ConfigurationError:
            raise self.invalid("the run has no usable id") from None

    def __iter__(self) -> Iterator[Item | Output | Event]:
        while self._end is None:
            line = self._next()
            if line.startswith('{"end"'):
                self._end = self._values(line, "end")
            else:
                yield self._checked(self._decoded(line))
        self._check_end(self._end)

    def invalid(self, problem: str) -> StoreError:
        """Say what is wrong with the line that was read last."""
        return self._refusal(f"{problem}. Export the run again.")

    def _refusal(self, why: str) -> StoreError:
        return StoreError(f"Line {self._number} of the export cannot be used: {why}", code="invalid_export")

    def _checked(self, record: Record) -> Item | Output | Event:
        """Count a record, and look whether it may come here."""
        if isinstance(record, Run):
            raise self.invalid("there is a second run")
        rank = _COUNTED.index(_plural(record))
        if any(self._count[later] for later in _COUNTED[rank + 1 :]):
            raise self.invalid("it comes too late: items come first, then outputs, then events")
        self._count[_plural(record)] += 1
        if isinstance(record, Output):
            self._check_output(record)
            return record
        if self._run is None or record.run_id != self._run.id:
            raise self.invalid("it belongs to another run")
        if isinstance(record, Item):
            self._check_item(record)
        elif record.sequence != self._count["events"]:
            raise self.invalid(f"event {self._count['events']} is expected")
        return evolve(record, run_id=self._run_id or record.run_id)

    def _check_item(self, item: Item) -> None:
        if item.id in self._outputs:
            raise self.invalid("the item is there already")
        self._outputs[item.id] = 0
        self._counters.update([str(item.status), "total"])

    def _check_output(self, output: Output) -> None:
        before = self._outputs.get(output.item_id)
        if before is None:
            raise self.invalid("the item of the output is missing before it")
        if output.index != before:
            raise self.invalid(f"output {before} of the item is missing")
        self._outputs[output.item_id] = before + 1
        self._counters[output.kind] += 1

    def _check_end(self, end: Mapping[str, Any]) -> None:
        if any(line.strip() for line in self._lines):
            raise self.invalid("something stands behind it")
        if end != {name: self._count[name] for name in _SUMMED}:
            raise self.invalid("lines are missing, or there are too many")
        run = self._run
        if run is None or run.last_event != self._count["events"]:
            raise self.invalid("the run has another number of events")
        names = {*self._counters, *RESERVED_COUNTERS}
        if any(run.counters.get(name, 0) != self._counters[name] for name in names):
            raise self.invalid("the run's counters are others than its items and outputs come to")

    def _next(self) -> str:
        self._number += 1
        line = next(self._lines, b"")
        if not line:
            raise self.invalid("the file was cut off before it")
        try:
            return line.decode("utf-8-sig" if self._number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise self.invalid("it is not UTF-8") from None

    def _decoded(self, line: str) -> Record:
        try:
            return decode(line)
        except StoreError as error:
            raise self._refusal(str(error)) from None

    def _values(self, line: str, name: str) -> dict[str, Any]:
        """What stands in a line that tells about the file itself."""
        with suppress(ValueError, RecursionError):
            values: Any = json.loads(line)
            content: object = cast("dict[str, object]", values).get(name) if isinstance(values, dict) else None
            if isinstance(content, dict):
                return cast("dict[str, Any]", content)
        raise self.invalid(f"{name!r} is expected")


_COUNTED: Final = ("runs", "items", "outputs", "events")
_SUMMED: Final = _COUNTED[1:]
_UNSTORABLE: Final = frozenset({"not_storable", "not_json", "too_big"})
"""Codes of store errors that are the fault of the line that was read last."""


def _plural(record: Record) -> str:
    return f"{type(record).__name__.lower()}s"
