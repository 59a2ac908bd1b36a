"""The errors: one tree, stable codes, messages that say what to do."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
import traceback

import pytest

from cardanalysis import _errors
from cardanalysis._errors import (
    AnalyzerError,
    CardAnalysisError,
    CommitUnknown,
    ConfigurationError,
    DocumentError,
    FingerprintMismatch,
    IllegalMove,
    InvalidValue,
    ItemNotFound,
    LeaseLost,
    RunNotFound,
    RunStopped,
    StoreError,
    VersionConflict,
)
from cardanalysis._models import Usage

# Each error with its code, the attributes that its constructor's data becomes, and what its message must say.
CASES: list[tuple[CardAnalysisError, str, dict[str, object], list[str]]] = [
    (ConfigurationError("No key. Set one."), "configuration", {}, ["No key. Set one."]),
    (ConfigurationError("No key. Set one.", code="no_key"), "no_key", {}, ["No key. Set one."]),
    (InvalidValue("title must not be empty."), "invalid_value", {}, ["title must not be empty."]),
    (
        FingerprintMismatch("r1", ["model", "max_cards"]),
        "fingerprint_mismatch",
        {"run_id": "r1", "differences": ("model", "max_cards")},
        ["'r1'", "model, max_cards", "another run_id", "accept_changes=True"],
    ),
    (
        DocumentError("a.md", "it is empty", "Fill it.", code="empty"),
        "empty",
        {"upload": "a.md", "problem": "it is empty", "remedy": "Fill it."},
        ["a.md: it is empty. Fill it."],
    ),
    (AnalyzerError("It failed. Try again."), "analyzer", {"usage": None}, ["It failed. Try again."]),
    (
        AnalyzerError("It failed.", code="refused", usage=Usage(requests=1)),
        "refused",
        {"usage": Usage(requests=1)},
        ["It failed."],
    ),
    (StoreError("It is locked. Wait."), "store", {}, ["It is locked. Wait."]),
    (StoreError("It is locked. Wait.", code="locked"), "locked", {}, ["It is locked. Wait."]),
    (RunNotFound("r1"), "run_not_found", {"run_id": "r1"}, ["'r1'", "Check the id", "right store"]),
    (
        ItemNotFound("r1", "a1"),
        "item_not_found",
        {"run_id": "r1", "item_id": "a1"},
        ["'r1'", "'a1'", "store.items(run_id)"],
    ),
    (RunStopped("max_cost is reached.", code="max_cost"), "max_cost", {}, ["max_cost is reached."]),
    (
        VersionConflict("item 'a1'", expected=2, current=3),
        "version_conflict",
        {"expected": 2, "current": 3},
        ["item 'a1'", "version 3, not 2", "Read it again"],
    ),
    (
        IllegalMove("item 'a1'", old="completed", new="pending"),
        "illegal_move",
        {"old": "completed", "new": "pending"},
        ["item 'a1'", "from completed to pending", "Read it again"],
    ),
    (
        CommitUnknown("cards.db", "SQLITE_IOERR_FSYNC"),
        "commit_unknown",
        {"reason": "SQLITE_IOERR_FSYNC"},
        ["cards.db", "SQLITE_IOERR_FSYNC", "Check the disk"],
    ),
    (
        LeaseLost("r1", "a1", token=4),
        "lease_lost",
        {"run_id": "r1", "item_id": "a1", "token": 4},
        ["Claim 4", "'a1'", "'r1'", "must be dropped"],
    ),
]
ids = [f"{type(error).__name__}-{code}" for error, code, _, _ in CASES]


def classes() -> dict[str, type[BaseException]]:
    return {
        name: kind
        for name, kind in vars(_errors).items()
        if inspect.isclass(kind) and issubclass(kind, BaseException) and kind.__module__ == _errors.__name__
    }


def test_every_error_is_below_the_root() -> None:
    """One except clause for the root catches whatever the library raises on purpose."""
    assert all(issubclass(kind, CardAnalysisError) for kind in classes().values())


def test_every_error_is_named_and_tried_here() -> None:
    """The module's names are its classes, and each that can be raised is among the cases."""
    assert set(_errors.__all__) == set(classes())
    assert {type(error).__name__ for error, *_ in CASES} == set(classes()) - {"CardAnalysisError"}


