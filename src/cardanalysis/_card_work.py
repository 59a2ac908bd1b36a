"""What is done with one upload of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from pathlib import PurePath
from typing import Any

from anyio import CancelScope, to_thread
from attrs import define, evolve, field, frozen

from ._arguments import check_analysis, check_housekeeping
from ._budget import Budget
from ._convert import to_dict
from ._documents import Document
from ._errors import (
    AnalyzerError,
    CardAnalysisError,
    ConfigurationError,
    DocumentError,
    InvalidValue,
    ItemNotFound,
    RunNotFound,
    RunStopped,
    StoreError,
)
from ._grounding import Grounding
from ._jobs import Job, Outcome
from ._models import Analysis, AnalysisRequest, Card, Item, ItemError, NewOutput, Usage
from ._redaction import safe_message
from ._status import ItemStatus
from ._uploads import Upload
from ._work import Reservation
from .abc import Analyzer, Loader, Store

__all__ = ["CARDS", "KIND", "CardWork", "Earlier", "request_about"]

KIND = "analyze_cards"
"""The kind of the runs."""
CARDS = "cards"
"""The kind of the outputs."""
_PAGE = 1_000
_SHOWN = 10
_INLINE = 65_536
"""Characters up to which looking quotes up is quicker than a hop to a worker thread."""


@frozen
class CardWork:
    """What is done with one upload: load it, analyze it, look its quotes up; or take what was done earlier."""

    loader: Loader
    analyzer: Analyzer
    request: AnalysisRequest
    budget: Budget
    tries: Mapping[str, int]
    earlier: Earlier | None

    async def __call__(self, job: Job[Upload]) -> Outcome:
        upload = job.payload
        if self.earlier is not None and (outcome := await self.earlier.outcome(job.item)) is not None:
            return outcome
        document = await self._load(upload)
        await job.move(ItemStatus.ANALYZING)
        request = evolve(request_about(upload, self.request), work=_Work(job, self.budget, self.tries))
        analysis = await self._analyze(document, request)
        cards, notes = self._within_limit(analysis)
        grounded: list[Card] = []
        # The analysis is paid for: from here on neither a timeout nor a cancellation may lose it.
        with CancelScope(shield=True):
            await job.move(ItemStatus.SAVING)
            grounded += await _ground(cards, document)
        return Outcome(
            outputs=[
                NewOutput(kind=CARDS, data=to_dict(self._placed(card, job.item.id, number)))
                for number, card in enumerate(grounded, start=1)
            ],
            usage=analysis.usage,
            missing=_missing(document, analysis),
            data=_told(analysis, [*document.notes, *notes]),
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
            known = isinstance(error, (ConfigurationError, AnalyzerError, DocumentError, RunStopped, StoreError))
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


def request_about(upload: Upload, request: AnalysisRequest) -> AnalysisRequest:
    """What is asked about one upload of those that something is asked about: it may have a context of its own."""
    shared = upload.context is None and request.context is not None
    return evolve(request, context=upload.context or request.context, shared_context=shared)


@define(eq=False)
class _Work:
    """What a run lends to the work on one of its items."""

    job: Job[Upload]
    budget: Budget
    tries: Mapping[str, int]
    _held: _Held | None = None

    @property
    def key(self) -> str:
        item = self.job.item
        return f"{item.run_id}:{item.id}:{self.tries.get(item.id, 0)}"

    async def report(self, type: str, data: Mapping[str, Any], /) -> None:  # noqa: A002 - as events call it
        await self.job.report(type, data)

    async def kept(self) -> Mapping[str, Mapping[str, Any]]:
        # The token tells how often it was claimed; nearly every item is done at the first time.
        return await self.job.checkpoints() if self.job.item.token > 1 else {}

    async def keep(self, key: str, data: Mapping[str, Any], usage: Usage, /) -> None:
        await self.job.save_checkpoint(key, data, usage)

    def stop(self, error: CardAnalysisError, /) -> None:
        self.job.stop(error)

    def spent(self, usage: Usage, /) -> None:
        self.job.spent += usage

    def untimed(self) -> AbstractContextManager[None]:
        return self.job.untimed()

    def aside(self) -> AbstractAsyncContextManager[None]:
        self._check_settled("standing aside")
        return self.job.aside()

    async def reserve(self, dollars: float | None, /) -> Reservation:
        self._check_settled("reserving more")
        self._held = _Held(await self.budget.reserve(_dollars(dollars)))
        return self._held

    def adopt(self, dollars: float, /) -> Reservation:
        return self.budget.adopt(dollars)

    def _check_settled(self, before: str) -> None:
        # Else it would wait for a slot, or money, of somebody who waits for this money.
        if self._held is not None and not self._held.settled:
            message = f"An analyzer must settle what it has reserved before {before}."
            raise ConfigurationError(message, code="not_settled")


@define(eq=False)
class _Held:
    """A reservation of an item."""

    reservation: Reservation
    settled: bool = False

    async def settle(self, dollars: float | None, /) -> None:
        self.settled = True
        await self.reservation.settle(_dollars(dollars))


def _dollars(value: float | None) -> float | None:
    if value is None or (isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf):
        return value
    raise ConfigurationError(f"Dollars must be a number of at least 0, or None where they are unknown, not {value!r}.")


def _missing(document: Document, analysis: Analysis) -> ItemError | None:
    """What of an upload could not be read, or not analyzed."""
    if not document.missing:
        return analysis.missing
    shown = ", ".join(document.missing[:_SHOWN]) + (" and more" if len(document.missing) > _SHOWN else "")
    damaged = f"Not read, since damaged: {shown}. Save the file again in the program it came from."
    if analysis.missing is None:
        return ItemError(code="damaged", message=damaged)
    return evolve(analysis.missing, message=f"{analysis.missing.message} {damaged}")


def _told(analysis: Analysis, notes: Sequence[str]) -> Mapping[str, Any]:
    """What the item's event tells of its analysis."""
    told: dict[str, Any] = {"notes": notes}
    if analysis.requests:
        told["requests"] = analysis.requests
    if analysis.missing is not None:
        told["coverage"] = analysis.coverage
    return told


