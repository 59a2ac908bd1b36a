"""What the API sent back, read from its raw JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardanalysis.analysis._prices import TokenCounts
from cardanalysis.analysis._replies import InvalidReply, read_reply, word

MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-5-5",
    "content": [{"type": "text", "text": "{}"}],
    "stop_reason": "end_turn",
    "stop_details": None,
    "usage": {"input_tokens": 12, "output_tokens": 40},
}


def body(**changes: Any) -> bytes:
    return json.dumps(MESSAGE | changes).encode()


def test_a_message_is_read() -> None:
    """Text, stop reason, model and tokens come from the message."""
    reply = read_reply(body())
    assert (reply.text, reply.stop_reason, reply.refusal, reply.model) == ("{}", "end_turn", None, "claude-sonnet-5-5")
    assert reply.tokens == TokenCounts(input=12, output=40)
    assert reply.price_factor == 1.0


def test_a_ready_value_is_read_like_a_body() -> None:
    """A client may hand over the JSON value itself."""
    assert read_reply(MESSAGE) == read_reply(body())


def test_text_blocks_are_joined_and_others_left_out() -> None:
    """Thinking may come first, the answer may be split, and unknown blocks say nothing."""
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "s"},
        {"type": "text", "text": '{"a":'},
        {"type": "new_kind", "text": "no"},
        "no",
        {"type": "text", "text": None},
        {"type": "text", "text": "1}"},
    ]
    assert read_reply(body(content=content)).text == '{"a":1}'


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"<html>Bad gateway</html>", "It is not JSON."),
        (b"", "It is not JSON."),
        (b'{"type": "mess', "It is not JSON."),
        (b"\xff\xfe\xff", "It is not JSON."),
        (b"[" * 100_000, "It is not JSON."),
        (b"[]", "It is JSON, but not an object."),
        (b'"a"', "It is JSON, but not an object."),
        (b'{"foo": 1}', "It is a JSON object, but not a message with content and usage."),
        (body(type=None), "It is a JSON object, but not a message with content and usage."),
        (body(content=None), "It is a JSON object, but not a message with content and usage."),
        (body(usage=None), "It is a JSON object, but not a message with content and usage."),
        (json.dumps(dict.fromkeys(MESSAGE)).encode(), "It is a JSON object, but not a message with content and usage."),
    ],
)
def test_what_is_no_message_is_refused(raw: bytes, what: str) -> None:
    """Status 200 proves nothing: HTML, garbage, lists and messages of nulls are told apart from messages."""
    with pytest.raises(InvalidReply) as caught:
        read_reply(raw)
    assert str(caught.value) == what


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({}, TokenCounts()),
        ({"input_tokens": None, "output_tokens": "7", "cache_read_input_tokens": True}, TokenCounts()),
        ({"input_tokens": -4, "output_tokens": 2.5}, TokenCounts()),
        (
            {"cache_read_input_tokens": 900, "cache_creation_input_tokens": 50},
            TokenCounts(cache_read=900, cache_write_5m=50),
        ),
        (
            {
                "cache_creation_input_tokens": 50,
                "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 30},
            },
            TokenCounts(cache_write_5m=20, cache_write_1h=30),
        ),
        ({"cache_creation": {"ephemeral_1h_input_tokens": 30}}, TokenCounts(cache_write_1h=30)),
        ({"cache_creation": "?", "cache_creation_input_tokens": 5}, TokenCounts(cache_write_5m=5)),
    ],
)
def test_tokens_that_are_not_said_count_nothing(usage: dict[str, Any], tokens: TokenCounts) -> None:
    """Each kind of token is counted apart; what is missing or no count is 0."""
    assert read_reply(body(usage=usage)).tokens == tokens


@pytest.mark.parametrize(
    ("usage", "factor"),
    [
        ({"service_tier": "standard", "inference_geo": "global"}, 1.0),
        ({"service_tier": "batch"}, 0.5),
        ({"inference_geo": "us"}, 1.1),
        ({"service_tier": "batch", "inference_geo": "us"}, 0.55),
        ({"speed": "fast"}, None),
    ],
)
def test_what_changes_the_price_is_seen(usage: dict[str, Any], factor: float | None) -> None:
    """Batches are half, inference in the US only is a tenth more, and fast mode has another price."""
    assert read_reply(body(usage=usage)).price_factor == (factor and pytest.approx(factor))


@pytest.mark.parametrize(("content", "factor"), [([], 0.0), ([{"type": "text", "text": "I"}], 1.0)])
def test_a_refusal_before_any_output_is_not_billed(content: list[Any], factor: float) -> None:
    """It reports tokens all the same; one in the middle of an answer is billed."""
    details = {"type": "refusal", "category": "bio", "explanation": None}
    reply = read_reply(body(content=content, stop_reason="refusal", stop_details=details))
    assert (reply.refusal, reply.price_factor, reply.tokens.input) == ("bio", factor, 12)


@pytest.mark.parametrize("value", [None, 7, "", "two words", "x" * 81, "\n", "<b>", ["end_turn"]])
def test_only_plain_words_are_passed_on(value: object) -> None:
    """What is to be shown to people is a short word, whatever the server sent."""
    assert word(value) is None
    assert read_reply(body(stop_reason=value)).stop_reason is None
    assert read_reply(body(stop_details={"category": value})).refusal is None


def test_a_model_that_is_not_said_is_empty() -> None:
    """A message without a model is still a message."""
    assert read_reply(body(model=None)).model == ""


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.sampled_from([*MESSAGE, "text"]), part, max_size=4),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(list(MESSAGE)), _JSON))
def test_any_message_is_read_or_refused(changes: dict[str, Any]) -> None:
    """Whatever stands in a message, reading it ends in a reply or in `InvalidReply`."""
    try:
        reply = read_reply(body(**changes))
    except InvalidReply:
        return
    assert isinstance(reply.text, str)
