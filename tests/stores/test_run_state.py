"""A run in memory: exact copies of it, what is no run, and that a refusal changes nothing.

What the verbs do is held by the promises of the stores that are made of it, and by a model.
"""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from cardanalysis import CardAnalysisError, Event, Item, ItemError, ItemStatus, Run, RunStatus, StoreError, Usage
from cardanalysis._models import NewItem, NewOutput, Output
from cardanalysis.abc import InvalidValue, ItemNotFound
from cardanalysis.stores import RunState

NOW = 1_700_000_000.123_456
USAGE = Usage(requests=1, input_tokens=7, cost=0.1)
ERROR = ItemError(code="truncated", message="Page 3 is missing.")


@pytest.fixture
def state() -> RunState:
    """A run with something of everything."""
    made = RunState.create("run", kind="test", fingerprint="f", asked={"n": [1, None], "text": "Größe\u2028"}, now=NOW)
    made.update_run(RunStatus.RUNNING, version=1, now=NOW)
    made.add_items([NewItem(id=each, name=each, position=n // 2) for n, each in enumerate("edcba")], now=NOW)
    one, two, _, back = made.claim("w1", lease_seconds=60, limit=4, now=NOW + 1)
    outputs = [NewOutput(kind="cards", data={"title": "\ud800 x"}), NewOutput(kind="notes", data={"n": 1.5})]
    made.complete_item(one.id, token=one.token, outputs=outputs, usage=USAGE, error=ERROR, now=NOW + 2)
    made.fail_item(two.id, token=two.token, error=ERROR, usage=USAGE, now=NOW + 3)
    made.release(back.id, token=back.token, usage=USAGE, now=NOW + 3)
    made.increment("seen", -2)
    made.append_event("told", item_id="a", data={"x": {}}, now=NOW + 4)
    return made


def everything(state: RunState) -> tuple[Run, list[Item | Output | Event]]:
    return state.view(), list(state.records())


def test_records_come_in_order(state: RunState) -> None:
    """The records are items, then outputs, then events, as they are read."""
    assert list(state.records()) == [*state.items(), *state.outputs(), *state.events()]


def test_a_restored_state_is_an_exact_copy(state: RunState) -> None:
    """A copy holds the same, does the same from there on, and is another thing than the original."""
    copy = RunState.restore(state.view(), state.records())
    assert everything(copy) == everything(state)
    for each in (copy, state):
        each.renew("w1", lease_seconds=9, now=NOW + 5)
        each.claim("w2", lease_seconds=9, limit=9, now=NOW + 5)
        each.complete_item("b", token=1, outputs=[], usage=USAGE, now=NOW + 6)
    assert everything(copy) == everything(state)
    copy.increment("seen")
    assert everything(copy) != everything(state)


def test_lines_hold_everything(state: RunState) -> None:
    """What to_lines writes is one line for each record, can be encoded, and makes an exact copy."""
    lines = list(state.to_lines())
    text = "\n".join(lines).encode()
    assert len(lines) == 1 + len(list(state.records()))
    assert everything(RunState.from_lines(text.decode().splitlines())) == everything(state)


def test_a_run_with_its_results_is_restored_without_them(state: RunState) -> None:
    """Items and cards that a run was read with are not kept twice."""
    run = state.view().with_results(state.items(), [])
    assert RunState.restore(run, state.records()).view() == state.view()


def without(place: int) -> Callable[[list[Any]], list[Any]]:
    return lambda records: [*records[:place], *records[place + 1 :]]


MISFITS = {
    "no item": (without(0), ItemNotFound),
    "an item twice": (lambda records: [records[0], *records], StoreError),
    "no output": (without(5), StoreError),
    "an output twice": (lambda records: [*records[:6], *records[5:]], StoreError),
    "no first event": (without(7), StoreError),
    "no last event": (without(-1), StoreError),
    "one event more": (lambda records: [*records, evolve(records[-1], sequence=records[-1].sequence + 1)], StoreError),
    "something else": (lambda records: [*records, "text"], StoreError),
}


@pytest.mark.parametrize("name", MISFITS)
def test_what_does_not_fit_is_refused(state: RunState, name: str) -> None:
    """Records of which one is missing, there twice, or something else, make no run."""
    spoil, error = MISFITS[name]
    with pytest.raises(error) as caught:
        RunState.restore(state.view(), spoil(list(state.records())))
    assert caught.value.code == ("item_not_found" if error is ItemNotFound else "corrupt")


@pytest.mark.parametrize("spoil", [lambda lines: [], lambda lines: lines[1:], lambda lines: [*lines, lines[0]]])
def test_other_lines_are_refused(state: RunState, spoil: Callable[[list[str]], list[str]]) -> None:
    """Lines that do not begin with a run, or hold another one, make no run."""
    with pytest.raises(StoreError) as caught:
        RunState.from_lines(spoil(list(state.to_lines())))
    assert caught.value.code == "corrupt"


BAD: dict[str, Any] = {"value": math.nan}
REFUSED: dict[str, Callable[[RunState], object]] = {
    "reopen with another question": lambda s: s.reopen(kind="test", fingerprint="g", asked={}, now=NOW),
    "reopen with what is no JSON": lambda s: s.reopen(
        kind="test", fingerprint="g", asked=BAD, accept_change=True, now=NOW
    ),
    "reopen without a kind": lambda s: s.reopen(kind="", fingerprint="f", asked={}, now=NOW),
    "update_run at another version": lambda s: s.update_run(RunStatus.FAILED, version=1, now=NOW),
    "update_run to where it is": lambda s: s.update_run(RunStatus.RUNNING, version=s.view().version, now=NOW),
    "increment of total": lambda s: s.increment("total"),
    "append_event of what is no JSON": lambda s: s.append_event("told", data=BAD, now=NOW),
    "append_event without a type": lambda s: s.append_event("", now=NOW),
    "get_item of none": lambda s: s.get_item("z"),
    "claim for no time": lambda s: s.claim("w2", lease_seconds=0, now=NOW),
    "claim by nobody": lambda s: s.claim("", lease_seconds=1, now=NOW),
    "claim of less than none": lambda s: s.claim("w2", lease_seconds=1, limit=-1, now=NOW),
    "renew for ever": lambda s: s.renew("w1", lease_seconds=math.inf, now=NOW),
    "release under an old claim": lambda s: s.release("b", token=0, usage=USAGE, now=NOW),
    "release with more than can be counted": lambda s: s.release(
        "b", token=1, usage=Usage(input_tokens=2**63 - 1), now=NOW
    ),
    "update_status to where it cannot go": lambda s: s.update_status("a", ItemStatus.SAVING, version=1, now=NOW),
    "complete_item with an output that is no JSON": lambda s: s.complete_item(
        "c",
        token=1,
        outputs=[NewOutput(kind="cards", data={}), NewOutput(kind="cards", data=BAD)],
        usage=USAGE,
        now=NOW,
    ),
    "complete_item with an event that is no JSON": lambda s: s.complete_item(
        "b", token=1, outputs=[], usage=USAGE, data=BAD, now=NOW
    ),
    "complete_item under an old claim": lambda s: s.complete_item("b", token=0, outputs=[], usage=USAGE, now=NOW),
    "fail_item of none": lambda s: s.fail_item("z", token=1, error=ERROR, usage=USAGE, now=NOW),
    "more usage than can be counted": lambda s: s.fail_item(
        "b", token=1, error=ERROR, usage=Usage(input_tokens=2**63 - 1), now=NOW
    ),
    "items, less than none": lambda s: s.items(limit=-1),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_changes_nothing(state: RunState, name: str) -> None:
    """A verb that raises leaves run, items, outputs and log as they were."""
    before = everything(state)
    with pytest.raises(CardAnalysisError):
        REFUSED[name](state)
    assert everything(state) == before
    assert [item.id for item in state.claim("w2", lease_seconds=1, limit=9, now=NOW)] == ["c", "a"]


@pytest.mark.parametrize(("run_id", "kind"), [("", "test"), ("run", "")])
def test_a_run_has_an_id_and_a_kind(run_id: str, kind: str) -> None:
    """A state without an id or a kind cannot be made."""
    with pytest.raises(InvalidValue, match="not empty"):
        RunState.create(run_id, kind=kind, fingerprint="f", asked={}, now=NOW)


def test_claims_see_every_change_of_order() -> None:
    """After additions, moves, outcomes and retries the next items are claimed in the order that there is now."""
    state = RunState.create("run", kind="test", fingerprint="f", asked={}, now=NOW)

    def place(**positions: int) -> None:
        state.add_items([NewItem(id=each, name="", position=n) for each, n in positions.items()], now=NOW)

    def claim(limit: int = 1) -> str:
        return "".join(item.id for item in state.claim("w", lease_seconds=9, limit=limit, now=NOW))

    place(b=1, d=3)
    assert claim() == "b"
    place(a=0, c=2)
    assert claim() == "a"
    state.fail_item("a", token=1, error=ERROR, usage=USAGE, now=NOW)
    state.release("b", token=1, now=NOW)
    state.update_status("a", ItemStatus.PENDING, version=state.get_item("a").version, now=NOW)
    place(b=9)
    assert claim(2) == "ac"
    assert claim(9) == "db"
    assert claim() == ""
    assert "".join(item.id for item in state.claim("v", lease_seconds=9, limit=9, now=NOW + 10)) == "acdb"


def test_its_repr_tells_no_contents(state: RunState) -> None:
    """The repr names the run and how many items it has, and nothing of what was asked."""
    assert repr(state) == "<RunState of 'run', running, 5 items>"


def test_it_is_cheap_to_import() -> None:
    """RunState needs neither SQLite nor cattrs nor the SDK."""
    script = "import sys; from cardanalysis.stores import RunState; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", script], text=True).split()
    assert {"sqlite3", "cattrs", "anthropic"} & {*loaded} == set()
