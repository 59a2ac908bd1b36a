"""What the Messages API refuses: its rules for a request's headers and body; pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from typing import Any

from ._json import dumps, is_array, is_object
from ._media_checks import MOST_MEDIA, check_media
from ._prompts import output_format
from ._routes import RequestRefused
from ._schema_checks import schema_problem

__all__ = ["check_body", "check_headers", "check_model", "check_object"]

MAX_BREAKPOINTS = 4
"""How many cache breakpoints a request may have."""

_EFFORTS = ("low", "medium", "high", "xhigh", "max")


def check_headers(headers: dict[str, str], api_keys: Collection[str] | None) -> None:
    """Check the credentials, and the API's version.

    Args:
        headers: The headers by lower-case name.
        api_keys: The keys that are known; None takes any.

    Raises:
        RequestRefused: 401 without a known key, 400 without a version.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    key = headers.get("x-api-key") or (token.strip() if scheme.lower() == "bearer" else "")
    if not key:
        raise RequestRefused("x-api-key header is required", status=401, type="authentication_error")
    if api_keys is not None and key not in api_keys:
        raise RequestRefused("invalid x-api-key", status=401, type="authentication_error")
    if not headers.get("anthropic-version"):
        raise RequestRefused("anthropic-version: header is required")


def check_model(model: object, models: Collection[str] | None) -> None:
    """Check that a model is known: one of `models`, or with None any id that starts with ``claude-``.

    Raises:
        RequestRefused: 404, it is not.
    """
    known = str(model).startswith("claude-") if models is None else model in models
    if not known:
        raise RequestRefused(f"model: {model}", status=404, type="not_found_error")


# --- the body ---------------------------------------------------------------------------------------------------------

_Check = Callable[[Any], bool]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_text_or_list(value: object) -> bool:
    return isinstance(value, str) or is_array(value)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 1


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


def _is_texts(value: object) -> bool:
    return is_array(value) and all(isinstance(part, str) for part in value)


def _is_objects(value: object) -> bool:
    return is_array(value) and all(is_object(part) for part in value)


def _or_null(check: _Check) -> _Check:
    return lambda value: value is None or check(value)


_ASKED_FIELDS: dict[str, tuple[_Check, str]] = {
    "model": (_is_text, "Input should be a valid string"),
    "messages": (_is_objects, "Input should be a valid list of messages"),
    "system": (_is_text_or_list, "Input should be a valid string or list of text blocks"),
    "tools": (_is_objects, "Input should be a valid list of tools"),
    "tool_choice": (is_object, "Input should be a valid dictionary"),
    "thinking": (is_object, "Input should be a valid dictionary"),
    "output_config": (is_object, "Input should be a valid dictionary"),
    "cache_control": (_or_null(is_object), "Input should be a valid dictionary"),
    "speed": (_or_null(_is_text), "Input should be 'standard' or 'fast'"),
}
"""The fields that both creating a message and counting its tokens know."""

_CREATE_FIELDS: dict[str, tuple[_Check, str]] = {
    **_ASKED_FIELDS,
    "max_tokens": (_is_count, "Input should be a valid integer, greater than or equal to 1"),
    "stream": (_is_bool, "Input should be a valid boolean"),
    "stop_sequences": (_is_texts, "Input should be a valid list of strings"),
    "metadata": (is_object, "Input should be a valid dictionary"),
    "service_tier": (lambda tier: tier in ("auto", "standard_only"), "Input should be 'auto' or 'standard_only'"),
    "container": (_or_null(lambda value: isinstance(value, str) or is_object(value)), "Input should be a valid string"),
    "diagnostics": (_or_null(is_object), "Input should be a valid dictionary"),
    "inference_geo": (_or_null(_is_text), "Input should be a valid string"),
}

_REMOVED_FIELDS = ("temperature", "top_p", "top_k")


