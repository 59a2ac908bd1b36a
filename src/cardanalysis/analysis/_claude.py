"""Claude as an analyzer, on the official SDK. This is the only module that imports ``anthropic``, which takes 0.7 s.

What the code relies on was read in and tried with version 2.12 of the SDK.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import Any, Final, get_args
from urllib.parse import urlsplit

import anthropic
import anyio
from anthropic.resources.messages import messages as sdk_messages
from anthropic.types.model import Model
from attrs import Attribute, field, frozen

from .._documents import Document
from .._errors import AnalyzerError, CardAnalysisError, ConfigurationError
from .._models import Analysis, AnalysisRequest, Card, Usage
from .._validators import positive, some_text
from ..abc import Analyzer
from ._answers import CARDS_SCHEMA, SCHEMA_VERSION, InvalidAnswer, parse_cards
from ._failures import StatusFailure, explain_cause, explain_status, explain_stop, no_api_key, request_note
from ._prices import LIST_PRICES, PriceTable
from ._prompts import PROMPT_VERSION, system_prompt, user_content
from ._replies import InvalidReply, Reply, read_reply
from ._schema import is_object

__all__ = ["ClaudeAnalyzer", "default_model"]

_MID_PRICED: Final = ("claude-sonnet-5-5", "claude-sonnet-5", "claude-sonnet-4-6")
_CONNECT_SECONDS: Final = 5.0  # the SDK's own default, which a plain number as timeout would replace
_CLOSE_SECONDS: Final = 5.0


def default_model() -> str:
    """The model that is used when none is named: the newest mid-priced one that the SDK does not deprecate."""
    deprecated = getattr(sdk_messages, "DEPRECATED_MODELS", {})
    known = {name for part in get_args(Model) for name in get_args(part)}
    return next((model for model in _MID_PRICED if model in known and model not in deprecated), _MID_PRICED[0])


def _model(name: str | None) -> str:
    return default_model() if name is None else name


def _price_table(table: PriceTable | None) -> PriceTable:
    return LIST_PRICES if table is None else table


def _utc_today() -> date:
    return datetime.now(UTC).date()


def _seconds(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ConfigurationError(f"{attribute.name} must be a number of seconds above 0.")


def _async_client(_instance: object, _attribute: Attribute[Any], client: Any) -> None:
    """Clients are known by what they can do: some cloud variants share no class with ``AsyncAnthropic``."""
    if client is None:
        return
    if isinstance(client, str):
        raise ConfigurationError(
            "The first argument is a client, not text. Choose a model with ClaudeAnalyzer(model=...), and pass a key "
            "as ClaudeAnalyzer(AsyncAnthropic(api_key=...)).",
            code="client_setup",
        )
    if hasattr(client, "__enter__") and not hasattr(client, "__aenter__"):
        raise _not_async(type(client).__name__)
    if isinstance(client, type) or not callable(getattr(getattr(client, "messages", None), "create", None)):
        raise ConfigurationError(
            "The client has no messages.create. Pass an AsyncAnthropic(...), or none to use ANTHROPIC_API_KEY.",
            code="client_setup",
        )


def _not_async(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"ClaudeAnalyzer needs an async client, not {what}. Pass an AsyncAnthropic or another Async... client of the "
        "SDK, or none.",
        code="client_setup",
    )


@frozen(eq=False)
class ClaudeAnalyzer:
    """Finds cards with Claude: one request a document, with structured output that is checked before it is believed.

    It holds no connection, so it can be shared between runs, event loops and backends. A run opens it once; `analyze`
    outside of `open` opens it for that one call.

    Args:
        client: An async client of the SDK, such as ``AsyncAnthropic`` or one of its cloud variants, or anything with
            an async ``messages.create`` like theirs. It is used in the event loop it was made for and never closed.
            With None, each `open` makes an ``AsyncAnthropic()`` from the environment and closes it.
        model: The model; None for `default_model`.
        max_tokens: The most tokens of an answer, thinking included; a longer answer fails as ``truncated``.
        request_timeout: The longest silence of the API in seconds, in each attempt that the client makes.
        prices: For `Usage.cost`; None for the list prices. The cost of a model that they do not know is None.
        today: Gives the day whose prices hold, in UTC.

    Raises:
        ConfigurationError: An argument is wrong, or the client is not async.
    """

    _client: Any = field(default=None, repr=False, validator=_async_client)
    model: str = field(default=None, converter=_model, validator=some_text, kw_only=True)
    max_tokens: int = field(default=16000, validator=positive, kw_only=True)
    request_timeout: float = field(default=600.0, validator=_seconds, kw_only=True)
    prices: PriceTable = field(default=None, converter=_price_table, kw_only=True, repr=False)
    today: Callable[[], date] = field(default=_utc_today, kw_only=True, repr=False)

    @property
    def name(self) -> str:
        """``claude``."""
        return "claude"

    def describe(self) -> Mapping[str, Any]:
        """What the answers depend on."""
        return {
            "model": self.model,
            "prompt_version": PROMPT_VERSION,
            "schema_version": SCHEMA_VERSION,
            "max_tokens": self.max_tokens,
        }

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[Analyzer, None]:
        """Check the credentials and the base URL, without a request, and give an analyzer that is ready.

        Raises:
            ConfigurationError: On entering: there is no API key (code ``no_api_key``), or the key or the base URL
                cannot be right (code ``client_setup``).
        """
        if self._client is not None:
            _check_client(self._client)
            yield _Session(settings=self, client=self._client)
            return
        client = _own_client()
        try:
            _check_client(client)
            yield _Session(settings=self, client=client)
        finally:
            # Shielded, so that a cancelled run leaves no open sockets behind.
            with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
                await client.close()

    async def analyze(self, document: Document, request: AnalysisRequest, /) -> Analysis:
        """Ask for a document's cards, with one request.

        Args:
            document: What to read. It is sent as fenced data.
            request: How many cards are wanted, and what is known beyond the text.

        Returns:
            The cards, with quotes that are not looked up yet, and what they cost.

        Raises:
            AnalyzerError: There is no whole, valid answer for this document. Its code says why: ``truncated``,
                ``refused``, ``context_window_exceeded``, ``invalid_answer``, ``invalid_response``, ``rate_limited``,
                ``api_unavailable``, ``request_timed_out``, ``connection_failed``, ``too_large``, ``invalid_request``
                or ``client_failed``. Its ``usage`` is what the attempt cost.
            ConfigurationError: No document would get one: ``no_api_key``, ``authentication``, ``permission``,
                ``billing``, ``unknown_model`` or ``client_setup``.
        """
        async with self.open() as ready:
            return await ready.analyze(document, request)


@frozen(kw_only=True, eq=False)
class _Session:
    """An opened analyzer: the settings and a client of the running event loop."""

    settings: ClaudeAnalyzer
    client: Any = field(repr=False)

    @property
    def name(self) -> str:
        return self.settings.name

    def describe(self) -> Mapping[str, Any]:
        return self.settings.describe()

    async def analyze(self, document: Document, request: AnalysisRequest, /) -> Analysis:
        content = user_content(document, request)
        try:
            response = await self._send(system_prompt(request.max_cards), content)
            body, request_id = await _body(response), getattr(response, "request_id", None)
        except Exception as error:
            private = [document.text, document.name, *(block["text"] for block in content[:-1])]
            # Not chained: the texts of causes can hold the key or parts of the request.
            raise _explain(error, model=self.settings.model, private=private) from None
        reply = _read(body, request_id)
        return self._analysis(reply, request_id, request.max_cards)

    async def _send(self, system: str, content: list[dict[str, str]]) -> Any:
        """Make one request and return the SDK's raw response."""
        settings, messages = self.settings, self.client.messages
        timeout = settings.request_timeout
        # The plain call would build models that check nothing; `parse` loses the usage of an answer that is cut.
        pending = getattr(messages, "with_raw_response", messages).create(
            model=settings.model,
            max_tokens=settings.max_tokens,
            system=system,
            messages=[{"role": "user", "content": content}],
            output_config={"format": {"type": "json_schema", "schema": CARDS_SCHEMA}},
            # A timeout of the call's own also keeps the SDK from refusing a large max_tokens without streaming.
            timeout=anthropic.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS)),
        )
        if not inspect.isawaitable(pending):
            raise _not_async(type(self.client).__name__)
        return await pending

    def _analysis(self, reply: Reply, request_id: str | None, max_cards: int) -> Analysis:
        usage = self._usage(reply)
        failure = explain_stop(reply, max_tokens=self.settings.max_tokens, usage=usage, request_id=request_id)
        if failure is not None:
            raise failure
        try:
            cards = parse_cards(reply.text, made_by=self.settings.model)
        except InvalidAnswer as invalid:
            message = f"The answer does not fit the schema: {invalid} Run it again.{request_note(request_id)}"
            raise AnalyzerError(message, code="invalid_answer", usage=usage) from None
        return Analysis(cards=cards[:max_cards], usage=usage, notes=_notes(cards, max_cards))

    def _usage(self, reply: Reply) -> Usage:
        tokens = reply.tokens
        return Usage(
            requests=1,
            input_tokens=tokens.input,
            output_tokens=tokens.output,
            cache_read_tokens=tokens.cache_read,
            cache_write_tokens=tokens.cache_write,
            cost=self._cost(reply),
        )

    def _cost(self, reply: Reply) -> float | None:
        if not reply.price_factor:
            return reply.price_factor
        model = reply.model or self.settings.model
        cost = self.settings.prices.cost(model, reply.tokens, on=self.settings.today())
        return None if cost is None else cost * reply.price_factor


