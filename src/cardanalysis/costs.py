"""What an analysis would cost, told before anything is paid for."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from datetime import date
from typing import Any, Final, Literal, Protocol, runtime_checkable

import anyio
from anyio import CapacityLimiter, to_thread
from attrs import define, field, frozen

from ._analyze import default_analyzer, default_loader
from ._arguments import as_limiter, check_analyzer, check_callable, check_uploads
from ._card_work import request_about
from ._context import UploadContext
from ._documents import Document
from ._entries import entries_of
from ._errors import AnalyzerError, CardAnalysisError, ConfigurationError, DocumentError, InvalidValue
from ._jobs import Entry
from ._models import AnalysisRequest
from ._uploads import Upload
from .abc import Analyzer, Loader, OpenableAnalyzer
from .analysis._estimates import estimate_tokens, likely_output_tokens, most_input_tokens, worst_case
from .analysis._outline import OutlineAnalyzer
from .analysis._prices import PriceTable, TokenCounts

__all__ = ["CostEstimate", "Estimating", "estimate_cost"]

_BATCH_FACTOR: Final = 0.5
"""The public pricing page, August 2026."""


@runtime_checkable
class Estimating(Protocol):
    """An analyzer whose cost can be told before: it knows its requests and their prices. `ClaudeAnalyzer` is one.

    Attributes:
        prices: The price table.
        today: Gives the day whose prices hold, in UTC.
    """

    @property
    def prices(self) -> PriceTable: ...  # noqa: D102
    @property
    def today(self) -> Callable[[], date]: ...  # noqa: D102

    def request_params(self, document: Document, request: AnalysisRequest, /) -> Sequence[Mapping[str, Any]]:
        """What ``messages.create`` would be called with for a document, for each of its parts."""
        ...

    async def count_tokens(self, document: Document, request: AnalysisRequest, /) -> int:
        """Ask the API how many input tokens these requests have together. That is free.

        The analyzer waits out rate limits and asks again by itself: its error is the last word.

        Raises:
            AnalyzerError: There is no answer for this document.
            ConfigurationError: There would be none for any, as with a wrong key.
        """
        ...


@frozen(kw_only=True)
class CostEstimate:
    """What an analysis would need, if every request were answered at its first attempt.

    All sums are without the uploads in `failed`. Unless that is empty, a run may cost more.

    Attributes:
        uploads: How many are in the sums: those that can be read (and counted), without copies.
        duplicates: Copies of the content of another one; the run skips them.
        requests: Requests to the API; these and their tokens are 0 for an analyzer that cannot be estimated.
        input_tokens: Their input; counted by the API if `exact`, otherwise estimated, rather too high than too low.
        output_tokens: Their output. This is a guess whatever `exact` is: nobody knows the cards before.
        cost: What these tokens cost in US dollars, with nothing read from the prompt cache. None if a price is unknown,
            or the analyzer cannot be estimated.
        worst_cost: What all these requests together can cost at most, were every answer as long as ``max_tokens``
            allows, and a batch no cheaper. A run with this as its ``max_cost`` is not stopped by that, unless requests
            are repeated or documents cut. None for the same reasons.
        exact: Whether the API counted the input.
        failed: Name and problem of the uploads that are in no sum, in the caller's order: they cannot be read, or, if
            `exact`, the API did not count them.
    """

    uploads: int
    duplicates: int
    requests: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    worst_cost: float | None
    exact: bool
    failed: tuple[tuple[str, str], ...]


async def estimate_cost(
    uploads: Iterable[Upload] | AsyncIterable[Upload],
    *,
    analyzer: Analyzer | None = None,
    max_cards: int = 20,
    context: UploadContext | None = None,
    loader: Loader | None = None,
    mode: Literal["direct", "batch"] = "direct",
    exact: bool = False,
    limit: int | CapacityLimiter = 4,
) -> CostEstimate:
    """Estimate what `cardanalysis.analyze_cards` would cost with the same arguments. Nothing is paid or stored.

    The uploads are read and the requests made up as they would be, but not sent. No key is needed unless `exact`.

    Args:
        uploads: What would be analyzed; an iterator is read once, with at most `limit` documents in memory.
        analyzer: As for the run. `cardanalysis.OutlineAnalyzer` costs nothing; what others cost is unknown, unless they
            are `Estimating`.
        max_cards: As for the run.
        context: As for the run.
        loader: As for the run.
        mode: As for the run; in a batch everything costs half.
        exact: Ask the API to count the input tokens: free, one request for each one estimated, within rate limits of
            its own. `ClaudeAnalyzer` waits these out and asks again after failures, as its ``retry`` says.
        limit: How many uploads are worked on at once, or a limiter.

    Returns:
        The estimate. An upload that cannot be read, or counted if `exact`, is in its `CostEstimate.failed`, and the
        sums are without it.

    Raises:
        ConfigurationError: An argument is wrong, or, if `exact`, the API cannot be asked: see ``ClaudeAnalyzer.open``.
    """
    limiter = as_limiter(limit)
    request = AnalysisRequest(max_cards=max_cards, context=context)
    if mode not in ("direct", "batch"):
        raise ConfigurationError(f"mode must be 'direct' or 'batch', not {mode!r}.")
    check_uploads(uploads)
    check_callable(getattr(loader, "load", loader), "loader.load")
    chosen = await to_thread.run_sync(default_analyzer) if analyzer is None else analyzer
    check_analyzer(chosen)
    estimator = chosen if isinstance(chosen, Estimating) else None
    counting = _opened(chosen) if exact and estimator is not None else nullcontext()
    async with counting as ready:
        counter = ready if isinstance(ready, _Counting) else estimator
        survey = _Survey(
            loader=default_loader() if loader is None else loader,
            request=request,
            estimator=estimator,
            free=isinstance(chosen, OutlineAnalyzer),
            counter=counter if exact else None,
            factor=_BATCH_FACTOR if mode == "batch" else 1.0,
        )
        await survey.take(uploads, limiter)
    return survey.estimate()


@runtime_checkable
class _Counting(Protocol):
    async def count_tokens(self, document: Document, request: AnalysisRequest, /) -> int: ...


def _opened(analyzer: Analyzer) -> AbstractAsyncContextManager[object]:
    return analyzer.open() if isinstance(analyzer, OpenableAnalyzer) else nullcontext()


class _Sum:
    """A sum of dollars, or None once a part of it is unknown."""

    def __init__(self) -> None:
        self.total: float | None = 0.0

    def add(self, dollars: float | None) -> None:
        self.total = None if dollars is None or self.total is None else self.total + dollars


@define(eq=False, kw_only=True)
class _Survey:
    """Adds up what uploads would cost.

    Attributes:
        loader: Reads them.
        request: What is asked about each.
        estimator: Knows the requests; None if nobody does.
        free: Whether there are none.
        counter: Counts the input exactly; None to estimate it.
        factor: What list prices are multiplied by.
    """

    loader: Loader
    request: AnalysisRequest
    estimator: Estimating | None
    free: bool
    counter: _Counting | None
    factor: float
    _uploads: int = field(default=0, init=False)
    _duplicates: int = field(default=0, init=False)
    _requests: int = field(default=0, init=False)
    _input: int = field(default=0, init=False)
    _output: int = field(default=0, init=False)
    _cost: _Sum = field(factory=_Sum, init=False)
    _worst_cost: _Sum = field(factory=_Sum, init=False)
    _failed: list[tuple[int, str, str]] = field(factory=list[tuple[int, str, str]], init=False)

    async def take(self, uploads: Iterable[Upload] | AsyncIterable[Upload], limiter: CapacityLimiter) -> None:
        """Look at every upload once."""
        errors: list[Exception] = []

        async def look(entry: Entry[Upload]) -> None:
            try:
                await self._look(entry)
            except Exception as error:
                errors.append(error)
                tasks.cancel_scope.cancel()
            finally:
                limiter.release_on_behalf_of(entry)

        async with anyio.create_task_group() as tasks:
            try:
                async with aclosing(self._originals(uploads)) as originals:
                    async for entry in originals:
                        await limiter.acquire_on_behalf_of(entry)
                        tasks.start_soon(look, entry)
            except Exception as error:
                errors.append(error)
                tasks.cancel_scope.cancel()
        if errors:
            raise errors[0]

    async def _originals(
        self, uploads: Iterable[Upload] | AsyncIterable[Upload]
    ) -> AsyncGenerator[Entry[Upload], None]:
        """The uploads without copies, as the run would go through them."""
        async with aclosing(entries_of(uploads)) as batches:
            async for batch in batches:
                for entry in batch:
                    if entry.skip is None:
                        yield entry
                    else:
                        self._duplicates += 1

    async def _look(self, entry: Entry[Upload]) -> None:
        try:
            await self._add(entry.payload)
        except (AnalyzerError, DocumentError, InvalidValue) as error:
            self._failed.append((entry.new.position, entry.new.name, str(error)))

    async def _add(self, upload: Upload) -> None:
        document = await self._load(upload)
        if self.estimator is not None:
            await self._add_requests(self.estimator, document, request_about(upload, self.request))
        elif not self.free:
            self._cost.add(None)
            self._worst_cost.add(None)
        self._uploads += 1

    async def _load(self, upload: Upload) -> Document:
        try:
            return await self.loader.load(upload)
        except CardAnalysisError:
            raise
        except Exception as error:
            problem = f"it could not be loaded ({type(error).__qualname__})"
            raise DocumentError(
                upload.name, problem, "Check that it is not damaged.", code="unexpected_error"
            ) from error

    async def _add_requests(self, estimator: Estimating, document: Document, request: AnalysisRequest) -> None:
        requests = estimator.request_params(document, request)
        inputs = [estimate_tokens(params) for params in requests]
        if self.counter is not None:
            # Only the sum is exact, and spread over the requests by the estimates.
            factor = await self.counter.count_tokens(document, request) / max(1, sum(inputs))
            inputs = [round(tokens * factor) for tokens in inputs]
        for params, tokens in zip(requests, inputs, strict=True):
            self._add_request(estimator, params, tokens)

    def _add_request(self, estimator: Estimating, params: Mapping[str, Any], input_tokens: int) -> None:
        model, prices, today = params["model"], estimator.prices, estimator.today()
        output_tokens = likely_output_tokens(params, max_cards=self.request.max_cards)
        self._requests += 1
        self._input += input_tokens
        self._output += output_tokens
        cost = prices.cost(model, TokenCounts(input=input_tokens, output=output_tokens), on=today)
        self._cost.add(None if cost is None else cost * self.factor)
        self._worst_cost.add(worst_case(prices, model, most_input_tokens(params), params["max_tokens"], on=today))

    def estimate(self) -> CostEstimate:
        """What it comes to."""
        return CostEstimate(
            uploads=self._uploads,
            duplicates=self._duplicates,
            requests=self._requests,
            input_tokens=self._input,
            output_tokens=self._output,
            cost=self._cost.total,
            worst_cost=self._worst_cost.total,
            exact=self.counter is not None,
            failed=tuple((name, problem) for _, name, problem in sorted(self._failed)),
        )
