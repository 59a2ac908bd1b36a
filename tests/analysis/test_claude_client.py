"""Whose client `ClaudeAnalyzer` uses, what it checks of it, and what becomes of it."""

from __future__ import annotations

import gc
import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import anyio
import httpx2
import pytest
from anthropic import AsyncAnthropic

from cardanalysis._documents import Document
from cardanalysis._errors import AnalyzerError, CardAnalysisError, ConfigurationError
from cardanalysis._models import Analysis, AnalysisRequest
from cardanalysis.abc import Described
from cardanalysis.analysis._claude import ClaudeAnalyzer
from cardanalysis.analysis._direct import DirectTransport
from cardanalysis.analysis._sdk import account_of, own_client
from cardanalysis.testing import FakeMessagesAPI, Reply

sys.path.insert(0, str(Path(__file__).parent))

from claude_kit import KEY, ONCE
from claude_kit import analyzer as claude

pytestmark = pytest.mark.anyio

DOCUMENT = Document(upload_id="u", name="brief.md", media_type="text/markdown", text="Orders are retyped.", blocks=())


@pytest.fixture
def api() -> Iterator[FakeMessagesAPI]:
    with FakeMessagesAPI(api_keys=[KEY]) as api:
        yield api


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials of this machine, and no way to the real API."""
    for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, api: FakeMessagesAPI) -> None:
    """An environment in which ``AsyncAnthropic()`` finds its key and the fake API."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", api.base_url)


async def analyze(analyzer: ClaudeAnalyzer) -> Analysis:
    return await analyzer.analyze(DOCUMENT, AnalysisRequest())


async def refusal(analyzer: ClaudeAnalyzer) -> ConfigurationError:
    """The error on opening; nothing of a key is in it."""
    with pytest.raises(ConfigurationError) as caught:
        async with analyzer.open():
            pytest.fail("opened")
    assert "secret" not in "".join(traceback.format_exception(caught.value))
    return caught.value


class Recording(AsyncAnthropic):
    """Remembers every client that is made."""

    made: list[Recording]

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        if options.get("http_client") not in [client._client for client in self.made]:
            self.made.append(self)  # and not a copy with other options


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Recording]:
    monkeypatch.setattr(Recording, "made", [], raising=False)
    monkeypatch.setattr(anthropic, "AsyncAnthropic", Recording)
    return Recording.made


# --- clients of our own -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("environment")
async def test_an_opening_has_one_client_and_closes_it(made: list[Recording], api: FakeMessagesAPI) -> None:
    """All documents of an opening go through one client, which is closed at its end."""
    analyzer = claude()
    async with analyzer.open() as ready:
        await ready.analyze(DOCUMENT, AnalysisRequest())
        await ready.analyze(DOCUMENT, AnalysisRequest())
        assert [client.is_closed() for client in made] == [False]
        assert ready.name == "claude"
        assert isinstance(ready, Described)
        assert ready.describe() == analyzer.describe()
    assert [client.is_closed() for client in made] == [True]
    assert len(api.requests) == 2


@pytest.mark.usefixtures("environment")
async def test_a_call_without_opening_opens_for_itself(made: list[Recording]) -> None:
    """Each such call has a client of its own and closes it."""
    await analyze(claude())
    await analyze(claude())
    assert [client.is_closed() for client in made] == [True, True]


@pytest.mark.usefixtures("environment")
async def test_a_failed_or_cancelled_opening_closes_its_client(made: list[Recording], api: FakeMessagesAPI) -> None:
    """However an opening ends, nothing is left open."""
    api.script(Reply.error(401), Reply.default().after(30))
    with pytest.raises(ConfigurationError):
        await analyze(claude())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(analyze, claude())
        await anyio.to_thread.run_sync(api.wait_for_requests, 2)
        tasks.cancel_scope.cancel()
    assert [client.is_closed() for client in made] == [True, True]


@pytest.mark.usefixtures("environment")
def test_one_analyzer_works_in_any_number_of_event_loops(api: FakeMessagesAPI) -> None:
    """It holds no client, so successive runs on either backend do not meet each other's connections."""
    analyzer = claude()
    for backend in ("asyncio", "asyncio", "trio", "trio", "asyncio"):
        assert anyio.run(analyze, analyzer, backend=backend).usage.requests == 1
    assert [request.status for request in api.requests] == [200] * 5


