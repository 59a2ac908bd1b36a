"""The queues in which requests wait for the rate limits, and the lock around them.

What is decided, and why, stands in `_rate_limits`. Nothing here waits: whoever does sleeps until it is woken, then asks
again. The lock is held for moments only, never while something is awaited, so threads and event loops can share it.
"""

from __future__ import annotations

import math
import os
import random as randoms
import weakref
from collections import Counter, deque
from collections.abc import Callable, Mapping
from threading import Lock

import anyio
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar
from attrs import define, field

from ._clock import Clock
from ._rate_limits import Limit, LimitStatus, Sent, adapted_total, model_family, read_home

__all__ = ["Flight", "Limits", "Waiter"]

_OWN_LOOP_SECONDS = 60.0
"""How long to sleep at most, of the clock: who waits is woken, but nobody shall depend on it."""
_MIXED_LOOPS_SECONDS = 1.0
"""How long if others share the limit from another event loop or thread, who cannot wake this one safely."""
_SHORTEST_SECONDS = 0.001
"""A sleep that rounding made too short ends after this."""

_MOST_LIMITS = 1_000
_FORGOTTEN_AFTER = 120.0
"""Seconds without requests after which a limit may be forgotten if there are too many: its buckets are full then."""

Loop = object
"""What stands for a running event loop."""
_loop: RunVar[Loop] = RunVar("cardanalysis_pacing_loop")


def _current_loop() -> Loop | None:
    """Something that stands for the running event loop; None if there is none."""
    try:
        return _loop.get()
    except LookupError:
        loop = object()
        _loop.set(loop)
        return loop
    except RuntimeError:
        return None


@define(eq=False)
class Waiter:
    """A request that waits; it belongs to one event loop."""

    number: int
    loop: Loop | None
    account: str
    input_tokens: int
    output_tokens: int
    queue: Queue
    wakes_at: float = -math.inf
    event: anyio.Event = field(init=False)
    """Another one for each sleep, which ends at `wakes_at` by itself."""
    flight: Flight | None = None
    """Set when it was sent while it slept."""


@define(eq=False)
class Queue:
    """A limit with those who wait for it, in the order of their arrival; only the first may go."""

    family: str
    limit: Limit = field(factory=Limit)
    waiters: deque[Waiter] = field(factory=deque[Waiter])
    loops: Counter[Loop | None] = field(factory=Counter[Loop | None])
    """Where those are who wait or are in flight."""
    used_at: float = -math.inf
    moved_to: Queue | None = None

    def current(self) -> Queue:
        """The queue that this one became."""
        queue = self
        while queue.moved_to is not None:
            queue = queue.moved_to
        return queue

    def move_to(self, other: Queue) -> None:
        """Become part of another one."""
        other.limit.absorb(self.limit)
        other.waiters = deque(sorted([*other.waiters, *self.waiters], key=lambda waiter: waiter.number))
        other.loops += self.loops
        self.moved_to = other
        self.waiters.clear()

    def left(self, loop: Loop | None) -> None:
        """Somebody neither waits nor is in flight any more."""
        self.loops[loop] -= 1
        if not self.loops[loop]:
            del self.loops[loop]

    def send_first(self, now: float) -> Flight:
        """Send the first one, which may go."""
        first = self.waiters.popleft()
        self.used_at = now
        sent = self.limit.send(first.input_tokens, first.output_tokens, now)
        first.flight = Flight(first.account, self, first.loop, sent)
        return first.flight

    def wake(self, loop: Loop | None, now: float) -> None:
        """Send those in front that may go, and see that the next one sleeps no longer than it must.

        Only those can be woken that sleep in this event loop. They are sent here, not when they wake: were each to wake
        the next, a long queue would move by one a turn of the event loop, however much there is room for.
        """
        while self.waiters and self.waiters[0].loop is loop:
            first = self.waiters[0]
            delay = self.limit.delay(first.input_tokens, first.output_tokens, now)
            if delay > 0:
                if now + delay < first.wakes_at:
                    first.event.set()
                return
            self.send_first(now)
            first.event.set()


