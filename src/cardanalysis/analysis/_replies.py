"""What the Messages API sent back, read from its raw JSON. Everything here is pure.

The SDK does not validate responses: with HTML or a foreign JSON value under status 200 it returns a string, a list or a
message of nothing (anthropic 2.12). So the raw body is read here and checked for what is used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from attrs import field, frozen

from ._prices import TokenCounts
from ._schema import is_list, is_object

__all__ = ["InvalidReply", "Reply", "read_reply", "token_counts", "word"]


class InvalidReply(ValueError):
    """A response that is no message. Its text says what it is instead and repeats nothing of it."""


@frozen(kw_only=True)
class Reply:
    """A message of the API.

    Attributes:
        text: The text blocks, joined; thinking and unknown blocks are left out.
        stop_reason: Why the model stopped, as a word; None if the response does not say.
        refusal: The category of a refusal, as a word; None if there is none.
        model: The model that answered; empty if the response does not say.
        tokens: What was used.
        price_factor: By what to multiply the list price; None if the price is another one.
    """

    text: str = field(repr=False)
    stop_reason: str | None
    refusal: str | None
    model: str
    tokens: TokenCounts
    price_factor: float | None


def read_reply(body: bytes | Mapping[str, Any]) -> Reply:
    """Read a response with status 200.

    Args:
        body: The response as it came, or its JSON value.

    Raises:
        InvalidReply: It is no message with content and usage.
    """
    message = _decoded(body) if isinstance(body, bytes) else body
    content, usage = message.get("content"), message.get("usage")
    if message.get("type") != "message" or not is_list(content) or not is_object(usage):
        raise InvalidReply("It is a JSON object, but not a message with content and usage.")
    model = message.get("model")
    details = message.get("stop_details")
    return Reply(
        text=_text(content),
        stop_reason=word(message.get("stop_reason")),
        refusal=word(details.get("category")) if is_object(details) else None,
        model=model if isinstance(model, str) else "",
        tokens=token_counts(usage),
        price_factor=_price_factor(usage, billed=bool(content) or message.get("stop_reason") != "refusal"),
    )


_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,79}")


def word(value: object) -> str | None:
    """The value if it is a short plain word, which can be shown to people, else None."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else None


def _decoded(body: bytes) -> Mapping[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidReply("It is not JSON.") from None
    if not is_object(value):
        raise InvalidReply("It is JSON, but not an object.")
    return value


def _text(content: list[Any]) -> str:
    # A thinking block may come first, and the answer may be split over several text blocks.
    texts = [block.get("text") for block in content if is_object(block) and block.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))


def token_counts(usage: Mapping[str, Any]) -> TokenCounts:
    """The tokens that the API's ``usage`` tells; what it does not tell counts as 0."""
    by_lifetime = usage.get("cache_creation")
    written_1h = _count(by_lifetime, "ephemeral_1h_input_tokens")
    # The total is what counts; without a split it was written for five minutes, which is the default.
    written = max(_count(usage, "cache_creation_input_tokens"), written_1h)
    return TokenCounts(
        input=_count(usage, "input_tokens"),
        cache_write_5m=written - written_1h,
        cache_write_1h=written_1h,
        cache_read=_count(usage, "cache_read_input_tokens"),
        output=_count(usage, "output_tokens"),
    )


def _count(usage: object, name: str) -> int:
    value = usage.get(name) if is_object(usage) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _price_factor(usage: Mapping[str, Any], *, billed: bool) -> float | None:
    """What the list price is to be multiplied by, from the modifiers on the public pricing page (August 2026)."""
    if not billed:
        return 0.0  # a refusal before any output reports its tokens, but they are not billed
    if usage.get("speed") == "fast":
        return None  # has list prices of its own
    half = 0.5 if usage.get("service_tier") == "batch" else 1.0
    return half * (1.1 if usage.get("inference_geo") == "us" else 1.0)
