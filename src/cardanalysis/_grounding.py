"""Finds quotes in the text they are said to come from. Pure.

A quote counts as evidence only if it stands in the source: letter by letter, or after rules that cannot change what it
says. These rules fold white space, quotation marks, dashes, ligatures, Unicode composition and case, and leave out
invisible characters. Every letter and digit must be there, in order and without others between them, and a quote must
not begin or end inside a word or a number: "20 days" stands neither in "120 days" nor in "-20 days", and "users can"
not in "users can't". In scripts without spaces between words, such as Chinese, it may begin and end at any character.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache

from attrs import evolve

from ._documents import Block, Document, Location
from ._models import Card, Evidence, RejectedQuote

__all__ = ["Grounding", "normalize"]

_LIGATURES = {
    # Not by NFKC, which would also turn a raised digit into a plain one.
    "\ufb00": "ff",
    "\ufb01": "fi",
    "\ufb02": "fl",
    "\ufb03": "ffi",
    "\ufb04": "ffl",
    "\ufb05": "st",
    "\ufb06": "st",
}
_FOLDED = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4`", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    "\u2026": "...",
    **_LIGATURES,
}
_INVISIBLE = re.compile(
    # Soft hyphen, zero-width characters, marks and embeddings of direction, style of an emoji, byte order mark.
    "[\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufe0e\ufe0f\ufeff]"
)
_PLAIN = re.compile(r"[!-_a-~]+(?: [!-_a-~]+)*")
"""ASCII that folds letter by letter: all but the backtick."""
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff]"
)
"""Letters of scripts that put no space between words: Thai, Lao, Burmese, Khmer, Chinese, Japanese."""
_NEAR = 16
"""How many characters on either side of a place are looked at to know whether a word goes on across it."""


def normalize(text: str) -> str:
    """Fold what does not change the meaning of a text."""
    return _Folded(text).text.strip()


class _Folded:
    """A folded text that knows where each of its characters came from."""

    def __init__(self, source: str) -> None:
        self._parts: list[str] = []
        self._starts = array("L")
        self._ends = array("L")
        place = 0
        for plain in _PLAIN.finditer(source):
            self._add_clusters(source, place, plain.start())
            self._add_plain(source, plain.start(), plain.end())
            place = plain.end()
        self._add_clusters(source, place, len(source))
        self.text = "".join(self._parts)

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Where in the source a part of the folded text stands, at least one character long."""
        return self._starts[start], self._ends[end - 1]

    def _add_plain(self, source: str, start: int, end: int) -> None:
        self._parts.append(source[start:end].lower())
        self._starts.extend(range(start, end))
        self._ends.extend(range(start + 1, end + 1))

    def _add_clusters(self, source: str, start: int, end: int) -> None:
        for first, behind in _clusters(source, start, end):
            folded = _fold(source[first:behind])
            if folded and not (folded == " " and self._parts and self._parts[-1] == " "):
                self._parts.append(folded)
                self._starts.extend([first] * len(folded))
                self._ends.extend([behind] * len(folded))


