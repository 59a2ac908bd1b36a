"""The official SDK: clients, and what they raise. This is the only module that imports it, which takes 0.7 s.

What the code relies on was read in and tried with version 2.12 of the SDK.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, get_args, get_type_hints
from urllib.parse import urlsplit

import anthropic
from anthropic.lib.bedrock import AsyncAnthropicBedrock
from anthropic.resources.messages import messages as sdk_messages
from anthropic.types import OutputConfigParam
from anthropic.types.messages import MessageBatch
from anthropic.types.model import Model
from anyio import to_thread
from attrs import Attribute

from .._errors import AnalyzerError, CardAnalysisError, ConfigurationError
from ._failures import StatusFailure, explain_cause, invalid_response, no_api_key, status_failure, timed_out
from ._transport import Failure, FailureKind

__all__ = [
    "account_of",
    "async_client",
    "check_client",
    "create_batch",
    "default_model",
    "efforts",
    "explain",
    "is_stale",
    "no_counting",
    "not_async",
    "own_client",
    "streams_events",
    "timeouts",
    "utc_now",
    "with_own_connections",
    "without_retries",
]

_MID_PRICED: Final = ("claude-sonnet-5-5", "claude-sonnet-5", "claude-sonnet-4-6")
_KEEP_ALIVE_SECONDS: Final = 60.0


def default_model() -> str:
    """The model that is used when none is named: the newest mid-priced one that the SDK does not deprecate."""
    deprecated = getattr(sdk_messages, "DEPRECATED_MODELS", {})
    known = {name for part in get_args(Model) for name in get_args(part)}
    return next((model for model in _MID_PRICED if model in known and model not in deprecated), _MID_PRICED[0])


def efforts() -> tuple[str, ...]:
    """The values of ``effort`` that the SDK knows."""
    known = get_type_hints(OutputConfigParam)["effort"]  # Literal[...] | None
    return tuple(name for part in get_args(known) for name in get_args(part))


# --- clients ----------------------------------------------------------------------------------------------------------


def async_client(_instance: object, _attribute: Attribute[Any], client: Any) -> None:
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
        raise not_async(type(client).__name__)
    if isinstance(client, type) or not callable(getattr(getattr(client, "messages", None), "create", None)):
        raise ConfigurationError(
            "The client has no messages.create. Pass an AsyncAnthropic(...), or none to use ANTHROPIC_API_KEY.",
            code="client_setup",
        )


def not_async(what: str) -> ConfigurationError:
    """The error for a client, or whatever else was given, that does not wait."""
    return ConfigurationError(
        f"ClaudeAnalyzer needs an async client, not {what}. Pass an AsyncAnthropic or another Async... client of the "
        "SDK, or none.",
        code="client_setup",
    )


def no_counting(what: str) -> ConfigurationError:
    """The error for a client that cannot count tokens, as some cloud variants."""
    return ConfigurationError(f"{what} cannot count tokens. Use another client for that.", code="client_setup")


def own_client() -> tuple[anthropic.AsyncAnthropic, Callable[[], Awaitable[None]]]:
    """A client made from the environment, and what closes it.

    Raises:
        ConfigurationError: None can be made.
    """
    try:
        client = anthropic.AsyncAnthropic(max_retries=0, http_client=_connections())
    except anthropic.CredentialsError:
        raise no_api_key("There is no API key for Claude, and its profile on disk cannot be used.") from None
    except Exception:
        message = "No client for Claude can be made from the environment. Check ANTHROPIC_BASE_URL, ANTHROPIC_PROFILE "
        raise ConfigurationError(f"{message}and the other ANTHROPIC_ variables.", code="client_setup") from None
    # A line break at the end is a common slip where the variable is set from a file.
    client.api_key = (client.api_key or "").strip() or None
    client.auth_token = (client.auth_token or "").strip() or None
    return client, client.close


def _connections() -> Any:
    """Connections, as many as there are requests at once.

    The SDK keeps 100 idle ones, for 5 seconds: too few for a high limit, and too short between two answers.
    """
    limits = type(anthropic.DEFAULT_CONNECTION_LIMITS)(
        max_connections=None, max_keepalive_connections=None, keepalive_expiry=_KEEP_ALIVE_SECONDS
    )
    return anthropic.DefaultAsyncHttpxClient(limits=limits)


def with_own_connections(client: Any) -> tuple[Any, Callable[[], Awaitable[None]] | None]:
    """A caller's client with connections of the running event loop, which makes each request once.

    Those it has may be left from another event loop that is closed: a request sent over one is lost, and may be billed.
    A client that was given an HTTP client of the caller's own keeps it.

    Returns:
        The client, and what closes the connections, if they are new.
    """
    given: Any = getattr(client, "_client", None)
    if type(given).__name__ != "AsyncHttpxClientWrapper" or given.is_closed:  # the SDK's own, known by name alone
        return without_retries(client), None
    connections = _connections()
    try:
        return client.with_options(max_retries=0, http_client=connections), connections.aclose
    except TypeError:
        return without_retries(client), None


def check_client(client: Any) -> None:
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


def without_retries(client: Any) -> Any:
    """The same client, over the same connections, which makes each request once. One that is unlike the SDK stays."""
    with_options = getattr(client, "with_options", None)
    try:
        return with_options(max_retries=0) if callable(with_options) else client
    except TypeError:  # a subclass that is made in another way cannot be copied by the SDK
        return client


def streams_events(client: Any) -> bool:
    """Whether a client streams server-sent events. The frames of Amazon's runtime API are a binary format."""
    return not isinstance(client, AsyncAnthropicBedrock)


