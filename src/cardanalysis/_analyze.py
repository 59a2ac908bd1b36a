"""What users call: `analyze_cards` and `retry_failed` wire uploads, loader, analyzer and store into one run."""

from __future__ import annotations

import hashlib
import json
import logging
import math
import uuid
from collections.abc import AsyncIterable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Literal, cast

from anyio import CancelScope, CapacityLimiter, current_time, to_thread
from attrs import field, frozen

from ._arguments import (
    as_limiter,
    as_seconds,
    check_analyzer,
    check_callable,
    check_housekeeping,
    check_run_id,
    check_store,
    check_uploads,
)
from ._budget import Budget, check_max_cost
from ._cancellation import is_cancellation
from ._card_work import CARDS, KIND, CardWork, Earlier
from ._context import UploadContext
from ._convert import from_dict
from ._engine import Engine
from ._entries import entries_of, to_retry
from ._errors import ConfigurationError, RunStopped
from ._journal import RunJournal
from ._models import AnalysisRequest, Card, Run
from ._status import RunStatus
from ._uploads import Upload
from ._validators import one_of
from ._watch import EventCallback, Watch
from ._work import Journal
from .abc import Analyzer, BatchAnalyzer, BatchSession, Described, Loader, OpenableAnalyzer, Store

__all__ = ["analyze_cards", "default_analyzer", "default_loader", "load_run", "retry_failed"]

logger = logging.getLogger(__name__)

Mode = Literal["direct", "batch"]

_LAST_EVENTS_SECONDS = 1.0
"""How long `on_event` has for what is left to tell when `run_timeout` is over."""


def _item_timeout(value: float | None) -> float | None:
    return None if value is None else as_seconds(value, "item_timeout")


def _run_timeout(value: float | None) -> float | None:
    return None if value is None else as_seconds(value, "run_timeout")


def _lease_seconds(value: float) -> float:
    return as_seconds(value, "lease_seconds")


async def analyze_cards(
    uploads: Iterable[Upload] | AsyncIterable[Upload],
    store: Store,
    limit: int | CapacityLimiter = 2,
    *,
    analyzer: Analyzer | None = None,
    run_id: str | None = None,
    on_event: EventCallback | None = None,
    item_timeout: float | None = 900.0,
    max_cards: int = 20,
    context: UploadContext | None = None,
    loader: Loader | None = None,
    max_cost: float | None = None,
    run_timeout: float | None = None,
    mode: Mode = "direct",
    retry_failed: bool = False,
    reuse: bool = False,
    accept_changes: bool = False,
    lease_seconds: float = 60.0,
    collect: bool = True,
) -> Run:
    """Analyze uploads, a few at a time, and keep every result.

    Each upload is one item of a run. Its cards, status, counters, usage and event are committed together as soon as
    they are there. One upload that fails does not stop the others. After a crash, a cancellation or an error, the same
    call with the same `run_id` goes on: what is finished is never sent to the API again.

    Args:
        uploads: Any iterable or async iterable. An iterator is read as slots come free, on the event loop, and never
            held whole; only their ids are, to find copies. From a list or tuple the largest upload goes first, which
            ends sooner; results keep its order.
        store: Where the run is kept, such as an open `MemoryStore` or `SQLiteStore`.
        limit: How many uploads are in work at once: a whole number of at least 1, or a `CapacityLimiter`, which may be
            shared between calls and resized while they run.
        analyzer: Turns documents into cards. The default is `ClaudeAnalyzer()`, which needs an API key.
        run_id: Names the run. A new name, or none, begins a run; a known one resumes it.
        on_event: Called with every event of the run from now on, in order. It may be a coroutine function; what it
            raises is logged and does not hurt the run.
        item_timeout: Seconds that one upload may take from loading to its cards, or None. Time that it is held back for
            a rate limit, or stands aside between two attempts, does not count. An analyzer that blocks the event loop
            cannot be interrupted.
        max_cards: The most cards wanted from one upload.
        context: What is known about every upload that has no context of its own.
        loader: Turns uploads into documents. The default is `cardanalysis.loading.DocumentLoader`.
        max_cost: US dollars that the run may cost in all, whoever works on it; None for any. What a request costs at
            worst is put aside before it is sent, so that the bill cannot pass it. What the run cost before counts.
        run_timeout: Seconds that this call may take, or None. What is in work then is given up and stays pending. An
            `on_event` that hangs is given up too.
        mode: ``direct``, or ``batch`` for the Message Batches of the API: half the price, and up to a day to wait.
        retry_failed: Do those uploads again that failed or are partial.
        reuse: Take the result of an upload that was completed in an earlier run of this store, where nothing else was
            ever asked, without loading it and without a request. The name must have the same ending, and a media type
            that it does not tell must be the same.
        accept_changes: Resume the run even if something else is asked than before.
        lease_seconds: How long an upload stays reserved for this process if it dies unnoticed, as on another host.
        collect: Whether the returned run holds its items and cards. With False it does not, and page by page they can
            be had from ``store.items`` and ``store.outputs``.

    Returns:
        The run with its status, counters, usage, items and cards. The status is *succeeded* if every upload is
        completed or skipped, *failed* if none is completed, *partial* in between, and *cancelled* if somebody cancelled
        the run in the store.

    Raises:
        ConfigurationError: An argument, the API key or the model is wrong, another question is asked than the run was
            begun with, or the store is not made for `reuse`. Bad arguments are told before anything is stored.
        RunStopped: The run reached `max_cost` or `run_timeout`. The same call with more of it goes on.
        StoreError: The store failed.
        Exception: Whatever the iterable raised; what was in work is finished first.
    """
    options = _Options(
        analyzer=analyzer,
        on_event=on_event,
        item_timeout=item_timeout,
        max_cards=max_cards,
        context=context,
        loader=loader,
        max_cost=max_cost,
        run_timeout=run_timeout,
        mode=mode,
        retry="too" if retry_failed else "no",
        reuse=reuse,
        accept_changes=accept_changes,
        lease_seconds=lease_seconds,
        collect=collect,
    )
    return await _run(uploads, store, limit, _new_run_id() if run_id is None else check_run_id(run_id), options)


