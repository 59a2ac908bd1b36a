"""The JSON of messages and errors, and the events of a stream, as the API sends them; pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from ._examples import example
from ._json import dumps, is_array
from ._prompts import count_tokens, output_format
from ._recorded import RecordedRequest
from ._replies import ErrorBody, ModelAnswer

__all__ = ["error_json", "message_json", "stream_events"]

_DEFAULT_TEXT = "This is a made-up answer."
_SIGNATURE = "c2lnbmF0dXJl"
_PIECES = 4
"""In how many deltas a block is streamed."""


def message_json(answer: ModelAnswer, request: RecordedRequest) -> dict[str, Any]:
    """The message in which the model gives an answer to a request."""
    text = _default_text(request.body) if answer.text is None else answer.text
    if answer.halved:
        text = text[: len(text) // 2]
    return {
        "id": request.request_id.replace("req_", "msg_"),
        "type": "message",
        "role": "assistant",
        "model": request.body["model"],
        "content": _content(text, answer),
        "stop_reason": answer.stop_reason,
        "stop_sequence": None,
        "stop_details": answer.stop_details,
        "usage": _usage(text, answer, request.input_tokens),
    }


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


def _usage(text: str, answer: ModelAnswer, prompt: int) -> dict[str, Any]:
    thinking = count_tokens(len(answer.thinking or ""))
    said = max(1, count_tokens(len(text))) if answer.blocks else 0
    given = answer.usage
    written, read = given.get("cache_creation_input_tokens", 0), given.get("cache_read_input_tokens", 0)
    return {
        "input_tokens": max(0, prompt - written - read),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": thinking + said,
        "output_tokens_details": {"thinking_tokens": thinking},
        "service_tier": "standard",
        "inference_geo": "global",
        **given,
    }


def _split(text: str, parts: int) -> list[str]:
    """The text in so many parts of about the same length."""
    return [text[len(text) * index // parts : len(text) * (index + 1) // parts] for index in range(parts)]


# --- streams ----------------------------------------------------------------------------------------------------------


def stream_events(message: Mapping[str, Any]) -> Iterator[bytes]:
    """A message as server-sent events, one at a time."""
    usage = message.get("usage", {})
    begun: dict[str, Any] = {
        **message,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "usage": {**usage, "output_tokens": min(1, usage.get("output_tokens", 0))},
    }
    yield _event("message_start", message=begun)
    yield _event("ping")
    content = message.get("content")
    for index, block in enumerate(content if is_array(content) else ()):
        yield from _block_events(index, block)
    ending = {name: message.get(name) for name in ("stop_reason", "stop_sequence", "stop_details")}
    yield _event("message_delta", delta=ending, usage={"output_tokens": usage.get("output_tokens", 0)})
    yield _event("message_stop")


def _block_events(index: int, block: dict[str, Any]) -> Iterator[bytes]:
    begun, deltas = _begin_block(block)
    yield _event("content_block_start", index=index, content_block=begun)
    for delta in deltas:
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