@pytest.mark.usefixtures("environment")
async def test_white_space_around_the_key_is_taken_off(monkeypatch: pytest.MonkeyPatch, api: FakeMessagesAPI) -> None:
    """A key with a line break at its end, as files have it, works."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", f" {KEY}\n")
    await analyze(claude())
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", f"{KEY}\r\n")
    await analyze(claude())
    assert [request.status for request in api.requests] == [200, 200]


# --- what is checked before any request -------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "", " \n"])
async def test_without_a_key_nothing_is_opened(monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    """The error names the variable and the analyzer that needs no key."""
    if key is not None:
        monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    error = await refusal(claude())
    assert error.code == "no_api_key"
    assert "ANTHROPIC_API_KEY" in str(error)
    assert "OutlineAnalyzer" in str(error)
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY"):
        await analyze(claude())


async def test_a_profile_that_cannot_be_read_is_no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The SDK fails already in making the client; the way out is the same."""
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path))
    error = await refusal(claude())
    assert error.code == "no_api_key"
    assert "profile" in str(error)


@pytest.mark.parametrize("client", [AsyncAnthropic(api_key=""), AsyncAnthropic(auth_token="")])
async def test_a_callers_client_without_a_key_is_refused(client: AsyncAnthropic) -> None:
    """An empty key is none."""
    assert (await refusal(claude(client))).code == "no_api_key"


@pytest.mark.parametrize("key", ["sk-secret\n", " sk-secret", "sk secret", "sk-secret\x7f", "sk-secrét"])
async def test_a_key_that_cannot_be_one_is_refused(key: str) -> None:
    """A caller's client is not changed, and a request with such a key would fail as a connection error."""
    for client in (AsyncAnthropic(api_key=key), AsyncAnthropic(auth_token=key)):
        error = await refusal(claude(client))
        assert error.code == "client_setup"
        assert "white space" in str(error)


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer x"}, {"x-api-key": "x"}, {"AUTHORIZATION": anthropic.omit}]
)
async def test_headers_of_the_callers_own_count_as_credentials(headers: dict[str, Any]) -> None:
    """A gateway may want another header, or none."""
    async with AsyncAnthropic(default_headers=headers) as client, claude(client).open():
        pass


async def test_a_provider_of_credentials_counts() -> None:
    """Tokens may be fetched when they are needed."""

    def provide(**_options: Any) -> Any:
        raise AssertionError("not asked yet")

    async with AsyncAnthropic(credentials=provide) as client, claude(client).open():
        pass


@pytest.mark.parametrize("url", ["", "api.anthropic.com", "ftp://api.anthropic.com", "http://", "https:///v1"])
async def test_a_base_url_that_leads_nowhere_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """The SDK takes it and fails in every request, after retries."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    error = await refusal(claude())
    assert error.code == "client_setup"
    assert "ANTHROPIC_BASE_URL" in str(error)


async def test_an_environment_the_sdk_cannot_use_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever making a client raises becomes a configuration error."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://secret:x")
    error = await refusal(claude())
    assert error.code == "client_setup"


# --- clients of the caller --------------------------------------------------------------------------------------------


async def test_a_callers_client_is_used_and_left_open(api: FakeMessagesAPI) -> None:
    """It is the caller's to close, also after a failure."""
    client = AsyncAnthropic(api_key=KEY, base_url=api.base_url)
    api.script(Reply.default(), Reply.error(500))
    async with claude(client, retry=ONCE).open() as ready:
        await ready.analyze(DOCUMENT, AnalysisRequest())
        with pytest.raises(AnalyzerError):
            await ready.analyze(DOCUMENT, AnalysisRequest())
    assert not client.is_closed()
    await analyze(claude(client))
    await client.close()


async def test_the_callers_own_retries_are_off(api: FakeMessagesAPI) -> None:
    """How often a request is made again is the analyzer's setting, and the client itself stays as it is."""
    api.script(Reply.error(500), Reply.error(500))
    async with AsyncAnthropic(api_key=KEY, base_url=api.base_url, max_retries=7) as client:
        with pytest.raises(AnalyzerError):
            await analyze(claude(client, retry=ONCE))
        assert client.max_retries == 7
    assert [request.status for request in api.requests] == [500]


