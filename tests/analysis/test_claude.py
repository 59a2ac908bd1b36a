"""`ClaudeAnalyzer` against the fake Messages API, on both event loops."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any, get_args

import anyio
import pytest
from anthropic import AsyncAnthropic
from anthropic.resources.messages.messages import DEPRECATED_MODELS
from anthropic.types.model import Model

from cardanalysis._context import UploadContext
from cardanalysis._errors import AnalyzerError, CardAnalysisError, ConfigurationError
from cardanalysis._models import AnalysisRequest, Priority, Usage
from cardanalysis.abc import Analyzer, BatchAnalyzer, Described, OpenableAnalyzer
from cardanalysis.analysis import _sdk
from cardanalysis.analysis._claude import ClaudeAnalyzer
from cardanalysis.analysis._prices import Price, PriceTable
from cardanalysis.analysis._prompts import CARDS_PROMPT, PROMPT_VERSION
from cardanalysis.analysis._sdk import default_model
from cardanalysis.testing import FakeMessagesAPI, Reply

sys.path.insert(0, str(Path(__file__).parent))

from claude_kit import CARD, KEY, ONCE, ONE_CARD, TEXT, analyze, analyzer, document
from claude_kit import failure as failed

pytestmark = pytest.mark.anyio


@pytest.fixture
def api() -> Iterator[FakeMessagesAPI]:
    with FakeMessagesAPI(answer=Reply.json(ONE_CARD)) as api:
        yield api


# --- what is asked ----------------------------------------------------------------------------------------------------


async def test_a_document_becomes_cards(api: FakeMessagesAPI) -> None:
    """One request, and the answer's cards with their quotes, marked with the model that made them."""
    analysis = await analyze(api, model="claude-opus-5-5")
    (card,) = analysis.cards
    assert (card.title, card.priority, card.made_by) == ("Import orders", Priority.HIGH, "claude-opus-5-5")
    assert card.quotes == ("Clerks retype every order by hand.",)
    assert card.evidence == ()
    assert analysis.notes == ()
    assert len(api.requests) == 1


async def test_the_request_asks_for_structured_output(api: FakeMessagesAPI) -> None:
    """Model, limit and schema are sent, and nothing that the API refuses or that was not asked for."""
    await analyze(api, max_cards=7, max_tokens=50_000)
    (request,) = api.requests
    assert set(request.body) == {"model", "max_tokens", "system", "messages", "output_config", "stream"}
    assert (request.body["model"], request.body["max_tokens"]) == (default_model(), 50_000)
    assert set(request.body["output_config"]) == {"format"}
    assert request.body["output_config"]["format"]["type"] == "json_schema"
    (instructions,) = request.body["system"]
    assert instructions["text"] == CARDS_PROMPT
    assert request.text.endswith("Write at most 7 cards.")


async def test_the_document_is_sent_fenced_with_what_is_known(api: FakeMessagesAPI) -> None:
    """One user message holds the context and the text, and the instructions hold neither."""
    await analyze(api, context=UploadContext(notes="They mean web orders.", confidentiality="internal"))  # type: ignore[arg-type]
    (request,) = api.requests
    assert [message["role"] for message in request.body["messages"]] == ["user"]
    assert request.text.index("They mean web orders.") < request.text.index(TEXT)
    assert "internal" not in request.text
    assert TEXT not in str(request.body["system"])


async def test_half_surrogates_do_not_stop_a_document(api: FakeMessagesAPI) -> None:
    """Text that cannot be encoded is sent with replacement characters."""
    await analyze(api, text="a\ud800b", context=UploadContext(notes="\udfff"))
    assert "a\ufffdb" in api.requests[0].text


async def test_many_documents_share_one_opening() -> None:
    """An opened analyzer works on several documents at once."""
    texts = [f"Document {number}" for number in range(6)]

    def answer(request: Any) -> Reply:
        (found,) = [text for text in texts if text in request.text]
        return Reply.json({"cards": [CARD | {"title": found}]})

    titles: dict[str, str] = {}

    async def one(ready: Analyzer, text: str) -> None:
        analysis = await ready.analyze(document(text), AnalysisRequest())
        titles[text] = analysis.cards[0].title

    with FakeMessagesAPI(answer=answer) as api:
        client = AsyncAnthropic(api_key=KEY, base_url=api.base_url)
        async with client, analyzer(client).open() as ready, anyio.create_task_group() as tasks:
            for text in texts:
                tasks.start_soon(one, ready, text)
    assert titles == {text: text for text in texts}


# --- what comes back --------------------------------------------------------------------------------------------------