def _notes(cards: Sequence[Card], max_cards: int) -> list[str]:
    if len(cards) <= max_cards:
        return []
    return [f"The model returned {len(cards)} cards; the first {max_cards} were kept."]


def _own_client() -> anthropic.AsyncAnthropic:
    try:
        client = anthropic.AsyncAnthropic()
    except anthropic.CredentialsError:
        raise no_api_key("There is no API key for Claude, and its profile on disk cannot be used.") from None
    except Exception:
        message = "No client for Claude can be made from the environment. Check ANTHROPIC_BASE_URL, ANTHROPIC_PROFILE "
        raise ConfigurationError(f"{message}and the other ANTHROPIC_ variables.", code="client_setup") from None
    # A line break at the end is a common slip where the variable is set from a file.
    client.api_key = (client.api_key or "").strip() or None
    client.auth_token = (client.auth_token or "").strip() or None
    return client


def _check_client(client: Any) -> None:
    """Find what would make every request fail, before the first one.

    Only the plain client is looked at. Others have credentials and addresses of their own; what is wrong with those
    shows in the first request and stops the run then.
    """
    if type(client) is not anthropic.AsyncAnthropic:
        return
    if not _has_credentials(client):
        raise no_api_key()
    if not all(map(_fits_a_header, (client.api_key, client.auth_token))):
        raise ConfigurationError(
            "The API key holds white space or other characters that no key has. Set ANTHROPIC_API_KEY, or the "
            "client's api_key, to the key alone.",
            code="client_setup",
        )
    address = urlsplit(str(client.base_url))
    if address.scheme not in ("http", "https") or not address.netloc:
        raise ConfigurationError(
            "The base URL of the API must begin with http:// or https:// and name a host. Correct or unset "
            "ANTHROPIC_BASE_URL, or the client's base_url.",
            code="client_setup",
        )