@pytest.mark.parametrize("kind", [anthropic.Anthropic, anthropic.AnthropicFoundry])
def test_a_sync_client_is_refused(kind: Any) -> None:
    """The message says what to pass instead."""
    options = {"resource": "r"} if kind is anthropic.AnthropicFoundry else {}
    with kind(api_key=KEY, **options) as client, pytest.raises(ConfigurationError, match="AsyncAnthropic") as caught:
        claude(client)
    assert caught.value.code == "client_setup"
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("client", [KEY, object(), AsyncAnthropic, 7])
def test_what_is_no_client_is_refused(client: Any) -> None:
    """A key in the place of a client, or the class itself, is found at once and not repeated."""
    with pytest.raises(ConfigurationError, match=r"no messages\.create|a client, not text") as caught:
        claude(client)
    assert KEY not in str(caught.value)


async def test_cloud_clients_are_trusted_to_have_credentials() -> None:
    """They authenticate in ways of their own, which no attribute shows."""

    async def token() -> str:
        return "t"

    foundry = anthropic.AsyncAnthropicFoundry(resource="r", azure_ad_token_provider=token)
    async with foundry as client, claude(client).open():
        pass
    async with anthropic.AsyncAnthropicBedrock(aws_region="us-east-1") as client, claude(client).open():
        pass


class Lookalike:
    """A client by what it can do: its ``messages.create`` is given."""

    def __init__(self, create: Any) -> None:
        self.messages = self
        self.create = create


MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5-20251001",
    "content": [{"type": "new_kind"}, {"type": "text", "text": '{"cards": []}'}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 1_000_000, "output_tokens": 0},
}


@pytest.mark.parametrize("answer", [MESSAGE, anthropic.types.Message.construct(**MESSAGE)])
async def test_anything_with_an_async_create_will_do(answer: Any) -> None:
    """A client may answer with a message of the SDK, or with its JSON value."""

    async def create(**_request: Any) -> Any:
        return answer

    analysis = await analyze(claude(Lookalike(create)))
    assert analysis.usage.input_tokens == 1_000_000
    assert analysis.usage.cost == pytest.approx(1.0)


class Streamless(Lookalike):
    """One that has the SDK's raw responses, and nothing of what surrounds them: no headers, no ids, no copies."""

    def __init__(self, create: Any) -> None:
        super().__init__(create)
        self.with_raw_response = self


async def test_a_client_that_gives_messages_only_will_do() -> None:
    """No headers, no request id, no stream, no counting of tokens."""
    asked: list[dict[str, Any]] = []

    async def create(**request: Any) -> Any:
        asked.append(request)
        return MESSAGE

    client = Streamless(create)
    analysis = await analyze(claude(client))
    assert analysis.requests == ()
    assert analysis.usage.requests == 1
    with pytest.raises(ConfigurationError, match="cannot count tokens"):
        await claude(client).count_tokens(DOCUMENT, AnalysisRequest())


async def test_a_subclass_that_cannot_be_copied_is_used_as_it_is(api: FakeMessagesAPI) -> None:
    """The SDK copies a client by its class, whose arguments may be others; then its own retries stay."""

    class Ours(AsyncAnthropic):
        def __init__(self, url: str) -> None:
            super().__init__(api_key=KEY, base_url=url)

    async with Ours(api.base_url) as client:
        assert (await analyze(claude(client))).usage.requests == 1


async def test_a_gateway_may_have_a_path(api: FakeMessagesAPI) -> None:
    """Its prefix stands in every request, and a page of HTML from it stops the run."""
    async with AsyncAnthropic(api_key=KEY, base_url=f"{api.base_url}/gateway/v7") as client:
        with pytest.raises(ConfigurationError):
            await analyze(claude(client))
    assert api.requests[0].path == "/gateway/v7/v1/messages"


