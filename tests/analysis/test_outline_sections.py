"""Use cases, groups of requirements and fields: what headings, labels and lead-in lines make of the text below."""

from __future__ import annotations

from typing import Any

import pytest

from cardanalysis._documents import Block, BlockKind, Document, Location
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


def cards(text: str, name: str = "a.md") -> list[Card]:
    return outline_cards(load(Upload.from_text(text, name)), 100)


def titles(text: str, name: str = "a.md") -> list[str]:
    return [card.title for card in cards(text, name)]


def told(card: Card) -> dict[str, Any]:
    """The title and every field that is not empty."""
    return {"title": card.title} | {name: value for name in FIELDS if (value := getattr(card, name))}


def quotes(card: Card) -> list[str]:
    return [each.quote for each in card.evidence]


WHOLE = {
    "title": "Report a loss",
    "problem": "Calls take long.\nAnd half of the data is missing.",
    "target_users": ("Policyholders", "brokers"),
    "current_state": "By telephone.",
    "desired_outcomes": ("Under 5 minutes", "Six of ten online"),
    "constraints": ("Data must stay in the EU.", "No account needed"),
    "systems": ("Kranich", "HAFEN"),
    "priority": Priority.HIGH,
    "impact": "9,000 calls a year.",
}
BY_HEADINGS = """\
# Brief

## Use case 1: Report a loss

### Problem

Calls take long.

And half of the data is missing.

### Users

Policyholders, brokers

### Current state (as-is)

By telephone.

### Goals

- Under 5 minutes
- Six of ten online

### Constraints

- Data must stay in the EU.
- No account needed

### Systems

Kranich and HAFEN

### Priority

High

### Impact

9,000 calls a year.

## Use case 2: Pay
"""
BY_LABELS = """\
Use case: Report a loss
Problem: Calls take long.
Opportunity: And half of the data is missing.
Users: Policyholders; brokers
Today: By telephone.
Goals:
- Under 5 minutes
- Six of ten online
Constraints: Data must stay in the EU.; No account needed
Systems: Kranich; HAFEN
Priority: High (sponsor)
Impact: 9,000 calls
a year.

Use case: Pay
"""
BY_BULLETS = """\
### Feature: Report a loss

- **Problem:** Calls take long.
- **Opportunity:** And half of the data is missing.
- **Users:** Policyholders, brokers
- **As-is:** By telephone.
- **Goals:**
  - Under 5 minutes
  - Six of ten online
- **Constraints:**
  - Data must stay in the EU.
  - No account needed
- **Systems:** Kranich, HAFEN
- **Priority:** must have
- **Business impact:** 9,000 calls a year.

### Feature: Pay
"""
SAME_LEVEL = BY_HEADINGS.replace("###", "##")
PLAIN_LINES = """\
Use case 1: Report a loss

Problem

Calls take long.

And half of the data is missing.

Users

Policyholders, brokers

Current state

By telephone.

Goals

- Under 5 minutes
- Six of ten online

Constraints

- Data must stay in the EU.
- No account needed

Systems

Kranich, HAFEN

Priority

High

Impact

9,000 calls a year.

Use case 2: Pay
"""


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (BY_HEADINGS, "a.md"),
        (SAME_LEVEL, "a.md"),
        (BY_LABELS, "a.txt"),
        (BY_LABELS.replace("\n", "\r\n"), "a.txt"),
        (BY_BULLETS, "a.md"),
        (PLAIN_LINES, "a.txt"),
    ],
    ids=["headings", "same level", "labels", "CRLF", "bullets", "plain lines"],
)
def test_a_use_case_with_its_fields_is_one_card(text: str, name: str) -> None:
    """Sub-headings, labels and bullets fill the fields of one card; an opportunity does not replace the problem."""
    first, second = cards(text, name)
    assert told(first) == WHOLE
    assert told(second) == {"title": "Pay"}
    assert first.made_by == "outline"
    assert quotes(first)[0].startswith(("Use case", "Feature"))


