"""One attempt at a time: streams, silence and broken answers, through the real client over loopback."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import anthropic
import anyio
import pytest
from anthropic import AsyncAnthropic

from cardanalysis._errors import AnalyzerError, ConfigurationError
from cardanalysis._models import AnalysisRequest, Usage
from cardanalysis.analysis._direct import DirectTransport
from cardanalysis.analysis._prices import TokenCounts
from cardanalysis.analysis._transport import Answer, AttemptFailed, Failure, FailureKind
from cardanalysis.testing import FakeMessagesAPI, Reply
from cardanalysis.testing._replies import RawBody

sys.path.insert(0, str(Path(__file__).parent))

from claude_kit import KEY, ONCE, ONE_CARD, TEXT, analyze, analyzer, document

pytestmark = pytest.mark.anyio

PARAMS: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": [{"type": "text", "text": TEXT}]}],
}
START = {
    "type": "message_start",
    "message": {"type": "message", "model": "m", "content": [], "usage": {"input_tokens": 9, "output_tokens": 1}},
}


@pytest.fixture
def api() -> Iterator[FakeMessagesAPI]:
    with FakeMessagesAPI(answer=Reply.json(ONE_CARD)) as api:
        yield api


class Begun:
    """Counts how often an answer began."""

    def __init__(self) -> None:
        self.times = 0
        self.headers: Mapping[str, str] = {}

    def __call__(self, headers: Mapping[str, str], /) -> None:
        self.times += 1
        self.headers = headers


def transport(client: Any, **settings: Any) -> DirectTransport:
    defaults = {"connect_timeout": 5.0, "request_timeout": 30.0, "idle_timeout": 30.0, "stream": True}
    return DirectTransport(client=client, **{**defaults, **settings})


async def send(
    api: FakeMessagesAPI, *, params: dict[str, Any] = PARAMS, begun: Begun | None = None, **settings: Any
) -> Answer:
    async with AsyncAnthropic(api_key=KEY, base_url=api.base_url, max_retries=0) as client:
        return await transport(client, **settings).send(params, begun=begun or Begun())


async def failed(api: FakeMessagesAPI, reply: Reply, **settings: Any) -> Failure:
    api.script(reply)
    with pytest.raises(AttemptFailed) as caught:
        await send(api, **settings)
    assert TEXT[:15] not in str(caught.value)
    return caught.value.failure


def events(*events: object) -> Reply:
    """A stream of just these events."""
    data = "".join(f"event: x\ndata: {json.dumps(event)}\n\n" for event in events).encode()
    return Reply(body=RawBody(data=data, media_type="text/event-stream"))


# --- streams ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "reply",
    [
        Reply.json(ONE_CARD),
        Reply.json(ONE_CARD, thinking="Let me see."),
        Reply.json(ONE_CARD, blocks=4),
        Reply.truncated(ONE_CARD),
        Reply.refusal("bio", text="I"),
        Reply.refusal("cyber"),
        Reply.text("", blocks=0),
        Reply.json(ONE_CARD, usage={"input_tokens": 3, "cache_read_input_tokens": 8, "output_tokens": 5}),
    ],
)
async def test_a_message_is_the_same_with_a_stream_and_without(
    api: FakeMessagesAPI, stream: bool, reply: Reply
) -> None:
    """Text, stop reason, tokens and price, and the API's request id."""
    api.script(reply, reply)
    got, other = await send(api, stream=stream), await send(api, stream=not stream)
    assert got.reply == other.reply
    assert got.request_id == api.requests[0].request_id
    assert [request.body.get("stream", False) for request in api.requests] == [stream, not stream]
    assert got.headers["anthropic-ratelimit-requests-limit"]


@pytest.mark.parametrize("stream", [True, False])
async def test_the_beginning_of_an_answer_is_told_once(api: FakeMessagesAPI, stream: bool) -> None:
    """With the headers of a stream, which are old at its end; of an error it is not told at all."""
    begun = Begun()
    await send(api, begun=begun, stream=stream)
    assert begun.times == 1
    assert begun.headers.get("request-id") == (api.requests[0].request_id if stream else None)
    api.script(Reply.error(500))
    with pytest.raises(AttemptFailed):
        await send(api, begun=begun, stream=stream)
    assert begun.times == 1


@pytest.mark.parametrize("stream", [True, False])
async def test_a_large_limit_of_tokens_is_sent(api: FakeMessagesAPI, stream: bool) -> None:
    """The SDK refuses 21,334 and more without a stream, unless a timeout is given."""
    await send(api, params=PARAMS | {"max_tokens": 64_000}, stream=stream)
    assert api.requests[0].body["max_tokens"] == 64_000


