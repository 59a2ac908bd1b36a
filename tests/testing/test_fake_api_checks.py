"""What the fake Messages API refuses, as the API would: routes, headers, bodies and schemas."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

import anthropic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis.testing import FakeMessagesAPI
from cardanalysis.testing._request_checks import (
    check_body,
    check_headers,
    check_model,
)
from cardanalysis.testing._routes import RequestRefused, check_route
from cardanalysis.testing._schema_checks import MAX_OPTIONAL, MAX_UNIONS, schema_problem

JSON_HEADERS = {"content-type": "application/json; charset=utf-8"}
HELLO = [{"role": "user", "content": "Hello"}]
MINIMAL: dict[str, Any] = {"model": "claude-x", "max_tokens": 1, "messages": HELLO}
OPEN = {"type": "object", "additionalProperties": False}


def formatted(schema: object) -> dict[str, Any]:
    return {"output_config": {"format": {"type": "json_schema", "schema": schema}}}


def user(*blocks: object) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def text(words: object = "x", **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


MARKED = text(cache_control={"type": "ephemeral"})
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}
CITED = DOCUMENT | {"citations": {"enabled": True}}


def refusal(body: object, *, counting: bool = False, headers: dict[str, str] = JSON_HEADERS) -> str:
    with pytest.raises(RequestRefused) as caught:
        check_body(headers, body, counting=counting)
    assert (caught.value.status, caught.value.type) == (400, "invalid_request_error")
    return str(caught.value)


ACCEPTED: dict[str, dict[str, Any]] = {
    "minimal": {},
    "system text": {"system": "Be brief."},
    "system empty": {"system": ""},
    "system blocks": {"system": [text()]},
    "all blocks": user(text(), DOCUMENT, {"type": "image", "source": {"type": "url", "url": "http://x"}}),
    "conversation": {"messages": [*HELLO, {"role": "assistant", "content": [text()]}, *HELLO]},
    "prefill": {"messages": [*HELLO, {"role": "assistant", "content": "The answer"}]},
    "other roles": {"messages": [*HELLO, {"role": "system", "content": "x"}]},
    "settings": {
        "stop_sequences": ["x"],
        "metadata": {"user_id": "x"},
        "service_tier": "auto",
        "stream": True,
        "thinking": {"type": "adaptive"},
        "tool_choice": {"type": "auto"},
        "container": None,
        "cache_control": None,
        "inference_geo": "us",
        "speed": None,
    },
    "effort": {"output_config": {"effort": "low"}},
    "null format": {"output_config": {"effort": None, "format": None}},
    "format": formatted(OPEN | {"properties": {"minimum": {"type": "string"}}}),
    "4 breakpoints": {"system": [MARKED], "cache_control": {"type": "ephemeral", "ttl": "5m"}, **user(MARKED, MARKED)},
    "citations": user(CITED),
    "format with a document": {**formatted(OPEN), **user(DOCUMENT, DOCUMENT | {"citations": {"enabled": False}})},
    "loose tool": {"tools": [{"name": "t", "input_schema": {"type": "object", "maxProperties": 3}}]},
    "strict tool": {"tools": [{"name": "t", "strict": True, "input_schema": OPEN}]},
}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "max_tokens 0": ({"max_tokens": 0}, "max_tokens"),
    "max_tokens true": ({"max_tokens": True}, "max_tokens"),
    "max_tokens text": ({"max_tokens": "1"}, "max_tokens"),
    "model number": ({"model": 1}, "model"),
    "no messages": ({"messages": []}, "messages: at least one"),
    "messages text": ({"messages": "Hello"}, "messages: Input should be"),
    "message text": ({"messages": ["Hello"]}, "messages: Input should be"),
    "role": ({"messages": [{"role": "robot", "content": "x"}]}, "messages.0.role"),
    "no content": ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
    "message extra": ({"messages": [{"role": "user", "content": "x", "name": "y"}]}, "messages.0.name: Extra"),
    "content number": ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
    "content empty": ({"messages": [{"role": "user", "content": " \n"}]}, "non-empty"),
    "content no blocks": (user(), "messages.0.content"),
    "assistant first": (
        {"messages": [{"role": "assistant", "content": "x"}, *HELLO]},
        'first message must use the "user"',
    ),
    "block text": (user("x"), "messages.0.content.0"),
    "block type": (user({"type": "video"}), "'video'"),
    "block type list": (user({"type": ["text"]}), "expected tags"),
    "empty text": (user(text(), text("")), "messages.0.content.1: text content blocks must be non-empty"),
    "blank text": (user(text(" ")), "non-empty"),
    "text number": (user(text(5)), "messages.0.content.0.text.text"),
    "no source": (user({"type": "document"}), "messages.0.content.0.document.source"),
    "system number": ({"system": 5}, "system"),
    "system image": ({"system": [{"type": "image", "source": {}}]}, "system.0"),
    "system empty block": ({"system": [text("")]}, "non-empty"),
    "temperature": ({"temperature": 1.0}, "temperature: Extra inputs are not permitted"),
    "top_p": ({"top_p": 1}, "top_p"),
    "top_k": ({"top_k": 1}, "top_k"),
    "unknown field": ({"max_token": 1}, "max_token: Extra inputs are not permitted"),
    "stream text": ({"stream": "yes"}, "stream"),
    "stop_sequences text": ({"stop_sequences": "x"}, "stop_sequences"),
    "stop_sequences numbers": ({"stop_sequences": [1]}, "stop_sequences"),
    "service_tier": ({"service_tier": "best"}, "service_tier"),
    "container": ({"container": 5}, "container"),
    "tools": ({"tools": ["t"]}, "tools"),
    "config": ({"output_config": []}, "output_config"),
    "config extra": ({"output_config": {"temperature": 1}}, "output_config.temperature"),
    "effort": ({"output_config": {"effort": "some"}}, "output_config.effort"),
    "format type": ({"output_config": {"format": {"type": "json_object"}}}, "output_config.format.type"),
    "format text": ({"output_config": {"format": "json"}}, "output_config.format.type"),
    "no schema": ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
    "prefill": (
        {**formatted(OPEN), "messages": [*HELLO, {"role": "assistant", "content": "{"}]},
        "prefilling",
    ),
    "citations": ({**formatted(OPEN), **user(CITED)}, "citations"),
    "5 breakpoints": ({"system": [MARKED, MARKED], **user(MARKED, MARKED, MARKED)}, "maximum of 4 .* Found 5"),
    "breakpoints in tools": (
        {"tools": [{"name": "t", "cache_control": {"type": "ephemeral"}}], **user(MARKED, MARKED, MARKED, MARKED)},
        "Found 5",
    ),
    "breakpoints in results": (
        user(MARKED, MARKED, {"type": "tool_result", "tool_use_id": "x", "content": [MARKED, MARKED, MARKED]}),
        "Found 5",
    ),
    "breakpoint type": (user(text(cache_control={"type": "forever"})), "cache_control"),
    "breakpoint ttl": ({"cache_control": {"type": "ephemeral", "ttl": "2h"}}, "ttl"),
    "assistant document": (
        {"messages": [*HELLO, {"role": "assistant", "content": [DOCUMENT]}, *HELLO]},
        "document blocks are not supported in assistant",
    ),
    "user citations": (user(text(citations=[{"cited_text": "x"}])), "citations"),
    "strict tool": (
        {"tools": [{"name": "t", "strict": True, "input_schema": {"type": "object"}}]},
        "tools.0.input_schema",
    ),
    "strict tool without schema": ({"tools": [{"name": "t", "strict": True}]}, "tools.0.input_schema"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_good_bodies_are_taken(name: str) -> None:
    """What the API takes is taken."""
    check_body(JSON_HEADERS, MINIMAL | ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_bad_bodies_are_refused(name: str) -> None:
    """What the API refuses is refused with 400, and the message names the place."""
    change, expected = REFUSED[name]
    problem = refusal(MINIMAL | change)
    assert re.search(expected, problem)


@pytest.mark.parametrize("field", ["model", "max_tokens", "messages"])
def test_required_fields_are_required(field: str) -> None:
    """Without one of the three required fields the message says which."""
    assert refusal({key: value for key, value in MINIMAL.items() if key != field}) == f"{field}: Field required"


def test_counting_knows_no_max_tokens() -> None:
    """To count tokens max_tokens is neither asked for nor permitted."""
    check_body(JSON_HEADERS, {"model": "claude-x", "messages": HELLO}, counting=True)
    assert refusal(MINIMAL, counting=True) == "max_tokens: Extra inputs are not permitted"


def test_beta_requests_may_have_unknown_fields() -> None:
    """With an anthropic-beta header unknown fields pass, and removed ones still do not."""
    headers = JSON_HEADERS | {"anthropic-beta": "something-2026"}
    check_body(headers, MINIMAL | {"something": 1})
    assert "temperature" in refusal(MINIMAL | {"temperature": 1}, headers=headers)


@pytest.mark.parametrize("body", [None, [], "x", 5])
def test_a_body_must_be_an_object(body: object) -> None:
    """A body that is no JSON object is refused."""
    assert refusal(body)


def test_a_body_must_be_declared_as_json() -> None:
    """Another content type, or none, is refused."""
    assert "content-type" in refusal(MINIMAL, headers={})
    assert "content-type" in refusal(MINIMAL, headers={"content-type": "text/plain"})


@pytest.mark.parametrize(
    ("headers", "keys", "status"),
    [
        ({"authorization": "Bearer k"}, None, None),
        ({"authorization": "bearer k"}, ["k"], None),
        ({"x-api-key": "k"}, ["k"], None),
        ({"x-api-key": "k", "authorization": "Bearer other"}, ["k"], None),
        ({}, None, 401),
        ({"authorization": "Bearer "}, None, 401),
        ({"authorization": "Basic k"}, None, 401),
        ({"x-api-key": ""}, None, 401),
        ({"x-api-key": "k"}, ["key"], 401),
        ({"x-api-key": "k"}, [], 401),
    ],
)
def test_credentials(headers: dict[str, str], keys: list[str] | None, status: int | None) -> None:
    """A key is needed, in either header; if keys are known it must be one of them."""
    headers = headers | {"anthropic-version": "2026-10-21"}
    if status is None:
        check_headers(headers, keys)
        return
    with pytest.raises(RequestRefused) as caught:
        check_headers(headers, keys)
    assert (caught.value.status, caught.value.type) == (status, "authentication_error")


def test_the_version_is_required() -> None:
    """Without anthropic-version the request is refused with 400."""
    with pytest.raises(RequestRefused, match="anthropic-version") as caught:
        check_headers({"x-api-key": "k"}, None)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/messages", None),
        ("POST", "/v1/messages/count_tokens", None),
        ("GET", "/v1/models", None),
        ("GET", "/v1/models/claude-x", None),
        ("GET", "/v1/messages", 405),
        ("DELETE", "/v1/models/claude-x", 405),
        ("POST", "/v1/message", 404),
        ("POST", "/messages", 404),
        ("GET", "/", 404),
    ],
)
def test_routes(method: str, path: str, status: int | None) -> None:
    """Unknown paths are 404, and other methods than the endpoint's are 405."""
    if status is None:
        check_route(method, path)
        return
    with pytest.raises(RequestRefused) as caught:
        check_route(method, path)
    assert caught.value.status == status


