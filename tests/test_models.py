"""The models that come out: cards, usage, runs, items and events."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import add
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis._context import UploadContext
from cardanalysis._documents import Location
from cardanalysis._errors import ConfigurationError
from cardanalysis._models import (
    Analysis,
    AnalysisRequest,
    Card,
    Event,
    Evidence,
    Item,
    ItemError,
    NewItem,
    NewOutput,
    Output,
    Priority,
    RejectedQuote,
    Renewal,
    Run,
    Usage,
)
from cardanalysis._status import ItemStatus, RunStatus

NOW = datetime(2024, 5, 17, 9, 30, tzinfo=UTC)
PLACE = Location(name="brief.md", start=3, end=8, line=2, end_line=2)
PROOF = Evidence(quote="20 days", location=PLACE)
CARD = Card(title="Approve invoices", evidence=[PROOF], rejected_quotes=[RejectedQuote(quote="x", reason="not_found")])
ITEM = Item(run_id="r", id="a", kind="upload", name="brief.md", position=0, created_at=NOW)
RUN = Run(id="r", kind="analyze_cards", created_at=NOW)

EXAMPLES = [
    PROOF,
    RejectedQuote(quote="x", reason="not_found"),
    CARD,
    Usage(requests=1, cost=0.25),
    AnalysisRequest(max_cards=3, context=UploadContext(notes="n")),
    Analysis(cards=[CARD]),
    ItemError(code="empty", message="It is empty. Fill it."),
    NewItem(id="a", name="brief.md", position=0),
    ITEM,
    NewOutput(kind="cards", data={"title": "t"}),
    Output(item_id="a", position=0, index=0, kind="cards", data={"title": "t"}),
    Renewal(held=frozenset({"a"})),
    Event(run_id="r", sequence=1, type="run_created", time=NOW, data={"kind": "k"}),
    RUN.with_results([ITEM], [CARD]),
]


def name_of(model: object) -> str:
    return type(model).__name__


@pytest.mark.parametrize("model", EXAMPLES, ids=name_of)
def test_models_are_frozen_slotted_and_equal_by_value(model: Any) -> None:
    """No attribute can be set or added, and an equal copy is equal."""
    name = attrs.fields(type(model))[0].name
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(model, name, "other")
    with pytest.raises((attrs.exceptions.FrozenInstanceError, AttributeError)):
        model.unknown = 1
    assert not hasattr(model, "__dict__")
    assert attrs.evolve(model) == model
    assert attrs.evolve(model) is not model


@pytest.mark.parametrize("model", EXAMPLES, ids=name_of)
def test_models_take_keywords_only(model: Any) -> None:
    """No model takes a value by place, so that a field can be added anywhere."""
    with pytest.raises(TypeError):
        type(model)("value")
    assert all(attribute.kw_only for attribute in attrs.fields(type(model)))


@pytest.mark.parametrize("model", EXAMPLES, ids=name_of)
def test_models_pickle(model: Any) -> None:
    """A model comes back equal from a pickle, so that it can go to another process."""
    assert pickle.loads(pickle.dumps(model)) == model


def test_examples_are_complete() -> None:
    """Every model that the module names is among the examples above."""
    from cardanalysis import _models

    named = {name for name in _models.__all__ if attrs.has(getattr(_models, name))}
    assert named == {name_of(model) for model in EXAMPLES}


@pytest.mark.parametrize(
    ("kind", "values", "field"),
    [
        (Card, {"title": ""}, "title"),
        (Card, {"title": None}, "title"),
        (Card, {"title": "t", "problem": 1}, "problem"),
        (Card, {"title": "t", "current_state": None}, "current_state"),
        (Card, {"title": "t", "impact": b"x"}, "impact"),
        (Card, {"title": "t", "priority": "urgent"}, "priority"),
        (Card, {"title": "t", "priority": 1}, "priority"),
        (Card, {"title": "t", "target_users": None}, "target_users"),
        (Card, {"title": "t", "target_users": [1]}, "target_users"),
        (Card, {"title": "t", "desired_outcomes": 5}, "desired_outcomes"),
        (Card, {"title": "t", "constraints": [None]}, "constraints"),
        (Card, {"title": "t", "systems": [["a"]]}, "systems"),
        (Card, {"title": "t", "evidence": ["a quote"]}, "evidence"),
        (Card, {"title": "t", "evidence": "a quote"}, "evidence"),
        (Card, {"title": "t", "evidence": PROOF}, "evidence"),
        (Card, {"title": "t", "rejected_quotes": ["a quote"]}, "rejected_quotes"),
        (Card, {"title": "t", "quotes": [PROOF]}, "quotes"),
        (Card, {"title": "t", "id": 5}, "id"),
        (Card, {"title": "t", "upload_id": None}, "upload_id"),
        (Card, {"title": "t", "made_by": None}, "made_by"),
        (Evidence, {"quote": None, "location": PLACE}, "quote"),
        (Evidence, {"quote": "q", "location": None}, "location"),
        (Evidence, {"quote": "q", "location": PLACE, "match": "fuzzy"}, "match"),
        (RejectedQuote, {"quote": 1, "reason": "empty"}, "quote"),
        (RejectedQuote, {"quote": "q", "reason": None}, "reason"),
        *[
            (Usage, {name: wrong}, name)
            for name in ("requests", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
            for wrong in (-1, 1.0, True, "1", None)
        ],
        *[(Usage, {"cost": wrong}, "cost") for wrong in (-0.01, float("nan"), float("inf"), True, "1", 10**400)],
        *[(AnalysisRequest, {"max_cards": wrong}, "max_cards") for wrong in (0, -1, 1.5, True, "3", None)],
        (AnalysisRequest, {"context": {"notes": "n"}}, "context"),
        (Analysis, {"cards": None}, "cards"),
        (Analysis, {"cards": CARD}, "cards"),
        (Analysis, {"cards": [{"title": "t"}]}, "cards"),
        (Analysis, {"cards": [], "usage": None}, "usage"),
        (Analysis, {"cards": [], "notes": [1]}, "notes"),
        (ItemError, {"code": None, "message": "m"}, "code"),
        (ItemError, {"code": "c", "message": None}, "message"),
        (NewItem, {"id": "", "name": "n", "position": 0}, "id"),
        (NewItem, {"id": "a", "name": None, "position": 0}, "name"),
        (NewItem, {"id": "a", "name": "n", "position": -1}, "position"),
        (NewItem, {"id": "a", "name": "n", "position": 0, "kind": 1}, "kind"),
        (NewItem, {"id": "a", "name": "n", "position": 0, "size": -5}, "size"),
        (NewOutput, {"kind": "", "data": {}}, "kind"),
    ],
)
def test_a_wrong_value_is_told_by_its_field(kind: type[Any], values: dict[str, Any], field: str) -> None:
    """A wrong value raises a ConfigurationError, also a ValueError, whose message begins with the field's name."""
    with pytest.raises(ConfigurationError) as caught:
        kind(**values)
    assert str(caught.value).startswith(f"{field} must ")
    assert isinstance(caught.value, ValueError)


