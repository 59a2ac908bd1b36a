"""Rows of tables: which tables list requirements, and what their columns fill."""

from __future__ import annotations

from typing import Any

import pytest

from cardanalysis._models import AnalysisRequest, Card, Priority
from cardanalysis._uploads import Upload
from cardanalysis.analysis._outline import OutlineAnalyzer, outline_cards
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


def cards(text: str, name: str = "a.csv") -> list[Card]:
    return outline_cards(load(Upload.from_text(text, name)), 100)


def titles(text: str, name: str = "a.csv") -> list[str]:
    return [card.title for card in cards(text, name)]


def told(card: Card) -> dict[str, Any]:
    """The title and every field that is not empty."""
    return {"title": card.title} | {name: value for name in FIELDS if (value := getattr(card, name))}


def test_columns_fill_the_fields_they_name() -> None:
    """One card a row, cells split at semicolons and line breaks, and the whole row as evidence."""
    text = (
        "ID,Requirement,Problem,User group,Current state,Expected benefits,Constraints,Systems,Priority,"
        "Business value\n"
        'REQ-1,"Search, by ""name""",slow,"brokers; handlers","by telephone; by letter","fast\n- easy",'
        "none; audit,Kranich;HAFEN,Must,300k\n"
    )
    (card,) = cards(text)
    assert told(card) == {
        "title": 'REQ-1: Search, by "name"',
        "problem": "slow",
        "target_users": ("brokers", "handlers"),
        "current_state": "by telephone; by letter",
        "desired_outcomes": ("fast", "easy"),
        "constraints": ("none", "audit"),
        "systems": ("Kranich", "HAFEN"),
        "priority": Priority.HIGH,
        "impact": "300k",
    }
    (evidence,) = card.evidence
    assert evidence.quote == text.partition("\n")[2].rstrip("\n")
    assert (evidence.location.line, evidence.location.end_line) == (2, 3)


def test_a_story_in_a_cell_is_read_as_one() -> None:
    """It names the row, unless a title column does; a user column comes before the story's role."""
    text = (
        "Key\tTitle\tUser story\tUsers\n"
        "US-1\t\tAs a broker, I want to search so that I find\t\n"
        "US-2\tFilm\tAs a broker, I want film so that I see\tbrokers; adjusters\n"
    )
    first, second = cards(text, "a.tsv")
    assert told(first) == {
        "title": "US-1: Search",
        "target_users": ("broker",),
        "desired_outcomes": ("I find",),
    }
    assert told(second) == {
        "title": "US-2: Film",
        "target_users": ("brokers", "adjusters"),
        "desired_outcomes": ("I see",),
    }


def test_a_story_spread_over_columns() -> None:
    """As a | I want | So that."""
    (card,) = cards("As a,I want,So that\nbroker,to see claims,I can answer\n")
    assert told(card) == {
        "title": "See claims",
        "target_users": ("broker",),
        "desired_outcomes": ("I can answer",),
    }


@pytest.mark.parametrize(
    ("header", "row", "title"),
    [
        ("Use case,Owner", "Report a loss,Ann", "Report a loss"),
        ("No,Feature", "1,Photo upload", "Photo upload"),
        ("Pain point,Since", "Too slow,2019", "Too slow"),
        ("Functional requirements,x", "Log in,y", "Log in"),
        ("Planned change,System", "Read interface,Kranich", "Read interface"),
        ("Title,Priority", "Photo upload,high", "Photo upload"),
        ("Summary,Expected outcome", "Photo upload,fast", "Photo upload"),
        ("Name,Description,Impact", "Ann,Photo upload,fast", "Ann"),
        ("Name,Requirement", "Ann Smith,Photo upload", "Photo upload"),
        ("user_story,prio", "Log in,1", "Log in"),
        ("Requirement,Value", "Log in,300k", "Log in"),
        ("Requirement (short),Comment", "Log in,-", "Log in"),
    ],
)
def test_a_header_that_names_requirements(header: str, row: str, title: str) -> None:
    """A requirement column suffices; a title needs a column beside it that tells more."""
    assert titles(f"{header}\n{row}\n") == [title]


