"""Beginning and end of the fake Messages API, and its pytest fixture."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from typing import Any

import anthropic
import anyio
import pytest
from anyio import to_thread

from cardanalysis.testing import FakeMessagesAPI, Reply

pytest_plugins = ["cardanalysis.testing.fixtures"]

ASK: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}


def server_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if "loopback" in thread.name]


def port(api: FakeMessagesAPI) -> int:
    return int(api.base_url.rpartition(":")[2])


def test_leaving_ends_thread_and_sockets() -> None:
    """After leaving no thread of the API runs and nobody listens at its address."""
    with FakeMessagesAPI() as api:
        assert len(server_threads()) == 1
    assert server_threads() == []
    with pytest.raises(ConnectionError), socket.create_connection(("127.0.0.1", port(api)), timeout=5):
        pass


@pytest.mark.anyio
async def test_leaving_with_a_request_in_flight() -> None:
    """Leaving drops a request that is being served: the client gets a connection error, and nothing is left."""
    errors: list[Exception] = []

    async def ask() -> None:
        async with anthropic.AsyncAnthropic(api_key="k", base_url=api.base_url, max_retries=0) as claude:
            try:
                await claude.messages.create(**ASK)
            except anthropic.APIConnectionError as error:
                errors.append(error)

    async with anyio.create_task_group() as tasks:
        async with FakeMessagesAPI(latency=3600) as api:
            tasks.start_soon(ask)
            tasks.start_soon(ask)
            await to_thread.run_sync(api.wait_for_requests, 2)
        assert (api.in_flight, api.max_in_flight) == (0, 2)
        assert server_threads() == []
    assert len(errors) == 2
    assert all(request.finished is not None and request.status is None for request in api.requests)


def test_leaving_with_idle_and_half_open_connections() -> None:
    """Connections that say nothing, or stop in the middle of a request, do not keep the API from ending."""
    with FakeMessagesAPI() as api:
        idle = socket.create_connection(("127.0.0.1", port(api)), timeout=5)
        half = socket.create_connection(("127.0.0.1", port(api)), timeout=5)
        half.sendall(b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nx")
    for connection in (idle, half):
        with connection, suppress(ConnectionError):
            assert connection.recv(1) == b""


def test_leaving_while_a_body_is_stuck() -> None:
    """A client that does not read its answer does not keep the API from ending."""
    with FakeMessagesAPI(answer=Reply.text("x" * 20_000_000)) as api:
        stuck = socket.create_connection(("127.0.0.1", port(api)), timeout=5)
        stuck.sendall(
            b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nx-api-key: k\r\nanthropic-version: 1\r\ncontent-type: "
            b'application/json\r\nContent-Length: 80\r\n\r\n{"model":"claude-x","max_tokens":1,'
            b'"messages":[{"role":"user","content":"hello"}]}'
        )
        api.wait_for_requests(1)
    stuck.close()
    assert server_threads() == []


def test_leaving_at_once_many_times() -> None:
    """Entering and leaving without a request works over and over, on another port each time or not."""
    for _ in range(20):
        with FakeMessagesAPI():
            pass
    assert server_threads() == []


def test_an_api_can_be_entered_again_but_not_twice() -> None:
    """While it runs it cannot be entered; after leaving it can, and keeps its records and scripts."""
    api = FakeMessagesAPI()
    with pytest.raises(RuntimeError, match="no address yet"):
        _ = api.base_url
    api.script(Reply.text("one"), Reply.text("two"))
    for _ in range(2):
        with api:
            with pytest.raises(RuntimeError, match="already running"):
                api.__enter__()
            with anthropic.Anthropic(api_key="k", base_url=api.base_url) as claude:
                claude.messages.create(**ASK)
    assert [request.body["model"] for request in api.requests] == [ASK["model"]] * 2
    assert len({request.request_id for request in api.requests}) == 2


def test_waiting_in_vain_ends_with_the_numbers() -> None:
    """Waiting for requests that do not come, or for the end of one that hangs, raises after the timeout."""
    with FakeMessagesAPI(latency=3600) as api:
        with pytest.raises(TimeoutError, match=r"0 of 1 requests had arrived after 0\.01 seconds"):
            api.wait_for_requests(1, timeout=0.01)
        claude = anthropic.Anthropic(api_key="k", base_url=api.base_url, max_retries=0)

        def ask() -> None:
            with pytest.raises(anthropic.APIConnectionError):
                claude.messages.create(**ASK)

        thread = threading.Thread(target=ask)
        thread.start()
        assert len(api.wait_for_requests(1)) == 1
        with pytest.raises(TimeoutError, match=r"1 messages were still being served after 0\.01 seconds"):
            api.wait_until_idle(timeout=0.01)
    thread.join()
    claude.close()


@pytest.mark.anyio
async def test_the_api_serves_while_the_clients_loop_is_blocked(anyio_backend: str) -> None:
    """A sync client that blocks the event loop is answered all the same."""
    async with FakeMessagesAPI() as api:
        with anthropic.Anthropic(api_key="k", base_url=api.base_url) as claude:
            assert claude.messages.create(**ASK).stop_reason == "end_turn"


# --- the fixture ------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_fixture_is_found_by_a_client_without_arguments(fake_messages_api: FakeMessagesAPI) -> None:
    """A client made without arguments talks to the fixture's API."""
    fake_messages_api.script(Reply.text("from the fixture"))
    async with anthropic.AsyncAnthropic() as claude:
        message = await claude.messages.create(**ASK)
    assert message.content[0].text == "from the fixture"  # type: ignore[union-attr]
    assert len(fake_messages_api.requests) == 1


class TestTheFixtureSetsTheEnvironment:
    """The fixture's environment wins over another one, and is gone afterwards."""

    @pytest.fixture(autouse=True)
    def _other_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
        monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "other")
        monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "x-api-key: other")
        monkeypatch.setenv("no_proxy", "example.com")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")

    def test_over_another_one(self, request: pytest.FixtureRequest) -> None:
        """Address, key and proxy settings of the environment do not reach the test's client."""
        api: FakeMessagesAPI = request.getfixturevalue("fake_messages_api")
        assert os.environ["no_proxy"] == "example.com,127.0.0.1"
        with anthropic.Anthropic() as claude:
            claude.messages.create(**ASK)
        assert api.requests[0].headers["authorization"] == "redacted"
        assert "x-api-key" not in api.requests[0].headers


def test_without_pytest_the_fixtures_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing the fixtures where pytest is missing raises an error that names it and the alternative."""
    monkeypatch.delitem(sys.modules, "cardanalysis.testing.fixtures")
    monkeypatch.setitem(sys.modules, "pytest", None)
    with pytest.raises(ModuleNotFoundError, match="Install pytest, or use") as caught:
        importlib.import_module("cardanalysis.testing.fixtures")
    assert caught.value.name == "pytest"


def test_importing_the_package_imports_no_test_framework_and_no_sdk() -> None:
    """`import cardanalysis.testing` brings in neither pytest nor hypothesis nor anthropic."""
    code = "import sys, cardanalysis.testing; print(sorted({'pytest', 'hypothesis', 'anthropic'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_script_that_never_leaves_ends_all_the_same() -> None:
    """A program that enters the API and just ends does end, and says nothing."""
    code = "from cardanalysis.testing import FakeMessagesAPI; FakeMessagesAPI().__enter__()"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert (result.stdout, result.stderr) == ("", "")
