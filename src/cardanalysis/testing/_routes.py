"""The endpoints of the Messages API that the fake knows; pure."""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ["BATCHES_PATH", "MESSAGES_PATH", "RequestRefused", "batch_route", "check_route", "max_body_bytes"]

MESSAGES_PATH = "/v1/messages"
"""Where messages are created."""

BATCHES_PATH = f"{MESSAGES_PATH}/batches"
"""Where batches of messages are created and listed; what belongs to one batch is below it."""

_MAX_BODY_BYTES = 32 * 1024 * 1024
_MAX_BATCH_BYTES = 256 * 1024 * 1024

_BATCH_ROUTE = re.compile(rf"{BATCHES_PATH}/([^/]+)(?:/(cancel|results))?")


class RequestRefused(Exception):
    """The API does not take this request.

    Attributes:
        status: The status code it answers.
        type: The error's type, as in its body.
    """

    def __init__(self, message: str, *, status: int = 400, type: str = "invalid_request_error") -> None:  # noqa: A002
        super().__init__(message)
        self.status = status
        self.type = type


_METHODS: dict[str, Collection[str]] = {
    MESSAGES_PATH: ("POST",),
    f"{MESSAGES_PATH}/count_tokens": ("POST",),
    BATCHES_PATH: ("GET", "POST"),
    "/v1/models": ("GET",),
}

_BATCH_METHODS = {"": ("GET", "DELETE"), "cancel": ("POST",), "results": ("GET",)}


def batch_route(path: str) -> tuple[str, str] | None:
    """The id of the batch that a path names, and what of it: ``cancel``, ``results`` or nothing; None for no batch."""
    match = _BATCH_ROUTE.fullmatch(path)
    return None if match is None else (match[1], match[2] or "")


def check_route(method: str, path: str) -> None:
    """Check that there is such an endpoint.

    Raises:
        RequestRefused: 404 for an unknown path, 405 for a method that it does not have.
    """
    allowed = _METHODS.get(path) or _methods_below(path)
    if not allowed:
        raise RequestRefused("Not Found", status=404, type="not_found_error")
    if method not in allowed:
        raise RequestRefused("Method Not Allowed", status=405)


def _methods_below(path: str) -> Collection[str]:
    batch = batch_route(path)
    if batch is not None:
        return _BATCH_METHODS[batch[1]]
    return ("GET",) if path.startswith("/v1/models/") else ()


def max_body_bytes(path: str) -> int:
    """The longest body that an endpoint takes, in bytes."""
    return _MAX_BATCH_BYTES if path == BATCHES_PATH else _MAX_BODY_BYTES
