"""One run as lines of text: each of its models is one line of JSON that says what it is. Pure.

The lines are those of an exported run and of backends that keep a run as text. A line can be split off by whatever
people split lines with, and can always be encoded as UTF-8.
"""

from __future__ import annotations

import json
from typing import Any, TypeAlias, cast

from attrs import evolve

from ._convert import from_dict, to_dict
from ._errors import ConfigurationError, StoreError
from ._models import Event, Item, Output, Run

__all__ = ["Record", "decode", "encode"]

Record: TypeAlias = Run | Item | Output | Event
"""What a line can hold."""

_KINDS: dict[str, type[Record]] = {"run": Run, "item": Item, "output": Output, "event": Event}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_COLLECTED = ("items", "cards")
"""What a run may hold beside itself; it has lines of its own."""
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_LINE_ENDS = {ord(end): f"\\u{ord(end):04x}" for end in "\x85\u2028\u2029"}
"""Where `str.splitlines` ends a line and JSON does not mind."""


def encode(record: Record) -> str:
    """Write one model as a line, without the line's end. A run is written without what it collected.

    Raises:
        StoreError: With code ``not_json``, it holds something that JSON has no word for.
    """
    if isinstance(record, Run):
        record = evolve(record, items=None, cards=None)
    values = to_dict(record)
    if isinstance(record, Run):
        values = {name: value for name, value in values.items() if name not in _COLLECTED}
    name = _NAMES[type(record)]
    try:
        return _text({name: values})
    except (TypeError, ValueError, RecursionError) as error:
        message = f"This {name} cannot be written as JSON ({type(error).__name__}). Store JSON values only."
        raise StoreError(message, code="not_json") from error


def decode(line: str) -> Record:
    """Read what `encode` wrote.

    Raises:
        StoreError: With code ``invalid_export``, it is something else; the message says what is wrong, and nothing of
            what the line holds.
    """
    try:
        values: object = json.loads(line)
    except (ValueError, RecursionError):
        raise _invalid("It is no JSON") from None
    entries = list(cast("dict[str, object]", values).items()) if isinstance(values, dict) else []
    if len(entries) != 1 or entries[0][0] not in _KINDS:
        raise _invalid(f"It is none of {', '.join(_KINDS)}")
    name, content = entries[0]
    if not isinstance(content, dict):
        raise _invalid(f"Its {name} is no JSON object")
    return _model(_KINDS[name], cast("dict[str, Any]", content))


def _model(kind: type[Record], values: dict[str, Any]) -> Record:
    try:
        return from_dict(kind, {name: value for name, value in values.items() if name not in _COLLECTED})
    except ConfigurationError as error:
        raise _invalid(str(error).rstrip(".")) from None


def _text(values: dict[str, Any]) -> str:
    text = _ENCODER.encode(values)
    try:
        text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which an escape keeps
        return json.dumps(values, allow_nan=False, separators=(",", ":"))
    return text.translate(_LINE_ENDS) if not text.isascii() else text


def _invalid(problem: str) -> StoreError:
    return StoreError(f"{problem}. Take another copy.", code="invalid_export")