def drawn_tree() -> dict[str, str]:
    """Each class of the tree in the module's docstring with the class above it."""
    above: dict[str, str] = {}
    path: list[str] = []
    for line in (_errors.__doc__ or "").splitlines():
        drawn = re.match(r"    ([│ ]*(?:[├└]── )?)([A-Z]\w+)(?: |$)", line)
        if drawn is None:
            continue
        depth = len(drawn[1]) // 4
        path[depth:] = [drawn[2]]
        if depth:
            above[drawn[2]] = path[depth - 1]
    return above


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """What the docstring draws is how the classes stand to each other, no more and no less."""
    real = {name: kind.__bases__[0].__name__ for name, kind in classes().items() if name != "CardAnalysisError"}
    assert drawn_tree() == real


def test_what_the_tree_says_in_brackets_is_true() -> None:
    """Errors that are also a standard error are told so in the docstring, and are."""
    told = dict(re.findall(r"(\w+) +\(also a (\w+)\)", _errors.__doc__ or ""))
    real = {name: kind.__bases__[1].__name__ for name, kind in classes().items() if len(kind.__bases__) > 1}
    assert (
        told
        == real
        == {
            "ConfigurationError": "ValueError",
            "RunNotFound": "LookupError",
            "ItemNotFound": "LookupError",
        }
    )


@pytest.mark.parametrize(("error", "code", "attributes", "says"), CASES, ids=ids)
def test_an_error_tells_code_data_and_remedy(
    error: CardAnalysisError, code: str, attributes: dict[str, object], says: list[str]
) -> None:
    """An error has a stable lower-case code, keeps the data it was made of, and says what happened and what to do."""
    assert error.code == code
    assert re.fullmatch(r"[a-z_]+", error.code)
    assert {name: getattr(error, name) for name in attributes} == attributes
    assert all(part in str(error) for part in says)
    assert str(error).endswith(".")


@pytest.mark.parametrize("error", [error for error, *_ in CASES], ids=ids)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_survives_a_pickle(error: CardAnalysisError, protocol: int) -> None:
    """Type, message, code, attributes and notes come back, so that an error can cross from a worker process."""
    noted = copy.copy(error)
    noted.add_note("while saving")
    again = pickle.loads(pickle.dumps(noted, protocol))
    assert type(again) is type(error)
    assert (str(again), again.args, vars(again)) == (str(noted), noted.args, vars(noted))
    assert again.__notes__ == ["while saving"]


@pytest.mark.parametrize("error", [error for error, *_ in CASES], ids=ids)
def test_an_error_can_be_copied_and_shown(error: CardAnalysisError) -> None:
    """Copies are equal in all that can be seen, and a traceback names the class and the message."""
    for again in (copy.copy(error), copy.deepcopy(error)):
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
    assert str(error) in "".join(traceback.format_exception_only(error))
    assert type(error).__name__ in repr(error)


def test_an_error_of_a_user_survives_a_pickle() -> None:
    """A subclass with a constructor of its own needs no code to be pickled."""
    error = OwnError(7)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.number, again.code, str(again)) == (OwnError, 7, "own", "Number 7 failed. Try 8.")


class OwnError(AnalyzerError):
    def __init__(self, number: int) -> None:
        super().__init__(f"Number {number} failed. Try {number + 1}.", code="own")
        self.number = number


def test_names_are_quoted_so_that_odd_ones_can_be_seen() -> None:
    """A run id with a line end or a quotation mark does not break the message's line."""
    assert "\n" not in str(RunNotFound("a\nb"))
    assert "\n" not in str(LeaseLost("a\nb", "c\nd", token=1))


def test_codes_of_the_store_are_all_different() -> None:
    """A program can tell the store's errors apart by their codes."""
    codes = [kind.default_code for kind in classes().values() if issubclass(kind, StoreError)]
    assert len(set(codes)) == len(codes)


def test_one_error_can_be_caught_as_what_it_also_is() -> None:
    """Those who know only Python's own errors can catch them too."""
    with pytest.raises(ValueError, match="Set one"):
        raise ConfigurationError("No key. Set one.")
    with pytest.raises(LookupError):
        raise RunNotFound("r1")
    with pytest.raises(StoreError):
        raise VersionConflict("run 'r1'", expected=1, current=2)