def test_a_section_with_a_problem_and_more_is_a_card() -> None:
    """No heading need say "use case": the fields do."""
    (card,) = cards("# Photo upload\n\nSome prose.\n\nProblem: post is slow\n\nPriority: P2\n")
    assert told(card) == {"title": "Photo upload", "problem": "post is slow", "priority": Priority.MEDIUM}


def test_goals_and_constraints_alone_are_a_project_not_a_use_case() -> None:
    """Every goal is a card; constraints, systems and users are none without a use case."""
    text = (
        "# Brief\n\n## Goals\n\n- Fast\n- Cheap\n\n## Constraints\n\n- 300k\n\n## Systems\n\n- SAP\n\n## Users\n\nAll\n"
    )
    assert [told(card) for card in cards(text)] == [
        {"title": "Fast", "desired_outcomes": ("Fast",)},
        {"title": "Cheap", "desired_outcomes": ("Cheap",)},
    ]


def test_fields_of_an_outer_use_case_reach_through_plain_headings() -> None:
    """A use case owns what stands in its sub-sections."""
    (card,) = cards("# Use case: Pay\n\n## Details\n\n### Constraints\n\n- twice a day\n")
    assert told(card) == {"title": "Pay", "constraints": ("twice a day",)}


def test_parts_of_a_field_belong_to_it() -> None:
    """A plain heading below "Constraints" only divides them."""
    (card,) = cards("# Use case: Pay\n\n## Constraints\n\n### Legal\n\n- GDPR\n\n### Technical\n\n- Java\n")
    assert card.constraints == ("GDPR", "Java")


def test_what_stands_in_the_heading_of_a_field_is_its_value() -> None:
    """A heading "Priority: low" needs no text below."""
    (card,) = cards("# Feature: Pay\n\n## Priority: low\n\n## Problem: it is late\n")
    assert told(card) == {"title": "Pay", "priority": Priority.LOW, "problem": "it is late"}


def test_a_table_below_a_field_gives_its_first_column() -> None:
    """A table of systems in a use case names systems."""
    text = "# Use case: Pay\n\n## Systems\n\n| Name | Owner |\n|---|---|\n| Zahlwerk | Finance |\n"
    (card,) = cards(text)
    assert told(card) == {"title": "Pay", "systems": ("Zahlwerk",)}
    assert quotes(card) == ["Use case: Pay", "| Zahlwerk | Finance |"]


def test_an_introduction_to_a_list_is_no_value() -> None:
    """A text such as "We see two goals:" says nothing."""
    (card,) = cards("# Use case: Pay\n\n## Goals\n\nWe see two goals:\n\n- fast\n- right\n")
    assert card.desired_outcomes == ("fast", "right")


def test_a_lone_problem_is_a_card_that_its_first_sentence_names() -> None:
    """All its paragraphs are the problem; statements in it tell how it is, and are no requirements."""
    (card,) = cards("# Problem\n\nIt is slow. Clerks must type all twice.\n\nAnd old.\n")
    assert told(card) == {"title": "It is slow", "problem": "It is slow. Clerks must type all twice.\nAnd old."}


@pytest.mark.parametrize("title", ["Pain points", "Claims handler pain points", "3. Main problems we heard", "Issues"])
def test_pain_points_are_cards(title: str) -> None:
    """Each outermost item is a card with the problem; a nested one is evidence."""
    first, second = cards(f"## {title}\n\n- Too slow\n  - on Mondays\n- Too old\n")
    assert told(first) == {"title": "Too slow", "problem": "Too slow"}
    assert quotes(first) == ["Too slow", "on Mondays"]
    assert told(second) == {"title": "Too old", "problem": "Too old"}


@pytest.mark.parametrize(
    "lead", ["Pain points:", "The main problems are:", "**Pain points**", "Our pain points (May):"]
)
def test_a_lead_in_line_announces_one_list(lead: str) -> None:
    """The list ends where the text goes on."""
    assert titles(f"{lead}\n\n- Too slow\n- Too old\n\nOther:\n\n- Nothing\n") == ["Too slow", "Too old"]


