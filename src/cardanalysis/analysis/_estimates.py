"""What a request will need, before it is sent: tokens by rule of thumb, and the most it can cost. Pure.

There is no tokenizer to be had offline (public documentation on token counting, August 2026), so tokens are guessed
from bytes. Where a number below has no source beside it, it is a choice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final, cast

from ._prices import Price, PriceTable, TokenCounts

__all__ = [
    "MOST_TOKENS_A_PICTURE",
    "TOKENS_A_PICTURE",
    "bytes_of",
    "estimate_tokens",
    "estimate_tokens_of_bytes",
    "likely_output_tokens",
    "most_input_tokens",
    "pictures_of",
    "worst_case",
]

_BYTES_A_TOKEN: Final = 2
"""UTF-8 bytes in a token, on the safe side for prose, code and Chinese alike.

The public glossary (August 2026) says 3.5 characters of English; newer models need some 30 % more tokens than those it
was written for (documentation on token counting), which makes it 2.7. German and code have shorter tokens than English,
and a Chinese character, which is 3 bytes, becomes 1.5 tokens here.
"""
_OVERHEAD_TOKENS: Final = 4_096
"""For what the API adds to a request: the frame of the messages, and the instructions that go with a schema."""


def estimate_tokens(value: object) -> int:
    """Guess how many tokens something is, rather too many than too few.

    Args:
        value: A text, or a request as ``messages.create`` takes it, of which every text inside counts.
    """
    return estimate_tokens_of_bytes(bytes_of(value)) + TOKENS_A_PICTURE * pictures_of(value)


def estimate_tokens_of_bytes(count: int) -> int:
    """As `estimate_tokens`, of a text or request that has so many bytes."""
    return math.ceil(count / _BYTES_A_TOKEN)


TOKENS_A_PICTURE: Final = 4_800
"""Of a page or picture: at most 4,784 for newer models, 1,568 for others (public documentation on vision, August 2026).
"""
MOST_TOKENS_A_PICTURE: Final = 8_000
"""Of a page of a PDF file, which is a picture and up to 3,000 tokens of text (the same, on PDF support)."""


def pictures_of(value: object) -> int:
    """How many pages and pictures there are in a request."""
    if isinstance(value, Mapping):
        mapping = cast("Mapping[object, object]", value)
        return 1 if _is_picture(mapping) else sum(map(pictures_of, mapping.values()))
    if isinstance(value, Sequence) and not isinstance(value, str):
        return sum(map(pictures_of, cast("Sequence[object]", value)))
    return 0


def _is_picture(value: Mapping[object, object]) -> bool:
    return value.get("type") == "base64" and "data" in value


def most_input_tokens(params: Mapping[str, Any]) -> int:
    """How many input tokens a request can have at most.

    A token of a tokenizer that works on bytes is a byte at least, so the text has no more tokens than bytes. The schema
    counts twice, since it is also written into instructions that the API adds.

    Args:
        params: What ``messages.create`` takes.
    """
    text = bytes_of(params) + bytes_of(params.get("output_config"))
    return text + MOST_TOKENS_A_PICTURE * pictures_of(params) + _OVERHEAD_TOKENS


def bytes_of(value: object) -> int:
    """UTF-8 bytes of all the text in a JSON value, keys included; of a number or a truth value those of its name.

    Pages and pictures are no text.
    """
    return sum(_length(text) for text in _texts(value))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        mapping = cast("Mapping[object, object]", value)
        for key, each in () if _is_picture(mapping) else mapping.items():
            yield str(key)
            yield from _texts(each)
    elif isinstance(value, Sequence):
        for each in cast("Sequence[object]", value):
            yield from _texts(each)
    elif value is not None:
        yield str(value)


def _length(text: str) -> int:
    # That a text is ASCII is known without looking at it.
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


_TOKENS_A_CARD: Final = 350
"""A card in JSON with a quote or two."""
_INPUT_A_CARD: Final = 400
"""Of a document, so that a page holds about two."""
_THINKING_TOKENS: Final = 1_000
_FRAME_TOKENS: Final = 20


def likely_output_tokens(params: Mapping[str, Any], *, max_cards: int) -> int:
    """Guess how long an answer with cards is. No more than a guess: it depends on what stands in the document.

    Args:
        params: What ``messages.create`` takes.
        max_cards: The most cards wanted.
    """
    cards = min(max_cards, math.ceil(estimate_tokens(params.get("messages")) / _INPUT_A_CARD))
    thought = 0 if params.get("thinking") == {"type": "disabled"} else _THINKING_TOKENS
    return int(min(params["max_tokens"], _FRAME_TOKENS + thought + cards * _TOKENS_A_CARD))


_DEAREST_FACTOR: Final = 1.1
"""For inference in the US alone, which a workspace can have as its default (the public pricing page, August 2026)."""


def worst_case(prices: PriceTable, model: str, input_tokens: int, max_tokens: int, *, on: date) -> float | None:
    """The most that one request can cost, wherever its tokens come from, in US dollars.

    All input counts as the dearest kind of input, all output that is allowed as produced, and of the rates that a
    prompt of up to that length can have, today's or those of the day after, the dearest hold. Only fast mode, which
    has prices of its own, is dearer.

    Args:
        prices: The price table.
        model: The model that is asked.
        input_tokens: The most input tokens it can have, cache included.
        max_tokens: The most output tokens it may have, thinking included.
        on: The day of the request, in UTC.

    Returns:
        Dollars, or None if the price is unknown.
    """
    steps = (*_steps(prices, model, on), *_steps(prices, model, on + timedelta(days=1)))
    possible = [price for shortest, price in steps if shortest <= input_tokens]
    if None in possible:
        return None
    return _DEAREST_FACTOR * max(_dearest(price, input_tokens, max_tokens) for price in possible if price is not None)


@lru_cache
def _steps(prices: PriceTable, model: str, on: date) -> tuple[tuple[int, Price | None], ...]:
    """The prices by the length of the prompt from which on they hold; None where there is none."""
    steps: list[tuple[int, Price | None]] = []
    prompt: int | None = 0
    while prompt is not None:
        price = prices.price(model, prompt=prompt, on=on)
        steps.append((prompt, price))
        prompt = None if price is None or price.max_prompt is None else price.max_prompt + 1
    return tuple(steps)


def _dearest(price: Price, input_tokens: int, output_tokens: int) -> float:
    """What a request costs if all its input is of the dearest kind."""
    most = input_tokens if price.max_prompt is None else min(input_tokens, price.max_prompt)
    kinds = ("input", "cache_write_5m", "cache_write_1h", "cache_read")
    return max(price.cost(TokenCounts(**{kind: most}, output=output_tokens)) for kind in kinds)
