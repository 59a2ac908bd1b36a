"""Batches of messages, as the SDK sees them."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import anthropic
import pytest
from anthropic.types.messages import MessageBatch
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis.testing import FakeMessagesAPI, RateLimits, RecordedRequest, Reply
from cardanalysis.testing._batch_checks import MAX_REQUESTS, check_batch
from cardanalysis.testing._batches import BatchBook
from cardanalysis.testing._routes import RequestRefused, max_body_bytes

ASK: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hello"}],
}
DAY = 24 * 3600.0
JSON = {"content-type": "application/json"}


class Hands:
    """A clock that is set by hand."""

    time = 1000.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Hands:
    return Hands()


@pytest.fixture
def api(clock: Hands) -> Iterator[FakeMessagesAPI]:
    with FakeMessagesAPI(clock=clock) as api:
        yield api


@pytest.fixture
def claude(api: FakeMessagesAPI) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(api_key="k", base_url=api.base_url, max_retries=0) as claude:
        yield claude


def requests(*custom_ids: str, **more: Any) -> list[Any]:
    return [{"custom_id": custom_id, "params": ASK | more} for custom_id in custom_ids]


def create(claude: anthropic.Anthropic, *custom_ids: str) -> MessageBatch:
    return claude.messages.batches.create(requests=requests(*custom_ids))


def results(claude: anthropic.Anthropic, batch: MessageBatch) -> dict[str, Any]:
    return {line.custom_id: line.result for line in claude.messages.batches.results(batch.id)}


def types(claude: anthropic.Anthropic, batch: MessageBatch) -> list[str]:
    """What became of the requests, in the order of their ids."""
    return [result.type for _, result in sorted(results(claude, batch).items())]


def test_a_batch_runs_and_ends(api: FakeMessagesAPI, claude: anthropic.Anthropic, clock: Hands) -> None:
    """A batch is in progress for as long as told, with all requests processing; then it has ended, with results."""
    api.batch_seconds = 60
    made = create(claude, "a", "b")
    MessageBatch.model_validate(made.to_dict(), strict=False)
    assert (made.type, made.processing_status, made.request_counts.processing) == ("message_batch", "in_progress", 2)
    assert (made.ended_at, made.results_url, made.cancel_initiated_at, made.archived_at) == (None, None, None, None)
    assert made.expires_at - made.created_at == timedelta(hours=24)
    clock.time += 59
    assert claude.messages.batches.retrieve(made.id) == made
    with pytest.raises(anthropic.AnthropicError, match="Has it finished processing"):
        claude.messages.batches.results(made.id)
    clock.time += 1
    ended = claude.messages.batches.retrieve(made.id)
    assert (ended.processing_status, ended.request_counts.succeeded, ended.request_counts.processing) == ("ended", 2, 0)
    assert ended.ended_at is not None
    assert ended.ended_at - made.created_at == timedelta(seconds=60)
    assert ended.results_url == f"{api.base_url}/v1/messages/batches/{made.id}/results"


def test_results_are_messages_at_batch_service(api: FakeMessagesAPI, claude: anthropic.Anthropic) -> None:
    """Each result has its custom id and the message it would have had alone, but for the service tier."""
    api.answer = lambda request: Reply.text(f"to {request.custom_id} of {request.batch_id}")
    batch = create(claude, *(f"r{number:02}" for number in range(20)))
    got = results(claude, batch)
    assert sorted(got) != list(got)  # results come in an order of their own
    assert len(got) == 20
    message = got["r07"].message
    assert (message.content[0].text, message.usage.service_tier) == (f"to r07 of {batch.id}", "batch")
    assert list(results(claude, batch)) == list(got)


def test_the_results_are_the_same_for_the_same_batches() -> None:
    """Another API gives the same results in the same order."""

    def lines() -> str:
        with (
            FakeMessagesAPI(clock=lambda: 0.0) as api,
            anthropic.Anthropic(api_key="k", base_url=api.base_url) as claude,
        ):
            batch = create(claude, "a", "b", "c", "d", "e")
            return claude.get(str(claude.messages.batches.retrieve(batch.id).results_url), cast_to=str)

    one = lines()
    assert one == lines()
    assert {json.loads(line)["custom_id"] for line in one.splitlines()} == set("abcde")


def test_replies_that_are_errors_make_errored_rows(api: FakeMessagesAPI, claude: anthropic.Anthropic) -> None:
    """Scripted replies go to the requests in order; errors and what is no message are rows of their own."""
    api.script(
        Reply.overloaded(),
        Reply.refusal("bio"),
        Reply.expired(),
        Reply.html(),
        Reply.cut(),
        Reply.stalled(),
        Reply.stream_error("rate_limit_error"),
        Reply.text("fine"),
    )
    batch = create(claude, *"abcdefgh")
    got = results(claude, batch)
    errors = {key: result.error.error.type for key, result in got.items() if result.type == "errored"}
    assert errors == {"a": "overloaded_error", "d": "api_error", "e": "api_error", "g": "rate_limit_error"}
    assert got["b"].message.stop_reason == "refusal"
    assert [key for key, result in sorted(got.items()) if result.type == "expired"] == ["c", "f"]
    counts = claude.messages.batches.retrieve(batch.id).request_counts
    assert counts.to_dict() == {"canceled": 0, "errored": 4, "expired": 2, "processing": 0, "succeeded": 2}
    assert got["a"].error.request_id == api.batch_requests[0].request_id


@pytest.mark.parametrize(
    ("params", "type_", "words"),
    [
        ({"max_tokens": 0}, "invalid_request_error", "max_tokens"),
        ({"stream": True}, "invalid_request_error", "stream"),
        ({"speed": "fast"}, "invalid_request_error", "speed"),
        ({"temperature": 1}, "invalid_request_error", "temperature"),
        ({"model": "gpt"}, "not_found_error", "model: gpt"),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}, None, "additional"),
    ],
)
def test_params_are_checked_when_it_is_their_turn(
    api: FakeMessagesAPI, claude: anthropic.Anthropic, params: dict[str, Any], type_: str | None, words: str
) -> None:
    """What the API would refuse alone is taken in a batch, and errored at its end; no reply is spent on it."""
    api.script(Reply.text("kept"))
    batch = claude.messages.batches.create(requests=[*requests("bad", **params), *requests("good")])
    got = results(claude, batch)
    assert got["bad"].error.error.type == (type_ or "invalid_request_error")
    assert words in got["bad"].error.error.message
    assert got["good"].message.content[0].text == "kept"
    assert [request.status for request in api.batch_requests] == [404 if type_ == "not_found_error" else 400, 200]


def test_requests_are_recorded(api: FakeMessagesAPI, claude: anthropic.Anthropic, clock: Hands) -> None:
    """The HTTP requests are in requests, those of the batch in batch_requests, with the batch's times and no key."""
    batch = create(claude, "a")
    clock.time += 5
    claude.messages.batches.retrieve(batch.id)
    assert [(request.method, request.path) for request in api.requests] == [
        ("POST", "/v1/messages/batches"),
        ("GET", f"/v1/messages/batches/{batch.id}"),
    ]
    (request,) = api.batch_requests
    assert (request.custom_id, request.batch_id, request.text) == ("a", batch.id, "Hello")
    assert (request.arrived, request.finished, request.status) == (1000.0, 1000.0, 200)
    assert request.usage is not None
    assert request.usage["service_tier"] == "batch"
    assert "authorization" not in request.headers or request.headers["authorization"] == "redacted"
    assert api.max_in_flight == 0


