"""The official SDK, unmodified, talks to the fake Messages API."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import anthropic
import anyio
import pytest
from anyio import to_thread

from cardanalysis.testing import FakeMessagesAPI, RateLimits, RecordedRequest, Reply

ASK: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "x" * 400}],
}

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["title", "tags"],
    "properties": {"title": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}}},
}

FORMAT = {"format": {"type": "json_schema", "schema": SCHEMA}}


def client(api: FakeMessagesAPI, **options: Any) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(**{"api_key": "test-key", "base_url": api.base_url, "max_retries": 0, **options})


def sync_client(api: FakeMessagesAPI, api_key: str = "test-key") -> anthropic.Anthropic:
    return anthropic.Anthropic(api_key=api_key, base_url=api.base_url, max_retries=0)


def texts(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


@pytest.mark.anyio
async def test_a_message_comes_back_as_it_was_scripted() -> None:
    """A scripted value is the text of the message, and the usage adds up from a quarter of the characters."""
    async with FakeMessagesAPI() as api, client(api) as claude:
        api.script(Reply.json({"cards": [1]}))
        message = await claude.messages.create(**ASK)
    assert isinstance(message, anthropic.types.Message)
    assert json.loads(texts(message)) == {"cards": [1]}
    assert (message.type, message.role, message.model) == ("message", "assistant", "claude-sonnet-5-5")
    assert (message.stop_reason, message.stop_sequence, message.stop_details) == ("end_turn", None, None)
    assert message.id.startswith("msg_")
    assert message.usage.input_tokens == 100
    assert message.usage.output_tokens == 4
    assert message.usage.service_tier == "standard"


@pytest.mark.anyio
async def test_without_a_script_the_answer_fits_the_schema() -> None:
    """By default the answer is JSON of the asked form, and a short text when none is asked."""
    async with FakeMessagesAPI() as api, client(api) as claude:
        formed = await claude.messages.create(**ASK, output_config=FORMAT)
        again = await claude.messages.create(**ASK, output_config=FORMAT)
        free = await claude.messages.create(**ASK)
    assert json.loads(texts(formed)) == {"title": "title", "tags": ["tags"]}
    assert texts(again) == texts(formed)
    assert formed.id != again.id
    assert texts(free)


@pytest.mark.anyio
async def test_headers_name_the_request_and_count_down() -> None:
    """Every response has its request id, and the twelve rate-limit headers go down with what was used."""
    start = datetime.now(UTC)
    async with FakeMessagesAPI(limits=RateLimits(), clock=lambda: 1000.0) as api, client(api) as claude:
        first = await claude.messages.with_raw_response.create(**ASK)
        usage = {"input_tokens": 6_000, "output_tokens": 10_000, "cache_read_input_tokens": 500_000}
        api.script(Reply.text("x", usage=usage))
        second = await claude.messages.with_raw_response.create(**ASK)
    assert first.headers["request-id"] == api.requests[0].request_id != second.headers["request-id"]
    assert (await first.parse())._request_id == first.headers["request-id"]
    assert first.headers["anthropic-organization-id"]
    assert first.headers["anthropic-workspace-id"]
    kinds = ("requests", "input-tokens", "output-tokens", "tokens")
    rates = [
        {name: second.headers[f"anthropic-ratelimit-{kind}-{name}"] for name in ("limit", "remaining", "reset")}
        for kind in kinds
    ]
    assert [rate["limit"] for rate in rates] == ["1000", "2000000", "400000", "2400000"]
    assert [rate["remaining"] for rate in rates] == ["998", "1994000", "390000", "2384000"]
    resets = [datetime.fromisoformat(rate["reset"]) for rate in rates]
    assert all(reset.tzinfo is not None and reset >= start for reset in resets)
    assert max(resets[1], resets[2]) == resets[3]


@pytest.mark.parametrize(
    ("reply", "expected", "type_"),
    [
        (Reply.error(400), anthropic.BadRequestError, "invalid_request_error"),
        (Reply.error(401), anthropic.AuthenticationError, "authentication_error"),
        (Reply.error(402), anthropic.PaymentRequiredError, "billing_error"),
        (Reply.error(403), anthropic.PermissionDeniedError, "permission_error"),
        (Reply.error(404), anthropic.NotFoundError, "not_found_error"),
        (Reply.error(409), anthropic.ConflictError, "conflict_error"),
        (Reply.error(413), anthropic.ContentTooLargeError, "request_too_large"),
        (Reply.error(422), anthropic.UnprocessableEntityError, "invalid_request_error"),
        (Reply.error(500), anthropic.InternalServerError, "api_error"),
        (Reply.error(503), anthropic.InternalServerError, "api_error"),
        (Reply.error(504), anthropic.InternalServerError, "timeout_error"),
        (Reply.error(418, "teapot_error"), anthropic.APIStatusError, "teapot_error"),
        (Reply.rate_limited(2.5), anthropic.RateLimitError, "rate_limit_error"),
        (Reply.spend_limit(), anthropic.RateLimitError, "rate_limit_error"),
        (Reply.overloaded(), anthropic.OverloadedError, "overloaded_error"),
        (Reply.html(), anthropic.InternalServerError, None),
    ],
)
def test_errors_are_the_sdks_own_classes(
    reply: Reply, expected: type[anthropic.APIStatusError], type_: str | None
) -> None:
    """Each error reply arrives as the SDK's class for it, with the type in its body; so it does in sync code."""
    with FakeMessagesAPI(answer=reply) as api:
        with sync_client(api) as claude, pytest.raises(expected) as caught:
            claude.messages.create(**ASK)
        assert caught.value.status_code == reply.status == api.requests[0].status
        assert caught.value.type == type_
        assert caught.value.request_id == api.requests[0].request_id


