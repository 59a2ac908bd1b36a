"""What each rule of the outline analyzer makes a card of, and which fields it fills."""

from __future__ import annotations

from typing import Any

import pytest

from cardanalysis._documents import Document
from cardanalysis._models import Card, Priority
from cardanalysis._uploads import Upload
from cardanalysis.analysis._outline import outline_cards
from cardanalysis.loading import load

FIELDS = (
    "problem",
    "target_users",
    "current_state",
    "desired_outcomes",
    "constraints",
    "systems",
    "priority",
    "impact",
)


def document(text: str, name: str = "a.md") -> Document:
    return load(Upload.from_text(text, name))


def cards(text: str, name: str = "a.md") -> list[Card]:
    return outline_cards(document(text, name), 100)


def titles(text: str, name: str = "a.md") -> list[str]:
    return [card.title for card in cards(text, name)]


def told(card: Card) -> dict[str, Any]:
    """The title and every field that is not empty."""
    return {"title": card.title} | {name: value for name in FIELDS if (value := getattr(card, name))}


def quotes(card: Card) -> list[str]:
    return [each.quote for each in card.evidence]


STORIES = {
    "one line": (
        "As a claims handler, I want to see the cover so that I can decide at once.",
        {
            "title": "See the cover",
            "target_users": ("claims handler",),
            "desired_outcomes": ("I can decide at once",),
        },
    ),
    "without commas or benefit": (
        "As an auditor I need read access.",
        {"title": "Read access", "target_users": ("auditor",)},
    ),
    "across line breaks": (
        "As a broker\nI want to search claims\nSo that I can answer my clients",
        {
            "title": "Search claims",
            "target_users": ("broker",),
            "desired_outcomes": ("I can answer my clients",),
        },
    ),
    "in three list items": (
        "- As a broker\n- I want to search claims\n- So that I can answer",
        {"title": "Search claims", "target_users": ("broker",), "desired_outcomes": ("I can answer",)},
    ),
    "in three bold paragraphs": (
        "**As a** broker\n\n**I want** to search claims\n\n**So that** I can answer",
        {"title": "Search claims", "target_users": ("broker",), "desired_outcomes": ("I can answer",)},
    ),
    "benefit as a sentence of its own": (
        "As a broker, I want to search claims. So that I can answer.",
        {"title": "Search claims", "target_users": ("broker",), "desired_outcomes": ("I can answer",)},
    ),
    "benefit, and a goal of the next sentence": (
        "As a broker, I want film so that I see. In order to win, we hurry.",
        {"title": "Film", "target_users": ("broker",), "desired_outcomes": ("I see",)},
    ),
    "goal first": (
        "In order to save time, as a handler, I want one screen.",
        {"title": "One screen", "target_users": ("handler",), "desired_outcomes": ("save time",)},
    ),
    "because": (
        "As a broker, I would like to see claims because clients ask me.",
        {"title": "See claims", "target_users": ("broker",), "desired_outcomes": ("clients ask me",)},
    ),
    "in order to": (
        "As the team lead, I need to lock a claim type, in order to stop fraud.",
        {"title": "Lock a claim type", "target_users": ("team lead",), "desired_outcomes": ("stop fraud",)},
    ),
    "can": ("As a customer I can pay by card.", {"title": "Pay by card", "target_users": ("customer",)}),
    "be able to": (
        "As a customer, I want to be able to pay by card.",
        {"title": "Pay by card", "target_users": ("customer",)},
    ),
    "without article": (
        "As policyholder, I want to pay by card.",
        {"title": "Pay by card", "target_users": ("policyholder",)},
    ),
    "behind a label": (
        "User story: As a broker, I want to search claims.",
        {"title": "Search claims", "target_users": ("broker",)},
    ),
    "behind an id": (
        "US-7: As a broker, I want to search claims.",
        {"title": "US-7: Search claims", "target_users": ("broker",)},
    ),
    "behind an id and a name": (
        "US-7 Claim search: As a broker, I want to search claims.",
        {"title": "US-7: Claim search", "target_users": ("broker",)},
    ),
    "a longer role": (
        "As a handler who works from home, I want to log in by telephone.",
        {"title": "Log in by telephone", "target_users": ("handler who works from home",)},
    ),
    "with its priority": (
        "As a broker, I want to search claims so that I can answer. (Priority: low)",
        {
            "title": "Search claims",
            "target_users": ("broker",),
            "desired_outcomes": ("I can answer",),
            "priority": Priority.LOW,
        },
    ),
}


@pytest.mark.parametrize(("text", "expected"), STORIES.values(), ids=STORIES.keys())
def test_a_user_story_gives_title_users_and_outcome(text: str, expected: dict[str, Any]) -> None:
    """The want is the title, the role the user, the benefit the outcome, whatever form the story has."""
    assert [told(card) for card in cards(text)] == [expected]