def account_of(client: Any) -> str:
    """What tells the account of a client from others, without telling the key."""
    secret = getattr(client, "api_key", None) or getattr(client, "auth_token", None)
    base_url = getattr(client, "base_url", "")
    parts = [type(client).__name__, str(base_url), secret if isinstance(secret, str) else ""]
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:16]


@lru_cache
def timeouts(*, connect: float, silence: float) -> anthropic.Timeout:
    """Bounds for the steps of one request, in seconds.

    Given to a call, they also keep the SDK from refusing a large ``max_tokens`` without a stream.
    """
    return anthropic.Timeout(silence, connect=min(connect, silence))


async def create_batch(client: Any, requests: Sequence[Mapping[str, Any]], *, timeout: anthropic.Timeout) -> Any:
    """Submit a batch, without keeping the event loop from its other work: one of 200 MB takes two seconds to encode.

    Only the plain client is given bytes; what others make of a request is their own.
    """
    if type(client) is not anthropic.AsyncAnthropic:
        return await client.messages.batches.create(requests=requests, timeout=timeout)
    content = await to_thread.run_sync(_encoded, requests)
    return await client.post(
        "/v1/messages/batches",
        cast_to=MessageBatch,
        content=content,
        options={"timeout": timeout, "headers": {"content-type": "application/json"}},
    )


def _encoded(requests: Sequence[Mapping[str, Any]]) -> bytes:
    # One by one: while a single text is encoded, no other thread runs.
    texts = (json.dumps(request, ensure_ascii=False, separators=(",", ":"), allow_nan=False) for request in requests)
    return b'{"requests":[' + b",".join(text.encode() for text in texts) + b"]}"


def utc_now() -> datetime:
    """The time."""
    return datetime.now(UTC)


# --- what clients raise ---------------------------------------------------------------------------------------------


def is_stale(error: Exception) -> bool:
    """Whether a connection was left over from an event loop that is closed. It is gone now.

    The request may have been sent over it all the same, since only reading needs the loop.
    """
    return isinstance(error, anthropic.APIConnectionError) and "Event loop is closed" in str(error.__cause__)


def explain(error: Exception, *, model: str, private: Sequence[str]) -> Failure:
    """Turn whatever a client raises into a failure of the attempt.

    Args:
        error: What it raised.
        model: The model that was asked.
        private: What was sent of the document, to be kept out of messages.
    """
    if isinstance(error, CardAnalysisError):
        return Failure(kind=FailureKind.FINAL, error=error)
    if isinstance(error, anthropic.APIStatusError):
        told = StatusFailure(
            status=error.status_code,
            kind=error.type,
            error_code=error.error_code,
            message=error.api_message if isinstance(error.api_message, str) else "",
            request_id=error.request_id,
            model=model,
            private=private,
        )
        return status_failure(told, error.response.headers, now=utc_now())
    if isinstance(error, anthropic.APITimeoutError):
        return timed_out(before_sending=type(error.__cause__).__name__ in ("ConnectTimeout", "PoolTimeout"))
    if isinstance(error, anthropic.APIConnectionError):
        return explain_cause(error.__cause__)
    return _explain_client(error)


def _explain_client(error: Exception) -> Failure:
    """What went wrong in the client itself, before a request or after a response."""
    what, kinds = type(error).__name__, {kind.__name__ for kind in type(error).__mro__}
    if "TransportError" in kinds:  # of the HTTP library, while a response was read
        return timed_out() if "TimeoutException" in kinds else explain_cause(error)
    if isinstance(error, (json.JSONDecodeError, anthropic.APIResponseValidationError)):
        return invalid_response("The API's response cannot be read. Run it again.")
    return Failure(kind=FailureKind.FINAL, error=_client_error(error, what))


def _client_error(error: Exception, what: str) -> CardAnalysisError:
    if isinstance(error, TypeError) and "authentication" in str(error):
        return no_api_key()
    if isinstance(error, anthropic.CredentialsError):
        return ConfigurationError(
            "The client cannot load its credentials. Renew them, then resume.", code="authentication"
        )
    if isinstance(error, (TypeError, ImportError)):
        message = f"The client cannot make the request ({what}). Check its version and the extras it needs."
        return ConfigurationError(message, code="client_setup")
    if isinstance(error, UnicodeEncodeError):
        return AnalyzerError("The request holds text that cannot be encoded.", code="invalid_request")
    return AnalyzerError(f"The client failed with {what}. Try another client, or run it again.", code="client_failed")