def test_error_bodies_are_exactly_the_apis() -> None:
    """An error's body has type, error and the request id of the header; details only when there is a code."""
    with FakeMessagesAPI() as api:
        api.script(Reply.error(400, "my_error", "Mine."), Reply.spend_limit())
        with sync_client(api) as claude:
            with pytest.raises(anthropic.BadRequestError) as plain:
                claude.messages.create(**ASK)
            with pytest.raises(anthropic.RateLimitError) as coded:
                claude.messages.create(**ASK)
    error = {"type": "my_error", "message": "Mine."}
    assert plain.value.body == {"type": "error", "error": error, "request_id": plain.value.request_id}
    assert coded.value.error_code == "enforced_spend_limit_reached"
    assert "retry-after" not in coded.value.response.headers


@pytest.mark.anyio
async def test_retries_of_the_sdk_are_seen_as_attempts() -> None:
    """A client that retries shows its attempts 0, 1, 2 in the requests, with what each was answered."""
    async with FakeMessagesAPI() as api, client(api, max_retries=2) as claude:
        api.script(Reply.rate_limited(0.01), Reply.error(500, headers={"retry-after-ms": "1"}))
        message = await claude.messages.create(**ASK)
    assert message.stop_reason == "end_turn"
    assert [(request.attempt, request.status) for request in api.requests] == [(0, 429), (1, 500), (2, 200)]


@pytest.mark.anyio
async def test_scripted_replies_come_before_the_answer_function() -> None:
    """Scripted replies are used once each and in order; then the function answers, and its None means the default."""

    def answer(request: RecordedRequest) -> Reply | None:
        return Reply.text(request.text.upper()) if request.text == "hello" else None

    async with FakeMessagesAPI(answer=answer) as api, client(api) as claude:
        api.script(Reply.text("one"), Reply.text("two"))
        ask = ASK | {"messages": [{"role": "user", "content": "hello"}]}
        said = [texts(await claude.messages.create(**ask)) for _ in range(3)]
        api.answer = Reply.text("always")
        said += [texts(await claude.messages.create(**ask))]
        api.answer = None
        assert texts(await claude.messages.create(**ask)) not in said
    assert said == ["one", "two", "HELLO", "always"]


