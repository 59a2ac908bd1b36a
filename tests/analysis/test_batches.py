"""Requests in batches, through the real client and the fake Messages API, on both event loops; time runs fast."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from anthropic import AnthropicError, APIConnectionError, AsyncAnthropic

from cardanalysis import ConfigurationError, StoreError
from cardanalysis.analysis._batch_api import BatchAPI
from cardanalysis.analysis._batch_requests import batch_request
from cardanalysis.analysis._batches import batches_open
from cardanalysis.analysis._transport import Answer, AttemptFailed, Begun, Broken, Failure, FailureKind
from cardanalysis.testing import Reply
from cardanalysis.testing._recorded import RecordedRequest
from cardanalysis.testing._replies import RawBody

sys.path.insert(0, str(Path(__file__).parent))

from batches_kit import BATCHES, Bench, ListJournal, answer, echo, failure, params, send, send_all

pytestmark = pytest.mark.anyio

THREE = ["one", "two", "three"]


def said(texts: list[str]) -> dict[str, str]:
    return {text: f'{{"echo":"{text}"}}' for text in texts}


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    with bench.api:
        yield bench


def intercepting(
    bench: Bench, method: str, end: str, *replies: Reply | None, always: Reply | None = None
) -> Callable[[], int]:
    """Answer requests about batches with these replies, then with `always`. Returns how many are left."""
    left = list(replies)

    def intercept(request: RecordedRequest) -> Reply | None:
        if request.method != method or not re.fullmatch(end, request.path):
            return None
        return left.pop(0) if left else always

    bench.api.intercept = intercept
    return lambda: len(left)


ONE_BATCH = BATCHES + "/msgbatch_[0-9]+"


# --- packing ----------------------------------------------------------------------------------------------------------


async def test_requests_that_come_together_travel_together(bench: Bench) -> None:
    """They become one batch, and each gets its own answer at half the price, with `begun` called once."""
    begun: list[str] = []

    async def begin(transport: Any, text: str) -> Answer:
        return await transport.send(params(text), key=text, begun=lambda headers: begun.append(text))

    async with bench.open() as transport:
        answers = await send_all(transport, THREE, begin)
    assert {text: got.reply.text for text, got in answers.items()} == said(THREE)
    assert {got.reply.price_factor for got in answers.values()} == {0.5}
    assert sorted(begun) == sorted(THREE)
    assert bench.created == [3]
    assert bench.journal.types == ["batch_submitting", "batch_submitted", "batch_ended"]
    assert bench.journal.events[-1][1]["counts"]["succeeded"] == 3


async def test_a_batch_is_submitted_when_it_is_full(bench: Bench) -> None:
    """By its number of requests, or by its bytes; what is over goes into the next one."""
    texts = [f"text {number}" for number in range(5)]
    async with bench.open(size=2) as transport:
        assert await send_all(transport, texts) == said(texts)
    assert bench.created == [2, 2, 1]
    async with bench.open(max_bytes=500) as transport:
        assert await send_all(transport, texts, key="again") == said(texts)
    assert bench.created[3:] == [2, 2, 1]


async def test_a_request_of_which_nobody_waits_any_more_is_not_submitted(bench: Bench) -> None:
    """Until its batch is submitted, a cancelled request costs nothing."""
    async with bench.open(linger_seconds=20) as transport, anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            tasks.start_soon(send, transport, "kept")
            scope.cancel()
            await send(transport, "dropped")
        await anyio.wait_all_tasks_blocked()
    assert bench.created == [1]
    assert [request.text for request in bench.api.batch_requests] == ["kept"]


async def test_the_size_of_a_batch_is_what_is_sent(bench: Bench) -> None:
    """The limit of bytes holds for the body of the request, whatever characters are in it."""
    texts = ["plain", "\u00e4\u20ac\U0001f600", '"\n\\']
    async with bench.open() as transport:
        await send_all(transport, texts)
    (created,) = bench.calls("POST", BATCHES)
    counted = sum(batch_request(params(text), text).size for text in texts)
    assert 0 <= int(created.headers["content-length"]) - counted < len('{"requests":[]}')


async def test_what_cannot_be_sent_fails_alone(bench: Bench) -> None:
    """A value that is no JSON, or half a character, does not spoil the batch; nor does what is too large for any."""

    async def one(transport: Any, text: str) -> Failure | str:
        return await (send if text == "fine" else failure)(transport, text)

    texts = ["fine", "half \ud800", "large " * 500]
    async with bench.open(max_bytes=2000) as transport:
        outcomes = await send_all(transport, texts, one)
        infinite = await failure(transport, "nan", temperature=math.nan)
    assert outcomes["fine"] == '{"echo":"fine"}'
    assert [outcomes[text].error.code for text in texts[1:]] == ["invalid_request", "too_large"]
    assert outcomes[texts[2]].kind is FailureKind.TOO_LONG
    assert infinite.kind is FailureKind.FINAL
    assert bench.created == [1]


async def test_the_same_request_twice_goes_into_two_batches(bench: Bench) -> None:
    """Ids are unique within a batch, so that one caller's mistake does not have a whole batch refused."""
    async with bench.open() as transport, anyio.create_task_group() as tasks:
        tasks.start_soon(send, transport, "twin")
        tasks.start_soon(send, transport, "twin")
    assert bench.created == [1, 1]


