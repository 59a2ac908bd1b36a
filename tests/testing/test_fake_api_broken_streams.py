"""Streams that go wrong in the middle, and what the same replies are when there is no stream."""

from __future__ import annotations

from typing import Any

import anthropic
import anyio
import pytest
from anyio import to_thread

from cardanalysis.testing import FakeMessagesAPI, Reply

ASK: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "x" * 400}],
}
WHOLE = ["message_start", "content_block_start", *["content_block_delta"] * 4, "content_block_stop", "message_delta"]


def client(api: FakeMessagesAPI, **options: Any) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(**{"api_key": "test-key", "base_url": api.base_url, "max_retries": 0, **options})


async def read(claude: anthropic.AsyncAnthropic) -> tuple[list[str], str, Exception | None]:
    """The types of the events that came (pings are not seen), the text until then, and the error they ended with."""
    kinds: list[str] = []
    text = ""
    stream = await claude.messages.create(**ASK, stream=True)
    try:
        async for event in stream:
            kinds.append(event.type)
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                text += event.delta.text
    except Exception as error:
        return kinds, text, error
    finally:
        await stream.close()
    return kinds, text, None


async def read_reply(reply: Reply) -> tuple[list[str], str, Exception | None]:
    async with FakeMessagesAPI(answer=reply) as api, client(api) as claude:
        return await read(claude)


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore:Async generator 'anthropic:ResourceWarning")  # the SDK's, under trio
async def test_an_error_event_breaks_a_stream_off() -> None:
    """After half of the events comes an error event, which the SDK raises with status 200 and the error's type."""
    kinds, text, error = await read_reply(Reply.stream_error(answer="abcdefgh"))
    assert kinds == ["message_start", "content_block_start", "content_block_delta", "content_block_delta"]
    assert text == "abcd"
    assert isinstance(error, anthropic.APIStatusError)
    assert (error.status_code, error.type) == (200, "overloaded_error")
    assert error.body["request_id"] == error.request_id  # type: ignore[index, call-overload]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("after", "kinds"),
    [(0, []), (1, WHOLE[:1]), (2, WHOLE[:1]), (3, WHOLE[:2]), (5, WHOLE[:4]), (6, WHOLE[:4]), (99, [*WHOLE, "end"])],
)
async def test_a_stream_is_cut_after_so_many_events(after: int, kinds: list[str]) -> None:
    """A stream is cut after as many events as told, pings among them."""
    seen, _, error = await read_reply(Reply.cut("abcdefgh", after_events=after))
    assert [*seen[:-1], "end"] == kinds if after == 99 else seen == kinds
    assert type(error).__name__ == "RemoteProtocolError" or after == 99


@pytest.mark.anyio
async def test_a_stream_may_end_early() -> None:
    """Without its last events a stream ends as if all were well: all of the text, and no reason to stop."""
    kinds, text, error = await read_reply(Reply.ended_early({"cards": []}))
    assert (kinds, text, error) == (WHOLE[:-1], '{"cards":[]}', None)
    kinds, _, error = await read_reply(Reply.ended_early("abcdefgh", after_events=4))
    assert (kinds, error) == (WHOLE[:3], None)
    async with (
        FakeMessagesAPI(answer=Reply.ended_early("x")) as api,
        client(api) as claude,
        claude.messages.stream(**ASK) as stream,
    ):
        assert (await stream.get_final_message()).stop_reason is None


@pytest.mark.anyio
async def test_a_stream_may_stall() -> None:
    """A stalled stream is silent until the client gives up; the server notices, and counts it as in flight before."""
    reply = Reply.stalled("abcdefgh", after_events=4)
    async with FakeMessagesAPI(answer=reply) as api, client(api, timeout=0.2) as claude:
        kinds, text, error = await read(claude)
        assert (kinds, text) == (WHOLE[:3], "ab")
        assert type(error).__name__ == "ReadTimeout"  # the HTTP library's own
        await to_thread.run_sync(api.wait_until_idle)
        assert api.requests[0].status is None
        assert api.requests[0].usage is not None


