"""The pages of a list, as the API cuts them; pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs

__all__ = ["page_json"]

_MOST = 1000
_USUAL = 20


def page_json(ids: Sequence[str], query: str, to_json: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """One page of a list.

    Args:
        ids: The ids of all its entries, in order.
        query: The query of the request's URL: ``limit`` (20 unless told), ``after_id``, ``before_id``.
        to_json: What is told of an entry.

    Raises:
        ValueError: The limit is not from 1 to 1000, or an id is not in the list.
    """
    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    limit = int(asked.get("limit", _USUAL))
    if not 1 <= limit <= _MOST:
        raise ValueError(f"limit must be from 1 to {_MOST}")
    if "before_id" in asked:
        before = ids[: ids.index(asked["before_id"])]
        page, has_more = before[-limit:], len(before) > limit
    else:
        after = ids[ids.index(asked["after_id"]) + 1 :] if "after_id" in asked else ids
        page, has_more = after[:limit], len(after) > limit
    return {
        "data": [to_json(entry) for entry in page],
        "has_more": has_more,
        "first_id": page[0] if page else None,
        "last_id": page[-1] if page else None,
    }
