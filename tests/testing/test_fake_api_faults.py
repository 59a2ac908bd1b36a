"""What goes wrong on purpose: refusals, cut answers, broken bodies, slow ones, and ended connections."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import anyio
import pytest
from anyio import to_thread

from cardanalysis.testing import FakeMessagesAPI, RecordedRequest, Reply

ASK: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}


def client(api: FakeMessagesAPI, **options: Any) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(**{"api_key": "test-key", "base_url": api.base_url, "max_retries": 0, **options})


def sync_client(api: FakeMessagesAPI) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="test-key", base_url=api.base_url, max_retries=0)


def sync_answer(reply: Reply, **more: Any) -> Any:
    """What the SDK makes of a reply."""
    with FakeMessagesAPI(answer=reply) as api, sync_client(api) as claude:
        return claude.messages.create(**ASK, **more)


def test_a_refusal_is_a_message() -> None:
    """A refusal comes with status 200, no content, and its category in the stop details."""
    message = sync_answer(Reply.refusal("bio"))
    assert (message.stop_reason, message.content, message.usage.output_tokens) == ("refusal", [], 0)
    assert message.stop_details.to_dict() == {"type": "refusal", "category": "bio", "explanation": None}


def test_a_refusal_may_come_in_the_middle() -> None:
    """A refusal can have said something before."""
    message = sync_answer(Reply.refusal(text="I was"))
    assert (message.stop_reason, message.content[0].text) == ("refusal", "I was")


@pytest.mark.parametrize(
    ("make", "stop_reason"),
    [(Reply.truncated, "max_tokens"), (Reply.context_window_exceeded, "model_context_window_exceeded")],
)
def test_a_truncated_answer_is_no_json(make: Callable[..., Reply], stop_reason: str) -> None:
    """Of a value the first half is said, of nothing the first half of the default; a text is said as it is."""
    value = sync_answer(make({"cards": [1, 2, 3]}))
    assert (value.stop_reason, value.content[0].text) == (stop_reason, '{"cards"')
    schema = {"type": "object", "additionalProperties": False, "properties": {"a": {"type": "string"}}}
    default = sync_answer(make(), output_config={"format": {"type": "json_schema", "schema": schema}})
    with pytest.raises(json.JSONDecodeError):
        json.loads(default.content[0].text)
    assert sync_answer(make('{"a": [')).content[0].text == '{"a": ['


def test_thinking_comes_first_and_counts_as_output() -> None:
    """A thinking block stands before the text, and its tokens are part of the output's."""
    message = sync_answer(Reply.json([1], thinking="12345678"))
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert (message.usage.output_tokens, message.usage.output_tokens_details.thinking_tokens) == (3, 2)
    assert sync_answer(Reply.text("x", thinking="")).content[0].thinking == ""


@pytest.mark.parametrize("blocks", [0, 1, 2, 3])
def test_a_text_may_be_spread_over_blocks(blocks: int) -> None:
    """The text comes in as many blocks as told, which make it up together; with none the content is empty."""
    message = sync_answer(Reply.text("abcdefg", blocks=blocks))
    assert len(message.content) == blocks
    assert "".join(block.text for block in message.content) == ("abcdefg" if blocks else "")


def test_given_usage_adds_up() -> None:
    """What is read from the cache is taken off the input, and a given count is reported as it is."""
    usage = sync_answer(Reply.text("x", usage={"cache_read_input_tokens": 1, "output_tokens": 77})).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (1, 1, 77)


def test_a_raw_message_is_sent_as_it_is() -> None:
    """A raw message reaches the SDK with just its own fields."""
    raw = {"type": "message", "content": [{"type": "strange", "x": 1}], "stop_reason": "new_reason"}
    message = sync_answer(Reply.message(raw))
    assert (message.stop_reason, message.id) == ("new_reason", None)
    assert message.content[0].type == "strange"


def test_bodies_that_are_no_message() -> None:
    """Garbage is JSON without a message's fields, malformed is no JSON, and HTML with status 200 is text."""
    garbage = sync_answer(Reply.garbage())
    assert (garbage.id, garbage.content, garbage.foo) == (None, None, 1)
    with pytest.raises(json.JSONDecodeError):
        sync_answer(Reply.malformed())
    assert sync_answer(Reply.html(200)).startswith("<html>")


