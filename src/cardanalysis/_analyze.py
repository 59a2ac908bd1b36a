"""What users call: `analyze_cards` wires uploads, loader, analyzer and store into one run."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from inspect import isasyncgen
from typing import Any, cast

from anyio import CancelScope, CapacityLimiter, to_thread
from attrs import evolve, frozen

from ._arguments import (
    as_limiter,
    as_seconds,
    check_analysis,
    check_analyzer,
    check_run_id,
    check_store,
    check_upload,
    check_uploads,
)
from ._convert import from_dict, to_dict
from ._documents import Document, Upload, UploadContext
from ._engine import Engine, Entry, Job, Outcome
from ._errors import AnalyzerError, CardAnalysisError, ConfigurationError, DocumentError, InvalidValue
from ._grounding import Grounding
from ._models import Analysis, AnalysisRequest, Card, NewItem, NewOutput, Run
from ._redaction import safe_message
from ._status import ItemStatus, RunStatus
from ._watch import EventCallback, Watch
from .abc import Analyzer, Described, Loader, OpenableAnalyzer, Store

__all__ = ["analyze_cards", "load_run"]

_KIND = "analyze_cards"
_CARDS = "cards"

_INLINE = 65_536
"""Bytes or characters up to which work is quicker than a hop to a worker thread."""
_BATCH_UPLOADS = 64
_BATCH_BYTES = 67_108_864


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
        accept_changes: Resume the run even if something else is asked than before.
        lease_seconds: How long an upload stays reserved for this process if it dies unnoticed, as on another host.
        collect: Whether the returned run holds its items and cards. With False it does not, and page by page they can
            be had from ``store.items`` and ``store.outputs``.

    Returns:
        The run with its status, counters, usage, items and cards. The status is *succeeded* if every upload is
        completed or skipped, *failed* if none is completed, *partial* in between, and *cancelled* if somebody cancelled
        the run in the store.

    Raises:
        ConfigurationError: An argument, the API key or the model is wrong, or another question is asked than the run
            was begun with. Bad arguments are told before anything is stored.
        StoreError: The store failed.
        Exception: Whatever the iterable raised; what was in work is finished first.
    """
    limiter = as_limiter(limit)
    item_timeout = None if item_timeout is None else as_seconds(item_timeout, "item_timeout")
    lease = as_seconds(lease_seconds, "lease_seconds")
    request = AnalysisRequest(max_cards=max_cards, context=context)
    check_uploads(uploads)
    check_store(store)
    run_id = _new_run_id() if run_id is None else check_run_id(run_id)
    chosen = await to_thread.run_sync(_default_analyzer) if analyzer is None else analyzer
    chosen_loader = _default_loader() if loader is None else loader

    check_analyzer(chosen)

    async with _opened(chosen) as ready:
        asked = _asked(chosen, request)
        run = await store.create_run(
            run_id, kind=_KIND, fingerprint=_digest(asked), asked=asked, accept_change=accept_changes
        )
        watch = Watch(store, run_id, on_event, after=0 if run.status is RunStatus.QUEUED else run.last_event)
        engine = Engine(
            store,
            run_id,
            _CardWork(loader=chosen_loader, analyzer=ready, request=request),
            limiter=limiter,
            item_timeout=item_timeout,
            lease_seconds=lease,
            retry_failed=retry_failed,
            changed=watch.changed,
        )
        try:
            async with nullcontext() if on_event is None else watch.running():
                run = await engine.run(_entries(uploads))
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
    items = await store.items(run_id)
    outputs = await store.outputs(run_id, kind=_CARDS)
    run = await store.get_run(run_id)
    return run.with_results(items, [from_dict(Card, output.data) for output in outputs])


@frozen
class _CardWork:
    """What is done with one upload: load it, analyze it, look its quotes up."""

    loader: Loader
    analyzer: Analyzer
    request: AnalysisRequest

    async def __call__(self, job: Job[Upload]) -> Outcome:
        upload = job.payload
        document = await self._load(upload)
        await job.move(ItemStatus.ANALYZING)
        request = evolve(self.request, context=upload.context or self.request.context)
        analysis = await self._analyze(document, request)
        cards, notes = self._within_limit(analysis)
        grounded: list[Card] = []
        # The analysis is paid for: from here on neither a timeout nor a cancellation may lose it.
        with CancelScope(shield=True):
            await job.move(ItemStatus.SAVING)
            grounded += await _ground(cards, document)
        return Outcome(
            outputs=[
                NewOutput(kind=_CARDS, data=to_dict(self._placed(card, job.item.id, number)))
                for number, card in enumerate(grounded, start=1)
            ],
            usage=analysis.usage,
            data={"notes": [*document.notes, *notes]},
        )

    async def _load(self, upload: Upload) -> Document:
        try:
            return await self.loader.load(upload)
        except Exception as error:
            if isinstance(error, CardAnalysisError) and not isinstance(error, InvalidValue):
                raise
            problem = f"it could not be loaded ({type(error).__qualname__})"
            raise DocumentError(
                upload.name, problem, "Check that it is not damaged.", code="unexpected_error"
            ) from error

    async def _analyze(self, document: Document, request: AnalysisRequest) -> Analysis:
        try:
            analysis = await self.analyzer.analyze(document, request)
        except Exception as error:
            known = isinstance(error, (ConfigurationError, AnalyzerError, DocumentError))
            if known and not isinstance(error, InvalidValue):
                raise
            message = f"The analyzer raised {safe_message(error, document.text)}."
            raise AnalyzerError(message, code="unexpected_error") from error
        return check_analysis(analysis)

    def _within_limit(self, analysis: Analysis) -> tuple[Sequence[Card], Sequence[str]]:
        most, count = self.request.max_cards, len(analysis.cards)
        if count <= most:
            return analysis.cards, analysis.notes
        return analysis.cards[:most], (*analysis.notes, f"The analyzer gave {count} cards; the first {most} were kept.")

    def _placed(self, card: Card, upload_id: str, number: int) -> Card:
        return evolve(
            card, id=f"{upload_id[:12]}-{number}", upload_id=upload_id, made_by=card.made_by or self.analyzer.name
        )


