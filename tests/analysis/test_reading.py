"""A document that is too long, and answers that are cut or do not fit, through the real client."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cardanalysis import ConfigurationError, ItemStatus, MemoryStore, RunStatus, RunStopped, Upload, analyze_cards
from cardanalysis._errors import AnalyzerError
from cardanalysis._models import AnalysisRequest
from cardanalysis.analysis._prices import LIST_PRICES
from cardanalysis.analysis._retries import RetryPolicy
from cardanalysis.testing import FakeMessagesAPI, RecordedRequest, Reply

sys.path.insert(0, str(Path(__file__).parent))

from anthropic import AsyncAnthropic
from claude_kit import CARD, KEY, TEXT, Log, analyze, analyzer, cards, document, failure

pytestmark = pytest.mark.anyio

TOO_LONG = "prompt is too long: 201000 tokens > 200000 maximum"
SECTIONS = [
    f"# Section {n}\n\nThe team of section {n} wants thing {n} done by machine. "
    f"It takes them {n} hours a week, which is too long for all of them.\n\n"
    for n in range(1, 9)
]
LONG = "".join(SECTIONS)


@pytest.fixture
def api() -> Iterator[FakeMessagesAPI]:
    with FakeMessagesAPI() as api:
        yield api


def sections_of(request: RecordedRequest) -> list[int]:
    """The sections that a request holds whole."""
    return [n for n, text in enumerate(SECTIONS, start=1) if text.strip() in request.text]


def found_in(request: RecordedRequest) -> dict[str, Any]:
    """A card for each section, with a quote."""
    return {
        "cards": [
            CARD | {"title": f"Thing {n}", "quotes": [f"The team of section {n} wants thing {n} done by machine."]}
            for n in sections_of(request)
        ]
    }


def cut_after(answer: dict[str, Any], whole: int, **how: Any) -> Reply:
    """An answer of which only so many cards are whole, and the next one is begun."""
    text = json.dumps(answer)
    decoder, end = json.JSONDecoder(), text.index("[") + 1
    for _ in range(whole):
        _, end = decoder.raw_decode(text, end)
        end += 2
    return Reply.text(text[: end + 25], stop_reason="max_tokens", **how)


def titles(analysis: Any) -> list[str]:
    return [card.title for card in analysis.cards]


def bodies(api: FakeMessagesAPI) -> list[str]:
    return [json.dumps(request.body, sort_keys=True) for request in api.requests]


# --- answers that are cut ---------------------------------------------------------------------------------------------


async def test_the_rest_of_a_cut_answer_is_asked_for(api: FakeMessagesAPI) -> None:
    """The whole cards are kept, and the next request names them; no request is made twice."""
    log = Log()
    api.script(cut_after(cards("A", "B", "C", "D"), 2), cut_after(cards("C", "D"), 1), Reply.json(cards("D")))
    analysis = await analyze(api, work=log)
    assert titles(analysis) == ["A", "B", "C", "D"]
    assert analysis.missing is None
    assert analysis.usage.requests == 3
    assert analysis.requests == tuple(request.request_id for request in api.requests)
    assert len(set(bodies(api))) == 3
    first, second, third = [request.text for request in api.requests]
    assert "at most 20 cards" in first
    assert '"A",\n "B"\n]' in second
    assert "at most 18 cards" in second
    assert '"A",\n "B",\n "C"\n]' in third
    assert [(event["cards"], event["stop_reason"]) for event in log.of("answer_cut")] == [
        (2, "max_tokens"),
        (1, "max_tokens"),
    ]


async def test_a_card_that_is_given_again_is_not_doubled(api: FakeMessagesAPI) -> None:
    """A model that repeats what it wrote adds nothing."""
    api.script(cut_after(cards("A", "B", "C"), 2), Reply.json(cards("B", "C")))
    analysis = await analyze(api)
    assert titles(analysis) == ["A", "B", "C"]
    assert analysis.notes == ("1 cards of several answers were the same need and were merged into others.",)


async def test_no_more_is_asked_for_than_was_wanted(api: FakeMessagesAPI) -> None:
    """A cut answer that holds enough is enough."""
    api.script(cut_after(cards("A", "B", "C", "D"), 3))
    assert titles(await analyze(api, max_cards=3)) == ["A", "B", "C"]
    assert len(api.requests) == 1


async def test_a_cut_answer_without_a_whole_card_is_not_asked_again(api: FakeMessagesAPI) -> None:
    """Where the document is too short to be cut, it fails, with what it cost."""
    api.script(cut_after(cards("A"), 0))
    error = await failure(api)
    assert isinstance(error, AnalyzerError)
    assert error.code == "truncated"
    assert error.usage is not None
    assert error.usage.cost
    assert len(api.requests) == 1


async def test_a_model_that_only_repeats_itself_is_not_asked_for_ever(api: FakeMessagesAPI) -> None:
    """A cut answer with nothing new ends it; what is there is kept, and the upload says that something is missing."""
    api.answer = cut_after(cards("A", "B"), 1)
    analysis = await analyze(api)
    assert titles(analysis) == ["A"]
    assert len(api.requests) == 2
    assert analysis.missing is not None
    assert analysis.missing.code == "truncated"
    assert f"characters 0 to {len(TEXT)}; 0 % of the document was read." in analysis.missing.message


async def test_a_part_whose_answer_is_cut_is_cut_too(api: FakeMessagesAPI) -> None:
    """By its structure; each half is asked about alone, and nothing is lost or doubled."""

    def answer(request: RecordedRequest) -> Reply:
        return Reply.truncated("") if len(sections_of(request)) > 4 else Reply.json(found_in(request))

    log = Log()
    api.answer = answer
    analysis = await analyze(api, text=LONG, work=log)
    assert titles(analysis) == [f"Thing {n}" for n in range(1, 9)]
    assert sorted(n for request in api.requests[1:] for n in sections_of(request)) == list(range(1, 9))
    assert [event["parts"] for event in log.of("document_split")] == [2] * len(log.of("document_split"))
    assert analysis.missing is None
    assert "parts" in analysis.notes[0]
    assert len(set(bodies(api))) == len(bodies(api))


async def test_cards_of_a_cut_answer_survive_the_cutting_of_its_part(api: FakeMessagesAPI) -> None:
    """What was paid for is kept, also if a half is then not readable."""

    def answer(request: RecordedRequest) -> Reply:
        held = sections_of(request)
        if len(held) > 4:
            return Reply.context_window_exceeded('{"cards": [' + json.dumps(CARD | {"title": "Thing 1"}) + ", {")
        return Reply.refusal("bio") if 8 in held else Reply.json(found_in(request))

    api.answer = answer
    analysis = await analyze(api, text=LONG)
    assert titles(analysis).count("Thing 1") == 1
    assert analysis.missing is not None
    assert analysis.missing.code == "refused"


# --- documents that are too long --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "refusal",
    [
        Reply.error(400, message=TOO_LONG),
        Reply.error(413),
        Reply.context_window_exceeded(""),
        Reply.stream_error("request_too_large", answer=""),
    ],
)
async def test_what_does_not_fit_is_cut_and_merged(api: FakeMessagesAPI, refusal: Reply) -> None:
    """However the API says so; each part says where it stands, and a card is its own once."""

    def answer(request: RecordedRequest) -> Reply:
        if len(sections_of(request)) > 2:
            return refusal
        found = found_in(request)["cards"]
        return Reply.json({"cards": [*found, CARD | {"title": "The same everywhere", "quotes": []}]})

    api.answer = answer
    analysis = await analyze(api, text=LONG)
    assert sorted(titles(analysis)) == sorted([*(f"Thing {n}" for n in range(1, 9)), "The same everywhere"])
    assert analysis.missing is None
    parts = [request for request in api.requests if len(sections_of(request)) <= 2]
    assert all("What follows is a part of a longer document." in request.text for request in parts)
    assert len(set(bodies(api))) == len(bodies(api))
    assert f"{len(parts) - 1} cards of several answers were the same need" in analysis.notes[1]


async def test_a_document_is_cut_before_it_is_sent_if_it_is_known_to_be_too_long(api: FakeMessagesAPI) -> None:
    """No request is spent on finding that out, and each is asked for its share of the cards."""
    log = Log()
    api.answer = lambda request: Reply.json(found_in(request))
    analysis = await analyze(api, text=LONG, max_input_tokens=200, max_cards=16, work=log)
    assert titles(analysis) == [f"Thing {n}" for n in range(1, 9)]
    assert log.of("document_split") == [{"parts": len(api.requests)}]
    assert len(api.requests) == 3
    assert "at most 16 cards" not in "".join(request.text for request in api.requests)


async def test_a_part_that_cannot_be_cut_any_more_is_named(api: FakeMessagesAPI) -> None:
    """By its place; the others are read."""
    api.answer = lambda request: (
        Reply.error(400, message=TOO_LONG) if "section 8" in request.text else Reply.json(found_in(request))
    )
    analysis = await analyze(api, text=LONG)
    assert titles(analysis)[:6] == [f"Thing {n}" for n in range(1, 7)]
    assert analysis.missing is not None
    assert analysis.missing.code == "context_window_exceeded"
    assert " % of the document was read." in analysis.missing.message
    assert "retry_failed=True" in analysis.missing.message
    assert "section 8" not in analysis.missing.message


async def test_where_nothing_fits_the_document_fails(api: FakeMessagesAPI) -> None:
    """With the reason of the first part; cutting ends at some length."""
    api.answer = Reply.error(413)
    error = await failure(api, text=LONG)
    assert error.code == "too_large"
    assert len(api.requests) < 40


async def test_blank_parts_are_not_sent(api: FakeMessagesAPI) -> None:
    """There is nothing to ask about them."""
    api.answer = Reply.json(cards("A"))
    await analyze(api, text=f"{TEXT}{' ' * 3000}{TEXT}", max_input_tokens=200)
    assert all(TEXT[:20] in request.text or TEXT[-20:] in request.text for request in api.requests)
    assert (await analyze(api, text=" \n")).cards == ()


async def test_a_long_document_is_cut_in_another_thread(api: FakeMessagesAPI) -> None:
    """With the same result: this one is long enough for that, and its halves fit."""
    text = LONG * (70_000 // len(LONG) + 1)
    api.answer = lambda request: Reply.error(413) if len(request.text) > 60_000 else Reply.json(cards("A"))
    analysis = await analyze(api, text=text)
    assert titles(analysis) == ["A"]
    assert len(api.requests) == 3


async def test_the_evidence_of_all_parts_stands_in_the_whole_document(api: FakeMessagesAPI) -> None:
    """Quotes are looked up in the document and not in the part; a part that is missing makes the upload partial."""
    api.answer = lambda request: Reply.refusal("bio") if 8 in sections_of(request) else Reply.json(found_in(request))
    async with AsyncAnthropic(api_key=KEY, base_url=api.base_url) as client, MemoryStore() as store:
        run = await analyze_cards(
            [Upload.from_text(LONG, "long.md")], store, analyzer=analyzer(client, max_input_tokens=200)
        )
    assert run.status is RunStatus.PARTIAL
    (item,) = run.items
    assert item.status is ItemStatus.PARTIAL
    assert item.error is not None
    assert item.error.code == "refused"
    assert len(run.cards) >= 6
    for card in run.cards:
        (evidence,) = card.evidence
        assert LONG[evidence.location.start : evidence.location.end] == evidence.quote


# --- what fails in the middle of a document ---------------------------------------------------------------------------


async def test_what_hits_all_parts_ends_the_document_at_once(api: FakeMessagesAPI) -> None:
    """Where the API is out of order, the parts that are left are not tried; what is read is kept."""
    api.answer = Reply.error(500)
    api.script(Reply.json(cards("A")))
    analysis = await analyze(api, text=LONG, max_input_tokens=200, retry=RetryPolicy(attempts=1))
    assert titles(analysis) == ["A"]
    assert len(api.requests) == 2
    assert analysis.missing is not None
    assert analysis.missing.code == "api_unavailable"
    assert analysis.missing.message.startswith(
        "Not read: characters 396 to 1,056; 37 % of the document was read. The API"
    )
    assert 0.37 < analysis.coverage < 0.38


@pytest.mark.parametrize(("reply", "code"), [(Reply.spend_limit(), "billing"), (Reply.error(401), "authentication")])
async def test_what_stops_the_run_does_not_cost_the_parts_that_are_paid(
    api: FakeMessagesAPI, reply: Reply, code: str
) -> None:
    """They are kept as a part of the document; where none is there, the error is raised."""
    api.answer = reply
    api.script(Reply.json(cards("A")))
    analysis = await analyze(api, text=LONG, max_input_tokens=200)
    assert titles(analysis) == ["A"]
    assert len(api.requests) == 2
    assert analysis.missing is not None
    assert analysis.missing.code == code
    with pytest.raises(ConfigurationError):
        await analyze(api, text=LONG, max_input_tokens=200)


async def test_a_ceiling_does_not_cost_the_parts_that_are_paid(api: FakeMessagesAPI) -> None:
    """The same holds where the run may not spend more."""
    log = Log()
    log.error, log.free_requests = RunStopped("enough", code="max_cost"), 1
    api.answer = Reply.json(cards("A"))
    analysis = await analyze(api, text=LONG, max_input_tokens=200, work=log)
    assert titles(analysis) == ["A"]
    assert analysis.missing is not None
    assert analysis.missing.code == "max_cost"
    log.free_requests = 0
    with pytest.raises(RunStopped):
        await analyze(api, text=LONG, work=log)


# --- answers that do not fit the schema -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"cards": [{"title": "A"}]}', "cards[0].quotes is missing."),
        ("Here you are: []", "The answer is not valid JSON."),
        ("", "The answer is empty."),
        (json.dumps({"cards": [CARD | {"priority": "urgent"}]}), "cards[0].priority must be one of"),
    ],
)
async def test_an_answer_that_does_not_fit_is_shown_to_the_model(api: FakeMessagesAPI, text: str, problem: str) -> None:
    """With what is wrong with it; the answer to that is taken."""
    log = Log()
    api.script(Reply.text(text), Reply.json(cards("A")))
    analysis = await analyze(api, work=log)
    assert titles(analysis) == ["A"]
    assert analysis.usage.requests == 2
    repair = api.requests[1].text
    assert repair.startswith(api.requests[0].text)
    assert problem in repair
    assert text in repair[len(api.requests[0].text) :]
    (event,) = log.of("answer_rejected")
    assert event["request_id"] == api.requests[0].request_id
    assert problem in event["problem"]


@pytest.mark.parametrize(("repairs", "asked"), [(0, 1), (1, 2), (2, 3)])
async def test_a_second_bad_answer_fails_the_document(api: FakeMessagesAPI, repairs: int, asked: int) -> None:
    """With what all of them cost."""
    api.answer = Reply.text("no json")
    error = await failure(api, retry=RetryPolicy(repairs=repairs))
    assert isinstance(error, AnalyzerError)
    assert error.code == "invalid_answer"
    assert error.usage is not None
    assert error.usage.requests == len(api.requests) == asked
    assert len(set(bodies(api))) == min(asked, 2)


async def test_a_repaired_answer_may_be_cut(api: FakeMessagesAPI) -> None:
    """Then its rest is asked for, and not all of an answer again."""
    api.script(Reply.text("no json"), cut_after(cards("A", "B"), 1), Reply.json(cards("B")))
    analysis = await analyze(api)
    assert titles(analysis) == ["A", "B"]
    assert "no json" in api.requests[1].text
    assert "no json" not in api.requests[2].text
    assert '"A"' in api.requests[2].text


async def test_one_bad_part_does_not_fail_the_others(api: FakeMessagesAPI) -> None:
    """It is named as missing."""
    api.answer = lambda request: Reply.text("no json") if 1 in sections_of(request) else Reply.json(found_in(request))
    analysis = await analyze(api, text=LONG, max_input_tokens=200)
    assert "Thing 8" in titles(analysis)
    assert analysis.missing is not None
    assert analysis.missing.code == "invalid_answer"
    assert analysis.missing.message.startswith("Not read: characters 0 to ")


async def test_the_usage_of_all_requests_adds_up(api: FakeMessagesAPI) -> None:
    """Tokens and dollars of every part, cut answer and repair."""
    api.answer = lambda request: Reply.json(found_in(request))
    api.script(Reply.text("no json"), cut_after(cards("A", "B"), 1))
    analysis = await analyze(api, text=LONG, max_input_tokens=200, cache=False)
    usages = [request.usage or {} for request in api.requests]
    assert analysis.usage.requests == len(api.requests)
    assert analysis.usage.input_tokens == sum(usage["input_tokens"] for usage in usages)
    assert analysis.usage.output_tokens == sum(usage["output_tokens"] for usage in usages)
    assert LIST_PRICES.price("claude-sonnet-5-5", prompt=1, on=analyzer().today()) is not None
    assert analysis.usage.cost == pytest.approx(
        (analysis.usage.input_tokens * 2 + analysis.usage.output_tokens * 10) / 1e6
    )


def test_the_request_of_a_document_is_the_one_for_all_of_it() -> None:
    """What is looked at beforehand is what is sent if it fits."""
    (params,) = analyzer().request_params(document(LONG), AnalysisRequest())
    assert LONG in params["messages"][0]["content"][0]["text"]