# --- restarts ---------------------------------------------------------------------------------------------------------


async def interrupted(bench: Bench, texts: list[str], **options: Any) -> None:
    """A run that is interrupted when its batch has been submitted."""
    async with bench.open(**options) as transport, anyio.create_task_group() as tasks:
        for text in texts:
            tasks.start_soon(send, transport, text)
        await bench.journal.until("batch_submitted")
        tasks.cancel_scope.cancel()


async def test_a_resumed_run_takes_what_was_paid_for(bench: Bench) -> None:
    """Its requests find their results in the batch that the interrupted run submitted."""
    await interrupted(bench, THREE)
    async with bench.open() as transport:
        assert await send_all(transport, [*THREE, "four"]) == said([*THREE, "four"])
    assert bench.created == [3, 1]


async def test_a_resumed_run_waits_for_a_batch_that_is_under_way(bench: Bench) -> None:
    """As long as its batch has not ended, a request is not submitted again."""
    bench.api.batch_seconds = 20
    await interrupted(bench, THREE)
    async with bench.open() as transport:
        assert await send_all(transport, THREE) == said(THREE)
    assert bench.created == [3]
    assert bench.calls("POST", "/cancel") == []


@pytest.mark.parametrize("held_bytes", [64_000_000, 1000, 0])
async def test_results_wait_for_who_asks_later(bench: Bench, held_bytes: int) -> None:
    """They are read once if there is room for them, and else again; never paid again."""
    await interrupted(bench, THREE)
    async with bench.open(held_bytes=held_bytes) as transport:
        for text in THREE:
            assert await send(transport, text) == said(THREE)[text]
    assert bench.created == [3]
    assert len(bench.calls("GET", "/results")) == {64_000_000: 1, 1000: 2, 0: 3}[held_bytes]


async def test_a_result_is_given_out_once(bench: Bench) -> None:
    """Who asks the same again gets a new answer; a resumed run is given both, in the order in which they came."""
    answers = iter("123456")
    bench.api.answer = lambda _: Reply.text(next(answers))
    async with bench.open() as transport:
        assert [await send(transport, "same") for _ in range(2)] == ["1", "2"]
    async with bench.open() as transport:
        assert [await send(transport, "same") for _ in range(3)] == ["1", "2", "3"]
    assert bench.created == [1, 1, 1]


async def test_another_question_is_another_request(bench: Bench) -> None:
    """What is known by a key is not taken for an answer to other params."""
    async with bench.open() as transport:
        await send(transport, "a", key="k")
    async with bench.open() as transport:
        assert await send(transport, "b", key="k") == '{"echo":"b"}'
    assert bench.created == [1, 1]


async def test_a_failure_in_an_earlier_batch_is_tried_anew(bench: Bench) -> None:
    """Errors are not paid for, and a resumed run shall not repeat them unseen."""
    bench.api.script(Reply.error(400))
    await interrupted(bench, ["one"])
    async with bench.open() as transport:
        assert await send(transport, "one") == '{"echo":"one"}'
    assert bench.created == [1, 1]


