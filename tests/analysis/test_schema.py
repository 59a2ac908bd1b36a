"""The validator of the JSON-schema subset."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardanalysis.analysis._schema import Schema, first_violation, fits, violations

CARD: Schema = {
    "type": "object",
    "properties": {
        "title": {"type": "string"},
        "priority": {"type": "string", "enum": ["high", "low"]},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["title", "priority", "tags"],
    "additionalProperties": False,
}
ANSWER: Schema = {
    "type": "object",
    "properties": {"cards": {"type": "array", "items": CARD}},
    "required": ["cards"],
    "additionalProperties": False,
}
GOOD = {"title": "t", "priority": "high", "tags": ["a"]}


def test_a_value_that_fits_has_no_violation() -> None:
    """A value that fits gives None."""
    assert first_violation({"cards": [GOOD, GOOD]}, ANSWER) is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "answer must be an object, not null."),
        ([GOOD], "answer must be an object, not a list."),
        ({}, "cards is missing."),
        ({"cards": {}}, "cards must be a list, not an object."),
        ({"cards": [1.5]}, "cards[0] must be an object, not a number."),
        ({"cards": [GOOD, GOOD | {"title": 7}]}, "cards[1].title must be text, not a whole number."),
        ({"cards": [GOOD | {"priority": "urgent"}]}, "cards[0].priority must be one of high, low."),
        ({"cards": [GOOD | {"tags": "a"}]}, "cards[0].tags must be a list, not text."),
        ({"cards": [GOOD | {"tags": ["a", True]}]}, "cards[0].tags[1] must be text, not true or false."),
        ({"cards": [{"title": "t", "tags": []}]}, "cards[0].priority is missing."),
        ({"cards": [GOOD | {"secret": 1}]}, "cards[0] must have no properties but title, priority, tags."),
    ],
)
def test_the_first_violation_is_named_by_its_path(value: object, message: str) -> None:
    """The message holds the path and what is expected."""
    assert first_violation(value, ANSWER) == message


def test_all_violations_are_found() -> None:
    """Violations of different parts are all reported, each once."""
    value = {"cards": [{"title": 1, "priority": "x", "tags": []}, GOOD, 5]}
    assert list(violations(value, ANSWER)) == [
        "cards[0].title must be text, not a whole number.",
        "cards[0].priority must be one of high, low.",
        "cards[2] must be an object, not a whole number.",
    ]


@pytest.mark.parametrize("value", ["HIGH", "High", " low "])
def test_enums_are_compared_without_regard_to_case(value: str) -> None:
    """The API does not promise the capitalisation of enum members."""
    assert first_violation({"cards": [GOOD | {"priority": value}]}, ANSWER) is None


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("integer", 3, True),
        ("integer", 3, 3.5),
        ("number", 3.5, False),
        ("number", 3, "3"),
        ("boolean", True, 1),
        ("null", None, 0),
        ("string", "", None),
    ],
)
def test_types_are_those_of_json(kind: str, good: object, bad: object) -> None:
    """True is no number, a fraction is no integer, and so on."""
    assert first_violation(good, {"type": kind}) is None
    assert first_violation(bad, {"type": kind}, name="it").startswith("it must be ")  # type: ignore[union-attr]


def test_an_enum_of_other_values_is_compared_as_it_is() -> None:
    """Numbers in an enum are compared by value."""
    assert first_violation(2, {"enum": [1, 2]}) is None
    assert first_violation(3, {"enum": [1, 2]}) == "answer must be one of 1, 2."


def test_an_object_without_properties_allows_none() -> None:
    """Other properties are refused without properties too."""
    closed = {"type": "object", "additionalProperties": False}
    assert first_violation({}, closed) is None
    assert first_violation({"a": 1}, closed) == "answer must have no properties but none."


@pytest.mark.parametrize("schema", [{"minimum": 1}, {"anyOf": []}, {"additionalProperties": True}])
def test_what_is_not_checked_is_refused(schema: Schema) -> None:
    """A keyword that is not known is never taken for satisfied."""
    with pytest.raises(NotImplementedError):
        first_violation({}, schema)


def test_descriptions_say_nothing_about_a_value() -> None:
    """Titles and descriptions are passed over."""
    assert first_violation(1, {"title": "t", "description": "d", "type": "integer"}) is None


def test_a_foreign_kind_of_value_is_named_by_its_class() -> None:
    """A value that JSON does not have is reported, not crashed on."""
    assert first_violation(b"", {"type": "string"}) == "answer must be text, not bytes."


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda part: (
        st.lists(part, max_size=3) | st.dictionaries(st.sampled_from(["cards", "title", "x"]), part, max_size=3)
    ),
    max_leaves=12,
)


@given(_JSON)
def test_any_json_value_gets_a_verdict(value: Any) -> None:
    """No JSON value makes the validator raise, and a verdict is a sentence."""
    verdict = first_violation(json.loads(json.dumps(value)), ANSWER)
    assert verdict is None or verdict.endswith(".")


@given(st.text(min_size=8), st.sampled_from(["key", "title", "priority", "tags"]))
def test_a_message_repeats_nothing_of_the_value(secret: str, where: str) -> None:
    """Neither foreign values nor foreign property names come back in a message."""
    marked = f"«{secret}»"
    card: dict[str, Any] = GOOD | {marked: 1} if where == "key" else GOOD | {where: {marked: marked}}
    verdict = first_violation({"cards": [card]}, ANSWER)
    assert verdict is not None
    assert marked not in verdict


MIXED: Schema = {
    "type": "object",
    "properties": {
        "a": {"type": "string"},
        "b": {
            "type": "array",
            "items": {"type": "object", "properties": {}, "required": [], "additionalProperties": False},
        },
        "c": {"type": "string", "enum": ["x", "Y"]},
    },
    "required": ["a", "b", "c"],
    "additionalProperties": False,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["x", "y", "z"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=6,
)


@pytest.mark.parametrize("schema", [MIXED, {**MIXED, "required": ["a"]}, {"type": "integer"}])
@given(value=JSON | st.fixed_dictionaries({"a": JSON, "b": JSON, "c": JSON}))
def test_the_quick_check_and_the_explaining_one_agree(schema: Schema, value: object) -> None:
    """What fits has no violation, and what does not has one."""
    assert fits(schema)(value) == (first_violation(value, schema) is None)
