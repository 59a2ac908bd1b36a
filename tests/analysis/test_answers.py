"""The schema of an answer, and how answers become cards."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardanalysis import _models
from cardanalysis.analysis._answers import CARDS_SCHEMA, InvalidAnswer, parse_cards

CARD: dict[str, Any] = {
    "quotes": ["Clerks retype every order.", "by 1 March"],
    "title": "Import orders",
    "problem": "Orders are retyped.",
    "target_users": ["clerks"],
    "current_state": "By hand.",
    "desired_outcomes": ["No retyping", "Fewer errors"],
    "constraints": [],
    "systems": ["SAP"],
    "priority": "high",
    "impact": "",
}


def answer(*cards: dict[str, Any]) -> str:
    return json.dumps({"cards": list(cards)})


def test_an_answer_becomes_cards() -> None:
    """Each field of the answer is the card's field of that name, and the maker is recorded."""
    (card,) = parse_cards(answer(CARD), made_by="claude-sonnet-5-5")
    assert card == _models.Card(
        quotes=("Clerks retype every order.", "by 1 March"),
        title="Import orders",
        problem="Orders are retyped.",
        target_users=("clerks",),
        current_state="By hand.",
        desired_outcomes=("No retyping", "Fewer errors"),
        systems=("SAP",),
        priority=_models.Priority.HIGH,
        made_by="claude-sonnet-5-5",
    )


def test_an_answer_may_hold_no_cards() -> None:
    """A document that asks for nothing has no cards."""
    assert parse_cards('{"cards": []}', made_by="m") == ()


@pytest.mark.parametrize(("said", "meant"), [("unstated", None), ("Unstated", None), ("HIGH", "high"), ("Low", "low")])
def test_priorities_are_read_in_any_case(said: str, meant: str | None) -> None:
    """The API does not promise the case of enum members; unstated means none."""
    (card,) = parse_cards(answer(CARD | {"priority": said}), made_by="m")
    assert card.priority == meant


def test_fields_are_trimmed_and_blank_entries_left_out() -> None:
    """White space around a field is no part of it, and a blank entry is none."""
    ragged = CARD | {"title": "  Import \n", "systems": [" SAP ", " ", ""], "quotes": ["\nby 1 March "]}
    (card,) = parse_cards(answer(ragged), made_by="m")
    assert (card.title, card.systems, card.quotes) == ("Import", ("SAP",), ("by 1 March",))


def test_half_surrogates_in_an_answer_become_text() -> None:
    """A lone surrogate, which JSON can escape and no store can encode, is replaced."""
    (card,) = parse_cards(answer(CARD | {"title": "Import \ud83d", "systems": ["\udc00"]}), made_by="m")
    assert (card.title, card.systems) == ("Import \ufffd", ("\ufffd",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The answer is empty."),
        (" \n", "The answer is empty."),
        ("Here are the cards: []", "The answer is not valid JSON."),
        ('{"cards": [', "The answer is not valid JSON."),
        ("[" * 100_000, "The answer is not valid JSON."),
        ("[]", "answer must be an object, not a list."),
        ('{"cards": null}', "cards must be a list, not null."),
        (answer(CARD, CARD | {"title": " "}), "cards[1].title must not be blank."),
        (answer(CARD, CARD | {"priority": "urgent"}), "cards[1].priority must be one of high, medium, low, unstated."),
        (answer({k: v for k, v in CARD.items() if k != "impact"}), "cards[0].impact is missing."),
        (answer(CARD | {"target_users": "clerks"}), "cards[0].target_users must be a list, not text."),
    ],
)
def test_what_is_no_list_of_cards_is_refused_by_its_first_fault(text: str, message: str) -> None:
    """An answer is believed only if it fits; the error names the place and repeats nothing."""
    with pytest.raises(InvalidAnswer) as caught:
        parse_cards(text, made_by="m")
    assert str(caught.value) == message
    assert caught.value.__cause__ is None


@given(st.text())
def test_prose_is_never_searched_for_cards(text: str) -> None:
    """Only a whole JSON answer gives cards: with anything around it there are none."""
    with pytest.raises(InvalidAnswer):
        parse_cards(f"x{text}{answer(CARD)}", made_by="m")


def _objects(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if schema.get("type") == "object":
        yield schema
    for part in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
        yield from _objects(part)


def test_the_schema_keeps_to_the_limits_of_structured_outputs() -> None:
    """Every property is required, no others are allowed, there are no unions, and only plain keywords are used."""
    for schema in _objects(CARDS_SCHEMA):
        assert schema["required"] == list(schema["properties"])
        assert schema["additionalProperties"] is False
    keywords = {"type", "properties", "required", "additionalProperties", "items", "enum", "cards", *CARD}
    assert set(_keys(CARDS_SCHEMA)) <= keywords


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        for part in value.values():
            yield from _keys(part)


def test_the_schema_survives_json_in_order() -> None:
    """The schema is plain JSON, and evidence comes before the claims, which the model writes in this order."""
    schema = json.loads(json.dumps(CARDS_SCHEMA))
    assert schema == CARDS_SCHEMA
    assert list(schema["properties"]["cards"]["items"]["properties"])[:2] == ["quotes", "title"]
