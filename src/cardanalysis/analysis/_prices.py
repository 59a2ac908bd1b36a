"""What tokens cost: list prices with the day from which they hold.

The figures are US dollars per million tokens at list price, without discounts of a contract. Where each comes from is
said beside it: the public pricing page (platform.claude.com/docs/en/about-claude/pricing, as of August and October
2026), the models' overview pages (platform.claude.com/docs/en/models, as of October 2026) or, where neither was at
hand, third parties. Check them before you rely on them; pass a table of your own where they differ.

Everything here is pure.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final, cast

from attrs import Attribute, field, frozen
from attrs.validators import optional

from .._errors import InvalidValue
from .._validators import count, positive, some_text

__all__ = ["LIST_PRICES", "Price", "PriceTable", "TokenCounts"]


def _rate(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not (0 <= value < math.inf):
        raise InvalidValue(f"{attribute.name} must be a number of dollars of at least 0.")


def _day(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if not isinstance(value, date) or isinstance(value, datetime):  # a datetime is a date, and compares with none
        raise InvalidValue(f"{attribute.name} must be a datetime.date, not {type(value).__name__}.")


@frozen(kw_only=True)
class TokenCounts:
    """The tokens of one request, by what they cost.

    Attributes:
        input: Fresh input, neither read from nor written to the prompt cache.
        cache_write_5m: Input written to the prompt cache for five minutes.
        cache_write_1h: Input written to the prompt cache for an hour.
        cache_read: Input read from the prompt cache.
        output: Tokens produced, thinking included.
    """

    input: int = field(default=0, validator=count)
    cache_write_5m: int = field(default=0, validator=count)
    cache_write_1h: int = field(default=0, validator=count)
    cache_read: int = field(default=0, validator=count)
    output: int = field(default=0, validator=count)

    @property
    def cache_write(self) -> int:
        """Input written to the prompt cache for any time."""
        return self.cache_write_5m + self.cache_write_1h

    @property
    def prompt(self) -> int:
        """The length of the whole prompt."""
        return self.input + self.cache_write + self.cache_read


@frozen(kw_only=True)
class Price:
    """What the tokens of one model cost from one day on, in US dollars per million tokens.

    Attributes:
        model: The model, without a date at its end.
        effective_from: The first day on which these rates hold.
        input: Fresh input.
        cache_write_5m: Input written to the prompt cache for five minutes.
        cache_write_1h: Input written to the prompt cache for an hour.
        cache_read: Input read from the prompt cache.
        output: Tokens produced.
        max_prompt: The longest prompt in tokens, cache included, that these rates hold for; None for any.
    """

    model: str = field(validator=some_text)
    effective_from: date = field(validator=_day)
    input: float = field(validator=_rate)
    cache_write_5m: float = field(validator=_rate)
    cache_write_1h: float = field(validator=_rate)
    cache_read: float = field(validator=_rate)
    output: float = field(validator=_rate)
    max_prompt: int | None = field(default=None, validator=optional(positive))

    def cost(self, tokens: TokenCounts) -> float:
        """The price of one request in US dollars."""
        millionths = (
            tokens.input * self.input
            + tokens.cache_write_5m * self.cache_write_5m
            + tokens.cache_write_1h * self.cache_write_1h
            + tokens.cache_read * self.cache_read
            + tokens.output * self.output
        )
        return millionths / 1_000_000

    def fits(self, prompt: int) -> bool:
        """Whether the rates hold for a prompt of that many tokens."""
        return self.max_prompt is None or prompt <= self.max_prompt


def _checked(prices: object) -> Iterator[Price]:
    if not isinstance(prices, Iterable):
        raise InvalidValue(f"prices must be an iterable of Price, such as a list, not {type(prices).__name__}.")
    for price in cast("Iterable[object]", prices):
        if not isinstance(price, Price):
            raise InvalidValue(f"prices must hold Price objects, not {type(price).__name__}.")
        yield price


_DATED: Final = re.compile(r"-\d{8}$")


class PriceTable:
    """The prices of models over time.

    Args:
        prices: In any order. Of a model's prices those with the latest `Price.effective_from` that has come hold, and
            among them the one with the lowest `Price.max_prompt` that the prompt fits in.

    Raises:
        ConfigurationError: They are something else than prices.
    """

    def __init__(self, prices: Iterable[Price]) -> None:
        self._by_model: dict[str, list[Price]] = {}
        for price in _checked(prices):
            self._by_model.setdefault(price.model, []).append(price)

    def __repr__(self) -> str:
        return f"PriceTable({', '.join(sorted(self._by_model))})"

    def price(self, model: str, *, prompt: int = 0, on: date) -> Price | None:
        """Look up what a model costs.

        Args:
            model: Its id; a date at its end, as in ``claude-haiku-4-5-20251001``, may be left out of the table.
            prompt: The length of the request's prompt in tokens, cache included.
            on: The day of the request, in UTC.

        Returns:
            The price, or None if the table does not know it.
        """
        prices = self._by_model.get(model) or self._by_model.get(_DATED.sub("", model), [])
        begun = [price for price in prices if price.effective_from <= on]
        newest = max((price.effective_from for price in begun), default=None)
        fitting = [price for price in begun if price.effective_from == newest and price.fits(prompt)]
        return min(fitting, key=lambda price: price.max_prompt or math.inf, default=None)

    def cost(self, model: str, tokens: TokenCounts, *, on: date) -> float | None:
        """What one request cost in US dollars.

        Args:
            model: Its id.
            tokens: Of this request alone: a rate may depend on the length of its prompt, so that sums mislead.
            on: The day of the request, in UTC.

        Returns:
            Dollars, or None if the price is unknown.
        """
        price = self.price(model, prompt=tokens.prompt, on=on)
        return None if price is None else price.cost(tokens)


def _prices(
    models: str, since: date, rates: tuple[float, float, float, float, float], max_prompt: int | None = None
) -> list[Price]:
    """Prices of several models; the rates in the order input, 5m write, 1h write, cache read, output."""
    names = ("input", "cache_write_5m", "cache_write_1h", "cache_read", "output")
    by_name: Mapping[str, Any] = dict(zip(names, rates, strict=True))
    return [
        Price(model=f"claude-{model}", effective_from=since, max_prompt=max_prompt, **by_name)
        for model in models.split()
    ]


_AUGUST: Final = date(2026, 8, 22)  # the pricing page as it was read
_OCTOBER: Final = date(2026, 10, 1)  # pages first seen in October 2026

LIST_PRICES: Final = PriceTable(
    [
        # The pricing page, August 2026.
        *_prices("fable-5 mythos-5", _AUGUST, (10, 12.50, 20, 1, 50)),
        *_prices("opus-5 opus-4-8 opus-4-7 opus-4-6 opus-4-5", _AUGUST, (5, 6.25, 10, 0.50, 25)),
        *_prices("sonnet-5", _AUGUST, (2, 2.50, 4, 0.20, 10)),
        *_prices("sonnet-4-6 sonnet-4-5", _AUGUST, (3, 3.75, 6, 0.30, 15)),
        *_prices("haiku-4-5", _AUGUST, (1, 1.25, 2, 0.10, 5)),
        # The pricing page, October 2026.
        *_prices("fable-5-1 mythos-5-1", _OCTOBER, (10, 12.50, 20, 0.25, 50)),
        # The models' overview pages, October 2026. The step of Haiku 5.5 is on the whole prompt, cache included, and
        # holds for the whole request.
        *_prices("opus-5-5", _OCTOBER, (4, 5, 8, 0.20, 20)),
        *_prices("haiku-5-5", _OCTOBER, (0.10, 0.125, 0.20, 0.01, 0.50), max_prompt=100_000),
        *_prices("haiku-5-5", _OCTOBER, (0.50, 0.625, 1, 0.05, 2.50)),
        # Third parties, October and November 2026; cache reads of Sonnet 5.5 became cheaper on 7 October.
        *_prices("sonnet-5-5", _OCTOBER, (2, 2.50, 4, 0.20, 10)),
        *_prices("sonnet-5-5", date(2026, 10, 7), (2, 2.50, 4, 0.10, 10)),
        *_prices("fable-5-2", date(2026, 11, 10), (8, 10, 16, 0.20, 40)),
    ]
)
"""List prices in US dollars; see this module's docstring for where they come from."""
