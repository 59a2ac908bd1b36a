"""JSON text as the stores keep it: compact, with stable keys, and refused where it would not read back the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .._errors import StoreError

__all__ = ["dumps", "loads"]


def dumps(value: Mapping[str, Any]) -> str:
    """Write JSON values.

    Raises:
        StoreError: They are no JSON values.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise StoreError(f"Only JSON values can be stored: {error}.", code="not_json") from error


def loads(text: str) -> dict[str, Any]:
    """Read what `dumps` wrote."""
    value: dict[str, Any] = json.loads(text)
    return value