async def test_a_document_without_cards_is_no_failure(api: FakeMessagesAPI) -> None:
    """An empty list is an answer."""
    api.script(Reply.json({"cards": []}))
    analysis = await analyze(api)
    assert (analysis.cards, analysis.notes, analysis.usage.requests) == ((), (), 1)


async def test_the_default_answer_of_the_fake_is_taken(api: FakeMessagesAPI) -> None:
    """What fits the schema that was sent becomes cards."""
    api.script(Reply.default())
    assert len((await analyze(api)).cards) == 1


async def test_the_answer_may_stand_in_several_blocks_behind_thinking(api: FakeMessagesAPI) -> None:
    """Text blocks are joined, wherever they stand."""
    api.script(Reply.json(ONE_CARD, thinking="Let me see.", blocks=3))
    assert (await analyze(api)).cards[0].title == "Import orders"


async def test_cards_beyond_the_most_that_were_wanted_are_noted(api: FakeMessagesAPI) -> None:
    """The first ones are kept, and a note says that there were more."""
    api.script(Reply.json({"cards": [CARD | {"title": f"Card {number}"} for number in range(25)]}))
    analysis = await analyze(api)
    assert [card.title for card in analysis.cards] == [f"Card {number}" for number in range(20)]
    assert analysis.notes == ("The model returned 25 cards; the first 20 were kept.",)


USAGE = {
    "input_tokens": 1000,
    "cache_creation_input_tokens": 200,
    "cache_read_input_tokens": 5000,
    "output_tokens": 300,
}
PRICES = PriceTable(
    [
        Price(
            model="claude-sonnet-5-5",
            effective_from=date(2026, 1, 1),
            input=2,
            cache_write_5m=2.5,
            cache_write_1h=4,
            cache_read=0.1,
            output=10,
        )
    ]
)
COST = (1000 * 2 + 200 * 2.5 + 5000 * 0.1 + 300 * 10) / 1e6


async def test_the_usage_is_counted_and_priced(api: FakeMessagesAPI) -> None:
    """The four kinds of tokens are counted apart, and priced by the given table on the given day."""
    api.script(Reply.json(ONE_CARD, usage=USAGE))
    analysis = await analyze(api, model="claude-sonnet-5-5", prices=PRICES, today=lambda: date(2026, 11, 24))
    cost = analysis.usage.cost
    assert cost == pytest.approx(COST)
    assert analysis.usage == Usage(
        requests=1, input_tokens=1000, output_tokens=300, cache_read_tokens=5000, cache_write_tokens=200, cost=cost
    )


async def test_the_list_prices_are_used_unless_told_otherwise(api: FakeMessagesAPI) -> None:
    """A current model has a cost without anything being set."""
    assert (await analyze(api)).usage.cost


async def test_a_price_that_is_not_known_is_none(api: FakeMessagesAPI) -> None:
    """It is never taken for 0."""
    assert (await analyze(api, model="claude-future-9")).usage.cost is None
    assert (
        await analyze(api, model="claude-sonnet-5-5", prices=PRICES, today=lambda: date(2025, 1, 1))
    ).usage.cost is None


# --- what fails -------------------------------------------------------------------------------------------------------


async def failure(api: FakeMessagesAPI, reply: Reply, **settings: Any) -> CardAnalysisError:
    """The error for a reply, without another attempt."""
    api.script(reply)
    return await failed(api, **{"retry": ONCE, **settings})


