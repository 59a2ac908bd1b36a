"""A value that fits a JSON schema, always the same for the same schema; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ._json import is_array

__all__ = ["example"]

_TEXTS = {
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "date": "2026-01-31",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}

_BETWEEN_WORDS = re.compile(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])")


def example(schema: dict[str, Any]) -> Any:
    """A value that fits a schema which the API takes.

    Of an enum, of anyOf and of several types it is the first, of an array one element, of an object every property,
    the required ones first; numbers are 1, booleans true, and a string is the property's name in words, or what its
    format asks for. A ``pattern`` is not looked at.
    """
    return _example(schema, "text", schema)


def _example(schema: dict[str, Any], name: str, root: dict[str, Any]) -> Any:
    schema = _resolve(schema, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    kind = _type(schema)
    if kind == "object":
        return {key: _example(child, key, root) for key, child in _in_order(schema)}
    if kind == "array":
        return [_example(schema.get("items", {}), name, root)]
    if kind == "string":
        return _TEXTS.get(schema.get("format", ""), _words(name))
    return {"integer": 1, "number": 1.0, "boolean": True}.get(kind)


def _resolve(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """The schema with the definition it refers to, the parts of its allOf and the first of its anyOf put in."""
    rest = {key: value for key, value in schema.items() if key not in ("$ref", "allOf", "anyOf")}
    for part in _parts(schema, root):
        rest = _merge(rest, _resolve(part, root))
    return rest


def _parts(schema: dict[str, Any], root: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "$ref" in schema:
        _, keyword, name = schema["$ref"].split("/")
        yield root[keyword][name]
    yield from schema.get("allOf", ())
    yield from schema.get("anyOf", ())[:1]


def _merge(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    merged = {**one, **other, "required": [*one.get("required", ()), *other.get("required", ())]}
    if "properties" in one:
        merged["properties"] = {**one["properties"], **other.get("properties", {})}
    return merged


def _type(schema: dict[str, Any]) -> str:
    if "type" not in schema:
        return "object" if "properties" in schema else "array" if "items" in schema else "string"
    given = schema["type"]
    return str(given[0] if is_array(given) else given)


def _in_order(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The properties as the model writes them: the required ones first, then the others."""
    properties, required = schema.get("properties", {}), schema.get("required", ())
    for wanted in (True, False):
        yield from ((key, child) for key, child in properties.items() if (key in required) is wanted)


def _words(name: str) -> str:
    """A property's name in words: ``currentState`` and ``current_state`` are both ``current state``."""
    return _BETWEEN_WORDS.sub(" ", name).strip().lower() or "text"
