"""What the API refuses in a schema of a structured output or a strict tool; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ._json import is_array, is_object

__all__ = ["MAX_OPTIONAL", "MAX_UNIONS", "schema_problem"]

MAX_OPTIONAL = 24
"""How many properties of all schemas of a request may be optional."""

MAX_UNIONS = 16
"""How many places of all schemas of a request may have a union type."""

_TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")

_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}

_UNSUPPORTED = {
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength"),
    *("maxItems", "uniqueItems", "prefixItems", "additionalItems", "unevaluatedItems"),
    *("contains", "minContains", "maxContains"),
    *("minProperties", "maxProperties", "patternProperties", "propertyNames", "unevaluatedProperties"),
    *("oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "dependencies"),
    *("$dynamicRef", "$recursiveRef"),
}

_KINDS: dict[str, tuple[type, str]] = {
    **dict.fromkeys(("properties", "$defs", "definitions"), (dict, "dictionary")),
    **dict.fromkeys(("required", "enum", "anyOf", "allOf"), (list, "list")),
    **dict.fromkeys(("format", "pattern", "$ref"), (str, "string")),
}

_REFERENCE = re.compile(r"#/(\$defs|definitions)/([^/]+)")

_UNSUPPORTED_PATTERN = re.compile(r"\(\?(?:[=!]|<[=!])|\\[1-9bB]|\(\?P=")
"""Lookaround, backreferences and word boundaries."""


class _Problem(Exception):
    """What is wrong with a schema, and where in it."""


def schema_problem(schemas: Iterable[tuple[str, object]]) -> str | None:
    """The first thing the API would refuse in the schemas of one request, or None.

    Args:
        schemas: Each schema, with its place in the request.
    """
    optional = unions = 0
    try:
        for place, root in schemas:
            for where, schema in _walk(place, root):
                _check(where, schema, root)
                optional += _count_optional(schema)
                unions += _is_union(schema)
            _check_recursion(place, root)
    except _Problem as problem:
        return str(problem)
    if optional > MAX_OPTIONAL:
        return (
            f"Schemas contain too many optional parameters ({optional}), which would make grammar compilation "
            f"inefficient. Reduce the number of optional parameters in your schemas (limit: {MAX_OPTIONAL})."
        )
    if unions > MAX_UNIONS:
        return f"Schemas contain too many parameters with union types ({unions}, limit: {MAX_UNIONS})."
    return None


def _walk(where: str, schema: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema in a schema, itself first, each with its place."""
    if not is_object(schema):
        raise _Problem(f"{where}: Input should be a JSON schema object")
    yield where, schema
    for name, child in _children(schema):
        yield from _walk(f"{where}.{name}", child)


def _children(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    # Values of enum, const and default are data, and names of properties are no keywords: neither is looked into.
    for keyword in ("properties", "$defs", "definitions"):
        if is_object(named := schema.get(keyword)):
            for name, child in named.items():
                yield f"{keyword}.{name}", child
    for keyword in ("anyOf", "allOf"):
        if is_array(listed := schema.get(keyword)):
            for index, child in enumerate(listed):
                yield f"{keyword}.{index}", child
    if "items" in schema:
        yield "items", schema["items"]


def _check(where: str, schema: dict[str, Any], root: object) -> None:
    if unsupported := _UNSUPPORTED.intersection(schema):
        raise _Problem(f"{where}: {', '.join(sorted(unsupported))} is not supported")
    _check_kinds(where, schema)
    _check_type(where, schema)
    _check_value_keywords(where, schema)
    if "$ref" in schema:
        _referred(where, schema["$ref"], root)
    if any(is_object(part) and "$ref" in part for part in schema.get("allOf", ())):
        raise _Problem(f"{where}: '$ref' in 'allOf' is not supported")


def _check_kinds(where: str, schema: dict[str, Any]) -> None:
    for keyword, (kind, name) in _KINDS.items():
        if keyword in schema and not isinstance(schema[keyword], kind):
            raise _Problem(f"{where}.{keyword}: Input should be a valid {name}")
    for keyword in ("enum", "anyOf", "allOf"):
        if schema.get(keyword) == []:
            raise _Problem(f"{where}.{keyword}: List should have at least 1 item")
    if not all(isinstance(name, str) for name in schema.get("required", ())):
        raise _Problem(f"{where}.required: Input should be a list of strings")


def _check_type(where: str, schema: dict[str, Any]) -> None:
    types = _types(schema)
    if any(name not in _TYPES for name in types):
        raise _Problem(f"{where}.type: Input should be one of {', '.join(_TYPES)}, or a list of them")
    is_for_objects = "object" in types or "properties" in schema
    if is_for_objects and schema.get("additionalProperties") is not False:
        raise _Problem(f"{where}: For 'object' type, 'additionalProperties' must be explicitly set to false")


def _check_value_keywords(where: str, schema: dict[str, Any]) -> None:
    if schema.get("minItems", 0) not in (0, 1):
        raise _Problem(f"{where}: For 'array' type, 'minItems' values other than 0 or 1 are not supported")
    if schema.get("format", "date") not in _FORMATS:
        raise _Problem(f"{where}: For 'string' type, the format {schema['format']!r} is not supported")
    if _UNSUPPORTED_PATTERN.search(schema.get("pattern", "")):
        raise _Problem(f"{where}: lookaround, backreferences and word boundaries in 'pattern' are not supported")
    if any(is_object(value) or is_array(value) for value in schema.get("enum", ())):
        raise _Problem(f"{where}: 'enum' values must be scalars")


def _types(schema: dict[str, Any]) -> list[Any]:
    types = schema.get("type", [])
    return types if is_array(types) else [types]


def _count_optional(schema: dict[str, Any]) -> int:
    return len(set(schema.get("properties", ())) - set(schema.get("required", ())))


def _is_union(schema: dict[str, Any]) -> bool:
    return "anyOf" in schema or len(_types(schema)) > 1


def _referred(where: str, reference: object, root: object) -> str:
    """The place of a definition that a reference names, as ``$defs/name``."""
    match = _REFERENCE.fullmatch(str(reference))
    if match is None:
        raise _Problem(f"{where}: '$ref' must name a definition of this schema, such as '#/$defs/name'")
    definitions = root.get(match[1]) if is_object(root) else None
    if not is_object(definitions) or match[2] not in definitions:
        raise _Problem(f"{where}: '$ref' names no definition of this schema: {reference}")
    return f"{match[1]}/{match[2]}"


def _check_recursion(place: str, root: object) -> None:
    """Refuse definitions that lead back to themselves."""
    definitions: dict[str, Any] = root if is_object(root) else {}
    edges = {
        f"{keyword}/{name}": {
            _referred(where, schema["$ref"], root) for where, schema in _walk(place, child) if "$ref" in schema
        }
        for keyword in ("$defs", "definitions")
        for name, child in definitions.get(keyword, {}).items()
    }
    while edges:
        leaves = {name for name, targets in edges.items() if not targets}
        if not leaves:
            raise _Problem(f"{place}: Recursive schemas are not supported")
        edges = {name: targets - leaves for name, targets in edges.items() if name not in leaves}