def test_canceling_keeps_what_was_answered(api: FakeMessagesAPI, claude: anthropic.Anthropic, clock: Hands) -> None:
    """A batch that is canceled is canceling, then ended; requests are answered up to then, the others canceled."""
    api.batch_seconds = 100
    batch = create(claude, "a", "b", "c", "d")
    clock.time += 50
    canceling = claude.messages.batches.cancel(batch.id)
    assert canceling.processing_status == "canceling"
    assert canceling.cancel_initiated_at is not None
    ended = claude.messages.batches.retrieve(batch.id)
    assert (ended.processing_status, ended.cancel_initiated_at) == ("ended", canceling.cancel_initiated_at)
    assert types(claude, batch) == ["succeeded", "succeeded", "canceled", "canceled"]
    with pytest.raises(anthropic.BadRequestError, match="has ended"):
        claude.messages.batches.cancel(batch.id)
    assert len(api.batch_requests) == 2


def test_a_batch_expires_after_a_day(api: FakeMessagesAPI, claude: anthropic.Anthropic, clock: Hands) -> None:
    """What a batch has not got to within 24 hours has expired."""
    api.batch_seconds = 2 * DAY
    half = create(claude, "a", "b")
    api.batch_seconds = math.inf
    none = create(claude, "a", "b")
    clock.time += DAY
    assert types(claude, half) == ["succeeded", "expired"]
    assert types(claude, none) == ["expired", "expired"]
    ended = claude.messages.batches.retrieve(none.id)
    assert ended.ended_at == ended.expires_at