def test_the_evidence_of_a_story_is_all_of_it() -> None:
    """The quote reaches over line breaks and emphasis."""
    text = "Some prose.\n\n**As a** broker\n**I want** to search\n**so that** I can answer\n"
    (card,) = cards(text)
    assert quotes(card) == ["**As a** broker\n**I want** to search\n**so that** I can answer"]
    assert (card.evidence[0].location.line, card.evidence[0].location.end_line) == (3, 5)


def test_several_stories_in_a_paragraph_are_several_cards() -> None:
    """Each story is found and quoted by itself."""
    text = "As a handler, I want a list. As a broker, I want a search so that I find claims."
    first, second = cards(text)
    assert (first.title, second.title) == ("A list", "A search")
    assert quotes(second) == ["As a broker, I want a search so that I find claims."]


STATEMENTS = {
    "shall": ("The system shall log every access.", {"title": "The system shall log every access"}),
    "must": ("Photos must stay in colour.", {"title": "Photos must stay in colour"}),
    "should": ("The page should load in a second.", {"title": "The page should load in a second"}),
    "is required to": (
        "Every handler is required to confirm.",
        {"title": "Every handler is required to confirm"},
    ),
    "needs to": ("The form needs to work offline.", {"title": "The form needs to work offline"}),
    "has to": ("A payment has to be approved by two people.", {"title": "A payment has to be approved by two people"}),
    "will, of a thing to build": ("The new portal will show it.", {"title": "The new portal will show it"}),
    "will be able to": (
        "Brokers will be able to search.",
        {"title": "Brokers will be able to search", "target_users": ("Brokers",)},
    ),
    "upper case": ("Passwords MUST be hashed.", {"title": "Passwords MUST be hashed"}),
    "emphasis": ("The system **shall** log it.", {"title": "The system shall log it"}),
    "without a subject": ("Must support PDF.", {"title": "Must support PDF"}),
    "negative": (
        "Data must not leave the EU.",
        {"title": "Data must not leave the EU", "constraints": ("Data must not leave the EU.",)},
    ),
    "never": (
        "Water claims should never be paid unseen.",
        {
            "title": "Water claims should never be paid unseen",
            "constraints": ("Water claims should never be paid unseen.",),
        },
    ),
    "won't": (
        "The app won't store cards.",
        {"title": "The app won't store cards", "constraints": ("The app won't store cards.",)},
    ),
    "able to": (
        "A claims handler must be able to take over a claim.",
        {"title": "A claims handler must be able to take over a claim", "target_users": ("claims handler",)},
    ),
    "able to, of a thing": (
        "The system must be able to restart.",
        {"title": "The system must be able to restart"},
    ),
    "so that": (
        "The list should be sorted so that estimates come first.",
        {
            "title": "The list should be sorted so that estimates come first",
            "desired_outcomes": ("estimates come first",),
        },
    ),
    "wish": ("We would like a warning.", {"title": "We would like a warning"}),
    "need of people": ("Handlers need a work basket.", {"title": "Handlers need a work basket"}),
    "problem": (
        "The biggest problem is the nightly batch.",
        {
            "title": "The biggest problem is the nightly batch",
            "problem": "The biggest problem is the nightly batch.",
        },
    ),
    "abbreviations": (
        "The system shall show names, e.g. Mr. Smith, in full.",
        {"title": "The system shall show names, e.g. Mr. Smith, in full"},
    ),
    "numbered abbreviations": (
        "The system shall apply art. 5 and no. 7.",
        {"title": "The system shall apply art. 5 and no. 7"},
    ),
    "emphasis at the end": ("The system shall *log it.*", {"title": "The system shall log it"}),
    "conjunction": ("And the list must be short.", {"title": "The list must be short"}),
    "speaker": ("[00:12] Anna Berger: The list must be short.", {"title": "The list must be short"}),
    "block quote": ("> The list must be\n> short.", {"title": "The list must be short"}),
    "stated priority": (
        "The list must be short (nice to have).",
        {"title": "The list must be short", "priority": Priority.LOW},
    ),
    "priority of its own sentence": (
        "The list must be short. Priority: medium",
        {"title": "The list must be short", "priority": Priority.MEDIUM},
    ),
    "priority in front": (
        "[P1] The list must be short.",
        {"title": "The list must be short", "priority": Priority.HIGH},
    ),
}


@pytest.mark.parametrize(("text", "expected"), STATEMENTS.values(), ids=STATEMENTS.keys())
def test_a_statement_is_a_card(text: str, expected: dict[str, Any]) -> None:
    """A sentence that demands something is one card, and says only what it says."""
    assert [told(card) for card in cards(text)] == [expected]


def test_the_evidence_keeps_emphasis_marks_at_its_ends() -> None:
    """A quote is never cut between a mark and its text."""
    (card,) = cards("Look: *The system shall* **log it.** Good.")
    assert quotes(card) == ["*The system shall* **log it.**"]


def test_each_sentence_is_a_card_of_its_own_with_its_own_quote() -> None:
    """Sentences without a demand are left out of the evidence."""
    text = "It is slow. The list must be short. We met on Monday. It should be sorted."
    assert [quotes(card) for card in cards(text)] == [["The list must be short."], ["It should be sorted."]]


