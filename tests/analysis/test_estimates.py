"""Guesses of tokens, and the upper bound of what a request costs."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis.analysis import LIST_PRICES, Price, PriceTable, TokenCounts
from cardanalysis.analysis._estimates import estimate_tokens, likely_output_tokens, most_input_tokens, worst_case

TODAY = date(2026, 11, 24)
PARAMS: dict[str, Any] = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 1000,
    "system": [{"type": "text", "text": "Find cards.", "cache_control": {"type": "ephemeral"}}],
    "messages": [{"role": "user", "content": [{"type": "text", "text": "Das Büro braucht 10 Stühle."}]}],
    "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
}


# -- tokens --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "at_least", "at_most"),
    [
        # At least: characters by the public glossary's 3.5 a token and 30 % more for newer models; German a third more.
        ("The clerk enters every claim by hand, which takes four days. " * 100, 2260, 4000),
        ("Der Sachbearbeiter erfasst jeden Schaden von Hand, was vier Tage dauert. " * 100, 3600, 4500),
        ("def total(xs: list[int]) -> int:\n    return sum(x for x in xs if x)\n" * 100, 2550, 4000),
        ("每件索赔都由职员手工录入，需要四天。" * 100, 1800, 3600),  # noqa: RUF001
    ],
    ids=["english", "german", "code", "chinese"],
)
def test_the_guess_is_on_the_safe_side(text: str, at_least: int, at_most: int) -> None:
    """It is above what is told of the tokenizer, and not far above."""
    assert at_least <= estimate_tokens(text) <= at_most


@pytest.mark.parametrize("value", ["", None, [], {}])
def test_nothing_is_no_token(value: object) -> None:
    """An empty value needs nothing."""
    assert estimate_tokens(value) == 0


def test_a_request_is_at_least_its_texts() -> None:
    """Every text counts, wherever it stands; so do names, numbers and truth values."""
    assert estimate_tokens("ab") == 1
    assert estimate_tokens({"ab": ["cd", 12, True, None, ("ef",)]}) == 6
    assert estimate_tokens(PARAMS) > estimate_tokens("Find cards.Das Büro braucht 10 Stühle.")


@given(st.text(), st.text())
def test_a_longer_text_has_no_fewer_tokens(one: str, other: str) -> None:
    """Parts of a document are never larger than the document."""
    assert estimate_tokens(one) <= estimate_tokens(one + other) <= estimate_tokens(one) + estimate_tokens(other)


@given(st.text(alphabet=st.characters(exclude_categories=[])))
def test_the_bound_is_a_token_for_each_byte_and_more(text: str) -> None:
    """No text of whatever script, lone surrogates included, can have more tokens than the bound."""
    assert most_input_tokens({"messages": text}) >= len(text.encode(errors="surrogatepass")) + 1000


def test_the_schema_counts_twice_in_the_bound() -> None:
    """The API writes instructions that hold the schema once more."""
    plain = {name: value for name, value in PARAMS.items() if name != "output_config"}
    schema = most_input_tokens(PARAMS) - most_input_tokens(plain)
    assert schema == 2 * len("formattypejson_schemaschematypeobject") + len("output_config")


# -- output --------------------------------------------------------------------------------------------------------


def request(text: str, **changes: Any) -> dict[str, Any]:
    return {**PARAMS, "max_tokens": 16_000, "messages": [{"role": "user", "content": text}], **changes}


def test_an_answer_grows_with_the_document_up_to_the_cards_wanted() -> None:
    """A long document has more cards than a short one, and none more than wanted."""
    short, long, longer = (likely_output_tokens(request("word " * n), max_cards=20) for n in (100, 1_000, 1_000_000))
    assert short < long < longer
    assert longer == likely_output_tokens(request("word " * 2_000_000), max_cards=20)
    assert likely_output_tokens(request("word " * 10_000), max_cards=2) < longer


def test_no_answer_is_longer_than_allowed() -> None:
    """``max_tokens`` bounds the guess."""
    assert likely_output_tokens(request("word " * 10_000, max_tokens=100), max_cards=20) == 100


def test_thinking_is_part_of_an_answer_unless_it_is_off() -> None:
    """Thinking is billed as output."""
    thinking = likely_output_tokens(request("word"), max_cards=1)
    assert likely_output_tokens(request("word", thinking={"type": "adaptive"}), max_cards=1) == thinking
    assert likely_output_tokens(request("word", thinking={"type": "disabled"}), max_cards=1) < thinking


# -- the worst case ------------------------------------------------------------------------------------------------

RATES: dict[str, Any] = {"input": 1, "cache_write_5m": 2, "cache_write_1h": 3, "cache_read": 0.5, "output": 10}


def price(since: date = date(2026, 1, 1), **changes: Any) -> Price:
    return Price(model="m", effective_from=since, **(RATES | changes))


def test_the_worst_case_is_the_dearest_input_and_all_the_output() -> None:
    """All input as if written to the cache for an hour, all output allowed, in the US alone."""
    assert worst_case(PriceTable([price()]), "m", 1_000_000, 100_000, on=TODAY) == pytest.approx(1.1 * (3 + 1))


def test_the_dearest_kind_is_not_always_the_same() -> None:
    """A table in which reading the cache is dearest counts as that."""
    table = PriceTable([price(cache_read=7)])
    assert worst_case(table, "m", 1_000_000, 0, on=TODAY) == pytest.approx(1.1 * 7)


def test_steps_by_the_length_of_the_prompt_count() -> None:
    """A longer prompt may fall into a dearer step, or stay in a step that is dearer than the next."""
    dear = price(cache_write_1h=30)
    table = PriceTable([price(max_prompt=1_000), dear])
    assert worst_case(table, "m", 1_000, 0, on=TODAY) == pytest.approx(1.1 * 3 * 1_000 / 1e6)
    assert worst_case(table, "m", 1_001, 0, on=TODAY) == pytest.approx(1.1 * 30 * 1_001 / 1e6)
    falling = PriceTable([price(max_prompt=1_000, cache_write_1h=30), price()])
    assert worst_case(falling, "m", 1_001, 0, on=TODAY) == pytest.approx(1.1 * 30 * 1_000 / 1e6)


def test_a_price_that_holds_from_tomorrow_counts() -> None:
    """A request that is sent at midnight, or waits in a batch, may be billed by the next day's price."""
    table = PriceTable([price(), price(since=TODAY + timedelta(days=1), cache_write_1h=9)])
    assert worst_case(table, "m", 1_000_000, 0, on=TODAY) == pytest.approx(1.1 * 9)


