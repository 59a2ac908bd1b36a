"""The parts of batches that need no API: ids, packing, notes, results and who gets them."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis import ConfigurationError
from cardanalysis.analysis._batch_log import BATCH_EVENTS, BatchLog, Submission
from cardanalysis.analysis._batch_mail import BatchMail, Room, Waiter
from cardanalysis.analysis._batch_requests import BatchOptions, Pack, batch_request
from cardanalysis.analysis._batch_results import read_result, result_lines
from cardanalysis.analysis._transport import AttemptFailed, FailureKind

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


# --- requests ---------------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(st.text(), st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))))
def test_an_id_is_one_the_api_takes_and_is_the_same_every_time(key: str, params: dict[str, str]) -> None:
    """Also if the params come in another order."""
    try:
        key.encode()
    except UnicodeEncodeError:
        return
    request = batch_request(params, key)
    again = batch_request(dict(reversed(params.items())), key)
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", request.custom_id)
    assert request.custom_id == again.custom_id
    assert request.as_json() == {"custom_id": request.custom_id, "params": params}


def test_an_id_tells_requests_apart() -> None:
    """By key and by params, whichever way they might run into each other."""
    asked = [("1", {}), ("2", {}), ("1", {"a": 1}), ("", {"a": 1}), ("1 {}", {}), ("1", {"a": "1"})]
    assert len({batch_request(params, key).custom_id for key, params in asked}) == len(asked)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 300), max_size=30), st.integers(1, 5), st.integers(60, 600))
def test_a_pack_keeps_to_its_limits(lengths: list[int], size: int, max_bytes: int) -> None:
    """What it takes never exceeds them, and room that is given back can be used."""
    pack, inside = Pack(BatchOptions(size=size, max_bytes=max_bytes)), []
    for number, length in enumerate(lengths):
        request = batch_request({"text": "x" * length}, str(number))
        if pack.takes(request):
            pack.add(request)
            inside.append(request)
        elif inside:
            assert pack.is_full or sum(each.size for each in [*inside, request]) > max_bytes
            pack.remove(inside.pop())
        assert len(inside) <= size
        assert sum(request.size for request in inside) <= max_bytes


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 0},
        {"size": 100_001},
        {"size": True},
        {"max_bytes": 256_000_001},
        {"linger_seconds": -1.0},
        {"poll_seconds": float("inf")},
        {"poll_seconds": 0},
        {"longest_poll_seconds": 0},
        {"longest_poll_seconds": 4.9},
        {"longest_poll_seconds": 1, "poll_seconds": 2},
        {"longest_poll_seconds": "60"},
        {"settle_seconds": "1"},
        {"missing_seconds": True},
        {"held_bytes": -1},
    ],
)
def test_options_that_the_api_or_time_do_not_have_are_refused(wrong: dict[str, Any]) -> None:
    """With an error that names the option."""
    with pytest.raises(ConfigurationError, match=f"^{next(iter(wrong))} must be"):
        BatchOptions(**wrong)


def test_options_at_their_bounds_are_taken() -> None:
    """Nothing need be waited for but between two looks at a batch."""
    BatchOptions(
        linger_seconds=0, missing_seconds=0, settle_seconds=0, held_bytes=0, poll_seconds=0.1, longest_poll_seconds=0.1
    )


# --- notes ------------------------------------------------------------------------------------------------------------


class Notes:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.given = 0

    async def append(self, type: str, data: Any, /) -> None:  # noqa: A002
        self.events.append((type, json.loads(json.dumps(data))))

    async def read(self, types: Any, after: int = 0, /) -> tuple[list[dict[str, Any]], int]:
        await anyio.lowlevel.checkpoint()
        self.given += len(self.events) - after
        return [data for type, data in self.events[after:] if type in types], len(self.events)  # noqa: A001


@pytest.mark.anyio
async def test_notes_come_back_as_they_were_made() -> None:
    """In order, over as many events as they took, each of a size that a store takes."""
    notes = Notes()
    log = BatchLog(notes)
    ids = {f"{number:032}" for number in range(1201)}
    first, second = Submission.of(ids, AT), Submission.of(["x"], AT)
    await log.submitting(first)
    await log.submitting(second)
    await log.submitted(first, "msgbatch_1")
    await log.ended(first, {"succeeded": 1201})
    read = await BatchLog(notes).news()
    assert [(note.submission.id, note.batch_id, note.ended) for note in read] == [
        (first.id, "msgbatch_1", True),
        (second.id, None, False),
    ]
    assert read[0].submission.custom_ids == ids
    assert read[0].submission.at == AT
    assert len(notes.events) == 3 + 1 + 2
    assert max(len(json.dumps(data)) for _, data in notes.events) < 20_000
    assert {type for type, _ in notes.events} <= set(BATCH_EVENTS)  # noqa: A001


@pytest.mark.anyio
async def test_a_crash_at_any_event_leaves_notes_that_can_be_read() -> None:
    """A submission counts from its last event before it was made, until it is known not to exist."""
    notes = Notes()
    log = BatchLog(notes)
    submission = Submission.of([str(number) for number in range(1001)], AT)
    await log.submitting(submission)
    await log.absent(submission)
    events, counted = notes.events, list[int]()
    for kept in range(len(events) + 1):
        notes.events = events[:kept]
        counted.append(len(await BatchLog(notes).news()))
    assert counted == [0, 0, 0, 1, 0]


@pytest.mark.anyio
async def test_only_news_are_read() -> None:
    """A submission comes again when another worker has noted more of it, and then as a whole; else it does not."""
    notes = Notes()
    mine, theirs = BatchLog(notes), BatchLog(notes)
    first, second = Submission.of([str(number) for number in range(1001)], AT), Submission.of(["x"], AT)
    await theirs.submitting(first)
    await theirs.submitting(second)
    assert [note.submission.id for note in await mine.news()] == [first.id, second.id]
    assert await mine.news() == []
    later = AT.replace(hour=13)
    await theirs.submitting_later(first, later)
    await theirs.submitted(first, "msgbatch_1")
    (note,) = await mine.news()
    assert (note.submission.custom_ids, note.submission.at) == (first.custom_ids, later)
    assert (note.batch_id, note.ended) == ("msgbatch_1", False)
    await theirs.absent(second)
    assert await mine.news() == []


@pytest.mark.anyio
async def test_half_a_note_is_put_together_with_its_other_half() -> None:
    """A reading may fall between the events of one submission."""
    notes = Notes()
    submission = Submission.of([str(number) for number in range(1001)], AT)
    await BatchLog(notes).submitting(submission)
    events, notes.events = notes.events, []
    log, seen = BatchLog(notes), list[int]()
    for event in events:
        notes.events.append(event)
        seen.extend(len(note.submission.custom_ids) for note in await log.news())
    assert seen == [1001]


@pytest.mark.anyio
async def test_reading_costs_as_much_as_there_is_news() -> None:
    """Each event is read once by a worker, however many batches it submits."""
    notes = Notes()
    log = BatchLog(notes)
    for number in range(50):
        submission = Submission.of([str(number)], AT)
        await log.submitting(submission)
        await log.submitted(submission, f"msgbatch_{number}")
        assert [note.batch_id for note in await log.news()] == [f"msgbatch_{number}"]
    assert notes.given == len(notes.events) == 100


@pytest.mark.anyio
async def test_two_that_read_at_once_get_the_news_once() -> None:
    """Nothing is added twice to what is known, which would make it a submission that never was."""
    notes = Notes()
    submission = Submission.of(["a", "b"], AT)
    await BatchLog(notes).submitting(submission)
    log, read = BatchLog(notes), list[frozenset[str]]()

    async def look() -> None:
        read.extend([note.submission.custom_ids for note in await log.news()])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look)
        tasks.start_soon(look)
    assert read == [submission.custom_ids]


# --- results ----------------------------------------------------------------------------------------------------------


def line(custom_id: str, text: str = "") -> bytes:
    result = {"type": "succeeded", "message": {"text": text}}
    return json.dumps({"custom_id": custom_id, "result": result}, ensure_ascii=False).encode()


async def read_in_pieces(data: bytes, size: int) -> list[tuple[str, bytes]]:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), size):
            yield data[start : start + size]

    return [each async for each in result_lines(pieces())]


@settings(max_examples=100)
@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=6), st.integers(1, 50), st.booleans())
def test_results_are_read_however_they_are_cut(texts: list[str], size: int, ended: bool) -> None:
    """Also with characters in them at which other readers break lines, and without a last line break."""
    lines = [line(str(number), f"{text}\u2028\x85") for number, text in enumerate(texts)]
    data = b"\n".join(lines) + (b"\n" if ended else b"")
    read = anyio.run(read_in_pieces, data, size)
    assert read == [(str(number), line) for number, line in enumerate(lines)]


def test_lines_that_are_no_results_are_left_out() -> None:
    """Empty ones, other JSON, and results without an id."""
    odd = [b"", b"{", b"[]", b"null", b'{"custom_id":1,"result":{}}', b'{"custom_id":"x"}', b"[" * 100_000, b"\xff"]
    data = b"\n".join([*odd, line("a"), *odd, b'{"custom_id":"b","result":[]}'])
    assert [custom_id for custom_id, _ in anyio.run(read_in_pieces, data, 4096)] == ["a"]


MESSAGE: dict[str, Any] = {
    "type": "message",
    "content": [{"type": "text", "text": "hi"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 1, "output_tokens": 2, "service_tier": "batch"},
}


def result_of(result: object) -> bytes:
    return json.dumps({"custom_id": "a", "result": result}).encode()


def failed(result: object, params: dict[str, Any] | None = None) -> Any:
    with pytest.raises(AttemptFailed) as raised:
        read_result(result_of(result), params or {})
    return raised.value.failure


def test_a_message_is_read_at_half_the_price() -> None:
    """As one that came alone, but for the price."""
    reply = read_result(result_of({"type": "succeeded", "message": MESSAGE}), {})
    assert (reply.text, reply.tokens.output, reply.price_factor) == ("hi", 2, 0.5)


@pytest.mark.parametrize("message", [None, [], {}, {**MESSAGE, "usage": None}, {**MESSAGE, "stop_reason": None}])
def test_a_message_that_is_none_may_be_asked_for_again(message: object) -> None:
    """But it may have been paid for."""
    failure = failed({"type": "succeeded", "message": message})
    assert (failure.kind, failure.error.code, failure.unbilled) == (FailureKind.TRANSIENT, "invalid_response", False)


@pytest.mark.parametrize("result", [{}, {"type": "new"}, {"type": 7}])
def test_a_result_of_an_unknown_kind_may_be_asked_for_again(result: object) -> None:
    """The API may come to have more kinds of them."""
    assert (failed(result).kind, failed(result).error.code) == (FailureKind.TRANSIENT, "invalid_response")


@pytest.mark.parametrize("error", [None, [], {"error": 3}, {"error": {"type": ["x"], "message": 4, "details": 5}}])
def test_an_error_of_an_unknown_form_is_one_of_the_server(error: object) -> None:
    """It is not billed, and may pass."""
    failure = failed({"type": "errored", "error": error})
    assert (failure.kind, failure.status, failure.unbilled) == (FailureKind.TRANSIENT, 500, True)


def test_an_error_repeats_nothing_of_the_document() -> None:
    """The API's explanation is told only where it quotes nothing."""
    params = {
        "model": "m",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "The secret plan of X"}]}],
    }

    def message(text: str) -> str:
        error = {"type": "error", "error": {"type": "invalid_request_error", "message": text}, "request_id": "req_1"}
        return str(failed({"type": "errored", "error": error}, params).error)

    assert "schema: too deep" in message("schema: too deep")
    assert "req_1" in message("schema: too deep")
    assert "secret" not in message("bad: the secret plan of x")


