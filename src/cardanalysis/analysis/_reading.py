"""Reads one document, in parts if it must be, until its cards are there or it is known what is missing."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from anyio import to_thread
from attrs import define, field, frozen

from .._convert import from_dict, to_dict
from .._documents import Document, Location
from .._errors import AnalyzerError, CardAnalysisError, ConfigurationError, RunStopped, StoreError
from .._models import Analysis, AnalysisRequest, Card, ItemError, Usage
from ._answers import InvalidAnswer, as_card, parse_cards
from ._asking import Asker, Tally
from ._estimates import estimate_tokens
from ._failures import explain_stop, request_note
from ._media import extent, pictures_in
from ._merging import merge
from ._parts import Part, halves, joined, place_of, split_to
from ._questions import Questions
from ._salvage import salvage
from ._transport import Answer, AttemptFailed, Failure, FailureKind

__all__ = ["Reading", "share"]

_T = TypeVar("_T")

_INLINE: Final = 65_536
"""Characters up to which cutting a document is quicker than a hop to a worker thread."""
_WINDOW: Final = "model_context_window_exceeded"
_CUT: Final = ("max_tokens", _WINDOW)
_OF_THE_PART: Final = frozenset({"truncated", "context_window_exceeded", "too_large", "refused", "invalid_answer"})
"""Codes of what is the fault of one part, so that the others are still worth asking about."""
_MOST_IN_VAIN: Final = 2
"""How often a part is halved, and halved again, because answers are cut before their first card is whole."""


def share(document: Document, part: Part, max_cards: int) -> int:
    """How many of the cards that are wanted from a document to ask of a part of it."""
    whole = extent(document, 0, len(document.text))
    return max(1, math.ceil(max_cards * extent(document, part.start, part.end) / max(1, whole)))


@frozen
class _ToDo:
    """A part that is to be read.

    Attributes:
        part: The part.
        in_vain: How many answers about larger ones, that it is of, were cut before their first card was whole.
    """

    part: Part
    in_vain: int = 0


@define(eq=False)
class Reading:
    """The reading of one document; `run` it once.

    Attributes:
        asker: Asks the model.
        questions: Makes the requests.
        document: What is read.
        request: What is wanted of it.
        most_tokens: The longest part in tokens, estimated.
        repairs: How often an answer that does not fit the schema is shown to the model again.
    """

    asker: Asker
    questions: Questions
    document: Document
    request: AnalysisRequest
    most_tokens: int
    repairs: int
    _tally: Tally = field(init=False)
    _cards: list[Card] = field(factory=list[Card], init=False)
    _todo: deque[_ToDo] = field(factory=deque["_ToDo"], init=False)
    _read: int = field(default=0, init=False)
    _merged: int = field(default=0, init=False)
    _kept: Mapping[str, Mapping[str, Any]] = field(factory=dict[str, Mapping[str, Any]], init=False)
    _restored: int = field(default=0, init=False)
    _counted: Usage = field(factory=Usage, init=False)
    _unread: list[tuple[Part, CardAnalysisError]] = field(factory=list[tuple[Part, CardAnalysisError]], init=False)

    def __attrs_post_init__(self) -> None:
        self._tally = Tally(self.request.work.key or self.document.upload_id or self.document.name, self.request.work)

    async def run(self) -> Analysis:
        """Read it.

        Raises:
            AnalyzerError: Nothing of it could be analyzed; with what it cost.
            ConfigurationError: No document could be, and no part of this one was.
            RunStopped: The run may not spend more, and nothing of it was read.
        """
        self._kept = await self.request.work.kept()
        self._todo.extend(map(_ToDo, await self._parts()))
        if len(self._todo) > 1:
            await self.request.work.report("document_split", {"parts": len(self._todo)})
        while self._todo:
            todo = self._todo.popleft()
            if todo.part.text_of(self.document).strip():
                await self._read_part(todo)
        return self._analysis()

    async def _parts(self) -> Sequence[Part]:
        return await self._in_thread_if_long(split_to, self.document, self.most_tokens, estimate_tokens)

    async def _in_thread_if_long(self, cut: Callable[..., _T], *args: Any) -> _T:
        return await to_thread.run_sync(cut, *args) if len(self.document.text) > _INLINE else cut(*args)

    # -- one part ------------------------------------------------------------------------------------------------

    async def _read_part(self, todo: _ToDo) -> None:
        part = todo.part
        if await self._restore(todo):
            return
        found: list[Card] = []
        before = len(self._tally.requests)
        try:
            await self._find_all(part, found)
            self._read += 1
            await self._keep(part, {"cards": to_dict(found), "requests": self._tally.requests[before:]})
        except AttemptFailed as failed:
            await self._failed(todo, failed.failure)
        except RunStopped as stopped:
            self._give_up(part, stopped)
        finally:
            self._cards += found

    async def _restore(self, todo: _ToDo) -> bool:
        """Take what an earlier attempt kept of a part, if it did."""
        kept = self._kept.get(self._key(todo.part)) if self._kept else None
        if kept is None:
            return False
        if "cards" not in kept:  # it was too long, which need not be found out again
            return await self._halve(todo)
        self._cards += from_dict(list[Card], kept["cards"])
        self._tally.requests += kept["requests"]
        self._read, self._restored = self._read + 1, self._restored + 1
        return True

    async def _keep(self, part: Part, data: Mapping[str, Any]) -> None:
        """Keep what came of a part until the whole document is done. What is one part is done with it."""
        if part.start > 0 or part.end < len(self.document.text) or not data:
            usage = self._tally.usage.without(self._counted)
            await self.request.work.keep(self._key(part), data, usage)
            self._counted = self._tally.usage

    def _key(self, part: Part) -> str:
        return self.questions.key(self.document, self.request, part, max_cards=self._share(part))

    def _share(self, part: Part) -> int:
        return share(self.document, part, self.request.max_cards)

    async def _find_all(self, part: Part, found: list[Card]) -> None:
        """Ask until there is a whole answer; add to what is found what each answer holds."""
        most = self._share(part)
        pictures = self._pictures(part)
        rejected: tuple[str, str] | None = None
        repaired = 0
        while len(found) < most:
            titles = [card.title for card in found]
            question = self.questions.about(
                self.document, self.request, part, max_cards=most - len(found), found=titles, rejected=rejected
            )
            answer = await self.asker.ask(question, self._tally)
            if answer.reply.stop_reason in _CUT:
                await self._keep_whole_cards(answer, found, pictures)
                rejected = None  # the rest of this answer is asked for, not all of an earlier one
                continue
            self._check_stop(answer)
            try:
                cards = parse_cards(answer.reply.text, made_by=self.questions.model, pictures=pictures)
            except InvalidAnswer as invalid:
                await self._report("answer_rejected", answer, problem=str(invalid))
                if repaired == self.repairs:
                    raise _final(_invalid(invalid, answer)) from None
                repaired, rejected = repaired + 1, (answer.reply.text, str(invalid))
            else:
                self._add(found, cards)
                return

    def _add(self, found: list[Card], cards: Sequence[Card]) -> None:
        """Add cards to what earlier answers about the part held; those of one answer are not compared."""
        if found:
            together = [*found, *cards]
            found[:] = merge(together)
            self._merged += len(together) - len(found)
        else:
            found[:] = cards

    def _check_stop(self, answer: Answer) -> None:
        error = self._stop_error(answer)
        if error is not None:
            raise _final(error)

    def _stop_error(self, answer: Answer) -> AnalyzerError | None:
        return explain_stop(answer.reply, max_tokens=self.questions.max_tokens, request_id=answer.request_id)

    def _pictures(self, part: Part) -> list[Location]:
        return [block.location for block in pictures_in(self.document, part.start, part.end)]

    async def _keep_whole_cards(self, answer: Answer, found: list[Card], pictures: Sequence[Location]) -> None:
        """Take what a cut answer holds. The rest is asked for if that was something new, else the part is too long."""
        before = len(found)
        whole = salvage(answer.reply.text, with_pictures=bool(pictures)).cards
        self._add(found, [as_card(card, made_by=self.questions.model, pictures=pictures) for card in whole])
        await self._report("answer_cut", answer, cards=len(found) - before, stop_reason=answer.reply.stop_reason)
        error = self._stop_error(answer)
        if error is not None and (len(found) == before or answer.reply.stop_reason == _WINDOW):
            raise AttemptFailed(Failure(kind=FailureKind.TOO_LONG, error=error))

    async def _failed(self, todo: _ToDo, failure: Failure) -> None:
        if isinstance(failure.error, StoreError):
            raise failure.error
        todo = _ToDo(todo.part, todo.in_vain + (failure.error.code == "truncated"))
        # Where halves do not help either, the length of the document is not what fills the answers.
        too_long = failure.kind is FailureKind.TOO_LONG and todo.in_vain <= _MOST_IN_VAIN
        if too_long and await self._halve(todo):
            await self._keep(todo.part, {})
        else:
            self._give_up(todo.part, failure.error)

    async def _halve(self, todo: _ToDo) -> bool:
        """Read a part as two, if it can be cut."""
        part = todo.part
        two = await self._in_thread_if_long(halves, self.document, part)
        if two is None:
            return False
        self._todo.extendleft(_ToDo(half, todo.in_vain) for half in reversed(two))
        await self.request.work.report("document_split", {"parts": 2, "from": part.start, "to": part.end})
        return True

    def _give_up(self, part: Part, error: CardAnalysisError) -> None:
        """Leave a part unread; where the others would fare alike, them too."""
        self._unread.append((part, error))
        if error.code not in _OF_THE_PART:
            self._unread += ((todo.part, error) for todo in self._todo)
            self._todo.clear()

    async def _report(self, type: str, answer: Answer, **data: Any) -> None:  # noqa: A002 - as events call it
        await self.request.work.report(type, {"request_id": answer.request_id, **data})

    # -- the whole -----------------------------------------------------------------------------------------------

    def _analysis(self) -> Analysis:
        if self._unread and not self._read and not self._cards:
            error = self._unread[0][1]
            if isinstance(error, AnalyzerError):
                error.usage = self._tally.usage
            raise error
        for _, error in self._unread:
            if isinstance(error, (ConfigurationError, RunStopped)):
                self.request.work.stop(error)  # what was paid for is kept, and nothing more is begun
        most = self.request.max_cards
        cards = merge(self._cards) if self._read + len(self._unread) > 1 else tuple(self._cards)
        merged = self._merged + len(self._cards) - len(cards)
        notes = [f"The document was read in {self._read} parts."] if self._read > 1 else []
        if self._restored:
            notes.append(f"{self._restored} of them had been read by an earlier attempt.")
        if merged:
            notes.append(f"{merged} cards of several answers were the same need and were merged into others.")
        if len(cards) > most:
            notes.append(f"The model returned {len(cards)} cards; the first {most} were kept.")
        return Analysis(
            cards=cards[:most],
            usage=self._tally.usage,
            notes=notes,
            missing=self._missing(),
            coverage=self._coverage(),
            requests=self._tally.requests,
        )

    def _missing(self) -> ItemError | None:
        if not self._unread:
            return None
        places = "; ".join(place_of(self.document, part) for part in joined(part for part, _ in self._unread))
        error = self._unread[0][1]
        again = "" if isinstance(error, RunStopped) else " To read the rest, pass retry_failed=True."
        share = f"{math.floor(100 * self._coverage())} % of the document was read."
        return ItemError(code=error.code, message=f"Not read: {places}; {share} {error}{again}")

    def _coverage(self) -> float:
        """Which share of the document was read."""
        whole = extent(self.document, 0, len(self.document.text))
        unread = sum(extent(self.document, part.start, part.end) for part, _ in self._unread)
        return max(0.0, 1 - unread / whole) if unread else 1.0


def _final(error: AnalyzerError) -> AttemptFailed:
    return AttemptFailed(Failure(kind=FailureKind.FINAL, error=error))


def _invalid(problem: InvalidAnswer, answer: Answer) -> AnalyzerError:
    note = request_note(answer.request_id)
    return AnalyzerError(f"The answer does not fit the schema: {problem} Run it again.{note}", code="invalid_answer")