async def test_amazons_binary_streams_are_not_asked_for() -> None:
    """Its runtime API frames events in its own way; the answer comes whole."""
    asked: list[tuple[str, dict[str, Any]]] = []

    async def serve(request: httpx2.Request) -> httpx2.Response:
        asked.append((request.url.path, json.loads(await request.aread())))
        return httpx2.Response(200, json=MESSAGE)

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(serve))
    options = {"api_key": KEY, "aws_region": "us-east-1", "http_client": http}
    async with anthropic.AsyncAnthropicBedrock(**options) as client:
        assert (await analyze(claude(client, model="claude-haiku-4-5"))).usage.requests == 1
    ((path, body),) = asked
    assert path == "/model/claude-haiku-4-5/invoke"
    assert "stream" not in body


async def test_googles_streams_are_read(api: FakeMessagesAPI) -> None:
    """Another path and another way to authenticate; the events are the same."""
    paths: list[str] = []

    async def serve(request: httpx2.Request) -> httpx2.Response:
        paths.append(request.url.path.rpartition(":")[2])
        content = b"".join(
            b"data: " + json.dumps(event).encode() + b"\n\n"
            for event in (
                {"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None}},
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": '{"cards": []}'}},
                {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}},
                {"type": "message_stop"},
            )
        )
        return httpx2.Response(200, content=content, headers={"content-type": "text/event-stream"})

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(serve))
    options = {"region": "global", "project_id": "p", "access_token": "t", "http_client": http}
    async with anthropic.AsyncAnthropicVertex(**options) as client:
        assert (await analyze(claude(client))).usage.output_tokens == 4
    assert paths == ["streamRawPredict"]


# --- event loops and connections --------------------------------------------------------------------------------------


async def analyze_at_once(analyzer: ClaudeAnalyzer, count: int) -> None:
    """So many documents at the same time, each over a connection of its own."""
    async with analyzer.open() as ready, anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(ready.analyze, DOCUMENT, AnalysisRequest())


def with_open_connections(api: FakeMessagesAPI, work: Callable[[AsyncAnthropic], None]) -> None:
    """Work with a client that is never closed, and be rid of its sockets without a warning.

    The SDK's own HTTP client would close itself in whatever event loop runs when it is thrown away.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        work(AsyncAnthropic(api_key=KEY, base_url=api.base_url, http_client=httpx2.AsyncClient()))
        gc.collect()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("count", [1, 8])
def test_one_client_works_in_several_loops_of_one_kind(api: FakeMessagesAPI, backend: str, count: int) -> None:
    """Connections that are left over from the loop before are no failures, however many there are.

    On asyncio each of them has sent its request before that shows, and the server may answer it for nobody.
    """
    api.latency = 0.05

    def work(client: AsyncAnthropic) -> None:
        for _ in range(3):
            anyio.run(analyze_at_once, claude(client, retry=ONCE, cache=False), count, backend=backend)

    with_open_connections(api, work)
    over_left_ones = 2 * count if backend == "asyncio" else 0
    assert 3 * count <= len(api.requests) <= 3 * count + over_left_ones
    assert [request.status for request in api.requests].count(200) >= 3 * count


@pytest.mark.parametrize(("first", "second"), [("asyncio", "trio"), ("trio", "asyncio")])
def test_a_client_belongs_to_one_kind_of_event_loop(api: FakeMessagesAPI, first: str, second: str) -> None:
    """The SDK's connections never heal from that; the error says what to do, at once."""

    def work(client: AsyncAnthropic) -> None:
        anyio.run(analyze, claude(client), backend=first)
        with pytest.raises(ConfigurationError, match="belongs to another event loop") as caught:
            anyio.run(analyze, claude(client), backend=second)
        assert caught.value.code == "client_setup"

    with_open_connections(api, work)
    assert len(api.requests) == 1


@pytest.mark.usefixtures("environment")
async def test_our_own_pool_is_as_large_as_need_be(api: FakeMessagesAPI) -> None:
    """A hundred and ten requests are in flight at once, and their connections are kept for the next ones."""
    api.latency = 0.5
    client, _close = own_client()
    params = claude(cache=False).request_params(DOCUMENT, AnalysisRequest())[0]
    transport = DirectTransport(client=client, connect_timeout=9, request_timeout=60, idle_timeout=60, stream=True)

    async def ask() -> None:
        await transport.send(params, begun=lambda _headers: None)

    async with client:
        for _ in range(2):
            async with anyio.create_task_group() as tasks:
                for _ in range(110):
                    tasks.start_soon(ask)
            api.latency = 0.0
        pool = client._client._transport._pool  # type: ignore[attr-defined]
        assert len(pool.connections) == api.max_in_flight == 110