def test_an_account_that_may_not_spend_more_stops_the_run() -> None:
    """As it would if the request came alone."""
    details = {"error_code": "enforced_spend_limit_reached"}
    failure = failed({"type": "errored", "error": {"error": {"type": "rate_limit_error", "details": details}}})
    assert isinstance(failure.error, ConfigurationError)
    assert (failure.kind, failure.error.code) == (FailureKind.FINAL, "billing")


# --- who gets what ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [100, 0])
def test_a_result_that_came_too_late_for_one_is_there_for_the_next(room: int) -> None:
    """It is held, or if there is no room, read again."""
    mail = BatchMail({"a"}, Room(room))
    first = mail.ask("a")
    mail.begin()
    assert mail.deliver("a", b"result")
    mail.finish()
    mail.leave("a", first)
    second = mail.ask("a")
    assert (second.line, mail.is_awaited) == ((b"result", False) if room else (None, True))
    mail.leave("a", second)
    mail.leave("a", Waiter())


class Reader:
    """A batch's file of results that is read as often as somebody waits; asked and read at random."""

    def __init__(self, ids: list[str], room: int) -> None:
        self.ids = ids
        self.room = Room(room)
        self.mail = BatchMail(frozenset(ids), self.room)
        self.given: list[bytes] = []
        self.waiting: dict[str, Waiter] = {}

    def ask(self, custom_id: str) -> None:
        if custom_id not in self.waiting:
            self.waiting[custom_id] = self.mail.ask(custom_id)

    def leave(self, custom_id: str) -> None:
        waiter = self.waiting.pop(custom_id, None)
        if waiter is not None:
            self.mail.leave(custom_id, waiter)

    def take(self) -> None:
        for custom_id, waiter in list(self.waiting.items()):
            if waiter._done.is_set():
                del self.waiting[custom_id]
                self.given += [] if waiter.line is None else [waiter.line]

    def read(self, cut: int) -> None:
        self.mail.begin()
        for custom_id in self.ids[:cut]:
            self.mail.deliver(custom_id, custom_id.encode())
        if cut >= len(self.ids):
            self.mail.finish()


STEPS = st.one_of(
    st.tuples(st.sampled_from(["ask", "leave"]), st.sampled_from(["a", "bb", "ccc", "absent"])),
    st.tuples(st.just("read"), st.integers(0, 3)),
    st.tuples(st.just("take"), st.none()),
)


@settings(max_examples=100)
@given(st.lists(STEPS, max_size=30), st.integers(0, 6))
def test_every_result_is_given_out_once(steps: list[tuple[str, Any]], room: int) -> None:
    """Whatever was asked, left, read or cut off before; and memory is used within its bound and given back."""
    reader = Reader(["a", "bb", "ccc"], room)
    for step, argument in steps:
        getattr(reader, step)(*(() if argument is None else (argument,)))
        assert 0 <= reader.room.left <= room
        assert len(reader.given) == len(set(reader.given))
    for custom_id in reader.ids:
        reader.ask(custom_id)
    while reader.mail.is_awaited:
        reader.read(3)
    reader.take()
    assert reader.waiting == {}
    assert sorted(reader.given) == [b"a", b"bb", b"ccc"]
    assert reader.room.left == room
    assert all(reader.mail.is_settled(custom_id) for custom_id in reader.ids)