@pytest.mark.parametrize(
    "title",
    ["Requirements", "Functional requirements", "Wish list", "User needs", "Features", "In scope", "Needs of brokers"],
)
def test_items_below_a_telling_heading_are_cards(title: str) -> None:
    """They need no verb to be requirements; a placeholder or a question is none."""
    assert titles(f"## {title}\n\n- Photo upload\n- Film\n- tbd\n- n/a\n- Sound?\n") == ["Photo upload", "Film"]


@pytest.mark.parametrize(
    ("title", "priority"),
    [
        ("Must have", Priority.HIGH),
        ("Should-haves", Priority.MEDIUM),
        ("Nice to have", Priority.LOW),
        ("Priority 1", Priority.HIGH),
        ("Low priority", Priority.LOW),
    ],
)
def test_a_heading_gives_its_priority_to_the_list(title: str, priority: Priority) -> None:
    """MoSCoW headings and the like."""
    (card,) = cards(f"# Backlog\n\n## {title}\n\n- Photo upload\n")
    assert told(card) == {"title": "Photo upload", "priority": priority}


def test_a_label_with_a_priority_is_a_card() -> None:
    """As in a list with "Must have: login"."""
    first, second = cards("- Must have: login\n- Could have: chat\n")
    assert told(first) == {"title": "Login", "priority": Priority.HIGH}
    assert told(second) == {"title": "Chat", "priority": Priority.LOW}


def test_headings_below_use_cases_are_cards() -> None:
    """Only the frame of the document is not: an introduction is no use case."""
    text = "## Use cases\n\n### Introduction\n\nHello.\n\n### Report a loss\n\nBy telephone.\n\n### Pay\n\nBy bank.\n"
    assert titles(text) == ["Report a loss", "Pay"]


def test_headings_below_requirements_are_cards_if_nothing_in_them_is() -> None:
    """With a list below it, "Login" is a group; with a paragraph, "Encryption" is the requirement."""
    text = "## Requirements\n\n### Login\n\n- Password\n- Fingerprint\n\n### Encryption\n\nOf all photos.\n"
    found = cards(text)
    assert [card.title for card in found] == ["Password", "Fingerprint", "Encryption"]
    assert quotes(found[2]) == ["Encryption", "Of all photos."]


def test_the_title_of_a_document_is_no_list_heading() -> None:
    """Not all bullets of a document called "Requirements for X" are requirements."""
    text = "# Requirements for Clearway\n\nHello.\n\n## People\n\n- Ilse\n- Tomasz\n\n## Login\n\nUsers must log in.\n"
    assert titles(text) == ["Users must log in"]


def test_a_heading_with_an_id_takes_all_below_it() -> None:
    """One requirement, however many sentences and items describe it."""
    (card,) = cards(
        "### FR-3 Photo upload\n\nThe portal must accept photos.\n\n- JPEG\n\nIt must not fail.\n\nPriority: low\n"
    )
    assert told(card) == {
        "title": "FR-3: Photo upload",
        "priority": Priority.LOW,
        "constraints": ("It must not fail.",),
    }
    assert len(card.evidence) == 5


def test_a_lone_story_below_its_heading_is_the_same_card() -> None:
    """The heading names it, the story fills it, and labels and criteria complete it."""
    text = (
        "## User stories\n\n### US-1 Photos\n\n**As a** user, **I want** photos **so that** it is fast.\n\n"
        "**Acceptance criteria:**\n\n- Up to 20\n\n**Priority:** High\n\n### US-2 Film\n\nAs a user, I want film.\n"
    )
    first, second = cards(text)
    assert told(first) == {
        "title": "US-1: Photos",
        "target_users": ("user",),
        "desired_outcomes": ("it is fast", "Up to 20"),
        "priority": Priority.HIGH,
    }
    assert told(second) == {"title": "US-2: Film", "target_users": ("user",)}


def test_a_heading_over_several_stories_is_no_card() -> None:
    """It only groups them."""
    text = "## Feature: Intake\n\nAll about it.\n\n- As a user, I want A1.\n- As a user, I want B1.\n"
    assert titles(text) == ["A1", "B1"]


def test_a_heading_over_one_numbered_requirement_is_no_card() -> None:
    """Of the two, the requirement is the card."""
    assert titles("## Feature: Intake\n\nREQ-1: The system shall log.\n") == ["REQ-1: The system shall log"]