def test_models_must_be_known() -> None:
    """Any id of a Claude model is known unless some are named; the others are 404."""
    check_model("claude-x", None)
    check_model("my-model", ["my-model"])
    for model, models in (("gpt", None), ("claude-x", ["claude-y"])):
        with pytest.raises(RequestRefused) as caught:
            check_model(model, models)
        assert (caught.value.status, caught.value.type) == (404, "not_found_error")


# --- schemas ----------------------------------------------------------------------------------------------------------

RECURSIVE = OPEN | {
    "properties": {"node": {"$ref": "#/$defs/a"}},
    "$defs": {
        "a": {"type": "array", "items": {"$ref": "#/$defs/b"}},
        "b": OPEN | {"properties": {"next": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}]}}},
    },
}
SHARED = OPEN | {
    "properties": {"x": {"$ref": "#/$defs/a"}, "y": {"$ref": "#/$defs/a"}, "z": {"$ref": "#/definitions/b"}},
    "$defs": {"a": {"$ref": "#/$defs/c"}, "c": {"type": "string"}},
    "definitions": {"b": {"$ref": "#/$defs/a"}},
}

GOOD_SCHEMAS: list[Any] = [
    {},
    OPEN,
    {"type": "string", "format": "date", "pattern": r"^\d+(-x)?$", "description": "minimum", "default": "x"},
    {"type": ["string", "null"]},
    {"enum": ["a", 1, None, True]},
    {"const": {"minimum": 1}},
    {"type": "array", "items": {"type": "integer"}, "minItems": 1},
    {"allOf": [{"type": "string"}, {"description": "x"}]},
    {"anyOf": [{"type": "string"}, OPEN]},
    OPEN | {"properties": {name: {"type": "string"} for name in ("minimum", "pattern", "oneOf", "$ref")}},
    SHARED,
]