def test_accounts_are_told_apart_without_their_keys() -> None:
    """By key, address and kind of client; a pacer may be shared by many."""
    clients = [
        AsyncAnthropic(api_key=KEY),
        AsyncAnthropic(api_key="other"),
        AsyncAnthropic(auth_token=KEY, base_url="http://other"),
        Subclass(api_key=KEY),
        Lookalike(None),
    ]
    accounts = [account_of(client) for client in clients]
    assert len(set(accounts)) == 5
    assert account_of(AsyncAnthropic(api_key=KEY)) == accounts[0]
    assert KEY not in "".join(accounts)


async def test_a_middleware_may_answer_in_the_place_of_the_api() -> None:
    """The SDK then gives its message instead of a raw response."""

    async def cached(_request: Any, _call_next: Any) -> Any:
        return anthropic.types.Message.construct(**MESSAGE)

    async with AsyncAnthropic(api_key=KEY, middleware=[cached]) as client:
        assert (await analyze(claude(client))).usage.requests == 1


async def test_a_create_that_is_not_async_is_refused() -> None:
    """It shows when it is called, and stops the run."""
    with pytest.raises(ConfigurationError, match="async client, not Lookalike"):
        await analyze(claude(Lookalike(lambda **_request: MESSAGE)))


async def test_an_answer_that_is_nothing_known_is_invalid() -> None:
    """A lookalike that answers with something else fails the document."""

    async def create(**_request: Any) -> Any:
        return 7

    with pytest.raises(AnalyzerError) as caught:
        await analyze(claude(Lookalike(create), retry=ONCE))
    assert caught.value.code == "invalid_response"


def decoding_error() -> ValueError:
    import json

    return json.JSONDecodeError("secret", "secret", 0)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (TypeError("Could not resolve authentication method: secret"), ConfigurationError, "no_api_key"),
        (TypeError("secret"), ConfigurationError, "client_setup"),
        (ModuleNotFoundError("secret"), ConfigurationError, "client_setup"),
        (anthropic.CredentialsError("secret"), ConfigurationError, "authentication"),
        (decoding_error(), AnalyzerError, "invalid_response"),
        (UnicodeEncodeError("utf-8", "secret", 0, 1, "secret"), AnalyzerError, "invalid_request"),
        (ValueError("secret"), AnalyzerError, "client_failed"),
        (RuntimeError("secret"), AnalyzerError, "client_failed"),
        (anthropic.AnthropicError("secret"), AnalyzerError, "client_failed"),
        (AnalyzerError("as it is", code="mine"), AnalyzerError, "mine"),
    ],
)
async def test_whatever_a_client_raises_is_typed(error: Exception, kind: type[CardAnalysisError], code: str) -> None:
    """No foreign exception comes out, and nothing of its text."""

    async def create(**_request: Any) -> Any:
        raise error

    with pytest.raises(kind) as caught:
        await analyze(claude(Lookalike(create), retry=ONCE))
    assert caught.value.code == code
    assert "secret" not in "".join(traceback.format_exception(caught.value))


class Subclass(AsyncAnthropic):
    """A client that is not looked at before the first request."""


@pytest.mark.parametrize(
    ("options", "hint"), [({"api_key": f"{KEY}\n"}, "API key"), ({"api_key": KEY, "base_url": ""}, "base URL")]
)
async def test_faults_of_a_client_show_in_the_first_request(
    api: FakeMessagesAPI, options: dict[str, Any], hint: str
) -> None:
    """The SDK calls them connection errors; they stop the run, and the key in their cause is not shown."""
    async with Subclass(**{"base_url": api.base_url, **options}) as client:
        with pytest.raises(ConfigurationError, match=hint) as caught:
            await analyze(claude(client))
    assert caught.value.code == "client_setup"
    assert KEY not in "".join(traceback.format_exception(caught.value))


async def test_a_closed_client_stops_the_run(api: FakeMessagesAPI) -> None:
    """No retry opens it again."""
    async with AsyncAnthropic(api_key=KEY, base_url=api.base_url) as client:
        pass
    with pytest.raises(ConfigurationError, match="closed"):
        await analyze(claude(client))