@pytest.mark.anyio
async def test_what_a_request_said_is_recorded_without_its_key() -> None:
    """The record has method, path, headers, body and times, and the key nowhere: neither in headers nor repr."""
    async with FakeMessagesAPI() as api, client(api, api_key="sk-very-secret") as claude:
        content = [
            {"type": "text", "text": "one"},
            {
                "type": "document",
                "title": "brief",
                "source": {"type": "text", "media_type": "text/plain", "data": "two"},
            },
        ]
        messages = [
            {"role": "user", "content": content},
            {"role": "assistant", "content": "three"},
            {"role": "user", "content": "four"},
        ]
        await claude.messages.create(**ASK | {"messages": messages})
        (request,) = api.requests
    assert (request.method, request.path, request.query) == ("POST", "/v1/messages", "")
    assert request.body["messages"] == messages
    assert request.text == "one\nbrief\ntwo\nfour"
    assert request.input_tokens == len("onebrieftwothreefour") / 4
    assert request.headers["authorization"] == "redacted"
    assert request.headers["anthropic-version"]
    assert request.finished is not None
    assert request.arrived <= request.finished
    assert (request.status, request.attempt) == (200, 0)
    assert "secret" not in f"{request!r} {request.headers}"
    assert "brief" not in repr(request)


@pytest.mark.parametrize("header", ["authorization", "x-api-key"])
def test_both_headers_for_a_key_are_taken(header: str) -> None:
    """The key may come as a bearer token or as x-api-key, and the record says which it was."""
    with FakeMessagesAPI(api_keys=["good-key"]) as api:
        headers = {"x-api-key": "good-key", "authorization": anthropic.Omit()} if header == "x-api-key" else None
        with anthropic.Anthropic(api_key="good-key", base_url=api.base_url, default_headers=headers) as claude:
            claude.messages.create(**ASK)
        assert {"authorization", "x-api-key"} & api.requests[0].headers.keys() == {header}
        assert api.requests[0].headers[header] == "redacted"


def test_a_wrong_key_is_refused() -> None:
    """A key that is not among the known ones gets a 401, and is not told in the error."""
    with FakeMessagesAPI(api_keys={"good-key"}) as api:
        with sync_client(api, api_key="bad-key") as claude, pytest.raises(anthropic.AuthenticationError) as caught:
            claude.messages.create(**ASK)
        assert "bad-key" not in str(caught.value)
        assert [request.status for request in api.requests] == [401]


@pytest.mark.anyio
async def test_tokens_are_counted_as_a_message_would_be() -> None:
    """count_tokens tells the input tokens that the message then reports, with system and schema."""
    ask = {"model": "claude-sonnet-5-5", "messages": ASK["messages"], "system": "Be brief.", "output_config": FORMAT}
    async with FakeMessagesAPI() as api, client(api) as claude:
        counted = await claude.messages.count_tokens(**ask)
        message = await claude.messages.create(**ask, max_tokens=10)
    assert counted.input_tokens == message.usage.input_tokens > 100
    assert api.max_in_flight == 1


@pytest.mark.anyio
async def test_models_are_listed_and_paged() -> None:
    """The list of models has the ones that were given, in pages that the SDK follows, and each can be looked up."""
    names = [f"claude-{number}" for number in range(5)]
    async with FakeMessagesAPI(models=names) as api, client(api) as claude:
        assert [model.id async for model in await claude.models.list(limit=2)] == names
        assert [model.id for model in (await claude.models.list(before_id="claude-3", limit=2)).data] == names[1:3]
        assert (await claude.models.retrieve("claude-3")).id == "claude-3"
        with pytest.raises(anthropic.NotFoundError):
            await claude.models.retrieve("claude-9")
        with pytest.raises(anthropic.NotFoundError):
            await claude.messages.create(**ASK)
        for refused in ({"limit": 0}, {"after_id": "claude-9"}):
            with pytest.raises(anthropic.BadRequestError):
                await claude.models.list(**refused)