def test_each_item_completes_a_sentence_that_ends_with_its_verb() -> None:
    """Two requirements stand below "The portal must:", both with it as their last evidence."""
    found = cards("The portal must:\n\n- show the status, and\n- accept photos\n")
    assert [card.title for card in found] == ["Show the status", "Accept photos"]
    assert quotes(found[1]) == ["accept photos", "The portal must:"]


def test_items_below_a_complete_statement_are_its_evidence() -> None:
    """Formats, fields and the like are no requirements of their own."""
    (card,) = cards("The portal must support these formats:\n\n- JPEG\n- PNG\n")
    assert told(card) == {"title": "The portal must support these formats"}
    assert quotes(card) == ["The portal must support these formats:", "JPEG", "PNG"]


NUMBERED = {
    "colon": ("REQ-12: The system shall log.", ["REQ-12: The system shall log"]),
    "space": ("FR-3 The system shall log.", ["FR-3: The system shall log"]),
    "dots": ("NFR-1.2 - Log every access", ["NFR-1.2: Log every access"]),
    "brackets": ("[REQ-12] Log every access", ["REQ-12: Log every access"]),
    "bold": ("**CLM-1** The handler must see it.", ["CLM-1: The handler must see it"]),
    "short": ("R12: Users must log in", ["R12: Users must log in"]),
    "tab": ("UC-3\tReport a loss", ["UC-3: Report a loss"]),
    "own prefix": ("CLM-7: The limit shall be one number.", ["CLM-7: The limit shall be one number"]),
    "two sentences": ("REQ-1: The system shall log. It shall keep logs.", ["REQ-1: The system shall log"]),
    "lines": ("REQ-1: Log in\nREQ-2: Log out", ["REQ-1: Log in", "REQ-2: Log out"]),
    "items": ("1. REQ-1: Log in\n2. REQ-2: Log out", ["REQ-1: Log in", "REQ-2: Log out"]),
    "name before text": ("REQ-1 Audit log: The system shall log.", ["REQ-1: Audit log"]),
    "name above text": ("REQ-1 Audit log\nThe system shall log.", ["REQ-1: Audit log"]),
    "name above paragraph": ("REQ-1 Audit log\n\nThe system shall log.", ["REQ-1: Audit log"]),
    "mentioned": ("REQ-12 is withdrawn.", []),
    "range": ("REQ-1 - REQ-4 are mandatory.", []),
    "standard": ("ISO-27001: information security", []),
    "plain number": ("COVID-19 rules must be kept.", ["COVID-19 rules must be kept"]),
}


@pytest.mark.parametrize(("text", "expected"), NUMBERED.values(), ids=NUMBERED.keys())
def test_a_numbered_requirement_is_one_card_that_keeps_its_id(text: str, expected: list[str]) -> None:
    """The id stands in front of the title; a mere mention of one is no card."""
    assert titles(text) == expected


def test_what_follows_a_numbered_requirement_belongs_to_it() -> None:
    """Labels, sub-items and acceptance criteria go to the requirement above them."""
    first, second = cards(
        "- REQ-1: The system shall log.\n  - access\n  - changes\n\n  Priority: high\n  Systems: Kranich; HAFEN\n"
        "- REQ-2: Log out\n\n  Acceptance criteria:\n  - within a second\n"
    )
    assert told(first) == {
        "title": "REQ-1: The system shall log",
        "priority": Priority.HIGH,
        "systems": ("Kranich", "HAFEN"),
    }
    assert quotes(first)[:3] == ["REQ-1: The system shall log.", "access", "changes"]
    assert told(second) == {"title": "REQ-2: Log out", "desired_outcomes": ("within a second",)}


def test_a_numbered_item_inside_another_is_a_card_of_its_own() -> None:
    """REQ-2.1 below REQ-2 is not swallowed."""
    text = "- REQ-2: The system shall log.\n  - REQ-2.1: It shall log access.\n"
    assert titles(text) == ["REQ-2: The system shall log", "REQ-2.1: It shall log access"]


def test_chapter_numbers_in_plain_text_are_left_out_of_titles() -> None:
    """A specification with numbered chapters, without a blank line anywhere."""
    text = (
        "1. Introduction\nThis text describes it.\n2. Requirements\n2.1 Login\n"
        "2.1.1 The system shall let users log in\nwith e-mail and password.\n2.1.2 The system shall lock accounts.\n"
    )
    assert titles(text, "a.txt") == [
        "The system shall let users log in with e-mail and password",
        "The system shall lock accounts",
    ]


def test_a_heading_that_is_a_statement_is_a_card() -> None:
    """Plain text makes headings of numbered statements without a full stop."""
    (card,) = cards("3.1 Login\n\n3.1.1 The system must not show passwords\n\nNot even to admins.\n", "a.txt")
    assert told(card) == {
        "title": "The system must not show passwords",
        "constraints": ("The system must not show passwords",),
    }
