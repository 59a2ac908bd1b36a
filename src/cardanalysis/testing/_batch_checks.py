"""What the API refuses in a batch: the whole of it at once, and a single request when it is its turn; pure."""

from __future__ import annotations

import re
from typing import Any

from ._json import is_array, is_object
from ._request_checks import check_body, check_object
from ._routes import RequestRefused

__all__ = ["check_batch", "check_params"]

MAX_REQUESTS = 100_000
"""How many requests a batch may have."""

_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def check_batch(headers: dict[str, str], body: object) -> list[dict[str, Any]]:
    """Check a request to create a batch, and return the batch's requests; what they ask for is not looked at yet.

    Args:
        headers: The headers by lower-case name.
        body: The decoded body, or None if it is not JSON.

    Raises:
        RequestRefused: 400, the API would not take it.
    """
    body = check_object(headers, body)
    if extra := body.keys() - {"requests"}:
        raise RequestRefused(f"{min(extra)}: Extra inputs are not permitted")
    requests = body.get("requests")
    if not is_array(requests) or not requests:
        raise RequestRefused("requests: Input should be a valid list with at least 1 item")
    if len(requests) > MAX_REQUESTS:
        raise RequestRefused(f"requests: List should have at most {MAX_REQUESTS:,} items")
    seen: set[str] = set()
    for index, request in enumerate(requests):
        seen.add(_check_request(f"requests.{index}", request, seen))
    return requests


def _check_request(where: str, request: object, seen: set[str]) -> str:
    if not is_object(request) or request.keys() != {"custom_id", "params"}:
        raise RequestRefused(f"{where}: Input should be a dictionary with custom_id and params")
    custom_id = request["custom_id"]
    if not isinstance(custom_id, str) or _CUSTOM_ID.fullmatch(custom_id) is None:
        raise RequestRefused(f"{where}.custom_id: String should match pattern '^{_CUSTOM_ID.pattern}$'")
    if custom_id in seen:
        raise RequestRefused(f"{where}.custom_id: must be unique within the batch, found {custom_id!r} again")
    if not is_object(request["params"]):
        raise RequestRefused(f"{where}.params: Input should be a valid dictionary")
    return custom_id


def check_params(headers: dict[str, str], params: dict[str, Any]) -> None:
    """Check what one request of a batch asks for, as if it came alone.

    Args:
        headers: The headers of the HTTP request that created the batch.
        params: The request's ``params``.

    Raises:
        RequestRefused: 400, the API would not take it.
    """
    if params.get("stream"):
        raise RequestRefused("stream: not supported in a batch")
    if params.get("speed") is not None:
        raise RequestRefused("speed: not supported in a batch")
    check_body(headers, params)
