"""What looks like a requirement and is none."""

# ruff: noqa: RUF001 (documents have typographic quotes and dashes)

from __future__ import annotations

import pytest

from cardanalysis._uploads import Upload
from cardanalysis.analysis._outline import outline_cards
from cardanalysis.loading import load


def titles(text: str, name: str = "a.md") -> list[str]:
    return [card.title for card in outline_cards(load(Upload.from_text(text, name)), 100)]


@pytest.mark.parametrize(
    "text",
    [
        # Names, nouns and quotes
        "Will Turner presented the plan.",
        "We met Will and Must Industries.",
        "The programme “Must Win” ended.",
        'The report "what should change" is late.',
        "The list ‘must read’ is long.",
        "Speed is a must for us, an absolute must.",
        "It is a must-have feature.",
        "His last will was found.",
        # Questions
        "Must we keep it?",
        "Should you have questions, call me.",
        "The portal must be fast, mustn't it?",
        "“Should the system stop?”",
        # Guesses and the past
        "He must have been tired.",
        "It should be fine.",
        # What happens now
        "Today a clerk must open three systems.",
        "Currently, every user must call.",
        "We have to type everything by hand.",
        "Handlers need to look it up every time.",
        "I have to type it.",
        # What need not be
        "Users don't need to log in.",
        "No one needs to know.",
        # Plans of people
        "The meeting will start at ten.",
        "We will send the notes.",
        "I will ask her.",
        "It will rain.",
        "They won't come.",
        # Talk
        "We need to talk about money.",
        "I want to thank you all.",
        "We would like to point out one thing.",
        "The team needs to decide.",
        # Needs of things and compounds
        "Kranich, because each needs a minute to start.",
        "The needs of users are many.",
        # No stories
        "As a handler I can only see half of it.",
        "As soon as possible, the work begins.",
        "As the number of claims grows, we can hardly cope.",
        "Such as a broker, for example.",
        # Words inside words, and labels in the midst of a line
        "A user-friendly page is nice.",
        "A user-friendly page: yes.",
        "Problem-free days are rare.",
        "There was one problem: nobody came.",
        "See https://example.org/goals: a page.",
        # Mentions
        "REQ-12 is superseded by REQ-15.",
        "See REQ-12 for more.",
        # Headings
        "# Glossary",
        "# What must change",
        "# The team",
        "# Priority",
        # Lists of other things
        "- apples\n- pears\n",
        "## Constraints\n\n- 300k\n- two years\n",
        "## Systems\n\n- Kranich\n",
        "Systems:\n- Kranich\n",
        "## Current state\n\nUsers must call. They shall wait.\n",
        "## Acceptance criteria\n\n- Given a, then b must hold.\n",
        "Priority: high",
        # No text of the document
        "```\nThe system shall log.\n```",
        "<!-- The system shall log. -->",
        "---\ntitle: The system shall log\n---\n\nHello.",
    ],
)
def test_no_card(text: str) -> None:
    """Nothing is asked for, so there is no card."""
    assert titles(text) == []


def test_a_sentence_inside_a_story_or_numbered_requirement_is_not_a_second_card() -> None:
    """One card for one sentence."""
    text = "REQ-1: As a user, I must be able to log in.\n\n- US-2: The system shall log. It must log all.\n"
    assert titles(text) == ["REQ-1: Log in", "US-2: The system shall log"]


def test_the_same_sentence_twice_is_one_card() -> None:
    """The first of them; the same words about another thing stay."""
    text = "The list must be short.\n\nThe list   must be\nshort.\n\nThe list must be short!\n"
    assert titles(text) == ["The list must be short", "The list must be short!"]


def test_long_titles_are_cut_at_a_word() -> None:
    """At most 120 characters, and the cut shows."""
    (title,) = titles("The system shall log " + "every access " * 20 + "at once.")
    assert len(title) <= 120
    assert title.endswith(("every…", "access…"))


def test_a_title_without_any_space_is_cut_too() -> None:
    """A cut in the midst of a word is better than none."""
    (title,) = titles(f"REQ-1: {'x' * 300}")
    assert len(title) <= 120


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("(The list must be short.)", "The list must be short"),
        ("(Note: the list must be short. Really.)", "Note: the list must be short"),
        ("“The list must be short. Really,” she said.", "The list must be short"),
        ("The list must be short; and", "The list must be short"),
        ("The [list](http://x.y/z) must be `short`.", "The list must be short"),
        ("the list must be short (or not).", "The list must be short (or not)"),
    ],
)
def test_titles_are_tidy(text: str, title: str) -> None:
    """No stray brackets, quotes, stops or markup."""
    assert titles(text) == [title]