async def test_a_server_may_answer_without_the_stream_that_was_asked_for(api: FakeMessagesAPI) -> None:
    """As some gateways do; it is read all the same."""
    message = {
        "type": "message",
        "model": "claude-sonnet-5-5",
        "content": [{"type": "text", "text": "{}"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
    begun = Begun()
    api.script(Reply(body=RawBody(data=json.dumps(message).encode())))
    answer = await send(api, begun=begun)
    assert (answer.reply.text, answer.reply.tokens) == ("{}", TokenCounts(input=3, output=4))
    assert begun.times == 1


async def test_blocks_of_a_kind_that_is_new_say_nothing(api: FakeMessagesAPI) -> None:
    """Neither do events that are new."""
    api.script(
        events(
            START,
            {"type": "new"},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "new_kind", "text": "no"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "no"}},
            {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "yes"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
            {"type": "message_stop"},
        )
    )
    assert (await send(api)).reply.text == "yes"


@pytest.mark.parametrize(
    "reply", [Reply.html(200), Reply.malformed(), Reply.garbage(), Reply.message({"type": "message"})]
)
@pytest.mark.parametrize("stream", [True, False])
async def test_what_is_no_message_is_worth_another_try(api: FakeMessagesAPI, reply: Reply, stream: bool) -> None:
    """HTML, half a JSON value or another one, with status 200."""
    failure = await failed(api, reply, stream=stream)
    assert (failure.kind, failure.error.code, failure.status) == (FailureKind.TRANSIENT, "invalid_response", 200)
    assert failure.request_id == api.requests[0].request_id
    assert not failure.unbilled


@pytest.mark.parametrize("stream", [True, False])
async def test_a_message_without_a_stop_reason_is_not_whole(api: FakeMessagesAPI, stream: bool) -> None:
    """Its tokens count."""
    message = {"type": "message", "content": [], "stop_reason": None, "usage": {"input_tokens": 3, "output_tokens": 4}}
    failure = await failed(api, Reply.message(message), stream=stream)
    assert failure.error.code == "invalid_response"
    assert failure.tokens == TokenCounts(input=3, output=4)


# --- streams that break -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply.cut(ONE_CARD), "connection_failed"),
        (Reply.ended_early(ONE_CARD), "invalid_response"),
        (Reply.ended_early(ONE_CARD, after_events=2), "invalid_response"),
        (Reply.stream_error("api_error", answer=ONE_CARD), "api_unavailable"),
    ],
)
async def test_what_a_broken_stream_had_told_is_counted(api: FakeMessagesAPI, reply: Reply, code: str) -> None:
    """It is billed: the input as it was told, and the output as far as it came."""
    failure = await failed(api, reply)
    assert (failure.kind, failure.error.code) == (FailureKind.TRANSIENT, code)
    assert failure.tokens is not None
    assert failure.tokens.input == api.requests[0].input_tokens
    assert failure.tokens.output >= 1
    assert not failure.unbilled


@pytest.mark.parametrize(
    ("kind", "what", "code"),
    [
        ("overloaded_error", FailureKind.OVERLOAD, "api_unavailable"),
        ("rate_limit_error", FailureKind.RATE_LIMIT, "rate_limited"),
        ("timeout_error", FailureKind.TRANSIENT, "api_unavailable"),
        ("something_new", FailureKind.TRANSIENT, "api_unavailable"),
        ("invalid_request_error", FailureKind.FINAL, "invalid_request"),
        ("request_too_large", FailureKind.TOO_LONG, "too_large"),
        ("billing_error", FailureKind.FINAL, "billing"),
        ("authentication_error", FailureKind.FINAL, "authentication"),
    ],
)
async def test_an_error_in_mid_stream_is_told_by_its_type(
    api: FakeMessagesAPI, kind: str, what: FailureKind, code: str
) -> None:
    """Its status was 200; what had come before is billed."""
    failure = await failed(api, Reply.stream_error(kind, answer=ONE_CARD))
    assert (failure.kind, failure.error.code) == (what, code)
    assert failure.request_id == api.requests[0].request_id
    assert failure.tokens is not None


@pytest.mark.parametrize("error", [{"type": ["x"], "message": 7}, "no", None, {}])
async def test_an_error_that_says_nothing_is_one_of_the_api(api: FakeMessagesAPI, error: object) -> None:
    """It may go better the next time."""
    failure = await failed(api, events(START, {"type": "error", "error": error}))
    assert (failure.kind, failure.error.code) == (FailureKind.TRANSIENT, "api_unavailable")


async def test_an_error_before_the_message_has_no_tokens(api: FakeMessagesAPI) -> None:
    """Nothing is known then."""
    failure = await failed(api, events({"type": "error", "error": {"type": "overloaded_error"}}))
    assert (failure.kind, failure.tokens) == (FailureKind.OVERLOAD, None)


