"""Converters and validators of the models, each raising an error that names the field."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, TypeVar

from attrs import Attribute

from ._errors import ConfigurationError

_E = TypeVar("_E", bound=StrEnum)


def is_text(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, str):
        raise ConfigurationError(f"{attribute.name} must be text, not {type(value).__name__}.")


def some_text(instance: object, attribute: Attribute[Any], value: object) -> None:
    is_text(instance, attribute, value)
    if not value:
        raise ConfigurationError(f"{attribute.name} must not be empty.")


def count(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if type(value) is not int or value < 0:
        raise ConfigurationError(f"{attribute.name} must be a whole number of at least 0.")


def positive(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if type(value) is not int or value < 1:
        raise ConfigurationError(f"{attribute.name} must be a whole number of at least 1.")


def texts(value: Iterable[str] | str) -> tuple[str, ...]:
    """One string counts as one entry, never as its letters."""
    return (value,) if isinstance(value, str) else tuple(value)


def choose(kind: type[_E], value: str | None) -> _E | None:
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(kind)
        raise ConfigurationError(f"{value!r} is not a {kind.__name__}. Choose one of: {allowed}.") from None


def at_most(limit: int) -> Callable[[Any, Attribute[Any], object], None]:
    def check(_instance: object, attribute: Attribute[Any], value: object) -> None:
        if not isinstance(value, str) or len(value) > limit:
            raise ConfigurationError(f"{attribute.name} must be text of at most {limit} characters.")

    return check
