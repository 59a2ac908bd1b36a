"""Between models and table rows, shared by the SQL stores."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .._models import Event, Item, ItemError, Output, Run, Usage
from .._status import ItemStatus, RunStatus
from ._changes import at
from ._json import dumps, loads

__all__ = ["event_of", "item_of", "item_row", "output_of", "run_of", "run_row", "usage_row"]

Row = Mapping[str, Any]
_NANO = 1_000_000_000


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
        **usage_row(run.usage),
        **_times(run),
    }


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
        **_times_of(row),
    )


def item_row(item: Item) -> dict[str, Any]:
    """The columns of an item."""
    return {
        "run_id": item.run_id,
        "id": item.id,
        "kind": item.kind,
        "name": item.name,
        "position": item.position,
        "size": item.size,
        "status": str(item.status),
        "version": item.version,
        "attempts": item.attempts,
        "token": item.token,
        "owner": item.owner,
        "lease_until": item.lease_until,
        "error_code": item.error and item.error.code,
        "error_message": item.error and item.error.message,
        **usage_row(item.usage),
        **_times(item),
    }


def item_of(row: Row) -> Item:
    """An item from its row."""
    code = row["error_code"]
    return Item(
        run_id=row["run_id"],
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
        **_times_of(row),
    )


def output_of(row: Row) -> Output:
    """An output from its row, joined with its item's position."""
    return Output(
        item_id=row["item_id"],
        position=row["position"],
        index=row["index"],
        kind=row["kind"],
        data=loads(row["data"]),
    )


def event_of(row: Row) -> Event:
    """An event from its row."""
    return Event(
        run_id=row["run_id"],
        sequence=row["sequence"],
        type=row["type"],
        time=at(row["time"]),
        item_id=row["item_id"],
        data=loads(row["data"]),
    )


def usage_row(usage: Usage) -> dict[str, Any]:
    """The columns of a usage. Costs are whole billionths of a dollar, so that adding them in SQL is exact."""
    return {
        "requests": usage.requests,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cost_nano": usage.cost_nano,
    }


def _usage_of(row: Row) -> Usage:
    cost = row["cost_nano"]
    return Usage(
        requests=row["requests"],
        input_tokens=row["input_tokens"],
        output_tokens=row["output_tokens"],
        cache_read_tokens=row["cache_read_tokens"],
        cache_write_tokens=row["cache_write_tokens"],
        cost=None if cost is None else cost / _NANO,
    )


def _times(model: Run | Item) -> dict[str, float | None]:
    moments = {name: getattr(model, name) for name in ("created_at", "started_at", "finished_at")}
    return {name: moment and moment.timestamp() for name, moment in moments.items()}


def _times_of(row: Row) -> dict[str, Any]:
    def moment(name: str) -> datetime | None:
        return None if row[name] is None else at(row[name])

    return {name: moment(name) for name in ("created_at", "started_at", "finished_at")}