@pytest.mark.parametrize(
    "text",
    [
        "Name,Phone\nAnn,123 456\n",
        "Name,Role,E-mail\nAnn,broker,a@b.c\n",
        "Name,Value\nTimeout,30 seconds\n",
        "Term,Description\nFNOL,The moment that must be known\n",
        "System,Owner\nKranich,Claims IT department\n",
        "Step,Duration\nOpen the claim,3 minutes\n",
        "Requirement,Priority\n,high\n",
        "Requirement,Priority\n-,high\ntbd,low\n",
        "a user-friendly page,x\nNothing to see here,y\n",
    ],
)
def test_a_table_of_other_things_gives_no_card(text: str) -> None:
    """Contacts, settings, terms, steps; and rows that name nothing."""
    assert cards(text) == []


def test_rows_that_say_no_are_left_out() -> None:
    """Won't have, rejected, out of scope."""
    text = "Requirement,MoSCoW,Status\nA b,M,open\nC d,W,open\nE f,S,rejected\nG h,C,\nI j,Won't have,\n"
    document = load(Upload.from_text(text, "a.csv"))
    found = outline_cards(document, 100)
    assert [(card.title, card.priority) for card in found] == [("A b", Priority.HIGH), ("G h", Priority.LOW)]


@pytest.mark.anyio
async def test_the_note_about_rejected_rows() -> None:
    """It counts them, so that nothing vanishes silently."""
    document = load(Upload.from_text("Requirement,Status\nA b,open\nC d,dropped\n", "a.csv"))
    analysis = await OutlineAnalyzer().analyze(document, AnalysisRequest())
    assert analysis.notes == ("1 table row left out, being marked as not to be done.",)


@pytest.mark.parametrize(
    ("cell", "priority"),
    [
        ("High", Priority.HIGH),
        ("must have", Priority.HIGH),
        ("P1", Priority.HIGH),
        ("1", Priority.HIGH),
        ("Critical!", Priority.HIGH),
        ("1 - High", Priority.HIGH),
        ("High (audit)", Priority.HIGH),
        ("Should", Priority.MEDIUM),
        ("P2 - soon", Priority.MEDIUM),
        ("**Medium**", Priority.MEDIUM),
        ("Nice-to-have", Priority.LOW),
        ("low priority", Priority.LOW),
        ("not high", None),
        ("high or low", None),
        ("high/medium", None),
        ("soon", None),
        ("M", None),
    ],
)
def test_priorities_are_read_in_their_usual_words(cell: str, priority: Priority | None) -> None:
    """What names none, or two of them, is left empty instead of guessed."""
    (card,) = cards(f"Requirement,Priority\nLog in,{cell}\n")
    assert card.priority is priority


def test_a_row_without_a_telling_header_needs_a_story_or_a_statement() -> None:
    """One card a row; other rows are none."""
    text = (
        "A,B,C\nREQ-1,x,The system shall log.\n2,As a user I want film.,x\n3,hello there all,x\nFR-4,Log all access,x\n"
    )
    assert titles(text) == ["REQ-1: The system shall log", "Film", "FR-4: Log all access"]


def test_a_table_below_a_requirements_heading_needs_no_telling_header() -> None:
    """The heading tells; its priority holds for the rows."""
    rows = "| 1 | Single sign on | all |\n| 2 | ok | |\n"
    text = f"# Requirements\n\n## Must have\n\n| # | What | Who |\n|---|---|---|\n{rows}"
    (card,) = cards(text, "a.md")
    assert told(card) == {"title": "Single sign on", "priority": Priority.HIGH}


def test_an_id_inside_the_text_of_a_cell() -> None:
    """Without a column for it, it is found at the start of the requirement."""
    assert titles("Requirement,Priority\nREQ-1: Log in,low\nFR-2 Log out,low\n") == ["REQ-1: Log in", "FR-2: Log out"]


def test_a_row_longer_or_shorter_than_its_header() -> None:
    """Cells without a column are ignored."""
    assert titles("Requirement,Priority\nLog in,high,extra\nLog out\n") == ["Log in", "Log out"]


def test_a_table_below_an_ignored_heading_gives_no_card() -> None:
    """A glossary of requirement words is a glossary."""
    assert cards("# Glossary\n\n| Requirement | Priority |\n|---|---|\n| Log in | high |\n", "a.md") == []
