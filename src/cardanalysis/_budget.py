"""A ceiling on what a run may cost, which any number of requests, tasks and processes together cannot pass.

Money is put aside before a request is sent: all that it can cost at worst. What it did not cost is given back when it
is known. The sum of both, of every worker of the run, is one counter in the store. What is put aside by a process that
dies stays in it, since whether it was billed cannot be known.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final
from weakref import WeakSet

import anyio
from anyio import CancelScope
from anyio.lowlevel import checkpoint_if_cancelled
from attrs import define, field

from ._clock import Clock
from ._errors import ConfigurationError, RunStopped
from ._models import Run
from ._work import FREE, Reservation
from .abc import Store

__all__ = ["COMMITTED", "Budget", "check_max_cost"]

logger = logging.getLogger(__name__)

COMMITTED: Final = "committed_nano_dollars"
"""The run's counter: what is spent and what is put aside, in billionths of a dollar."""
_NANO: Final = 1_000_000_000
_MOST_DOLLARS: Final = 1_000_000_000
_ATTEMPTS: Final = 6
"""How often a process that has nothing to wait for tries before it gives up; see `Budget.reserve`."""
_PAUSE_SECONDS: Final = 0.1
_LOOK_SECONDS: Final = 1.0
"""How often to see whether another process gave something back."""


def check_max_cost(value: float | None) -> float | None:
    """Return a ceiling that makes sense.

    Raises:
        ConfigurationError: It is neither None nor a number above 0 and of at most a billion.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= _MOST_DOLLARS:
        raise ConfigurationError(f"max_cost must be a number of US dollars above 0, or None, not {value!r}.")
    return float(value)


class Budget:
    """What a run may cost. It belongs to one event loop; every worker of the run has its own.

    Args:
        store: Where the run is kept.
        run_id: The run.
        max_cost: The most US dollars that the run may cost, over all its workers and all times it was resumed. None for
            no ceiling: nothing is counted then, and the store is not asked.
        clock: By which pauses are measured.

    Raises:
        ConfigurationError: The ceiling is not a number above 0.
    """

    def __init__(self, store: Store, run_id: str, max_cost: float | None, *, clock: Clock | None = None) -> None:
        bound = check_max_cost(max_cost)
        self._ceiling = None if bound is None else round(bound * _NANO)
        self._account = _Account(store, run_id)
        self._clock = clock or Clock()
        self._queue = anyio.Lock()
        self._attempts = 0

    async def begin(self, run: Run) -> None:
        """Count what the run spent while it had no ceiling. To be called before the first request.

        Two workers that begin at once may both add it. Then the ceiling is reached earlier than it need be, never
        later. What a worker without a ceiling spends meanwhile is not seen, nor what it spends later, up to the amount
        that is put aside for unknown costs: give every worker of the run a ceiling.

        Args:
            run: As it is in the store.

        Raises:
            ConfigurationError: There is a ceiling, and what the run cost so far is unknown (``unknown_price``).
            StoreError: The store failed.
        """
        if self._ceiling is None:
            return
        spent = run.usage.cost_nano
        if spent is None:
            raise _unknown_price("What the run has cost so far is unknown")
        if (missing := spent - run.counters.get(COMMITTED, 0)) > 0:
            await self._account.add(missing)

    async def reserve(self, dollars: float | None, /) -> Reservation:
        """Put aside what a request costs at worst, before it is sent.

        If there is no room, it waits until one of this worker's own reservations is settled; who came first is served
        first. A worker without any tries a few more times after random pauses, since two that add at once and find
        themselves above the ceiling both take it back, and looks no longer at what other processes have put aside.
        Who holds a reservation must not ask for a second one: both would wait for it.

        A caller that is cancelled meanwhile has put nothing aside.

        Args:
            dollars: The worst case; None if the price is unknown.

        Raises:
            RunStopped: The ceiling leaves no room for it (``max_cost``).
            ConfigurationError: There is a ceiling, and the price is unknown (``unknown_price``).
            StoreError: The store failed.
        """
        if self._ceiling is None:
            return FREE
        if dollars is None:
            raise _unknown_price("What a request costs at worst is unknown")
        held = _Held(math.ceil(dollars * _NANO), self._account)
        if not self._queue.locked():
            if await self._account.take(held, self._ceiling):
                self._attempts = 0
                return held
            self._account.wake()  # what was just taken back may be what the first in the queue waits for
        async with self._queue:
            await self._wait_for_room(held, self._ceiling)
        return held

    def adopt(self, dollars: float, /) -> Reservation:
        """Take over money that is counted already, as by a process that has died, so that it can be settled.

        Nothing is put aside, and so nothing is refused. Settling corrects the count as for any other reservation.

        Args:
            dollars: What was put aside; 0.0 if nothing is any more, so that all that the request cost is added.
        """
        if self._ceiling is None:
            return FREE
        held = _Held(math.ceil(dollars * _NANO), self._account, is_bound=dollars > 0)
        if held.nano:  # otherwise it can give nothing back, and is not worth waiting for
            self._account.outstanding.add(held)
        return held

    async def _wait_for_room(self, held: _Held, ceiling: int) -> None:
        account = self._account
        while True:
            freed = account.freed  # before the attempt, so that nothing that comes during it is missed
            if await account.take(held, ceiling):
                self._attempts = 0
                return
            if account.outstanding:
                with anyio.move_on_after(_LOOK_SECONDS / self._clock.speed):
                    await freed.wait()
                continue
            self._attempts += 1  # not of this request alone: those behind it need not try as often
            if self._attempts >= _ATTEMPTS:
                raise _no_room(ceiling, spent=account.newest, worst=held.nano)
            await self._clock.sleep(random.uniform(0, _PAUSE_SECONDS))  # noqa: S311


class _Account:
    """The run's counter, and what this process has put aside of it.

    Attributes:
        outstanding: What is not settled. One that nobody holds any more never will be, and is not waited for.
        freed: Set when some of it is settled; then replaced.
        newest: The counter without the attempt that was made last.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self.outstanding: WeakSet[_Held] = WeakSet()
        self.freed = anyio.Event()
        self.newest = 0
        self._add = partial(store.increment, run_id, COMMITTED)

    async def take(self, held: _Held, ceiling: int) -> bool:
        """Put something aside, or nothing at all if it does not fit or the caller is cancelled."""
        self.outstanding.add(held)
        taken = False
        try:
            value, interrupt = await _see_through(partial(self._add, held.nano))
            cancelled = interrupt is not None or anyio.current_effective_deadline() == -math.inf
            taken = value <= ceiling and not cancelled
            if not taken:
                self.newest = value - held.nano
                await self.add(-held.nano)
                await checkpoint_if_cancelled()
            if interrupt is not None:
                raise interrupt
        finally:
            if not taken:
                self.outstanding.discard(held)
        return taken

    async def settle(self, held: _Held, by: int) -> None:
        """Count what was put aside as spent, or rather so much more or less."""
        try:
            if by:
                await self.add(by)
        finally:
            self.outstanding.discard(held)
            self.wake()

    async def add(self, by: int) -> None:
        """Add to the counter, whatever comes meanwhile."""
        _, interrupt = await _see_through(partial(self._add, by))
        if interrupt is not None:
            raise interrupt

    def wake(self) -> None:
        """Let who waits for room look again."""
        freed, self.freed = self.freed, anyio.Event()
        freed.set()


