"""An answer ends where max_tokens are used up."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis.testing import FakeMessagesAPI, RecordedRequest, Reply
from cardanalysis.testing._messages import message_json
from cardanalysis.testing._prompt_cache import NO_CACHE_USE
from cardanalysis.testing._replies import ModelAnswer


def request(max_tokens: int) -> RecordedRequest:
    body = {"model": "claude-x", "max_tokens": max_tokens, "messages": [{"role": "user", "content": "Hello"}]}
    return RecordedRequest(method="POST", path="/v1/messages", body=body, arrived=0.0, request_id="req_1")


def said(reply: Reply, max_tokens: int) -> dict[str, Any]:
    assert isinstance(reply.body, ModelAnswer)
    return message_json(reply.body, request(max_tokens), NO_CACHE_USE)


def texts(message: dict[str, Any], name: str = "text") -> str:
    return "".join(block[name] for block in message["content"] if block["type"] == name)


def test_an_answer_that_fits_is_whole() -> None:
    """An answer of exactly max_tokens is whole, and one of a character more is cut there."""
    whole = said(Reply.text("a" * 40), 10)
    assert (whole["stop_reason"], texts(whole)) == ("end_turn", "a" * 40)
    cut = said(Reply.text("a" * 41), 10)
    assert (cut["stop_reason"], texts(cut), cut["usage"]["output_tokens"]) == ("max_tokens", "a" * 40, 10)


def test_thinking_counts() -> None:
    """Thinking comes off what is left for the text; when it takes all of it there is no text."""
    some = said(Reply.text("a" * 40, thinking="b" * 20), 10)
    assert (texts(some, "thinking"), texts(some), some["stop_reason"]) == ("b" * 20, "a" * 20, "max_tokens")
    all_ = said(Reply.text("a" * 40, thinking="b" * 60), 10)
    assert [block["type"] for block in all_["content"]] == ["thinking"]
    assert (len(texts(all_, "thinking")), all_["usage"]["output_tokens"]) == (40, 10)


def test_a_given_usage_is_reported_all_the_same() -> None:
    """What a reply says of its usage wins over what was counted."""
    assert said(Reply.text("a" * 100, usage={"output_tokens": 7}), 10)["usage"]["output_tokens"] == 7


def test_a_truncated_reply_keeps_its_reason() -> None:
    """A reply that is truncated by itself is said as it is as far as max_tokens go."""
    assert said(Reply.context_window_exceeded("abc"), 10)["stop_reason"] == "model_context_window_exceeded"
    assert said(Reply.truncated("abc"), 10)["stop_reason"] == "max_tokens"


@given(st.text(max_size=60), st.none() | st.text(max_size=60), st.integers(1, 20), st.integers(0, 3))
@settings(max_examples=100)
def test_no_answer_is_longer_than_max_tokens(text: str, thinking: str | None, most: int, blocks: int) -> None:
    """Whatever is said, no more than max_tokens come out, and what comes is the beginning of it."""
    message = said(Reply.text(text, thinking=thinking, blocks=blocks), most)
    assert message["usage"]["output_tokens"] <= most
    assert text.startswith(texts(message))
    assert (thinking or "").startswith(texts(message, "thinking"))


@pytest.mark.parametrize("stream", [False, True])
def test_it_is_cut_over_the_wire(stream: bool) -> None:
    """The SDK sees the cut, streamed or not."""
    with (
        FakeMessagesAPI(answer=Reply.json(["a" * 100])) as api,
        anthropic.Anthropic(api_key="k", base_url=api.base_url) as claude,
    ):
        ask: dict[str, Any] = request(5).body
        if stream:
            with claude.messages.stream(**ask) as events:
                message = events.get_final_message()
        else:
            message = claude.messages.create(**ask)
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 5)
    assert message.content[0].text == '["' + "a" * 18  # type: ignore[union-attr]
