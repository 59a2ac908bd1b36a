"""User stories and requirement statements in masked text. Pure; every span counts from the start of the text given."""

# ruff: noqa: RUF001 (documents have typographic quotes and dashes)

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from attrs import frozen

from ._outline_text import Span, sentences, trim
from ._outline_words import BUILT_THINGS, HABIT_WORDS, NO_ROLES, NO_ROLES_ALONE, NOW_WORDS, PRONOUNS, SPEECH_VERBS

__all__ = [
    "Statement",
    "Story",
    "begins_story",
    "find_demands",
    "find_statements",
    "find_stories",
    "has_modal",
    "is_story_part",
    "strip_speaker",
]


@frozen(kw_only=True)
class Story:
    """An "As a … I want … so that …" story: the spans of the whole and of its parts; an absent part is empty."""

    span: Span
    role: Span
    want: Span
    benefit: Span


@frozen(kw_only=True)
class Statement:
    """A sentence that demands something.

    Attributes:
        span: The sentence.
        strong: Whether it says shall or must, rather than should or need.
        negative: Whether it forbids.
        user: Span of who "must be able to"; empty if it does not say.
        benefit: Span of what follows "so that"; empty if it does not say.
        pain: Whether it names a problem instead of a demand.
    """

    span: Span
    strong: bool = False
    negative: bool = False
    user: Span = (0, 0)
    benefit: Span = (0, 0)
    pain: bool = False


_WANT = (
    r"(?P<who>I|we)(?:\s{1,3}(?:really|also|just|only|only\s{1,3}ever))?\s{1,3}"
    r"(?:want|need|wish|expect|require|(?:can|could|must|should|shall)(?!['’]|\s{1,3}(?:only|not)\b)|"
    r"would\s{1,3}(?:like|love|prefer)|am\s{1,3}able)\b(?:\s{1,3}to\s{1,3}be\s{1,3}able)?(?:\s{1,3}to\b)?"
    r"|I['’]d\s{1,3}(?:like|love|prefer)(?:\s{1,3}to\b)?"
)
_STORY = re.compile(
    rf"\bas\s{{1,8}}(?P<article>an?\s{{1,8}}|the\s{{1,8}})?(?P<role>[^\s.;:?!][^.;:?!]{{0,150}}?)[,\s]{{1,12}}(?:{_WANT})",
    re.IGNORECASE,
)
_BEGINS = re.compile(r"(?:In\s{1,3}order\s{1,3}to\b.{1,300}?\b)?As\s{1,8}(?:an?|the)\s", re.IGNORECASE | re.DOTALL)
_WANT_PART = re.compile(rf"\s{{0,8}}(?:{_WANT})", re.IGNORECASE)
_BENEFIT_PART = re.compile(r"\s{0,8}(?:so\s{1,3}(?:that|I|we)\b|in\s{1,3}order\s{1,3}(?:to|that)\b)", re.IGNORECASE)
_BENEFIT = re.compile(
    r"[,.;\s]{1,12}(?:so\s{1,8}that|in\s{1,8}order\s{1,8}(?:to|that)|so(?=\s{1,8}(?:I|we|they)\s)|because)\s{1,8}",
    re.IGNORECASE,
)
_GOAL_FIRST = re.compile(r"In\s{1,8}order\s{1,8}to\s{1,8}(?P<goal>[^.;?!]{1,300}?)[,\s]{1,8}(?=as\s)", re.IGNORECASE)
_SPEAKER = re.compile(
    r"(?:\[?\d{1,2}:\d{2}(?::\d{2})?\]?\s{1,3})?"
    r"(?:(?:[A-ZÀ-Þ][\w.'’-]{0,25}\s?){1,3}(?:\([^()\n]{1,60}\))?|[QA])\s?:\s{1,3}(?=\S)"
)


