"""All that a store promises, each promise as a check that can be run.

No test framework is needed: `check_store` runs all of them. For one test a promise there is
`cardanalysis.testing.store_tests.StoreTests`.
"""

from __future__ import annotations

from inspect import iscoroutinefunction
from typing import Final

import anyio

from ..abc import Store
from ._store_promises_cancelling import PROMISES as CANCELLING
from ._store_promises_checkpoints import PROMISES as CHECKPOINTS
from ._store_promises_claims import PROMISES as CLAIMS
from ._store_promises_housekeeping import PROMISES as HOUSEKEEPING
from ._store_promises_items import PROMISES as ITEMS
from ._store_promises_outcomes import PROMISES as OUTCOMES
from ._store_promises_reading import PROMISES as READING
from ._store_promises_runs import PROMISES as RUNS
from ._store_promises_trial import ManualClock, NotOffered, Promise, StoreMaker, check

__all__ = ["PROMISES", "NotOffered", "Promise", "StoreMaker", "check_store", "within"]

PROMISES: Final[tuple[Promise, ...]] = (
    *(*RUNS, *ITEMS, *CLAIMS, *OUTCOMES, *READING, *CANCELLING),
    *CHECKPOINTS,
    *HOUSEKEEPING,
)
"""Every promise of `cardanalysis.abc.Store`, then of `cardanalysis.abc.CheckpointStore` and
`cardanalysis.abc.Housekeeping`: a function that checks it, with a docstring that says it."""


async def check_store(make_store: StoreMaker, *, promise_timeout: float = 60.0) -> tuple[str, ...]:
    """Check that a store keeps every promise of `cardanalysis.abc.Store`.

    Those of `cardanalysis.abc.CheckpointStore` and `cardanalysis.abc.Housekeeping` are checked if the store has all of
    their methods, and left out otherwise. Durability is not among them, since only the store's author can tell how to
    reopen it or to kill it.

    Args:
        make_store: Given a clock, makes a new and empty store that reads it, to be entered with ``async with``. It is
            called once for each promise.
        promise_timeout: Seconds after which a promise is taken for broken, so that a call that waits for ever is told.

    Returns:
        The names of the promises that were checked, all of which were kept.

    Raises:
        AssertionError: Some were broken; its message says which, and what was seen instead. Or `make_store` makes no
            store.
    """
    await _check_maker(make_store)
    made: list[str] = []
    broken: list[tuple[str, Exception]] = []
    for promise in PROMISES:
        try:
            await within(promise_timeout, promise, make_store)
        except NotOffered:
            continue
        except Exception as error:
            broken.append((f"{_name(promise)}: {(promise.__doc__ or '').strip()}\n  {_told(error)}", error))
        made.append(_name(promise))
    if broken:
        message = "\n".join([f"{len(broken)} of {len(made)} promises are broken.", *(text for text, _ in broken)])
        raise AssertionError(message) from broken[0][1]
    return tuple(made)


async def within(seconds: float, promise: Promise, make_store: StoreMaker) -> None:
    """Check a promise, and take it for broken if that does not end.

    Raises:
        AssertionError: It is broken.
        NotOffered: The store does not offer it.
    """
    with anyio.move_on_after(seconds) as scope:
        await promise(make_store)
    check(not scope.cancelled_caught, f"It did not end within {seconds:g} seconds; perhaps a call waits for ever.")


async def _check_maker(make_store: StoreMaker) -> None:
    """Say in one line what is wrong with how stores are made, rather than once for each promise."""
    wanted = "make_store must take a clock and return a new store, such as lambda clock: MyStore(clock=clock)"
    try:
        store = make_store(ManualClock())
    except Exception as error:
        raise AssertionError(f"{wanted}; it raised {type(error).__name__}: {error}") from error
    check(hasattr(store, "__aenter__"), f"{wanted}; it returned {type(store).__name__}, which is no async context.")
    async with store as opened:
        missing = [name for name in _VERBS if not iscoroutinefunction(getattr(opened, name, None))]
    check(not missing, f"{type(opened).__name__} has no async method {', '.join(missing)}.")


_VERBS: Final = tuple(name for name, each in vars(Store).items() if iscoroutinefunction(each) and name[0] != "_")


def _name(promise: Promise) -> str:
    return promise.__name__


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
