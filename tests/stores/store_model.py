"""What a store should do to a run, written down a second time in plain dicts; and whether a race is explained by it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, Self

from attrs import define, field
from store_calls import Call, ItemCall

from cardanalysis._models import NewItem, NewOutput, Usage
from cardanalysis._status import MOVES, RUN_MOVES, ItemStatus, RunStatus
from cardanalysis.testing._store_promises_trial import Snapshot

IN_WORK = ("loading", "analyzing", "saving")
RECORDED = ("completed", "partial", "failed")
REPEATED = object()
"""What the model answers where the outcome was recorded already."""


class Refused(Exception):
    """The model refuses a call; its argument is the error's code."""


def demand(truth: bool, code: str) -> None:
    if not truth:
        raise Refused(code)


@define
class ModelItem:
    id: str
    position: int
    status: str = "pending"
    version: int = 1
    token: int = 0
    attempts: int = 0
    owner: str | None = None
    until: float | None = None
    finished: float | None = None
    kinds: list[str] = field(factory=list)
    spent: tuple[int | None, ...] = (0, 0, 0)

    def spend(self, usage: Usage | None) -> None:
        now, more = self.spent, spent(usage or Usage())
        self.spent = tuple(None if a is None or b is None else a + b for a, b in zip(now, more, strict=True))

    def change(self, status: str, **values: Any) -> None:
        self.status, self.version = status, self.version + 1
        for name, value in values.items():
            setattr(self, name, value)

    def leave(self, status: str, finished: float | None = None, **values: Any) -> None:
        self.change(status, owner=None, until=None, finished=finished, **values)

    def is_free(self, now: float) -> bool:
        ended = self.owner is None or self.until is None or self.until < now
        return self.status == "pending" or (self.status in IN_WORK and ended)


