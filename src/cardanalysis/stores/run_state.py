"""One run in memory, and what every verb of a store does to it: the part that all backends have in common."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Self, TypeVar, cast

from attrs import evolve

from .._errors import ItemNotFound, StoreError
from .._models import Event, Item, ItemError, NewItem, NewOutput, Output, Renewal, Run, Usage
from .._run_lines import decode, encode
from .._status import ItemStatus, RunStatus
from . import _changes as changes
from ._json import dumps, loads

__all__ = ["RunState"]

_T = TypeVar("_T")


class RunState:
    """The whole state of one run, and every verb of `cardanalysis.abc.Store` on it.

    A method changes everything that its verb changes, or raises what the verb raises and changes nothing. It holds no
    lock and does no input or output: whoever keeps the state, in a dict, a file or a database that can compare and
    swap, brings those. Nobody holds on to what is stored: JSON values go in and come out as copies.

    Where time matters it is an argument, `now`, in seconds since 1970. A new state is made by `create`, and one that
    was kept somewhere by `restore` or `from_lines`.
    """

    def __init__(self, run: Run) -> None:
        """Use `create`, `restore` or `from_lines`."""
        changes.check_text(run.id, "run_id")
        changes.check_text(run.kind, "kind")
        self._asked = dumps(run.asked)
        self._counters = Counter(run.counters)
        self._run = evolve(run, asked={}, counters={}, items=None, cards=None)
        self._items: dict[str, Item] = {}
        self._outputs: dict[str, list[tuple[str, str]]] = {}
        self._checkpoints: dict[str, dict[str, str]] = {}
        self._events: list[tuple[str, str | None, datetime, str]] = []
        self._in_work: set[str] = set()
        # Positions and ids in order; None when they are to be sorted anew.
        self._order: list[tuple[int, str]] | None = None
        self._unfinished: list[tuple[int, str]] | None = None

    def __repr__(self) -> str:
        return f"<RunState of {self._run.id!r}, {self._run.status}, {len(self._items)} items>"

    # -- making and keeping --------------------------------------------------------------------------------------

    @classmethod
    def create(cls, run_id: str, *, kind: str, fingerprint: str, asked: Mapping[str, Any], now: float) -> Self:
        """Make a new run, queued.

        Raises:
            InvalidValue: `run_id` or `kind` is empty.
            StoreError: With code ``not_json``, `asked` holds no JSON values.
        """
        state = cls(Run(id=run_id, kind=kind, fingerprint=fingerprint, asked=asked, created_at=changes.at(now)))
        state._log("run_created", None, dumps({"kind": kind}), now)
        return state

    def reopen(
        self, *, kind: str, fingerprint: str, asked: Mapping[str, Any], now: float, accept_change: bool = False
    ) -> Run:
        """Do what `cardanalysis.abc.Store.create_run` does to a run that exists."""
        changes.check_text(kind, "kind")
        text = dumps(asked)
        if not (accept_change and self._run.kind == kind):
            changes.check_same_run(self.view(), kind=kind, fingerprint=fingerprint, asked=loads(text))
        elif self._run.fingerprint != fingerprint:
            self._log("run_changed", None, dumps({"fingerprint": fingerprint}), now)
            self._asked = text
            self._touch(fingerprint=fingerprint)
        return self.view()

    def records(self) -> Iterator[Item | Output | Event]:
        """Everything but the run itself: items, then outputs in order, then events."""
        yield from self.items()
        yield from self.outputs()
        yield from self.events()

    @classmethod
    def restore(cls, run: Run, records: Iterable[Item | Output | Event]) -> Self:
        """Make an exact copy of what `view` and `records` gave.

        Args:
            run: The run.
            records: What belongs to it: items before their outputs, and events in order. What they raise is raised.

        Raises:
            ItemNotFound: An output comes without its item.
            StoreError: With code ``corrupt``, something else is missing, or is there twice.
        """
        state = cls(run)
        for record in records:
            state._put_back(record)
        if len(state._events) != run.last_event:
            raise changes.misfit(run.id, f"{len(state._events)} of {run.last_event} events are there")
        return state

    def to_lines(self) -> Iterator[str]:
        """Write everything as text, one JSON document a line, without the ends of the lines. The run comes first."""
        yield encode(self.view())
        yield from map(encode, self.records())

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> Self:
        """Make an exact copy of the state that `to_lines` wrote.

        Raises:
            StoreError: These are not the lines of one run.
        """
        records = map(decode, lines)
        run = next(records, None)
        if not isinstance(run, Run):
            raise StoreError("This is no run: its first line must be that of a run.", code="corrupt")
        return cls.restore(run, cast("Iterator[Item | Output | Event]", records))  # another run is refused

    # -- the run -------------------------------------------------------------------------------------------------

    def view(self) -> Run:
        """See `cardanalysis.abc.Store.get_run`."""
        return evolve(self._run, asked=loads(self._asked), counters=self._counters, last_event=len(self._events))

    def update_run(self, status: RunStatus, *, version: int, now: float, error: str | None = None) -> Run:
        """See `cardanalysis.abc.Store.update_run`."""
        old = self._run.status
        moved = changes.move_run(self._run, status, version=version, error=error, now=now)
        self._log("run_status", None, dumps(changes.run_event(old, status, error)), now)
        self._run = moved
        self._touch()
        return self.view()

    def increment(self, counter: str, by: int = 1) -> int:
        """See `cardanalysis.abc.Store.increment`."""
        changes.check_counter(counter)
        changes.check_increment(by)
        self._counters[counter] += by
        self._touch()
        return self._counters[counter]

    def append_event(
        self,
        type: str,  # noqa: A002 - the name of the event's field
        *,
        now: float,
        item_id: str | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Event:
        """See `cardanalysis.abc.Store.append_event`."""
        changes.check_text(type, "type")
        self._log(type, item_id, dumps(data or {}), now)
        return self._event(len(self._events))

    # -- items ---------------------------------------------------------------------------------------------------

    def add_items(self, items: Sequence[NewItem], *, now: float) -> list[Item]:
        """See `cardanalysis.abc.Store.add_items`."""
        unknown: dict[str, NewItem] = {}
        for new in items:
            if new.id not in self._items:
                unknown.setdefault(new.id, new)
        self._apply([changes.add(self._run.id, new, now=now) for new in unknown.values()], now)
        for new in items:
            item = self._items[new.id]
            if item.position != new.position:
                self._set_item(evolve(item, position=new.position))
                self._touch()
        return [self._items[new.id] for new in items]

    def get_item(self, item_id: str) -> Item:
        """See `cardanalysis.abc.Store.get_item`."""
        try:
            return self._items[item_id]
        except KeyError:
            raise ItemNotFound(self._run.id, item_id) from None

    def claim(
        self,
        owner: str,
        *,
        lease_seconds: float,
        now: float,
        limit: int = 1,
        item_ids: Collection[str] | None = None,
    ) -> list[Item]:
        """See `cardanalysis.abc.Store.claim`."""
        changes.check_text(owner, "owner")
        changes.check_lease(lease_seconds)
        changes.check_limit(limit)
        found = (item for item in self._candidates(item_ids) if changes.is_claimable(item, now=now))
        made = [changes.claim(item, owner, lease_seconds=lease_seconds, now=now) for item in islice(found, limit)]
        self._apply(made, now, heartbeat_at=changes.at(now))
        return [change.item for change in made]

    def renew(self, owner: str, *, lease_seconds: float, now: float) -> Renewal:
        """See `cardanalysis.abc.Store.renew`."""
        changes.check_text(owner, "owner")
        changes.check_lease(lease_seconds)
        self._run = evolve(self._run, heartbeat_at=changes.at(now))
        held = [item for item in map(self.get_item, self._in_work) if item.owner == owner]
        for item in held:
            self._items[item.id] = evolve(item, lease_until=now + lease_seconds)
        return Renewal(held=frozenset(item.id for item in held), stop=self._run.status is RunStatus.CANCELLED)

    def release(self, item_id: str, *, token: int, now: float, usage: Usage | None = None) -> Item:
        """See `cardanalysis.abc.Store.release`."""
        change = changes.release(self.get_item(item_id), token=token, usage=usage)
        self._apply([change], now)
        return change.item

    def update_status(self, item_id: str, status: ItemStatus, *, version: int, now: float) -> Item:
        """See `cardanalysis.abc.Store.update_status`."""
        change = changes.move(self.get_item(item_id), status, version=version, now=now)
        self._apply([change], now)
        return change.item

    def complete_item(
        self,
        item_id: str,
        *,
        token: int,
        outputs: Sequence[NewOutput],
        usage: Usage,
        now: float,
        error: ItemError | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> Item:
        """See `cardanalysis.abc.Store.complete_item`."""
        texts = [(output.kind, dumps(output.data)) for output in outputs]
        item = self.get_item(item_id)
        change = changes.complete(item, token=token, outputs=outputs, usage=usage, error=error, data=data, now=now)
        if change is None:
            return item
        old, new = ([kind for kind, _ in which] for which in (self._outputs.get(item_id, ()), texts))
        self._apply([change], now, extra=changes.output_tally(old, new))
        self._outputs[item_id] = texts
        if error is None:
            self._checkpoints.pop(item_id, None)
        return change.item

    def fail_item(self, item_id: str, *, token: int, error: ItemError, usage: Usage, now: float) -> Item:
        """See `cardanalysis.abc.Store.fail_item`."""
        item = self.get_item(item_id)
        keeps = bool(self._outputs.get(item_id))
        change = changes.fail(item, token=token, error=error, usage=usage, keeps_outputs=keeps, now=now)
        if change is None:
            return item
        self._apply([change], now)
        return change.item

    def save_checkpoint(
        self, item_id: str, *, token: int, key: str, data: Mapping[str, Any], usage: Usage, now: float
    ) -> Item:
        """See `cardanalysis.abc.CheckpointStore.save_checkpoint`."""
        changes.check_text(key, "key")
        text, item = dumps(data), self.get_item(item_id)
        change = changes.checkpoint(item, token=token, key=key, usage=usage)
        kept = self._checkpoints.setdefault(item_id, {})
        if key in kept:
            return item
        self._apply([change], now)
        kept[key] = text
        return change.item

    def checkpoints(self, item_id: str) -> dict[str, Mapping[str, Any]]:
        """See `cardanalysis.abc.CheckpointStore.checkpoints`."""
        return {key: loads(text) for key, text in self._checkpoints.get(self.get_item(item_id).id, {}).items()}

    # -- what is kept --------------------------------------------------------------------------------------------

    def items(
        self, *, status: ItemStatus | None = None, after: Item | None = None, limit: int | None = None
    ) -> list[Item]:
        """See `cardanalysis.abc.Store.items`."""
        changes.check_status(status, ItemStatus)
        changes.check_after(after, Item)
        order = self._in_order()
        start = 0 if after is None else bisect_right(order, changes.order_of(after))
        found = (self._items[item_id] for _, item_id in islice(order, start, None))
        return _page((item for item in found if status is None or item.status == status), limit)

    def outputs(
        self,
        *,
        kind: str | None = None,
        item_id: str | None = None,
        after: Output | None = None,
        limit: int | None = None,
    ) -> list[Output]:
        """See `cardanalysis.abc.Store.outputs`."""
        changes.check_after(after, Output)
        order = self._in_order()
        # The item of the last output is read again, since more of its outputs may follow.
        start = 0 if after is None else bisect_left(order, (after.position, after.item_id))
        seen = (-1, "", -1) if after is None else (after.position, after.item_id, after.index)
        found = (
            Output(item_id=each, position=position, index=index, kind=of_kind, data=loads(text))
            for position, each in islice(order, start, None)
            for index, (of_kind, text) in enumerate(self._outputs.get(each, ()))
            if (position, each, index) > seen and kind in (None, of_kind) and item_id in (None, each)
        )
        return _page(found, limit)

    def events(self, after: int = 0, *, limit: int | None = None) -> list[Event]:
        """See `cardanalysis.abc.Store.events`."""
        changes.check_sequence(after)
        return _page((self._event(number) for number in range(max(after, 0) + 1, len(self._events) + 1)), limit)

    # -- housekeeping --------------------------------------------------------------------------------------------

    def check_deletable(self, *, now: float) -> None:
        """See `cardanalysis.abc.Housekeeping.delete_run`."""
        changes.check_deletable(self._run, map(self.get_item, self._in_work), now=now)

    def matches(
        self,
        *,
        now: float,
        kind: str | None = None,
        status: RunStatus | None = None,
        stale_seconds: float | None = None,
    ) -> bool:
        """Whether `cardanalysis.abc.Housekeeping.runs` would let this run through."""
        stale = stale_seconds is None or changes.is_stale(self._run, seconds=stale_seconds, now=now)
        return stale and kind in (None, self._run.kind) and status in (None, self._run.status)

    def find_completed(self, item_id: str, *, kind: str, fingerprint: str) -> Item | None:
        """What this run has for `cardanalysis.abc.Housekeeping.find_completed`."""
        item = self._items.get(item_id)
        if item is None or item.status is not ItemStatus.COMPLETED:
            return None
        return item if (self._run.kind, self._run.fingerprint) == (kind, fingerprint) else None

    # -- inside --------------------------------------------------------------------------------------------------

    def _apply(
        self, made: Sequence[changes.Change], now: float, *, extra: Mapping[str, int] | None = None, **values: Any
    ) -> None:
        if not made:
            return
        texts = [dumps(change.data) for change in made]  # what it refuses, it refuses before anything is changed
        usage = sum((change.usage for change in made), self._run.usage)
        for change, text in zip(made, texts, strict=True):
            self._set_item(change.item)
            self._log(change.event, change.item.id, text, now)
        self._counters.update(changes.tally(made))
        self._counters.update(extra or {})
        self._touch(usage=usage, **values)

    def _touch(self, **values: Any) -> None:
        self._run = evolve(self._run, version=self._run.version + 1, **values)

    def _log(self, type_: str, item_id: str | None, data: str, now: float) -> None:
        self._events.append((type_, item_id, changes.at(now), data))

    def _event(self, number: int) -> Event:
        type_, item_id, time, data = self._events[number - 1]
        return Event(run_id=self._run.id, sequence=number, type=type_, time=time, item_id=item_id, data=loads(data))

    def _set_item(self, item: Item) -> None:
        """Store an item, and keep up what items are looked up by."""
        old = self._items.get(item.id)
        self._items[item.id] = item
        if old is None or old.position != item.position:
            self._order = self._unfinished = None
        elif self._unfinished is not None and old.status.is_terminal != item.status.is_terminal:
            place = bisect_left(self._unfinished, changes.order_of(item))
            if item.status.is_terminal:
                del self._unfinished[place]
            else:
                self._unfinished.insert(place, changes.order_of(item))
        if item.status.is_active:
            self._in_work.add(item.id)
        else:
            self._in_work.discard(item.id)

    def _candidates(self, item_ids: Collection[str] | None) -> Iterable[Item]:
        """In order, the items that may be there to be claimed."""
        if item_ids is not None:
            named = (self._items[each] for each in set(item_ids) if each in self._items)
            return sorted(named, key=changes.order_of)
        if self._unfinished is None:
            self._unfinished = _ordered(item for item in self._items.values() if not item.status.is_terminal)
        return (self._items[item_id] for _, item_id in self._unfinished)

    def _in_order(self) -> list[tuple[int, str]]:
        if self._order is None:
            self._order = _ordered(self._items.values())
        return self._order

    def _put_back(self, record: Item | Output | Event) -> None:
        run_id = self._run.id
        changes.check_record(self._run, record)
        if isinstance(record, Item):
            if record.id in self._items:
                raise changes.misfit(run_id, f"item {record.id!r} is there twice")
            self._set_item(evolve(record, run_id=run_id))
        elif isinstance(record, Output):
            kept = self._outputs.setdefault(self.get_item(record.item_id).id, [])
            if record.index != len(kept):
                raise changes.misfit(run_id, f"output {len(kept)} of item {record.item_id!r} is missing")
            kept.append((record.kind, dumps(record.data)))
        else:
            if record.sequence != len(self._events) + 1:
                raise changes.misfit(run_id, f"event {len(self._events) + 1} is missing")
            self._events.append((record.type, record.item_id, record.time, dumps(record.data)))


def _ordered(items: Iterable[Item]) -> list[tuple[int, str]]:
    return sorted(map(changes.order_of, items))


def _page(found: Iterable[_T], limit: int | None) -> list[_T]:
    changes.check_limit(limit)
    return list(islice(found, limit))
