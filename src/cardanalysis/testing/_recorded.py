"""What the fake Messages API remembers of each request."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from attrs import field, frozen

from ._prompts import count_input_tokens, user_text

__all__ = ["RecordedRequest", "redacted"]

_SECRET_HEADERS = ("authorization", "x-api-key", "proxy-authorization", "cookie")


@frozen(kw_only=True)
class RecordedRequest:
    """One request that the fake API received.

    Attributes:
        method: The HTTP method.
        path: The path, without the query.
        query: The query, without the question mark.
        headers: The headers by lower-case name. Whatever a credential's header held is replaced by ``redacted``.
        body: The decoded JSON body, or None if there was none that could be read.
        arrived: When it had arrived whole, in seconds of the API's clock.
        finished: When the last of its response went out or the connection ended; None while it is served.
        status: The HTTP status it was answered with; None while it is served, if the connection was dropped, and if
            the client hung up first.
        request_id: The id in the ``request-id`` header of its response.
        attempt: How many times the SDK had tried before: 0 for the first attempt.
        usage: The ``usage`` that the API reported for it; None if it reported none, and while it is served. Of a
            stream that broke off, what the whole of it would have reported.
        custom_id: Its id within its batch; None unless it is a request of a batch.
        batch_id: The batch it belongs to; None unless it is a request of a batch.
    """

    method: str
    path: str
    query: str = ""
    headers: dict[str, str] = field(factory=dict[str, str], repr=False)
    body: Any = field(default=None, repr=False)
    arrived: float
    finished: float | None = None
    status: int | None = None
    request_id: str
    attempt: int = 0
    usage: Mapping[str, Any] | None = field(default=None, repr=False)
    custom_id: str | None = None
    batch_id: str | None = None

    @property
    def text(self) -> str:
        """Every text of the user's messages, joined by line breaks; what an answer can be made to depend on."""
        return user_text(self.body)

    @cached_property
    def input_tokens(self) -> int:
        """How many tokens the prompt is taken for: a quarter of its characters, rounded up; 0 without a prompt."""
        return count_input_tokens(self.body)


def redacted(headers: dict[str, str]) -> dict[str, str]:
    """The headers without what is secret in them."""
    return {name: "redacted" if name in _SECRET_HEADERS else value for name, value in headers.items()}