def test_a_wrong_value_is_not_repeated() -> None:
    """The message names the field and what it takes, never the value, which may come from a document."""
    with pytest.raises(ConfigurationError) as caught:
        Card(title="t", priority="as soon as the auditors left")
    assert str(caught.value) == "priority must be one of: high, medium, low."
    assert caught.value.__cause__ is None


def test_one_string_is_one_entry() -> None:
    """A string where several are wanted is one entry, not its letters."""
    card = Card(title="t", target_users="Clerks", systems=["SAP", "Excel"], quotes="a b")
    assert card.target_users == ("Clerks",)
    assert card.systems == ("SAP", "Excel")
    assert card.quotes == ("a b",)


def test_any_iterable_becomes_a_tuple() -> None:
    """Lists, generators and sets are taken and kept as tuples, which nobody can change."""
    card = Card(title="t", constraints=(str(n) for n in range(3)), evidence=iter([PROOF]))
    assert card.constraints == ("0", "1", "2")
    assert card.evidence == (PROOF,)
    assert Analysis(cards=iter([card])).cards == (card,)


def test_an_iterator_that_raises_is_not_taken_for_a_wrong_value() -> None:
    """A TypeError inside a caller's generator comes through."""

    def broken() -> Any:
        yield "a"
        raise TypeError("of the caller")

    with pytest.raises(TypeError, match="of the caller"):
        Card(title="t", systems=broken())


@pytest.mark.parametrize("given_value", ["high", Priority.HIGH])
def test_a_priority_may_be_given_by_its_value(given_value: str) -> None:
    """A priority is taken as a member or as its text, and None is none."""
    assert Card(title="t", priority=given_value).priority is Priority.HIGH
    assert Card(title="t", priority=None).priority is None