@pytest.mark.parametrize(
    ("table", "tokens"),
    [(PriceTable([]), 1), (PriceTable([price(max_prompt=10)]), 11), (PriceTable([price(since=TODAY)]), 1)],
)
def test_an_unknown_price_has_no_worst_case(table: PriceTable, tokens: int) -> None:
    """Not a model that the table does not know, nor a prompt longer than all its steps, nor a price still to come."""
    assert worst_case(table, "m", tokens, 1, on=TODAY - timedelta(days=1)) is None


@settings(max_examples=100)
@given(
    st.sampled_from(["claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5", "claude-fable-5-2"]),
    st.lists(st.integers(0, 80_000), min_size=4, max_size=4),
    st.integers(0, 20_000),
    st.integers(0, 20_000),
    st.sampled_from([0.5, 1.0, 1.1, 0.55]),
    st.integers(0, 1),
)
def test_no_request_costs_more_than_its_worst_case(
    model: str, parts: list[int], output: int, more: int, factor: float, days: int
) -> None:
    """However the input is split between kinds, whatever the answer's length, day and place."""
    tokens = TokenCounts(
        input=parts[0], cache_write_5m=parts[1], cache_write_1h=parts[2], cache_read=parts[3], output=output
    )
    cost = LIST_PRICES.cost(model, tokens, on=TODAY + timedelta(days=days))
    worst = worst_case(LIST_PRICES, model, sum(parts) + more, output + more, on=TODAY)
    assert cost is not None
    assert worst is not None
    assert cost * factor <= worst * (1 + 1e-12)
