"""Streamed messages: the events in their order, and what the SDK makes of them."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from cardanalysis.testing import FakeMessagesAPI, RateLimits, Reply

ASK: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}


def client(api: FakeMessagesAPI) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(api_key="test-key", base_url=api.base_url, max_retries=0)


@pytest.mark.anyio
@pytest.mark.parametrize("trickle", [0.0, 0.02])
async def test_a_stream_ends_in_the_message_that_would_have_come_at_once(trickle: float) -> None:
    """Streamed, slowly or not, the final message is the one that is answered without a stream, id apart."""
    reply = Reply.json({"a": "ü" * 50}, thinking="Let me see.", blocks=2).trickling(trickle)
    async with FakeMessagesAPI(answer=reply, limits=RateLimits(), clock=lambda: 0.0) as api, client(api) as claude:
        whole = await claude.messages.create(**ASK)
        async with claude.messages.stream(**ASK) as stream:
            streamed = await stream.get_final_message()
            headers = stream.response.headers
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["request-id"] == api.requests[1].request_id
    assert headers["anthropic-ratelimit-requests-remaining"] == "998"
    expected, got = whole.to_dict(), streamed.to_dict()
    assert got.pop("id") != expected.pop("id")
    for block in got["content"]:  # type: ignore[attr-defined]
        block.pop("parsed_output", None)
    assert got == expected


@pytest.mark.anyio
async def test_the_events_come_in_the_apis_order() -> None:
    """message_start, then each block's start, deltas and stop, then message_delta and message_stop."""
    async with FakeMessagesAPI(answer=Reply.text("ab", thinking="c")) as api, client(api) as claude:
        events = [event async for event in await claude.messages.create(**ASK, stream=True)]
    kinds = [event.type for event in events]
    block = ["content_block_start", "content_block_delta", "content_block_delta", "content_block_stop"]
    assert kinds == ["message_start", *block, *block, "message_delta", "message_stop"]
    assert [event.delta.type for event in events if event.type == "content_block_delta"] == [
        *("thinking_delta", "signature_delta"),
        *("text_delta", "text_delta"),
    ]
    assert events[0].type == "message_start"
    assert (events[0].message.content, events[0].message.stop_reason) == ([], None)


@pytest.mark.anyio
async def test_a_refusal_can_be_streamed() -> None:
    """A refusal without content is a stream with its reason and details at the end."""
    async with (
        FakeMessagesAPI(answer=Reply.refusal("cyber")) as api,
        client(api) as claude,
        claude.messages.stream(**ASK) as stream,
    ):
        message = await stream.get_final_message()
    assert (message.stop_reason, message.content) == ("refusal", [])
    assert message.stop_details is not None
    assert message.stop_details.category == "cyber"


@pytest.mark.anyio
async def test_a_tool_use_can_be_streamed() -> None:
    """The input of a raw tool-use block is streamed as JSON in parts; a block of another type comes whole."""
    blocks = [
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"where": "there"}},
        {"type": "redacted_thinking", "data": "x"},
    ]
    usage = {"input_tokens": 1, "output_tokens": 2}
    raw = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": blocks,
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": usage,
    }
    async with (
        FakeMessagesAPI(answer=Reply.message(raw)) as api,
        client(api) as claude,
        claude.messages.stream(**ASK) as stream,
    ):
        message = await stream.get_final_message()
    assert message.content[0].type == "tool_use"
    assert message.content[0].input == {"where": "there"}
    assert message.content[1].type == "redacted_thinking"


@pytest.mark.anyio
async def test_an_error_before_a_stream_is_an_ordinary_error() -> None:
    """A request for a stream that is refused gets the error's JSON and class."""
    async with FakeMessagesAPI(answer=Reply.overloaded()) as api, client(api) as claude:
        with pytest.raises(anthropic.OverloadedError):
            async with claude.messages.stream(**ASK):
                raise AssertionError("the stream must not open")


@pytest.mark.anyio
async def test_a_stream_can_be_cut() -> None:
    """A stream whose connection ends raises, and what had come until then was there."""
    seen: list[str] = []
    async with FakeMessagesAPI(answer=Reply.cut()) as api, client(api) as claude:
        stream = await claude.messages.create(**ASK, stream=True)

        async def read() -> None:
            async for event in stream:
                seen.append(event.type)

        with pytest.raises(Exception, match="incomplete chunked read") as caught:
            await read()
        await stream.close()
    assert type(caught.value).__name__ == "RemoteProtocolError"  # the HTTP library's own, as with the real API
    assert seen[0] == "message_start"
    assert "message_stop" not in seen


@pytest.mark.anyio
async def test_a_raw_body_is_not_streamed() -> None:
    """What is no message is sent as it is, even to who asked for a stream."""
    async with FakeMessagesAPI(answer=Reply.garbage()) as api, client(api) as claude:
        response = await claude.messages.with_raw_response.create(**ASK, stream=True)
        assert response.headers["content-type"] == "application/json"