def strip_speaker(text: str) -> int:
    """The offset behind a speaker's name, as in "Anna Berger: …"; 0 without one."""
    found = _SPEAKER.match(text)
    return found.end() if found else 0


def begins_story(text: str) -> bool:
    """Whether a text begins as a user story does, whole or with its first part only."""
    return _BEGINS.match(text) is not None


def is_story_part(text: str, *, benefit: bool) -> bool:
    """Whether a line goes on with a story: "I want …", or with `benefit` "So that …"."""
    return (_BENEFIT_PART if benefit else _WANT_PART).match(text) is not None


def find_stories(text: str) -> Iterator[Story]:
    """Yield the user stories of a text."""
    parts = list(sentences(text))
    behind = 0
    for opened in _STORY.finditer(text):
        if opened.start() < behind or not _is_role(opened):
            continue
        at = bisect_right(parts, (opened.start(), len(text))) - 1
        if _may_begin(text, parts[at], opened):
            story = _story(text, parts, at, opened)
            behind = story.span[1]
            yield story


def _is_role(opened: re.Match[str]) -> bool:
    words = opened["role"].lower().split()
    if words[0] in PRONOUNS | NO_ROLES or (len(words) == 1 and words[0] in NO_ROLES_ALONE):
        return False
    article = (opened["article"] or "").strip().lower()
    if article == "the":
        return (opened["who"] or "I").lower() == "i"
    return bool(article) or (len(words) <= 3 and not words[0].endswith("ed"))


def _may_begin(text: str, sentence: Span, opened: re.Match[str]) -> bool:
    """In the midst of a sentence "as a rule we need" is no story."""
    return opened[0][0] == "A" or opened.start() == sentence[0] or _GOAL_FIRST.match(text, sentence[0]) is not None


def _story(text: str, parts: list[Span], at: int, opened: re.Match[str]) -> Story:
    last = bisect_right(parts, (opened.end() - 1, len(text))) - 1
    end = parts[last][1]
    found = _BENEFIT.search(text, opened.end(), end)
    if found is None and last + 1 < len(parts) and _BENEFIT_PART.match(text, parts[last + 1][0]):
        end = parts[last + 1][1]
        found = _BENEFIT.search(text, opened.end(), end)
    goal = _GOAL_FIRST.match(text, parts[at][0], opened.start() + 3)
    benefit = trim(text, found.end(), end) if found else trim(text, *goal.span("goal")) if goal else (end, end)
    return Story(
        span=(parts[at][0] if goal else opened.start(), end),
        role=trim(text, *opened.span("role")),
        want=trim(text, opened.end(), found.start() if found else end),
        benefit=benefit,
    )