@pytest.mark.anyio
async def test_models_tell_what_they_can_do() -> None:
    """Without given models any Claude model is known, and has the fields that the SDK's type asks for."""
    async with FakeMessagesAPI() as api, client(api) as claude:
        listed = (await claude.models.list()).data
        model = await claude.models.retrieve("claude-opus-9")
    assert listed
    anthropic.types.ModelInfo.model_validate(model.to_dict(), strict=False)
    assert (model.line, model.lifecycle) == ("opus", "active")
    assert model.capabilities is not None
    assert model.capabilities.structured_outputs.supported
    assert model.capabilities.batch.supported
    assert (model.max_input_tokens, model.max_tokens) == (200_000, 64_000)


@pytest.mark.anyio
async def test_limits_are_enforced_over_the_wire() -> None:
    """Past the limit comes a 429 with whole seconds to wait; after them, by the clock, the request passes."""
    now = 0.0
    limits = RateLimits(requests_per_minute=2)
    async with FakeMessagesAPI(limits=limits, clock=lambda: now) as api, client(api) as claude:
        await claude.messages.create(**ASK)
        await claude.messages.create(**ASK)
        with pytest.raises(anthropic.RateLimitError) as caught:
            await claude.messages.create(**ASK)
        await claude.messages.create(**ASK | {"model": "claude-haiku-5-5"})
        assert caught.value.response.headers["retry-after"] == "30"
        assert caught.value.response.headers["anthropic-ratelimit-requests-remaining"] == "0"
        assert "2 requests per minute" in str(caught.value)
        now = 30.0
        await claude.messages.create(**ASK)
    assert [request.status for request in api.requests] == [200, 200, 429, 200, 200]


@pytest.mark.anyio
async def test_a_scripted_reply_is_not_spent_on_a_refused_request() -> None:
    """A request that the API's own checks refuse leaves the queue of replies as it is."""
    async with FakeMessagesAPI() as api, client(api) as claude:
        api.script(Reply.text("kept"))
        with pytest.raises(anthropic.BadRequestError):
            await claude.messages.create(**ASK | {"max_tokens": 0})
        assert texts(await claude.messages.create(**ASK)) == "kept"


@pytest.mark.anyio
async def test_sixty_four_requests_at_once() -> None:
    """64 concurrent requests each get their own answer; when they hang, 64 are in flight until the clients hang up."""
    answers: dict[int, str] = {}

    async def ask(claude: anthropic.AsyncAnthropic, number: int) -> None:
        messages = [{"role": "user", "content": f"number {number}"}]
        answers[number] = texts(await claude.messages.create(**ASK | {"messages": messages}))

    async with FakeMessagesAPI(answer=lambda request: Reply.text(request.text)) as api, client(api) as claude:
        async with anyio.create_task_group() as tasks:
            for number in range(64):
                tasks.start_soon(ask, claude, number)
        assert answers == {number: f"number {number}" for number in range(64)}
        api.latency = lambda _: 3600
        async with anyio.create_task_group() as tasks:
            for number in range(64):
                tasks.start_soon(ask, claude, number)
            await to_thread.run_sync(api.wait_for_requests, 128)
            assert api.in_flight == api.max_in_flight == 64
            tasks.cancel_scope.cancel()
        await to_thread.run_sync(api.wait_until_idle)
        assert {request.status for request in api.requests[64:]} == {None}
        assert all(request.finished is not None for request in api.requests)


@pytest.mark.anyio
async def test_max_in_flight_is_what_the_limiter_lets_through() -> None:
    """Under a limiter of 3 no more than 3 requests are ever in flight, and the same 3 show when they hang."""
    limiter = anyio.CapacityLimiter(3)

    async def ask(claude: anthropic.AsyncAnthropic) -> None:
        async with limiter:
            await claude.messages.create(**ASK)

    async with FakeMessagesAPI(latency=0.005) as api, client(api) as claude:
        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(ask, claude)
        assert api.in_flight == 0
        assert 1 <= api.max_in_flight <= 3
        api.latency = 3600
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask, claude)
            await to_thread.run_sync(api.wait_for_requests, 33)
            assert (api.in_flight, api.max_in_flight) == (3, 3)
            tasks.cancel_scope.cancel()
