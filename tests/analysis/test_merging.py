"""Cards of several answers: mentions of one need become one card, and two needs stay two."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve, fields
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis._documents import Location
from cardanalysis._models import Card, Evidence, Priority, RejectedQuote
from cardanalysis.analysis._merging import merge


def titles(*cards: Card) -> list[str]:
    return [card.title for card in merge(cards)]


def named(title: str, **values: Any) -> Card:
    return Card(title=title, **values)


# -- Which cards are the same


@pytest.mark.parametrize(
    "other",
    [
        "Import orders",
        "  import\u00a0ORDERS. ",
        "\u201cImport orders\u201d",
        "Import, orders!",
        "**Import** orders",
        "Import\u2013orders",
        "Import/orders",
        "Im\u00adport orders",
    ],
)
def test_titles_that_differ_in_nothing_but_looks_are_the_same_need(other: str) -> None:
    """Case, white space, punctuation and invisible characters tell no two needs apart."""
    assert titles(named("Import orders"), named(other)) == ["Import orders"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Import orders", "Export orders"),
        ("Import orders", "Import orders daily"),
        ("Import orders", "Orders import"),
        ("Move data from A to B", "Move data from B to A"),
        ("Users can export", "Users can't export"),
        ("Compile C++", "Compile C#"),
        ("Round to 1.5", "Round to 15"),
        ("Close at 12:30", "Close at 12 30"),
        ("Cool to -20 degrees", "Cool to 20 degrees"),
        ("Accept > 5 files", "Accept < 5 files"),
        ("Pay 5 %", "Pay 5"),
        ("Schön drucken", "Schon drucken"),
        ("???", "!!!"),
        ("...", "-"),
        ("\u200b", "\u00ad"),
    ],
)
def test_titles_that_may_differ_in_meaning_stay_two(one: str, other: str) -> None:
    """Words, their order, figures and signs with a meaning tell needs apart."""
    assert titles(named(one), named(other)) == [one, other]


@pytest.mark.parametrize("other", ["The photo uploads", "Photo upload", "A photo upload."])
def test_nearly_the_same_title_needs_the_same_quotes(other: str) -> None:
    """Articles and a plural are overlooked if the cards stand on the same passages."""
    first = named("Photo uploads", quotes=["Customers send photos.", "Up to 20"])
    same = named(other, quotes=["up to 20", "Customers  send photos."])
    assert titles(first, same) == ["Photo uploads"]
    assert titles(first, evolve(same, quotes=["Up to 20"])) == ["Photo uploads", other]
    assert titles(evolve(first, quotes=[]), evolve(same, quotes=[])) == ["Photo uploads", other]


def test_one_passage_may_hold_two_needs() -> None:
    """The same quotes alone make no two cards the same."""
    quotes = ["Export to CSV and PDF."]
    assert titles(named("Export to CSV", quotes=quotes), named("Export to PDF", quotes=quotes)) == [
        "Export to CSV",
        "Export to PDF",
    ]


def test_blank_quotes_prove_nothing() -> None:
    """Cards with nothing but empty quotes do not stand on the same passage."""
    assert len(merge([named("The report", quotes=[""]), named("Report", quotes=[" "])])) == 2


def test_quotes_that_were_looked_up_count_too() -> None:
    """Evidence is a quote as well."""
    place = Location(name="a.txt", start=0, end=4)
    first = named("A report", evidence=[Evidence(quote="Word", location=place)])
    assert len(merge([first, named("Reports", quotes=["word"])])) == 1


def test_different_priorities_stay_two() -> None:
    """What the document wants at once and what can wait are not one card; an unstated priority fits to any."""
    high, low, none = (named("Report", priority=each) for each in (Priority.HIGH, Priority.LOW, None))
    assert merge([high, low, none, low]) == (high, low)
    assert merge([none, low, high]) == (low, high)


# -- What a merged card holds


def test_a_merged_card_keeps_what_all_mentions_say() -> None:
    """Lists are united in order; of other fields the first text stays, and an empty one is filled."""
    place = Location(name="a.txt", start=0, end=1)
    first = named(
        "Report",
        problem="Nobody knows.",
        target_users=["Auditors"],
        constraints=["By May", "No paper"],
        quotes=["q1", "q2"],
        made_by="m",
    )
    second = named(
        "report.",
        problem="It is unknown.",
        target_users=["auditors", "Clerks"],
        current_state="By hand.",
        desired_outcomes=["Less work"],
        constraints=["no  paper", "In English"],
        systems=["SAP"],
        priority=Priority.HIGH,
        impact="10 hours a week",
        quotes=["q2", "Q1", "q3"],
        evidence=[Evidence(quote="e", location=place)],
        rejected_quotes=[RejectedQuote(quote="r", reason="not_found")],
        made_by="m",
    )
    assert merge([first, second]) == (
        named(
            "Report",
            problem="Nobody knows.",
            target_users=["Auditors", "Clerks"],
            current_state="By hand.",
            desired_outcomes=["Less work"],
            constraints=["By May", "No paper", "In English"],
            systems=["SAP"],
            priority=Priority.HIGH,
            impact="10 hours a week",
            quotes=["q1", "q2", "Q1", "q3"],
            evidence=second.evidence,
            rejected_quotes=second.rejected_quotes,
            made_by="m",
        ),
    )


def test_every_field_of_a_card_is_thought_of() -> None:
    """A field that cards get later must be merged too."""
    known = {"title", "problem", "target_users", "current_state", "desired_outcomes", "constraints", "systems", "id"}
    known |= {"priority", "impact", "evidence", "rejected_quotes", "quotes", "upload_id", "made_by", "pictures"}
    assert {each.name for each in fields(Card)} == known


def test_a_card_that_is_alone_stays_as_it_is() -> None:
    """Nothing is tidied up in cards that are not merged."""
    card = named(" Report ", quotes=["q", "q"], systems=["SAP", "sap"])
    assert merge([card, named("Other")])[0] is card


def test_no_cards_are_no_cards() -> None:
    """There may be nothing to merge."""
    assert merge([]) == ()


# -- For all cards

words = st.lists(st.sampled_from(["the", "report", "Reports", "csv", "pdf", "-", "1.5", "15"]), min_size=1, max_size=3)
cards = st.builds(
    Card,
    title=words.map(" ".join),
    problem=st.sampled_from(["", "p1", "p2"]),
    systems=st.lists(st.sampled_from(["SAP", "sap", "HAFEN"]), max_size=2),
    quotes=st.lists(st.sampled_from(["q1", "Q1", "q2", ""]), max_size=2),
    priority=st.sampled_from([None, None, "high", "low"]),
)


@settings(max_examples=100)
@given(st.lists(cards, max_size=8))
def test_merging_loses_nothing_and_can_be_repeated(cards: list[Card]) -> None:
    """Every quote and value stays, survivors keep their order, and a second merging finds nothing to do."""
    merged = merge(cards)
    assert merge(merged) == merged
    assert {quote for card in merged for quote in card.quotes} == {quote for card in cards for quote in card.quotes}
    systems = {name.lower() for card in cards for name in card.systems}
    assert {name.lower() for card in merged for name in card.systems} == systems
    assert {card.priority for card in merged} | {None} == {card.priority for card in cards} | {None}
    rest = iter(card.title for card in cards)
    assert all(card.title in rest for card in merged)
    assert len({card.title.casefold() for card in merged}) <= len(merged) <= len(cards)


@settings(max_examples=50)
@given(st.sets(st.integers(0, 999), max_size=12), st.lists(st.sampled_from(["q1", "q2"]), max_size=2))
def test_distinct_titles_stay_distinct(numbers: set[int], quotes: list[str]) -> None:
    """Cards whose titles name different things are never merged, whatever they quote."""
    cards = [named(f"Requirement {number} of the portal", quotes=quotes) for number in sorted(numbers)]
    assert merge(cards) == tuple(cards)


def test_mentions_far_apart_are_found_among_many_cards() -> None:
    """All mentions become one card, in the place of the first."""
    cards = [named(f"Need {number % 1_000}", quotes=[f"q{number}"]) for number in range(3_000)]
    merged = merge(cards)
    assert len(merged) == 1_000
    assert merged[7].quotes == ("q7", "q1007", "q2007")