LIMITS = "You have reached your specified API usage limits. You will regain access on 2026-12-01."


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply.error(401), "authentication"),
        (Reply.error(402), "billing"),
        (Reply.error(403), "permission"),
        (Reply.error(404), "unknown_model"),
        (Reply.html(404), "client_setup"),
        (Reply.error(400, message=LIMITS), "billing"),
        (Reply.error(400, error_code="organization_on_hold"), "permission"),
        (Reply.spend_limit(), "billing"),
        (Reply.error(429, error_code="contract_spend_limit_reached"), "billing"),
    ],
)
async def test_what_no_retry_mends_stops_the_run(api: FakeMessagesAPI, reply: Reply, code: str) -> None:
    """It would fail every document, so it is a configuration error, with the API's request id."""
    error = await failure(api, reply)
    assert isinstance(error, ConfigurationError)
    assert error.code == code
    assert f"request {api.requests[-1].request_id}" in str(error)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply.rate_limited(30), "rate_limited"),
        (Reply.error(429, error_code="ramp_limit_exceeded"), "rate_limited"),
        (Reply.overloaded(), "api_unavailable"),
        (Reply.error(500), "api_unavailable"),
        (Reply.html(502), "api_unavailable"),
        (Reply.error(504), "api_unavailable"),
        (Reply.error(408), "request_timed_out"),
        (Reply.error(409), "invalid_request"),
        (Reply.error(413), "too_large"),
        (Reply.error(400), "invalid_request"),
        (Reply.error(400, message=f"messages.0: {TEXT} is not good"), "invalid_request"),
        (Reply.error(422), "invalid_request"),
        (Reply.error(400, message="prompt is too long: 201 tokens > 200 maximum"), "context_window_exceeded"),
        (Reply.html(200), "invalid_response"),
        (Reply.malformed(), "invalid_response"),
        (Reply.garbage(), "invalid_response"),
        (Reply.message(dict.fromkeys(("id", "type", "content", "usage", "stop_reason"))), "invalid_response"),
    ],
)
async def test_what_the_api_answers_amiss_fails_the_document(api: FakeMessagesAPI, reply: Reply, code: str) -> None:
    """The error has the API's request id, and the request is counted."""
    error = await failure(api, reply)
    assert isinstance(error, AnalyzerError)
    assert (error.code, error.usage) == (code, Usage(requests=1))
    assert f"request {api.requests[-1].request_id}" in str(error)


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Reply.truncated(ONE_CARD), "truncated"),
        (Reply.refusal("bio", text="I"), "refused"),
        (Reply.context_window_exceeded(ONE_CARD), "context_window_exceeded"),
        (Reply.json(ONE_CARD, stop_reason="tool_use"), "invalid_response"),
        (Reply.text("Here are your cards"), "invalid_answer"),
        (Reply.text(" "), "invalid_answer"),
        (Reply.json([CARD]), "invalid_answer"),
        (Reply.json({"cards": [CARD | {"title": " "}]}), "invalid_answer"),
    ],
)
async def test_a_message_that_is_no_whole_answer_costs_all_the_same(
    api: FakeMessagesAPI, reply: Reply, code: str
) -> None:
    """A cut, refused or invalid answer is never taken for cards, and its error carries what it cost."""
    error = await failure(api, reply)
    assert isinstance(error, AnalyzerError)
    assert error.code == code
    assert error.usage is not None
    assert error.usage.requests == 1
    assert error.usage.input_tokens > 0
    assert error.usage.output_tokens > 0
    assert error.usage.cost
    assert f"request {api.requests[-1].request_id}" in str(error)


async def test_a_refusal_without_any_output_is_counted_but_costs_nothing(api: FakeMessagesAPI) -> None:
    """The API reports its tokens and does not bill them; the category is told."""
    error = await failure(api, Reply.refusal("cyber"))
    assert isinstance(error, AnalyzerError)
    assert error.usage is not None
    assert error.usage.input_tokens > 0
    assert error.usage.cost == 0
    assert "cyber" in str(error)


async def test_an_answer_without_content_is_invalid(api: FakeMessagesAPI) -> None:
    """The model may end its turn without a word; that is no list of cards."""
    error = await failure(api, Reply.text("", blocks=0))
    assert error.code == "invalid_answer"
    assert "The answer is empty." in str(error)


async def test_an_invalid_answer_is_named_by_its_path(api: FakeMessagesAPI) -> None:
    """The message says where the answer breaks the schema."""
    error = await failure(api, Reply.json({"cards": [CARD, CARD | {"priority": "urgent"}]}))
    assert "cards[1].priority must be one of high, medium, low, unstated." in str(error)


@pytest.mark.parametrize(("reply", "output"), [(Reply.cut(), True), (Reply.dropped(), False)])
async def test_a_connection_that_breaks_fails_the_document(api: FakeMessagesAPI, reply: Reply, output: bool) -> None:
    """The network is to blame, so the others go on; the request is counted, with what the stream had told."""
    error = await failure(api, reply)
    assert isinstance(error, AnalyzerError)
    assert error.code == "connection_failed"
    assert error.usage is not None
    assert error.usage.requests == 1
    assert (error.usage.output_tokens > 0) is output


async def test_nobody_at_the_other_end_is_a_broken_connection() -> None:
    """A refused connection reads like a broken one, but no request was made."""
    with FakeMessagesAPI() as api:
        pass
    error = await failed(api, retry=ONCE)
    assert isinstance(error, AnalyzerError)
    assert (error.code, error.usage) == ("connection_failed", Usage())


