"""Models to JSON values and back, with cattrs.

Keys that are not known are passed over when reading, so that a file of a newer version still opens.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import attrs

from ._errors import ConfigurationError

__all__ = ["from_dict", "to_dict"]

_T = TypeVar("_T")


def to_dict(model: Any) -> dict[str, Any]:
    """Turn a model into JSON values.

    Args:
        model: Any model of this library, such as a `Card` or a `Run`.

    Returns:
        Times as ISO 8601 text, bytes as base64, tuples as lists.
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
        raise ConfigurationError(f"This is no {kind.__name__}: {_reason(error)}.", code="invalid_data") from error
    return model


def _reason(error: BaseException) -> str:
    """Where the first wrong value stands, without the value."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    notes = "; ".join(str(note) for note in getattr(error, "__notes__", ()))
    text = str(error) if isinstance(error, ConfigurationError) else type(error).__name__
    return f"{text} ({notes})" if notes else text


@cache
def _converter() -> Any:
    # cattrs takes longer to import than the rest of the library together, so it waits for its first use.
    from cattrs import Converter
    from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

    converter = Converter()
    converter.register_unstructure_hook(datetime, lambda value: value.astimezone(UTC).isoformat())
    converter.register_structure_hook(datetime, lambda value, _: datetime.fromisoformat(value))
    converter.register_unstructure_hook(bytes, lambda value: base64.b64encode(value).decode("ascii"))
    converter.register_structure_hook(bytes, lambda value, _: base64.b64decode(value, validate=True))
    converter.register_unstructure_hook_func(lambda kind: issubclass_of(kind, Path), str)
    converter.register_structure_hook(Path, lambda value, _: Path(value))

    def unstructure(kind: type[Any]) -> Callable[[Any], Any]:
        return make_dict_unstructure_fn(kind, converter, _cattrs_use_alias=True)

    def structure(kind: type[Any]) -> Callable[[Any, Any], Any]:
        return make_dict_structure_fn(kind, converter, _cattrs_use_alias=True)

    converter.register_unstructure_hook_factory(attrs.has, unstructure)
    converter.register_structure_hook_factory(attrs.has, structure)
    return converter


def issubclass_of(kind: Any, base: type) -> bool:
    """Whether a type is a class below another one."""
    return isinstance(kind, type) and issubclass(kind, base)