async def test_what_another_worker_submitted_is_not_submitted_again(bench: Bench) -> None:
    """A worker that takes over an item finds the batch of the one that died, although it began before that."""
    async with bench.open() as survivor:
        await interrupted(bench, THREE)
        assert await send_all(survivor, [*THREE, "four"]) == said([*THREE, "four"])
    assert bench.created == [3, 1]


async def test_a_cancelled_request_leaves_its_result_to_the_next(bench: Bench) -> None:
    """Work that is given up and taken up again in the same run finds its result."""
    bench.api.batch_seconds = 20
    async with bench.open() as transport:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send, transport, "one")
            await bench.journal.until("batch_submitted")
            tasks.cancel_scope.cancel()
        assert await send(transport, "one") == '{"echo":"one"}'
    assert bench.created == [1]


# --- submissions of unknown outcome -----------------------------------------------------------------------------------


async def test_a_lost_answer_does_not_lead_to_a_second_batch(bench: Bench) -> None:
    """The batch was created, and only the answer did not arrive: it is found, and known from then on."""
    intercepting(bench, "POST", BATCHES, Reply.dropped())
    async with bench.open() as transport:
        assert await send_all(transport, THREE) == said(THREE)
    assert bench.created == [3]
    assert bench.journal.types == ["batch_submitting", "batch_submitted", "batch_ended"]


async def test_a_crash_before_the_id_was_noted_does_not_lead_to_a_second_batch(bench: Bench) -> None:
    """What the log tells of before the submission is enough to find the batch."""
    await interrupted(bench, THREE)
    del bench.journal.events[1:]
    async with bench.open() as transport:
        assert await send_all(transport, THREE) == said(THREE)
    assert bench.created == [3]


async def test_a_batch_that_was_not_created_is_submitted_again(bench: Bench) -> None:
    """If there is none at the API, the requests go into a new one, without a failure."""
    intercepting(bench, "POST", BATCHES, Reply.error(500))
    async with bench.open() as transport:
        assert await send_all(transport, THREE) == said(THREE)
    assert bench.created == [3, 3]
    assert len(bench.api.batch_requests) == 3
    assert bench.journal.types[:2] == ["batch_submitting", "batch_absent"]


async def test_half_a_note_is_no_submission(bench: Bench) -> None:
    """A crash while the ids were being noted came before the submission."""
    texts = [f"text {number}" for number in range(501)]
    await interrupted(bench, texts)
    del bench.journal.events[1:]
    before = len(bench.api.requests)
    async with bench.open() as transport:
        await send(transport, texts[0])
    assert bench.created == [501, 1]
    assert all(not request.query for request in bench.api.requests[before:])


async def test_a_batch_of_somebody_else_is_not_taken(bench: Bench) -> None:
    """One that was created then and has as many requests is waited for, and known as foreign by its results' ids."""
    bench.api.batch_seconds = 10
    async with AsyncAnthropic(api_key="sk-any", base_url=bench.api.base_url) as client:
        requests: Any = [{"custom_id": text, "params": params(text)} for text in THREE]
        await client.messages.batches.create(requests=requests)
        intercepting(bench, "POST", BATCHES, Reply.error(500))
        async with bench.open() as transport:
            assert await send_all(transport, THREE) == said(THREE)
    assert bench.created == [3, 3, 3]
    assert len(bench.api.batch_requests) == 6


async def test_what_cannot_be_read_is_not_taken_for_empty(bench: Bench) -> None:
    """Something may answer in the API's place, for its list or the results; the batch is found all the same."""
    await interrupted(bench, THREE)
    del bench.journal.events[1:]
    odd = [{"data": None}, {"data": [{"id": "m"}]}, {"data": [{"id": 4}], "has_more": False}]
    listed = [Reply.html(200), Reply.error(500), *map(Reply.message, odd), None]
    left = intercepting(bench, "GET", f"{BATCHES}|.*/results", *listed, Reply.html(200))
    async with bench.open() as transport:
        assert await send_all(transport, THREE) == said(THREE)
    assert left() == 0
    assert bench.created == [3]


async def test_a_batch_that_vanishes_while_it_is_looked_at_is_none(bench: Bench) -> None:
    """Nothing can be had of it, so its requests go into another one."""
    await interrupted(bench, THREE)
    del bench.journal.events[1:]
    intercepting(bench, "GET", ".*1", always=Reply.error(404))
    async with bench.open(missing_seconds=5) as transport:
        assert await send_all(transport, THREE) == said(THREE)
    assert bench.created == [3, 3]