async def test_what_breaks_behind_the_last_event_breaks_nothing(api: FakeMessagesAPI) -> None:
    """The message is whole, whatever becomes of the connection: it is not paid for twice."""
    whole = (await send(api)).reply
    api.script(Reply.cut(ONE_CARD, after_events=100), Reply.stalled(ONE_CARD, after_events=100))
    assert (await send(api)).reply == whole
    assert (await send(api, idle_timeout=0.1)).reply == whole


async def test_an_error_in_mid_stream_ends_it_at_once(api: FakeMessagesAPI) -> None:
    """It is not waited for what may come behind it."""
    data = b'data: {"type": "error", "error": {"type": "overloaded_error"}}\n\n' + b": more\n" * 1000
    api.script(Reply(body=RawBody(data=data, media_type="text/event-stream")).trickling(1.6))
    with pytest.raises(AttemptFailed) as caught:
        await send(api)
    await anyio.to_thread.run_sync(api.wait_until_idle)
    assert api.requests[0].status is None  # the client hung up
    assert caught.value.failure.kind is FailureKind.OVERLOAD


async def test_a_stream_of_pings_is_no_answer(api: FakeMessagesAPI) -> None:
    """It ended before it began."""
    failure = await failed(api, events({"type": "ping"}, {"type": "ping"}))
    assert (failure.error.code, failure.tokens) == ("invalid_response", None)


async def test_a_connection_that_is_dropped_may_have_been_billed(api: FakeMessagesAPI) -> None:
    """The request was sent, and nothing came back."""
    failure = await failed(api, Reply.dropped())
    assert (failure.kind, failure.error.code, failure.unbilled) == (FailureKind.TRANSIENT, "connection_failed", False)


async def test_a_broken_stream_leaves_the_connections_usable(api: FakeMessagesAPI) -> None:
    """However it broke, a client with one connection goes on."""
    limits = anthropic.DEFAULT_CONNECTION_LIMITS
    http = anthropic.DefaultAsyncHttpxClient(limits=type(limits)(max_connections=1))
    broken = [
        Reply.cut(ONE_CARD),
        Reply.ended_early(ONE_CARD),
        Reply.stream_error(answer=ONE_CARD),
        Reply.html(200),
        Reply.stalled(ONE_CARD),
        Reply.error(500),
        Reply.dropped(),
        events({"type": "ping"}),
    ]
    async with AsyncAnthropic(api_key=KEY, base_url=api.base_url, max_retries=0, http_client=http) as client:
        for reply in broken:
            api.script(reply)
            with pytest.raises(AttemptFailed):
                await transport(client, idle_timeout=0.05).send(PARAMS, begun=Begun())
            assert (await transport(client, idle_timeout=0.5).send(PARAMS, begun=Begun())).reply.text


# --- time -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after_events", [0, 3])
async def test_a_stream_that_falls_silent_is_given_up(api: FakeMessagesAPI, after_events: int) -> None:
    """Long before the request's own time is over."""
    failure = await failed(api, Reply.stalled(ONE_CARD, after_events=after_events), idle_timeout=0.05)
    assert (failure.kind, failure.error.code) == (FailureKind.TRANSIENT, "request_timed_out")
    assert (failure.tokens is None) is (after_events == 0)
    assert not failure.unbilled


async def test_silence_before_a_stream_is_bounded_too(api: FakeMessagesAPI) -> None:
    """No headers, no events."""
    failure = await failed(api, Reply.json(ONE_CARD).after(30), idle_timeout=0.05)
    assert failure.error.code == "request_timed_out"


async def test_a_stream_that_goes_on_is_not_silent(api: FakeMessagesAPI) -> None:
    """It may take much longer than the silence that is allowed."""
    api.script(Reply.json(ONE_CARD).trickling(0.4))
    assert (await send(api, idle_timeout=0.25)).reply.text


@pytest.mark.parametrize("stream", [True, False])
async def test_a_request_has_a_time_in_all(api: FakeMessagesAPI, stream: bool) -> None:
    """Also where something comes all the time."""
    failure = await failed(api, Reply.json(ONE_CARD).trickling(2), request_timeout=0.3, stream=stream)
    assert (failure.kind, failure.error.code) == (FailureKind.TRANSIENT, "request_timed_out")
    assert (failure.tokens is not None) is stream


