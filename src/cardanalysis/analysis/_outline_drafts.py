"""A card in the making: values and quotes as they are found, in document order."""

from __future__ import annotations

from operator import itemgetter

from attrs import Factory, define

from .._documents import Block
from .._models import Card, Priority
from ._outline_source import Passage, Source
from ._outline_text import Span, as_priority, as_title, first_sentence, split_values

__all__ = ["EXPLICIT", "STRONG", "WEAK", "Draft"]

EXPLICIT, STRONG, WEAK = 3, 2, 1

_NAMING = ("problem", "desired_outcomes", "current_state")  # what names a card that has no title, the best first


@define(eq=False)
class Draft:
    """What is known of one card so far.

    Attributes:
        strength: How sure it is that this is a requirement; decides which cards stay when there are too many.
        title: In plain text, or empty while there is none.
        id: The requirement's id, or empty.
        priority: Where the text says so.
        values: Field names to plain values, each once.
        quotes: Where the evidence stands: first offset, offset behind, and the block.
        announcements: The same for text that announces it, such as "The portal must:"; its evidence comes last.
    """

    strength: int
    title: str = ""
    id: str = ""
    priority: Priority | None = None
    values: dict[str, dict[str, None]] = Factory(dict[str, dict[str, None]])
    quotes: dict[Span, Block] = Factory(dict[Span, Block])
    announcements: dict[Span, Block] = Factory(dict[Span, Block])

    def quote(self, passage: Passage, span: Span | None = None) -> None:
        """Add evidence: a part of a passage, or all of it; of a cell it is the whole row."""
        self.quotes[passage.place(span)] = passage.block

    def quote_announcement(self, passage: Passage, span: Span) -> None:
        """Add evidence that this card shares with others."""
        self.announcements[passage.place(span)] = passage.block

    def add(self, field: str, text: str, *, cell: bool = False, moscow: bool = False) -> None:
        """Add what the text says about a field. A priority that is there already stays."""
        if field == "priority":
            self.priority = self.priority or as_priority(text, moscow=moscow)
            return
        field = "desired_outcomes" if field == "measures" else field
        self.values.setdefault(field, {}).update(dict.fromkeys(split_values(field, text, cell=cell)))

    def card(self, source: Source) -> Card | None:
        """The card, or None if nothing names it."""
        quotes = [*sorted(self.quotes.items(), key=itemgetter(0)), *self.announcements.items()]
        evidence = [found for span, block in quotes if (found := source.evidence(block, *span)).quote]
        name = self._name()
        if not name or not evidence:
            return None
        return Card(
            title=name,
            problem=self._text("problem"),
            target_users=self._list("target_users"),
            current_state=self._text("current_state"),
            desired_outcomes=self._list("desired_outcomes"),
            constraints=self._list("constraints"),
            systems=self._list("systems"),
            priority=self.priority,
            impact=self._text("impact"),
            evidence=evidence,
            made_by="outline",
        )

    def _name(self) -> str:
        told = (value for field in _NAMING for value in self.values.get(field, ()))
        title = as_title(self.title) or as_title(first_sentence(next(told, "")))
        return as_title(f"{self.id}: {title}") if self.id and title else self.id or title

    def _list(self, field: str) -> tuple[str, ...]:
        return tuple(self.values.get(field, ()))

    def _text(self, field: str) -> str:
        return "\n".join(self.values.get(field, ()))