def test_a_heading_without_a_name_is_named_by_its_text() -> None:
    """Because "Requirement 4" alone is no title."""
    assert titles("## Requirement 4\n\nThe system shall log.\n\n## Use case UC-3: Pay\n") == [
        "The system shall log",
        "UC-3: Pay",
    ]


@pytest.mark.parametrize(
    "title",
    [
        "Glossary",
        "References",
        "Out of scope",
        "Not in scope for release 1",
        "Appendix A: Interviews",
        "Table of contents",
        "Revision history",
        "Open questions",
        "Glossary and abbreviations",
        "5. Next steps",
        "Won't have",
        "Attendees",
    ],
)
def test_nothing_below_some_headings_is_a_card(title: str) -> None:
    """Nor in the sections inside; the next heading of its level ends it."""
    below = "X must be Y.\n\n- REQ-1: Z\n\n### More\n\nAs a user, I want W.\n\n"
    text = f"## {title}\n\n{below}## Login\n\nUsers must log in.\n"
    assert titles(text) == ["Users must log in"]


def test_an_ignored_lead_in_ends_with_its_list() -> None:
    """As "Out of scope:" in the midst of a text, also on one line."""
    text = "Out of scope:\n- A must be B.\n- C\n\nOut of scope: D must be E.\n\nUsers must log in.\n"
    assert titles(text, "a.txt") == ["Users must log in"]


def test_a_telling_line_of_plain_text_ends_at_the_next_title() -> None:
    """Without markup, any short line of its own may be a heading."""
    text = "Glossary\n\nX must be Y.\n\nOther things\n\nUsers must log in.\n"
    assert titles(text, "a.txt") == ["Users must log in"]


def test_headings_of_plain_text_are_found_in_a_paragraph() -> None:
    """Capitals above a list, an underline, and a number that is no list."""
    assert titles("PAIN POINTS\n- Too slow\n- Too old\n", "a.txt") == ["Too slow", "Too old"]
    assert titles("1. Needs\nText\n", "a.txt") == []
    assert titles("1. Pain points\n\n- Too slow\n\n2. Glossary\n\nX must be Y.\n", "a.txt") == ["Too slow"]
    assert titles("Pain points\n~~~\n- Too slow\n", "a.txt") == ["Too slow"]


def test_labels_below_a_statement_of_the_same_block_belong_to_it() -> None:
    """A list item with its priority on the next line."""
    (card,) = cards("- The list must be short.\n  Priority: high\n")
    assert told(card) == {"title": "The list must be short", "priority": Priority.HIGH}


def test_a_label_of_a_problem_or_goal_alone_is_a_card() -> None:
    """Other labels alone are none, unless their value demands something."""
    assert [told(card) for card in cards("Some prose.\n\nProblem: it is slow\n")] == [
        {"title": "It is slow", "problem": "it is slow"}
    ]
    text = "Current state: Users must call.\n\nSystem: Kranich\n\nConstraint: Data must stay here.\n"
    assert titles(text.partition("\n\n")[2]) == ["Data must stay here"]
    assert titles(text.partition("\n\n")[0]) == []


def test_a_title_label_opens_a_card_if_fields_follow() -> None:
    """As in a form; the title of a letter opens none."""
    text = "Title: Search\nProblem: slow\nUsers: brokers\n\nTitle: Pay\nProblem: late\nPriority: low\n"
    assert [card.title for card in cards(text, "a.txt")] == ["Search", "Pay"]
    assert cards("Title: Search\nUsers: brokers\n", "a.txt") == []


def test_a_form_as_a_table_of_two_columns_is_one_card() -> None:
    """Use cases are often written as a table with the field in the first column."""
    rows = "| Problem | slow |\n| Users | brokers |\n| Priority | high |\n| x | y |\n| Impact | |\n"
    text = f"| Use case | Report a loss |\n|---|---|\n{rows}"
    (card,) = cards(text)
    assert told(card) == {
        "title": "Report a loss",
        "problem": "slow",
        "target_users": ("brokers",),
        "priority": Priority.HIGH,
    }
    assert quotes(card)[1] == "Problem | slow"