@frozen
class Earlier:
    """What was done in earlier runs where the same was asked."""

    store: Store
    fingerprint: str
    _changed: dict[str, bool] = field(factory=dict[str, bool], init=False)

    async def outcome(self, item: Item) -> Outcome | None:
        """The result of an item of the same content, as the outcome of this one."""
        store = check_housekeeping(self.store, "reuse=True")
        found = await store.find_completed(item.id, kind=KIND, fingerprint=self.fingerprint)
        if found is None or not _is_same_document(found, item) or await self._was_changed(found.run_id):
            return None
        try:
            outputs = await self.store.outputs(found.run_id, item_id=found.id)
            if await self.store.get_item(found.run_id, found.id) != found:
                return None
        except (RunNotFound, ItemNotFound):  # it was deleted meanwhile
            return None
        return Outcome(
            outputs=[NewOutput(kind=output.kind, data=output.data) for output in outputs],
            data={"reused_from": found.run_id},
        )

    async def _was_changed(self, run_id: str) -> bool:
        """Whether something else was asked in a run before, so that it is not known what made an item of it."""
        if run_id not in self._changed:
            seen, changed = 0, False
            with suppress(RunNotFound):
                while not changed and (page := await self.store.events(run_id, seen, limit=_PAGE)):
                    changed = any(event.type == "run_changed" for event in page)
                    seen = page[-1].sequence
            self._changed[run_id] = changed
        return self._changed[run_id]


def _is_same_document(one: Item, other: Item) -> bool:
    """Whether the same content is read in the same way: as a table it is not the text that the table is made of."""
    return one.kind == other.kind and PurePath(one.name).suffix.lower() == PurePath(other.name).suffix.lower()


async def _ground(cards: Sequence[Card], document: Document) -> list[Card]:
    def work() -> list[Card]:
        grounding = Grounding(document)
        return [grounding.ground(card) for card in cards]

    return await to_thread.run_sync(work) if len(document.text) > _INLINE else work()
