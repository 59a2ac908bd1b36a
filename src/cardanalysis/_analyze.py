"""What users call: `analyze_cards` and `retry_failed` wire uploads, loader, analyzer and store into one run."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Literal

from anyio import CapacityLimiter, to_thread

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
from ._card_work import CARDS, KIND, CardWork, Earlier
from ._convert import from_dict
from ._documents import Upload, UploadContext
from ._engine import Engine
from ._entries import entries_of, to_retry
from ._errors import ConfigurationError
from ._models import AnalysisRequest, Card, Run
from ._status import RunStatus
from ._watch import EventCallback, Watch
from .abc import Analyzer, Described, Loader, OpenableAnalyzer, Store

__all__ = ["analyze_cards", "load_run", "retry_failed"]


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
        item_timeout: Seconds that one upload may take from loading to its cards, or None. An analyzer that blocks the
            event loop cannot be interrupted.
        max_cards: The most cards wanted from one upload.
        context: What is known about every upload that has no context of its own.
        loader: Turns uploads into documents. The default reads text, Markdown, CSV and TSV.
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
        StoreError: The store failed.
        Exception: Whatever the iterable raised; what was in work is finished first.
    """
    return await _run(
        uploads,
        store,
        limit,
        analyzer=analyzer,
        run_id=_new_run_id() if run_id is None else check_run_id(run_id),
        on_event=on_event,
        item_timeout=item_timeout,
        max_cards=max_cards,
        context=context,
        loader=loader,
        retry="too" if retry_failed else "no",
        reuse=reuse,
        accept_changes=accept_changes,
        lease_seconds=lease_seconds,
        collect=collect,
    )


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
        reuse: Take results of other runs.
        accept_changes: Go on even if something else is asked than before.
        lease_seconds: How long an upload stays reserved for this process if it dies unnoticed.
        collect: Whether the returned run holds its items and cards.

    Returns:
        The run as it ended.

    Raises:
        RunNotFound: There is none of that id.
        ConfigurationError: As from `cardanalysis.analyze_cards`.
        StoreError: The store failed.
    """
    check_store(store)
    await store.get_run(check_run_id(run_id))
    return await _run(
        uploads,
        store,
        limit,
        analyzer=analyzer,
        run_id=run_id,
        on_event=on_event,
        item_timeout=item_timeout,
        max_cards=max_cards,
        context=context,
        loader=loader,
        retry="only",
        reuse=reuse,
        accept_changes=accept_changes,
        lease_seconds=lease_seconds,
        collect=collect,
    )


async def _run(
    uploads: Iterable[Upload] | AsyncIterable[Upload],
    store: Store,
    limit: int | CapacityLimiter,
    *,
    analyzer: Analyzer | None,
    run_id: str,
    on_event: EventCallback | None,
    item_timeout: float | None,
    max_cards: int,
    context: UploadContext | None,
    loader: Loader | None,
    retry: Literal["no", "too", "only"],
    reuse: bool,
    accept_changes: bool,
    lease_seconds: float,
    collect: bool,
) -> Run:
    limiter = as_limiter(limit)
    item_timeout = None if item_timeout is None else as_seconds(item_timeout, "item_timeout")
    lease = as_seconds(lease_seconds, "lease_seconds")
    request = AnalysisRequest(max_cards=max_cards, context=context)
    check_uploads(uploads)
    check_store(store)
    check_callable(on_event, "on_event")
    check_callable(getattr(loader, "load", loader), "loader.load")
    if reuse:
        check_housekeeping(store, "reuse=True")
    chosen = await to_thread.run_sync(_default_analyzer) if analyzer is None else analyzer
    chosen_loader = _default_loader() if loader is None else loader

    check_analyzer(chosen)

    async with _opened(chosen) as ready:
        asked = _asked(chosen, request, loader)
        run = await store.create_run(
            run_id, kind=KIND, fingerprint=_digest(asked), asked=asked, accept_change=accept_changes
        )
        watch = Watch(store, run_id, on_event, after=0 if run.status is RunStatus.QUEUED else run.last_event)
        engine = Engine(
            store,
            run_id,
            CardWork(
                loader=chosen_loader,
                analyzer=ready,
                request=request,
                earlier=Earlier(store, run.fingerprint) if reuse else None,
            ),
            limiter=limiter,
            item_timeout=item_timeout,
            lease_seconds=lease,
            retry_failed=retry != "no",
            changed=watch.changed,
        )
        try:
            async with nullcontext() if on_event is None else watch.running():
                entries = entries_of(uploads)
                run = await engine.run(to_retry(store, run_id, entries) if retry == "only" else entries, read=run)
        except Exception as error:
            error.add_note(f"What was finished is kept. Resume with run_id={run_id!r}.")
            raise
    return await load_run(store, run_id) if collect else run


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


def _opened(analyzer: Analyzer) -> AbstractAsyncContextManager[Analyzer]:
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


def _default_analyzer() -> Analyzer:
    from .analysis import ClaudeAnalyzer  # imports the SDK, which takes most of a second

    return ClaudeAnalyzer()


def _default_loader() -> Loader:
    from .loading import DocumentLoader

    return DocumentLoader()
