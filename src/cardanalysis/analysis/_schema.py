"""Checks a JSON value against a schema, in the subset of JSON Schema that structured outputs use here.

Known keywords: ``type``, ``enum``, ``properties``, ``required``, ``additionalProperties``, ``items``; ``title`` and
``description`` say nothing about a value. A schema with any other keyword is refused, so that nothing is taken for
checked that was not. Everything here is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final, TypeGuard

__all__ = ["Schema", "first_violation", "fits", "is_list", "is_object", "violations"]

Schema = Mapping[str, Any]
"""A JSON schema as a plain mapping."""


def first_violation(value: object, schema: Schema, *, name: str = "answer") -> str | None:
    """Say where a value first breaks a schema.

    Args:
        value: A JSON value as `json.loads` returns it.
        schema: What it should be.
        name: What to call the value itself; its parts are named by their path alone.

    Returns:
        A sentence such as ``cards[3].priority must be one of high, low.``, which holds nothing of the value, or None if
        the value fits.

    Raises:
        NotImplementedError: The schema has a keyword that is not known here.
    """
    return next(violations(value, schema, name=name), None)


def fits(schema: Schema) -> Callable[[object], bool]:
    """Make a check for values that are expected to fit a schema; what it refuses, `first_violation` explains.

    It takes a sixth of the time, and knows what the schemas of answers are made of: texts, lists, and objects of which
    all properties are required.
    """
    match schema:
        case {"type": "array", "items": items, **rest} if not rest:
            return partial(_is_list_of, fits(items))
        case {"type": "object", "properties": parts, "required": required, "additionalProperties": False}:
            checks = {name: fits(part) for name, part in parts.items()}
            if set(required) == set(checks):
                return partial(_is_object_of, checks)
        case {"type": "string", **rest} if not rest:
            return _IS_TYPE["string"]
        case _:
            pass
    return lambda value: first_violation(value, schema) is None


def _is_list_of(check: Callable[[object], bool], value: object) -> bool:
    return is_list(value) and all(map(check, value))


def _is_object_of(checks: Mapping[str, Callable[[object], bool]], value: object) -> bool:
    if not is_object(value) or value.keys() != checks.keys():
        return False
    return all(check(value[name]) for name, check in checks.items())


def violations(value: object, schema: Schema, *, name: str = "answer") -> Iterator[str]:
    """Yield a sentence for each place where a value breaks a schema; see `first_violation`."""
    for path, problem in _problems(value, schema, ""):
        yield f"{path.removeprefix('.') or name} {problem}."


def is_object(value: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether a JSON value is an object."""
    return isinstance(value, Mapping)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether a JSON value is a list."""
    return isinstance(value, list)


_Problems = Iterator[tuple[str, str]]


def _problems(value: object, schema: Schema, path: str) -> _Problems:
    for keyword in schema:
        check = _CHECKS.get(keyword)
        if check is None:
            raise NotImplementedError(f"The schema keyword {keyword!r} is not supported.")
        yield from check(value, schema, path)


def _type(value: object, schema: Schema, path: str) -> _Problems:
    wanted = schema["type"]
    if not _IS_TYPE[wanted](value):
        yield path, f"must be {_ARTICLES[wanted]}, not {_kind(value)}"


def _enum(value: object, schema: Schema, path: str) -> _Problems:
    # Structured outputs do not promise the capitalisation of enum members.
    if _folded(value) not in [_folded(choice) for choice in schema["enum"]]:
        yield path, f"must be one of {', '.join(map(str, schema['enum']))}"


def _folded(value: object) -> object:
    return value.strip().casefold() if isinstance(value, str) else value


def _properties(value: object, schema: Schema, path: str) -> _Problems:
    if is_object(value):
        for key, part in schema["properties"].items():
            if key in value:
                yield from _problems(value[key], part, f"{path}.{key}")


def _required(value: object, schema: Schema, path: str) -> _Problems:
    if is_object(value):
        for key in schema["required"]:
            if key not in value:
                yield f"{path}.{key}", "is missing"


def _additional(value: object, schema: Schema, path: str) -> _Problems:
    if schema["additionalProperties"] is not False:
        raise NotImplementedError("Structured outputs need additionalProperties to be false.")
    known = schema.get("properties", {})
    # The names of the others come from the value, so they are not repeated.
    if is_object(value) and any(key not in known for key in value):
        yield path, f"must have no properties but {', '.join(known) or 'none'}"


def _items(value: object, schema: Schema, path: str) -> _Problems:
    if is_list(value):
        for index, item in enumerate(value):
            yield from _problems(item, schema["items"], f"{path}[{index}]")


def _nothing(_value: object, _schema: Schema, _path: str) -> _Problems:
    return iter(())


_CHECKS: Final[Mapping[str, Callable[[object, Schema, str], _Problems]]] = {
    "type": _type,
    "enum": _enum,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "title": _nothing,
    "description": _nothing,
}

_IS_TYPE: Final[Mapping[str, Callable[[object], bool]]] = {
    "object": is_object,
    "array": is_list,
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "null": lambda value: value is None,
}

_ARTICLES: Final = {
    "object": "an object",
    "array": "a list",
    "string": "text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "null": "null",
}


def _kind(value: object) -> str:
    kinds = ("null", "boolean", "integer", "number", "string", "array", "object")
    return next((_ARTICLES[kind] for kind in kinds if _IS_TYPE[kind](value)), type(value).__name__)
