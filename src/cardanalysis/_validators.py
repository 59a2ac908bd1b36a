"""Converters and validators of the models, each raising an error that names the field and never tells the value."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from enum import StrEnum
from typing import Any, Final, TypeVar, cast

from attrs import Attribute

from ._errors import InvalidValue

_E = TypeVar("_E", bound=StrEnum)
_T = TypeVar("_T")

LIVE: Final = {"live": True}
"""Metadata of a field that is no value, and so no part of a model's JSON."""

Validator = Callable[[Any, "Attribute[Any]", Any], None]


def is_text(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str):
        raise InvalidValue(f"{attribute.name} must be text, not {type(value).__name__}.")


def some_text(instance: object, attribute: Attribute[Any], value: object) -> None:
    is_text(instance, attribute, value)
    if not value:
        raise InvalidValue(f"{attribute.name} must not be empty.")


def not_blank(instance: object, attribute: Attribute[Any], value: object) -> None:
    is_text(instance, attribute, value)
    if not str(value).strip():
        raise InvalidValue(f"{attribute.name} must not be blank.")


def none_of(names: Collection[str]) -> Validator:
    """Refuse some names."""

    def check(_instance: object, attribute: Attribute[Any], value: object) -> None:
        if value in names:
            raise InvalidValue(f"{attribute.name} must be another name than {value}.")

    return check


_MOST = 2**63 - 1
"""What databases can store."""
_MOST_DOLLARS = 1_000_000_000


def count(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if type(value) is not int or not 0 <= value <= _MOST:
        raise InvalidValue(f"{attribute.name} must be a whole number of at least 0, and of at most 63 bits.")


def positive(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if type(value) is not int or value < 1:
        raise InvalidValue(f"{attribute.name} must be a whole number of at least 1.")


def dollars(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if value is None:  # an unknown price
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MOST_DOLLARS:
        raise InvalidValue(f"{attribute.name} must be a number of at least 0 and at most {_MOST_DOLLARS:,}, or None.")


def duration(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise InvalidValue(f"{attribute.name} must be a number of seconds above 0.")


def pause(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        raise InvalidValue(f"{attribute.name} must be a number of seconds of at least 0.")


def duration_or_none(instance: object, attribute: Attribute[Any], value: object) -> None:
    if value is not None:
        duration(instance, attribute, value)


def flag(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise InvalidValue(f"{attribute.name} must be True or False, not {type(value).__name__}.")


def function(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if not callable(value):
        raise InvalidValue(f"{attribute.name} must be a function, not {type(value).__name__}.")


def at_most(limit: int) -> Validator:
    def check(_instance: object, attribute: Attribute[Any], value: object) -> None:
        if not isinstance(value, str) or len(value) > limit:
            raise InvalidValue(f"{attribute.name} must be text of at most {limit} characters.")

    return check


def one_of(*choices: str) -> Validator:
    def check(_instance: object, attribute: Attribute[Any], value: object) -> None:
        if value not in choices:
            raise InvalidValue(f"{attribute.name} must be one of: {', '.join(choices)}.")

    return check


def instance_of(kind: type[Any]) -> Validator:
    def check(_instance: object, attribute: Attribute[Any], value: object) -> None:
        if not isinstance(value, kind):
            raise InvalidValue(f"{attribute.name} must be {kind.__name__}, not {type(value).__name__}.")

    return check


def every(kind: type[Any]) -> Validator:
    """For a field that `entries` or `texts` converts."""

    def check(_instance: object, attribute: Attribute[Any], value: object) -> None:
        if not isinstance(value, tuple):
            raise InvalidValue(f"{attribute.name} must be a list, not {type(value).__name__}.")
        for entry in cast("tuple[object, ...]", value):
            if not isinstance(entry, kind):
                raise InvalidValue(f"{attribute.name} must hold {kind.__name__}, not {type(entry).__name__}.")

    return check


def entries(value: Iterable[_T]) -> tuple[_T, ...]:
    """What cannot be iterated is left to the validator, which knows the field's name."""
    return tuple(value) if hasattr(value, "__iter__") else cast("tuple[_T, ...]", value)


def texts(value: Iterable[str] | str) -> tuple[str, ...]:
    """One string counts as one entry, never as its letters."""
    return (value,) if isinstance(value, str) else entries(value)


def writable(value: str) -> str:
    """For names and messages: half of a surrogate pair, which no store can hold, becomes a question mark."""
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


def choose(kind: type[_E], value: str | None, name: str) -> _E | None:
    """A member by itself or by its value; None is no choice."""
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError:
        raise InvalidValue(f"{name} must be one of: {', '.join(kind)}.") from None
