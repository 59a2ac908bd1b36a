"""JSON as the API reads and writes it, and what a checker needs to look into it."""

from __future__ import annotations

import json
from typing import Any, Never, TypeGuard

__all__ = ["dumps", "is_array", "is_object", "loads"]

_encode = json.JSONEncoder(separators=(",", ":")).encode


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def loads(data: bytes) -> Any:
    """Read strict JSON: UTF-8, without NaN and Infinity.

    Raises:
        ValueError: It is not JSON, or is nested too deeply to be read.
    """
    try:
        return _decode(data.decode())
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def dumps(value: object) -> str:
    """Write JSON without blanks, in ASCII."""
    return _encode(value)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a decoded value is a JSON object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Whether a decoded value is a JSON array."""
    return isinstance(value, list)