def test_a_card_starts_empty() -> None:
    """Only a title is needed; all else is empty, not None."""
    card = Card(title="t")
    empty = [attribute.name for attribute in attrs.fields(Card) if attribute.name not in ("title", "priority")]
    assert [name for name in empty if getattr(card, name) not in ("", ())] == []


def test_cards_can_be_keys() -> None:
    """Equal cards have equal hashes."""
    assert len({CARD, attrs.evolve(CARD), Card(title="other")}) == 2


# -- usage ---------------------------------------------------------------------------------------------------------

tokens = st.integers(0, 10**12)
nano_dollars = st.integers(0, 10**12)


def usages(costs: st.SearchStrategy[float | None]) -> st.SearchStrategy[Usage]:
    return st.builds(
        Usage,
        requests=tokens,
        input_tokens=tokens,
        output_tokens=tokens,
        cache_read_tokens=tokens,
        cache_write_tokens=tokens,
        cost=costs,
    )


priced = usages(nano_dollars.map(lambda nano: nano / 10**9))


@settings(deadline=None)
@given(st.lists(priced, max_size=20).flatmap(lambda some: st.tuples(st.just(some), st.permutations(some))))
def test_sums_of_usage_are_exact_in_any_order(orders: tuple[list[Usage], list[Usage]]) -> None:
    """The order in which usages are added makes no difference, and no billionth of a dollar is lost."""
    some, other_order = orders
    total = reduce(add, some, Usage())
    assert reduce(add, other_order, Usage()) == total
    assert total.cost_nano == sum(usage.cost_nano or 0 for usage in some)
    for name in ("requests", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"):
        assert getattr(total, name) == sum(getattr(usage, name) for usage in some)


@settings(deadline=None)
@given(priced, priced, priced)
def test_sums_of_usage_can_be_grouped(first: Usage, second: Usage, third: Usage) -> None:
    """Sums of sums are the same sum, as when items are added up before the run is."""
    assert (first + second) + third == first + (second + third)


@settings(deadline=None)
@given(st.lists(usages(st.none() | st.floats(0, 1000)), min_size=1, max_size=8))
def test_an_unknown_cost_sticks(some: list[Usage]) -> None:
    """A sum with one unknown price is unknown, never a number that is too low."""
    total = reduce(add, some, Usage())
    assert (total.cost is None) == any(usage.cost is None for usage in some)
    assert (total.cost_nano is None) == (total.cost is None)


def test_a_tenth_and_a_fifth_of_a_dollar() -> None:
    """Costs do not gather the errors of binary fractions."""
    assert (Usage(cost=0.1) + Usage(cost=0.2)).cost == 0.3
    assert reduce(add, [Usage(cost=0.0001)] * 10_000).cost == 1.0


def test_nothing_costs_nothing() -> None:
    """The empty usage adds nothing."""
    usage = Usage(requests=2, input_tokens=3, cost=0.5)
    assert usage + Usage() == usage
    assert Usage().cost == 0.0


# -- items, outputs, events ----------------------------------------------------------------------------------------


def test_an_item_knows_how_long_it_took() -> None:
    """The duration is that of the newest attempt in seconds, and None while there is no outcome."""
    assert ITEM.duration_seconds is None
    started = attrs.evolve(ITEM, started_at=NOW, status=ItemStatus.ANALYZING)
    assert started.duration_seconds is None
    done = attrs.evolve(started, finished_at=NOW + timedelta(milliseconds=1500), status=ItemStatus.COMPLETED)
    assert done.duration_seconds == 1.5


def test_an_item_skipped_without_a_start_has_no_duration() -> None:
    """An item that got its outcome without an attempt took no time that could be told."""
    skipped = attrs.evolve(ITEM, finished_at=NOW, status=ItemStatus.SKIPPED)
    assert skipped.duration_seconds is None


def test_a_new_item_is_pending_and_free() -> None:
    """Nobody holds a new item, and nothing has been spent on it."""
    assert ITEM.status is ItemStatus.PENDING
    assert (ITEM.owner, ITEM.lease_until, ITEM.token, ITEM.attempts, ITEM.version) == (None, None, 0, 0, 1)
    assert ITEM.usage == Usage()


def test_an_error_can_always_be_stored() -> None:
    """Half of a surrogate pair in a message, as a model may write it, becomes a question mark that a store can keep."""
    assert ItemError(code="c", message="bad \ud83d. Try again: ü.").message == "bad ?. Try again: ü."


def test_outputs_do_not_show_their_data() -> None:
    """What an output holds comes from a document and is not in its repr."""
    secret = {"title": "the merger of June"}
    assert "merger" not in repr(NewOutput(kind="cards", data=secret))
    assert "merger" not in repr(Output(item_id="a", position=0, index=0, kind="cards", data=secret))


def test_defaults_are_not_shared() -> None:
    """Two events, or two runs, do not share one mutable default."""
    first, second = (Event(run_id="r", sequence=n, type="t", time=NOW) for n in (1, 2))
    assert first.data is not second.data
    other = Run(id="s", kind="k", created_at=NOW)
    assert RUN.asked is not other.asked
    assert RUN.counters is not other.counters


# -- runs ----------------------------------------------------------------------------------------------------------


def test_a_run_read_without_results_says_so() -> None:
    """Asking for items or cards that were not read raises and names both ways to get them."""
    for name, by_page in (("items", "store.items(run.id)"), ("cards", "store.outputs(run.id)")):
        with pytest.raises(ConfigurationError) as caught:
            getattr(RUN, name)
        assert caught.value.code == "not_collected"
        assert name in str(caught.value)
        assert "load_run(store, run.id)" in str(caught.value)
        assert by_page in str(caught.value)


def test_a_run_with_results_holds_them_in_order() -> None:
    """The results are kept as tuples in the order given; the run that was read stays as it was."""
    other = attrs.evolve(ITEM, id="b", position=1)
    full = RUN.with_results(iter([ITEM, other]), iter([CARD]))
    assert full.items == (ITEM, other)
    assert full.cards == (CARD,)
    assert full != RUN
    with pytest.raises(ConfigurationError):
        _ = RUN.items


def test_a_run_may_hold_no_results() -> None:
    """No items is something else than items that were not read."""
    empty = RUN.with_results([], [])
    assert empty.items == ()
    assert empty.cards == ()


def test_a_run_does_not_show_its_results() -> None:
    """Neither cards nor what was asked are in a run's repr, which stays short however many there are."""
    run = attrs.evolve(RUN, asked={"context": "the merger"}).with_results([ITEM], [CARD])
    assert "merger" not in repr(run)
    assert CARD.title not in repr(run)
    assert len(repr(run)) < 600


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*ItemStatus, "total", "cards", "mine"]), st.integers(-3, 3)), st.text())
def test_counters_count_zero_for_what_is_missing(counters: dict[str, int], name: str) -> None:
    """Every counter can be asked for, by status or by name, and one that is not there is 0."""
    run = Run(id="r", kind="k", created_at=NOW, counters=counters)
    assert run.counters[name] == counters.get(name, 0)
    assert all(run.counters[status] == counters.get(status, 0) for status in ItemStatus)
    assert all(run.counters[key] == value for key, value in counters.items())


