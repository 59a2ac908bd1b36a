"""All that a store promises, each promise as a check that can be run.

No test framework is needed: `check_store` runs all of them. For one test a promise there is
`cardanalysis.testing.store_tests.StoreTests`.
"""

from __future__ import annotations

from typing import Final

from ._store_promises_cancelling import PROMISES as CANCELLING
from ._store_promises_claims import PROMISES as CLAIMS
from ._store_promises_housekeeping import PROMISES as HOUSEKEEPING
from ._store_promises_items import PROMISES as ITEMS
from ._store_promises_outcomes import PROMISES as OUTCOMES
from ._store_promises_reading import PROMISES as READING
from ._store_promises_runs import PROMISES as RUNS
from ._store_promises_trial import NotOffered, Promise, StoreMaker

__all__ = ["PROMISES", "NotOffered", "Promise", "StoreMaker", "check_store"]

PROMISES: Final[tuple[Promise, ...]] = (
    *(*RUNS, *ITEMS, *CLAIMS, *OUTCOMES, *READING, *CANCELLING),
    *HOUSEKEEPING,
)
"""Every promise of `cardanalysis.abc.Store`, then of `cardanalysis.abc.Housekeeping`: a function that checks it, with a
docstring that says it."""


async def check_store(make_store: StoreMaker) -> tuple[str, ...]:
    """Check that a store keeps every promise of `cardanalysis.abc.Store`.

    Those of `cardanalysis.abc.Housekeeping` are checked if the store has all of its methods, and left out otherwise.
    Durability is not among them, since only the store's author can tell how to reopen it or to kill it.

    Args:
        make_store: Given a clock, makes a new and empty store that reads it, to be entered with ``async with``. It is
            called once for each promise.

    Returns:
        The names of the promises that were checked, all of which were kept.

    Raises:
        AssertionError: Some were broken; its message says which, and what was seen instead.
    """
    made: list[str] = []
    broken: list[tuple[str, Exception]] = []
    for promise in PROMISES:
        try:
            await promise(make_store)
        except NotOffered:
            continue
        except Exception as error:
            broken.append((f"{_name(promise)}: {(promise.__doc__ or '').strip()}\n  {_told(error)}", error))
        made.append(_name(promise))
    if broken:
        message = "\n".join([f"{len(broken)} of {len(made)} promises are broken.", *(text for text, _ in broken)])
        raise AssertionError(message) from broken[0][1]
    return tuple(made)


def _name(promise: Promise) -> str:
    return promise.__name__


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