async def _ground(cards: Sequence[Card], document: Document) -> list[Card]:
    def work() -> list[Card]:
        grounding = Grounding(document)
        return [grounding.ground(card) for card in cards]

    return await to_thread.run_sync(work) if len(document.text) > _INLINE else work()


_Seen = dict[str, dict[str | None, tuple[int, str]]]
"""For each content and each media type it came with: how often, and the id of its item."""


async def _entries(uploads: Iterable[Upload] | AsyncIterable[Upload]) -> AsyncGenerator[list[Entry[Upload]], None]:
    """The uploads as items of the run: a list in batches with the largest first, an iterator one by one."""
    seen: _Seen = {}
    async with aclosing(_batches(uploads)) as batches:
        async for batch in batches:
            yield [await _entry(position, upload, seen) for position, upload in batch]


async def _entry(position: int, upload: Upload, seen: _Seen) -> Entry[Upload]:
    upload_id = await _id_of(upload)
    copies = seen.setdefault(upload_id, {})
    # The same content as another type is another document, such as a table that was given as text before.
    known = copies.get(upload.media_type)
    number = sum(count for count, _ in copies.values()) + 1
    item_id = upload_id if number == 1 else f"{upload_id}~{number}"
    copies[upload.media_type] = (1, item_id) if known is None else (known[0] + 1, known[1])
    new = NewItem(id=item_id, name=upload.name, position=position, size=upload.size)
    skip = None if known is None else {"reason": "duplicate", "same_as": known[1]}
    return Entry(new=new, payload=upload, skip=skip)


async def _batches(uploads: Iterable[Upload] | AsyncIterable[Upload]) -> AsyncGenerator[list[tuple[int, Upload]], None]:
    if isinstance(uploads, AsyncIterable):
        position = 0
        async with _closing(uploads):
            async for upload in uploads:
                check_upload(upload)
                yield [(position, upload)]
                position += 1
    elif isinstance(uploads, Sequence):
        for batch in _largest_first(uploads):
            yield batch
    else:
        for position, upload in enumerate(uploads):
            check_upload(upload)
            yield [(position, upload)]


def _closing(uploads: AsyncIterable[Upload]) -> AbstractAsyncContextManager[object]:
    """Closes a generator that is left before its end; nobody else can."""
    return aclosing(cast("AsyncGenerator[Upload, None]", uploads)) if isasyncgen(uploads) else nullcontext()


def _largest_first(uploads: Sequence[Upload]) -> Iterable[list[tuple[int, Upload]]]:
    """Batches small enough that finding out their ids does not keep the first upload waiting."""
    batch: list[tuple[int, Upload]] = []
    size = 0
    for place in sorted(enumerate(uploads), key=lambda place: -place[1].size):
        if batch and (len(batch) == _BATCH_UPLOADS or size + place[1].size > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(place)
        size += place[1].size
    if batch:
        yield batch


async def _id_of(upload: Upload) -> str:
    try:
        if upload.data is not None and upload.size <= _INLINE:
            return upload.id
        return await to_thread.run_sync(lambda: upload.id)
    except DocumentError:
        # It needs an item all the same, to say why it failed; loading meets the same error again.
        return hashlib.sha256(f"unreadable\0{upload.path}\0{upload.name}".encode()).hexdigest()[:32]


def _opened(analyzer: Analyzer) -> AbstractAsyncContextManager[Analyzer]:
    return analyzer.open() if isinstance(analyzer, OpenableAnalyzer) else nullcontext(analyzer)


def _asked(analyzer: Analyzer, request: AnalysisRequest) -> Mapping[str, Any]:
    """What the cards depend on; a run is resumed only with the same."""
    described: Mapping[str, Any] = analyzer.describe() if isinstance(analyzer, Described) else {}
    context = None if request.context is None else request.context.to_dict()
    asked = {"analyzer": analyzer.name, **described, "max_cards": request.max_cards, "context": context}
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