async def retry_failed(
    store: Store,
    run_id: str,
    uploads: Iterable[Upload] | AsyncIterable[Upload],
    limit: int | CapacityLimiter = 2,
    *,
    analyzer: Analyzer | None = None,
    on_event: EventCallback | None = None,
    item_timeout: float | None = 900.0,
    max_cards: int = 20,
    context: UploadContext | None = None,
    loader: Loader | None = None,
    max_cost: float | None = None,
    run_timeout: float | None = None,
    mode: Mode = "direct",
    reuse: bool = False,
    accept_changes: bool = False,
    lease_seconds: float = 60.0,
    collect: bool = True,
) -> Run:
    """Do again what failed or is partial in a run, and do what is still to be done, as after a cancellation.

    Unlike with `cardanalysis.analyze_cards`, uploads that the run does not know are passed over; what is not given
    stays as it is. What earlier attempts came to stays in the run's log (`cardanalysis.runs.history`), and
    what they cost in its usage. A partial item keeps its cards until the new attempt has some.

    Args:
        store: Where the run is kept.
        run_id: The run.
        uploads: Where the documents are taken from, as they were given to `cardanalysis.analyze_cards`.
        limit: See `cardanalysis.analyze_cards`, as for all that follow.
        analyzer: The same as before; `accept_changes` takes another one.
        on_event: Called with every event from now on.
        item_timeout: Seconds that one upload may take, or None.
        max_cards: The most cards wanted from one upload.
        context: What is known about every upload that has no context of its own.
        loader: Turns uploads into documents.
        max_cost: US dollars that the run may cost in all, earlier attempts included; None for any.
        run_timeout: Seconds that this call may take, or None.
        mode: ``direct`` or ``batch``.
        reuse: Take results of other runs.
        accept_changes: Go on even if something else is asked than before.
        lease_seconds: How long an upload stays reserved for this process if it dies unnoticed.
        collect: Whether the returned run holds its items and cards.

    Returns:
        The run as it ended.

    Raises:
        RunNotFound: There is none of that id.
        ConfigurationError: As from `cardanalysis.analyze_cards`.
        RunStopped: The run reached `max_cost` or `run_timeout`.
        StoreError: The store failed.
    """
    check_store(store)
    await store.get_run(check_run_id(run_id))
    options = _Options(
        analyzer=analyzer,
        on_event=on_event,
        item_timeout=item_timeout,
        max_cards=max_cards,
        context=context,
        loader=loader,
        max_cost=max_cost,
        run_timeout=run_timeout,
        mode=mode,
        retry="only",
        reuse=reuse,
        accept_changes=accept_changes,
        lease_seconds=lease_seconds,
        collect=collect,
    )
    return await _run(uploads, store, limit, run_id, options)


@frozen(kw_only=True)
class _Options:
    """How a run is to be done, checked; see `analyze_cards`."""

    analyzer: Analyzer | None
    on_event: EventCallback | None
    item_timeout: float | None = field(converter=_item_timeout)
    max_cards: int
    context: UploadContext | None
    loader: Loader | None
    max_cost: float | None = field(converter=check_max_cost)
    run_timeout: float | None = field(converter=_run_timeout)
    mode: Mode = field(validator=one_of("direct", "batch"))
    retry: Literal["no", "too", "only"]
    reuse: bool
    accept_changes: bool
    lease_seconds: float = field(converter=_lease_seconds)
    collect: bool