@pytest.mark.anyio
@pytest.mark.parametrize("reply", [Reply.cut(), Reply.dropped(), Reply.cut().trickling(0.01)])
async def test_an_ended_connection_is_a_connection_error(reply: Reply) -> None:
    """A connection that ends in or before the body is the SDK's connection error, and a retry succeeds."""
    async with FakeMessagesAPI() as api, client(api) as claude:
        api.script(reply)
        with pytest.raises(anthropic.APIConnectionError) as caught:
            await claude.messages.create(**ASK)
        assert not isinstance(caught.value, anthropic.APITimeoutError)
        assert (await claude.messages.create(**ASK)).stop_reason == "end_turn"
    expected = None if reply.failure == "dropped" else 200
    assert [request.status for request in api.requests] == [expected, 200]
    assert all(request.finished is not None for request in api.requests)


@pytest.mark.anyio
async def test_a_slow_head_runs_into_the_clients_timeout() -> None:
    """A reply held back longer than the client waits is a timeout, and the server notices that nobody waits."""
    async with FakeMessagesAPI(answer=Reply.default().after(3600)) as api, client(api, timeout=0.5) as claude:
        with pytest.raises(anthropic.APITimeoutError):
            await claude.messages.create(**ASK)
        await to_thread.run_sync(api.wait_until_idle)
        assert (api.in_flight, api.max_in_flight, api.requests[0].status) == (0, 1, None)


@pytest.mark.anyio
async def test_a_slow_body_runs_into_the_clients_timeout() -> None:
    """A body that stops for longer than the client waits is a timeout too, and one that trickles on is none."""
    async with FakeMessagesAPI() as api, client(api, timeout=0.5) as claude:
        api.script(Reply.default().trickling(0.05), Reply.default().trickling(3600))
        assert (await claude.messages.create(**ASK)).stop_reason == "end_turn"
        with pytest.raises(anthropic.APITimeoutError):
            await claude.messages.create(**ASK)


@pytest.mark.anyio
async def test_latency_may_depend_on_the_request() -> None:
    """The request whose latency is short is answered while the other is still being served."""

    def latency(request: RecordedRequest) -> float:
        return 3600 if request.text == "slow" else 0.0

    async with FakeMessagesAPI(latency=latency) as api, client(api) as claude, anyio.create_task_group() as tasks:

        async def ask(text: str) -> None:
            await claude.messages.create(**ASK | {"messages": [{"role": "user", "content": text}]})

        tasks.start_soon(ask, "slow")
        await to_thread.run_sync(api.wait_for_requests, 1)
        await ask("fast")
        assert (api.in_flight, api.max_in_flight) == (1, 2)
        tasks.cancel_scope.cancel()


def test_an_error_of_the_answer_function_is_not_lost() -> None:
    """An assertion that fails in the answer function is raised on leaving, over the failed request it led to."""

    def answer(request: RecordedRequest) -> Reply:
        assert request.text == "expected", "not what was expected"
        return Reply.default()

    api = FakeMessagesAPI(answer=answer)
    with pytest.raises(AssertionError, match="not what was expected"), api, sync_client(api) as claude:
        claude.messages.create(**ASK)
    assert [request.status for request in api.requests] == [500]


@pytest.mark.anyio
async def test_an_answer_that_is_no_reply_is_told() -> None:
    """A function that returns something else makes leaving raise a TypeError that says so, once."""
    api = FakeMessagesAPI(answer=lambda _: "text")  # type: ignore[arg-type, return-value]

    async def ask() -> None:
        async with api, client(api) as claude:
            with pytest.raises(anthropic.InternalServerError, match="raised TypeError"):
                await claude.messages.create(**ASK)

    with pytest.raises(TypeError, match="must give a Reply or None, not str"):
        await ask()
    async with api:
        pass


@pytest.mark.anyio
async def test_cancellation_passes_even_if_the_answer_function_failed() -> None:
    """Leaving because of a cancellation does not turn it into the function's error."""
    api = FakeMessagesAPI(answer=lambda _: Reply.error(200 // 0))
    with anyio.CancelScope() as scope:
        async with api, client(api) as claude:
            with pytest.raises(anthropic.InternalServerError):
                await claude.messages.create(**ASK)
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_delays_are_checked_where_they_are_made(seconds: float) -> None:
    """A delay below zero is refused when the reply is made."""
    with pytest.raises(ValueError, match="at least 0 seconds"):
        Reply.default().after(seconds)
    with pytest.raises(ValueError, match="at least 0 seconds"):
        Reply.default().trickling(seconds)


def test_a_reply_does_not_show_its_text() -> None:
    """A reply's repr leaves the body out."""
    assert "secret" not in repr(Reply.text("secret"))