_MODAL = re.compile(
    r"\b(?P<modal>shall|must|should|will|won['’]t|(?:is|are|be)\s{1,3}required\s{1,3}to|needs?\s{1,3}to|ha(?:s|ve)\s{1,3}to)\b"
    r"(?P<negation>n['’]t|\s{1,3}(?:not|never|no\s{1,3}longer|under\s{1,3}no)\b)?(?!['’\w-])",
    re.IGNORECASE,
)
_NOT_A_DEMAND = re.compile(
    r"\s{1,3}(?:have\s{1,3}(?:been|seen|gone|got|known|done)|be\s{1,3}(?:fine|ok|okay|enough|a\s{1,3}joke))\b",
    re.IGNORECASE,
)
_BEFORE_NOUN = re.compile(r"\b(?:a|an|the|absolute|real)\s{1,3}$", re.IGNORECASE)
_NOT_NEEDED = re.compile(r"(?:n['’]t|\bnot|\bnever|\bno\s{1,3}longer|\bno\s{1,3}one)\s{1,3}$", re.IGNORECASE)
_SHORT_QUOTE = re.compile(r"[\"“„«](?:[^\s\"“”„«»]{1,40}\s{0,2}){1,4}[\"”“»]|‘(?:[^\s‘’]{1,40}\s{0,2}){1,4}’")
_CLAUSE = re.compile(r"[,;:()–—]\s|\b(?:that|and|but|because|if|when|while|which|who|where|so)\s", re.IGNORECASE)
_NOW = re.compile(rf"\b(?:{'|'.join(NOW_WORDS)})\b", re.IGNORECASE)
_HABIT = re.compile(rf"\b(?:{'|'.join(NOW_WORDS + HABIT_WORDS)})\b", re.IGNORECASE)
_WISH = re.compile(
    r"\b(?:(?:I|we)(?:\s{1,3}(?:really|also|just|only|all|do|urgently))?\s{1,3}(?:want|need|would\s{1,3}(?:like|love))"
    r"|(?:I|we)['’]d\s{1,3}(?:like|love)"
    r"|(?P<noun>[a-z]{3,20})\s{1,3}needs?(?=\s{1,3}(?:an?|the|one|some|more|better|fewer|faster|at\s{1,3}least|access|\d)\b))"
    r"\s{1,3}(?P<what>.)",
    re.IGNORECASE,
)
_NO_WISH = re.compile(rf"(?:to\s{{1,3}})?(?:{'|'.join(SPEECH_VERBS)})\b", re.IGNORECASE)
_NO_SUBJECT = frozenset(
    ("no", "the", "of", "their", "our", "your", "my", "his", "her", "its", "business", "customer", "user")
)
_PAIN = re.compile(
    r"[\"“„‘'(]?(?:The|Our|My|Another|One|A)\s{1,3}(?:[\w-]{1,20}\s{1,3}){0,3}"
    r"(?:problems?|issues?|pain\s{1,3}points?|pain|bottlenecks?|complaints?|frustrations?|headaches?|annoyances?)"
    r"(?:\s{1,3}[\w-]{1,20}){0,5}?\s{1,3}(?:is|was|are)\b",
    re.IGNORECASE,
)
_ABLE = re.compile(r"\s{1,3}be\s{1,3}able\s{1,3}to\b", re.IGNORECASE)


def has_modal(text: str) -> bool:
    """Whether a text holds a word such as shall or must, whatever it means there."""
    return _MODAL.search(text) is not None


def find_statements(text: str, *, lenient: bool = False) -> Iterator[Statement]:
    """Yield the sentences that demand something or name a problem.

    Args:
        text: Masked text.
        lenient: It stands where requirements are listed, so that "will" demands whatever its subject.
    """
    for start, end in sentences(text):
        statement = _judge(text, start, end, lenient)
        if statement is not None:
            yield statement


def find_demands(text: str, *, lenient: bool = False) -> tuple[list[Story], list[Statement]]:
    """The user stories of a text, and the statements that stand outside them; see `find_statements`."""
    stories = list(find_stories(text))
    begins = [story.span[0] for story in stories]
    statements = [
        statement
        for statement in find_statements(text, lenient=lenient)
        # Stories do not overlap: only the last one that begins before the statement's end can reach into it.
        if not (at := bisect_left(begins, statement.span[1])) or stories[at - 1].span[1] <= statement.span[0]
    ]
    return stories, statements


def _judge(text: str, start: int, end: int, lenient: bool) -> Statement | None:
    sentence = _SHORT_QUOTE.sub(lambda quote: " " * len(quote[0]), text[start:end])
    if sentence.rstrip("\"'”’»)").endswith("?"):
        return None
    for modal in _MODAL.finditer(sentence):
        if _demands(sentence, modal, lenient):
            return _statement(sentence, modal, start, end)
    if _PAIN.match(sentence):
        return Statement(span=(start, end), pain=True)
    if _wishes(sentence):
        return Statement(span=(start, end), benefit=_benefit(sentence, 0, start))
    return None


