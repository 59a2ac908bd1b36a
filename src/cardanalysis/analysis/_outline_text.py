"""Plain functions on pieces of text: markup, sentences, titles, values and priorities. Every one takes linear time."""

# ruff: noqa: RUF001 (documents have typographic quotes and dashes)

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

from .._models import Priority
from ._outline_words import (
    ABBREVIATIONS,
    MOSCOW_LETTERS,
    NOT_WANTED,
    NUMBERED_ABBREVIATIONS,
    PRIORITY_WORDS,
)

Span: TypeAlias = tuple[int, int]

TITLE_LENGTH = 120

# Repeats are bounded throughout: an unbounded one beside another makes the time quadratic on hostile input.
_MARKUP = re.compile(
    r"""
      \[ (?P<link> [^\[\]\r\n]{1,300} ) \] \( [^()\s]{1,1000} \)      # [text](address)
    | (?<![\w*]) \*{1,3} (?=[^\s*])  |  (?<=[^\s*]) \*{1,3} (?![\w*])  # *emphasis*
    | (?<![\w_]) _{1,3}  (?=[^\s_])  |  (?<=[^\s_]) _{1,3}  (?![\w_])  # _emphasis_
    | `+
    """,
    re.VERBOSE,
)
_QUOTE_MARK = re.compile(r"^[ \t]{0,3}>[> \t]*", re.MULTILINE)
LINE_BREAK_TAG = re.compile(r"<br\s{0,2}/?>", re.IGNORECASE)
_MARKED_LINE = re.compile(r"\n[ \t]*[>•‣◦▪*+-][ \t]+")
_STOP = re.compile(r"[.!?…]{1,5}[\"'”’»)\]]{0,4}(?=\s|$)")


def mask(text: str) -> str:
    """Put spaces in the place of markup, so that patterns need not know it and every offset stays."""

    def blank(match: re.Match[str]) -> str:
        link = match["link"]
        return " " * len(match[0]) if link is None else f" {link} ".ljust(len(match[0]))

    masked = _QUOTE_MARK.sub(lambda match: " " * len(match[0]), text)
    return _MARKUP.sub(blank, masked)


def plain(text: str) -> str:
    """Take the markup and the marks of lines away and collapse white space."""
    text = _MARKED_LINE.sub(" ", _QUOTE_MARK.sub("", text))
    text = _MARKUP.sub(lambda match: match["link"] or "", LINE_BREAK_TAG.sub(" ", text))
    return " ".join(text.split())


def trim(text: str, start: int, end: int) -> Span:
    """Move the ends of a span inwards over white space."""
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, max(start, start + len(piece.strip()))


def sentences(text: str) -> Iterator[Span]:
    """Yield the span of each sentence, without the white space around it."""
    start = 0
    for stop in _STOP.finditer(text):
        if _is_sentence_end(text, start, stop):
            yield trim(text, start, stop.end())
            start = stop.end()
    start, end = trim(text, start, len(text))
    if start < end:
        yield start, end


def first_sentence(text: str) -> str:
    """The first sentence, or nothing of nothing."""
    return next((text[start:end] for start, end in sentences(text)), "")


def _is_sentence_end(text: str, start: int, stop: re.Match[str]) -> bool:
    following = text[stop.end() : stop.end() + 40].lstrip()
    if not following:
        return True
    if stop[0][0] == ".":
        word = text[max(start, stop.start() - 15) : stop.start()].rpartition(" ")[2].lstrip("(\"'“‘[").lower()
        if word in ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word != "i"):
            return False
        if word in NUMBERED_ABBREVIATIONS and following[0].isdigit():
            return False
    return not following[0].islower()


_TITLE_EDGES = " \t.;:,–—-|"
_QUOTES = '"“”„«»'
_TRAILING_JOINT = re.compile(r"[,;]\s(?:and|or)$")


def as_title(text: str) -> str:
    """Make a title of plain text: no stop at the end, a capital at the start, cut at a word."""
    title = _TRAILING_JOINT.sub("", text.strip(_TITLE_EDGES)).strip(_TITLE_EDGES)
    if title.count(")") > title.count("("):
        title = title.rstrip(_TITLE_EDGES + ")")
    if title[:1] in _QUOTES and not any(mark in _QUOTES for mark in title[1:]):
        title = title[1:]
    if title[:1] == "(" and (title[-1:] == ")" or ")" not in title):
        title = title.strip("()" + _TITLE_EDGES)
    if len(title) > TITLE_LENGTH:
        cut = title[:TITLE_LENGTH].rpartition(" ")[0] or title[: TITLE_LENGTH - 1]
        title = cut.rstrip(" ,;:–—-(") + "…"
    capital = title[:1].upper()
    return capital + title[1:] if len(capital) == 1 else title  # "ß" would become two letters


