"""Between models and table rows, shared by the SQL stores."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

from .._errors import StoreError
from .._models import Event, Item, ItemError, Output, Run, Usage
from .._status import ItemStatus, RunStatus
from . import _changes as changes
from ._changes import at
from ._json import dumps, loads

__all__ = [
    "ITEM_IDENTITY",
    "ITEM_STATE",
    "NO_USAGE",
    "USAGE_COLUMNS",
    "UsageValues",
    "add_usages",
    "event_of",
    "item_identity",
    "item_of",
    "item_state",
    "output_key",
    "output_keys",
    "output_of",
    "run_of",
    "run_row",
    "run_state",
    "usage_of",
    "usage_values",
]

Row = Mapping[str, Any]
_NANO = 1_000_000_000


UsageValues: TypeAlias = tuple[int, int, int, int, int, int | None]
"""A usage as the columns hold it. Costs are whole billionths of a dollar, so that adding them in SQL is exact."""

USAGE_COLUMNS = (
    "requests",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cost_nano",
)
NO_USAGE: UsageValues = (0, 0, 0, 0, 0, 0)


def usage_values(usage: Usage) -> UsageValues:
    """The columns of a usage."""
    return (
        usage.requests,
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_tokens,
        usage.cache_write_tokens,
        usage.cost_nano,
    )


def usage_of(values: Sequence[Any]) -> Usage:
    """A usage from its columns."""
    if not any(values) and values[5] is not None:
        return changes.NO_USAGE
    *counts, cost = values
    requests, fresh, output, read, written = counts
    return Usage(
        requests=requests,
        input_tokens=fresh,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=written,
        cost=None if cost is None else cost / _NANO,
    )


def add_usages(usages: Iterable[UsageValues]) -> UsageValues:
    """Add usages up. A cost is unknown as soon as one is."""
    requests = fresh = output = read = written = 0
    cost: int | None = 0
    for each in usages:
        requests += each[0]
        fresh += each[1]
        output += each[2]
        read += each[3]
        written += each[4]
        cost = None if cost is None or each[5] is None else cost + each[5]
    return requests, fresh, output, read, written, cost


def run_row(run: Run) -> dict[str, Any]:
    """The columns of a run."""
    return {
        "id": run.id,
        "kind": run.kind,
        "status": str(run.status),
        "version": run.version,
        "fingerprint": run.fingerprint,
        "asked": dumps(run.asked),
        "error": run.error,
        "sequence": run.last_event,
        **_usage_row(run.usage),
        "created_at": _seconds(run.created_at),
        "started_at": _seconds(run.started_at),
        "finished_at": _seconds(run.finished_at),
        "heartbeat_at": _seconds(run.heartbeat_at),
    }


def run_state(run: Run) -> dict[str, Any]:
    """The columns of a run that change when its status does."""
    row = run_row(run)
    return {name: row[name] for name in ("status", "error", "started_at", "finished_at", "heartbeat_at")}


def run_of(row: Row, counters: Mapping[str, int]) -> Run:
    """A run from its row and its counters."""
    return Run(
        id=row["id"],
        kind=row["kind"],
        status=RunStatus(row["status"]),
        version=row["version"],
        counters=counters,
        usage=_usage_of(row),
        asked=loads(row["asked"]),
        fingerprint=row["fingerprint"],
        error=row["error"],
        last_event=row["sequence"],
        created_at=at(row["created_at"]),
        started_at=_moment(row["started_at"]),
        finished_at=_moment(row["finished_at"]),
        heartbeat_at=_moment(row["heartbeat_at"]),
    )


ITEM_IDENTITY = ("id", "kind", "name", "position", "size", "created_at")
ITEM_STATE = (
    *("status", "version", "attempts", "token", "owner", "lease_until", "error_code", "error_message"),
    *USAGE_COLUMNS,
    *("started_at", "finished_at"),
)


def item_identity(item: Item) -> tuple[Any, ...]:
    """The columns `ITEM_IDENTITY`."""
    return (item.id, item.kind, item.name, item.position, item.size, _seconds(item.created_at))


def item_state(item: Item) -> tuple[Any, ...]:
    """The columns `ITEM_STATE`, which are all that a command changes."""
    error = item.error
    return (
        item.status.value,
        item.version,
        item.attempts,
        item.token,
        item.owner,
        item.lease_until,
        error and error.code,
        error and error.message,
        *usage_values(item.usage),
        _seconds(item.started_at),
        _seconds(item.finished_at),
    )


def item_of(row: Row, run_id: str) -> Item:
    """An item of a run from its row."""
    code, started, finished = row["error_code"], row["started_at"], row["finished_at"]
    return Item(
        run_id=run_id,
        id=row["id"],
        kind=row["kind"],
        name=row["name"],
        position=row["position"],
        size=row["size"],
        status=ItemStatus(row["status"]),
        version=row["version"],
        attempts=row["attempts"],
        token=row["token"],
        owner=row["owner"],
        lease_until=row["lease_until"],
        error=None if code is None else ItemError(code=code, message=row["error_message"]),
        usage=_usage_of(row),
        created_at=at(row["created_at"]),
        started_at=None if started is None else at(started),
        finished_at=None if finished is None else at(finished),
    )


def output_key(item: int, index: int) -> int:
    """The key of an output by its item's key and its place, as the schema has it.

    Raises:
        StoreError: The item has more outputs than there are keys.
    """
    if index > _LAST_INDEX:
        raise StoreError(f"An item can have {_LAST_INDEX + 1:,} outputs at most.", code="too_big")
    return (item << 24) + index


def output_keys(item: int) -> tuple[int, int]:
    """Between which keys, both included, the outputs of an item are."""
    return output_key(item, 0), output_key(item, _LAST_INDEX)


_LAST_INDEX = 0xFFFFFF


def output_of(row: Row) -> Output:
    """An output from its row, joined with its item's position."""
    return Output(
        item_id=row["item_id"],
        position=row["position"],
        index=row["index"],
        kind=row["kind"],
        data=loads(row["data"]),
    )


def event_of(row: Row, run_id: str) -> Event:
    """An event of a run from its row."""
    return Event(
        run_id=run_id,
        sequence=row["sequence"],
        type=row["type"],
        time=at(row["time"]),
        item_id=row["item_id"],
        data=loads(row["data"]),
    )


def _usage_row(usage: Usage) -> dict[str, int | None]:
    return dict(zip(USAGE_COLUMNS, usage_values(usage), strict=True))


def _usage_of(row: Row) -> Usage:
    return usage_of(tuple(row[name] for name in USAGE_COLUMNS))


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else at(seconds)