@given(st.floats(0, 2e9), st.floats(0, DAY))
@settings(max_examples=100)
def test_a_batch_that_had_its_time_got_to_everything(created: float, seconds: float) -> None:
    """However its times are rounded, a batch whose time is over has answered all of its requests."""
    book = BatchBook(lambda *_: {"type": "succeeded"})
    batch = book.create(requests("a", "b", "c"), {}, created, seconds=seconds, hidden=0)
    book.end_due(batch.ends_at)
    assert batch.counts == {"succeeded": 3}


def test_a_batch_can_be_steered(api: FakeMessagesAPI, claude: anthropic.Anthropic) -> None:
    """A batch that never ends by itself ends when told, with as many answers as told; it does so once."""
    api.batch_seconds = math.inf
    one, two, three = create(claude, "a", "b"), create(claude, "a", "b"), create(claude, "a", "b")
    api.end_batch(one.id)
    api.end_batch(two.id, answered=1)
    api.expire_batch(three.id)
    assert types(claude, one) == ["succeeded", "succeeded"]
    assert types(claude, two) == ["succeeded", "expired"]
    assert types(claude, three) == ["expired", "expired"]
    with pytest.raises(RuntimeError, match="has ended already"):
        api.end_batch(one.id)
    with pytest.raises(KeyError):
        api.expire_batch("msgbatch_unknown")


def test_batches_are_listed_the_newest_first(claude: anthropic.Anthropic) -> None:
    """The list begins with the newest, comes in pages that the SDK follows, and goes back as well."""
    made = [create(claude, "a").id for _ in range(5)]
    newest_first = made[::-1]
    assert [batch.id for batch in claude.messages.batches.list(limit=2)] == newest_first
    page = claude.messages.batches.list(limit=2)
    assert (page.has_more, page.first_id, page.last_id) == (True, made[4], made[3])
    before = claude.messages.batches.list(limit=2, before_id=made[1])
    assert [batch.id for batch in before.data] == [made[3], made[2]]
    with pytest.raises(anthropic.BadRequestError):
        claude.messages.batches.list(limit=1001)


def test_a_new_batch_may_be_hidden_for_a_while(api: FakeMessagesAPI, claude: anthropic.Anthropic, clock: Hands) -> None:
    """For its first moments a batch can neither be found nor is it listed."""
    api.batch_hidden_seconds = 2
    batch = create(claude, "a")
    with pytest.raises(anthropic.NotFoundError):
        claude.messages.batches.retrieve(batch.id)
    assert claude.messages.batches.list().data == []
    clock.time += 2
    assert claude.messages.batches.retrieve(batch.id).id == batch.id


def test_only_an_ended_batch_can_be_deleted(api: FakeMessagesAPI, claude: anthropic.Anthropic) -> None:
    """Deleting a batch that runs is refused; an ended one is gone."""
    api.batch_seconds = math.inf
    batch = create(claude, "a")
    with pytest.raises(anthropic.BadRequestError, match="in progress"):
        claude.messages.batches.delete(batch.id)
    api.end_batch(batch.id)
    assert claude.messages.batches.delete(batch.id).type == "message_batch_deleted"
    for call in (claude.messages.batches.retrieve, claude.messages.batches.cancel, claude.messages.batches.delete):
        with pytest.raises(anthropic.NotFoundError):
            call(batch.id)


def test_results_are_gone_after_29_days(claude: anthropic.Anthropic, clock: Hands, api: FakeMessagesAPI) -> None:
    """An old batch can be seen, and is archived; its results cannot be read any more."""
    batch = create(claude, "a")
    url = claude.messages.batches.retrieve(batch.id).results_url
    clock.time += 29 * DAY
    old = claude.messages.batches.retrieve(batch.id)
    assert (old.processing_status, old.results_url) == ("ended", None)
    assert old.archived_at is not None
    with pytest.raises(anthropic.NotFoundError, match="gone"):
        claude.get(str(url), cast_to=object)


