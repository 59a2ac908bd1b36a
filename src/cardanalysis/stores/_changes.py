"""What each command does to an item, as pure functions. Every store applies the same changes, so that all agree.

A function takes the item as it is and returns a `Change`, or raises because the command is refused. The store writes
the changed item, its event, the counters and the usage in one transaction.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any

from attrs import asdict, evolve, field, fields, frozen

from .._errors import FingerprintMismatch, IllegalMove, InvalidValue, LeaseLost, StoreError, VersionConflict
from .._models import Event, Item, ItemError, NewItem, NewOutput, Output, Run, Usage
from .._owner import is_dead
from .._status import RESERVED_COUNTERS, RUN_MOVES, ItemStatus, RunStatus, is_legal

__all__ = ["Change"]

NO_USAGE = Usage()


@frozen(kw_only=True)
class Change:
    """An item as it will be, and what that means for its run.

    Attributes:
        item: The item to store.
        was: Its status before, or None if it is new.
        event: The type of the event to append.
        data: The event's data.
        usage: What to add to the run's usage.
    """

    item: Item
    was: ItemStatus | None
    event: str = "item_status"
    data: Mapping[str, Any] = field(factory=dict[str, Any])
    usage: Usage = NO_USAGE


def tally(changes: Iterable[Change]) -> dict[str, int]:
    """What the changes add to the run's counters."""
    counters: dict[str, int] = {}
    for change in changes:
        new, old, by = change.item.status.value, "total", 1
        if change.was is not None:
            old, by = change.was.value, -1
        counters[new] = counters.get(new, 0) + 1
        counters[old] = counters.get(old, 0) + by
    return counters


def output_tally(old: Iterable[str], new: Iterable[str]) -> dict[str, int]:
    """What replacing outputs of the old kinds by outputs of the new kinds adds to the run's counters."""
    counters: dict[str, int] = {}
    for kinds, by in ((new, 1), (old, -1)):
        for kind in kinds:
            counters[kind] = counters.get(kind, 0) + by
    return counters


def at(now: float) -> datetime:
    """The store's clock as a datetime."""
    return datetime.fromtimestamp(now, UTC)


def add(run_id: str, new: NewItem, *, now: float) -> Change:
    """A new item, pending."""
    item = Item(
        run_id=run_id,
        id=new.id,
        kind=new.kind,
        name=new.name,
        position=new.position,
        size=new.size,
        created_at=at(now),
    )
    return Change(item=item, was=None, event="item_added", data={"name": new.name, "size": new.size})


def is_claimable(item: Item, *, now: float) -> bool:
    """Whether an item can be given to a worker now."""
    if item.status is ItemStatus.PENDING:
        return True
    if not item.status.is_active:
        return False
    return item.lease_until is None or item.lease_until < now or item.owner is None or is_dead(item.owner)


def claim(item: Item, owner: str, *, lease_seconds: float, now: float) -> Change:
    """A claimable item, given to an owner."""
    claimed = _changed(
        item,
        status=ItemStatus.LOADING,
        attempts=item.attempts + 1,
        token=item.token + 1,
        owner=owner,
        lease_until=now + lease_seconds,
        error=None,
        started_at=at(now),
        finished_at=None,
    )
    return _moved(item, claimed)


def release(item: Item, *, token: int, usage: Usage | None) -> Change:
    """A claimed item, handed back unfinished, with what the attempt had cost."""
    _check_claim(item, token)
    back: dict[str, Any] = {"status": ItemStatus.PENDING, "attempts": item.attempts - 1, "started_at": None}
    if usage is None or usage == NO_USAGE:
        return _moved(item, _without_claim(item, **back))
    spent = _without_claim(item, **back, usage=item.usage + usage)
    return _moved(item, spent, data={"usage": _told(usage)}, usage=usage)


def checkpoint(item: Item, *, token: int, key: str, usage: Usage) -> Change:
    """An item in work, of which a part is done."""
    _check_claim(item, token)
    data = {"key": key, "usage": _told(usage)}
    spent = _changed(item, usage=item.usage + usage)
    return Change(item=spent, was=item.status, event="checkpoint", data=data, usage=usage)