def check_body(headers: dict[str, str], body: object, *, counting: bool = False) -> None:
    """Check a request to create a message, or to count its tokens.

    Args:
        headers: The headers by lower-case name; with ``anthropic-beta`` there may be fields that are not known here.
        body: The decoded body, or None if it is not JSON.
        counting: Whether only its tokens are to be counted: then it has no ``max_tokens``.

    Raises:
        RequestRefused: 400, the API would not take it.
    """
    body = check_object(headers, body)
    _check_fields(body, _ASKED_FIELDS if counting else _CREATE_FIELDS, beta="anthropic-beta" in headers)
    _check_messages(body["messages"])
    _check_blocks("system", body.get("system") or "-", ("text",))
    _check_breakpoints(body)
    _check_output_config(body)
    _check_schemas(body)


def check_object(headers: dict[str, str], body: object) -> dict[str, Any]:
    """Check that a body is said to be JSON, and is an object.

    Args:
        headers: The headers by lower-case name.
        body: The decoded body, or None if it is not JSON.

    Raises:
        RequestRefused: 400, it is not.
    """
    if headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RequestRefused("content-type: must be application/json")
    if body is None:
        raise RequestRefused("The request body is not valid JSON")
    if not is_object(body):
        raise RequestRefused("Input should be a valid dictionary")
    return body


def _check_fields(body: dict[str, Any], fields: dict[str, tuple[_Check, str]], *, beta: bool) -> None:
    for name in ("model", "max_tokens", "messages"):
        if name in fields and name not in body:
            raise RequestRefused(f"{name}: Field required")
    for name in _REMOVED_FIELDS:
        if name in body:
            raise RequestRefused(f"{name}: Extra inputs are not permitted: removed in version 2026-10-21")
    for name, value in body.items():
        if name not in fields:
            if not beta:
                raise RequestRefused(f"{name}: Extra inputs are not permitted")
        elif not fields[name][0](value):
            raise RequestRefused(f"{name}: {fields[name][1]}")


def _check_messages(messages: list[dict[str, Any]]) -> None:
    if not messages:
        raise RequestRefused("messages: at least one message is required")
    for index, message in enumerate(messages):
        where = f"messages.{index}"
        if message.get("role") not in ("user", "assistant", "system"):
            raise RequestRefused(f"{where}.role: Input should be 'user', 'assistant' or 'system'")
        if "content" not in message:
            raise RequestRefused(f"{where}.content: Field required")
        if extra := message.keys() - {"role", "content"}:
            raise RequestRefused(f"{where}.{min(extra)}: Extra inputs are not permitted")
        _check_blocks(f"{where}.content", message["content"])
        _check_removed_uses(where, message)
    media = sum(block.get("type") in ("image", "document") for block in _blocks([each["content"] for each in messages]))
    if media > MOST_MEDIA:
        raise RequestRefused(f"Too many images and documents: {media} > {MOST_MEDIA}")
    if messages[0]["role"] != "user":
        raise RequestRefused('messages: first message must use the "user" role')


_BLOCK_FIELDS = {
    "text": ("text", str),
    "image": ("source", dict),
    "document": ("source", dict),
    "search_result": ("content", list),
    "thinking": ("thinking", str),
    "redacted_thinking": ("data", str),
    "tool_use": ("input", dict),
    "tool_result": ("tool_use_id", str),
    "server_tool_use": ("input", dict),
    "web_search_tool_result": ("tool_use_id", str),
    "web_fetch_tool_result": ("tool_use_id", str),
    "code_execution_tool_result": ("tool_use_id", str),
    "bash_code_execution_tool_result": ("tool_use_id", str),
    "text_editor_code_execution_tool_result": ("tool_use_id", str),
    "tool_search_tool_result": ("tool_use_id", str),
    "container_upload": ("file_id", str),
}
"""The types of content blocks, each with a field that it must have."""


def _check_blocks(where: str, content: object, types: Collection[str] = _BLOCK_FIELDS.keys()) -> None:
    if isinstance(content, str):
        if not content.strip():
            raise RequestRefused(f"{where}: text content must be non-empty")
        return
    if not is_array(content) or not content:
        raise RequestRefused(f"{where}: Input should be a valid string or a non-empty list of content blocks")
    for index, block in enumerate(content):
        _check_block(f"{where}.{index}", block, types)


