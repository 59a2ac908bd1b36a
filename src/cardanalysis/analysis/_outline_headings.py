"""What a heading, a label at the start of a line or the name of a column tells. Pure; knows only the word lists."""

# ruff: noqa: RUF001 (documents have typographic quotes and dashes)

from __future__ import annotations

import re
from enum import Enum, auto

from attrs import evolve, frozen

from .._models import Priority
from ._outline_statements import find_statements, has_modal
from ._outline_words import (
    CARD_OPENERS,
    FIELD_PHRASES,
    FOLLOWING_WORDS,
    IGNORED_OPENERS,
    IGNORED_PHRASES,
    LEADING_WORDS,
    PRIORITY_WORDS,
    QUESTION_WORDS,
    REQUIREMENT_GROUPS,
    REQUIREMENT_IDS,
    TABLE_COLUMNS,
    TELLING_ENDINGS,
    TITLE_LABELS,
    USE_CASE_GROUPS,
)

__all__ = [
    "PLAIN",
    "Role",
    "Telling",
    "column_role",
    "find_id",
    "numbering",
    "tell_heading",
    "tell_label",
    "tell_lead_in",
]


class Role(Enum):
    """What stands below a heading."""

    PLAIN = auto()
    IGNORED = auto()
    CARD = auto()
    GROUP = auto()
    USE_CASES = auto()
    FIELD = auto()


@frozen(kw_only=True)
class Telling:
    """What a heading tells about the text below it.

    Attributes:
        role: What stands below.
        field: For `Role.FIELD`, the card's field.
        id: The requirement's id, such as ``REQ-12``.
        title: What follows the telling words: a card's title or a field's value.
        priority: Of everything below.
    """

    role: Role = Role.PLAIN
    field: str = ""
    id: str = ""
    title: str = ""
    priority: Priority | None = None


PLAIN = Telling()

_GROUP_PRIORITIES = re.compile(r"(?:must|should|could|nice)(?:[ -].*)?|critical|essential|mandatory|optional|p\d|.* \d")


def _known_phrases() -> dict[str, Telling]:
    known = {
        phrase: Telling(role=Role.GROUP, priority=Priority(level))
        for word, level in PRIORITY_WORDS.items()
        for phrase in ([word] if _GROUP_PRIORITIES.fullmatch(word) else []) + [f"{word} priority", f"priority {word}"]
    }
    for field, phrases in FIELD_PHRASES.items():
        known |= dict.fromkeys(phrases, Telling(role=Role.FIELD, field=field))
    known |= dict.fromkeys(REQUIREMENT_GROUPS, Telling(role=Role.GROUP))
    known |= dict.fromkeys(USE_CASE_GROUPS, Telling(role=Role.USE_CASES))
    return known | dict.fromkeys(IGNORED_PHRASES, Telling(role=Role.IGNORED))


_KNOWN = _known_phrases()
_COLUMNS = {name: role for role, names in FIELD_PHRASES.items() for name in names} | {
    name: role for role, names in TABLE_COLUMNS.items() for name in names
}
_NUMBERING = re.compile(r"(?:(?:\d{1,3}\.){0,6}\d{1,3}[.)]?|[A-Z][.)]|[IVX]{1,5}\.)\s{1,4}(?=\S)")
_PARENTHESIS = re.compile(r"\([^()]{0,200}\)")
_SEPARATOR = re.compile(r"\s{0,3}[:–—]\s{1,3}|\s-\s|:$")
_JOINT = re.compile(r"\s(?:and|or|&)\s|\s?/\s?|,\s")
_OPENER = re.compile(
    rf"(?:{'|'.join(sorted(CARD_OPENERS, key=len, reverse=True))})\b"
    r"(?:\s{1,3}#?(?P<number>\d{1,4}(?:\.\d{1,4}){0,4}[a-z]?)\b)?"
    r"(?P<separator>\s{0,3}[:–—]\s{0,3}|\s{0,3}[.-]\s{1,3}|\s{1,3}|$)(?P<title>.*)",
    re.IGNORECASE | re.DOTALL,
)


def numbering(text: str) -> int:
    """The length of a chapter's number at the start of a text, with the space behind it; 0 without one."""
    found = _NUMBERING.match(text)
    return found.end() if found else 0


def tell_heading(text: str) -> Telling:
    """Tell what a heading says. Its text has no markup and no number, and collapsed white space."""
    text = text.strip(" #:*")
    told = _tell_id(text) or _tell_opener(text) or _tell_phrase(text, longest=4)
    role = Role.CARD if told is None and _demands(text) else Role.PLAIN
    return told or Telling(role=role, title=text)


def _demands(text: str) -> bool:
    """Whether a heading is a statement itself; "What must change" only speaks of one."""
    return has_modal(text) and any(find_statements(text)) and text.split()[0].lower() not in QUESTION_WORDS


def tell_lead_in(text: str) -> Telling | None:
    """Tell what a line that ends with a colon announces; None if it is not telling."""
    text = text.strip(" :*")
    text = text[numbering(text) :]
    return _tell_opener(text, alone=False) or _tell_phrase(text, longest=9)


def tell_label(label: str, value: str) -> Telling | None:
    """Tell what a label at the start of a line says of the value behind it; None if it is not telling."""
    if _words(label) in TITLE_LABELS:
        return Telling(title=value)
    opened = _tell_opener(f"{label}: {value}", alone=False)
    if opened is not None:
        return opened
    told = _lookup(_words(label), longest=3)
    return None if told is None else evolve(told, title=value)