BAD_SCHEMAS: list[tuple[Any, str]] = [
    *(
        ({"type": "array", "items": {"type": "string", keyword: 1}}, rf"x\.items: {keyword} is not supported")
        for keyword in (
            *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
            *("maxItems", "uniqueItems", "prefixItems", "contains", "minProperties", "maxProperties", "oneOf", "not"),
        )
    ),
    ({"patternProperties": {}, "if": {}}, "if, patternProperties is not"),
    (None, "Input should be a JSON schema"),
    (True, "Input should be a JSON schema"),
    (OPEN | {"properties": {"a": True}}, r"x\.properties\.a: Input should be"),
    (OPEN | {"properties": ["a"]}, r"x\.properties: Input should be a valid dictionary"),
    (OPEN | {"required": "a"}, r"x\.required: Input should be a valid list"),
    (OPEN | {"required": [{}]}, r"x\.required: Input should be a list of strings"),
    ({"type": "object"}, "'additionalProperties' must be explicitly set to false"),
    ({"type": "object", "additionalProperties": True}, "additionalProperties"),
    ({"type": "object", "additionalProperties": {"type": "string"}}, "additionalProperties"),
    ({"properties": {}}, "additionalProperties"),
    ({"type": ["object", "null"]}, "additionalProperties"),
    ({"type": "array", "items": {"type": "object"}}, r"x\.items: .*additionalProperties"),
    ({"anyOf": [{"type": "null"}, {"type": "object"}]}, r"x\.anyOf\.1: .*additionalProperties"),
    ({"$defs": {"a": {"type": "object"}}}, r"x\.\$defs\.a: .*additionalProperties"),
    ({"type": "text"}, r"x\.type"),
    ({"type": {}}, r"x\.type"),
    ({"type": [["string"]]}, r"x\.type"),
    ({"type": "array", "minItems": 2}, "minItems"),
    ({"type": "string", "format": "regex"}, "format 'regex'"),
    ({"type": "string", "format": 1}, r"x\.format"),
    ({"type": "string", "pattern": "a(?=b)"}, "lookaround"),
    ({"type": "string", "pattern": "(?<!a)b"}, "lookaround"),
    ({"type": "string", "pattern": r"(a)\1"}, "backreferences"),
    ({"type": "string", "pattern": r"\bword\b"}, "word boundaries"),
    ({"enum": []}, "at least 1 item"),
    ({"enum": [{"a": 1}]}, "scalars"),
    ({"enum": "a"}, r"x\.enum"),
    ({"anyOf": []}, "at least 1 item"),
    ({"anyOf": {"type": "string"}}, r"x\.anyOf"),
    ({"$ref": "https://example.com/schema.json"}, r"'\$ref' must name a definition"),
    ({"$ref": "#"}, r"'\$ref' must name a definition"),
    ({"$ref": 5}, r"x\.\$ref"),
    ({"$ref": "#/$defs/a"}, "names no definition"),
    ({"$ref": "#/$defs/a", "$defs": {"b": {}}}, "names no definition"),
    ({"allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {}}}, r"'\$ref' in 'allOf'"),
    (RECURSIVE, "Recursive schemas are not supported"),
    ({"$defs": {"a": {"$ref": "#/$defs/a"}}}, "Recursive"),
]


@pytest.mark.parametrize("schema", GOOD_SCHEMAS, ids=json.dumps)
def test_good_schemas_are_taken(schema: object) -> None:
    """A schema within the API's rules has no problem."""
    assert schema_problem([("x", schema)]) is None


@pytest.mark.parametrize(("schema", "expected"), BAD_SCHEMAS, ids=lambda value: json.dumps(value)[:50])
def test_bad_schemas_are_refused(schema: object, expected: str) -> None:
    """A schema outside of the API's rules is refused, and the message names place and keyword."""
    problem = schema_problem([("x", schema)])
    assert problem is not None
    assert re.search(expected, problem)


def with_optional(count: int) -> dict[str, Any]:
    return OPEN | {"properties": {f"p{number}": {"type": "string"} for number in range(count)}}


def with_unions(count: int) -> dict[str, Any]:
    return {"$defs": {f"d{number}": {"type": ["string", "null"]} for number in range(count)}}


def test_optional_properties_are_counted_over_all_schemas() -> None:
    """24 optional properties are taken in one schema or in two together; with one more they are refused."""
    half = MAX_OPTIONAL // 2
    assert schema_problem([("x", with_optional(MAX_OPTIONAL))]) is None
    assert schema_problem([("x", with_optional(half)), ("y", with_optional(half))]) is None
    required = with_optional(100)
    assert schema_problem([("x", required | {"required": list(required["properties"])})]) is None
    for schemas in ([with_optional(MAX_OPTIONAL + 1)], [with_optional(half), with_optional(half + 1)]):
        assert "optional parameters (25)" in str(schema_problem([("x", schema) for schema in schemas]))


def test_union_types_are_counted_over_all_schemas() -> None:
    """16 unions are taken and 17 are refused, whether written as anyOf or as several types."""
    assert schema_problem([("x", with_unions(MAX_UNIONS))]) is None
    assert "union types (17" in str(schema_problem([("x", with_unions(MAX_UNIONS + 1))]))
    nested: dict[str, Any] = {"type": "string"}
    for _ in range(MAX_UNIONS + 1):
        nested = {"anyOf": [nested]}
    assert "union types (17" in str(schema_problem([("x", nested)]))


KEYWORDS = st.sampled_from(
    [
        "type",
        "properties",
        "required",
        "items",
        "anyOf",
        "allOf",
        "enum",
        "const",
        "$ref",
        "$defs",
        "format",
        "pattern",
        "minItems",
        "additionalProperties",
        "object",
        "array",
        "#/$defs/a",
        "a",
        "maximum",
    ]
)
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | KEYWORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS, inner, max_size=4),
    max_leaves=12,
)