def _check_block(where: str, block: object, types: Collection[str]) -> None:
    kind = block.get("type") if is_object(block) else None
    if not is_object(block) or not isinstance(kind, str) or kind not in types:
        raise RequestRefused(f"{where}: Input tag {kind!r} found using 'type' does not match any of the expected tags")
    name, expected = _BLOCK_FIELDS[kind]
    if not isinstance(block.get(name), expected):
        raise RequestRefused(f"{where}.{kind}.{name}: Field required")
    check_media(where, block)
    if kind == "text" and not block["text"].strip():
        raise RequestRefused(f"{where}: text content blocks must be non-empty")


def _check_removed_uses(where: str, message: dict[str, Any]) -> None:
    """What version 2026-10-21 takes no more, besides the sampling parameters."""
    for index, block in enumerate(message["content"] if is_array(message["content"]) else ()):
        if message["role"] == "assistant" and block["type"] == "document":
            raise RequestRefused(f"{where}.content.{index}: document blocks are not supported in assistant messages")
        if message["role"] == "user" and block["type"] == "text" and block.get("citations"):
            raise RequestRefused(f"{where}.content.{index}.citations: not supported on text blocks of user messages")


def _check_breakpoints(body: dict[str, Any]) -> None:
    prompt = [body.get("tools"), body.get("system"), [message["content"] for message in body["messages"]]]
    marked = [block["cache_control"] for block in _blocks(prompt) if block.get("cache_control") is not None]
    if body.get("cache_control") is not None:
        marked.append(body["cache_control"])
    for control in marked:
        if not is_object(control) or control.get("type") != "ephemeral" or control.get("ttl", "5m") not in ("5m", "1h"):
            raise RequestRefused("cache_control: Input should have the type 'ephemeral', and a ttl of '5m' or '1h'")
    ttls = [control.get("ttl", "5m") for control in marked]
    if sorted(ttls) != ttls:  # "1h" sorts before "5m"
        raise RequestRefused("cache_control.ttl: a ttl='1h' block must not come after a ttl='5m' block")
    if len(marked) > MAX_BREAKPOINTS:
        raise RequestRefused(
            f"A maximum of {MAX_BREAKPOINTS} blocks with cache_control may be provided. Found {len(marked)}."
        )


def _blocks(content: object) -> Iterator[dict[str, Any]]:
    """Every block of some content, those within tool results too."""
    if is_array(content):
        for part in content:
            yield from _blocks(part)
    elif is_object(content):
        yield content
        yield from _blocks(content.get("content"))


def _check_output_config(body: dict[str, Any]) -> None:
    config: dict[str, Any] = body.get("output_config", {})
    if extra := config.keys() - {"effort", "format"}:
        raise RequestRefused(f"output_config.{min(extra)}: Extra inputs are not permitted")
    if config.get("effort") is not None and config["effort"] not in _EFFORTS:
        raise RequestRefused(f"output_config.effort: Input should be one of {', '.join(_EFFORTS)}")
    if config.get("format") is None:
        return
    if not is_object(config["format"]) or config["format"].get("type") != "json_schema":
        raise RequestRefused("output_config.format.type: Input should be 'json_schema'")
    if "schema" not in config["format"]:
        raise RequestRefused("output_config.format.schema: Field required")
    if body["messages"][-1]["role"] == "assistant":
        raise RequestRefused("output_config.format: not supported together with prefilling the assistant's message")
    _check_citations(body)


def _check_citations(body: dict[str, Any]) -> None:
    for block in _blocks([message["content"] for message in body["messages"]]):
        citations = block.get("citations")
        if is_object(citations) and citations.get("enabled"):
            raise RequestRefused("output_config.format: citations cannot be enabled when using structured outputs")


@lru_cache
def _schema_problem(schemas: str) -> str | None:
    # An app sends the same few schemas again and again.
    return schema_problem(json.loads(schemas))


def _check_schemas(body: dict[str, Any]) -> None:
    schemas: list[tuple[str, object]] = [
        (f"tools.{index}.input_schema", tool.get("input_schema"))
        for index, tool in enumerate(body.get("tools", ()))
        if tool.get("strict")
    ]
    asked = output_format(body)
    if asked:
        schemas.append(("output_config.format.schema", asked["schema"]))
    problem = _schema_problem(dumps(schemas)) if schemas else None
    if problem is not None:
        raise RequestRefused(problem)