async def test_a_connection_has_a_time_of_its_own() -> None:
    """Where nobody answers at all, the request was not sent."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        # The queue of connections that nobody takes is full then.
        waiting = [socket.socket() for _ in range(4)]
        try:
            for each in waiting:
                each.setblocking(False)
                each.connect_ex(address)
            async with AsyncAnthropic(api_key=KEY, base_url=f"http://127.0.0.1:{address[1]}", max_retries=0) as client:
                with pytest.raises(AttemptFailed) as caught:
                    await transport(client, connect_timeout=0.05).send(PARAMS, begun=Begun())
        finally:
            for each in waiting:
                each.close()
    failure = caught.value.failure
    assert (failure.error.code, failure.unbilled) == ("request_timed_out", True)


async def test_a_full_pool_is_no_request() -> None:
    """Waiting for a connection in vain costs nothing, and is no fault of the connection."""
    limits = anthropic.DEFAULT_CONNECTION_LIMITS
    http = anthropic.DefaultAsyncHttpxClient(limits=type(limits)(max_connections=1))
    with FakeMessagesAPI(latency=30) as api:
        async with (
            AsyncAnthropic(api_key=KEY, base_url=api.base_url, max_retries=0, http_client=http) as client,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(lambda: transport(client).send(PARAMS, begun=Begun()))
            await anyio.to_thread.run_sync(api.wait_for_requests, 1)
            with pytest.raises(AttemptFailed) as caught:
                await transport(client, idle_timeout=0.05).send(PARAMS, begun=Begun())
            tasks.cancel_scope.cancel()
    assert (caught.value.failure.error.code, caught.value.failure.unbilled) == ("request_timed_out", True)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_cancelled_request_ends_at_once(api: FakeMessagesAPI, stream: bool) -> None:
    """With the cancellation, not with a failure; the server sees that the client hung up."""
    api.script(Reply.stalled(ONE_CARD))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: send(api, stream=stream))
        await anyio.to_thread.run_sync(api.wait_for_requests, 1)
        tasks.cancel_scope.cancel()
    await anyio.to_thread.run_sync(api.wait_until_idle)


async def test_a_loop_that_is_closed_is_found_in_the_end() -> None:
    """A client that always says so is not asked for ever."""
    asked = 0

    class Closed:
        def __init__(self) -> None:
            self.messages = self

        async def create(self, **_request: Any) -> Any:
            nonlocal asked
            asked += 1
            raise anthropic.APIConnectionError(request=None) from RuntimeError("Event loop is closed")  # type: ignore[arg-type]

    with pytest.raises(AttemptFailed) as caught:
        await transport(Closed()).send(PARAMS, begun=Begun())
    assert (caught.value.failure.kind, caught.value.failure.error.code) == (FailureKind.FINAL, "client_setup")
    assert asked == 1_001


# --- counting tokens --------------------------------------------------------------------------------------------------


async def test_tokens_can_be_counted_beforehand(api: FakeMessagesAPI) -> None:
    """As the API counts them for the request that would be made."""
    async with AsyncAnthropic(api_key=KEY, base_url=api.base_url) as client:
        claude = analyzer(client)
        counted = await claude.count_tokens(document(), AnalysisRequest())
        await claude.analyze(document(), AnalysisRequest())
    assert [request.path.rpartition("/")[2] for request in api.requests] == ["count_tokens", "messages"]
    assert counted == api.requests[1].input_tokens


async def test_a_count_that_fails_is_typed(api: FakeMessagesAPI) -> None:
    """As an analysis would be."""
    async with AsyncAnthropic(api_key=KEY, base_url=api.base_url) as client:
        api.intercept = lambda _: Reply.error(401)
        with pytest.raises(ConfigurationError) as caught:
            await analyzer(client).count_tokens(document(), AnalysisRequest())
        assert caught.value.code == "authentication"
        api.intercept = lambda _: Reply.error(500)
        with pytest.raises(AnalyzerError):
            await analyzer(client).count_tokens(document(), AnalysisRequest())


# --- through the analyzer ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False])
async def test_a_large_limit_of_tokens_gives_cards(api: FakeMessagesAPI, stream: bool) -> None:
    """With the analyzer's own settings."""
    analysis = await analyze(api, max_tokens=128_000, stream=stream)
    assert len(analysis.cards) == 1


async def test_the_usage_of_a_broken_stream_comes_with_its_error(api: FakeMessagesAPI) -> None:
    """And with the answer of the next attempt, if there is one."""
    api.script(Reply.cut(ONE_CARD))
    with pytest.raises(AnalyzerError) as caught:
        await analyze(api, retry=ONCE, cache=False)
    broken = caught.value.usage
    assert broken is not None
    assert broken.cost
    api.script(Reply.cut(ONE_CARD))
    both = (await analyze(api, cache=False)).usage
    alone = (await analyze(api, cache=False)).usage
    assert both.requests == 2
    assert both == broken + alone
    assert both != Usage()