def move(item: Item, status: ItemStatus, *, version: int, now: float) -> Change:
    """An item whose status is set by somebody who read it at a version."""
    what = f"Item {item.id!r}"
    if item.version != version:
        raise VersionConflict(what, expected=version, current=item.version)
    if not is_legal(item.status, status):
        raise IllegalMove(what, old=item.status, new=status)
    if status.is_active:
        return _moved(item, _changed(item, status=status))
    if status is ItemStatus.PENDING:
        return _moved(item, _without_claim(item, status=status, error=None, started_at=None, finished_at=None))
    return _moved(item, _without_claim(item, status=status, finished_at=at(now)))


def complete(
    item: Item,
    *,
    token: int,
    outputs: Sequence[NewOutput],
    usage: Usage,
    error: ItemError | None,
    data: Mapping[str, Any] | None,
    now: float,
) -> Change | None:
    """An item with its result, or None if that claim's outcome is recorded already."""
    status = ItemStatus.COMPLETED if error is None else ItemStatus.PARTIAL
    counts = output_tally((), (output.kind for output in outputs))
    return _finish(
        item, status, token=token, usage=usage, error=error, data={**(data or {}), "outputs": counts}, now=now
    )


def fail(item: Item, *, token: int, error: ItemError, usage: Usage, keeps_outputs: bool, now: float) -> Change | None:
    """An item without a new result, or None if that claim's outcome is recorded already."""
    status = ItemStatus.PARTIAL if keeps_outputs else ItemStatus.FAILED
    return _finish(item, status, token=token, usage=usage, error=error, data={}, now=now)


def _finish(
    item: Item,
    status: ItemStatus,
    *,
    token: int,
    usage: Usage,
    error: ItemError | None,
    data: Mapping[str, Any],
    now: float,
) -> Change | None:
    if item.token == token and item.status in _RECORDED:
        return None
    _check_claim(item, token)
    done = _without_claim(item, status=status, error=error, usage=item.usage + usage, finished_at=at(now))
    return _moved(item, done, data={**data, "usage": _told(usage)}, usage=usage)


def _told(usage: Usage) -> dict[str, Any]:
    """A usage as events tell it."""
    return {name: getattr(usage, name) for name in _USAGE_NAMES}


_USAGE_NAMES = tuple(attribute.name for attribute in fields(Usage))
_RECORDED = frozenset({ItemStatus.COMPLETED, ItemStatus.PARTIAL, ItemStatus.FAILED})
"""Where the outcome of a claim may stand; who finishes an item that was cancelled meanwhile must learn of it."""


def _check_claim(item: Item, token: int) -> None:
    # A status can be set without a claim, and then the token is that of a claim which is over: nobody owns the item.
    if item.token != token or not item.status.is_active or item.owner is None:
        raise LeaseLost(item.run_id, item.id, token=token)


def _without_claim(item: Item, **changes: Any) -> Item:
    return _changed(item, owner=None, lease_until=None, **changes)


def _changed(item: Item, **changes: Any) -> Item:
    """The item one version on. It is done for every call, and this takes half the time of `attrs.evolve`."""
    values: dict[str, Any] = dict(zip(_ITEM_NAMES, _item_values(item), strict=True))
    values.update(changes, version=item.version + 1)
    return Item(**values)


_ITEM_NAMES = tuple(attribute.name for attribute in fields(Item))
_item_values = attrgetter(*_ITEM_NAMES)


def _moved(old: Item, new: Item, *, data: Mapping[str, Any] | None = None, usage: Usage | None = None) -> Change:
    told: dict[str, Any] = {
        "name": new.name,
        "from": str(old.status),
        "to": str(new.status),
        "attempt": max(old.attempts, new.attempts),
    }
    if new.error is not None:
        told["error"] = asdict(new.error)
    return Change(item=new, was=old.status, data={**(data or {}), **told}, usage=NO_USAGE if usage is None else usage)


def move_run(run: Run, status: RunStatus, *, version: int, error: str | None, now: float) -> Run:
    """A run whose status is set by somebody who read it at a version. The version is raised by the store."""
    what = f"Run {run.id!r}"
    if run.version != version:
        raise VersionConflict(what, expected=version, current=run.version)
    if status not in RUN_MOVES[run.status]:
        raise IllegalMove(what, old=run.status, new=status)
    if status is RunStatus.RUNNING:
        return evolve(run, status=status, error=None, started_at=at(now), finished_at=None, heartbeat_at=at(now))
    return evolve(run, status=status, error=error, finished_at=at(now))


def run_event(old: RunStatus, new: RunStatus, error: str | None) -> dict[str, Any]:
    """What the log says of a run's move."""
    return {"from": str(old), "to": str(new), **({"error": error} if error else {})}


