"""The statuses of runs and items, and the moves between them."""

from __future__ import annotations

import json
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis._status import ACTIVE, MOVES, RUN_MOVES, ItemStatus, RunStatus, is_legal, settled_status

PENDING, LOADING, ANALYZING, SAVING = (
    ItemStatus.PENDING,
    ItemStatus.LOADING,
    ItemStatus.ANALYZING,
    ItemStatus.SAVING,
)
COMPLETED, PARTIAL, FAILED, SKIPPED, CANCELLED = (
    ItemStatus.COMPLETED,
    ItemStatus.PARTIAL,
    ItemStatus.FAILED,
    ItemStatus.SKIPPED,
    ItemStatus.CANCELLED,
)
TERMINAL = {COMPLETED, PARTIAL, FAILED, SKIPPED, CANCELLED}


def test_the_statuses_are_these() -> None:
    """The words are what stores keep and programs read, so they may not change."""
    assert [str(status) for status in ItemStatus] == [
        "pending",
        "loading",
        "analyzing",
        "saving",
        "completed",
        "partial",
        "failed",
        "skipped",
        "cancelled",
    ]
    assert [str(status) for status in RunStatus] == [
        "queued",
        "running",
        "succeeded",
        "partial",
        "failed",
        "cancelled",
    ]


@pytest.mark.parametrize("kind", [ItemStatus, RunStatus])
def test_a_status_is_its_word(kind: type[ItemStatus] | type[RunStatus]) -> None:
    """A status compares, prints, formats and is written as its word, and is one object after a pickle."""
    for status in kind:
        assert status == status.value == str(status) == f"{status}"
        assert json.dumps(status) == f'"{status.value}"'
        assert pickle.loads(pickle.dumps(status)) is status
        assert kind(status.value) is status


def test_a_status_is_waiting_active_or_terminal() -> None:
    """Pending aside, an item is either held by a worker or has its outcome."""
    assert {status for status in ItemStatus if status.is_terminal} == TERMINAL
    assert {status for status in ItemStatus if status.is_active} == set(ACTIVE) == {LOADING, ANALYZING, SAVING}
    assert not PENDING.is_active
    assert not PENDING.is_terminal


def test_every_status_has_its_moves() -> None:
    """No status is missing in the tables, as key or as goal."""
    assert set(MOVES) == set(ItemStatus)
    assert set().union(*MOVES.values()) == set(ItemStatus)
    assert set(RUN_MOVES) == set(RunStatus)
    assert set().union(*RUN_MOVES.values()) == set(RunStatus) - {RunStatus.QUEUED}


LEGAL = {
    PENDING: {LOADING, SKIPPED, CANCELLED, FAILED},
    LOADING: {ANALYZING, SAVING, PENDING, COMPLETED, PARTIAL, FAILED, CANCELLED},
    ANALYZING: {SAVING, PENDING, COMPLETED, PARTIAL, FAILED, CANCELLED},
    SAVING: {PENDING, COMPLETED, PARTIAL, FAILED, CANCELLED},
    COMPLETED: set[ItemStatus](),
    PARTIAL: {PENDING},
    FAILED: {PENDING},
    SKIPPED: set[ItemStatus](),
    CANCELLED: {PENDING},
}


@pytest.mark.parametrize("old", ItemStatus)
@pytest.mark.parametrize("new", ItemStatus)
def test_an_item_makes_only_the_moves_of_the_table(old: ItemStatus, new: ItemStatus) -> None:
    """Each pair of statuses is a move or is none, as written here."""
    assert is_legal(old, new) == (new in LEGAL[old])


def test_an_outcome_is_left_only_by_a_retry() -> None:
    """A terminal status leads to pending or nowhere, and one that holds a whole result nowhere."""
    for status in TERMINAL:
        assert MOVES[status] <= {PENDING}
    assert not MOVES[COMPLETED]
    assert not MOVES[SKIPPED]


