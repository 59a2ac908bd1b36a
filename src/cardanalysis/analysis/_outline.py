"""`OutlineAnalyzer`: cards by rules, offline and without a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from anyio import to_thread

from .._documents import Block, Document
from .._errors import AnalyzerError
from .._models import Analysis, AnalysisRequest, Card, ItemError
from ._media import pictures_in, share_of_pictures
from ._outline_drafts import Draft
from ._outline_rules import Reader
from ._outline_source import Source

__all__ = ["OutlineAnalyzer", "outline_cards"]

RULES_VERSION = 1
_SHOWN = 10
_LONG = 8_000  # characters; about 10 ms of work, and what several uploads are ready for adds up on the event loop


class OutlineAnalyzer:
    """Finds cards by rules: no key, no network, and the same answer every time.

    It reads what is written in the forms that requirements usually take: user stories, sentences with shall, must,
    should, will or need to, numbered requirements (REQ-12), use cases with their sub-headings, lists below headings
    such as "Pain points", and tables whose header names requirements. A field is filled only with what the text says,
    and every card has exact evidence. It knows English. What prose only implies is not found.
    """

    @property
    def name(self) -> str:
        """``outline``, which also marks the cards."""
        return "outline"

    def describe(self) -> Mapping[str, Any]:
        """The version of the rules, which rises when they find something else."""
        return {"rules_version": RULES_VERSION}

    async def analyze(self, document: Document, request: AnalysisRequest, /) -> Analysis:
        """Find the cards in a document.

        Args:
            document: What to read; a long one is read in a worker thread.
            request: How many cards are wanted. What is known beyond the text is not used.

        Returns:
            The cards in document order, with a note if any were left out. It costs nothing. Pages and pictures without
            text are missing.

        Raises:
            AnalyzerError: There is nothing but pictures; code ``no_text``.
        """
        if document.blocks and all(block.media is not None for block in document.blocks):
            raise AnalyzerError(f"There is no text to read. {_LOOK}", code="no_text")
        if len(document.text) < _LONG:
            return _analysis(document, request.max_cards)
        return await to_thread.run_sync(partial(_analysis, document, request.max_cards), abandon_on_cancel=True)


def outline_cards(document: Document, max_cards: int) -> list[Card]:
    """Find the cards in a document, at most `max_cards`, in document order.

    If there are more, numbered requirements, stories, use cases and table rows stay before listed needs and sentences
    with shall and must, and those before goals and sentences with should; among equals, the first in the document stay.
    """
    return list(_analysis(document, max_cards).cards)


def _analysis(document: Document, max_cards: int) -> Analysis:
    source = Source(document)
    reader = Reader(source)
    found = _without_repeats([(draft, card) for draft in reader.drafts if (card := draft.card(source)) is not None])
    kept = sorted(range(len(found)), key=lambda at: -found[at][0].strength)[:max_cards]
    cards = sorted((found[at][1] for at in kept), key=lambda card: card.evidence[0].location.start)
    notes = _notes(len(found) - len(kept), reader.rejected_rows)
    unread = list(pictures_in(document, 0, len(document.text)))
    return Analysis(
        cards=cards, notes=notes, missing=_missing(unread), coverage=1 - share_of_pictures(document) if unread else 1.0
    )


_LOOK = "Rules cannot read pictures: use ClaudeAnalyzer, or hand it in as text."


def _missing(unread: Sequence[Block]) -> ItemError | None:
    if not unread:
        return None
    shown = ", ".join(str(block.location).removeprefix(f"{block.location.name}, ") for block in unread[:_SHOWN])
    more = f" and {len(unread) - _SHOWN} more" if len(unread) > _SHOWN else ""
    return ItemError(code="no_text", message=f"Not read, since there is no text: {shown}{more}. {_LOOK}")


def _without_repeats(found: list[tuple[Draft, Card]]) -> list[tuple[Draft, Card]]:
    """Keep the first of cards that say the same in the same words."""
    first: dict[tuple[str, ...], tuple[Draft, Card]] = {}
    for draft, card in found:
        key = (card.title.casefold(), *(" ".join(each.quote.casefold().split()) for each in card.evidence))
        first.setdefault(key, (draft, card))
    return list(first.values())


def _number(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def _notes(left_out: int, rejected_rows: int) -> list[str]:
    notes: list[str] = []
    if left_out:
        notes.append(
            f"{_number(left_out, 'card')} left out because max_cards allows no more; the weakest are not here."
        )
    if rejected_rows:
        notes.append(f"{_number(rejected_rows, 'table row')} left out, being marked as not to be done.")
    return notes
