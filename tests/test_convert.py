"""Models to JSON values and back."""

from __future__ import annotations

import json
import math
import traceback
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path, PurePosixPath
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis import _context, _documents, _models, _uploads
from cardanalysis._context import QuestionAnswer, UploadContext
from cardanalysis._convert import from_dict, to_dict
from cardanalysis._documents import Block, BlockKind, Document, Location, Media
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
from cardanalysis._status import RESERVED_COUNTERS, ItemStatus, RunStatus
from cardanalysis._uploads import Upload

few = settings(max_examples=30, deadline=None)  # for each of twenty models

SECRET = "the merger of June"
NOW = datetime(2024, 5, 17, 9, 30, 0, 123456, tzinfo=UTC)

# -- strategies: one for each model --------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
counts = st.integers(0, 2**53)
places = st.none() | st.integers(1, 10**6)
times = st.datetimes(
    datetime(1970, 1, 2),  # noqa: DTZ001 - the strategy adds the zone
    datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-3.5))]),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
json_objects = st.dictionaries(texts, json_values, max_size=2)


def several(entries: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(entries, max_size=2).map(tuple)


def locations() -> st.SearchStrategy[Location]:
    spans = st.tuples(counts, counts).map(sorted)
    return spans.flatmap(
        lambda span: st.builds(
            Location,
            name=texts,
            start=st.just(span[0]),
            end=st.just(span[1]),
            line=places,
            end_line=places,
            page=places,
            slide=places,
            sheet=st.none() | texts,
            cells=st.none() | texts,
            paragraph=places,
        )
    )


def contexts() -> st.SearchStrategy[UploadContext]:
    return st.builds(
        UploadContext,
        project_type=st.none() | st.sampled_from(_context.ProjectType),
        business_domain=texts,
        target_audience=texts,
        document_type=st.none() | st.sampled_from(_context.DocumentType),
        confidentiality=st.none() | st.sampled_from(_context.Confidentiality),
        notes=texts,
        key_terms=several(texts),
        questions_and_answers=several(st.builds(QuestionAnswer, question=texts, answer=texts)),
    )


def uploads() -> st.SearchStrategy[Upload]:
    return st.builds(
        Upload,
        name=names,
        media_type=st.none() | texts,
        size=counts,
        context=st.none() | contexts(),
        data=st.none() | st.binary(max_size=8),
        path=st.none() | st.sampled_from([Path("a.md"), Path("folder", "ü b.txt")]),
        modified_ns=st.none() | st.integers(),
        member=st.none() | texts,
        root=st.none() | st.sampled_from([Path("folder")]),
    )


def media() -> st.SearchStrategy[Media]:
    return st.builds(Media, media_type=names, data=st.binary(max_size=8), width=counts, height=counts)


def blocks() -> st.SearchStrategy[Block]:
    return st.builds(
        Block,
        kind=st.sampled_from(BlockKind),
        text=texts,
        location=locations(),
        level=counts,
        cells=several(texts),
        columns=several(texts),
        hidden=st.booleans(),
        media=st.none() | media(),
    )


def documents() -> st.SearchStrategy[Document]:
    return st.builds(
        Document,
        upload_id=texts,
        name=texts,
        media_type=texts,
        text=texts,
        blocks=several(blocks()),
        notes=several(texts),
    )


def evidence() -> st.SearchStrategy[Evidence]:
    return st.builds(Evidence, quote=texts, location=locations(), match=st.sampled_from(["exact", "normalized"]))


def rejected_quotes() -> st.SearchStrategy[RejectedQuote]:
    return st.builds(RejectedQuote, quote=texts, reason=texts)


def cards() -> st.SearchStrategy[Card]:
    return st.builds(
        Card,
        title=names,
        problem=texts,
        target_users=several(texts),
        current_state=texts,
        desired_outcomes=several(texts),
        constraints=several(texts),
        systems=several(texts),
        priority=st.none() | st.sampled_from(Priority),
        impact=texts,
        evidence=several(evidence()),
        rejected_quotes=several(rejected_quotes()),
        quotes=several(texts),
        id=texts,
        upload_id=texts,
        made_by=texts,
        pictures=several(locations()),
    )


def usages() -> st.SearchStrategy[Usage]:
    return st.builds(
        Usage,
        requests=counts,
        input_tokens=counts,
        output_tokens=counts,
        cache_read_tokens=counts,
        cache_write_tokens=counts,
        cost=st.none() | st.floats(0, 10**6),
    )


def item_errors() -> st.SearchStrategy[ItemError]:
    return st.builds(ItemError, code=texts, message=texts)


def items() -> st.SearchStrategy[Item]:
    return st.builds(
        Item,
        run_id=texts,
        id=texts,
        kind=texts,
        name=texts,
        position=counts,
        size=counts,
        status=st.sampled_from(ItemStatus),
        version=counts,
        attempts=counts,
        token=counts,
        owner=st.none() | texts,
        lease_until=st.none() | st.floats(0, 10**10),
        error=st.none() | item_errors(),
        usage=usages(),
        created_at=times,
        started_at=st.none() | times,
        finished_at=st.none() | times,
    )


def runs() -> st.SearchStrategy[Run]:
    return st.builds(
        Run,
        id=texts,
        kind=texts,
        status=st.sampled_from(RunStatus),
        version=counts,
        counters=st.dictionaries(texts, st.integers(-5, 5), max_size=3),
        usage=usages(),
        asked=json_objects,
        fingerprint=texts,
        error=st.none() | texts,
        last_event=counts,
        created_at=times,
        started_at=st.none() | times,
        finished_at=st.none() | times,
        items=st.none() | several(items()),
        cards=st.none() | several(cards()),
    )


def new_items() -> st.SearchStrategy[NewItem]:
    return st.builds(NewItem, id=names, name=texts, position=counts, kind=texts, size=counts)


def outputs() -> st.SearchStrategy[Output]:
    return st.builds(Output, item_id=texts, position=counts, index=counts, kind=texts, data=json_objects)


def events() -> st.SearchStrategy[Event]:
    return st.builds(
        Event, run_id=texts, sequence=counts, type=texts, time=times, item_id=st.none() | texts, data=json_objects
    )


STRATEGIES: dict[type[Any], st.SearchStrategy[Any]] = {
    Analysis: st.builds(Analysis, cards=several(cards()), usage=usages(), notes=several(texts)),
    AnalysisRequest: st.builds(AnalysisRequest, max_cards=st.integers(1, 99), context=st.none() | contexts()),
    Media: media(),
    Block: blocks(),
    Card: cards(),
    Document: documents(),
    Event: events(),
    Evidence: evidence(),
    Item: items(),
    ItemError: item_errors(),
    Location: locations(),
    NewItem: new_items(),
    NewOutput: st.builds(NewOutput, kind=names.filter(lambda name: name not in RESERVED_COUNTERS), data=json_objects),
    Output: outputs(),
    QuestionAnswer: st.builds(QuestionAnswer, question=texts, answer=texts),
    RejectedQuote: rejected_quotes(),
    Renewal: st.builds(Renewal, held=st.frozensets(texts, max_size=3), stop=st.booleans()),
    Run: runs(),
    Upload: uploads(),
    UploadContext: contexts(),
    Usage: usages(),
}


def test_every_model_has_a_strategy() -> None:
    """No model of the library is left out of the round trip."""
    named = [getattr(module, name) for module in (_context, _documents, _uploads, _models) for name in module.__all__]
    assert set(STRATEGIES) == {kind for kind in named if attrs.has(kind)}


# -- there and back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", STRATEGIES, ids=lambda kind: kind.__name__)
@few
@given(data=st.data())
def test_models_survive_json(kind: type[Any], data: st.DataObject) -> None:
    """A model that is written as JSON and read back is equal, whatever it holds."""
    model = data.draw(STRATEGIES[kind])
    text = json.dumps(to_dict(model), allow_nan=False)
    again = from_dict(kind, json.loads(text))
    assert again == model
    assert type(again) is kind


def only_plain(value: Any) -> bool:
    if type(value) is dict:
        return all(type(key) is str and only_plain(entry) for key, entry in value.items())
    if type(value) is list:
        return all(only_plain(entry) for entry in value)
    return value is None or type(value) in (str, int, float, bool)


@settings(deadline=None)
@given(st.one_of(*STRATEGIES.values()))
def test_values_are_plain(model: Any) -> None:
    """The values are dicts, lists, text, numbers, booleans and None: no enum, tuple, set or path is left in them."""
    assert only_plain(to_dict(model))


@pytest.mark.parametrize("kind", STRATEGIES, ids=lambda kind: kind.__name__)
@few
@given(data=st.data())
def test_unknown_keys_are_passed_over_at_every_level(kind: type[Any], data: st.DataObject) -> None:
    """A file of a newer version still opens, wherever its new keys stand."""
    model = data.draw(STRATEGIES[kind])
    free = {"data", "asked", "counters"}  # here keys are values

    def extended(value: Any) -> Any:
        if isinstance(value, list):
            return [extended(entry) for entry in value]
        if not isinstance(value, dict):
            return value
        return {k: v if k in free else extended(v) for k, v in value.items()} | {"from_the_future": [1, {"a": None}]}

    assert from_dict(kind, extended(to_dict(model))) == model


@pytest.mark.parametrize("kind", STRATEGIES, ids=lambda kind: kind.__name__)
@few
@given(data=st.data())
def test_missing_keys_take_their_defaults(kind: type[Any], data: st.DataObject) -> None:
    """A file of an older version, without keys that have a default, still opens."""
    model = data.draw(STRATEGIES[kind])
    needed = {attribute.alias for attribute in attrs.fields(kind) if attribute.default is attrs.NOTHING}
    values = {key: value for key, value in to_dict(model).items() if key in needed}
    again = from_dict(kind, values)
    assert all(getattr(again, str(name)) == getattr(model, str(name)) for name in needed)


# -- how values look -----------------------------------------------------------------------------------------------


def test_a_card_as_values() -> None:
    """A card's values have the names of its fields, lists for tuples and text for its priority."""
    proof = Evidence(quote="20 days", location=Location(name="a.md", start=0, end=7, line=1, end_line=1))
    values = to_dict(Card(title="t", systems=["SAP"], priority="high", evidence=[proof]))
    assert values == {
        "title": "t",
        "problem": "",
        "target_users": [],
        "current_state": "",
        "desired_outcomes": [],
        "constraints": [],
        "systems": ["SAP"],
        "priority": "high",
        "impact": "",
        "evidence": [
            {
                "quote": "20 days",
                "location": {
                    "name": "a.md",
                    "start": 0,
                    "end": 7,
                    "line": 1,
                    "end_line": 1,
                    "page": None,
                    "slide": None,
                    "sheet": None,
                    "cells": None,
                    "paragraph": None,
                },
                "match": "exact",
            }
        ],
        "rejected_quotes": [],
        "quotes": [],
        "id": "",
        "upload_id": "",
        "made_by": "",
        "pictures": [],
    }


def test_times_are_written_in_utc() -> None:
    """A time is ISO 8601 text in UTC with its microseconds, whatever zone it was given in."""
    east = NOW.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert to_dict(Event(run_id="r", sequence=1, type="t", time=east))["time"] == "2024-05-17T09:30:00.123456+00:00"


@pytest.mark.parametrize("text", ["2024-05-17T11:30:00.123456+02:00", "2024-05-17T09:30:00.123456Z"])
def test_times_are_read_in_utc(text: str) -> None:
    """A time with any offset is read as the same moment in UTC."""
    event = from_dict(Event, {"run_id": "r", "sequence": 1, "type": "t", "time": text})
    assert event.time == NOW
    assert event.time.tzinfo is UTC


def test_bytes_are_base64() -> None:
    """Bytes are written as standard base64, and a path as text."""
    values = to_dict(Upload(name="a", size=2, data=b"\xff\xfe", path=Path("a", "b")))
    assert values["data"] == "//4="
    assert PurePosixPath(values["path"].replace("\\", "/")) == PurePosixPath("a/b")


def test_a_set_is_a_sorted_list() -> None:
    """The same set is always the same text."""
    assert to_dict(Renewal(held=frozenset("cab")))["held"] == ["a", "b", "c"]


def test_an_upload_keeps_its_id() -> None:
    """An upload that is written and read has the id that it had."""
    upload = Upload.from_text("abc", "a.md", context=UploadContext(notes="n"))
    assert from_dict(Upload, to_dict(upload)).id == upload.id


def test_a_run_takes_its_results_along() -> None:
    """Items and cards are written as `items` and `cards`, and a run read without them has None there."""
    item = Item(run_id="r", id="a", kind="upload", name="a.md", position=0, created_at=NOW)
    run = Run(id="r", kind="k", created_at=NOW, counters={"total": 1})
    full = run.with_results([item], [Card(title="t")])
    values = json.loads(json.dumps(to_dict(full)))
    assert [each["id"] for each in values["items"]] == ["a"]
    assert [each["title"] for each in values["cards"]] == ["t"]
    again = from_dict(Run, values)
    assert (again.items, again.cards) == (full.items, full.cards)
    assert again.counters["nothing"] == 0
    assert to_dict(run)["items"] is None
    with pytest.raises(ConfigurationError, match="read without its items"):
        _ = from_dict(Run, to_dict(run)).items


def test_values_are_not_shared_with_the_model() -> None:
    """Changing the values that were given or taken does not change the model."""
    run = Run(id="r", kind="k", created_at=NOW, counters={"cards": 1})
    to_dict(run)["counters"]["cards"] = 5
    assert run.counters["cards"] == 1


def test_a_whole_number_is_a_cost() -> None:
    """JSON writers drop the fraction of 5.0, so a whole number is read where a fraction may stand."""
    usage = from_dict(Usage, {"cost": 5})
    assert usage.cost == 5.0
    assert type(usage.cost) is float


# -- wrong values --------------------------------------------------------------------------------------------------

LOCATION = {"name": "a.md", "start": 0, "end": 7}
EVENT = {"run_id": "r", "sequence": 1, "type": "t", "time": "2024-05-17T09:30:00Z"}
ITEM = {"run_id": "r", "id": "a", "kind": "k", "name": "n", "position": 0, "created_at": EVENT["time"]}


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Card, {}),
        (Card, None),
        (Card, 5),
        (Card, SECRET),
        (Card, [SECRET]),
        (Usage, SECRET),
        (Usage, [SECRET]),
        (Usage, 5),
        (Card, {"title": ""}),
        (Card, {"title": None}),
        (Card, {"title": 5}),
        (Card, {"title": [SECRET]}),
        (Card, {"title": "t", "target_users": SECRET}),
        (Card, {"title": "t", "target_users": ""}),
        (Card, {"title": "t", "target_users": {SECRET: 1}}),
        (Card, {"title": "t", "target_users": [5]}),
        (Card, {"title": "t", "target_users": None}),
        (Card, {"title": "t", "priority": SECRET}),
        (Card, {"title": "t", "priority": 1}),
        (Card, {"title": "t", "priority": [SECRET]}),
        (Card, {"title": "t", "evidence": SECRET}),
        (Card, {"title": "t", "evidence": [SECRET]}),
        (Card, {"title": "t", "evidence": [{"quote": SECRET}]}),
        (Card, {"title": "t", "evidence": [{"quote": SECRET, "location": SECRET}]}),
        (Card, {"title": "t", "evidence": [{"quote": SECRET, "location": LOCATION | {"start": SECRET}}]}),
        (Card, {"title": "t", "evidence": [{"quote": SECRET, "location": LOCATION | {"start": 8}}]}),
        (Card, {"title": "t", "evidence": [{"quote": SECRET, "location": LOCATION, "match": SECRET}]}),
        (Usage, {"requests": "1"}),
        (Usage, {"requests": 1.0}),
        (Usage, {"requests": True}),
        (Usage, {"requests": -1}),
        (Usage, {"requests": None}),
        (Usage, {"cost": "1.5"}),
        (Usage, {"cost": True}),
        (Usage, {"cost": math.nan}),
        (Usage, {"cost": -1.0}),
        (Usage, {"cost": 10**400}),
        (Event, EVENT | {"time": SECRET}),
        (Event, EVENT | {"time": 5}),
        (Event, EVENT | {"time": None}),
        (Event, EVENT | {"time": "2024-05-17T09:30:00"}),
        (Event, EVENT | {"data": [SECRET]}),
        (Event, EVENT | {"data": SECRET}),
        (Item, ITEM | {"status": SECRET}),
        (Item, ITEM | {"status": None}),
        (Item, ITEM | {"usage": [SECRET]}),
        (Item, ITEM | {"error": SECRET}),
        (Run, {"id": "r", "kind": "k", "created_at": EVENT["time"], "counters": {"cards": SECRET}}),
        (Run, {"id": "r", "kind": "k", "created_at": EVENT["time"], "items": SECRET}),
        (Renewal, {"held": ["a"], "stop": 1}),
        (Upload, {"name": "a", "size": 0, "data": "!" + SECRET}),
        (Upload, {"name": "a", "size": 0, "data": "abc"}),
        (Upload, {"name": "a", "size": 0, "data": [1]}),
        (Upload, {"name": "a", "size": 0, "path": [SECRET]}),
        (UploadContext, {"notes": SECRET * 200}),
        (UploadContext, {"project_type": SECRET}),
    ],
)
def test_wrong_values_are_refused_without_being_told(kind: type[Any], values: Any) -> None:
    """What is no such model raises a ConfigurationError that names the model, and nothing it shows holds a value."""
    with pytest.raises(ConfigurationError) as caught:
        from_dict(kind, values)
    assert caught.value.code == "invalid_data"
    assert str(caught.value).startswith(f"This is no {kind.__name__}: ")
    assert SECRET not in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_the_place_of_a_wrong_value_is_told() -> None:
    """The message names the way down to the field."""
    wrong = {"quote": "q", "location": LOCATION | {"line": "two"}}
    with pytest.raises(ConfigurationError) as caught:
        from_dict(Card, {"title": "t", "evidence": [wrong]})
    for part in ("Card", "evidence", "Evidence", "location", "Location", "line"):
        assert part in str(caught.value)


def test_a_broken_rule_is_told_in_its_own_words() -> None:
    """What a model's own check says is passed on."""
    with pytest.raises(
        ConfigurationError, match=r"This is no Usage: requests must be a whole number of at least 0, .+\.$"
    ):
        from_dict(Usage, {"requests": -1})


@settings(deadline=None)
@given(st.sampled_from(list(STRATEGIES)), json_values)
def test_any_json_is_a_model_or_an_error(kind: type[Any], values: Any) -> None:
    """No JSON value, whatever it is, raises anything but a ConfigurationError."""
    try:
        model = from_dict(kind, values)
    except ConfigurationError:
        return
    assert type(model) is kind


@pytest.mark.parametrize("kind", STRATEGIES, ids=lambda kind: kind.__name__)
@few
@given(data=st.data())
def test_any_wrong_field_is_a_model_or_an_error(kind: type[Any], data: st.DataObject) -> None:
    """One field replaced by any JSON value gives a model or a ConfigurationError, nothing else."""
    values = to_dict(data.draw(STRATEGIES[kind]))
    values[data.draw(st.sampled_from(sorted(values)))] = data.draw(json_values)
    try:
        model = from_dict(kind, values)
    except ConfigurationError:
        return
    assert type(model) is kind
