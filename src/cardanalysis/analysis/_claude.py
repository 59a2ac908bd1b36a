"""Claude as an analyzer: its settings, and what is made of them when it is opened."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Final

import anyio
from attrs import field, frozen
from attrs.validators import optional

from .._documents import Document
from .._models import Analysis, AnalysisRequest
from .._validators import duration, flag, function, instance_of, not_blank, one_of, positive, some_text
from ..abc import Analyzer, BatchSession, Journal
from ..pacing import Pacer, default_pacer
from ._answers import SCHEMA_VERSION
from ._asking import Asker, Gate
from ._batches import BatchOptions, BatchTransport, batches_open
from ._billing import Billing
from ._counting import counted
from ._direct import DirectTransport
from ._estimates import estimate_tokens
from ._gates import BatchGate, PacedGate
from ._parts import split_to
from ._prices import LIST_PRICES, PriceTable
from ._prompts import CARDS_PROMPT, PROMPT_VERSION, custom_version
from ._questions import Questions
from ._reading import Reading, share
from ._retries import RetryPolicy
from ._sdk import account_of, async_client, check_client, default_model, efforts, own_client, with_own_connections
from ._transport import Transport
from ._warming import CacheWarmer

__all__ = ["ClaudeAnalyzer"]

_CLOSE_SECONDS: Final = 5.0


def _model(name: str | None) -> str:
    return default_model() if name is None else name


def _price_table(table: PriceTable | None) -> PriceTable:
    return LIST_PRICES if table is None else table


def _pacer(pacer: Pacer | None) -> Pacer:
    return default_pacer() if pacer is None else pacer


def _policy(policy: RetryPolicy | None) -> RetryPolicy:
    return RetryPolicy() if policy is None else policy


def _utc_today() -> date:
    return datetime.now(UTC).date()


@frozen(eq=False)
class ClaudeAnalyzer:
    """Finds cards with Claude: structured output that is checked before it is believed, under the API's rate limits.

    A document is one request, unless it is too long for one, or its answer is. It holds no connection, so it can be
    shared between runs, event loops and backends. A run opens it once; `analyze` outside of `open` opens it for that
    one call.

    Args:
        client: An async client of the SDK, such as ``AsyncAnthropic`` or one of its cloud variants, or anything with
            an async ``messages.create`` like theirs. It is used in the event loop it was made for and never closed,
            and its own retries are turned off. With None, each `open` makes an ``AsyncAnthropic()`` from the
            environment and closes it.
        model: The model; None for `default_model`.
        max_tokens: The most tokens of an answer, thinking included. Of a longer one the whole cards are kept and the
            rest is asked for.
        max_input_tokens: The longest text in tokens, estimated, that is sent in one request. A longer document is cut
            where its own structure is loosest.
        prompt: The instructions; None for the ones in the package. The document and its context follow them.
        thinking: Passed to the API as ``thinking``, such as ``{"type": "adaptive"}``; None for the model's default.
        effort: Passed to the API as ``output_config.effort``: ``low``, ``medium``, ``high``, ``xhigh`` or ``max``, as
            far as the installed SDK knows them; None for the model's default.
        cache: Whether to mark the instructions and the context of the run for the prompt cache. The first request then
            goes alone until its answer begins.
        stream: Whether to ask for a stream, so that a silent API is noticed early and what a broken answer cost is
            known.
        connect_timeout: Seconds until a connection must stand.
        request_timeout: Seconds that one attempt may take in all.
        idle_timeout: Seconds of silence after which a stream is given up. The API may stay silent while it compiles a
            schema that it has not seen for a day: for up to 180 seconds (public documentation on structured outputs,
            August 2026); the next attempt finds it compiled.
        retry: When a request that failed is made again; None for ``RetryPolicy()``.
        batches: How requests are packed with ``mode="batch"``, and how often batches are looked at.
        pacer: Holds requests back before the rate limits do; None for the one that the whole process shares.
        prices: For `Usage.cost`; None for the list prices. The cost of a model that they do not know is None.
        today: Gives the day whose prices hold, in UTC.

    Raises:
        ConfigurationError: An argument is wrong, or the client is not async.
    """

    _client: Any = field(default=None, repr=False, validator=async_client)
    model: str = field(default=None, converter=_model, validator=some_text, kw_only=True)
    max_tokens: int = field(default=16_000, validator=positive, kw_only=True)
    max_input_tokens: int = field(default=100_000, validator=positive, kw_only=True)
    prompt: str | None = field(default=None, validator=optional(not_blank), kw_only=True, repr=False)
    thinking: Mapping[str, Any] | None = field(default=None, validator=optional(instance_of(Mapping)), kw_only=True)
    effort: str | None = field(default=None, validator=optional(one_of(*efforts())), kw_only=True)
    cache: bool = field(default=True, validator=flag, kw_only=True)
    stream: bool = field(default=True, validator=flag, kw_only=True)
    connect_timeout: float = field(default=5.0, validator=duration, kw_only=True)
    request_timeout: float = field(default=600.0, validator=duration, kw_only=True)
    idle_timeout: float = field(default=120.0, validator=duration, kw_only=True)
    retry: RetryPolicy = field(default=None, converter=_policy, validator=instance_of(RetryPolicy), kw_only=True)
    batches: BatchOptions = field(factory=BatchOptions, validator=instance_of(BatchOptions), kw_only=True)
    pacer: Pacer = field(default=None, converter=_pacer, validator=instance_of(Pacer), kw_only=True, repr=False)
    prices: PriceTable = field(
        default=None, converter=_price_table, validator=instance_of(PriceTable), kw_only=True, repr=False
    )
    today: Callable[[], date] = field(default=_utc_today, validator=function, kw_only=True, repr=False)

    @property
    def name(self) -> str:
        """``claude``."""
        return "claude"

    def describe(self) -> Mapping[str, Any]:
        """What the answers depend on."""
        described: dict[str, Any] = {
            "model": self.model,
            "prompt_version": PROMPT_VERSION if self.prompt is None else custom_version(self.prompt),
            "schema_version": SCHEMA_VERSION,
            "max_tokens": self.max_tokens,
            "max_input_tokens": self.max_input_tokens,
        }
        options = {"thinking": None if self.thinking is None else dict(self.thinking), "effort": self.effort}
        return described | {name: value for name, value in options.items() if value is not None}

    def request_params(self, document: Document, request: AnalysisRequest, /) -> Sequence[Mapping[str, Any]]:
        """The requests for a document, as the arguments of ``messages.create``; more than one if it is long.

        Where an answer is cut or does not fit the schema, more will be made.

        Args:
            document: What to read.
            request: How many cards are wanted, and what is known beyond the text.
        """
        questions = self._questions()
        parts = split_to(document, self.max_input_tokens, estimate_tokens)
        return [
            questions.about(document, request, part, max_cards=share(document, part, request.max_cards)).params
            for part in parts
        ]

    async def count_tokens(self, document: Document, request: AnalysisRequest, /) -> int:
        """Ask the API how many input tokens the requests for a document have. It is free, under limits of its own.

        Limits are waited out and failures tried again as `retry` says, whatever that lets a run cost.

        Raises:
            ConfigurationError: The client, the key or the model is wrong.
            AnalyzerError: There is no answer.
        """
        async with self._open() as ready:
            return await ready.count_tokens(document, request)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Analyzer, None]:
        """Check the credentials and the base URL, without a request, and give an analyzer that is ready.

        Raises:
            ConfigurationError: On entering: there is no API key (code ``no_api_key``), or the key or the base URL
                cannot be right (code ``client_setup``).
        """
        async with self._open() as ready:
            yield ready

    @asynccontextmanager
    async def open_batches(self, journal: Journal, /) -> AsyncGenerator[BatchSession, None]:
        """As `open`, for requests that wait in Message Batches: half the price, and up to a day to wait.

        The first request of a run is made by itself, at the full price: what the API does not accept would show in a
        batch only when all of it has failed.

        Args:
            journal: The run's log, where the batches are noted.

        Raises:
            ConfigurationError: As from `open`, or the client has no batches (code ``no_batches``).
        """
        async with self._opened_client() as client:
            direct, clock = self._direct(client), self.pacer.clock
            opened = batches_open(client, journal=journal, options=self.batches, clock=clock, probe=direct)
            async with opened as batches:
                yield _BatchSession(
                    settings=self,
                    direct=direct,
                    asker=self._asker(batches, BatchGate()),
                    questions=self._questions(),
                    batches=batches,
                )

    async def analyze(self, document: Document, request: AnalysisRequest, /) -> Analysis:
        """Ask for a document's cards.

        Args:
            document: What to read. It is sent as fenced data.
            request: How many cards are wanted, and what is known beyond the text.

        Returns:
            The cards, with quotes that are not looked up yet, what they cost, and what is missing if a part of the
            document could not be read.

        Raises:
            AnalyzerError: There is no whole, valid answer for this document. Its code says why: ``truncated``,
                ``refused``, ``context_window_exceeded``, ``invalid_answer``, ``invalid_response``, ``rate_limited``,
                ``api_unavailable``, ``request_timed_out``, ``connection_failed``, ``too_large``, ``invalid_request``
                or ``client_failed``. Its ``usage`` is what all attempts cost.
            ConfigurationError: No document would get one: ``no_api_key``, ``authentication``, ``permission``,
                ``billing``, ``unknown_model``, ``unknown_price`` or ``client_setup``.
            RunStopped: The run may not spend more.
        """
        async with self.open() as ready:
            return await ready.analyze(document, request)

    # -- the parts -----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[_Session, None]:
        async with self._opened_client() as client:
            direct = self._direct(client)
            gate = PacedGate(pacer=self.pacer, account=account_of(client), warmer=CacheWarmer(self.pacer.clock))
            yield _Session(settings=self, direct=direct, asker=self._asker(direct, gate), questions=self._questions())

    @asynccontextmanager
    async def _opened_client(self) -> AsyncGenerator[Any, None]:
        client, close = own_client() if self._client is None else with_own_connections(self._client)
        try:
            check_client(client)
            yield client
        finally:
            # Shielded, so that a cancelled run leaves no open sockets behind.
            if close is not None:
                with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                    await close()

    def _direct(self, client: Any) -> DirectTransport:
        return DirectTransport(
            client=client,
            connect_timeout=self.connect_timeout,
            request_timeout=self.request_timeout,
            idle_timeout=self.idle_timeout,
            stream=self.stream,
        )

    def _asker(self, transport: Transport, gate: Gate) -> Asker:
        billing = Billing(prices=self.prices, model=self.model, today=self.today)
        return Asker(transport=transport, gate=gate, billing=billing, policy=self.retry, clock=self.pacer.clock)

    def _questions(self) -> Questions:
        return Questions(
            model=self.model,
            max_tokens=self.max_tokens,
            prompt=CARDS_PROMPT if self.prompt is None else self.prompt,
            thinking=self.thinking,
            effort=self.effort,
            cache=self.cache,
        )


@frozen(kw_only=True, eq=False)
class _Session:
    """An opened analyzer: the settings and what asks in the running event loop."""

    settings: ClaudeAnalyzer
    direct: DirectTransport = field(repr=False)
    asker: Asker = field(repr=False)
    questions: Questions = field(repr=False)

    @property
    def name(self) -> str:
        return self.settings.name

    def describe(self) -> Mapping[str, Any]:
        return self.settings.describe()

    async def analyze(self, document: Document, request: AnalysisRequest, /) -> Analysis:
        reading = Reading(
            asker=self.asker,
            questions=self.questions,
            document=document,
            request=request,
            most_tokens=self.settings.max_input_tokens,
            repairs=self.settings.retry.repairs,
        )
        return await reading.run()

    async def count_tokens(self, document: Document, request: AnalysisRequest, /) -> int:
        total = 0
        for params in self.settings.request_params(document, request):
            count = partial(self.direct.count, params)
            total += await counted(count, policy=self.settings.retry, clock=self.asker.clock, rng=self.asker.rng)
        return total


@frozen(kw_only=True, eq=False)
class _BatchSession(_Session):
    """One that asks in batches."""

    batches: BatchTransport = field(repr=False)

    @property
    def most_waiting(self) -> int:
        return self.settings.batches.size

    async def cancel(self) -> None:
        await self.batches.cancel()