@given(st.lists(st.tuples(st.just("x"), ANY_JSON), max_size=2))
@settings(deadline=None, max_examples=200)
def test_any_json_as_a_schema_is_judged(schemas: list[tuple[str, object]]) -> None:
    """Whatever is given as a schema gets a verdict; none makes the checks themselves fail."""
    problem = schema_problem(schemas)
    assert problem is None or problem


BODY_WORDS = st.sampled_from(
    [
        "model",
        "max_tokens",
        "messages",
        "role",
        "content",
        "user",
        "text",
        "type",
        "document",
        "system",
        "tools",
        "cache_control",
        "output_config",
        "format",
        "json_schema",
        "schema",
        "citations",
        "source",
        "claude-x",
        "strict",
    ]
)
ANY_BODY = st.recursive(
    st.none() | st.booleans() | st.integers(1, 9) | BODY_WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(BODY_WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(BODY_WORDS, ANY_BODY, max_size=5), st.booleans())
@settings(deadline=None, max_examples=200)
def test_any_json_as_a_body_is_judged(change: dict[str, Any], counting: bool) -> None:
    """Whatever JSON is sent is taken or refused; none makes the checks themselves fail."""
    with suppress(RequestRefused):
        check_body(JSON_HEADERS | {"anthropic-beta": "x"}, MINIMAL | change, counting=counting)


# --- over the wire ----------------------------------------------------------------------------------------------------


def sync_client(api: FakeMessagesAPI) -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key="k", base_url=api.base_url, max_retries=0)


