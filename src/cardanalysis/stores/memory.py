"""A store in memory: nothing outlives the process, and nothing else is different from a store on disk."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar

from anyio.lowlevel import checkpoint
from attrs import define, evolve, field

from .._errors import ItemNotFound, RunNotFound
from .._models import Event, Item, ItemError, NewItem, NewOutput, Output, Renewal, Run, Usage
from .._status import ItemStatus, RunStatus
from . import _changes as changes
from ._json import dumps, loads

__all__ = ["MemoryStore"]

_T = TypeVar("_T")


@define
class _Kept:
    """One run with all that belongs to it. JSON is kept as text, so that nobody holds on to what is stored."""

    run: Run
    asked: str
    counters: Counter[str] = field(factory=Counter[str])
    items: dict[str, Item] = field(factory=dict[str, Item])
    outputs: dict[str, list[tuple[str, str]]] = field(factory=dict[str, list[tuple[str, str]]])
    events: list[tuple[str, str | None, float, str]] = field(factory=list[tuple[str, str | None, float, str]])
    _order: list[tuple[int, str]] | None = None

    def item(self, item_id: str) -> Item:
        try:
            return self.items[item_id]
        except KeyError:
            raise ItemNotFound(self.run.id, item_id) from None

    def order(self) -> list[tuple[int, str]]:
        """Position and id of every item, sorted."""
        if self._order is None:
            self._order = sorted((item.position, item.id) for item in self.items.values())
        return self._order

    def set_position(self, item: Item, position: int) -> Item:
        if item.position != position:
            self.items[item.id] = item = evolve(item, position=position)
            self._order = None
        return item

    def apply(self, made: Iterable[changes.Change], now: float, *, extra: Mapping[str, int] | None = None) -> None:
        made = list(made)
        if not made:
            return
        texts = [dumps(change.data) for change in made]  # what it refuses, it refuses before anything is changed
        for change, text in zip(made, texts, strict=True):
            if change.was is None:
                self._order = None
            self.items[change.item.id] = change.item
            self.log(change.event, change.item.id, text, now)
        self.counters.update(changes.tally(made))
        self.counters.update(extra or {})
        self.touch(usage=sum((change.usage for change in made), self.run.usage))

    def touch(self, **values: Any) -> None:
        self.run = evolve(self.run, version=self.run.version + 1, **values)

    def log(self, type_: str, item_id: str | None, data: str, now: float) -> None:
        self.events.append((type_, item_id, now, data))

    def event(self, sequence: int) -> Event:
        type_, item_id, now, data = self.events[sequence - 1]
        return Event(
            run_id=self.run.id,
            sequence=sequence,
            type=type_,
            time=changes.at(now),
            item_id=item_id,
            data=loads(data),
        )

    def view(self) -> Run:
        asked = loads(self.asked)
        return evolve(self.run, asked=asked, counters=self.counters, last_event=len(self.events))


class MemoryStore:
    """Keeps everything in memory; for tests, notebooks and runs that need not outlive the process.

    It keeps every promise of `cardanalysis.abc.Store` but durability, and may be used from several threads.

    Args:
        clock: Seconds since 1970, for leases and times.
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._runs: dict[str, _Kept] = {}

    def __repr__(self) -> str:
        return f"<MemoryStore with {len(self._runs)} runs>"

    async def __aenter__(self) -> Self:
        """Return the store; there is nothing to open."""
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Keep everything: the same store can be entered again."""

    def _kept(self, run_id: str) -> _Kept:
        try:
            return self._runs[run_id]
        except KeyError:
            raise RunNotFound(run_id) from None

    async def create_run(
        self, run_id: str, *, kind: str, fingerprint: str, asked: Mapping[str, Any], accept_change: bool = False
    ) -> Run:
        """See `cardanalysis.abc.Store.create_run`."""
        await checkpoint()
        text = dumps(asked)
        with self._lock:
            now = self._clock()
            kept = self._runs.get(run_id)
            if kept is None:
                run = Run(id=run_id, kind=kind, fingerprint=fingerprint, created_at=changes.at(now))
                kept = self._runs[run_id] = _Kept(run, text)
                kept.log("run_created", None, dumps({"kind": kind}), now)
            elif not (accept_change and kept.run.kind == kind):
                changes.check_same_run(kept.view(), kind=kind, fingerprint=fingerprint, asked=loads(text))
            elif kept.run.fingerprint != fingerprint:
                kept.log("run_changed", None, dumps({"fingerprint": fingerprint}), now)
                kept.asked = text
                kept.touch(fingerprint=fingerprint)
            return kept.view()

    async def get_run(self, run_id: str) -> Run:
        """See `cardanalysis.abc.Store.get_run`."""
        await checkpoint()
        with self._lock:
            return self._kept(run_id).view()

    async def update_run(self, run_id: str, status: RunStatus, *, version: int, error: str | None = None) -> Run:
        """See `cardanalysis.abc.Store.update_run`."""
        await checkpoint()
        with self._lock:
            now, kept = self._clock(), self._kept(run_id)
            old = kept.run.status
            kept.run = changes.move_run(kept.run, status, version=version, error=error, now=now)
            kept.log("run_status", None, dumps(changes.run_event(old, status, error)), now)
            kept.touch()
            return kept.view()

    async def add_items(self, run_id: str, items: Sequence[NewItem]) -> list[Item]:
        """See `cardanalysis.abc.Store.add_items`."""
        await checkpoint()
        with self._lock:
            now, kept = self._clock(), self._kept(run_id)
            unknown: dict[str, NewItem] = {}
            for new in items:
                if new.id not in kept.items:
                    unknown.setdefault(new.id, new)
            kept.apply([changes.add(run_id, new, now=now) for new in unknown.values()], now)
            for new in items:
                kept.set_position(kept.items[new.id], new.position)
            return [kept.items[new.id] for new in items]

    async def get_item(self, run_id: str, item_id: str) -> Item:
        """See `cardanalysis.abc.Store.get_item`."""
        await checkpoint()
        with self._lock:
            return self._kept(run_id).item(item_id)

    async def claim(
        self,
        run_id: str,
        owner: str,
        *,
        lease_seconds: float,
        limit: int = 1,
        item_ids: Collection[str] | None = None,
    ) -> list[Item]:
        """See `cardanalysis.abc.Store.claim`."""
        await checkpoint()
        with self._lock:
            now, kept = self._clock(), self._kept(run_id)
            if item_ids is None:
                candidates: Iterable[Item] = (kept.items[item_id] for _, item_id in kept.order())
            else:
                wanted = (kept.items[item_id] for item_id in set(item_ids) if item_id in kept.items)
                candidates = sorted(wanted, key=changes.order_of)
            made: list[changes.Change] = []
            for item in candidates:
                if len(made) == limit:
                    break
                if changes.is_claimable(item, now=now):
                    made.append(changes.claim(item, owner, lease_seconds=lease_seconds, now=now))
            kept.apply(made, now)
            return [change.item for change in made]

    async def renew(self, run_id: str, owner: str, *, lease_seconds: float) -> Renewal:
        """See `cardanalysis.abc.Store.renew`."""
        await checkpoint()
        with self._lock:
            now, kept = self._clock(), self._kept(run_id)
            held = [item for item in kept.items.values() if item.owner == owner]
            for item in held:
                kept.items[item.id] = evolve(item, lease_until=now + lease_seconds)
            return Renewal(held=frozenset(item.id for item in held), stop=kept.run.status is RunStatus.CANCELLED)

    async def release(self, run_id: str, item_id: str, *, token: int) -> Item:
        """See `cardanalysis.abc.Store.release`."""
        await checkpoint()
        with self._lock:
            now, kept = self._clock(), self._kept(run_id)
            change = changes.release(kept.item(item_id), token=token)
            kept.apply([change], now)
            return change.item

    async def update_status(self, run_id: str, item_id: str, status: ItemStatus, *, version: int) -> Item:
        """See `cardanalysis.abc.Store.update_status`."""
        await checkpoint()
        with self._lock:
            now, kept = self._clock(), self._kept(run_id)
            change = changes.move(kept.item(item_id), status, version=version, now=now)
            kept.apply([change], now)
            return change.item

    async def complete_item(
        self,
        run_id: str,
        item_id: str,
        *,
        token: int,
        outputs: Sequence[NewOutput],
        usage: Usage,
        error: ItemError | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Item:
        """See `cardanalysis.abc.Store.complete_item`."""
        await checkpoint()
        texts = [(output.kind, dumps(output.data)) for output in outputs]
        with self._lock:
            now, kept = self._clock(), self._kept(run_id)
            item = kept.item(item_id)
            change = changes.complete(item, token=token, outputs=outputs, usage=usage, error=error, data=data, now=now)
            if change is None:
                return item
            kinds = ([kind for kind, _ in which] for which in (kept.outputs.get(item_id, ()), texts))
            kept.apply([change], now, extra=changes.output_tally(*kinds))
            kept.outputs[item_id] = texts
            return change.item

    async def fail_item(self, run_id: str, item_id: str, *, token: int, error: ItemError, usage: Usage) -> Item:
        """See `cardanalysis.abc.Store.fail_item`."""
        await checkpoint()
        with self._lock:
            now, kept = self._clock(), self._kept(run_id)
            item = kept.item(item_id)
            kept_any = bool(kept.outputs.get(item_id))
            change = changes.fail(item, token=token, error=error, usage=usage, keeps_outputs=kept_any, now=now)
            if change is None:
                return item
            kept.apply([change], now)
            return change.item

    async def increment(self, run_id: str, counter: str, by: int = 1) -> int:
        """See `cardanalysis.abc.Store.increment`."""
        await checkpoint()
        with self._lock:
            kept = self._kept(run_id)
            kept.counters[counter] += by
            kept.touch()
            return kept.counters[counter]

    async def append_event(
        self,
        run_id: str,
        type: str,  # noqa: A002 - the name of the event's field
        *,
        item_id: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Event:
        """See `cardanalysis.abc.Store.append_event`."""
        await checkpoint()
        text = dumps(data or {})
        with self._lock:
            kept = self._kept(run_id)
            kept.log(type, item_id, text, self._clock())
            return kept.event(len(kept.events))

    async def items(
        self, run_id: str, *, status: ItemStatus | None = None, after: Item | None = None, limit: int | None = None
    ) -> list[Item]:
        """See `cardanalysis.abc.Store.items`."""
        await checkpoint()
        with self._lock:
            kept = self._kept(run_id)
            order = kept.order()
            start = 0 if after is None else bisect_right(order, changes.order_of(after))
            found = (kept.items[item_id] for _, item_id in order[start:])
            return _page((item for item in found if status is None or item.status == status), limit)

    async def outputs(
        self,
        run_id: str,
        *,
        kind: str | None = None,
        item_id: str | None = None,
        after: Output | None = None,
        limit: int | None = None,
    ) -> list[Output]:
        """See `cardanalysis.abc.Store.outputs`."""
        await checkpoint()
        with self._lock:
            kept = self._kept(run_id)
            order = kept.order()
            # The item of the last output is read again, since more of its outputs may follow.
            start = 0 if after is None else bisect_right(order, (after.position, after.item_id)) - 1
            seen = (-1, "", -1) if after is None else (after.position, after.item_id, after.index)
            found = (
                Output(item_id=each, position=position, index=index, kind=of_kind, data=loads(text))
                for position, each in order[max(start, 0) :]
                for index, (of_kind, text) in enumerate(kept.outputs.get(each, ()))
                if (position, each, index) > seen and kind in (None, of_kind) and item_id in (None, each)
            )
            return _page(found, limit)

    async def events(self, run_id: str, after: int = 0, *, limit: int | None = None) -> list[Event]:
        """See `cardanalysis.abc.Store.events`."""
        await checkpoint()
        with self._lock:
            kept = self._kept(run_id)
            return _page((kept.event(sequence) for sequence in range(max(after, 0) + 1, len(kept.events) + 1)), limit)


def _page(found: Iterable[_T], limit: int | None) -> list[_T]:
    return list(islice(found, limit))
