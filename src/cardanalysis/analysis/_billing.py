"""What requests cost. Everything here is pure, but for the day that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from attrs import field, frozen

from .._models import Usage
from ._estimates import worst_case
from ._prices import PriceTable, TokenCounts
from ._replies import Reply
from ._transport import Failure

__all__ = ["Billing"]


@frozen(kw_only=True, eq=False)
class Billing:
    """Prices the requests of one analyzer.

    Attributes:
        prices: The table.
        model: The model that is asked.
        today: The day whose prices hold.
    """

    prices: PriceTable = field(repr=False)
    model: str
    today: Callable[[], date] = field(repr=False)

    def worst(self, input_tokens: int, max_tokens: int) -> float | None:
        """The most US dollars that one request can cost; None if the price is unknown.

        Args:
            input_tokens: The most that it can have.
            max_tokens: The most that its answer may have.
        """
        return worst_case(self.prices, self.model, input_tokens, max_tokens, on=self.today())

    def answered(self, reply: Reply) -> Usage:
        """What an answer cost."""
        return _usage(reply.tokens, self._cost(reply.model or self.model, reply.tokens, reply.price_factor))

    def failed(self, failure: Failure) -> Usage:
        """What a failed attempt cost, as far as that is known.

        An answer with an error status costs nothing. Where a stream broke, what it had told of its tokens counts. Of an
        attempt that got no answer nothing is known, and nothing counted but the request.
        """
        never_sent = failure.tokens is None and failure.status is None and failure.unbilled
        return Usage() if never_sent else self.broken(failure.tokens)

    def broken(self, tokens: TokenCounts | None) -> Usage:
        """What an attempt cost that was interrupted, as far as the API had told of it by then."""
        return Usage(requests=1) if tokens is None else _usage(tokens, self._cost(self.model, tokens, 1.0))

    def _cost(self, model: str, tokens: TokenCounts, factor: float | None) -> float | None:
        if not factor:
            return factor
        cost = self.prices.cost(model, tokens, on=self.today())
        return None if cost is None else cost * factor


def _usage(tokens: TokenCounts, cost: float | None) -> Usage:
    return Usage(
        requests=1,
        input_tokens=tokens.input,
        output_tokens=tokens.output,
        cache_read_tokens=tokens.cache_read,
        cache_write_tokens=tokens.cache_write,
        cost=cost,
    )