async def test_a_batch_is_looked_for_beyond_the_first_page(bench: Bench) -> None:
    """The list of batches is read back to the time of the submission."""
    await interrupted(bench, THREE)
    del bench.journal.events[1:]
    async with AsyncAnthropic(api_key="sk-any", base_url=bench.api.base_url) as client:
        requests: Any = [{"custom_id": "x", "params": params("x")}]
        for _ in range(101):
            await client.messages.batches.create(requests=requests)
    async with bench.open() as transport:
        assert await send_all(transport, THREE) == said(THREE)
    assert bench.created.count(3) == 1


# --- the API is slow, out of order, or says no ------------------------------------------------------------------------


async def test_a_full_queue_is_waited_out(bench: Bench) -> None:
    """A refusal for now, overload and a connection that cannot be made are no unknown outcome and no failure."""
    left = intercepting(bench, "POST", BATCHES, Reply.rate_limited(retry_after=5), Reply.overloaded())
    async with bench.open() as transport:
        assert await send_all(transport, THREE) == said(THREE)
    assert left() == 0
    assert bench.created == [3, 3, 3]
    assert list(dict.fromkeys(bench.journal.types)) == ["batch_submitting", "batch_submitted", "batch_ended"]
    assert bench.calls("GET", BATCHES) == []


async def test_a_batch_is_found_that_had_to_wait_for_long(bench: Bench) -> None:
    """The time of a submission is noted anew, so that the batch is still looked for around the right time."""
    replies = [Reply.rate_limited(), Reply.dropped()]

    def intercept(request: RecordedRequest) -> Reply | None:
        if request.method != "POST" or not replies:
            return None
        if len(replies) == 2:
            bench.time.skip(4000)
        return replies.pop(0)

    bench.api.intercept = intercept
    async with bench.open() as transport:
        assert await send_all(transport, THREE) == said(THREE)
    assert bench.created == [3, 3]
    assert len(bench.api.batch_requests) == 3
    del bench.journal.events[2:]
    async with bench.open() as transport:
        assert await send_all(transport, THREE) == said(THREE)
    assert bench.created == [3, 3]


async def test_a_batch_that_is_refused_fails_its_requests(bench: Bench) -> None:
    """Each gets an error of its own, and none is told to cut its document or to try again."""
    codes = {401: "authentication", 403: "permission", 404: "no_batches", 413: "too_large"}
    async with bench.open() as transport:
        for status, code in codes.items():
            intercepting(bench, "POST", BATCHES, always=Reply.error(status))
            failures = await send_all(transport, THREE, failure)
            assert {failed.error.code for failed in failures.values()} == {code}
            assert {failed.kind for failed in failures.values()} == {FailureKind.FINAL}
            assert len({id(failed.error) for failed in failures.values()}) == 3
    assert bench.created == [3, 3, 3, 3]
    assert bench.journal.types == ["batch_submitting", "batch_absent"] * 4


async def test_trouble_on_the_way_is_waited_out(bench: Bench) -> None:
    """Errors of the server, pages of HTML, lost connections and limits while a batch is looked at end nothing."""
    trouble = [Reply.error(500), Reply.html(502), Reply.html(200), Reply.garbage(), Reply.dropped()]
    left = intercepting(bench, "GET", ONE_BATCH, *trouble, Reply.rate_limited(5))
    async with bench.open() as transport:
        assert await send_all(transport, THREE) == said(THREE)
    assert left() == 0
    assert bench.created == [3]


async def test_a_key_that_is_no_longer_accepted_reaches_everyone(bench: Bench) -> None:
    """What no waiting mends is a failure for each request that waits, and for who asks after that."""
    intercepting(bench, "GET", ONE_BATCH, always=Reply.error(401))
    async with bench.open() as transport:
        failures = await send_all(transport, THREE, failure)
        failures["late"] = await failure(transport, "one")
    assert {failed.error.code for failed in failures.values()} == {"authentication"}
    assert {type(failed.error) for failed in failures.values()} == {ConfigurationError}
    assert bench.created == [3]