async def _run(
    uploads: Iterable[Upload] | AsyncIterable[Upload],
    store: Store,
    limit: int | CapacityLimiter,
    run_id: str,
    options: _Options,
) -> Run:
    limiter = as_limiter(limit)
    loader = options.loader
    request = AnalysisRequest(max_cards=options.max_cards, context=options.context)
    check_uploads(uploads)
    check_store(store)
    check_callable(options.on_event, "on_event")
    check_callable(getattr(loader, "load", loader), "loader.load")
    if options.reuse:
        check_housekeeping(store, "reuse=True")
    chosen = await to_thread.run_sync(default_analyzer) if options.analyzer is None else options.analyzer
    check_analyzer(chosen)

    journal = RunJournal(store, run_id)
    async with _opened(chosen, options.mode, journal) as ready:
        asked = _asked(chosen, request, loader)
        run = await store.create_run(
            run_id, kind=KIND, fingerprint=_digest(asked), asked=asked, accept_change=options.accept_changes
        )
        budget = Budget(store, run_id, options.max_cost)
        await budget.begin(run)
        watch = Watch(store, run_id, options.on_event, after=0 if run.status is RunStatus.QUEUED else run.last_event)
        journal.changed = watch.changed
        engine = Engine(
            store,
            run_id,
            CardWork(
                loader=default_loader() if loader is None else loader,
                analyzer=ready,
                request=request,
                budget=budget,
                tries=journal.tries,
                earlier=Earlier(store, run.fingerprint) if options.reuse else None,
            ),
            limiter=limiter,
            aside=getattr(ready, "most_waiting", None),
            item_timeout=options.item_timeout,
            lease_seconds=options.lease_seconds,
            retry_failed=options.retry != "no",
            changed=watch.changed,
        )
        try:
            entries = entries_of(uploads)
            if options.retry == "only":
                entries = to_retry(store, run_id, entries)
            watching = nullcontext() if options.on_event is None else watch.running()
            run = await _within(options.run_timeout, watching, engine.run(entries, read=run))
            if run.status is RunStatus.CANCELLED and options.mode == "batch":
                await cast("BatchSession", ready).cancel()
        except Exception as error:
            error.add_note(f"What was finished is kept. Resume with run_id={run_id!r}.")
            raise
    return await load_run(store, run_id) if options.collect else run


async def _within(
    seconds: float | None, watching: AbstractAsyncContextManager[None], running: Coroutine[Any, Any, Run]
) -> Run:
    """Wait for a run and until its events are told, but not longer than some seconds and a moment for the last ones."""
    run: Run | None = None
    failure: BaseException | None = None
    ends_at = math.inf if seconds is None else current_time() + seconds
    with CancelScope() as telling:
        async with watching:
            try:
                with CancelScope(deadline=ends_at):
                    run = await running
            except BaseException as error:
                if is_cancellation(error):
                    raise
                failure = error  # raised below, where a callback that hangs cannot lose it
            telling.deadline = max(ends_at, current_time() + _LAST_EVENTS_SECONDS)
    if telling.cancelled_caught:
        logger.warning("on_event took too long; the last events of the run were not told to it")
    if failure is not None:
        raise failure
    if run is None:
        message = f"The run took longer than run_timeout={seconds} seconds. Resume it with the same call."
        raise RunStopped(message, code="run_timeout")
    return run


async def load_run(store: Store, run_id: str) -> Run:
    """Read a run with its items and cards.

    Args:
        store: Where it is kept.
        run_id: The run.

    Raises:
        RunNotFound: There is none.
        StoreError: The store failed.
    """
    check_store(store)
    items = await store.items(run_id)
    outputs = await store.outputs(run_id, kind=CARDS)
    run = await store.get_run(run_id)
    return run.with_results(items, [from_dict(Card, output.data) for output in outputs])


def _opened(analyzer: Analyzer, mode: Mode, journal: Journal) -> AbstractAsyncContextManager[Analyzer]:
    if mode == "batch":
        if not isinstance(analyzer, BatchAnalyzer):
            message = f"The analyzer {analyzer.name} knows no batches. Use mode='direct', or ClaudeAnalyzer."
            raise ConfigurationError(message, code="no_batches")
        return analyzer.open_batches(journal)
    return analyzer.open() if isinstance(analyzer, OpenableAnalyzer) else nullcontext(analyzer)


def _asked(analyzer: Analyzer, request: AnalysisRequest, loader: Loader | None) -> Mapping[str, Any]:
    """What the cards depend on; a run is resumed only with the same."""
    described: Mapping[str, Any] = analyzer.describe() if isinstance(analyzer, Described) else {}
    context = None if request.context is None else request.context.to_dict()
    asked = {"analyzer": analyzer.name, **described, "max_cards": request.max_cards, "context": context}
    if loader is not None:
        asked["loader"] = dict(loader.describe()) if isinstance(loader, Described) else type(loader).__qualname__
    for name, value in asked.items():
        try:
            json.dumps(value)
        except (TypeError, ValueError):
            message = f"describe() of {analyzer.name} must give JSON values; {name} is none."
            raise ConfigurationError(message) from None
    return asked


def _digest(asked: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:32]


def _new_run_id() -> str:
    return f"run-{uuid.uuid4().hex[:16]}"


def default_analyzer() -> Analyzer:
    """The analyzer where none is given."""
    from .analysis import ClaudeAnalyzer  # imports the SDK, which takes most of a second

    return ClaudeAnalyzer()


def default_loader() -> Loader:
    """The loader where none is given."""
    from .loading import DocumentLoader

    return DocumentLoader()