_NAME_BREAK = re.compile(r",\s(?:and\s|or\s)?|\s(?:and|or|&)\s")
_CELL_LINE = re.compile(r"[\r\n]|<br\s{0,2}/?>", re.IGNORECASE)
_CELL_MARK = re.compile(r"\A\s{0,8}(?:[•‣◦▪*+-]|\d{1,3}[.)])\s")
_LINKING_WORDS = frozenset(("in", "at", "of", "from", "for", "with", "who", "that", "whose", "to", "by", "on"))
_SENTENCE_FIELDS = frozenset(("problem", "current_state", "impact", "priority"))


def split_values(field: str, text: str, *, cell: bool = False) -> list[str]:
    """Split what a field is given into its values: at ";" and, in the cell of a table, at line breaks.

    Lists of short names ("ClaimCore, DocVault and PayHub") are split too, where systems and users are meant.
    """
    if field in _SENTENCE_FIELDS:
        return _not_empty([plain(text)])
    parts = [line for part in text.split(";") for line in (_CELL_LINE.split(part) if cell else [part])]
    values = _not_empty([plain(_CELL_MARK.sub("", part, count=1) if cell else part) for part in parts])
    if field in ("systems", "target_users"):
        return [name for value in values for name in _names(field, value)]
    return values


def _names(field: str, value: str) -> list[str]:
    value = value.rstrip(".")
    parts = _not_empty(_NAME_BREAK.split(value))
    return parts if len(parts) > 1 and all(_is_name(field, part) for part in parts) else _not_empty([value])


def _is_name(field: str, part: str) -> bool:
    words = part.split()
    if len(words) > 4 or part.count("(") != part.count(")"):
        return False
    return not part[0].islower() if field == "systems" else _LINKING_WORDS.isdisjoint(words)


def _not_empty(values: list[str]) -> list[str]:
    return [value for value in (each.strip(" ,") for each in values) if value]


def _alternatives(words: list[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_LEVEL = re.compile(
    rf"\b(?:{_alternatives([w for w in PRIORITY_WORDS if len(w) > 2 or w[0] == 'p'])})\b", re.IGNORECASE
)
_TAG_WORDS = _alternatives(
    [word for word in PRIORITY_WORDS if word.startswith(("must", "should", "could", "nice", "p", "very", "critical"))]
    + ["high", "medium", "low"]
)
_NAMED = r"(?:(?:priority|prio)\s{0,2}[:=]?\s{0,2})?"
_TAG = rf"[(\[]\s{{0,2}}{_NAMED}(?P<level>{_TAG_WORDS})(?:[ -]prio(?:rity)?)?\s{{0,2}}[)\]]"
_TAG_BEFORE = re.compile(rf"\s{{0,3}}{_TAG}\s{{0,3}}[:–—-]?\s{{0,3}}", re.IGNORECASE)
_TAG_AFTER = re.compile(rf"{_TAG}(?=[.;,\s]{{0,5}}$)", re.IGNORECASE)
_STATED = re.compile(
    rf"[(\[]?\bprio(?:rity)?\s{{0,2}}[:=]\s{{0,2}}(?P<level>{_TAG_WORDS}|[1-5])\b[)\]]?", re.IGNORECASE
)


def take_priority(text: str) -> tuple[Priority | None, str]:
    """Find a priority that a sentence states of itself, as "(must have)" or "Priority: high".

    Returns:
        The priority or None, and the text without the words that state it, if they stand at its start or end.
    """
    found = _TAG_BEFORE.match(text) or _TAG_AFTER.search(text) or _STATED.search(text)
    if found is None:
        return None, text
    before, after = text[: found.start()].rstrip(), text[found.end() :].lstrip()
    is_inside = bool(before) and bool(after.strip(".;, "))
    return Priority(PRIORITY_WORDS[found["level"].lower()]), text if is_inside else before + after


def as_priority(text: str, *, moscow: bool = False) -> Priority | None:
    """Read the value of a priority field; None if it names none, or two of them."""
    words = plain(text).lower().strip(" .!:()[]")
    if moscow and words in MOSCOW_LETTERS:
        return Priority(MOSCOW_LETTERS[words])
    if words in PRIORITY_WORDS:
        return Priority(PRIORITY_WORDS[words])
    if re.search(r"\b(?:not|no|nor)\b|n't\b", words):
        return None
    levels = {PRIORITY_WORDS[level] for level in _LEVEL.findall(re.split(r"[(,;.]|\s[–—-]\s(?=\D{10})", words)[0])}
    return Priority(levels.pop()) if len(levels) == 1 else None


def is_not_wanted(text: str) -> bool:
    """Whether a priority or status cell says that the row is not to be done."""
    return plain(text).lower().strip(" .!") in NOT_WANTED
