"""What the model must answer, and how an answer becomes cards. Everything here is pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from .._documents import Location
from .._models import Card, Priority
from ._prompts import clean
from ._schema import first_violation, fits

__all__ = ["CARDS_SCHEMA", "PICTURE_CARDS_SCHEMA", "SCHEMA_VERSION", "InvalidAnswer", "as_card", "parse_cards"]

SCHEMA_VERSION: Final = "1"
"""Raised with every change of `CARDS_SCHEMA`; recorded on every run."""

_UNSTATED: Final = "unstated"
_TEXT: Final = {"type": "string"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_NUMBERS: Final = {"type": "array", "items": {"type": "integer"}}

# The model writes the properties in this order, so the evidence comes before the claims that it is to support.
_CARD: Final[Mapping[str, Mapping[str, Any]]] = {
    "quotes": _TEXTS,
    "title": _TEXT,
    "problem": _TEXT,
    "target_users": _TEXTS,
    "current_state": _TEXT,
    "desired_outcomes": _TEXTS,
    "constraints": _TEXTS,
    "systems": _TEXTS,
    "priority": {"type": "string", "enum": [*Priority, _UNSTATED]},
    "impact": _TEXT,
}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    """An object as structured outputs want it: all its properties required and no others."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


CARDS_SCHEMA: Final[dict[str, Any]] = _object({"cards": {"type": "array", "items": _object(_CARD)}})
"""The schema of an answer, within the limits of structured outputs."""


PICTURE_CARDS_SCHEMA: Final[dict[str, Any]] = _object(
    {
        "cards": {
            "type": "array",
            "items": _object({**_CARD, "pictures": _NUMBERS}),
        }
    }
)
"""The same for a document with pictures, of which a card tells the numbers."""

_FITS: Final = fits(CARDS_SCHEMA)
_FITS_WITH_PICTURES: Final = fits(PICTURE_CARDS_SCHEMA)


class InvalidAnswer(ValueError):
    """An answer that is no list of cards. Its text names the first thing that is wrong and repeats nothing of it."""


def parse_cards(text: str, *, made_by: str, pictures: Sequence[Location] = ()) -> tuple[Card, ...]:
    """Turn an answer into cards.

    Args:
        text: The answer, as JSON.
        made_by: What to record on the cards as their maker.
        pictures: Where the pictures stand that were sent with the document.

    Returns:
        All cards of the answer, with trimmed fields. Their quotes are not looked up yet.

    Raises:
        InvalidAnswer: The answer is no JSON, breaks `CARDS_SCHEMA` or has a card without a title.
    """
    cards = _checked(text, with_pictures=bool(pictures))["cards"]
    for index, card in enumerate(cards):
        if not card["title"].strip():
            raise InvalidAnswer(f"cards[{index}].title must not be blank.")
        if any(not 0 < number <= len(pictures) for number in card.get("pictures", ())):
            raise InvalidAnswer(f"cards[{index}].pictures must be numbers from 1 to {len(pictures)}.")
    return tuple(as_card(card, made_by=made_by, pictures=pictures) for card in cards)


def _checked(text: str, *, with_pictures: bool) -> Any:
    if not text.strip():
        raise InvalidAnswer("The answer is empty.")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        # The decoder's own message is left out: it keeps the answer's text.
        raise InvalidAnswer("The answer is not valid JSON.") from None
    schema, fit = (PICTURE_CARDS_SCHEMA, _FITS_WITH_PICTURES) if with_pictures else (CARDS_SCHEMA, _FITS)
    if not fit(value) and (violation := first_violation(value, schema)) is not None:
        raise InvalidAnswer(violation)
    return value


def as_card(card: Mapping[str, Any], *, made_by: str, pictures: Sequence[Location] = ()) -> Card:
    """Make a card of one that fits the schema and has a title.

    Args:
        card: Its values by name.
        made_by: What to record as its maker.
        pictures: Where the pictures stand that its numbers tell.
    """
    priority = card["priority"].strip().casefold()
    texts = {name: _trimmed(value) for name, value in card.items() if name not in ("priority", "pictures")}
    numbers: list[int] = list(dict.fromkeys(card.get("pictures", ())))
    seen = [pictures[number - 1] for number in numbers if 0 < number <= len(pictures)]
    return Card(**texts, priority=None if priority == _UNSTATED else priority, made_by=made_by, pictures=seen)


def _trimmed(value: str | list[str]) -> Any:
    if isinstance(value, str):
        return clean(value).strip()
    return tuple(text for text in map(_trimmed, value) if text)