def test_lists_of_names_are_split_and_descriptions_are_not() -> None:
    """Systems and users at commas and "and", if all parts are short names."""
    text = "# Use case: X\n\nUsers: brokers, handlers in Graz, Linz and Tannfurt\n\nSystems: SAP, Kranich & HAFEN\n"
    (card,) = cards(text)
    assert card.target_users == ("brokers, handlers in Graz, Linz and Tannfurt",)
    assert card.systems == ("SAP", "Kranich", "HAFEN")
    (card,) = cards("# Use case: X\n\nUsers: handlers (Graz, Linz)\n\nSystems: the archive and the portal\n")
    assert card.target_users == ("handlers (Graz, Linz)",)
    assert card.systems == ("the archive and the portal",)


def test_a_use_case_opened_by_a_label_ends_with_its_paragraph() -> None:
    """Prose behind it is read for itself, and a numbered requirement too."""
    text = "Use case: Pay\nPriority: low\n\nBy bank.\n\nThe portal must be nice.\n"
    assert [told(card) for card in cards(text, "a.txt")] == [
        {"title": "Pay", "priority": Priority.LOW},
        {"title": "The portal must be nice"},
    ]


def test_a_document_without_headings_can_be_one_card() -> None:
    """Its problem names it."""
    (card,) = cards("Problem: The post is slow. Really.\nPriority: high\nImpact: money\n", "a.txt")
    assert told(card) == {
        "title": "The post is slow",
        "problem": "The post is slow. Really.",
        "priority": Priority.HIGH,
        "impact": "money",
    }


def test_a_name_ends_with_its_line() -> None:
    """What follows it is text, unless the line was broken within a sentence."""
    (card,) = cards("Use case: Pay\nBy bank, twice a day.\n", "a.txt")
    assert (card.title, quotes(card)) == ("Pay", ["Use case: Pay", "By bank, twice a day."])
    assert titles("Use case: Pay the bill\nof a garage\n", "a.txt") == ["Pay the bill of a garage"]


def test_use_cases_opened_by_labels_with_ids() -> None:
    """The id is kept, whether it stands before the name or in the label."""
    assert titles("Use case UC-3: Pay\n\nUse case: UC-4 Report\n\nUse case 5: Close\n", "a.txt") == [
        "UC-3: Pay",
        "UC-4: Report",
        "Close",
    ]


def test_an_announcement_without_a_topic_is_no_requirement() -> None:
    """The items below "The following must be kept in mind:" are."""
    text = "## Requirements\n\nThe following must be kept in mind:\n\n- Login\n- Film\n"
    assert titles(text) == ["Login", "Film"]


def test_each_item_completes_an_announcement_in_a_group_too() -> None:
    """With the announcement as evidence."""
    login, film = cards("## Requirements\n\nThe portal must:\n\n- have a login\n- show film\n")
    assert quotes(login) == ["have a login", "The portal must:"]
    assert film.title == "Show film"


def test_blocks_that_a_loader_left_together() -> None:
    """Other formats know no lists: a paragraph may hold headings, bullets, labels and numbered requirements."""
    text = (
        "Anna: The list must be short.\nBob: No.\n\nPAIN POINTS\n• Too slow\n  • on Mondays\n• Too old\n\n"
        "Use case: Pay\nGoals:\n1. fast\n2. right\nwithout\n12. errors\nREQ-1: Log in\nREQ-2: Log\nout\n"
    )
    where = Location(name="a", start=0, end=len(text), line=1)
    block = Block(kind=BlockKind.PARAGRAPH, text=text, location=where)
    whole = Document(upload_id="u", name="a", media_type="x/y", text=text, blocks=(block,))
    found = outline_cards(whole, 20)
    assert [card.title for card in found] == [
        "The list must be short",
        "Too slow",
        "Too old",
        "Pay",
        "REQ-1: Log in",
        "REQ-2: Log out",
    ]
    assert found[3].desired_outcomes == ("fast", "right without", "errors")
    assert [card.evidence[0].location.line for card in found] == [1, 5, 7, 9, 15, 16]