@pytest.mark.anyio
async def test_a_stalled_stream_can_be_canceled() -> None:
    """A client that cancels a stalled stream hangs up."""
    async with (
        FakeMessagesAPI(answer=Reply.stalled()) as api,
        client(api) as claude,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(read, claude)
        await to_thread.run_sync(api.wait_for_requests, 1)
        tasks.cancel_scope.cancel()
    assert api.in_flight == 0


@pytest.mark.anyio
async def test_without_a_stream_an_error_event_is_an_error() -> None:
    """A message that comes at once is refused with the status that goes with the error's type."""
    async with FakeMessagesAPI() as api, client(api) as claude:
        for type_, error in (
            ("overloaded_error", anthropic.OverloadedError),
            ("api_error", anthropic.InternalServerError),
            ("rate_limit_error", anthropic.RateLimitError),
            ("invalid_request_error", anthropic.BadRequestError),
        ):
            api.script(Reply.stream_error(type_, "Mine."))
            with pytest.raises(error, match="Mine"):
                await claude.messages.create(**ASK)


@pytest.mark.anyio
async def test_without_a_stream_a_stalled_message_never_begins() -> None:
    """A message that comes at once and stalls runs into the client's timeout; one that ends early is whole."""
    async with FakeMessagesAPI() as api, client(api, timeout=0.2) as claude:
        api.script(Reply.stalled(), Reply.ended_early("whole"), Reply.expired())
        with pytest.raises(anthropic.APITimeoutError):
            await claude.messages.create(**ASK)
        message = await claude.messages.create(**ASK)
        assert (message.stop_reason, message.content[0].text) == ("end_turn", "whole")  # type: ignore[union-attr]
        with pytest.raises(anthropic.InternalServerError) as caught:
            await claude.messages.create(**ASK)
        assert (caught.value.status_code, caught.value.type) == (504, "timeout_error")
        assert [request.usage is None for request in api.requests] == [True, False, True]


@pytest.mark.anyio
async def test_a_stream_tells_what_went_in_first_and_what_came_out_last() -> None:
    """message_start has the input with its cache, and no output yet; message_delta has the whole output."""
    usage = {"cache_read_input_tokens": 60, "cache_creation_input_tokens": 30}
    reply = Reply.text("y" * 40, thinking="z" * 40, usage=usage)
    async with FakeMessagesAPI(answer=reply) as api, client(api) as claude:
        events = [event async for event in await claude.messages.create(**ASK, stream=True)]
    begun = next(event.message.usage for event in events if event.type == "message_start")
    ended = next(event.usage for event in events if event.type == "message_delta")
    assert (begun.input_tokens, begun.cache_read_input_tokens, begun.cache_creation_input_tokens) == (10, 60, 30)
    assert begun.output_tokens == 1
    assert begun.output_tokens_details is not None
    assert begun.output_tokens_details.thinking_tokens == 0
    assert ended.output_tokens == 20
    assert ended.output_tokens_details is not None
    assert ended.output_tokens_details.thinking_tokens == 10


@pytest.mark.anyio
async def test_there_are_pings_between() -> None:
    """There is a ping after the beginning, and one in the middle of each block."""
    async with FakeMessagesAPI(answer=Reply.text("abcdefgh")) as api, client(api) as claude:
        response = await claude.messages.with_raw_response.create(**ASK, stream=True)
        lines = (await response.http_response.aread()).decode().splitlines()
    kinds = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert [kind for kind in kinds if kind != "ping"] == [*WHOLE, "message_stop"]
    assert [index for index, kind in enumerate(kinds) if kind == "ping"] == [1, 5]


@pytest.mark.parametrize("after", [-1, 1.5, True])
def test_a_number_of_events_is_checked(after: Any) -> None:
    """A number of events that is none is refused when the reply is made."""
    with pytest.raises(ValueError, match="after_events"):
        Reply.stalled(after_events=after)
