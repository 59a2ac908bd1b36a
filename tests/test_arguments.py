"""Checks of what callers pass."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import CapacityLimiter
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis._arguments import (
    as_limiter,
    as_seconds,
    check_analysis,
    check_analyzer,
    check_run_id,
    check_store,
    check_upload,
    check_uploads,
)
from cardanalysis._errors import AnalyzerError, ConfigurationError
from cardanalysis._models import Analysis, Card
from cardanalysis._uploads import Upload
from cardanalysis.stores.memory import MemoryStore
from cardanalysis.stores.sqlite import SQLiteStore
from cardanalysis.testing._scripted import ScriptedAnalyzer

UPLOAD = Upload.from_text("Secret text", "a.md")


# -- limits --------------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_number_becomes_a_limiter() -> None:
    """A whole number gives a new limiter with that many slots."""
    limiter = as_limiter(3)
    assert isinstance(limiter, CapacityLimiter)
    assert limiter.total_tokens == 3
    assert as_limiter(3) is not limiter


@pytest.mark.anyio
async def test_a_limiter_of_the_caller_is_taken_as_it_is() -> None:
    """A caller's limiter is shared, not copied, so that it can be resized while it works."""
    limiter = CapacityLimiter(2)
    assert as_limiter(limiter) is limiter


def test_a_limiter_made_before_the_event_loop_is_taken() -> None:
    """A limiter that was made at import, outside of any event loop, works inside one."""
    limiter = CapacityLimiter(2)

    async def use() -> float:
        async with as_limiter(limiter):
            return limiter.borrowed_tokens

    assert anyio.run(use) == 1


@pytest.mark.parametrize("wrong", [0, -1, 1.0, 1.2, True, False, None, "2", {}, math.inf, math.nan])
def test_a_limit_that_is_none_is_refused(wrong: Any) -> None:
    """Zero, fractions, booleans and text are no limit, and the message says what is."""
    with pytest.raises(ConfigurationError, match=r"^limit must be a whole number of at least 1 or a CapacityLimiter"):
        as_limiter(wrong)


# -- seconds -------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.floats(min_value=0, exclude_min=True, allow_infinity=False) | st.integers(1, 10**9))
def test_seconds_are_any_number_above_zero(value: float) -> None:
    """Whole numbers and fractions are taken and come back as floats."""
    seconds = as_seconds(value, "item_timeout")
    assert seconds == value
    assert type(seconds) is float


@pytest.mark.parametrize("wrong", [None, 0, 0.0, -1, -0.5, math.nan, math.inf, -math.inf, True, "5", [], 10**400])
def test_seconds_that_make_no_sense_are_refused(wrong: Any) -> None:
    """The message names the argument."""
    with pytest.raises(ConfigurationError, match=r"^lease_seconds must be a number of seconds above 0"):
        as_seconds(wrong, "lease_seconds")


# -- uploads -------------------------------------------------------------------------------------------------------


def generated() -> Iterator[Any]:
    raise AssertionError("nobody may read this")
    yield


async def generated_later() -> AsyncIterator[Any]:
    raise AssertionError("nobody may read this")
    yield


@pytest.mark.parametrize("uploads", [[], (), [UPLOAD], (UPLOAD, UPLOAD), {UPLOAD}, iter([UPLOAD])])
def test_iterables_of_uploads_are_taken(uploads: Any) -> None:
    """Lists, tuples, sets and iterators are fine, also empty ones."""
    check_uploads(uploads)


def test_an_iterator_is_not_read() -> None:
    """Iterators and generators, also async ones, are left alone; their elements are checked as they come."""
    check_uploads(generated())
    check_uploads(generated_later())
    rest = iter([UPLOAD])
    check_uploads(rest)
    assert list(rest) == [UPLOAD]


