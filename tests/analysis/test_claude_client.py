"""Whose client `ClaudeAnalyzer` uses, what it checks of it, and what becomes of it."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import anyio
import pytest
from anthropic import AsyncAnthropic

from cardanalysis._documents import Document
from cardanalysis._errors import AnalyzerError, CardAnalysisError, ConfigurationError
from cardanalysis._models import Analysis, AnalysisRequest
from cardanalysis.abc import Described
from cardanalysis.analysis._claude import ClaudeAnalyzer
from cardanalysis.testing import FakeMessagesAPI, Reply

pytestmark = pytest.mark.anyio

KEY = "sk-ant-secret"
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
        super().__init__(**options, max_retries=0)
        self.made.append(self)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Recording]:
    monkeypatch.setattr(Recording, "made", [], raising=False)
    monkeypatch.setattr(anthropic, "AsyncAnthropic", Recording)
    return Recording.made


# --- clients of our own -----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("environment")
async def test_an_opening_has_one_client_and_closes_it(made: list[Recording], api: FakeMessagesAPI) -> None:
    """All documents of an opening go through one client, which is closed at its end."""
    analyzer = ClaudeAnalyzer()
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
    await analyze(ClaudeAnalyzer())
    await analyze(ClaudeAnalyzer())
    assert [client.is_closed() for client in made] == [True, True]


@pytest.mark.usefixtures("environment")
async def test_a_failed_or_cancelled_opening_closes_its_client(made: list[Recording], api: FakeMessagesAPI) -> None:
    """However an opening ends, nothing is left open."""
    api.script(Reply.error(401), Reply.default().after(30))
    with pytest.raises(ConfigurationError):
        await analyze(ClaudeAnalyzer())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(analyze, ClaudeAnalyzer())
        await anyio.to_thread.run_sync(api.wait_for_requests, 2)
        tasks.cancel_scope.cancel()
    assert [client.is_closed() for client in made] == [True, True]


@pytest.mark.usefixtures("environment")
def test_one_analyzer_works_in_any_number_of_event_loops(api: FakeMessagesAPI) -> None:
    """It holds no client, so successive runs on either backend do not meet each other's connections."""
    analyzer = ClaudeAnalyzer()
    for backend in ("asyncio", "asyncio", "trio", "trio", "asyncio"):
        assert anyio.run(analyze, analyzer, backend=backend).usage.requests == 1
    assert [request.status for request in api.requests] == [200] * 5


@pytest.mark.usefixtures("environment")
async def test_white_space_around_the_key_is_taken_off(monkeypatch: pytest.MonkeyPatch, api: FakeMessagesAPI) -> None:
    """A key with a line break at its end, as files have it, works."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", f" {KEY}\n")
    await analyze(ClaudeAnalyzer())
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", f"{KEY}\r\n")
    await analyze(ClaudeAnalyzer())
    assert [request.status for request in api.requests] == [200, 200]


# --- what is checked before any request -------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "", " \n"])
async def test_without_a_key_nothing_is_opened(monkeypatch: pytest.MonkeyPatch, key: str | None) -> None:
    """The error names the variable and the analyzer that needs no key."""
    if key is not None:
        monkeypatch.setenv("ANTHROPIC_API_KEY", key)
    error = await refusal(ClaudeAnalyzer())
    assert error.code == "no_api_key"
    assert "ANTHROPIC_API_KEY" in str(error)
    assert "OutlineAnalyzer" in str(error)
    with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY"):
        await analyze(ClaudeAnalyzer())


async def test_a_profile_that_cannot_be_read_is_no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The SDK fails already in making the client; the way out is the same."""
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path))
    error = await refusal(ClaudeAnalyzer())
    assert error.code == "no_api_key"
    assert "profile" in str(error)


@pytest.mark.parametrize("client", [AsyncAnthropic(api_key=""), AsyncAnthropic(auth_token="")])
async def test_a_callers_client_without_a_key_is_refused(client: AsyncAnthropic) -> None:
    """An empty key is none."""
    assert (await refusal(ClaudeAnalyzer(client))).code == "no_api_key"


@pytest.mark.parametrize("key", ["sk-secret\n", " sk-secret", "sk secret", "sk-secret\x7f", "sk-secrét"])
async def test_a_key_that_cannot_be_one_is_refused(key: str) -> None:
    """A caller's client is not changed, and a request with such a key would fail as a connection error."""
    for client in (AsyncAnthropic(api_key=key), AsyncAnthropic(auth_token=key)):
        error = await refusal(ClaudeAnalyzer(client))
        assert error.code == "client_setup"
        assert "white space" in str(error)


@pytest.mark.parametrize(
    "headers", [{"Authorization": "Bearer x"}, {"x-api-key": "x"}, {"AUTHORIZATION": anthropic.omit}]
)
async def test_headers_of_the_callers_own_count_as_credentials(headers: dict[str, Any]) -> None:
    """A gateway may want another header, or none."""
    async with AsyncAnthropic(default_headers=headers) as client, ClaudeAnalyzer(client).open():
        pass


async def test_a_provider_of_credentials_counts() -> None:
    """Tokens may be fetched when they are needed."""

    def provide(**_options: Any) -> Any:
        raise AssertionError("not asked yet")

    async with AsyncAnthropic(credentials=provide) as client, ClaudeAnalyzer(client).open():
        pass