def check_same_run(run: Run, *, kind: str, fingerprint: str, asked: Mapping[str, Any]) -> None:
    """Refuse to go on with a run that was asked something else."""
    if run.kind != kind:
        raise FingerprintMismatch(run.id, ["kind"])
    if run.fingerprint != fingerprint:
        names = sorted(run.asked.keys() | asked.keys())
        raise FingerprintMismatch(
            run.id, [name for name in names if run.asked.get(name) != asked.get(name)] or ["plan"]
        )


def order_of(item: Item) -> tuple[int, str]:
    """The place of an item among the run's items."""
    return item.position, item.id


def is_stale(run: Run, *, seconds: float, now: float) -> bool:
    """Whether a run is running and nobody has been heard of for longer than that."""
    if run.status is not RunStatus.RUNNING:
        return False
    return run.heartbeat_at is None or run.heartbeat_at.timestamp() < now - seconds


def check_new(run_id: str, *, exists: bool) -> None:
    """Refuse to restore a run over another one."""
    if exists:
        message = f"There is a run {run_id!r} already. Delete it first, or give the other one another run_id."
        raise StoreError(message, code="run_exists")


def misfit(run_id: str, problem: str) -> StoreError:
    """The error that says why records do not make a run."""
    return StoreError(f"Run {run_id!r} cannot be read: {problem}. Restore it from a copy.", code="corrupt")


def check_record(run: Run, record: object) -> None:
    """Refuse to restore what no store can have had."""
    if isinstance(record, Item):
        lease = record.lease_until
        if (
            record.position < 0
            or record.attempts < 0
            or record.token < 0
            or (lease is not None and not math.isfinite(lease))
        ):
            raise misfit(run.id, f"item {record.id!r} has a number that cannot be")
    elif not isinstance(record, (Output, Event)):
        raise misfit(run.id, f"there is a {type(record).__name__} among its records")


def check_deletable(run: Run, in_work: Iterable[Item], *, now: float) -> None:
    """Refuse to delete a run that somebody may be working on, also one whose workers have not yet let go of it."""
    if run.status is RunStatus.RUNNING:
        raise StoreError(
            f"Run {run.id!r} is running. Cancel it first, with cancel_run, then delete it.", code="running"
        )
    if not all(is_claimable(item, now=now) for item in in_work):
        message = f"Workers still hold items of run {run.id!r}. Wait until they let go, or their leases end."
        raise StoreError(message, code="running")


def check_text(value: str, name: str) -> None:
    """Refuse an id or a name that is none."""
    if not isinstance(value, str) or not value:
        raise InvalidValue(f"{name} must be text that is not empty.")


_MOST = 2**63 - 1
"""What databases can count to."""


def check_limit(limit: int | None) -> None:
    """Refuse to give fewer than none."""
    if limit is not None and (type(limit) is not int or not 0 <= limit <= _MOST):
        raise InvalidValue("limit must be a whole number of at least 0, or None for no limit.")


def check_after(after: object, kind: type) -> None:
    """Refuse a page behind something else than what it consists of."""
    if after is not None and not isinstance(after, kind):
        raise InvalidValue(f"after must be the last {kind.__name__} that was read, not {type(after).__name__}.")


def check_sequence(after: object) -> None:
    """Refuse events behind what is no number of one."""
    if type(after) is not int or after > _MOST:
        raise InvalidValue("after must be the number of an event, or 0 for all.")


def check_status(status: object, statuses: type[StrEnum]) -> None:
    """Refuse to look for a status that there is not."""
    if status is not None and status not in list(statuses):
        raise InvalidValue(f"status must be one of {', '.join(statuses)}, or None for all.")


def check_lease(seconds: float) -> None:
    """Refuse a lease that is over when it begins, or that never ends."""
    if not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
        raise InvalidValue("lease_seconds must be a number of more than 0, and finite.")


def check_increment(by: int) -> None:
    """Refuse to add what is no whole number, or one that cannot be stored."""
    if type(by) is not int or abs(by) > _MOST:
        raise InvalidValue("by must be a whole number of at most 63 bits.")


def check_counter(name: str) -> None:
    """Refuse to let anybody else count under the names that the store counts under."""
    check_text(name, "counter")
    if name in RESERVED_COUNTERS:
        raise InvalidValue(f"The counter {name!r} is counted by the store itself. Choose another name.")