@pytest.mark.parametrize("wrong", [UPLOAD, "brief.md", b"brief", 5, None, object()])
def test_what_is_no_iterable_of_uploads_is_refused(wrong: Any) -> None:
    """One upload alone and a file's name are common mistakes; the message says how to make uploads."""
    with pytest.raises(ConfigurationError) as caught:
        check_uploads(wrong)
    assert type(wrong).__name__ in str(caught.value)
    assert "Upload.from_path" in str(caught.value)
    assert "Secret" not in str(caught.value)


@pytest.mark.parametrize("wrong", ["brief.md", b"x", None, 5, {"name": "a"}])
def test_what_is_no_upload_is_refused(wrong: Any) -> None:
    """A list is checked whole before anything begins, and the message names the type that is wrong."""
    for check in (lambda: check_upload(wrong), lambda: check_uploads([UPLOAD, wrong])):
        with pytest.raises(ConfigurationError, match=f"must hold Upload objects, not {type(wrong).__name__}"):
            check()
    check_upload(UPLOAD)


# -- stores and analyzers ------------------------------------------------------------------------------------------


def test_stores_are_taken() -> None:
    """Both stores pass, open or not; whether a store is open is for the store to say."""
    check_store(MemoryStore())
    check_store(SQLiteStore("unopened.db"))


@pytest.mark.parametrize(
    ("wrong", "named"),
    [("cards.db", "str"), (Path("cards.db"), "Path"), (None, "NoneType"), (SQLiteStore, "SQLiteStore"), ({}, "dict")],
)
def test_what_is_no_store_is_refused(wrong: Any, named: str) -> None:
    """A file's name, or a class without its brackets, is told with the way to open a store."""
    with pytest.raises(ConfigurationError, match=f"^store must be .*{named}.*async with SQLiteStore"):
        check_store(wrong)


def test_analyzers_are_taken() -> None:
    """Any object with a name and a method will do."""
    check_analyzer(ScriptedAnalyzer())


class Nameless:
    async def analyze(self, document: Any, request: Any, /) -> Any: ...


class Idle:
    name = "idle"


class Numbered(Nameless):
    name = 5


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (ScriptedAnalyzer, r"an object, not a class: ScriptedAnalyzer\(\)"),
        (Nameless(), "a name and a method analyze.*Nameless"),
        (Idle(), "a name and a method analyze.*Idle"),
        (Numbered(), "a name and a method analyze.*Numbered"),
        ("claude", "a name and a method analyze.*str"),
        (None, "a name and a method analyze.*NoneType"),
    ],
    ids=["class", "nameless", "idle", "numbered", "text", "nothing"],
)
def test_what_is_no_analyzer_is_refused(wrong: Any, told: str) -> None:
    """A class without its brackets, or an object that lacks something, is told with what is wanted."""
    with pytest.raises(ConfigurationError, match=f"^analyzer must (be|have) {told}"):
        check_analyzer(wrong)


# -- run ids -------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_a_run_may_have_any_name(name: str) -> None:
    """Any text that can be written is a name."""
    assert check_run_id(name) == name


@pytest.mark.parametrize("wrong", ["", None, 5, b"r", "half \ud800"])
def test_what_is_no_name_is_refused(wrong: Any) -> None:
    """Nothing, numbers, bytes and text that no store can keep are no names."""
    with pytest.raises(ConfigurationError, match=r"^run_id "):
        check_run_id(wrong)


# -- analyses ------------------------------------------------------------------------------------------------------


def test_an_analysis_is_taken() -> None:
    """What is an Analysis comes back as it is."""
    analysis = Analysis(cards=[Card(title="t")])
    assert check_analysis(analysis) is analysis


@pytest.mark.parametrize("wrong", [None, [], [Card(title="Secret text")], {"cards": []}, "Secret text"])
def test_what_is_no_analysis_fails_its_item(wrong: Any) -> None:
    """An analyzer that returns something else gets a typed error that names the type and holds none of its text."""
    with pytest.raises(AnalyzerError) as caught:
        check_analysis(wrong)
    assert caught.value.code == "invalid_analysis"
    assert type(wrong).__name__ in str(caught.value)
    assert "Secret" not in str(caught.value)