def test_results_of_a_running_batch_are_refused(api: FakeMessagesAPI, claude: anthropic.Anthropic) -> None:
    """Asked for by its URL, there are no results before the end."""
    api.batch_seconds = math.inf
    with pytest.raises(anthropic.BadRequestError, match="has not ended"):
        claude.get(f"/v1/messages/batches/{create(claude, 'a').id}/results", cast_to=object)


def test_creating_a_batch_counts_towards_no_limit(clock: Hands) -> None:
    """With the message limits used up a batch can still be created and read."""
    with (
        FakeMessagesAPI(limits=RateLimits(requests_per_minute=1), clock=clock) as api,
        anthropic.Anthropic(api_key="k", base_url=api.base_url, max_retries=0) as claude,
    ):
        claude.messages.create(**ASK)
        with pytest.raises(anthropic.RateLimitError):
            claude.messages.create(**ASK)
        assert types(claude, create(claude, "a", "b")) == ["succeeded", "succeeded"]


def test_later_requests_read_what_the_first_one_cached(api: FakeMessagesAPI, claude: anthropic.Anthropic) -> None:
    """In a batch the first request writes a shared prefix, and the others read it."""
    system = [{"type": "text", "text": "s" * 8000, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]
    batch = claude.messages.batches.create(requests=requests("a", "b", system=system))
    got = results(claude, batch)
    assert got["a"].message.usage.cache_creation.ephemeral_1h_input_tokens == 2000
    assert got["b"].message.usage.cache_read_input_tokens == 2000


def test_an_error_in_the_answer_function_is_not_lost() -> None:
    """An assertion that fails for a request of a batch is raised on leaving, and its row is errored."""

    def answer(request: RecordedRequest) -> Reply:
        raise AssertionError(f"not {request.custom_id}")

    api = FakeMessagesAPI(answer=answer)

    def use() -> None:
        with api, anthropic.Anthropic(api_key="k", base_url=api.base_url, max_retries=0) as claude:
            assert types(claude, create(claude, "a")) == ["errored"]

    with pytest.raises(AssertionError, match="not a"):
        use()


def test_deeply_nested_params_are_answered_or_errored(claude: anthropic.Anthropic) -> None:
    """However deep params are nested, a batch that was taken ends; which limit is met first depends on Python."""
    outcomes: list[str] = []
    for depth in range(440, 500, 2):  # in the end the limit of the JSON decoder comes into reach, too
        deep = '{"type":"tool_result","tool_use_id":"x","content":[' * depth + "]}" * depth
        marked = deep.replace('"x"', '"x","cache_control":{"type":"ephemeral"}', 1)
        params = f'{{"model":"claude-x","max_tokens":1,"messages":[{{"role":"user","content":[{marked}]}}]}}'
        body = f'{{"requests":[{{"custom_id":"deep","params":{params}}}]}}'
        try:
            batch = claude.post("/v1/messages/batches", content=body.encode(), cast_to=MessageBatch)
        except anthropic.BadRequestError:
            break
        outcomes.append(results(claude, batch)["deep"].type)
    assert outcomes[0] == "succeeded"
    assert set(outcomes) <= {"succeeded", "errored"}


# --- refused at once --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (None, "not valid JSON"),
        ([], "valid dictionary"),
        ({}, "at least 1 item"),
        ({"requests": []}, "at least 1 item"),
        ({"requests": "a"}, "at least 1 item"),
        ({"requests": [1]}, "requests.0: Input should be a dictionary"),
        ({"requests": requests("a"), "model": "x"}, "model: Extra inputs"),
        ({"requests": [{"custom_id": "a"}]}, "with custom_id and params"),
        ({"requests": [{"custom_id": "a", "params": 1}]}, "requests.0.params"),
        ({"requests": requests("a", "b", "a")}, "requests.2.custom_id: must be unique"),
        ({"requests": requests("")}, "should match pattern"),
        ({"requests": requests("a" * 65)}, "should match pattern"),
        ({"requests": requests("a.b")}, "should match pattern"),
        ({"requests": requests("a\n")}, "should match pattern"),
        ({"requests": [{"custom_id": 1, "params": {}}]}, "should match pattern"),
        ({"requests": [{}] * (MAX_REQUESTS + 1)}, "at most 100,000"),
    ],
)
def test_what_is_no_batch_is_refused(body: object, words: str) -> None:
    """A batch that is malformed, empty or too large, or whose ids are, is refused at once."""
    with pytest.raises(RequestRefused, match=words) as caught:
        check_batch(JSON, body)
    assert caught.value.status == 400