def test_the_sdk_sees_the_refusal() -> None:
    """A refused request arrives as the SDK's BadRequestError, and is recorded with its body and status."""
    with FakeMessagesAPI() as api, sync_client(api) as claude:
        with pytest.raises(anthropic.BadRequestError, match="temperature"):
            claude.messages.create(**MINIMAL, extra_body={"temperature": 0})
        with pytest.raises(anthropic.BadRequestError, match="maximum is not supported"):
            claude.messages.create(**MINIMAL, **formatted({"type": "integer", "maximum": 1}))
        with pytest.raises(anthropic.NotFoundError):
            claude.messages.create(**MINIMAL | {"model": "gpt"})
        with pytest.raises(anthropic.NotFoundError):
            claude.get("/v1/nothing", cast_to=object)
        with pytest.raises(anthropic.APIStatusError, match="Method Not Allowed"):
            claude.get("/v1/messages", cast_to=object)
    assert [request.status for request in api.requests] == [400, 400, 404, 404, 405]
    assert api.requests[0].body["temperature"] == 0


def test_a_body_above_32_mb_is_refused() -> None:
    """A body above 32 MB gets a 413, and the connection serves the next request."""
    with FakeMessagesAPI() as api, sync_client(api) as claude:
        big = [{"role": "user", "content": "x" * (32 * 1024 * 1024)}]
        with pytest.raises(anthropic.ContentTooLargeError) as caught:
            claude.messages.create(**MINIMAL | {"messages": big})
        claude.messages.create(**MINIMAL)
    assert caught.value.body["error"]["type"] == "request_too_large"  # type: ignore[index]
    assert [(request.status, request.body is None) for request in api.requests] == [(413, True), (200, False)]