async def test_cancellation_passes_through() -> None:
    """A cancelled analysis ends with the cancellation, not with an error of its own."""
    with FakeMessagesAPI(latency=30) as api:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(analyze, api)
            await anyio.to_thread.run_sync(api.wait_for_requests, 1)
            tasks.cancel_scope.cancel()
    assert tasks.cancel_scope.cancelled_caught


# --- settings ---------------------------------------------------------------------------------------------------------


def test_the_default_model_is_known_and_not_deprecated() -> None:
    """The installed SDK names it and does not list it as deprecated."""
    known = {name for part in get_args(Model) for name in get_args(part)}
    assert default_model() in known
    assert default_model() not in DEPRECATED_MODELS
    assert default_model() == "claude-sonnet-5-5"


def test_a_deprecated_default_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a newer SDK the next candidate is taken, and the first if there is no better one."""
    monkeypatch.setattr(_sdk.sdk_messages, "DEPRECATED_MODELS", {"claude-sonnet-5-5": "soon"})
    assert default_model() == "claude-sonnet-5"
    monkeypatch.setattr(_sdk.sdk_messages, "DEPRECATED_MODELS", dict.fromkeys(_sdk._MID_PRICED, "soon"))
    assert default_model() == "claude-sonnet-5-5"
    monkeypatch.delattr(_sdk.sdk_messages, "DEPRECATED_MODELS")
    assert default_model() == "claude-sonnet-5-5"


async def test_a_deprecated_model_of_the_caller_is_warned_of(api: FakeMessagesAPI) -> None:
    """The SDK's own warning comes through, and the analysis goes on."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        analysis = await analyze(api, model="claude-sonnet-4-5")
    assert "claude-sonnet-4-5" in str(caught[0].message)
    assert len(analysis.cards) == 1


def test_what_the_answers_depend_on_is_described() -> None:
    """The description is JSON, and changes with what changes the answers."""
    claude = ClaudeAnalyzer(model="claude-opus-5-5", max_tokens=900)
    assert claude.name == "claude"
    assert json.loads(json.dumps(claude.describe())) == {
        "model": "claude-opus-5-5",
        "prompt_version": PROMPT_VERSION,
        "schema_version": "1",
        "max_tokens": 900,
        "max_input_tokens": 100_000,
    }
    assert isinstance(claude, Described)
    assert isinstance(claude, OpenableAnalyzer)
    assert isinstance(claude, BatchAnalyzer)


@pytest.mark.parametrize(
    "settings",
    [
        {"model": ""},
        {"model": 7},
        {"max_tokens": 0},
        {"max_tokens": True},
        {"max_tokens": 1.5},
        {"request_timeout": 0},
        {"request_timeout": float("inf")},
        {"request_timeout": float("nan")},
        {"request_timeout": "60"},
        {"request_timeout": True},
        {"connect_timeout": -1},
        {"idle_timeout": 0},
        {"max_input_tokens": 0},
        {"prompt": ""},
        {"prompt": " \n"},
        {"prompt": 5},
        {"thinking": "adaptive"},
        {"effort": 3},
        {"effort": ""},
        {"effort": "most"},
        {"cache": "yes"},
        {"cache": None},
        {"stream": 0},
        {"prices": {}},
        {"prices": [PRICES]},
        {"today": date(2026, 11, 24)},
        {"retry": 3},
        {"pacer": "mine"},
        {"batches": 7},
    ],
)
def test_settings_are_checked_at_once(settings: dict[str, Any]) -> None:
    """A wrong setting is refused when the analyzer is made, by its name."""
    with pytest.raises(ConfigurationError, match=f"^{next(iter(settings))} must"):
        ClaudeAnalyzer(**settings)


@pytest.mark.parametrize("effort", [None, "low", "medium", "high", "xhigh", "max"])
def test_every_effort_that_the_sdk_knows_is_taken(effort: str | None) -> None:
    """The values are the SDK's own."""
    assert ClaudeAnalyzer(effort=effort).effort == effort


def test_settings_do_not_change() -> None:
    """An analyzer can be shared because nothing about it changes."""
    with pytest.raises(AttributeError):
        ClaudeAnalyzer().model = "claude-opus-5-5"  # type: ignore[misc]


def test_the_key_is_not_shown() -> None:
    """Neither the client nor its key is in the analyzer's repr, nor the text of a prompt."""
    shown = repr(ClaudeAnalyzer(AsyncAnthropic(api_key=KEY), model="claude-opus-5-5", prompt="Be quick."))
    assert shown.startswith("ClaudeAnalyzer(model='claude-opus-5-5', max_tokens=16000, ")
    assert KEY not in shown
    assert "Be quick." not in shown
