"""Lists of HTML: how deep an item is, and the number that readers see before it."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import define, field

__all__ = ["Lists"]

_LISTS = frozenset({"datalist", "dir", "dl", "menu", "ol", "optgroup", "select", "ul"})
_ITEMS = frozenset({"dd", "dt", "li", "option"})
_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"))
_ROMAN_ONES = ("", "i", "ii", "iii", "iv", "v", "vi", "vii", "viii", "ix")
_Attributes = Mapping[str, str | None]


@define
class _List:
    tag: str
    kind: str = "1"
    next: int = 1


@define
class Lists:
    """The lists that are open, and the number of the item whose text comes next."""

    _open: list[_List] = field(factory=list[_List])
    _marker: str = ""

    @staticmethod
    def is_list(tag: str) -> bool:
        """Whether an element is a list."""
        return tag in _LISTS

    @staticmethod
    def is_item(tag: str) -> bool:
        """Whether an element is an item of one."""
        return tag in _ITEMS

    def start(self, tag: str, attributes: _Attributes) -> None:
        """A list begins."""
        self._open.append(_List(tag, attributes.get("type") or "1", _whole(attributes.get("start"), 1)))

    def end(self, tag: str) -> None:
        """A list ends."""
        if self._open and self._open[-1].tag == tag:
            self._open.pop()

    def start_item(self, tag: str, attributes: _Attributes) -> int:
        """An item begins; give its level. The definition of a term is one below it."""
        self._marker = ""
        if tag == "option" and "selected" in attributes:
            self._marker = "[x] "
        if tag == "li" and self._open and self._open[-1].tag == "ol":
            ordered = self._open[-1]
            number = _whole(attributes.get("value"), ordered.next)
            ordered.next = number + 1
            self._marker = f"{_numeral(number, ordered.kind)}. "
        return max(1, len(self._open)) + (tag == "dd")

    def take_marker(self) -> str:
        """The number of the item whose text begins now; nothing for what else is in it."""
        marker, self._marker = self._marker, ""
        return marker


def _whole(text: str | None, otherwise: int) -> int:
    try:
        return int((text or "")[:9])
    except ValueError:
        return otherwise


def _numeral(number: int, kind: str) -> str:
    """A number as a list of a type counts: ``1``, ``a``, ``A``, ``i`` or ``I``."""
    if kind in ("i", "I") and 0 < number < 4000:
        numeral = _roman(number)
    elif kind in ("a", "A") and number > 0:
        numeral = _letters(number)
    else:
        return str(number)
    return numeral.upper() if kind.isupper() else numeral


def _roman(number: int) -> str:
    numeral = ""
    for value, letters in _ROMAN:
        numeral += letters * (number // value)
        number %= value
    return numeral + _ROMAN_ONES[number]


def _letters(number: int) -> str:
    letters = ""
    while number:
        number, place = divmod(number - 1, 26)
        letters = chr(ord("a") + place) + letters
    return letters
