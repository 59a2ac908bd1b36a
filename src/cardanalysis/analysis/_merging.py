"""Cards from several answers about one document, of which some may be the same need. Everything here is pure.

A duplicate that stays is the lesser evil: two needs made one cannot be told apart again. So cards count as the same by
rules that hold for certain, never by likeness.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from typing import Final

from attrs import evolve

from .._grounding import normalize
from .._models import Card

__all__ = ["merge"]

# Signs that tell no two titles apart. Those in 1.5, 12:30, -20, C++ and C# do.
_QUIET: Final = re.compile(
    r"""(?<!\d)[.,:] | [.,:](?!\d) | -(?!\d) | [;!?()\[\]{}"'/\\_*\u3001\u3002\uff0c\uff1b\uff01\uff1f\uff08\uff09]""",
    re.VERBOSE,
)
_ARTICLES: Final = frozenset(["a", "an", "the", "der", "die", "das", "den", "dem", "ein", "eine", "le", "la", "les"])


def merge(cards: Sequence[Card]) -> tuple[Card, ...]:
    """Make one card of those that are the same need.

    Two cards are the same need if their titles are the same but for case, white space and punctuation; or if they have
    the same quotes, and titles that differ by no more than articles and a plural s. They stay two where the document
    gives them different priorities.

    Args:
        cards: The cards of one document.

    Returns:
        The cards in order, each in the place of its first mention. It has the quotes, users, outcomes, constraints and
        systems of all its mentions, and the first text that is not empty for each other field. Merging the result again
        changes nothing. The difference in length is how many mentions were taken into others.
    """
    merged = _merged_once(cards)
    while len(merged) < len(cards):  # with the quotes it gained, a card may be the same as another
        cards, merged = merged, _merged_once(merged)
    return tuple(merged)


def _merged_once(cards: Iterable[Card]) -> list[Card]:
    kept: list[Card] = []
    places: dict[Hashable, list[int]] = {}
    for card in cards:
        keys = _keys(card)
        candidates = (place for key in keys for place in places.get(key, ()))
        place = next((place for place in candidates if _may_be_one(kept[place], card)), None)
        if place is None:
            place = len(kept)
            kept.append(card)
        else:
            kept[place] = _union(kept[place], card)
        for key in keys:
            if place not in (known := places.setdefault(key, [])):
                known.append(place)
    return kept


def _keys(card: Card) -> list[Hashable]:
    """Two cards that have one of these in common are the same need."""
    folded = normalize(card.title) or card.title
    words = tuple(_QUIET.sub(" ", folded).split()) or (folded,)  # the title may be nothing but such signs
    given = (*card.quotes, *(each.quote for each in card.evidence))
    quotes = frozenset(map(normalize, given)) - {""}
    core = tuple(_singular(word) for word in words if word not in _ARTICLES) or words
    return [words, (quotes, core)] if quotes else [words]


def _singular(word: str) -> str:
    return word.removesuffix("s") if len(word) > 4 else word


def _may_be_one(first: Card, second: Card) -> bool:
    return first.priority == second.priority or None in (first.priority, second.priority)


def _union(first: Card, second: Card) -> Card:
    return evolve(
        first,
        problem=first.problem or second.problem,
        target_users=_values(first.target_users, second.target_users),
        current_state=first.current_state or second.current_state,
        desired_outcomes=_values(first.desired_outcomes, second.desired_outcomes),
        constraints=_values(first.constraints, second.constraints),
        systems=_values(first.systems, second.systems),
        priority=first.priority or second.priority,
        impact=first.impact or second.impact,
        evidence=dict.fromkeys((*first.evidence, *second.evidence)),
        rejected_quotes=dict.fromkeys((*first.rejected_quotes, *second.rejected_quotes)),
        quotes=dict.fromkeys((*first.quotes, *second.quotes)),
        pictures=dict.fromkeys((*first.pictures, *second.pictures)),
    )


def _values(first: Iterable[str], second: Iterable[str]) -> tuple[str, ...]:
    """All values in order; of those that differ by no more than case, white space and the like, the first."""
    values: dict[str, str] = {}
    for value in (*first, *second):
        values.setdefault(normalize(value) or value, value)
    return tuple(values.values())