def test_a_refused_batch_does_not_exist(claude: anthropic.Anthropic) -> None:
    """A refusal reaches the SDK as an error, and no batch is there afterwards."""
    with pytest.raises(anthropic.BadRequestError, match="must be unique"):
        create(claude, "a", "a")
    assert claude.messages.batches.list().data == []


def test_a_batch_may_be_larger_than_a_message() -> None:
    """A batch may have 256 MB, everything else 32 MB."""
    assert max_body_bytes("/v1/messages/batches") == 256 * 2**20
    assert max_body_bytes("/v1/messages") == 32 * 2**20


def test_batches_need_a_key() -> None:
    """Without a known key there are no batches."""
    with (
        FakeMessagesAPI(api_keys=["good"]) as api,
        anthropic.Anthropic(api_key="bad", base_url=api.base_url, max_retries=0) as claude,
        pytest.raises(anthropic.AuthenticationError),
    ):
        create(claude, "a")


# --- what a test can do to every other request than a message ---------------------------------------------------------


def test_a_lost_response_leaves_the_batch_behind(api: FakeMessagesAPI, claude: anthropic.Anthropic) -> None:
    """A create whose response is dropped or cut has made its batch all the same; one that is refused has not."""
    replies = [Reply.dropped(), Reply.cut(), Reply.overloaded()]
    api.intercept = lambda request: replies.pop(0) if request.method == "POST" else None
    for error in (anthropic.APIConnectionError, anthropic.APIConnectionError, anthropic.OverloadedError):
        with pytest.raises(error):
            create(claude, "a")
    assert len(claude.messages.batches.list().data) == 2
    assert [request.status for request in api.requests] == [None, 200, 529, 200]


def test_results_can_be_cut(api: FakeMessagesAPI, claude: anthropic.Anthropic) -> None:
    """A download that is interrupted gives some results and an error; the next one is whole."""
    batch = create(claude, *(f"r{number}" for number in range(20)))
    cuts = [Reply.cut()]
    api.intercept = lambda request: cuts.pop() if request.path.endswith("/results") and cuts else None
    seen: list[str] = []
    with pytest.raises(Exception, match="peer closed connection"):
        seen.extend(line.custom_id for line in claude.messages.batches.results(batch.id))
    assert len(results(claude, batch)) == 20


def test_token_counts_can_be_refused_and_delayed(api: FakeMessagesAPI, claude: anthropic.Anthropic) -> None:
    """Token counts and models can be made to fail as well; a reply of another kind takes their place."""
    replies = [Reply.rate_limited(1), Reply.message({"input_tokens": 7}), Reply.default().after(0.001), None]
    api.intercept = lambda _: replies.pop(0)
    ask = {"model": ASK["model"], "messages": ASK["messages"]}
    with pytest.raises(anthropic.RateLimitError):
        claude.messages.count_tokens(**ask)
    assert [claude.messages.count_tokens(**ask).input_tokens for _ in range(3)] == [7, 2, 2]


def test_a_request_that_is_no_message_can_hang(api: FakeMessagesAPI, claude: anthropic.Anthropic) -> None:
    """A stalled request is served and never answered."""
    api.intercept = lambda request: Reply.stalled() if request.method == "POST" else None
    with pytest.raises(anthropic.APITimeoutError):
        claude.messages.batches.create(requests=requests("a"), timeout=0.2)
    assert len(claude.messages.batches.list().data) == 1


def test_batches_are_steered_while_they_are_polled(api: FakeMessagesAPI, claude: anthropic.Anthropic) -> None:
    """Ending batches from another thread, while they are listed, loses none."""
    api.batch_seconds = math.inf
    made = [create(claude, "a").id for _ in range(30)]
    thread = threading.Thread(target=lambda: [api.end_batch(batch_id) for batch_id in made])
    thread.start()
    while any(batch.processing_status != "ended" for batch in claude.messages.batches.list(limit=100).data):
        pass
    thread.join()
    assert len(api.batch_requests) == 30