async def test_a_new_batch_may_be_unknown_for_a_while(bench: Bench) -> None:
    """The API may answer 404 for one that it has just created."""
    bench.api.batch_hidden_seconds = 15
    async with bench.open() as transport:
        assert await send_all(transport, THREE) == said(THREE)
    assert bench.created == [3]


async def test_a_batch_that_is_gone_is_a_failure_that_may_pass(bench: Bench) -> None:
    """After ten minutes of 404, its requests may be made again."""
    intercepting(bench, "GET", ONE_BATCH, always=Reply.error(404))
    async with bench.open(missing_seconds=10) as transport:
        failures = await send_all(transport, THREE, failure)
        assert {(failed.error.code, failed.kind) for failed in failures.values()} == {
            ("batch_result_missing", FailureKind.TRANSIENT)
        }
        bench.api.intercept = None
        assert await send(transport, "one") == '{"echo":"one"}'
    assert bench.created == [3, 1]


async def test_an_archived_batch_is_not_waited_for(bench: Bench) -> None:
    """Results that are no longer kept are as good as none."""
    await interrupted(bench, ["one"])

    def intercept(request: RecordedRequest) -> Reply | None:
        if request.path.endswith("1") and request.method == "GET":
            return Reply.message({"id": "m", "processing_status": "ended", "results_url": None})
        return None

    bench.api.intercept = intercept
    async with bench.open() as transport:
        assert await send(transport, "one") == '{"echo":"one"}'
    assert bench.created == [1, 1]


# --- results ----------------------------------------------------------------------------------------------------------


async def test_an_interrupted_download_begins_again(bench: Bench) -> None:
    """Whatever of it had arrived; each request is answered once."""
    left = intercepting(bench, "GET", ".*/results", Reply.cut(), Reply.dropped(), Reply.error(503))
    texts = [f"text {number}" for number in range(20)]
    async with bench.open() as transport:
        assert await send_all(transport, texts) == said(texts)
    assert left() == 0
    assert bench.created == [20]


async def test_something_that_answers_in_place_of_the_api_costs_nothing(bench: Bench) -> None:
    """If no results can be read, nothing is asked anew by itself."""
    intercepting(bench, "GET", ".*/results", always=Reply.html(200))
    async with bench.open() as transport:
        failures = await send_all(transport, THREE, failure)
    assert {(failed.error.code, failed.kind) for failed in failures.values()} == {
        ("invalid_response", FailureKind.FINAL)
    }
    assert bench.created == [3]


async def test_a_request_without_a_result_may_be_made_again(bench: Bench) -> None:
    """The others are not touched, lines that are none are left out, and so are those of other requests."""
    async with bench.open() as transport:
        await send(transport, "before", key="before")
    real = bench.calls("POST", BATCHES)

    def intercept(request: RecordedRequest) -> Reply | None:
        if not request.path.endswith("2/results"):
            return None
        first = bench.calls("POST", BATCHES)[1].body["requests"][0]["custom_id"]
        lines = [b"no json", b"[]", b'{"custom_id":"foreign","result":{"type":"canceled"}}']
        lines.append(b'{"custom_id":"%s","result":{"type":"expired"}}' % first.encode())
        return Reply(body=RawBody(data=b"\n".join(lines), media_type="application/x-jsonl"))

    bench.api.intercept = intercept
    async with bench.open() as transport:
        failures = await send_all(transport, THREE, failure)
    assert sorted(failed.error.code for failed in failures.values()) == [
        "batch_expired",
        "batch_result_missing",
        "batch_result_missing",
    ]
    assert len(real) == 1


FAILURES = {
    "odd": (Reply.error(400, message="messages: odd"), FailureKind.FINAL, "invalid_request"),
    "long": (Reply.error(400, message="prompt is too long: 9"), FailureKind.TOO_LONG, "context_window_exceeded"),
    "key": (Reply.error(401), FailureKind.FINAL, "authentication"),
    "large": (Reply.error(413), FailureKind.TOO_LONG, "too_large"),
    "error": (Reply.error(500), FailureKind.TRANSIENT, "api_unavailable"),
    "load": (Reply.overloaded(), FailureKind.OVERLOAD, "api_unavailable"),
    "late": (Reply.expired(), FailureKind.TRANSIENT, "batch_expired"),
}


