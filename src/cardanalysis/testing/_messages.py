"""The JSON of messages and errors, and the events of a stream, as the API sends them; pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from attrs import evolve

from ._examples import example
from ._json import dumps, is_array
from ._prompt_cache import CacheUse
from ._prompts import characters_of, count_tokens, output_format
from ._recorded import RecordedRequest
from ._replies import ErrorBody, ModelAnswer

__all__ = ["error_event", "error_json", "message_json", "stream_events"]

_DEFAULT_TEXT = "This is a made-up answer."
_SIGNATURE = "c2lnbmF0dXJl"
_PIECES = 4
"""In how many deltas a block is streamed."""

_WRITTEN = "cache_creation_input_tokens"
_CACHE_COUNTS = {_WRITTEN, "cache_read_input_tokens"}


def message_json(answer: ModelAnswer, request: RecordedRequest, cache: CacheUse) -> dict[str, Any]:
    """The message in which the model gives an answer to a request, cut where ``max_tokens`` are used up."""
    text = _default_text(request.body) if answer.text is None else answer.text
    if answer.halved:
        text = text[: len(text) // 2]
    answer, text = _within(answer, text, request.body["max_tokens"])
    return {
        "id": request.request_id.replace("req_", "msg_"),
        "type": "message",
        "role": "assistant",
        "model": request.body["model"],
        "content": _content(text, answer),
        "stop_reason": answer.stop_reason,
        "stop_sequence": None,
        "stop_details": answer.stop_details,
        "usage": _usage(text, answer, request, cache),
    }


def _within(answer: ModelAnswer, text: str, max_tokens: int) -> tuple[ModelAnswer, str]:
    """An answer and its text as far as so many tokens go; thinking comes first."""
    thinking = answer.thinking or ""
    left = max_tokens - count_tokens(len(thinking))
    if left >= _text_tokens(text, answer):
        return answer, text
    thought = answer.thinking and thinking[: characters_of(max_tokens)]
    blocks = answer.blocks if left > 0 else 0
    cut = evolve(answer, thinking=thought, blocks=blocks, stop_reason="max_tokens")
    return cut, text[: characters_of(max(0, left))]


def error_json(error: ErrorBody, request_id: str) -> dict[str, Any]:
    """An error's body."""
    inner: dict[str, Any] = {"type": error.type, "message": error.message}
    if error.error_code is not None:
        inner["details"] = {"error_code": error.error_code}
    return {"type": "error", "error": inner, "request_id": request_id}


def _default_text(body: dict[str, Any]) -> str:
    asked = output_format(body)
    return _example_text(dumps(asked["schema"])) if asked else _DEFAULT_TEXT


@lru_cache
def _example_text(schema: str) -> str:
    return dumps(example(json.loads(schema)))


def _content(text: str, answer: ModelAnswer) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    if answer.thinking is not None:
        content.append({"type": "thinking", "thinking": answer.thinking, "signature": _SIGNATURE})
    content += ({"type": "text", "text": part, "citations": None} for part in _split(text, answer.blocks))
    return content


def _usage(text: str, answer: ModelAnswer, request: RecordedRequest, cache: CacheUse) -> dict[str, Any]:
    thinking = count_tokens(len(answer.thinking or ""))
    said = _text_tokens(text, answer)
    given = answer.usage
    if _CACHE_COUNTS & given.keys():
        cache = CacheUse(read=given.get("cache_read_input_tokens", 0), written_5m=given.get(_WRITTEN, 0))
    written = cache.written_5m + cache.written_1h
    return {
        "input_tokens": max(0, request.input_tokens - written - cache.read),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": cache.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": cache.written_5m,
            "ephemeral_1h_input_tokens": cache.written_1h,
        },
        "output_tokens": thinking + said,
        "output_tokens_details": {"thinking_tokens": thinking},
        "service_tier": "standard" if request.batch_id is None else "batch",
        "inference_geo": "global",
        **given,
    }


def _text_tokens(text: str, answer: ModelAnswer) -> int:
    return max(1, count_tokens(len(text))) if answer.blocks else 0


def _split(text: str, parts: int) -> list[str]:
    """The text in so many parts of about the same length."""
    return [text[len(text) * index // parts : len(text) * (index + 1) // parts] for index in range(parts)]


# --- streams ----------------------------------------------------------------------------------------------------------


def stream_events(message: Mapping[str, Any]) -> Iterator[bytes]:
    """A message as server-sent events, one at a time: what went in is told at the start, what came out at the end."""
    usage: dict[str, Any] = message.get("usage") or {}
    yield _event("message_start", message=_begun(message, usage))
    yield _event("ping")
    content = message.get("content")
    for index, block in enumerate(content if is_array(content) else ()):
        yield from _block_events(index, block)
    ending = {name: message.get(name) for name in ("stop_reason", "stop_sequence", "stop_details")}
    produced = {name: usage[name] for name in ("output_tokens_details",) if name in usage}
    yield _event("message_delta", delta=ending, usage={"output_tokens": usage.get("output_tokens", 0), **produced})
    yield _event("message_stop")


def _begun(message: Mapping[str, Any], usage: Mapping[str, Any]) -> dict[str, Any]:
    told = {**usage, "output_tokens": min(1, usage.get("output_tokens", 0))}
    if "output_tokens_details" in usage:
        told["output_tokens_details"] = {"thinking_tokens": 0}
    return {**message, "content": [], "stop_reason": None, "stop_sequence": None, "stop_details": None, "usage": told}


def error_event(error: ErrorBody, request_id: str) -> bytes:
    """The event with which a stream breaks off."""
    return _event("error", **{name: value for name, value in error_json(error, request_id).items() if name != "type"})


def _block_events(index: int, block: dict[str, Any]) -> Iterator[bytes]:
    begun, deltas = _begin_block(block)
    yield _event("content_block_start", index=index, content_block=begun)
    for number, delta in enumerate(deltas):
        if number == _PIECES // 2:
            yield _event("ping")
        yield _event("content_block_delta", index=index, delta=delta)
    yield _event("content_block_stop", index=index)


def _begin_block(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How a block begins, and the deltas that complete it; a block of another type comes whole."""
    match block:
        case {"type": "text", "text": str(text)}:
            return {**block, "text": ""}, [{"type": "text_delta", "text": part} for part in _pieces(text)]
        case {"type": "thinking", "thinking": str(thinking)}:
            deltas = [{"type": "thinking_delta", "thinking": part} for part in _pieces(thinking)]
            signature = {"type": "signature_delta", "signature": block.get("signature", _SIGNATURE)}
            return {**block, "thinking": "", "signature": ""}, [*deltas, signature]
        case {"type": "tool_use"}:
            parts = _pieces(dumps(block.get("input", {})))
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": part} for part in parts]
        case _:
            return block, []


def _pieces(text: str) -> list[str]:
    return [part for part in _split(text, _PIECES) if part]


def _event(name: str, **data: object) -> bytes:
    return f"event: {name}\ndata: {dumps({'type': name, **data})}\n\n".encode()