@define
class ModelRun:
    """One run, and what each verb does to it: given the call, the time and its arguments."""

    kind: str
    fingerprint: str
    created: float
    status: str = "queued"
    heartbeat: float | None = None
    events: int = 1
    counted: dict[str, int] = field(factory=dict)
    items: dict[str, ModelItem] = field(factory=dict)

    @classmethod
    def of(cls, held: Snapshot) -> Self:
        """What a store says, to go on from there."""
        run, own = held.run, {"total", *ItemStatus, *(output.kind for output in held.outputs)}
        model = cls(run.kind, run.fingerprint, run.created_at.timestamp(), str(run.status), seconds(run.heartbeat_at))
        model.events, model.counted = run.last_event, {k: n for k, n in run.counters.items() if k not in own}
        for item in held.items:
            made = ModelItem(item.id, item.position, str(item.status), item.version, item.token, item.attempts)
            made.owner, made.until, made.finished = item.owner, item.lease_until, seconds(item.finished_at)
            made.spent = spent(item.usage)
            made.kinds = [output.kind for output in held.outputs if output.item_id == item.id]
            model.items[item.id] = made
        return model

    def in_order(self) -> list[ModelItem]:
        return sorted(self.items.values(), key=lambda item: (item.position, item.id))

    def do_update_run(self, call: Any, now: float, *, status: RunStatus, error: str | None) -> Any:
        demand(call.off == 0, "version_conflict")
        demand(status in RUN_MOVES[RunStatus(self.status)], "illegal_move")
        self.status, self.events = str(status), self.events + 1
        if status == "running":
            self.heartbeat = now

    def do_add_items(self, call: Any, now: float, *, items: Sequence[NewItem]) -> Any:
        for new in items:
            if new.id not in self.items:
                self.items[new.id] = ModelItem(new.id, new.position)
                self.events += 1
            self.items[new.id].position = new.position
        return [item.id for item in items]

    def do_claim(
        self, call: Any, now: float, *, owner: str, lease_seconds: float, limit: int, item_ids: list[str] | None
    ) -> Any:
        demand(limit >= 0 and 0 < lease_seconds < math.inf, "invalid_value")
        free = [each for each in self.in_order() if each.is_free(now) and (item_ids is None or each.id in item_ids)]
        for item in free[:limit]:
            held = {"owner": owner, "until": now + lease_seconds, "finished": None}
            item.change("loading", token=item.token + 1, attempts=item.attempts + 1, **held)
            self.events, self.heartbeat = self.events + 1, now
        return [item.id for item in free[:limit]]

    def do_renew(self, call: Any, now: float, *, owner: str, lease_seconds: float) -> Any:
        demand(0 < lease_seconds < math.inf, "invalid_value")
        self.heartbeat = now
        held = [item for item in self.items.values() if item.owner == owner]
        for item in held:
            item.until = now + lease_seconds
        return {item.id for item in held}, self.status == "cancelled"

    def _held(self, call: Any) -> ModelItem:
        item = self.items[call.item_id]
        demand(call.off == 0 and item.status in IN_WORK and item.owner is not None, "lease_lost")
        self.events += 1
        return item

    def do_release(self, call: Any, now: float, *, usage: Any) -> Any:
        item = self._held(call)
        item.spend(usage)
        item.leave("pending", attempts=item.attempts - 1)
        return "pending"

    def do_update_status(self, call: Any, now: float, *, status: ItemStatus) -> Any:
        item = self.items[call.item_id]
        demand(call.off == 0, "version_conflict")
        demand(status in MOVES[ItemStatus(item.status)], "illegal_move")
        self.events += 1
        if status in IN_WORK:
            item.change(str(status))
        else:
            item.leave(str(status), None if status == "pending" else now)
        return str(status)

    def do_complete_item(self, call: Any, now: float, *, outputs: Any, usage: Any, error: Any, data: Any) -> Any:
        if call.off == 0 and self.items[call.item_id].status in RECORDED:
            return REPEATED
        item = self._held(call)
        item.spend(usage)
        item.leave("partial" if error else "completed", now, kinds=[output.kind for output in outputs])
        return item.status

    def do_fail_item(self, call: Any, now: float, *, error: Any, usage: Any) -> Any:
        if call.off == 0 and self.items[call.item_id].status in RECORDED:
            return REPEATED
        item = self._held(call)
        item.spend(usage)
        item.leave("partial" if item.kinds else "failed", now)
        return item.status

    def do_increment(self, call: Any, now: float, *, counter: str, by: int) -> Any:
        demand(counter not in ("", "total", *ItemStatus), "invalid_value")
        value = self.counted.pop(counter, 0) + by
        if value:  # a counter that is 0 is as good as none
            self.counted[counter] = value
        return value

    def do_append_event(self, call: Any, now: float, *, type: str, **_: Any) -> Any:  # noqa: A002
        demand(type != "", "invalid_value")
        self.events += 1
        return self.events

    def do_get_run(self, call: Any, now: float) -> Any:
        return self.status

    def do_get_item(self, call: Any, now: float) -> Any:
        return self.items[call.item_id].status

    def do_items(self, call: Any, now: float, *, status: str | None, limit: int | None) -> Any:
        demand(limit is None or limit >= 0, "invalid_value")
        order = self.in_order()
        rest = order[call.behind + 1 :] if call.behind < len(order) else order
        return [item.id for item in rest if status in (None, item.status)][:limit]

    def do_outputs(self, call: Any, now: float, *, kind: str | None, item_id: str | None, limit: int | None) -> Any:
        demand(limit is None or limit >= 0, "invalid_value")
        order = [(item.id, kind) for item in self.in_order() for kind in item.kinds]
        rest = order[call.behind + 1 :] if call.behind < len(order) else order
        return [(each, of) for each, of in rest if item_id in (None, each) and kind in (None, of)][:limit]

    def do_events(self, call: Any, now: float, *, after: int, limit: int | None) -> Any:
        demand(limit is None or limit >= 0, "invalid_value")
        return list(range(max(after, 0) + 1, self.events + 1))[:limit]


def spent(usage: Usage) -> tuple[int | None, ...]:
    """Of a usage what random calls set: requests, tokens, and the cost in billionths."""
    return usage.requests, usage.input_tokens, None if usage.cost is None else round(usage.cost * 1e9)


def seconds(time: Any) -> float | None:
    return None if time is None else time.timestamp()


