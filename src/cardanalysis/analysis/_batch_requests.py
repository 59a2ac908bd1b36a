"""Requests as they go into a batch, and how many fit into one. Everything here is pure.

The limits are those of the public documentation, August 2026: 100,000 requests and 256 MB for a batch, and ids of
letters, digits, ``_`` and ``-`` that are unique within it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from attrs import Attribute, field, frozen

from .._errors import AnalyzerError, InvalidValue
from .._validators import count, duration, pause
from ._transport import AttemptFailed, Failure, FailureKind

__all__ = ["BatchOptions", "BatchRequest", "Pack", "batch_request"]


def _between(least: int, most: int) -> Any:
    def check(_instance: object, attribute: Attribute[Any], value: object) -> None:
        if type(value) is not int or not least <= value <= most:
            raise InvalidValue(f"{attribute.name} must be a whole number from {least:,} to {most:,}.")

    return check


def _no_shorter_than_the_first(options: BatchOptions, attribute: Attribute[Any], value: float) -> None:
    if value < options.poll_seconds:
        raise InvalidValue(f"{attribute.name} must be at least poll_seconds, which is {options.poll_seconds:g}.")


@frozen(kw_only=True)
class BatchOptions:
    """How requests become batches, and how these are followed. Every time is of the clock that paces the requests.

    Attributes:
        size: The most requests of a batch.
        max_bytes: The largest batch.
        linger_seconds: How long to wait for a further request before a batch is submitted that is not full.
        poll_seconds: How long to wait between the first two looks at a batch, above 0; the pauses grow from there.
        longest_poll_seconds: What the pauses grow up to, at least `poll_seconds`.
        missing_seconds: How long the API may say that it does not know a batch before that is believed.
        settle_seconds: How long after a submission whose outcome is unknown the list of batches is believed.
        held_bytes: How much memory results may take that nobody has asked for yet; what is over is downloaded again.
    """

    size: int = field(default=10_000, validator=_between(1, 100_000))
    max_bytes: int = field(default=200_000_000, validator=_between(1, 256_000_000))
    linger_seconds: float = field(default=2.0, validator=pause)
    poll_seconds: float = field(default=5.0, validator=duration)
    longest_poll_seconds: float = field(default=60.0, validator=[duration, _no_shorter_than_the_first])
    missing_seconds: float = field(default=600.0, validator=pause)
    settle_seconds: float = field(default=60.0, validator=pause)
    held_bytes: int = field(default=64_000_000, validator=count)


@frozen(kw_only=True, eq=False)
class BatchRequest:
    """One request of a batch.

    Attributes:
        custom_id: Tells it from the others, and is the same for the same request after a restart.
        params: What ``messages.create`` takes.
        size: How many bytes of a batch it takes.
    """

    custom_id: str
    params: Mapping[str, Any] = field(repr=False)
    size: int

    def as_json(self) -> dict[str, Any]:
        """What the API is sent."""
        return {"custom_id": self.custom_id, "params": self.params}


_ID_LENGTH: Final = 32  # 128 bits, so that no two requests of an account ever share one
_FRAME: Final = len('{"custom_id":"","params":},') + _ID_LENGTH


def batch_request(params: Mapping[str, Any], key: str) -> BatchRequest:
    """Make a request for a batch.

    Args:
        params: What ``messages.create`` takes.
        key: What tells the request from every other one of its run.

    Raises:
        AttemptFailed: The request cannot be sent. It is found here, since it would spoil its whole batch.
    """
    try:
        text = json.dumps(params, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError):  # half of a surrogate pair is a ValueError too
        error = AnalyzerError("The request holds a value that cannot be sent as JSON.", code="invalid_request")
        raise AttemptFailed(Failure(kind=FailureKind.FINAL, error=error, unbilled=True)) from None
    digest = hashlib.sha256(b"%d %s " % (len(key.encode()), key.encode()) + text)
    return BatchRequest(custom_id=digest.hexdigest()[:_ID_LENGTH], params=params, size=len(text) + _FRAME)


class Pack:
    """How full the batch is that is being filled.

    Args:
        options: Its limits.
    """

    def __init__(self, options: BatchOptions) -> None:
        self._options = options
        self._sizes: dict[str, int] = {}
        self._bytes = 0

    @property
    def is_full(self) -> bool:
        """Whether no further request fits, however small."""
        return len(self._sizes) >= self._options.size

    def takes(self, request: BatchRequest) -> bool:
        """Whether there is room for a request, and none with its id yet."""
        fits = self._bytes + request.size <= self._options.max_bytes
        return fits and not self.is_full and request.custom_id not in self._sizes

    def add(self, request: BatchRequest) -> None:
        """Count a request in.

        Raises:
            AttemptFailed: It is too large for any batch.
        """
        if request.size > self._options.max_bytes:
            error = AnalyzerError(
                f"The request is larger than a batch may be ({request.size:,} bytes). Split the document.",
                code="too_large",
            )
            raise AttemptFailed(Failure(kind=FailureKind.TOO_LONG, error=error, unbilled=True))
        self._sizes[request.custom_id] = request.size
        self._bytes += request.size

    def remove(self, request: BatchRequest) -> None:
        """Count a request out again, if it is in."""
        self._bytes -= self._sizes.pop(request.custom_id, 0)