@pytest.mark.parametrize("url", ["", "api.anthropic.com", "ftp://api.anthropic.com", "http://", "https:///v1"])
async def test_a_base_url_that_leads_nowhere_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """The SDK takes it and fails in every request, after retries."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
    error = await refusal(ClaudeAnalyzer())
    assert error.code == "client_setup"
    assert "ANTHROPIC_BASE_URL" in str(error)


async def test_an_environment_the_sdk_cannot_use_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever making a client raises becomes a configuration error."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://secret:x")
    error = await refusal(ClaudeAnalyzer())
    assert error.code == "client_setup"


# --- clients of the caller --------------------------------------------------------------------------------------------


async def test_a_callers_client_is_used_and_left_open(api: FakeMessagesAPI) -> None:
    """It is the caller's to close, also after a failure."""
    client = AsyncAnthropic(api_key=KEY, base_url=api.base_url, max_retries=0)
    api.script(Reply.default(), Reply.error(500))
    async with ClaudeAnalyzer(client).open() as ready:
        await ready.analyze(DOCUMENT, AnalysisRequest())
        with pytest.raises(AnalyzerError):
            await ready.analyze(DOCUMENT, AnalysisRequest())
    assert not client.is_closed()
    await analyze(ClaudeAnalyzer(client))
    await client.close()


async def test_the_callers_retries_stay_as_they_are(api: FakeMessagesAPI) -> None:
    """How often the SDK tries again is the client's setting."""
    api.script(Reply.error(500, headers={"retry-after-ms": "1"}))
    async with AsyncAnthropic(api_key=KEY, base_url=api.base_url, max_retries=1) as client:
        await analyze(ClaudeAnalyzer(client))
    assert [request.status for request in api.requests] == [500, 200]


@pytest.mark.parametrize("kind", [anthropic.Anthropic, anthropic.AnthropicFoundry])
def test_a_sync_client_is_refused(kind: Any) -> None:
    """The message says what to pass instead."""
    options = {"resource": "r"} if kind is anthropic.AnthropicFoundry else {}
    with kind(api_key=KEY, **options) as client, pytest.raises(ConfigurationError, match="AsyncAnthropic") as caught:
        ClaudeAnalyzer(client)
    assert caught.value.code == "client_setup"
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("client", [KEY, object(), AsyncAnthropic, 7])
def test_what_is_no_client_is_refused(client: Any) -> None:
    """A key in the place of a client, or the class itself, is found at once and not repeated."""
    with pytest.raises(ConfigurationError, match=r"no messages\.create|a client, not text") as caught:
        ClaudeAnalyzer(client)
    assert KEY not in str(caught.value)


async def test_cloud_clients_are_trusted_to_have_credentials() -> None:
    """They authenticate in ways of their own, which no attribute shows."""

    async def token() -> str:
        return "t"

    foundry = anthropic.AsyncAnthropicFoundry(resource="r", azure_ad_token_provider=token)
    async with foundry as client, ClaudeAnalyzer(client).open():
        pass
    async with anthropic.AsyncAnthropicBedrock(aws_region="us-east-1") as client, ClaudeAnalyzer(client).open():
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

    analysis = await analyze(ClaudeAnalyzer(Lookalike(create)))
    assert analysis.usage.input_tokens == 1_000_000
    assert analysis.usage.cost == pytest.approx(1.0)


async def test_a_middleware_may_answer_in_the_place_of_the_api() -> None:
    """The SDK then gives its message instead of a raw response."""

    async def cached(_request: Any, _call_next: Any) -> Any:
        return anthropic.types.Message.construct(**MESSAGE)

    async with AsyncAnthropic(api_key=KEY, middleware=[cached]) as client:
        assert (await analyze(ClaudeAnalyzer(client))).usage.requests == 1


async def test_a_create_that_is_not_async_is_refused() -> None:
    """It shows when it is called, and stops the run."""
    with pytest.raises(ConfigurationError, match="async client, not Lookalike"):
        await analyze(ClaudeAnalyzer(Lookalike(lambda **_request: MESSAGE)))


async def test_an_answer_that_is_nothing_known_is_invalid() -> None:
    """A lookalike that answers with something else fails the document."""

    async def create(**_request: Any) -> Any:
        return 7

    with pytest.raises(AnalyzerError) as caught:
        await analyze(ClaudeAnalyzer(Lookalike(create)))
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
        await analyze(ClaudeAnalyzer(Lookalike(create)))
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
    async with Subclass(**{"base_url": api.base_url, **options}, max_retries=0) as client:
        with pytest.raises(ConfigurationError, match=hint) as caught:
            await analyze(ClaudeAnalyzer(client))
    assert caught.value.code == "client_setup"
    assert KEY not in "".join(traceback.format_exception(caught.value))


async def test_a_closed_client_stops_the_run(api: FakeMessagesAPI) -> None:
    """No retry opens it again."""
    async with AsyncAnthropic(api_key=KEY, base_url=api.base_url, max_retries=0) as client:
        pass
    with pytest.raises(ConfigurationError, match="closed"):
        await analyze(ClaudeAnalyzer(client))
