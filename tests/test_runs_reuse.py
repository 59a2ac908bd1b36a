"""`analyze_cards(..., reuse=True)`: what was completed in an earlier run is taken from there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from cardanalysis import (
    Analysis,
    AnalyzerError,
    Card,
    Document,
    Item,
    ItemError,
    MemoryStore,
    RunStatus,
    SQLiteStore,
    Store,
    Upload,
    UploadContext,
    Usage,
    analyze_cards,
    runs,
    to_dict,
)
from cardanalysis.abc import NewItem, NewOutput
from cardanalysis.loading import DocumentLoader
from cardanalysis.testing import ScriptedAnalyzer, first_line_card

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_blocking")]


@pytest.fixture(params=["memory", "sqlite"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], AbstractAsyncContextManager[Store]]:
    """Opens the same store each time it is called."""
    memory = MemoryStore()
    return lambda: memory if request.param == "memory" else SQLiteStore(tmp_path / "cards.db")


def texts(count: int) -> list[Upload]:
    return [Upload.from_text(f"Document {number}\n", f"{number}.txt") for number in range(count)]


class CountingLoader:
    def __init__(self) -> None:
        self.calls: list[str] = []

    async def load(self, upload: Upload, /) -> Document:
        self.calls.append(upload.name)
        return await DocumentLoader().load(upload)


async def test_what_is_done_is_neither_loaded_nor_analyzed(open_store: Any) -> None:
    """The new run has the same cards, cost nothing, is succeeded, and its events say where the cards are from."""
    async with open_store() as store:
        analyzer, loader = ScriptedAnalyzer(), CountingLoader()
        first = await analyze_cards(texts(3), store, analyzer=ScriptedAnalyzer(), loader=loader, run_id="first")
        loader.calls.clear()
        run = await analyze_cards(texts(4), store, analyzer=analyzer, loader=loader, run_id="second", reuse=True)
        assert (analyzer.calls, loader.calls) == (["3.txt"], ["3.txt"])
        assert run.status is RunStatus.SUCCEEDED
        assert run.cards[:3] == first.cards
        assert [item.usage for item in run.items[:3]] == [Usage()] * 3
        assert run.usage == Usage(requests=1, input_tokens=10)
        assert dict(run.counters) == {"cards": 4, "completed": 4, "total": 4}
        ends = [event.data for event in await store.events("second") if event.data.get("to") == "completed"]
        assert [end.get("reused_from") for end in ends].count("first") == 3
        assert all(end["usage"]["requests"] == 0 and "notes" not in end for end in ends if "reused_from" in end)
        third = await analyze_cards(texts(4), store, analyzer=ScriptedAnalyzer(), loader=loader, reuse=True)
        assert third.cards == run.cards
        assert third.usage == Usage()


async def test_nothing_is_reused_unless_it_is_asked_for(open_store: Any) -> None:
    """Two runs know nothing of each other by themselves."""
    async with open_store() as store:
        analyzer = ScriptedAnalyzer()
        await analyze_cards(texts(1), store, analyzer=analyzer)
        await analyze_cards(texts(1), store, analyzer=analyzer)
        assert len(analyzer.calls) == 2


class Model2(ScriptedAnalyzer):
    """The same analyzer with another model."""

    def describe(self) -> dict[str, str]:
        return {"model": "2"}


CONTEXT = UploadContext(notes="For insurers.")
OTHER_QUESTIONS: dict[str, dict[str, Any]] = {
    "cards": {"max_cards": 3},
    "model": {"analyzer": Model2()},
    "context": {"context": CONTEXT},
    "context of the upload": {"uploads": [Upload.from_text("Document 0\n", "0.txt", context=CONTEXT)]},
    "content": {"uploads": [Upload.from_text("Document 9\n", "0.txt")]},
    "ending": {"uploads": [Upload.from_text("Document 0\n", "0.md")]},
    "loader": {"loader": CountingLoader()},
    "media type": {"uploads": [Upload.from_text("Document 0\n", "0.txt", media_type="text/csv")]},
}


@pytest.mark.parametrize("changed", OTHER_QUESTIONS.values(), ids=OTHER_QUESTIONS)
async def test_another_question_is_answered_anew(open_store: Any, changed: dict[str, Any]) -> None:
    """What the cards depend on has to be the same: options, model, context, content, and the kind of document."""
    asked: list[str] = []

    def script(document: Document) -> Analysis:
        asked.append(document.name)
        return first_line_card(document)

    options: dict[str, Any] = {"uploads": texts(1), "analyzer": ScriptedAnalyzer(script), **changed}
    if isinstance(options["analyzer"], Model2):
        options["analyzer"] = Model2(script)
    async with open_store() as store:
        await analyze_cards(texts(1), store, analyzer=ScriptedAnalyzer())
        run = await analyze_cards(store=store, reuse=True, **options)
    assert len(asked) == 1 or options["uploads"][0].media_type == "text/csv"  # one line is a table without rows
    assert run.items[0].status == ("completed" if asked else "failed")


async def test_another_name_with_the_same_ending_is_the_same_document(open_store: Any) -> None:
    """A renamed file is not paid for again; names without an ending are alike."""
    async with open_store() as store:
        uploads = [Upload.from_text("One\n", "one.TXT"), Upload.from_text("Two\n", "two")]
        await analyze_cards(uploads, store, analyzer=ScriptedAnalyzer())
        renamed = [Upload.from_text("One\n", "uno.txt"), Upload.from_text("Two\n", "due")]
        analyzer = ScriptedAnalyzer()
        run = await analyze_cards(renamed, store, analyzer=analyzer, reuse=True)
        assert analyzer.calls == []
        assert [item.name for item in run.items] == ["uno.txt", "due"]


async def test_only_what_is_completed_is_reused(open_store: Any) -> None:
    """Partial and failed results of other runs are no results."""
    bad, half = texts(2)

    def refuse(document: Document) -> Analysis:
        raise AnalyzerError("No.", code="refused")

    async with open_store() as store:
        await analyze_cards([bad], store, analyzer=ScriptedAnalyzer(refuse), run_id="first")
        await store.add_items("first", [NewItem(id=half.id, name=half.name, position=1)])
        (item,) = await store.claim("first", "me", lease_seconds=60)
        output = NewOutput(kind="cards", data=to_dict(Card(title="Half")))
        missing = ItemError(code="truncated", message="Half of it.")
        await store.complete_item("first", item.id, token=item.token, outputs=[output], usage=Usage(), error=missing)
        analyzer = ScriptedAnalyzer()
        run = await analyze_cards([bad, half], store, analyzer=analyzer, reuse=True)
        assert sorted(analyzer.calls) == ["0.txt", "1.txt"]
        assert run.status is RunStatus.SUCCEEDED


async def test_a_deleted_run_is_no_source(open_store: Any) -> None:
    """What was deleted is analyzed again."""
    async with open_store() as store:
        await analyze_cards(texts(1), store, analyzer=ScriptedAnalyzer(), run_id="first")
        await runs.delete_run(store, "first")
        analyzer = ScriptedAnalyzer()
        await analyze_cards(texts(1), store, analyzer=analyzer, reuse=True)
        assert len(analyzer.calls) == 1


async def test_a_source_that_is_deleted_between_two_looks_is_done_without(open_store: Any) -> None:
    """Where the result is gone when it is fetched, the upload is analyzed."""

    class Deleting:
        def __init__(self, store: Any) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        async def find_completed(self, item_id: str, *, kind: str, fingerprint: str) -> Item | None:
            found: Item | None = await self._store.find_completed(item_id, kind=kind, fingerprint=fingerprint)
            await self._store.delete_run("first")
            return found

    async with open_store() as store:
        await analyze_cards(texts(1), store, analyzer=ScriptedAnalyzer(), run_id="first")
        analyzer = ScriptedAnalyzer()
        deleting: Any = Deleting(store)
        run = await analyze_cards(texts(1), deleting, analyzer=analyzer, run_id="second", reuse=True)
        assert len(analyzer.calls) == 1
        assert (run.status, run.usage.requests) == (RunStatus.SUCCEEDED, 1)


async def test_a_run_does_not_take_from_itself(open_store: Any) -> None:
    """Resumed or retried with reuse, it does what is left, and its copies are skipped as ever."""
    failing = True

    def flaky(document: Document) -> Analysis:
        if failing and document.name == "1.txt":
            raise AnalyzerError("Try again.", code="rate_limited")
        return first_line_card(document)

    async with open_store() as store:
        analyzer = ScriptedAnalyzer(flaky)
        await analyze_cards(texts(2), store, analyzer=analyzer, run_id="r", reuse=True)
        failing = False
        run = await analyze_cards(
            [*texts(3), *texts(1)], store, analyzer=analyzer, run_id="r", reuse=True, retry_failed=True
        )
        assert sorted(analyzer.calls) == ["0.txt", "1.txt", "1.txt", "2.txt"]
        assert [str(item.status) for item in run.items] == ["completed"] * 3 + ["skipped"]
        assert not any("reused_from" in event.data for event in await store.events("r"))


async def test_an_empty_result_is_a_result(open_store: Any) -> None:
    """A document that gave no cards is not asked about again."""
    async with open_store() as store:
        await analyze_cards(texts(1), store, analyzer=ScriptedAnalyzer(lambda _: Analysis(cards=[])))
        analyzer = ScriptedAnalyzer()
        run = await analyze_cards(texts(1), store, analyzer=analyzer, reuse=True)
        assert (analyzer.calls, run.cards, run.status) == ([], (), RunStatus.SUCCEEDED)


async def test_a_type_that_the_name_does_not_tell_is_another_document(open_store: Any) -> None:
    """Where one was declared to be something else the other one is not given its cards; the same one is."""
    content, asked = "a,b\n1,2\n", list[str]()

    def script(document: Document) -> Analysis:
        asked.append(document.name)
        return first_line_card(document)

    plain = Upload.from_text(content, "a.txt")
    table = Upload.from_text(content, "a.txt", media_type="text/csv")
    async with open_store() as store:
        for upload in (table, table, plain, plain):
            await analyze_cards([upload], store, analyzer=ScriptedAnalyzer(script), reuse=True)
    assert len(asked) == 2


async def test_a_run_that_was_asked_two_things_is_no_source(open_store: Any) -> None:
    """After accept_changes it is not known which question an item of the run answers."""
    async with open_store() as store:
        await analyze_cards(texts(1), store, analyzer=ScriptedAnalyzer(), run_id="first", max_cards=1)
        await analyze_cards(
            texts(1), store, analyzer=ScriptedAnalyzer(), run_id="first", max_cards=3, accept_changes=True
        )
        analyzer = ScriptedAnalyzer()
        await analyze_cards(texts(1), store, analyzer=analyzer, max_cards=3, reuse=True)
        assert len(analyzer.calls) == 1


async def test_a_source_that_is_made_anew_between_two_looks_is_done_without(open_store: Any) -> None:
    """An item of the same id in another run of the name, which has no cards yet, does not stand for the one found."""

    class Replacing:
        def __init__(self, store: Any) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        async def find_completed(self, item_id: str, *, kind: str, fingerprint: str) -> Item | None:
            found: Item | None = await self._store.find_completed(item_id, kind=kind, fingerprint=fingerprint)
            await self._store.delete_run("first")
            await self._store.create_run("first", kind=kind, fingerprint=fingerprint, asked={})
            await self._store.add_items("first", [NewItem(id=item_id, name="0.txt", position=0)])
            return found

    async with open_store() as store:
        await analyze_cards(texts(1), store, analyzer=ScriptedAnalyzer(), run_id="first")
        analyzer = ScriptedAnalyzer()
        replacing: Any = Replacing(store)
        run = await analyze_cards(texts(1), replacing, analyzer=analyzer, run_id="second", reuse=True)
        assert (len(analyzer.calls), len(run.cards)) == (1, 1)