class Model:
    """What a store should hold, and what it should answer."""

    def __init__(self) -> None:
        self.runs: dict[str, ModelRun] = {}

    def expect(self, call: Call, now: float) -> tuple[set[str], Any]:
        """Do what a call does; the codes with which it may be refused, or ``ok``, and the gist of its answer."""
        before = deepcopy(self.runs)
        own = getattr(self, f"do_{call.method}", None) or partial(self._on_run, call.method)
        try:
            answer = own(call, now, **call.options)
        except Refused as error:
            self.runs = before
            return {error.args[0], *({"not_json"} if is_odd(call.options) else ())}, None
        if is_odd(call.options):
            self.runs = before
            return {"not_json", *(["ok"] if answer is REPEATED else [])}, None
        return {"ok"}, None if answer is REPEATED else answer

    def _on_run(self, method: str, call: Any, now: float, **options: Any) -> Any:
        demand(call.run_id in self.runs, "run_not_found")
        run = self.runs[call.run_id]
        demand(not isinstance(call, ItemCall) or call.item_id in run.items, "item_not_found")
        return getattr(run, f"do_{method}")(call, now, **options)

    def do_create_run(
        self, call: Call, now: float, *, kind: str, fingerprint: str, asked: Any, accept_change: bool
    ) -> Any:
        demand(bool(call.run_id and kind), "invalid_value")
        run = self.runs.setdefault(call.run_id, ModelRun(kind, fingerprint, now))
        demand(run.kind == kind and (run.fingerprint == fingerprint or accept_change), "fingerprint_mismatch")
        if run.fingerprint != fingerprint:
            run.fingerprint, run.events = fingerprint, run.events + 1
        return run.status

    def do_runs(self, call: Any, now: float, *, kind: Any, status: Any, stale_seconds: Any, limit: Any) -> Any:
        demand(limit is None or limit >= 0, "invalid_value")
        order = sorted(self.runs, key=lambda run_id: (-self.runs[run_id].created, run_id))

        def fits(run: ModelRun) -> bool:
            age = math.inf if run.heartbeat is None else now - run.heartbeat
            is_stale = stale_seconds is None or (run.status == "running" and age > stale_seconds)
            return kind in (None, run.kind) and status in (None, run.status) and is_stale

        rest = order[call.behind + 1 :] if call.behind < len(order) else order
        return [run_id for run_id in rest if fits(self.runs[run_id])][:limit]

    def do_delete_run(self, call: Call, now: float) -> Any:
        demand(call.run_id in self.runs, "run_not_found")
        run = self.runs[call.run_id]
        held = [item for item in run.items.values() if item.status in IN_WORK and not item.is_free(now)]
        demand(run.status != "running" and not held, "running")
        del self.runs[call.run_id]

    def do_restore_run(self, call: Any, now: float) -> Any:
        demand(call.run_id in self.runs, "run_not_found")
        demand(call.new_id not in self.runs, "run_exists")
        self.runs[call.new_id] = deepcopy(self.runs[call.run_id])
        return self.runs[call.new_id].status

    def do_find_completed(self, call: Call, now: float, *, item_id: str, kind: str, fingerprint: str) -> Any:
        found = [
            (run.items[item_id].finished, n, run_id)
            for n, (run_id, run) in enumerate(self.runs.items())
            if (run.kind, run.fingerprint) == (kind, fingerprint)
            and item_id in run.items
            and run.items[item_id].status == "completed"
        ]
        return max(found)[2] if found else None


def is_odd(value: Any) -> bool:
    """Whether something that is no JSON is in a value."""
    if isinstance(value, dict):
        return any(not isinstance(key, str) or is_odd(inner) for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return any(map(is_odd, value))
    if isinstance(value, NewOutput):
        return is_odd(value.data)
    return isinstance(value, (bytes, set)) or (isinstance(value, float) and not math.isfinite(value))


GISTS: dict[str, Callable[[Any], Any]] = {
    "claim": lambda items: [item.id for item in items],
    "add_items": lambda items: [item.id for item in items],
    "items": lambda items: [item.id for item in items],
    "outputs": lambda outputs: [(output.item_id, output.kind) for output in outputs],
    "events": lambda events: [event.sequence for event in events],
    "append_event": lambda event: event.sequence,
    "renew": lambda renewal: (set(renewal.held), renewal.stop),
    "increment": lambda value: value,
    "runs": lambda runs: [run.id for run in runs],
    "find_completed": lambda item: item and item.run_id,
}
"""What of an answer the model knows; of runs and items it knows the status."""
