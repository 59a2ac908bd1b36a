"""The whole cards of an answer that was cut, wherever that was. Everything here is pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from attrs import field, frozen

from ._answers import CARDS_SCHEMA, PICTURE_CARDS_SCHEMA
from ._schema import Schema, first_violation

__all__ = ["Salvage", "salvage"]

_DECODER: Final = json.JSONDecoder()
_SPACE: Final = re.compile(r"[ \t\n\r]*+")


@frozen(kw_only=True)
class Salvage:
    """What an answer holds that can be used.

    Attributes:
        cards: The cards that are there from their first to their last brace, in order, each as its schema wants it.
        complete: Whether the answer is whole, from its first to its last brace.
        invalid: How many whole values stand where cards should be and are none: they break the schema or have no title.
    """

    cards: tuple[Mapping[str, Any], ...] = field(repr=False)
    complete: bool
    invalid: int


def salvage(text: str, *, with_pictures: bool = False) -> Salvage:
    """Take the whole cards from an answer of which the end may be missing.

    A card of which the end is missing is never taken, however little it lacks. Reading stops where the answer is cut,
    or is no answer. It takes time in proportion to the text.

    Args:
        text: The answer, which begins as `CARDS_SCHEMA` wants it.
        with_pictures: Whether `PICTURE_CARDS_SCHEMA` is the one.
    """
    schema = (PICTURE_CARDS_SCHEMA if with_pictures else CARDS_SCHEMA)["properties"]["cards"]["items"]
    scan = _Scan(text)
    opened = scan.takes("{") and scan.value() == "cards" and scan.takes(":") and scan.takes("[")
    found = _list(scan) if opened else []
    complete = opened and scan.takes("]") and scan.takes("}") and scan.at_end
    cards = tuple(value for value in found if _is_card(value, schema))
    return Salvage(cards=cards, complete=complete, invalid=len(found) - len(cards))


def _list(scan: _Scan) -> list[Any]:
    """The whole values of a list behind its bracket."""
    values: list[Any] = []
    while scan.sees("{"):  # a number could go on behind the cut; a card cannot behind its brace
        value = scan.value()
        if value is None:
            break
        values.append(value)
        if not scan.takes(","):
            break
    return values


def _is_card(value: Any, schema: Schema) -> bool:
    return first_violation(value, schema) is None and bool(value["title"].strip())


class _Scan:
    """Goes through JSON token by token. White space in front of a token is skipped."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0

    def sees(self, sign: str) -> bool:
        self._skip_space()
        return self._text.startswith(sign, self._place)

    def takes(self, sign: str) -> bool:
        seen = self.sees(sign)
        self._place += len(sign) * seen
        return seen

    def value(self) -> Any:
        """The next value, or None if there is no whole one."""
        self._skip_space()
        try:
            value, self._place = _DECODER.raw_decode(self._text, self._place)
        except (ValueError, RecursionError):
            return None
        return value

    @property
    def at_end(self) -> bool:
        self._skip_space()
        return self._place == len(self._text)

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self._place)
        self._place = space.end() if space else self._place
