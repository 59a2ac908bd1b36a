"""What each command does to an item, as pure functions. Every store applies the same changes, so that all agree.

A function takes the item as it is and returns a `Change`, or raises because the command is refused. The store writes
the changed item, its event, the counters and the usage in one transaction.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import asdict, evolve, field, frozen

from .._errors import FingerprintMismatch, IllegalMove, LeaseLost, VersionConflict
from .._models import Item, ItemError, NewItem, NewOutput, Run, Usage
from .._owner import is_dead
from .._status import RUN_MOVES, ItemStatus, RunStatus, is_legal

__all__ = ["Change"]


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
    usage: Usage = field(factory=Usage)


def tally(changes: Iterable[Change]) -> Counter[str]:
    """What the changes add to the run's counters."""
    counters: Counter[str] = Counter()
    for change in changes:
        counters[change.item.status] += 1
        counters["total" if change.was is None else change.was] += 1 if change.was is None else -1
    return counters


def output_tally(old: Iterable[str], new: Iterable[str]) -> Counter[str]:
    """What replacing outputs of the old kinds by outputs of the new kinds adds to the run's counters."""
    counters = Counter(new)
    counters.subtract(old)
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
    claimed = evolve(
        item,
        status=ItemStatus.LOADING,
        version=item.version + 1,
        attempts=item.attempts + 1,
        token=item.token + 1,
        owner=owner,
        lease_until=now + lease_seconds,
        error=None,
        started_at=at(now),
        finished_at=None,
    )
    return _moved(item, claimed)


def release(item: Item, *, token: int) -> Change:
    """A claimed item, handed back unfinished."""
    _check_claim(item, token)
    return _moved(item, _without_claim(item, status=ItemStatus.PENDING, attempts=item.attempts - 1, started_at=None))


def move(item: Item, status: ItemStatus, *, version: int, now: float) -> Change:
    """An item whose status is set by somebody who read it at a version."""
    what = f"Item {item.id!r}"
    if item.version != version:
        raise VersionConflict(what, expected=version, current=item.version)
    if not is_legal(item.status, status):
        raise IllegalMove(what, old=item.status, new=status)
    if status.is_active:
        return _moved(item, evolve(item, status=status, version=item.version + 1))
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
    counts = dict(Counter(output.kind for output in outputs))
    return _finish(
        item, status, token=token, usage=usage, error=error, data={**(data or {}), "outputs": counts}, now=now
    )


def fail(item: Item, *, token: int, error: ItemError, usage: Usage, now: float) -> Change | None:
    """An item without a result, or None if that claim's outcome is recorded already."""
    return _finish(item, ItemStatus.FAILED, token=token, usage=usage, error=error, data={}, now=now)


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
    return _moved(item, done, data={**data, "usage": asdict(usage)}, usage=usage)


_RECORDED = frozenset({ItemStatus.COMPLETED, ItemStatus.PARTIAL, ItemStatus.FAILED})
"""Where the outcome of a claim may stand; who finishes an item that was cancelled meanwhile must learn of it."""


def _check_claim(item: Item, token: int) -> None:
    # A status can be set without a claim, and then the token is that of a claim which is over: nobody owns the item.
    if item.token != token or not item.status.is_active or item.owner is None:
        raise LeaseLost(item.run_id, item.id, token=token)


def _without_claim(item: Item, **changes: Any) -> Item:
    return evolve(item, version=item.version + 1, owner=None, lease_until=None, **changes)


def _moved(old: Item, new: Item, *, data: Mapping[str, Any] | None = None, usage: Usage | None = None) -> Change:
    told: dict[str, Any] = {
        "name": new.name,
        "from": str(old.status),
        "to": str(new.status),
        "attempt": max(old.attempts, new.attempts),
    }
    if new.error is not None:
        told["error"] = asdict(new.error)
    return Change(item=new, was=old.status, data={**told, **(data or {})}, usage=usage or Usage())


def move_run(run: Run, status: RunStatus, *, version: int, error: str | None, now: float) -> Run:
    """A run whose status is set by somebody who read it at a version. The version is raised by the store."""
    what = f"Run {run.id!r}"
    if run.version != version:
        raise VersionConflict(what, expected=version, current=run.version)
    if status not in RUN_MOVES[run.status]:
        raise IllegalMove(what, old=run.status, new=status)
    if status is RunStatus.RUNNING:
        return evolve(run, status=status, error=None, started_at=at(now), finished_at=None)
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