async def test_a_request_fails_as_it_would_alone(bench: Bench) -> None:
    """Nothing was taken for it, and made again it goes into another batch."""
    bench.api.answer = lambda request: FAILURES[request.text][0]
    async with bench.open() as transport:
        failures = await send_all(transport, FAILURES, failure)
        for text, (_, kind, code) in FAILURES.items():
            failed = failures[text]
            assert (failed.kind, failed.error.code, failed.unbilled) == (kind, code, True)
        bench.api.answer = echo
        assert await send_all(transport, FAILURES) == said(list(FAILURES))
    assert bench.created == [7, 7]


async def test_a_batch_that_expires_is_made_again(bench: Bench) -> None:
    """Requests that it did not get to fail for now."""
    bench.api.batch_seconds = math.inf

    async with bench.open() as transport, anyio.create_task_group() as tasks:
        failures: list[Failure] = []

        async def fail() -> None:
            failures.append(await failure(transport, "one"))

        tasks.start_soon(fail)
        await bench.until_called("GET")
        bench.api.expire_batch(bench.journal.events[1][1]["batch_id"])
    assert [(failed.kind, failed.error.code) for failed in failures] == [(FailureKind.TRANSIENT, "batch_expired")]


# --- the first request ------------------------------------------------------------------------------------------------


class Probe:
    """A transport that sends at once, of which the first attempts fail."""

    def __init__(self, *failures: Failure) -> None:
        self.failures = list(failures)
        self.sent: list[str] = []

    async def send(self, asked: Mapping[str, Any], /, *, key: str, begun: Begun, broken: Broken) -> Answer:
        self.sent.append(key)
        await anyio.sleep(0.001)
        if self.failures:
            raise AttemptFailed(self.failures.pop(0))
        begun({})
        return Answer(reply=None, request_id="direct")  # type: ignore[arg-type]


async def test_the_first_request_is_sent_by_itself(bench: Bench) -> None:
    """The others wait for its answer, then travel in a batch."""
    probe = Probe()
    async with bench.open(probe=probe) as transport:
        answers = await send_all(transport, THREE, answer)
    assert len(probe.sent) == 1
    assert [got.request_id for got in answers.values()].count("direct") == 1
    assert bench.created == [2]


async def test_settings_that_the_api_refuses_cost_no_batch(bench: Bench) -> None:
    """Everyone gets the failure of the first request, and nothing is submitted."""
    refused = Failure(kind=FailureKind.FINAL, error=ConfigurationError("no", code="unknown_model"), status=404)
    probe = Probe(refused)
    async with bench.open(probe=probe) as transport:
        failures = await send_all(transport, THREE, failure)
    assert len(probe.sent) == 1
    assert {failed.error.code for failed in failures.values()} == {"unknown_model"}
    assert bench.created == []


async def test_a_failure_of_the_first_request_alone_has_the_next_one_tried(bench: Bench) -> None:
    """Until one was answered; nobody else is told of it."""
    probe = Probe(Failure(kind=FailureKind.TRANSIENT, error=StoreError("x")))
    outcomes: dict[str, str] = {}

    async def one(transport: Any, text: str) -> None:
        try:
            outcomes[text] = str((await answer(transport, text)).request_id)
        except AttemptFailed:
            outcomes[text] = "failed"

    async with bench.open(probe=probe) as transport:
        await send_all(transport, THREE, one)
    assert sorted(outcomes.values()) == ["None", "direct", "failed"]


async def test_a_resumed_run_looks_for_results_before_it_probes(bench: Bench) -> None:
    """A request that was paid for is not sent by itself."""
    await interrupted(bench, THREE)
    probe = Probe()
    async with bench.open(probe=probe) as transport:
        assert await send_all(transport, THREE) == said(THREE)
    assert probe.sent == []


# --- the end ----------------------------------------------------------------------------------------------------------