def _has_credentials(client: anthropic.AsyncAnthropic) -> bool:
    if client.api_key or client.auth_token or client.credentials:
        return True
    if "" in (client.api_key, client.auth_token):
        return False
    # A header of the caller's own counts, also one that says to send none.
    return not {"authorization", "x-api-key"}.isdisjoint(name.lower() for name in client.default_headers)


def _fits_a_header(secret: str | None) -> bool:
    return not secret or (secret.isascii() and secret.isprintable() and " " not in secret)


async def _body(response: Any) -> bytes | Mapping[str, Any]:
    """The raw body; of a client whose middleware, or whose own way, gives a ready message instead, its values."""
    raw: bytes | Mapping[str, Any] = b""
    if hasattr(response, "http_response"):
        raw = await response.read()
    elif hasattr(response, "model_dump"):
        raw = response.model_dump(mode="json", warnings=False)
    elif is_object(response):
        raw = response
    return raw


def _read(body: bytes | Mapping[str, Any], request_id: str | None) -> Reply:
    try:
        return read_reply(body)
    except InvalidReply as invalid:
        message = (
            f"What came back with status 200 is no answer of the Messages API. {invalid} Check the base URL and what "
            f"stands between, such as a proxy, and run it again.{request_note(request_id)}"
        )
        raise AnalyzerError(message, code="invalid_response", usage=Usage(requests=1)) from None


def _explain(error: Exception, *, model: str, private: Sequence[str]) -> CardAnalysisError:
    """Turn whatever a client raises into an error of this library."""
    if isinstance(error, CardAnalysisError):
        return error
    if isinstance(error, anthropic.APIStatusError):
        return explain_status(
            StatusFailure(
                status=error.status_code,
                kind=error.type,
                error_code=error.error_code,
                message=error.api_message if isinstance(error.api_message, str) else "",
                request_id=error.request_id,
                model=model,
                private=private,
            )
        )
    if isinstance(error, anthropic.APITimeoutError):
        message = "The API did not answer in time. Run it again, or raise ClaudeAnalyzer(request_timeout=...)."
        return AnalyzerError(message, code="request_timed_out")
    if isinstance(error, anthropic.APIConnectionError):
        return explain_cause(error.__cause__)
    return _explain_client(error)


def _explain_client(error: Exception) -> CardAnalysisError:
    """What went wrong in the client itself, before a request or after a response."""
    what = type(error).__name__
    if isinstance(error, TypeError) and "authentication" in str(error):
        return no_api_key()
    if isinstance(error, anthropic.CredentialsError):
        return ConfigurationError(
            "The client cannot load its credentials. Renew them, then resume.", code="authentication"
        )
    if isinstance(error, (TypeError, ImportError)):
        message = f"The client cannot make the request ({what}). Check its version and the extras it needs."
        return ConfigurationError(message, code="client_setup")
    if isinstance(error, (json.JSONDecodeError, anthropic.APIResponseValidationError)):
        return AnalyzerError(
            "The API's response cannot be read. Run it again.", code="invalid_response", usage=Usage(requests=1)
        )
    if isinstance(error, UnicodeEncodeError):
        return AnalyzerError("The request holds text that cannot be encoded.", code="invalid_request")
    return AnalyzerError(f"The client failed with {what}. Try another client, or run it again.", code="client_failed")
