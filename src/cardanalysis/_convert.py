"""Models to JSON values and back, with cattrs.

Keys that are not known are passed over when reading, so that a file of a newer version still opens. Values are taken as
they are: text that should be a number is wrong, and so is a number that should be text.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast, get_args, get_origin

import attrs

from ._errors import ConfigurationError

__all__ = ["from_dict", "to_dict"]

_T = TypeVar("_T")


def to_dict(model: Any) -> dict[str, Any]:
    """Turn a model into JSON values.

    Args:
        model: Any model of this library, such as a `Card` or a `Run`.

    Returns:
        Times as ISO 8601 text in UTC, bytes as base64, tuples as lists.
    """
    values: dict[str, Any] = _converter().unstructure(model)
    return values


def from_dict(kind: type[_T], values: Mapping[str, Any]) -> _T:
    """Turn what `to_dict` gave back into a model.

    Args:
        kind: The model's class.
        values: JSON values; keys that are not known are passed over.

    Raises:
        ConfigurationError: A value is missing or wrong.
    """
    from cattrs.errors import BaseValidationError, StructureHandlerNotFoundError

    try:
        model: _T = _converter().structure(values, kind)
    except (BaseValidationError, StructureHandlerNotFoundError, TypeError, ValueError) as error:
        # Without its cause, which tells the values.
        raise ConfigurationError(f"This is no {kind.__name__}: {_reason(error)}.", code="invalid_data") from None
    return model


def _reason(error: BaseException) -> str:
    """Where the first wrong value stands, without the value."""
    notes: list[str] = []
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
        notes.extend(str(note) for note in getattr(error, "__notes__", ()))
    text = str(error).rstrip(".") if isinstance(error, ConfigurationError) else type(error).__name__
    return f"{text} ({'; '.join(notes)})" if notes else text


@cache
def _converter() -> Any:
    # cattrs takes longer to import than the rest of the library together, so it waits for its first use.
    from cattrs import Converter
    from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

    converter = Converter(unstruct_collection_overrides={frozenset: sorted})
    converter.register_unstructure_hook(datetime, lambda value: value.astimezone(UTC).isoformat())
    converter.register_unstructure_hook(bytes, lambda value: base64.b64encode(value).decode("ascii"))
    converter.register_unstructure_hook(Path, str)
    converter.register_unstructure_hook(StrEnum, lambda value: value.value)
    for plain in (str, int, bool):
        converter.register_structure_hook(plain, _exactly)
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook(datetime, _time)
    converter.register_structure_hook(bytes, lambda value, _: base64.b64decode(value, validate=True))
    converter.register_structure_hook(Path, lambda value, _: Path(value))
    converter.register_structure_hook(StrEnum, lambda value, kind: kind(value))

    def live(kind: type[Any]) -> dict[str, Any]:
        return {each.name: override(omit=True) for each in attrs.fields(kind) if each.metadata.get("live")}

    def unstructure(kind: type[Any]) -> Callable[[Any], Any]:
        return make_dict_unstructure_fn(kind, converter, _cattrs_use_alias=True, **live(kind))

    def structure(kind: type[Any]) -> Callable[[Any, Any], Any]:
        fill = make_dict_structure_fn(kind, converter, _cattrs_use_alias=True, **live(kind))
        return lambda value, kind: fill(_checked(value, Mapping), kind)

    def structure_tuple(kind: Any) -> Callable[[Any, Any], Any]:
        entry = get_args(kind)[0]
        fill = converter.get_structure_hook(entry)
        return lambda value, _: tuple(fill(each, entry) for each in _checked(value, (list, tuple)))

    converter.register_unstructure_hook_factory(attrs.has, unstructure)
    converter.register_structure_hook_factory(attrs.has, structure)
    converter.register_structure_hook_factory(_is_tuple, structure_tuple)
    return converter


def _is_tuple(kind: Any) -> bool:
    origin: Any = get_origin(kind)
    return origin is tuple


def _checked(value: Any, kind: type | tuple[type, ...]) -> Any:
    """Left to itself, cattrs takes whatever can be iterated, as with the letters of a text."""
    if not isinstance(value, kind):
        raise TypeError
    return value


def _exactly(value: Any, kind: type) -> Any:
    """Left to itself, cattrs calls the type, which makes text of everything."""
    if type(value) is not kind:
        raise TypeError
    return value


def _number(value: Any, _: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError
    return float(value)


def _time(value: Any, _: Any) -> datetime:
    time = datetime.fromisoformat(value)
    if time.tzinfo is None:
        raise ValueError
    return time.astimezone(UTC)
