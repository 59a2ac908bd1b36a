"""From a document to the request that asks about it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardanalysis._context import UploadContext
from cardanalysis._models import AnalysisRequest
from cardanalysis.analysis._answers import CARDS_SCHEMA
from cardanalysis.analysis._asking import Question
from cardanalysis.analysis._estimates import estimate_tokens, most_input_tokens
from cardanalysis.analysis._parts import Part, whole
from cardanalysis.analysis._questions import Questions
from cardanalysis.analysis._transport import Answer
from cardanalysis.testing import FakeMessagesAPI

sys.path.insert(0, str(Path(__file__).parent))

from claude_kit import analyze, analyzer, document

NOTES = UploadContext(notes="They mean web orders.")


def questions(**settings: Any) -> Questions:
    defaults = {
        "model": "claude-sonnet-5-5",
        "max_tokens": 900,
        "prompt": "p" * 5000,
        "thinking": None,
        "effort": None,
        "cache": True,
    }
    return Questions(**{**defaults, **settings})


def about(made: Questions, *, text: str = "The text.", shared: bool = False, **how: Any) -> Question:
    read = document(text)
    request = AnalysisRequest(context=how.pop("context", None), shared_context=shared)
    return made.about(read, request, how.pop("part", whole(read)), **{"max_cards": 7, **how})


def blocks(question: Question) -> list[dict[str, Any]]:
    (message,) = question.params["messages"]
    assert message["role"] == "user"
    return message["content"]


def test_a_request_says_model_limit_schema_and_instructions() -> None:
    """And nothing else."""
    params = about(questions()).params
    assert set(params) == {"model", "max_tokens", "system", "messages", "output_config"}
    assert (params["model"], params["max_tokens"]) == ("claude-sonnet-5-5", 900)
    assert params["output_config"] == {"format": {"type": "json_schema", "schema": CARDS_SCHEMA}}
    assert params["system"] == [{"type": "text", "text": "p" * 5000, "cache_control": {"type": "ephemeral"}}]


def test_thinking_and_effort_are_passed_through() -> None:
    """As they are given."""
    params = about(questions(thinking={"type": "adaptive"}, effort="low")).params
    assert params["thinking"] == {"type": "adaptive"}
    assert params["output_config"]["effort"] == "low"


def test_a_message_is_what_is_known_then_the_document_then_the_task() -> None:
    """What many messages share comes first, and what to do comes last."""
    context, text, task = blocks(about(questions(), context=NOTES))
    assert "web orders" in context["text"]
    assert "The text." in text["text"]
    assert task["text"] == "Write at most 7 cards."


@pytest.mark.parametrize(
    ("shared", "cache", "marked"), [(True, True, True), (False, True, False), (True, False, False)]
)
def test_only_what_is_shared_is_marked_for_the_cache(shared: bool, cache: bool, marked: bool) -> None:
    """A context of one document alone would be written and never read."""
    question = about(questions(cache=cache), context=NOTES, shared=shared)
    assert ["cache_control" in block for block in blocks(question)] == [marked, False, False]
    assert ("cache_control" in question.params["system"][0]) is cache


def test_what_is_found_and_what_was_rejected_come_at_the_end() -> None:
    """So that what comes before can be the same."""
    question = about(questions(), found=["One"], rejected=("[]", "cards is missing."))
    _, task, repair = blocks(question)
    assert '"One"' in task["text"]
    assert "cards is missing." in repair["text"]


def test_a_part_is_told_from_the_whole() -> None:
    """Its place is said, and only its text is sent."""
    part = Part(start=4, end=8, headings=("Above",))
    place, text, _ = blocks(about(questions(), text="abc text def", part=part))
    assert "Above" in place["text"]
    assert "\ntext\n" in text["text"]
    assert "def" not in text["text"]


def test_prefixes_are_the_same_where_the_cache_would_match() -> None:
    """Whatever the document is; another model, prompt or shared context is another prefix."""
    base = about(questions())
    assert about(questions(), text="Other.", context=NOTES).prefix == base.prefix
    others = [
        about(questions(prompt="q" * 5000)),
        about(questions(model="claude-opus-5-5")),
        about(questions(), context=NOTES, shared=True),
        about(questions(), context=UploadContext(notes="Other."), shared=True),
    ]
    assert len({question.prefix.key for question in (base, *others)}) == 5


@pytest.mark.parametrize(
    ("settings", "worthwhile"),
    [
        ({}, True),
        ({"cache": False}, False),
        ({"prompt": "short"}, False),
        ({"model": "claude-haiku-4-5"}, False),
        ({"model": "claude-haiku-4-5", "prompt": "p" * 10_000}, True),
    ],
)
def test_a_prefix_is_worthwhile_if_the_model_caches_it(settings: dict[str, Any], worthwhile: bool) -> None:
    """Nobody is to wait for one that is too short."""
    assert about(questions(**settings)).prefix.worthwhile is worthwhile


@given(st.text(max_size=60), st.booleans())
def test_the_tokens_of_a_request_are_those_of_all_its_texts(text: str, shared: bool) -> None:
    """What many requests have in common is measured once, and the sum is as if it were measured anew."""
    question = about(questions(effort="low"), text=text, context=NOTES, shared=shared)
    assert question.tokens == estimate_tokens(question.params)
    assert question.most_tokens == most_input_tokens(question.params)


@given(st.text(max_size=60), st.text(max_size=20), st.text(max_size=20))
def test_nothing_in_a_document_ends_its_fence(text: str, title: str, answer: str) -> None:
    """Nor do titles or answers that a document made the model write; and all of it can be encoded."""
    question = about(questions(), text=text, found=[title], rejected=(answer, "no"))
    for block in blocks(question):
        found = re.search(r"<(\w+-[0-9a-f]{16})[ >]", block["text"])
        assert found is not None
        tag = found[1]
        assert block["text"].count(f"</{tag}>") == 1
        block["text"].encode()


def test_request_params_are_the_arguments_of_the_client() -> None:
    """What would be sent can be looked at without sending it."""
    claude = analyzer(prompt="Be quick.", thinking={"type": "disabled"})
    (params,) = claude.request_params(document(), AnalysisRequest(max_cards=3))
    assert params["system"][0]["text"] == "Be quick."
    assert params["thinking"] == {"type": "disabled"}
    assert params["messages"][0]["content"][-1]["text"] == "Write at most 3 cards."
    long = analyzer(max_input_tokens=200).request_params(document("One sentence. " * 60), AnalysisRequest(max_cards=10))
    assert len(long) == 3
    assert all("place-" in params["messages"][0]["content"][0]["text"] for params in long)


@pytest.mark.anyio
async def test_options_of_ones_own_are_sent_and_recorded() -> None:
    """The prompt by its version, thinking and effort as they are; what is not set is not described."""
    options: dict[str, Any] = {"prompt": "Be quick.", "thinking": {"type": "adaptive"}, "effort": "low"}
    with FakeMessagesAPI() as api:
        await analyze(api, **options)
    body = api.requests[0].body
    assert body["system"][0]["text"] == "Be quick."
    assert (body["thinking"], body["output_config"]["effort"]) == ({"type": "adaptive"}, "low")
    described = analyzer(**options).describe()
    assert described["prompt_version"].startswith("custom-")
    assert (described["thinking"], described["effort"]) == ({"type": "adaptive"}, "low")
    assert {"thinking", "effort"}.isdisjoint(analyzer().describe())


def test_an_answer_shows_nothing_of_its_headers() -> None:
    """Nor of its text: a repr may end in a log."""
    from cardanalysis.analysis._prices import TokenCounts
    from cardanalysis.analysis._replies import Reply

    reply = Reply(text="secret", stop_reason=None, refusal=None, model="m", tokens=TokenCounts(), price_factor=1.0)
    assert "secret" not in repr(Answer(reply=reply, headers={"x": "secret"}))
