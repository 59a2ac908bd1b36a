"""What requests cost, answered or not."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from cardanalysis._errors import AnalyzerError
from cardanalysis._models import Usage
from cardanalysis.analysis._billing import Billing
from cardanalysis.analysis._estimates import worst_case
from cardanalysis.analysis._prices import LIST_PRICES, TokenCounts
from cardanalysis.analysis._replies import Reply
from cardanalysis.analysis._transport import Failure, FailureKind

DAY = date(2026, 11, 24)
MODEL = "claude-sonnet-5-5"
TOKENS = TokenCounts(input=1000, cache_write_5m=200, cache_read=5000, output=300)
COST = (1000 * 2 + 200 * 2.5 + 5000 * 0.1 + 300 * 10) / 1e6


def billing(**facts: Any) -> Billing:
    return Billing(**{"prices": LIST_PRICES, "model": MODEL, "today": lambda: DAY, **facts})


def reply(**facts: Any) -> Reply:
    return Reply(
        **{
            "text": "",
            "stop_reason": "end_turn",
            "refusal": None,
            "model": MODEL,
            "tokens": TOKENS,
            "price_factor": 1.0,
            **facts,
        }
    )


def failed(**facts: Any) -> Failure:
    return Failure(**{"kind": FailureKind.TRANSIENT, "error": AnalyzerError("no"), **facts})


def test_an_answer_is_priced_by_its_tokens() -> None:
    """The four kinds are counted apart."""
    usage = billing().answered(reply())
    assert usage.cost == pytest.approx(COST)
    assert (usage.requests, usage.input_tokens, usage.output_tokens) == (1, 1000, 300)
    assert (usage.cache_read_tokens, usage.cache_write_tokens) == (5000, 200)


@pytest.mark.parametrize(("factor", "cost"), [(0.5, COST / 2), (1.1, COST * 1.1), (0.0, 0.0), (None, None)])
def test_what_the_api_says_of_the_price_holds(factor: float | None, cost: float | None) -> None:
    """Half in a batch, nothing for a refusal, and unknown where another list holds."""
    assert billing().answered(reply(price_factor=factor)).cost == (cost if cost is None else pytest.approx(cost))


def test_the_model_that_answered_is_the_one_that_is_paid() -> None:
    """An alias may stand for another; one that is not told is the one that was asked."""
    assert billing().answered(reply(model="claude-opus-5-5")).cost == pytest.approx(COST * 2)
    assert billing().answered(reply(model="")).cost == pytest.approx(COST)
    assert billing().answered(reply(model="claude-future-9")).cost is None


@pytest.mark.parametrize(
    ("failure", "usage"),
    [
        (failed(status=429, unbilled=True), Usage(requests=1)),
        (failed(), Usage(requests=1)),
        (failed(unbilled=True), Usage()),
    ],
)
def test_a_failed_attempt_counts_if_it_was_sent(failure: Failure, usage: Usage) -> None:
    """An error answer costs nothing, and what never left this machine was no request."""
    assert billing().failed(failure) == usage


def test_what_a_broken_stream_told_counts() -> None:
    """It is billed."""
    usage = billing().failed(failed(tokens=TOKENS))
    assert (usage.requests, usage.output_tokens, usage.cost) == (1, 300, pytest.approx(COST))
    assert billing(model="claude-future-9").failed(failed(tokens=TOKENS)).cost is None


def test_the_worst_case_is_never_below_what_a_request_costs() -> None:
    """It allows for all input at the dearest rate and all the output that may come."""
    worst = billing().worst(400, 1000)
    assert worst == worst_case(LIST_PRICES, MODEL, 400, 1000, on=DAY)
    assert worst is not None
    assert worst >= (400 * 4 + 1000 * 10) / 1e6


def test_the_worst_case_of_an_unknown_price_is_unknown() -> None:
    """It is never taken for nothing."""
    assert billing(model="claude-future-9").worst(400, 1000) is None