def column_role(name: str) -> str:
    """Tell what a column of a table holds: a card's field, ``requirement``, ``title`` …; empty if it is not known."""
    words = " ".join(name.lower().replace("’", "'").replace("_", " ").split()).strip(" :*")
    return _COLUMNS.get(words) or _field_of(_words(words))


def _field_of(words: str) -> str:
    told = _lookup(words, longest=4)
    if told is None or told.role is Role.IGNORED or told.priority:
        return ""
    return told.field or "requirement"


def _words(text: str) -> str:
    """The text without numbers in front, parentheses, punctuation and capitals."""
    text = _PARENTHESIS.sub(" ", text).lower().replace("’", "'")
    return " ".join(text.split()).strip(" :.;-–—*#_")


def _tell_id(text: str) -> Telling | None:
    found = find_id(text, heading=True)
    if found is None:
        return None
    return Telling(role=Role.CARD, id=found[0], title=text[found[1] :].strip())


def _tell_opener(text: str, *, alone: bool = True) -> Telling | None:
    opened = _OPENER.match(text)
    if opened is None:
        return None
    title = opened["title"].strip()
    if (named := find_id(title, heading=True)) is not None:
        return Telling(role=Role.CARD, id=named[0], title=title[named[1] :].strip())
    if opened["number"] or (opened["separator"].strip() and title):
        return Telling(role=Role.CARD, title=title)
    if not title and alone and _words(text) not in _KNOWN:
        return Telling(role=Role.CARD)
    return None


def _tell_phrase(text: str, *, longest: int) -> Telling | None:
    told = _lookup(_words(text), longest=longest)
    if told is not None:
        return told
    head = _SEPARATOR.split(text, maxsplit=1)
    if len(head) == 2 and (told := _lookup(_words(head[0]), longest=longest)) is not None:
        return evolve(told, title=head[1].strip())
    return None


def _lookup(words: str, *, longest: int) -> Telling | None:
    """Find what a whole phrase tells, allowing for words before and behind it that change nothing."""
    if len(words) > 120 or not words:
        return None
    parts = words.split()
    if parts[0] in IGNORED_OPENERS:
        return Telling(role=Role.IGNORED)
    return _exact(parts) or _by_ending(words, parts, longest) or _with_followers(parts) or _joint(words)


def _exact(parts: list[str]) -> Telling | None:
    while parts:
        told = _KNOWN.get(" ".join(parts))
        if told is not None or parts[0] not in LEADING_WORDS:
            return told
        parts = parts[1:]
    return None


def _by_ending(words: str, parts: list[str], longest: int) -> Telling | None:
    if len(parts) > longest or not words.endswith(TELLING_ENDINGS):
        return None
    return next((_KNOWN[ending] for ending in TELLING_ENDINGS if words.endswith(f" {ending}")), None)


def _with_followers(parts: list[str]) -> Telling | None:
    for at in range(1, min(len(parts), 6)):
        if parts[at] in FOLLOWING_WORDS and (told := _exact(parts[:at])) is not None:
            return told
    return None


def _joint(words: str) -> Telling | None:
    """Of "goals and objectives" the first decides, if all are known."""
    told = [_exact(part.split()) for part in _JOINT.split(words)]
    return told[0] if len(told) > 1 and None not in told else None


_NUMBER = r"\d{1,5}(?:[.\-]\d{1,4}){0,4}[a-z]?"
_ID = re.compile(
    rf"(?P<open>[\[(])?(?P<id>(?P<known>(?:[A-Z]{{2,8}}[-_])?(?:{'|'.join(REQUIREMENT_IDS)})"
    rf"(?:[-_][A-Z]{{1,8}})?[-_. ]?{_NUMBER})|[A-Z]{{1,10}}(?:[-_][A-Z]{{1,8}})?-{_NUMBER}|[RF]{_NUMBER})"
    r"(?P<close>[\])])?(?P<separator>\s{0,3}[:|)–—]\s{0,3}|\s{0,3}[.-]\s{1,3}|\t\s{0,3}|\s{1,8}|$)"
)


def find_id(text: str, *, heading: bool = False) -> tuple[str, int] | None:
    """Find the id of a requirement at the very start of a text.

    An id of a known kind (REQ-12, NFR-1.2, UC 3) needs a separator or the begin of a sentence behind it; any other
    (CLM-7, R12) a separator, and a statement or a story. "REQ-12 is withdrawn" only mentions a requirement.

    Returns:
        The id and the offset behind it and its separator, or None.
    """
    found = _ID.match(text)
    if found is None or bool(found["open"]) != bool(found["close"]):
        return None
    rest = text[found.end() :]
    separated = bool(
        found["close"] or found["separator"].strip() or "\t" in found["separator"] or len(found["separator"]) > 1
    )
    if found["known"]:
        accepted = _ID.match(rest) is None and (heading or bool(rest)) and (separated or _begins(rest))
    else:
        accepted = separated and (has_modal(rest) or rest.startswith("As "))
    return (found["id"], found.end()) if accepted else None


def _begins(rest: str) -> bool:
    return not rest or not rest[0].islower() or has_modal(rest[:200])
