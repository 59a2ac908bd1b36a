"""Finds quotes in the text they are said to come from. Pure.

A quote counts as evidence only if it stands in the source: letter by letter, or after rules that cannot change what it
says. These rules fold white space, quotation marks, dashes, ligatures, Unicode composition and case, and leave out
invisible characters. Every letter and digit must be there, in order and without others between them, and a quote must
not begin or end inside a word or a number: "20 days" does not stand in "120 days".
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right

from attrs import evolve, frozen

from ._documents import Block, Document, Location
from ._models import Card, Evidence, RejectedQuote

__all__ = ["Grounding", "normalize"]

_FOLDED = {
    **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4`", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    # Invisible: soft hyphen, zero-width characters, directional marks, byte order mark.
    **dict.fromkeys("\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff", ""),
    "\u2026": "...",
    # Not by NFKC, which would also turn a raised digit into a plain one.
    **dict(
        zip("\ufb00\ufb01\ufb02\ufb03\ufb04\ufb05\ufb06", ("ff", "fi", "fl", "ffi", "ffl", "st", "st"), strict=True)
    ),
}


_SIGNS = (".", ",", "'")
"""What may stand inside a number."""


def normalize(text: str) -> str:
    """Fold what does not change the meaning of a text."""
    return _Folded.of(text).text.strip()


@frozen
class _Folded:
    """A folded text that knows where each of its characters came from."""

    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> _Folded:
        characters: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        for start, end in _clusters(text):
            for character in _fold(text[start:end]):
                if character == " " and characters and characters[-1] == " ":
                    ends[-1] = end
                    continue
                characters.append(character)
                starts.append(start)
                ends.append(end)
        return cls("".join(characters), tuple(starts), tuple(ends))


def _clusters(text: str) -> list[tuple[int, int]]:
    """Each character together with the combining marks behind it, so that composition never crosses a border."""
    borders = [place for place, character in enumerate(text) if not unicodedata.combining(character)]
    if text and (not borders or borders[0] != 0):
        borders.insert(0, 0)
    return list(zip(borders, [*borders[1:], len(text)], strict=True))


def _fold(cluster: str) -> str:
    if cluster.isspace():
        return " "
    folded = "".join(_FOLDED.get(character, character) for character in unicodedata.normalize("NFC", cluster))
    return unicodedata.normalize("NFC", folded.casefold())


def _find(text: str, wanted: str) -> int:
    """Where a text first stands as whole words and numbers, or -1."""
    start = text.find(wanted)
    while start >= 0 and not (_breaks(text, start) and _breaks(text, start + len(wanted))):
        start = text.find(wanted, start + 1)
    return start


def _breaks(text: str, place: int) -> bool:
    """Whether no word and no number goes on across a place between two characters."""
    before, after = text[max(0, place - 2) : place], text[place : place + 2]
    if before[-1:].isalnum() and after[:1].isalnum():
        return False
    in_number = (before[-1:] in _SIGNS and before[:1].isdigit() and after[:1].isdigit()) or (
        after[:1] in _SIGNS and before[-1:].isdigit() and after[1:].isdigit()
    )
    return not in_number


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
            evidence.append(given) if self._stands(given) else rejected.append(_rejected(given.quote))
        for quote in card.quotes:
            found = self.find(quote)
            evidence.append(found) if found is not None else rejected.append(_rejected(quote))
        return evolve(card, evidence=evidence, rejected_quotes=rejected, quotes=())

    def find(self, quote: str) -> Evidence | None:
        """Return the first place where a quote stands, or None."""
        if not normalize(quote):
            return None
        start = _find(self._document.text, quote)
        if start >= 0:
            return Evidence(quote=quote, location=self.locate(start, start + len(quote)))
        folded = self._folded = self._folded or _Folded.of(self._document.text)
        wanted = normalize(quote)
        place = _find(folded.text, wanted)
        if place < 0:
            return None
        end = folded.ends[place + len(wanted) - 1]
        return Evidence(quote=quote, location=self.locate(folded.starts[place], end), match="normalized")

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
        source = self._document.text[given.location.start : given.location.end]
        return source == given.quote or (given.match == "normalized" and normalize(source) == normalize(given.quote))


def _line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _rejected(quote: str) -> RejectedQuote:
    return RejectedQuote(quote=quote, reason="not_found" if normalize(quote) else "empty")
