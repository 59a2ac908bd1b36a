"""What can be done with runs besides working on them: list, follow, cancel, retry, delete, export and import them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import suppress

import anyio

from ._analyze import retry_failed
from ._arguments import as_seconds, check_housekeeping, check_run_id, check_store
from ._engine import INTERRUPTED
from ._errors import ConfigurationError, VersionConflict
from ._export import export_run, import_run
from ._models import Event, Run
from ._status import RunStatus
from .abc import Store

__all__ = [
    "cancel_run",
    "delete_run",
    "export_run",
    "follow",
    "history",
    "import_run",
    "list_runs",
    "retry_failed",
    "stale_runs",
]

_PAGE = 500
_AT_WORK = (RunStatus.QUEUED, RunStatus.RUNNING)


async def list_runs(
    store: Store,
    *,
    kind: str | None = None,
    status: RunStatus | None = None,
    after: Run | None = None,
    limit: int | None = None,
) -> AsyncGenerator[Run, None]:
    """Yield runs without their items and cards, the newest first.

    They are read by page, so that it needs little memory. For pages of your own, give `limit` and the last run that was
    seen as `after`.

    Args:
        store: Where they are kept.
        kind: Only runs of this kind, such as ``analyze_cards``.
        status: Only runs in this status.
        after: Only runs behind this one.
        limit: How many at most; None for all.

    Raises:
        ConfigurationError: The store does not list runs, or an argument makes no sense.
        StoreError: The store failed.
    """
    keeper = check_housekeeping(store, "list_runs")
    left = limit
    while page := await keeper.runs(
        kind=kind, status=status, after=after, limit=_PAGE if left is None else min(_PAGE, left)
    ):
        for run in page:
            yield run
        after = page[-1]
        left = None if left is None else left - len(page)


async def stale_runs(store: Store, *, stale_seconds: float = 60.0) -> list[Run]:
    """Find runs that are *running*, but whose workers have given no sign of life for a while and are probably dead.

    Take one over by calling the function that began it with its `run_id`.

    Args:
        store: Where they are kept.
        stale_seconds: For how long, by the store's clock. Workers give a sign every third of their `lease_seconds`, so
            their whole `lease_seconds` is a good choice.

    Raises:
        ConfigurationError: The store does not list runs.
        StoreError: The store failed.
    """
    keeper = check_housekeeping(store, "stale_runs")
    return await keeper.runs(stale_seconds=as_seconds(stale_seconds, "stale_seconds"))


async def cancel_run(store: Store, run_id: str, *, reason: str = "It was cancelled.") -> Run:
    """Cancel a run, in whatever process it is worked on.

    Its workers learn of it when they next renew their leases, within a third of their `lease_seconds`; they hand back
    what they have in work and return. What is finished stays, and the run can be resumed.

    Args:
        store: Where it is kept.
        run_id: The run.
        reason: Why, in your words; kept as the run's `error`.

    Returns:
        The run. One that has ended already is returned as it is.

    Raises:
        RunNotFound: There is none of that id.
        ConfigurationError: `reason` is none.
        StoreError: The store failed.
    """
    check_store(store)
    if not isinstance(reason, str) or not reason or reason == INTERRUPTED:  # by that, workers tell a stop of their own
        raise ConfigurationError(f"reason must be text that is not empty, and other words than {INTERRUPTED!r}.")
    run = await store.get_run(check_run_id(run_id))
    while run.status in _AT_WORK:
        with suppress(VersionConflict):  # its workers go on meanwhile
            return await store.update_run(run_id, RunStatus.CANCELLED, version=run.version, error=reason)
        run = await store.get_run(run_id)
    return run


async def delete_run(store: Store, run_id: str) -> None:
    """Delete a run with all that belongs to it.

    Raises:
        RunNotFound: There is none of that id.
        ConfigurationError: The store does not delete runs.
        StoreError: With code ``running``, somebody may be working on it; cancel it first. Otherwise the store failed.
    """
    await check_housekeeping(store, "delete_run").delete_run(check_run_id(run_id))


async def history(store: Store, run_id: str, item_id: str) -> list[Event]:
    """Read what happened to one item: each attempt with its outcome, error and cost.

    The whole log is read for it, by page.

    Raises:
        RunNotFound: There is no such run.
        ItemNotFound: The run has no such item.
        StoreError: The store failed.
    """
    check_store(store)
    await store.get_item(check_run_id(run_id), item_id)
    found: list[Event] = []
    seen = 0
    while page := await store.events(run_id, seen, limit=_PAGE):
        found += (event for event in page if event.item_id == item_id)
        seen = page[-1].sequence
    return found


async def follow(
    store: Store, run_id: str, *, after: int = 0, poll_seconds: float = 0.5
) -> AsyncGenerator[Event, None]:
    """Yield a run's events as they are written, also by other processes, until the run has ended.

    Leave it early inside ``contextlib.aclosing``, or by a cancellation.

    Args:
        store: Where the run is kept.
        run_id: The run.
        after: The number of the last event that is not wanted, such as the last one that was seen; 0 for all.
        poll_seconds: How long to wait for new events before looking again.

    Raises:
        RunNotFound: There is none of that id.
        StoreError: The store failed.
    """
    check_store(store)
    pause = as_seconds(poll_seconds, "poll_seconds")
    check_run_id(run_id)
    seen = after
    while True:
        # Before its events: whatever is written behind this, they hold the end that was seen here.
        ended = (await store.get_run(run_id)).status not in _AT_WORK
        while page := await store.events(run_id, seen, limit=_PAGE):
            for event in page:
                seen = event.sequence
                yield event
        if ended:
            return
        await anyio.sleep(pause)
