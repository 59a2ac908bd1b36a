"""JSON text as the stores keep it: compact, and refused where something would be lost on the way."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from json.encoder import encode_basestring
from typing import Any, cast

from .._errors import StoreError

__all__ = ["dumps", "loads"]


def dumps(value: Mapping[str, Any]) -> str:
    """Write JSON values. Tuples become lists.

    Raises:
        StoreError: They are no JSON values.
    """
    try:
        _check_keys(value)
        text = _encode(value)
        # A model may answer with half of a surrogate pair. It cannot be encoded, but an escape keeps it.
        return text if _can_be_encoded(text) else json.dumps(value, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"Only JSON values can be stored: {error}.", code="not_json") from error


def loads(text: str) -> dict[str, Any]:
    """Read what `dumps` wrote."""
    value: dict[str, Any] = json.loads(text)
    return value


def _check_keys(value: object) -> None:
    """Refuse keys that json would turn into text, so that 1 and "1" became the same."""
    if isinstance(value, dict):
        mapping = cast("dict[object, object]", value)
        for key in mapping:
            if not isinstance(key, str):
                raise TypeError(f"keys must be text, not {type(key).__name__}")
        value = mapping.values()
    for each in cast("Iterable[object]", value):
        if isinstance(each, _CONTAINERS):
            _check_keys(cast("object", each))


_CONTAINERS = (dict, list, tuple)


def _make_encode() -> Callable[[object], str]:
    # What contains itself was found out with the keys.
    encoder = json.JSONEncoder(ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"))
    try:
        # The encoder makes this anew for every call, which takes a third of the time. It is no public part of json.
        make: Any = vars(json.encoder)["c_make_encoder"]
        encode = make(None, encoder.default, encode_basestring, None, ":", ",", False, False, False)
    except (KeyError, TypeError):
        return encoder.encode
    return lambda value: "".join(encode(value, 0))


_encode = _make_encode()


def _can_be_encoded(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