def _demands(sentence: str, modal: re.Match[str], lenient: bool) -> bool:
    word, before = modal["modal"].lower(), sentence[: modal.start()]
    if not _is_verb(sentence, modal, before):
        return False
    if word == "shall":
        return True
    if _NOW.search(before) or _NOT_A_DEMAND.match(sentence, modal.end()):
        return False
    if word == "must" or word == "should" or "required" in word:
        return True
    subject = _CLAUSE.split(before)[-1].lower().split()
    if word in ("will", "won't", "won’t"):
        return bool(subject) and (lenient or _is_built(subject) or _lets(sentence, modal, subject))
    return _needs(sentence, word, before, subject)


def _is_verb(sentence: str, modal: re.Match[str], before: str) -> bool:
    """Whether it is no name ("Will"), no noun ("a must") and no question ("Should you …")."""
    word = modal["modal"]
    begins = not before.strip(" \t\r\n\"'“”‘’„«([-•")
    if begins:
        following = sentence[modal.end() :].split(maxsplit=1)
        return word.lower() != "will" and bool(following) and following[0].lower().strip(",") not in PRONOUNS | {"the"}
    is_name = word[0].isupper() and not word.isupper() and before.rstrip()[-1:] not in ':–—"“„'
    return not is_name and _BEFORE_NOUN.search(before[-12:]) is None


def _is_built(subject: list[str]) -> bool:
    return not BUILT_THINGS.isdisjoint(word.strip("\"'“”‘’") for word in subject[-6:])


def _lets(sentence: str, modal: re.Match[str], subject: list[str]) -> bool:
    return subject[-1] not in PRONOUNS and _ABLE.match(sentence, modal.end()) is not None


def _needs(sentence: str, word: str, before: str, subject: list[str]) -> bool:
    """Judge "need to" and "have to", which people also say of themselves and of how it is now."""
    if _HABIT.search(sentence) or _NOT_NEEDED.search(before[-14:]):
        return False
    if not subject:
        return not before.strip()
    if word.startswith("need"):
        following = sentence[len(before) :].split(None, 2)[2:]
        return not following or _NO_WISH.match(following[0]) is None
    return subject[-1] not in PRONOUNS


def _wishes(sentence: str) -> bool:
    wish = _WISH.search(sentence)
    if wish is None or _HABIT.search(sentence) or _NOT_NEEDED.search(sentence[: wish.start()][-14:]):
        return False
    if wish["noun"]:
        return wish["noun"].lower() not in _NO_SUBJECT | PRONOUNS
    return _NO_WISH.match(sentence, wish.start("what")) is None


def _statement(sentence: str, modal: re.Match[str], start: int, end: int) -> Statement:
    word = modal["modal"].lower()
    return Statement(
        span=(start, end),
        strong=word in ("shall", "must") or "required" in word,
        negative=bool(modal["negation"]) or word in ("won't", "won’t"),
        user=_user(sentence, modal, start),
        benefit=_benefit(sentence, modal.end(), start),
    )


_ARTICLE = re.compile(r"(?:(?:an?|the|all|every|each|any)\s{1,3})?(?P<who>[^,;:.]{2,60}?)\s{1,3}$", re.IGNORECASE)


def _user(sentence: str, modal: re.Match[str], start: int) -> Span:
    """Who "must be able to", where that is a person at the start of the sentence."""
    found = _ARTICLE.match(sentence[: modal.start()])
    if found is None or not _ABLE.match(sentence, modal.end()):
        return 0, 0
    words = found["who"].lower().split()
    if len(words) > 4 or words[0] in PRONOUNS or not BUILT_THINGS.isdisjoint(words):
        return 0, 0
    return start + found.start("who"), start + found.end("who")


def _benefit(sentence: str, after: int, start: int) -> Span:
    found = _BENEFIT.search(sentence, after)
    if found is None or found[0].strip(" ,.;\n\r\t").lower() == "because":
        return 0, 0
    span = trim(sentence, found.end(), len(sentence))
    return start + span[0], start + span[1]
