"""Messages that are put together from the events of a stream."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cardanalysis.analysis._events import MessageStream
from cardanalysis.analysis._prices import TokenCounts
from cardanalysis.analysis._replies import Reply, read_reply

START = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-5-5",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 12, "cache_read_input_tokens": 90, "output_tokens": 1},
    },
}
PING = {"type": "ping"}
STOP = {"type": "message_stop"}


def end(reason: str = "end_turn", **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 40, **usage}}


def block(index: Any, kind: Any = "text", *pieces: str) -> list[dict[str, Any]]:
    names = {"text": ("text_delta", "text"), "thinking": ("thinking_delta", "thinking")}
    delta, field = names.get(kind, ("new_delta", "text"))
    return [
        {"type": "content_block_start", "index": index, "content_block": {"type": kind, field: ""}},
        *({"type": "content_block_delta", "index": index, "delta": {"type": delta, field: piece}} for piece in pieces),
        {"type": "content_block_stop", "index": index},
    ]


def wire(events: Iterable[object], line_end: str = "\n") -> bytes:
    lines: list[str] = []
    for event in events:
        kind = event.get("type") if isinstance(event, dict) else "?"
        lines += [f"event: {kind}", f"data: {json.dumps(event, ensure_ascii=False)}", ""]
    return "".join(line + line_end for line in lines).encode(errors="surrogatepass")


def fed(*events: object) -> MessageStream:
    stream = MessageStream()
    stream.feed(wire(events))
    return stream


def reply(stream: MessageStream) -> Reply:
    message = stream.message()
    assert message is not None
    return read_reply(message)


WHOLE = [START, PING, *block(0, "thinking", "Hmm."), *block(1, "text", '{"ca', 'rds": "ü€😀"}'), end(), STOP]


def test_a_stream_becomes_the_message_that_it_tells() -> None:
    """As the same message without a stream is read."""
    got = reply(fed(*WHOLE))
    assert (got.text, got.stop_reason, got.model) == ('{"cards": "ü€😀"}', "end_turn", "claude-sonnet-5-5")
    assert got.tokens == TokenCounts(input=12, cache_read=90, output=40)


@given(st.lists(st.integers(0, len(wire(WHOLE)))), st.sampled_from(["\n", "\r\n"]))
def test_it_does_not_matter_where_the_chunks_are_cut(cuts: list[int], line_end: str) -> None:
    """Also inside a character, a line end or the name of a field."""
    data, stream = wire(WHOLE, line_end), MessageStream()
    bounds = [0, *sorted(cuts), len(data)]
    for start, stop in pairwise(bounds):
        stream.feed(data[start:stop])
    assert stream.message() == fed(*WHOLE).message()


def test_byte_by_byte_is_the_same() -> None:
    """The smallest chunks."""
    stream = MessageStream()
    for byte in wire(WHOLE):
        stream.feed(bytes([byte]))
    assert stream.message() == fed(*WHOLE).message()


def test_several_text_blocks_are_joined_and_others_left_out() -> None:
    """Thinking first, unknown blocks between, texts that mix."""
    first, second = block(1, "text", "a", "b"), block(3, "text", "c")
    mixed = [first[0], second[0], first[1], second[1], first[2]]
    stream = fed(START, *block(0, "thinking", "t"), *mixed, *block(2, "new_kind", "no"), end(), STOP)
    assert reply(stream).text == "acb"


def test_a_block_may_begin_with_a_text() -> None:
    """What stands in its beginning is part of it."""
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "a"}}
    assert reply(fed(START, start, *block(0, "text", "b")[1:], end(), STOP)).text == "ab"


def test_events_and_fields_that_are_new_are_passed_over() -> None:
    """The API may add some at any time."""
    stream = MessageStream()
    stream.feed(b": a comment\nid: 7\nretry: 9\nevent: new\ndata: {}\n\ndata\ndatum: {\n\n")
    stream.feed(wire([{"type": "new"}, [], 7, None, *WHOLE]))
    assert stream.message() == fed(*WHOLE).message()


@pytest.mark.parametrize("count", range(len(WHOLE)))
def test_a_stream_that_ends_early_is_no_message(count: int) -> None:
    """Whatever is missing, be it only the last event; what was used so far is known."""
    stream = fed(*WHOLE[:count])
    assert stream.message() is None
    assert (stream.tokens() is None) is (count == 0)


def test_only_pings_tell_nothing() -> None:
    """A stream that never begins cost nothing that is known."""
    stream = fed(PING, PING, STOP)
    assert (stream.begun, stream.message(), stream.tokens()) == (False, None, None)


def test_output_that_was_not_counted_is_guessed() -> None:
    """The API counts it at the end only; text and thinking count, and rather too much."""
    stream = fed(START, *block(0, "thinking", "x" * 30), *block(1, "text", "y" * 60))
    assert stream.tokens() == TokenCounts(input=12, cache_read=90, output=30)
    assert fed(START).tokens() == TokenCounts(input=12, cache_read=90, output=1)


def test_counts_at_the_end_go_over_those_at_the_beginning() -> None:
    """They are totals; what is not told at the end stays."""
    stream = fed(START, *block(0, "text", "a"), end(input_tokens=14, cache_read_input_tokens=None), STOP)
    assert stream.tokens() == TokenCounts(input=14, cache_read=90, output=40)
    assert reply(stream).tokens == stream.tokens()


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ({"type": "overloaded_error", "message": "x"}, {"type": "overloaded_error", "message": "x"}),
        ("no", {}),
        (None, {}),
    ],
)
def test_an_error_in_mid_stream_is_kept(error: object, told: dict[str, Any]) -> None:
    """As the API words it; one that says nothing is an error too."""
    stream = fed(START, *block(0, "text", "a"), {"type": "error", "error": error})
    assert stream.error == told
    assert stream.message() is None


def test_a_refusal_of_nothing_is_told_from_one_in_mid_answer() -> None:
    """Only a refusal before any block is not billed, also where there was only thinking."""
    refused = {"type": "message_delta", "delta": {"stop_reason": "refusal"}, "usage": {"output_tokens": 3}}
    assert reply(fed(START, refused, STOP)).price_factor == 0.0
    assert reply(fed(START, *block(0, "thinking", "hm"), refused, STOP)).price_factor == 1.0


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["text", "text_delta"]),
    lambda part: (
        st.lists(part, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "thinking", "output_tokens", "usage", "stop_reason"]), part, max_size=4
        )
    ),
    max_leaves=8,
)
_KINDS = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "message_delta",
    "message_stop",
    "error",
    "ping",
]
_EVENTS = st.fixed_dictionaries(
    {"type": st.sampled_from(_KINDS) | _JSON},
    optional=dict.fromkeys(("index", "message", "content_block", "delta", "usage", "error"), _JSON),
)


@settings(max_examples=50)
@given(st.lists(_EVENTS, max_size=6), st.booleans())
@example([{"type": "content_block_start", "index": [], "content_block": {"type": "text"}}], True)
@example([{"type": "content_block_delta", "index": {}, "delta": {"type": "text_delta", "text": "a"}}], True)
def test_any_events_are_read_or_passed_over(events: list[dict[str, Any]], begun: bool) -> None:
    """Whatever a server sends, there is a message or none, and tokens that are counts."""
    stream = fed(*([START] if begun else []), *events)
    message, tokens = stream.message(), stream.tokens()
    assert message is None or isinstance(message["content"], list)
    assert tokens is None or min(tokens.input, tokens.output, tokens.cache_read) >= 0


@given(st.binary(max_size=200) | st.just(b"data: " + b"[" * 100_000 + b"\n"))
def test_any_bytes_are_passed_over(data: bytes) -> None:
    """Garbage is no message and no error of ours."""
    stream = MessageStream()
    stream.feed(data)
    stream.feed(b"\n")
    assert stream.message() is None
