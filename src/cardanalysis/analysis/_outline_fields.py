"""What a piece of text says about the card that it belongs to: its title, and the fields that sentences fill."""

# ruff: noqa: RUF001 (documents have typographic quotes and dashes)

from __future__ import annotations

import re

from ._outline_drafts import EXPLICIT, STRONG, WEAK, Draft
from ._outline_source import Passage
from ._outline_statements import Statement, Story, find_demands, find_statements, find_stories, has_modal
from ._outline_text import Span, as_priority, first_sentence, plain, take_priority
from ._outline_words import CONJUNCTIONS

__all__ = ["enrich", "name_and_enrich", "of_statement", "of_story", "without_infinitive"]

_SHORT_TITLE = re.compile(
    r"\s{0,4}(?P<title>[^.:;!?\r\n–—]{3,70}?)(?:\s{0,2}:\s|\s[–—-]\s|\s{0,4}\r?\n\s{0,4}(?=[^\W\d_a-z]))\s{0,8}(?=\S)"
)
_CONJUNCTION = re.compile(rf"\A(?:{'|'.join(CONJUNCTIONS)})\b,?\s", re.IGNORECASE)
_BULLETS = " -–•*"  # of the list item that holds the next part of a story
_INFINITIVE = re.compile(r"\A(?:to\s{1,3})?(?:be\s{1,3}able\s{1,3}to\s{1,3}|to\s{1,3})?", re.IGNORECASE)


def without_infinitive(want: str) -> str:
    """What is wanted, without "to" and "to be able to"."""
    return _INFINITIVE.sub("", want)


def of_story(passage: Passage, story: Story) -> Draft:
    """Make a draft of a user story."""
    draft = Draft(strength=EXPLICIT)
    _add_story(draft, passage, story)
    draft.title = _want(passage, story)
    draft.quote(passage, story.span)
    return draft


def of_statement(passage: Passage, statement: Statement) -> Draft:
    """Make a draft of a statement."""
    draft = Draft(strength=STRONG if statement.strong else WEAK)
    draft.priority, title = take_priority(passage.plain(statement.span))
    draft.title = _CONJUNCTION.sub("", title, count=1)
    _add_statement(draft, passage, statement)
    draft.quote(passage, statement.span)
    return draft


def name_and_enrich(draft: Draft, passage: Passage) -> None:
    """Give a draft its title out of its text, if it has none yet, and fill the fields that the text tells."""
    story = next(find_stories(passage.masked), None)
    if not draft.title:
        draft.title = _short_title(passage, story) or (_want(passage, story) if story else _sentence(passage))
    priority, draft.title = take_priority(draft.title)
    draft.priority = draft.priority or priority
    enrich(draft, passage)


def enrich(draft: Draft, passage: Passage) -> None:
    """Fill the fields of a draft that a story or statements in a text of its own tell."""
    draft.priority = draft.priority or take_priority(passage.plain())[0]
    stories, statements = find_demands(passage.masked, lenient=True)
    for story in stories[:1]:
        _add_story(draft, passage, story)
    for statement in statements:
        _add_statement(draft, passage, statement)


def _add_story(draft: Draft, passage: Passage, story: Story) -> None:
    if not draft.values.get("target_users"):
        draft.add("target_users", passage.plain(story.role).rstrip(_BULLETS))
    if benefit := _cut_stop(passage, story.benefit):
        draft.add("desired_outcomes", benefit)


def _add_statement(draft: Draft, passage: Passage, statement: Statement) -> None:
    sentence = passage.plain(statement.span)
    if statement.pain:
        draft.add("problem", sentence)
    if statement.negative:
        draft.add("constraints", take_priority(sentence)[1])
    if (user := passage.plain(statement.user)) and not draft.values.get("target_users"):
        draft.add("target_users", user)
    if benefit := _cut_stop(passage, statement.benefit):
        draft.add("desired_outcomes", benefit)


def _cut_stop(passage: Passage, span: Span) -> str:
    return take_priority(passage.plain(span))[1].rstrip(" .,;)\"”'’")


def _want(passage: Passage, story: Story) -> str:
    return without_infinitive(passage.plain(story.want).rstrip(_BULLETS))


def _short_title(passage: Passage, story: Story | None) -> str:
    """A name in front of the text proper, as in "Photo upload: the portal must …"."""
    found = _SHORT_TITLE.match(passage.masked)
    if found is None or has_modal(found["title"]) or (story is not None and story.span[0] < found.end("title")):
        return ""
    title = passage.plain(found.span("title"))
    return "" if as_priority(title) else title


def _sentence(passage: Passage) -> str:
    statement = next(find_statements(passage.masked, lenient=True), None)
    return passage.plain(statement.span) if statement else first_sentence(plain(passage.text))