def test_counters_have_plain_names_and_no_zeros() -> None:
    """Counters given by status are kept by plain text, sorted, and those that are 0 are left out."""
    run = Run(id="r", kind="k", created_at=NOW, counters={"total": 2, ItemStatus.FAILED: 1, ItemStatus.COMPLETED: 0})
    assert list(run.counters.items()) == [("failed", 1), ("total", 2)]
    assert {type(name) for name in run.counters} == {str}


def test_asking_for_a_missing_counter_does_not_add_it() -> None:
    """Reading leaves a run as it is."""
    run = Run(id="r", kind="k", created_at=NOW)
    assert run.counters["cards"] == 0
    assert run == Run(id="r", kind="k", created_at=NOW)
    assert dict(run.counters) == {}


def test_a_counter_of_zero_is_no_difference() -> None:
    """A run whose counter came back to 0 equals one that never had it."""
    assert attrs.evolve(RUN, counters={"cards": 0}) == RUN


def test_counters_are_a_copy() -> None:
    """Changing the mapping that was given does not change the run."""
    counters = {"cards": 1}
    run = Run(id="r", kind="k", created_at=NOW, counters=counters)
    counters["cards"] = 5
    assert run.counters["cards"] == 1


def test_a_new_run_is_queued() -> None:
    """A run starts queued, without events and at version 1."""
    assert (RUN.status, RUN.version, RUN.last_event, RUN.error) == (RunStatus.QUEUED, 1, 0, None)


def test_a_run_with_results_pickles_with_them() -> None:
    """The hidden fields survive a pickle."""
    run = pickle.loads(pickle.dumps(RUN.with_results([ITEM], [CARD])))
    assert run.items == (ITEM,)
    assert run.cards == (CARD,)
