"""Runs as lines of text: what is written is read back exactly, and what was not written so is refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis import Card, Event, Item, ItemError, ItemStatus, Run, RunStatus, StoreError, Usage
from cardanalysis._run_lines import Record, decode, encode
from cardanalysis.abc import Output

_PAIRED = re.compile("[\ud800-\udbff][\udc00-\udfff]")
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=[]), max_size=12).filter(lambda text: not _PAIRED.search(text)),
    st.sampled_from(["", "a\u2028b\u2029c\x85d", "\0\x1c\x0b\r\n", "\ud800", "x\udfff", "Ünïcode 😀", '"\\']),
)
TIMES = st.integers(0, 250_000_000_000_000_000).map(
    lambda micros: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
)
COUNTS = st.integers(0, 2**63 - 1)
COSTS = st.one_of(st.none(), st.floats(0, 1e9, allow_nan=False))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)
DATA = st.dictionaries(TEXTS, JSON, max_size=4)
USAGES = st.builds(Usage, requests=COUNTS, input_tokens=COUNTS, cache_read_tokens=COUNTS, cost=COSTS)
ERRORS = st.builds(ItemError, code=TEXTS, message=TEXTS)
RUNS = st.builds(
    Run,
    id=TEXTS,
    kind=TEXTS,
    status=st.sampled_from(RunStatus),
    version=COUNTS,
    counters=st.dictionaries(TEXTS, st.integers(), max_size=4),
    usage=USAGES,
    asked=DATA,
    fingerprint=TEXTS,
    error=st.none() | TEXTS,
    last_event=COUNTS,
    created_at=TIMES,
    started_at=st.none() | TIMES,
    finished_at=st.none() | TIMES,
    heartbeat_at=st.none() | TIMES,
)
ITEMS = st.builds(
    Item,
    run_id=TEXTS,
    id=TEXTS,
    kind=TEXTS,
    name=TEXTS,
    position=COUNTS,
    size=COUNTS,
    status=st.sampled_from(ItemStatus),
    version=COUNTS,
    attempts=COUNTS,
    token=COUNTS,
    owner=st.none() | TEXTS,
    lease_until=st.none() | st.floats(0, 1e12),
    error=st.none() | ERRORS,
    usage=USAGES,
    created_at=TIMES,
    started_at=st.none() | TIMES,
    finished_at=st.none() | TIMES,
)
OUTPUTS = st.builds(Output, item_id=TEXTS, position=COUNTS, index=COUNTS, kind=TEXTS, data=DATA)
EVENTS = st.builds(Event, run_id=TEXTS, sequence=COUNTS, type=TEXTS, time=TIMES, item_id=st.none() | TEXTS, data=DATA)

NOW = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
RUN = Run(id="r", kind="k", created_at=NOW)


@settings(max_examples=100, deadline=None)
@given(RUNS | ITEMS | OUTPUTS | EVENTS)
def test_what_is_written_is_read_back(record: Record) -> None:
    """Every model comes back equal, with types and values as they were, from one line that can be put into a file."""
    line = encode(record)
    assert decode(line) == record
    assert repr(decode(line)) == repr(record)
    assert line.splitlines() == [line]
    assert decode(line.encode().decode()) == record


def test_a_line_says_what_it_holds() -> None:
    """The one key of a line is the kind of its model."""
    output = Output(item_id="i", position=0, index=0, kind="cards", data={"title": "Café"})
    assert encode(output) == (
        '{"output":{"item_id":"i","position":0,"index":0,"kind":"cards","data":{"title":"Café"}}}'
    )


def test_a_run_is_written_without_what_it_collected() -> None:
    """Items and cards have lines of their own, and a line that holds them all the same is read without them."""
    item = Item(run_id="r", id="i", kind="upload", name="n", position=0, created_at=NOW)
    full = RUN.with_results([item], [Card(title="Secret")])
    assert encode(full) == encode(RUN)
    line = json.dumps({"run": {**json.loads(encode(RUN))["run"], "items": ["?"], "cards": "?"}})
    assert decode(line) == RUN


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object()])
def test_what_json_has_no_word_for_is_refused(value: object) -> None:
    """Nothing is written that would not come back."""
    with pytest.raises(StoreError) as caught:
        encode(evolve(RUN, asked={"value": value}))
    assert caught.value.code == "not_json"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "It is no JSON"),
        ("{", "It is no JSON"),
        ("[" * 100_000, "It is no JSON"),
        ("1" * 5000, "It is no JSON"),
        ("[]", "It is none of run, item, output, event"),
        ("{}", "It is none of run, item, output, event"),
        ('{"card": {}}', "It is none of run, item, output, event"),
        ('{"run": {}, "item": {}}', "It is none of run, item, output, event"),
        ('{"item": []}', "Its item is no JSON object"),
        ('{"item": {}}', "This is no Item"),
        (encode(RUN).replace('"queued"', '"SECRET"'), "attribute status"),
        (encode(RUN).replace("2024", "SECRET"), "attribute created_at"),
        (encode(RUN).replace("+00:00", ""), "attribute created_at"),
        (encode(RUN).replace('"version":1', '"version":"SECRET"'), "attribute version"),
        (encode(RUN).replace('"cost":0.0', '"cost":-1'), "cost"),
    ],
)
def test_another_line_is_refused_without_its_contents(line: str, problem: str) -> None:
    """The error says what is wrong with the line and shows nothing of it."""
    with pytest.raises(StoreError) as caught:
        decode(line)
    assert caught.value.code == "invalid_export"
    assert problem in str(caught.value)
    assert "SECRET" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_what_a_newer_version_adds_is_passed_over() -> None:
    """A key that this version does not know is no error."""
    values = json.loads(encode(RUN))
    values["run"]["colour"] = "red"
    assert decode(json.dumps(values)) == RUN


def test_cattrs_waits_for_its_first_use() -> None:
    """Importing the codec does not import cattrs, which takes long."""
    code = "import sys, cardanalysis._run_lines; sys.exit('cattrs' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