async def test_cancelling_cancels_what_is_under_way(bench: Bench) -> None:
    """Batches that have ended are left alone; a refusal or trouble on the way is no error."""
    async with bench.open() as transport:
        await send(transport, "done")
    bench.api.batch_seconds = math.inf
    await interrupted(bench, THREE)
    intercepting(bench, "POST", ".*/cancel", Reply.error(500))
    async with bench.open() as transport:
        await transport.cancel()
        assert [request.status for request in bench.calls("POST", "/cancel")] == [500, 200]
        intercepting(bench, "POST", ".*/cancel", Reply.error(400))
        await transport.cancel()
    assert len(bench.calls("POST", "/cancel")) == 3


async def test_a_run_that_was_cancelled_can_be_taken_up(bench: Bench) -> None:
    """Requests of a batch that was cancelled are submitted again."""
    bench.api.batch_seconds = math.inf
    await interrupted(bench, THREE)
    async with bench.open() as transport:
        await transport.cancel()
    bench.api.batch_seconds = 0
    async with bench.open() as transport:
        assert await send_all(transport, THREE) == said(THREE)
    assert bench.created == [3, 3]


async def test_a_log_that_fails_reaches_the_requests(bench: Bench) -> None:
    """Nothing is submitted that was not noted, and nobody is left waiting."""
    async with bench.open() as transport:
        bench.journal.error = StoreError("disk")
        failures = await send_all(transport, THREE, failure)
    assert {type(failed.error) for failed in failures.values()} == {StoreError}
    assert bench.created == []


async def test_nobody_is_left_waiting(bench: Bench) -> None:
    """Who waits when the way is closed, or comes after, is told so, in whichever step that is."""
    bench.api.batch_seconds = math.inf
    failures: list[Failure] = []

    async def fail(transport: Any, text: str) -> None:
        failures.append(await failure(transport, text))

    async with anyio.create_task_group() as tasks:
        async with bench.open(size=1) as transport:
            tasks.start_soon(fail, transport, "submitted")
            await bench.until_called("GET")
        async with bench.open(linger_seconds=1e6) as lingering:
            tasks.start_soon(fail, lingering, "lingering")
            await anyio.sleep(0.001)
        intercepting(bench, "POST", BATCHES, always=Reply.rate_limited())
        async with bench.open(size=1) as waiting:
            tasks.start_soon(fail, waiting, "being submitted")
            await bench.until_called("POST", BATCHES, 2)
    await fail(transport, "late")
    assert [failed.error.code for failed in failures] == ["batches_closed"] * 4


async def test_errors_of_the_run_come_out_as_they_are(bench: Bench) -> None:
    """They are not wrapped into a group."""
    with pytest.raises(ConfigurationError, match="mine"):
        async with bench.open():
            raise ConfigurationError("mine")


class NoBatches:
    """A client for a cloud without batches."""

    def __init__(self, batches: Any) -> None:
        self.messages = type("Messages", (), {"batches": batches})()


class Refusing:
    async def create(self, **_: Any) -> None:
        raise AnthropicError("The Batch API is not supported here")


async def test_a_client_without_batches_is_refused(bench: Bench) -> None:
    """Whether it has none, or says so when it is asked for one."""
    with pytest.raises(ConfigurationError, match="NoBatches has no message batches") as refused:
        async with batches_open(NoBatches(None), journal=ListJournal()):
            pass
    assert refused.value.code == "no_batches"
    async with batches_open(NoBatches(Refusing()), journal=bench.journal) as transport:
        transport._options = type("Fast", (), {"linger_seconds": 0.0, "size": 1, "max_bytes": 10_000})()  # type: ignore[assignment]
        assert (await failure(transport, "one")).error.code == "no_batches"


def test_a_connection_of_an_earlier_event_loop_is_no_reason_to_stop() -> None:
    """Clients that served another event loop before still hold some; nothing is sent over them."""
    api = BatchAPI(NoBatches(Refusing()))
    lost = APIConnectionError(request=None)  # type: ignore[arg-type]
    lost.__cause__ = RuntimeError("Event loop is closed")
    assert api.explain(lost).kind is FailureKind.TRANSIENT
    lost.__cause__ = RuntimeError("The client has been closed")
    assert isinstance(api.explain(lost).error, ConfigurationError)


def test_the_fake_answers_what_it_is_asked() -> None:
    """The answers above depend on the request."""
    request = RecordedRequest(method="POST", path="/", body=params("x"), arrived=0.0, request_id="r")
    assert echo(request) == Reply.json({"echo": "x"})
