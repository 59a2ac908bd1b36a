"""The price table."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardanalysis._errors import ConfigurationError
from cardanalysis.analysis._prices import LIST_PRICES, Price, PriceTable, TokenCounts

TODAY = date(2026, 11, 24)
RATES: dict[str, Any] = {"input": 1, "cache_write_5m": 2, "cache_write_1h": 3, "cache_read": 0.5, "output": 10}


def price(model: str = "m", since: date = date(2026, 1, 1), **changes: Any) -> Price:
    return Price(model=model, effective_from=since, **(RATES | changes))


@pytest.mark.parametrize(
    ("kind", "dollars"),
    [("input", 1), ("cache_write_5m", 2), ("cache_write_1h", 3), ("cache_read", 0.5), ("output", 10)],
)
def test_each_kind_of_token_has_its_own_rate(kind: str, dollars: float) -> None:
    """A million tokens of a kind cost that kind's rate."""
    cost = PriceTable([price()]).cost("m", TokenCounts(**{kind: 1_000_000}), on=TODAY)
    assert cost == pytest.approx(dollars)


def test_kinds_add_up() -> None:
    """The cost of a request is the sum over its kinds of tokens."""
    tokens = TokenCounts(input=1000, cache_write_5m=100, cache_write_1h=10, cache_read=5000, output=300)
    expected = (1000 * 1 + 100 * 2 + 10 * 3 + 5000 * 0.5 + 300 * 10) / 1e6
    assert PriceTable([price()]).cost("m", tokens, on=TODAY) == pytest.approx(expected)


def test_an_unknown_model_has_no_price() -> None:
    """What is not known costs None, never 0."""
    assert PriceTable([price()]).cost("n", TokenCounts(input=1), on=TODAY) is None
    assert LIST_PRICES.cost("claude-nobody-9", TokenCounts(), on=TODAY) is None


@pytest.mark.parametrize(
    ("day", "rate"), [(date(2025, 12, 31), None), (date(2026, 1, 1), 1), (date(2026, 5, 31), 1), (date(2026, 6, 1), 4)]
)
def test_a_price_holds_from_its_day_on(day: date, rate: float | None) -> None:
    """The newest price that has come counts; before the first there is none."""
    table = PriceTable([price(since=date(2026, 6, 1), input=4), price()])
    assert table.cost("m", TokenCounts(input=1_000_000), on=day) == rate


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("claude-haiku-4-5", True),
        ("claude-haiku-4-5-20251001", True),
        ("claude-haiku-4-5-2025", False),
        ("claude-haiku-4", False),
        ("claude-haiku-4-5-6", False),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", False),
    ],
)
def test_a_dated_id_has_the_price_of_its_model(model: str, known: bool) -> None:
    """A date at the end is passed over; a longer name is another model."""
    assert (LIST_PRICES.price(model, on=TODAY) is not None) is known


def test_an_exact_id_goes_before_its_model() -> None:
    """A table may price one dated id apart."""
    table = PriceTable([price("m"), price("m-20260101", input=7)])
    found = table.price("m-20260101", on=TODAY)
    assert found is not None
    assert found.input == 7


@pytest.mark.parametrize(
    ("tokens", "rate"),
    [
        (TokenCounts(input=100_000), 0.10),
        (TokenCounts(input=100_001), 0.50),
        (TokenCounts(input=1, cache_read=99_999), 0.10),
        (TokenCounts(input=1, cache_read=60_000, cache_write_5m=30_000, cache_write_1h=10_000), 0.50),
    ],
)
def test_a_rate_may_depend_on_the_length_of_the_prompt(tokens: TokenCounts, rate: float) -> None:
    """Haiku 5.5 has a step above 100,000 tokens of prompt, counting what the cache holds."""
    found = LIST_PRICES.price("claude-haiku-5-5", prompt=tokens.prompt, on=TODAY)
    assert found is not None
    assert found.input == rate


def test_output_is_priced_by_the_step_too() -> None:
    """The step holds for the whole request, output included."""
    long = TokenCounts(input=200_000, output=1_000_000)
    assert LIST_PRICES.cost("claude-haiku-5-5", long, on=TODAY) == pytest.approx(0.10 + 2.50)