def test_no_status_follows_itself() -> None:
    """A move changes something."""
    assert not any(is_legal(status, status) for status in ItemStatus)
    assert not any(status in moves for status, moves in RUN_MOVES.items())


def test_an_item_in_work_can_always_be_handed_back() -> None:
    """Whatever a worker was doing when it stopped, the item can wait for another one."""
    assert all(is_legal(status, PENDING) for status in ACTIVE)


def test_work_goes_one_way() -> None:
    """Loading, analyzing and saving follow each other and never turn back."""
    for place, status in enumerate(ACTIVE):
        assert MOVES[status].isdisjoint(ACTIVE[:place])


def test_work_begins_with_loading() -> None:
    """An item is never in work without having been claimed."""
    assert {status for status in MOVES[PENDING] if status.is_active} == {LOADING}


def test_every_outcome_can_be_reached() -> None:
    """From pending there is a way to each status."""
    reached, new = {PENDING}, {PENDING}
    while new:
        new = set().union(*(MOVES[status] for status in new)) - reached
        reached |= new
    assert reached == set(ItemStatus)


def test_a_run_that_ended_can_only_be_resumed() -> None:
    """Every end of a run leads to running, and nowhere else; no run is queued twice."""
    ends = set(RunStatus) - {RunStatus.QUEUED, RunStatus.RUNNING}
    assert all(RUN_MOVES[end] == {RunStatus.RUNNING} for end in ends)
    assert RUN_MOVES[RunStatus.RUNNING] == ends
    assert RUN_MOVES[RunStatus.QUEUED] == {RunStatus.RUNNING, RunStatus.CANCELLED}


# -- how a run ends ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counters", "expected"),
    [
        ({}, RunStatus.SUCCEEDED),
        ({"total": 0}, RunStatus.SUCCEEDED),
        ({"completed": 3}, RunStatus.SUCCEEDED),
        ({"completed": 1, "skipped": 2}, RunStatus.SUCCEEDED),
        ({"skipped": 2}, RunStatus.SUCCEEDED),
        ({"failed": 3}, RunStatus.FAILED),
        ({"failed": 1, "skipped": 5}, RunStatus.FAILED),
        ({"pending": 2}, RunStatus.FAILED),
        ({"cancelled": 2, "pending": 1}, RunStatus.FAILED),
        ({"completed": 9, "failed": 1}, RunStatus.PARTIAL),
        ({"completed": 9, "pending": 1}, RunStatus.PARTIAL),
        ({"completed": 9, "cancelled": 1}, RunStatus.PARTIAL),
        ({"partial": 1}, RunStatus.PARTIAL),
        ({"partial": 1, "completed": 5}, RunStatus.PARTIAL),
        ({"partial": 1, "failed": 5}, RunStatus.PARTIAL),
        ({"completed": 9, "loading": 1}, None),
        ({"analyzing": 1}, None),
        ({"failed": 1, "saving": 1}, None),
    ],
)
def test_how_a_run_ends(counters: dict[str, int], expected: RunStatus | None) -> None:
    """A run succeeded only if every item is completed or skipped, and failed if none has a result."""
    assert settled_status(counters) is expected


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(list(ItemStatus)), st.integers(0, 3)),
    st.dictionaries(st.sampled_from(["total", "cards", "mine"]), st.integers(-3, 3)),
)
def test_the_status_follows_from_the_items(items: dict[ItemStatus, int], others: dict[str, int]) -> None:
    """For any numbers of items, the status is the one that the definitions give; other counters do not matter."""
    there = {status for status, number in items.items() if number}
    settled = settled_status({str(status): number for status, number in items.items()} | others)
    if there & set(ACTIVE):
        expected = None
    elif there <= {COMPLETED, SKIPPED}:
        expected = RunStatus.SUCCEEDED
    elif there & {COMPLETED, PARTIAL}:
        expected = RunStatus.PARTIAL
    else:
        expected = RunStatus.FAILED
    assert settled is expected
    assert settled is settled_status(items)