def _clusters(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Each character together with the combining marks behind it, which may be composed with it or not."""
    first = start
    for place in range(start + 1, end + 1):
        if place == end or not unicodedata.combining(text[place]):
            yield first, place
            first = place


@lru_cache(maxsize=4096)
def _fold(cluster: str) -> str:
    if cluster.isspace():
        return " "
    visible = _INVISIBLE.sub("", unicodedata.normalize("NFD", cluster))
    folded = "".join(_FOLDED.get(character, character) for character in visible)
    return folded.casefold()


def _places(text: str, wanted: str) -> Iterator[int]:
    """Where something stands in a text as whole words and numbers."""
    place = text.find(wanted)
    while place >= 0:
        if _breaks(text, place) and _breaks(text, place + len(wanted)):
            yield place
        place = text.find(wanted, place + 1)


def _breaks(text: str, place: int) -> bool:
    """Whether no line end, character, word or number goes on across a place."""
    around = text[max(0, place - 1) : place + 1]
    # The plain cases first, since folding the surroundings of every place takes long where there are many.
    if around == "\r\n" or (len(around) == 2 and (_is_mark(around[1]) or _is_one_word(around))):
        return False
    before = _Folded(text[max(0, place - _NEAR) : place]).text
    after = _Folded(text[place : place + _NEAR]).text
    return not (before and after and _goes_on(before, after))


def _goes_on(before: str, after: str) -> bool:
    last, first = before[-1], after[0]
    if _is_mark(first):
        return True
    if _in_word(last) and _in_word(first):
        spaced = not (_UNSPACED.match(last) or _UNSPACED.match(first))
        return spaced or (last.isnumeric() and first.isnumeric())
    if first == "'":
        return _in_word(last) and after[1:2].isalnum()
    return _number_goes_on(before[-2:-1], last, first, after[1:2])


def _number_goes_on(second_last: str, last: str, first: str, second: str) -> bool:
    if first in ".,":
        return last.isdigit() and second.isdigit()
    if last in ".,'":
        return second_last.isdigit() and first.isdigit()
    # A minus, not the dash of a range.
    return last == "-" and first.isdigit() and not second_last.isalnum()


def _is_one_word(letters: str) -> bool:
    return letters.isalnum() and not _UNSPACED.search(letters)


def _in_word(character: str) -> bool:
    return character.isalnum() or _is_mark(character)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character).startswith("M")


class Grounding:
    """Looks quotes up in one document.

    Args:
        document: The source. Its folded form is made once, when the first quote is not found letter by letter.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        self._folded: _Folded | None = None
        self._starts = [block.location.start for block in document.blocks]

    def ground(self, card: Card) -> Card:
        """Return the card with those quotes as evidence that stand in the source; the others are rejected."""
        evidence: list[Evidence] = []
        rejected = list(card.rejected_quotes)
        for given in card.evidence:
            evidence.append(given) if self._stands(given) else rejected.append(_rejected(given.quote, ()))
        for quote in card.quotes:
            found = self.find(quote)
            evidence.append(found) if found is not None else rejected.append(_rejected(quote, card.pictures))
        return evolve(card, evidence=evidence, rejected_quotes=rejected, quotes=())

    def find(self, quote: str) -> Evidence | None:
        """Return the first place where a quote stands, or None."""
        wanted = normalize(quote)
        if not wanted:
            return None
        text = self._document.text
        exact = next(_places(text, quote), None)
        if exact is not None:
            return Evidence(quote=quote, location=self.locate(exact, exact + len(quote)))
        folded = self._folded = self._folded or _Folded(text)
        for place in _places(folded.text, wanted):
            start, end = folded.span(place, place + len(wanted))
            if normalize(text[start:end]) == wanted:  # else it cuts a character that folds to several
                return Evidence(quote=quote, location=self.locate(start, end), match="normalized")
        return None

    def locate(self, start: int, end: int) -> Location:
        """Return the location of a span: that of its block, narrowed to its own offsets and lines."""
        block = self._block_at(start)
        if block is None:
            return Location(name=self._document.name, start=start, end=end)
        place, text = block.location, self._document.text
        line = None if place.line is None else place.line + _line_ends(text[place.start : start])
        end_line = None if line is None else line + _line_ends(text[start:end].rstrip("\r\n"))
        return evolve(place, start=start, end=end, line=line, end_line=end_line)

    def _block_at(self, start: int) -> Block | None:
        index = bisect_right(self._starts, start) - 1
        return self._document.blocks[index] if index >= 0 else None

    def _stands(self, given: Evidence) -> bool:
        text, start, end = self._document.text, given.location.start, given.location.end
        source = text[start:end]
        folded = normalize(source)
        same = source == given.quote or (given.match == "normalized" and folded == normalize(given.quote))
        return same and folded != "" and end <= len(text) and _breaks(text, start) and _breaks(text, end)


def _line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _rejected(quote: str, pictures: Sequence[Location]) -> RejectedQuote:
    if not normalize(quote):
        return RejectedQuote(quote=quote, reason="empty")
    return RejectedQuote(quote=quote, reason="not_checkable" if pictures else "not_found")