@pytest.mark.parametrize(("day", "rate"), [(date(2026, 10, 6), 0.20), (date(2026, 10, 7), 0.10)])
def test_cache_reads_of_sonnet_became_cheaper_in_october(day: date, rate: float) -> None:
    """A change of price by date is in the list."""
    assert LIST_PRICES.cost("claude-sonnet-5-5", TokenCounts(cache_read=1_000_000), on=day) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("model", "rates"),
    [
        ("claude-sonnet-5-5", (2, 2.50, 4, 0.10, 10)),
        ("claude-sonnet-4-6", (3, 3.75, 6, 0.30, 15)),
        ("claude-opus-5-5", (4, 5, 8, 0.20, 20)),
        ("claude-opus-4-7", (5, 6.25, 10, 0.50, 25)),
        ("claude-fable-5-2", (8, 10, 16, 0.20, 40)),
        ("claude-mythos-5-1", (10, 12.50, 20, 0.25, 50)),
        ("claude-haiku-4-5", (1, 1.25, 2, 0.10, 5)),
    ],
)
def test_the_list_has_the_published_rates(model: str, rates: tuple[float, ...]) -> None:
    """The five rates stand in their own columns."""
    found = LIST_PRICES.price(model, on=TODAY)
    assert found is not None
    assert (found.input, found.cache_write_5m, found.cache_write_1h, found.cache_read, found.output) == rates


def test_every_listed_model_is_one_that_the_sdk_knows() -> None:
    """A slip in a name would make its price unfindable."""
    from anthropic.types.model import Model

    known = {name for part in get_args(Model) for name in get_args(part)}
    listed = set(repr(LIST_PRICES).removeprefix("PriceTable(").removesuffix(")").split(", "))
    assert listed <= known


@pytest.mark.parametrize("wrong", [-1, float("inf"), float("nan"), "2", True, None])
def test_a_rate_must_be_a_number_of_dollars(wrong: object) -> None:
    """A table of a user's own is checked when it is made."""
    with pytest.raises(ConfigurationError, match="output must be a number of dollars"):
        price(output=wrong)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"since": "2026-01-01"}, "effective_from must be a datetime.date, not str"),
        ({"since": datetime(2026, 1, 1)}, "effective_from must be a datetime.date, not datetime"),  # noqa: DTZ001
        ({"since": None}, "effective_from must be a datetime.date, not NoneType"),
        ({"max_prompt": 0}, "max_prompt must be a whole number of at least 1"),
        ({"max_prompt": "x"}, "max_prompt must be a whole number of at least 1"),
        ({"max_prompt": True}, "max_prompt must be a whole number of at least 1"),
    ],
)
def test_a_day_and_a_step_that_make_no_sense_are_refused(wrong: dict[str, Any], told: str) -> None:
    """When the price is made, not when the first request is priced."""
    with pytest.raises(ConfigurationError, match=told):
        price(**wrong)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (5, "an iterable of Price, such as a list, not int"),
        (None, "an iterable of Price, such as a list, not NoneType"),
        (price(), "an iterable of Price, such as a list, not Price"),
        ({"m": 1}, "must hold Price objects, not str"),
        ([price(), 3], "must hold Price objects, not int"),
    ],
    ids=str,
)
def test_a_table_is_made_of_prices(wrong: Any, told: str) -> None:
    """Whatever iterable has them."""
    with pytest.raises(ConfigurationError, match=f"^prices .*{told}"):
        PriceTable(wrong)
    assert PriceTable(iter([price()])).price("m", on=TODAY) == price()


_COUNTS = st.builds(
    TokenCounts,
    input=st.integers(0, 10**7),
    cache_write_5m=st.integers(0, 10**7),
    cache_write_1h=st.integers(0, 10**7),
    cache_read=st.integers(0, 10**7),
    output=st.integers(0, 10**6),
)


@given(_COUNTS, st.sampled_from(["claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5"]))
def test_more_output_never_costs_less(tokens: TokenCounts, model: str) -> None:
    """Costs are not negative and grow with the output."""
    less = LIST_PRICES.cost(model, tokens, on=TODAY)
    more = LIST_PRICES.cost(
        model,
        TokenCounts(
            input=tokens.input,
            cache_write_5m=tokens.cache_write_5m,
            cache_write_1h=tokens.cache_write_1h,
            cache_read=tokens.cache_read,
            output=tokens.output + 1000,
        ),
        on=TODAY,
    )
    assert less is not None
    assert more is not None
    assert 0 <= less < more