@define(eq=False)
class AdaptedLimiter:
    """A limiter of concurrency that follows what happens; it is touched in its own event loop only."""

    limiter: weakref.ref[CapacityLimiter]
    loop: Loop | None
    minimum: int
    maximum: int
    pauses: int
    """How many pauses it has followed."""

    def belongs_to(self, loop: Loop | None) -> bool:
        """Whether it may be touched in this event loop; one that was made outside of any belongs to its first."""
        if self.loop is None:
            self.loop = loop
        return loop is not None and self.loop is loop

    def follow(self, *, pauses: int, grow: bool) -> None:
        """Shrink with the pauses that are new, or else grow if more at once would help."""
        limiter = self.limiter()
        if limiter is None:
            return
        grow = grow and limiter.statistics().tasks_waiting > 0
        total = adapted_total(limiter.total_tokens, self.minimum, self.maximum, grow=grow, pauses=pauses - self.pauses)
        self.pauses = pauses
        if total != limiter.total_tokens:
            limiter.total_tokens = total


@define(eq=False)
class Flight:
    """A request in flight."""

    account: str
    queue: Queue
    loop: Loop | None
    sent: Sent


class Limits:
    """All limits of a pacer. Its methods take a moment and may be called from any thread.

    Args:
        clock: The time.
        random: Where pauses are drawn from.
    """

    def __init__(self, clock: Clock, random: randoms.Random) -> None:
        self._clock = clock
        self.random = random
        self.begin()
        _ALL.add(self)

    def begin(self) -> None:
        """Know nothing, and let what waits or is in flight be nobody's."""
        self._lock = Lock()
        self._queues: dict[tuple[str, str], Queue] = {}
        self._homes: dict[str, str] = {}
        self._adapted: list[AdaptedLimiter] = []
        self._arrivals = 0
        self._pauses = 0

    # --- waiting ---

    def enter(self, account: str, model: str, input_tokens: int, output_tokens: int) -> Waiter:
        """Join the queue."""
        loop, family = _current_loop(), model_family(model)
        with self._lock:
            key = self._key(account, family)
            if key not in self._queues:
                self._forget_some()
                self._queues[key] = Queue(family)
            queue = self._queues[key]
            self._arrivals += 1
            waiter = Waiter(self._arrivals, loop, account, input_tokens, output_tokens, queue)
            queue.waiters.append(waiter)
            queue.loops[loop] += 1
            return waiter

    def go(self, waiter: Waiter) -> Flight | None:
        """Send a request if it may go. If not, it is to sleep until it is woken or its `wakes_at` has come."""
        if waiter.flight is not None:
            return waiter.flight
        with self._lock:
            now, queue = self._clock.now(), waiter.queue.current()
            first = queue.waiters[0] is waiter
            delay = queue.limit.delay(waiter.input_tokens, waiter.output_tokens, now) if first else math.inf
            if delay > 0:
                most = _OWN_LOOP_SECONDS if len(queue.loops) == 1 else _MIXED_LOOPS_SECONDS
                waiter.wakes_at = now + max(_SHORTEST_SECONDS, min(delay, most))
                waiter.event = anyio.Event()
                return None
            flight = queue.send_first(now)
            queue.wake(waiter.loop, now)
            return flight

    def leave(self, waiter: Waiter) -> None:
        """Leave without having used a turn."""
        with self._lock:
            now, queue = self._clock.now(), waiter.queue.current()
            if waiter.flight is None:
                queue.waiters.remove(waiter)
            else:
                queue.limit.failed(waiter.flight.sent, {}, now)
            queue.left(waiter.loop)
            queue.wake(waiter.loop, now)

    # --- outcomes ---

    def tell(self, flight: Flight, headers: Mapping[str, str], change: Callable[[Limit, float], None]) -> None:
        """Change the limit of a request, and wake whoever can go now."""
        loop = _current_loop()
        with self._lock:
            now, queue = self._clock.now(), flight.queue.current()
            change(queue.limit, now)
            self._learn_home(flight.account, headers)
            queue.current().wake(loop, now)

    def end(self, flight: Flight, headers: Mapping[str, str], change: Callable[[Limit, float], None]) -> None:
        """The same for a request that is no longer in flight."""

        def ended(limit: Limit, now: float) -> None:
            queue = flight.queue.current()
            change(limit, now)
            queue.left(flight.loop)
            queue.used_at = now

        self.tell(flight, headers, ended)

    def refuse(self, flight: Flight, headers: Mapping[str, str], retry_after: float | None) -> None:
        """A request was turned away."""

        def refused(limit: Limit, now: float) -> None:
            self._pauses += limit.refused(flight.sent, headers, retry_after, self.random.random(), now)

        self.end(flight, headers, refused)
        self.adapt()

    def status(self, account: str, model: str) -> LimitStatus:
        """How it stands with one limit."""
        family = model_family(model)
        with self._lock:
            queue = self._queues.get(self._key(account, family))
            if queue is None:
                return LimitStatus(family=family)
            return queue.limit.status(family, len(queue.waiters), self._clock.now())

    def statuses(self) -> tuple[LimitStatus, ...]:
        """How it stands with every limit, in the order of their first use."""
        with self._lock:
            now = self._clock.now()
            return tuple(queue.limit.status(queue.family, len(queue.waiters), now) for queue in self._queues.values())

    def counts(self) -> tuple[int, int, int]:
        """How many limits there are, requests in flight, and requests that wait."""
        with self._lock:
            queues = self._queues.values()
            in_flight = sum(queue.limit.in_flight for queue in queues)
            return len(queues), in_flight, sum(len(queue.waiters) for queue in queues)

    # --- limiters of concurrency ---

    def add(self, limiter: CapacityLimiter, minimum: int, maximum: int) -> None:
        """Let a limiter follow."""
        adapted = AdaptedLimiter(weakref.ref(limiter), _current_loop(), minimum, maximum, self._pauses)
        with self._lock:
            self._adapted = [each for each in self._adapted if each.limiter() not in (None, limiter)]
            self._adapted.append(adapted)
        adapted.follow(pauses=adapted.pauses, grow=False)

    def adapt(self, *, grow: bool = False) -> None:
        """Let the limiters of this event loop follow what happened."""
        if not self._adapted:
            return
        loop = _current_loop()
        with self._lock:
            self._adapted = [each for each in self._adapted if each.limiter() is not None]
            ours = [each for each in self._adapted if each.belongs_to(loop)]
        for each in ours:
            each.follow(pauses=self._pauses, grow=grow)

    # --- whose limit it is; all with the lock held ---

    def _key(self, account: str, family: str) -> tuple[str, str]:
        return self._homes.get(account, f"account:{account}"), family

    def _learn_home(self, account: str, headers: Mapping[str, str]) -> None:
        """Keep the limits of an account together with those of the others of its workspace, once that is known."""
        home = read_home(headers)
        if home is None or self._homes.get(account) == home:
            return
        known = account in self._homes
        self._homes[account] = home
        if known:  # a go-between spreads requests over workspaces: what waits or is in flight stays where it is
            return
        for name, family in [key for key in self._queues if key[0] == f"account:{account}"]:
            queue = self._queues.pop((name, family))
            other = self._queues.setdefault((home, family), queue)
            if other is not queue:
                queue.move_to(other)

    def _forget_some(self) -> None:
        """Keep memory bounded for those who serve many accounts."""
        if len(self._queues) < _MOST_LIMITS:
            return
        before = self._clock.now() - _FORGOTTEN_AFTER
        for key, queue in list(self._queues.items()):
            if not queue.loops and max(queue.used_at, queue.limit.pause.until) < before:
                del self._queues[key]
        homes = {name for name, _ in self._queues}
        self._homes = {account: home for account, home in self._homes.items() if home in homes}


_ALL: weakref.WeakSet[Limits] = weakref.WeakSet()


def _begin_anew() -> None:
    """In a forked process: what waits or is in flight, the luck, and a lock that is held belong to the parent."""
    for limits in list(_ALL):
        limits.begin()
        limits.random.seed()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