@define(eq=False)
class _Held:
    """A reservation.

    Attributes:
        nano: What is put aside, in billionths of a dollar.
        is_bound: Whether this is what the request costs at worst.
    """

    nano: int
    _account: _Account = field(repr=False)
    is_bound: bool = field(default=True, kw_only=True)
    _settled: bool = False

    async def settle(self, dollars: float | None, /) -> None:
        """See `Reservation`. It is seen through also if the caller is cancelled, and done once however often asked."""
        if self._settled:
            return
        self._settled = True
        more = 0 if dollars is None else round(dollars * _NANO) - self.nano
        if more > 0 and self.is_bound:
            logger.warning("A request cost %s more than it should at worst. Check the prices.", _usd(more))
        await self._account.settle(self, more)


async def _see_through(work: Callable[[], Awaitable[int]]) -> tuple[int, BaseException | None]:
    """Do something to its end, so that it is known whether it happened.

    A shield holds off the cancellation of scopes, but neither Ctrl-C nor a bare ``task.cancel()`` of asyncio. So it is
    done in a task of its own, which those do not reach.

    Returns:
        What `work` returned, and the interrupt that came meanwhile, which the caller raises when all is done.
    """
    done: list[int] = []
    failed: list[Exception] = []
    interrupt: BaseException | None = None

    async def see_through() -> None:
        with CancelScope(shield=True):
            try:
                done.append(await work())
            except Exception as error:
                failed.append(error)

    with CancelScope(shield=True):
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(see_through)
        except BaseException as error:
            interrupt = error
    if done:
        return done[0], interrupt
    raise interrupt or failed[0]


def _unknown_price(problem: str) -> ConfigurationError:
    return ConfigurationError(
        f"{problem}, so max_cost cannot be kept. Pass a table that has the model's price: "
        "ClaudeAnalyzer(prices=PriceTable([...])), or leave max_cost out.",
        code="unknown_price",
    )


def _no_room(ceiling: int, *, spent: int, worst: int) -> RunStopped:
    return RunStopped(
        f"max_cost is {_usd(ceiling)}, of which {_usd(spent)} is spent or put aside for requests whose cost is not "
        f"known, and the next request may cost up to {_usd(worst)}. What is finished is kept. To go on, make the same "
        "call with a higher max_cost.",
        code="max_cost",
    )


def _usd(nano: int) -> str:
    """Dollars with at least two places, and as many as a small amount needs."""
    text = f"{nano / _NANO:,.6f}".rstrip("0")
    whole, _, places = text.partition(".")
    return f"${whole}.{places:0<2}"
