"""The default answer: a value that fits the schema that was asked for."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cardanalysis.testing._examples import example
from cardanalysis.testing._prompts import count_input_tokens, user_text
from cardanalysis.testing._schema_checks import schema_problem

TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def fits(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """A plain validator of the subset that the API takes, written apart from the code under test."""
    if "$ref" in schema and not fits(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root):
        return False
    if not all(fits(value, part, root) for part in schema.get("allOf", ())):
        return False
    if "anyOf" in schema and not any(fits(value, part, root) for part in schema["anyOf"]):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        kinds = [name for name in names if isinstance(value, TYPES[name])]
        if isinstance(value, bool):
            kinds = [name for name in kinds if name == "boolean"]
        if not kinds:
            return False
    if isinstance(value, dict) and "properties" in schema:
        properties = schema["properties"]
        return (
            value.keys() <= properties.keys()
            and value.keys() >= set(schema.get("required", ()))
            and all(fits(value[key], properties[key], root) for key in value)
        )
    if isinstance(value, list):
        enough = len(value) >= schema.get("minItems", 0)
        return enough and all(fits(part, schema.get("items", {}), root) for part in value)
    return True


NAMES = st.text(alphabet="abXY_1é", min_size=1, max_size=6)
SCALARS = st.sampled_from(
    [
        *({"type": name} for name in ("string", "integer", "number", "boolean", "null")),
        {"type": ["integer", "null"]},
        {"type": "string", "format": "uuid"},
        {"enum": ["low", "high"]},
        {"const": 7},
        {"$ref": "#/$defs/one"},
        {"$ref": "#/$defs/two"},
        {},
    ]
)


def objects(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    def build(properties: dict[str, Any], optional: set[str]) -> dict[str, Any]:
        required = [name for name in properties if name not in optional]
        return {"type": "object", "additionalProperties": False, "properties": properties, "required": required}

    return st.builds(build, st.dictionaries(NAMES, inner, max_size=4), st.sets(NAMES, max_size=2))


SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: (
        objects(inner)
        | st.builds(lambda items, least: {"type": "array", "items": items, "minItems": least}, inner, st.integers(0, 1))
        | st.builds(lambda parts: {"anyOf": parts}, st.lists(inner, min_size=1, max_size=3))
        | st.builds(lambda part: {"allOf": [{"description": "x"}, part]}, inner.filter(lambda part: "$ref" not in part))
    ),
    max_leaves=8,
)
DEFINITIONS = {
    "one": {"type": "object", "additionalProperties": False, "properties": {"a": {"$ref": "#/$defs/two"}}},
    "two": {"type": "array", "items": {"enum": [3, 4]}, "minItems": 1},
}


@given(SCHEMAS)
@settings(deadline=None, max_examples=200)
def test_the_example_fits_the_schema(schema: dict[str, Any]) -> None:
    """Whatever schema the API takes, the example fits it, is JSON, and is the same the next time."""
    schema = schema | {"$defs": DEFINITIONS}
    assume(schema_problem([("schema", schema)]) is None)
    value = example(schema)
    assert fits(value, schema, schema)
    assert json.loads(json.dumps(value)) == value == example(schema)


def test_strings_are_named_after_their_property() -> None:
    """A string is its property's name in words, also within a list, and has the format that is asked for."""
    names = ("current_state", "targetUsers", "HTTPCode", "v2", "___")
    properties: dict[str, Any] = {name: {"type": "string"} for name in names}
    properties |= {"pain_points": {"type": "array", "items": {"type": "string"}}}
    properties |= {"due": {"type": "string", "format": "date"}}
    value = example({"type": "object", "additionalProperties": False, "properties": properties})
    assert value == {
        "current_state": "current state",
        "targetUsers": "target users",
        "HTTPCode": "httpcode",
        "v2": "v2",
        "___": "text",
        "pain_points": ["pain points"],
        "due": "2026-01-31",
    }


def test_required_properties_come_first() -> None:
    """As the model does, the example writes the required properties in the schema's order, then the others."""
    properties = {name: {"type": "integer"} for name in ("a", "b", "c", "d")}
    assert list(example({"type": "object", "properties": properties, "required": ["d", "b"]})) == ["b", "d", "a", "c"]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"enum": ["low", "high"]}, "low"),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}]}, True),
        ({"type": ["null", "string"]}, None),
        ({"type": "number"}, 1.0),
        ({"items": {"type": "integer"}}, [1]),
        ({"properties": {"a": {"const": {"b": 1}}}}, {"a": {"b": 1}}),
        ({"$ref": "#/definitions/x", "definitions": {"x": {"type": "integer"}}}, 1),
        ({}, "text"),
    ],
)
def test_which_value_is_taken(schema: dict[str, Any], expected: object) -> None:
    """The first of several, one element, ones and true."""
    assert example(schema) == expected


def test_parts_of_all_of_are_put_together() -> None:
    """The properties of all parts of an allOf, and its own, are there."""
    parts = [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"b": {"type": "boolean"}}}]
    assert example({"allOf": parts, "properties": {"c": {"type": "null"}}}) == {"a": 1, "c": None, "b": True}


# --- what a prompt says and weighs ------------------------------------------------------------------------------------


def message(content: object, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"messages": [message("abcde")]}, 2),
        ({"messages": [message("abcd"), message("efgh", "assistant")], "system": "ijkl"}, 3),
        ({"messages": [message([{"type": "text", "text": "abcd", "cache_control": {"type": "ephemeral"}}])]}, 1),
        ({"messages": [message([{"type": "image", "source": {"type": "base64", "data": "x" * 9999}}])]}, 1_600),
        (
            {
                "messages": [
                    message([{"type": "document", "title": "abcd", "source": {"type": "file", "file_id": "f"}}])
                ]
            },
            1_601,
        ),
        ({"messages": [message([{"type": "tool_result", "content": [{"type": "text", "text": "abcd"}]}])]}, 1),
        ({"messages": [], "tools": [{"a": 1}]}, 3),
        ({"messages": [], "output_config": {"format": {"schema": {"a": 1}}}}, 2),
        ({}, 0),
        (None, 0),
        ([], 0),
    ],
)
def test_how_many_tokens_a_prompt_is_taken_for(body: object, tokens: int) -> None:
    """A quarter of the characters of texts, tools and schema, and 1,600 for each image or file."""
    assert count_input_tokens(body) == tokens


@pytest.mark.parametrize("body", [None, [], {}, {"messages": "x"}, {"messages": [1, {"role": "user"}]}])
def test_a_body_without_messages_has_no_text(body: object) -> None:
    """A body of another form has no user text, and does no harm."""
    assert user_text(body) == ""
