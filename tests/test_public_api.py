"""The public names, and the signatures that may not change."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

import cardanalysis
from cardanalysis import abc, runs
from cardanalysis.stores.memory import MemoryStore
from cardanalysis.stores.sqlite import SQLiteStore

NAMES = [
    "Analysis",
    "AnalysisRequest",
    "Analyzer",
    "AnalyzerError",
    "Block",
    "BlockKind",
    "Card",
    "CardAnalysisError",
    "ClaudeAnalyzer",
    "ConfigurationError",
    "Document",
    "DocumentError",
    "Event",
    "Evidence",
    "Item",
    "ItemError",
    "ItemStatus",
    "Loader",
    "Location",
    "MemoryStore",
    "OutlineAnalyzer",
    "Priority",
    "QuestionAnswer",
    "RejectedQuote",
    "Run",
    "RunNotFound",
    "RunStatus",
    "RunStopped",
    "SQLiteStore",
    "Store",
    "StoreError",
    "Upload",
    "UploadContext",
    "Usage",
    "VersionConflict",
    "__version__",
    "analyze_cards",
    "from_dict",
    "load_run",
    "to_dict",
]

# -- names ---------------------------------------------------------------------------------------------------------


def test_the_public_names_are_these() -> None:
    """A name is added or taken away on purpose, here too; there are at most 40, sorted as they are read."""
    assert cardanalysis.__all__ == NAMES
    assert sorted(NAMES) == NAMES
    assert len(NAMES) <= 40


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_can_be_imported_and_is_documented(name: str) -> None:
    """Each name is there and has a docstring of its own that is more than its signature."""
    value = getattr(cardanalysis, name)
    if name == "__version__":
        assert value.count(".") == 2
        return
    doc = vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__
    assert doc
    assert len(doc.split()) >= 4
    assert value.__module__.startswith("cardanalysis")


@pytest.mark.parametrize("name", [name for name in NAMES if name != "__version__"])
def test_what_a_public_class_offers_is_documented(name: str) -> None:
    """Every public method and property of a public class has a docstring."""
    value = getattr(cardanalysis, name)
    if not inspect.isclass(value):
        return
    lacking = [
        member
        for member, thing in vars(value).items()
        if not member.startswith("_")
        and (inspect.isroutine(thing) or isinstance(thing, property))
        and not inspect.getdoc(getattr(value, member))
    ]
    assert lacking == []


def test_star_import_gives_the_public_names() -> None:
    """A star import loads all of them and nothing else."""
    names: dict[str, Any] = {}
    exec("from cardanalysis import *", names)
    assert set(names) - {"__builtins__"} == set(NAMES)


def test_dir_shows_the_names_before_they_are_loaded() -> None:
    """Completion in a shell finds every public name without loading it."""
    code = "import cardanalysis; names = dir(cardanalysis); print(*[n for n in cardanalysis.__all__ if n not in names])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
    assert dir(cardanalysis) == sorted(set(dir(cardanalysis)))


@pytest.mark.parametrize("name", ["Nothing", "analyse_cards", "_nothing", "__nothing__"])
def test_an_unknown_name_is_an_attribute_error(name: str) -> None:
    """A name that is not there is told as in any module, with the module and the name."""
    with pytest.raises(AttributeError, match=f"module 'cardanalysis' has no attribute {name!r}") as caught:
        getattr(cardanalysis, name)
    assert caught.value.__suppress_context__
    assert not hasattr(cardanalysis, name)


def test_an_unknown_import_is_an_import_error() -> None:
    """The import statement says which name is missing."""
    with pytest.raises(ImportError, match="Nothing"):
        exec("from cardanalysis import Nothing")


def test_a_name_is_looked_up_once() -> None:
    """Every use gives the same object, which is kept in the module."""
    assert cardanalysis.Card is cardanalysis.Card
    assert vars(cardanalysis)["Card"] is cardanalysis.Card


def source() -> ast.Module:
    return ast.parse(Path(cardanalysis.__file__).read_text(encoding="utf-8"))


def literal(name: str) -> Any:
    for node in source().body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return ast.literal_eval(node.value)
    raise AssertionError(name)


def names_for_checkers() -> dict[str, tuple[str, ...]]:
    """What type checkers are told: the imports under TYPE_CHECKING, by module."""
    for node in source().body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            statements = [each for each in node.body if isinstance(each, ast.ImportFrom)]
            assert [each.level for each in statements] == [1] * len(statements)
            return {each.module or "": tuple(alias.name for alias in each.names) for each in statements}
    raise AssertionError("no TYPE_CHECKING block")


def test_the_lazy_table_and_the_imports_for_checkers_agree() -> None:
    """What runs and what type checkers read are the same names from the same modules."""
    table = literal("_HOMES")
    assert names_for_checkers() == table
    assert sorted(name for names in table.values() for name in names) == NAMES


# -- signatures ----------------------------------------------------------------------------------------------------

ANALYZE_CARDS = """(
    uploads, store, limit=2, *, analyzer=None, run_id=None, on_event=None, item_timeout=900.0, max_cards=20,
    context=None, loader=None, max_cost=None, run_timeout=None, mode='direct', retry_failed=False, reuse=False,
    accept_changes=False, lease_seconds=60.0, collect=True
)"""

RETRY_FAILED = """(
    store, run_id, uploads, limit=2, *, analyzer=None, on_event=None, item_timeout=900.0, max_cards=20, context=None,
    loader=None, max_cost=None, run_timeout=None, mode='direct', reuse=False, accept_changes=False,
    lease_seconds=60.0, collect=True
)"""


def shape(function: Callable[..., Any]) -> str:
    """A signature without annotations: names, kinds and defaults."""
    signature = inspect.signature(function)
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (cardanalysis.analyze_cards, ANALYZE_CARDS),
        (cardanalysis.load_run, "(store, run_id)"),
        (cardanalysis.to_dict, "(model)"),
        (cardanalysis.from_dict, "(kind, values)"),
        (cardanalysis.Upload.from_text, "(text, name, *, media_type=None, context=None)"),
        (cardanalysis.Upload.from_bytes, "(data, name, media_type=None, *, context=None)"),
        (cardanalysis.Upload.from_path, "(path, *, context=None)"),
        (cardanalysis.Upload.from_folder, "(folder, glob='**/*', *, ignore=(), context=None)"),
        (
            cardanalysis.Upload.from_zip,
            (
                "(archive, name=None, *, glob='**/*', ignore=(), context=None, members=10000, "
                "archive_bytes=500000000, expanded_bytes=1000000000)"
            ),
        ),
        (cardanalysis.Upload.read, "(self)"),
        (cardanalysis.UploadContext.to_dict, "(self)"),
        (cardanalysis.Run.with_results, "(self, items, cards)"),
        (cardanalysis.Analyzer.analyze, "(self, document, request, /)"),
        (cardanalysis.Loader.load, "(self, upload, /)"),
        (abc.OpenableAnalyzer.open, "(self)"),
        (abc.BatchAnalyzer.open_batches, "(self, journal, /)"),
        (abc.BatchSession.cancel, "(self)"),
        (abc.WorkContext.report, "(self, type, data, /)"),
        (abc.WorkContext.untimed, "(self)"),
        (abc.WorkContext.aside, "(self)"),
        (abc.WorkContext.reserve, "(self, dollars, /)"),
        (abc.Reservation.settle, "(self, dollars, /)"),
        (abc.Described.describe, "(self)"),
        (runs.cancel_run, "(store, run_id, *, reason='It was cancelled.')"),
        (runs.delete_run, "(store, run_id)"),
        (runs.export_run, "(store, run_id, path, *, overwrite=False)"),
        (runs.follow, "(store, run_id, *, after=0, poll_seconds=0.5)"),
        (runs.history, "(store, run_id, item_id)"),
        (runs.import_run, "(store, path, *, run_id=None)"),
        (runs.list_runs, "(store, *, kind=None, status=None, after=None, limit=None)"),
        (runs.retry_failed, RETRY_FAILED),
        (runs.stale_runs, "(store, *, stale_seconds=60.0)"),
        (SQLiteStore.backup, "(self, path)"),
        (SQLiteStore.vacuum, "(self)"),
    ],
)
def test_a_signature_stays_as_it_is(function: Callable[..., Any], expected: str) -> None:
    """Names, order, kinds and defaults of parameters are part of what callers rely on."""
    assert shape(function) == " ".join(expected.split()).replace("( ", "(").replace(" )", ")")


STORE = {
    "create_run": "(self, run_id, *, kind, fingerprint, asked, accept_change=False)",
    "get_run": "(self, run_id)",
    "update_run": "(self, run_id, status, *, version, error=None)",
    "add_items": "(self, run_id, items)",
    "get_item": "(self, run_id, item_id)",
    "claim": "(self, run_id, owner, *, lease_seconds, limit=1, item_ids=None)",
    "renew": "(self, run_id, owner, *, lease_seconds)",
    "release": "(self, run_id, item_id, *, token, usage=None)",
    "update_status": "(self, run_id, item_id, status, *, version)",
    "complete_item": "(self, run_id, item_id, *, token, outputs, usage, error=None, data=None)",
    "fail_item": "(self, run_id, item_id, *, token, error, usage)",
    "increment": "(self, run_id, counter, by=1)",
    "append_event": "(self, run_id, type, *, item_id=None, data=None)",
    "items": "(self, run_id, *, status=None, after=None, limit=None)",
    "outputs": "(self, run_id, *, kind=None, item_id=None, after=None, limit=None)",
    "events": "(self, run_id, after=0, *, limit=None)",
}


CHECKPOINTS = {
    "save_checkpoint": "(self, run_id, item_id, *, token, key, data, usage)",
    "checkpoints": "(self, run_id, item_id)",
}
HOUSEKEEPING = {
    "runs": "(self, *, kind=None, status=None, stale_seconds=None, after=None, limit=None)",
    "delete_run": "(self, run_id)",
    "find_completed": "(self, item_id, *, kind, fingerprint)",
    "restore_run": "(self, run, records)",
}


@pytest.mark.parametrize(
    ("store", "verbs", "more"),
    [
        (cardanalysis.Store, STORE, set[str]()),
        (abc.CheckpointStore, CHECKPOINTS, set[str]()),
        (abc.Housekeeping, HOUSEKEEPING, set[str]()),
        (MemoryStore, STORE | CHECKPOINTS | HOUSEKEEPING, set[str]()),
        (SQLiteStore, STORE | CHECKPOINTS | HOUSEKEEPING, {"backup", "vacuum"}),
    ],
)
def test_a_store_has_exactly_these_verbs(store: type[Any], verbs: dict[str, str], more: set[str]) -> None:
    """The protocols and both stores have the same methods with the same signatures; a file can do a little more."""
    methods = {name: shape(value) for name, value in vars(store).items() if inspect.isfunction(value)}
    assert {name: value for name, value in methods.items() if not name.startswith("_") and name not in more} == verbs
    assert more <= set(methods)
    assert {"__aenter__", "__aexit__"} <= set(methods) or store in (abc.CheckpointStore, abc.Housekeeping)
    assert all(inspect.iscoroutinefunction(getattr(store, name)) for name in verbs)


def test_the_names_of_the_module_for_runs_are_these() -> None:
    """What can be done with runs is listed, and each says what it does."""
    assert runs.__all__ == [
        "cancel_run",
        "delete_run",
        "export_run",
        "follow",
        "history",
        "import_run",
        "list_runs",
        "retry_failed",
        "stale_runs",
    ]
    assert all(getattr(runs, name).__doc__ for name in runs.__all__)


def test_the_main_call_is_a_coroutine_function() -> None:
    """Whoever forgets to await it is warned by the interpreter."""
    assert inspect.iscoroutinefunction(cardanalysis.analyze_cards)
    assert inspect.iscoroutinefunction(cardanalysis.load_run)
    assert inspect.iscoroutinefunction(cardanalysis.Analyzer.analyze)
    assert inspect.iscoroutinefunction(cardanalysis.Loader.load)


FIELDS = {
    cardanalysis.Analysis: "cards usage notes missing coverage requests",
    cardanalysis.AnalysisRequest: "max_cards context shared_context work",
    cardanalysis.Block: "kind text location level cells columns hidden media",
    cardanalysis.Card: """
        title problem target_users current_state desired_outcomes constraints systems priority impact evidence
        rejected_quotes quotes pictures id upload_id made_by
    """,
    cardanalysis.Document: "upload_id name media_type text blocks notes missing",
    cardanalysis.Event: "run_id sequence type time item_id data",
    cardanalysis.Evidence: "quote location match",
    cardanalysis.Item: """
        run_id id kind name position size status version attempts token owner lease_until error usage
        created_at started_at finished_at
    """,
    cardanalysis.ItemError: "code message",
    cardanalysis.Location: "name start end line end_line page slide sheet cells paragraph",
    cardanalysis.QuestionAnswer: "question answer",
    cardanalysis.RejectedQuote: "quote reason",
    cardanalysis.Run: """
        id kind status version counters usage asked fingerprint error last_event created_at started_at finished_at
        heartbeat_at items cards
    """,
    cardanalysis.Upload: "name media_type size context data path modified_ns member root",
    cardanalysis.UploadContext: """
        project_type business_domain target_audience document_type confidentiality notes key_terms
        questions_and_answers
    """,
    cardanalysis.Usage: "requests input_tokens output_tokens cache_read_tokens cache_write_tokens cost",
}


def test_every_public_model_has_its_fields_listed() -> None:
    """No public model is left out below."""
    public = {getattr(cardanalysis, name) for name in NAMES}
    analyzers = {cardanalysis.ClaudeAnalyzer}
    assert {kind for kind in public if attrs.has(kind)} - analyzers == set(FIELDS)


@pytest.mark.parametrize(("model", "expected"), FIELDS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_a_model_has_exactly_these_fields(model: type[Any], expected: str) -> None:
    """The names of fields are part of what callers and stored files rely on."""
    assert [attribute.alias for attribute in attrs.fields(model)] == expected.split()


@pytest.mark.parametrize("model", FIELDS, ids=lambda model: model.__name__)
def test_every_field_is_explained(model: type[Any]) -> None:
    """Each field of a model is told in its docstring, unless its name says all there is to say."""
    fields = {attribute.alias for attribute in attrs.fields(model)}
    hidden = {"items", "cards"} if model is cardanalysis.Run else set[str]()  # properties with docstrings of their own
    self_evident = {"question", "answer"} if model is cardanalysis.QuestionAnswer else set[str]()
    doc = inspect.getdoc(model) or ""
    assert {field for field in fields if f"\n    {field}: " not in doc} == hidden | self_evident
