"""`export_run` and `import_run`: a run comes back exactly, and a file that is not whole is refused by its line."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis import (
    AnalyzerError,
    CardAnalysisError,
    ConfigurationError,
    Document,
    ItemError,
    ItemStatus,
    MemoryStore,
    Run,
    RunNotFound,
    RunStatus,
    SQLiteStore,
    Store,
    StoreError,
    Upload,
    Usage,
    analyze_cards,
    load_run,
    runs,
)
from cardanalysis import __version__ as version
from cardanalysis import _export as export
from cardanalysis.abc import NewItem, NewOutput
from cardanalysis.testing import ScriptedAnalyzer, first_line_card

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_blocking")]

STORES = ["memory", "sqlite"]
OpenStore = Callable[[], AbstractAsyncContextManager[Store]]


def opener(kind: str, path: Path) -> OpenStore:
    memory = MemoryStore()
    return lambda: memory if kind == "memory" else SQLiteStore(path)


@pytest.fixture(params=STORES)
def open_source(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Opens the store that a run is exported from."""
    return opener(request.param, tmp_path / "source.db")


@pytest.fixture(params=STORES)
def open_target(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """Opens the store that a run is imported into."""
    return opener(request.param, tmp_path / "target.db")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "r.jsonl"


async def snapshot(store: Store, run_id: str, as_id: str = "r") -> list[Any]:
    """All that a store has of a run, under one name."""
    run = await store.get_run(run_id)
    items = [evolve(item, run_id=as_id) for item in await store.items(run_id)]
    events = [evolve(event, run_id=as_id) for event in await store.events(run_id)]
    return [evolve(run, id=as_id), items, await store.outputs(run_id), events]


def texts(count: int) -> list[Upload]:
    return [Upload.from_text(f"Document {number}: Größe\u2028\n", f"{number}.txt") for number in range(count)]


def flaky(document: Document) -> Any:
    if document.name == "1.txt":
        raise AnalyzerError("Try again.", code="rate_limited", usage=Usage(requests=1, cost=0.1))
    return first_line_card(document)


async def make_run(store: Store) -> None:
    """A run with a retry, a failure, costs, a copy, and a counter of somebody's own."""
    uploads = [*texts(4), *texts(1)]
    await analyze_cards(uploads, store, analyzer=ScriptedAnalyzer(flaky), run_id="r")
    await analyze_cards(uploads, store, analyzer=ScriptedAnalyzer(flaky), run_id="r", retry_failed=True)
    await store.increment("r", "mine", 7)


# --- there and back -------------------------------------------------------------------------------------------------


async def test_a_run_comes_back_exactly(open_source: OpenStore, open_target: OpenStore, file: Path) -> None:
    """Run, items, outputs and events are the same in the other store, and so is the work that is left."""
    async with open_source() as source, open_target() as target:
        await make_run(source)
        await runs.export_run(source, "r", file)
        run = await runs.import_run(target, file)
        assert run == await target.get_run("r")
        assert await snapshot(target, "r") == await snapshot(source, "r")
        assert (await load_run(target, "r")).cards == (await load_run(source, "r")).cards
        again = await runs.retry_failed(target, "r", texts(4), analyzer=ScriptedAnalyzer())
        assert (again.status, again.items[1].attempts) == (RunStatus.SUCCEEDED, 3)
        assert again.counters["mine"] == 7


async def test_a_run_can_come_back_under_another_name(open_source: OpenStore, file: Path) -> None:
    """A copy beside the original is the same but for its name, and lives its own life."""
    async with open_source() as store:
        await make_run(store)
        await runs.export_run(store, "r", file)
        copy = await runs.import_run(store, file, run_id="copy")
        assert copy.id == "copy"
        assert await snapshot(store, "copy") == await snapshot(store, "r")
        assert {item.run_id for item in await store.items("copy")} == {"copy"}
        assert {event.run_id for event in await store.events("copy")} == {"copy"}
        await runs.delete_run(store, "r")
        assert (await load_run(store, "copy")).counters["completed"] == 3


async def test_a_run_that_is_there_is_not_written_over(open_source: OpenStore, file: Path) -> None:
    """run_exists, and the run in the store is as it was."""
    async with open_source() as store:
        await make_run(store)
        await runs.export_run(store, "r", file)
        await store.increment("r", "mine")
        before = await snapshot(store, "r")
        with pytest.raises(StoreError) as caught:
            await runs.import_run(store, file)
        assert caught.value.code == "run_exists"
        assert await snapshot(store, "r") == before


async def test_the_file_has_a_head_and_an_end(file: Path) -> None:
    """Each line is one JSON object that says what it is; the first tells the version, the last the sums."""
    store = MemoryStore()
    await make_run(store)
    await runs.export_run(store, "r", file)
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert lines[0] == {"cardanalysis": {"format": 1, "version": version}}
    events = (await store.get_run("r")).last_event
    assert lines[-1] == {"end": {"items": 5, "outputs": 3, "events": events}}
    kinds = [next(iter(line)) for line in lines]
    assert kinds == ["cardanalysis", "run", *["item"] * 5, *["output"] * 3, *["event"] * events, "end"]
    assert not {"items", "cards"} & lines[1]["run"].keys()


async def test_an_empty_run_comes_back(open_source: OpenStore, open_target: OpenStore, file: Path) -> None:
    """A run that was only created has one event and nothing else."""
    async with open_source() as source, open_target() as target:
        await source.create_run("r", kind="k", fingerprint="f", asked={"a": [1, None, "\ud800"]})
        await runs.export_run(source, "r", file)
        await runs.import_run(target, file)
        assert await snapshot(target, "r") == await snapshot(source, "r")


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "claim", "complete", "partial", "fail", "release", "retry", "cancel", "count", "log"]),
        st.integers(0, 3),
        st.text(max_size=6),
    ),
    max_size=25,
)


async def perform(store: Store, steps: list[tuple[str, int, str]]) -> None:
    """Do what the steps say, as far as it can be done."""
    await store.create_run("r", kind="k", fingerprint="f", asked={})
    for step, number, text in steps:
        try:
            await _step(store, step, f"i{number}", number, text)
        except CardAnalysisError:
            continue  # it cannot be done now


async def _step(store: Store, step: str, item_id: str, number: int, text: str) -> None:
    if step == "add":
        await store.add_items("r", [NewItem(id=item_id, name=text, position=3 - number, size=number)])
    elif step == "claim":
        await store.claim("r", "me", lease_seconds=60, item_ids=[item_id])
    elif step == "count":
        await store.increment("r", f"mine {text}", number - 2)
    elif step == "log":
        await store.append_event("r", "note", item_id=item_id, data={text: [text, number, None]})
    else:
        item = await store.get_item("r", item_id)
        usage = Usage(requests=number, cost=None if number == 3 else number / 7)
        error = ItemError(code="c", message=text)
        outputs = [NewOutput(kind="cards", data={"title": text})] * number
        if step in ("complete", "partial"):
            missing = error if step == "partial" else None
            data = {"text": text}
            await store.complete_item(
                "r", item_id, token=item.token, outputs=outputs, usage=usage, error=missing, data=data
            )
        elif step == "fail":
            await store.fail_item("r", item_id, token=item.token, error=error, usage=usage)
        elif step == "release":
            await store.release("r", item_id, token=item.token, usage=usage if number else None)
        else:
            status = ItemStatus.PENDING if step == "retry" else ItemStatus.CANCELLED
            await store.update_status("r", item_id, status, version=item.version)


@settings(max_examples=40, deadline=None)
@given(steps=STEPS, page=st.sampled_from([1, 2, 500]), source=st.sampled_from(STORES), target=st.sampled_from(STORES))
def test_any_run_comes_back(
    steps: list[tuple[str, int, str]], page: int, source: str, target: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever was done to a run, its copy in another store is equal in all that can be read."""
    folder = tmp_path_factory.mktemp("any")

    async def main() -> None:
        async with opener(source, folder / "a.db")() as one, opener(target, folder / "b.db")() as other:
            await perform(one, steps)
            await runs.export_run(one, "r", folder / "r.jsonl")
            await runs.import_run(other, folder / "r.jsonl", run_id="copy")
            assert await snapshot(other, "copy") == await snapshot(one, "r")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "_PAGE", page)
        anyio.run(main)


# --- writing the file -----------------------------------------------------------------------------------------------


async def test_nothing_is_replaced_unless_it_is_asked_for(file: Path) -> None:
    """A file in the way stays as it is; with overwrite=True it is replaced."""
    store = MemoryStore()
    await make_run(store)
    file.write_text("mine")
    with pytest.raises(ConfigurationError, match=r"r\.jsonl exists.+overwrite=True"):
        await runs.export_run(store, "r", file)
    assert file.read_text() == "mine"
    await runs.export_run(store, "r", file, overwrite=True)
    assert (await runs.import_run(MemoryStore(), file)).id == "r"
    assert [path.name for path in file.parent.iterdir()] == ["r.jsonl"]


async def test_a_file_that_comes_meanwhile_is_not_replaced(file: Path) -> None:
    """Who is quicker keeps the place."""
    store = MemoryStore()
    await make_run(store)

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def events(self, *arguments: Any, **options: Any) -> Any:
            await to_thread.run_sync(file.write_text, "mine")
            return await store.events(*arguments, **options)

    slow: Any = Slow()
    with pytest.raises(ConfigurationError, match="exists"):
        await runs.export_run(slow, "r", file)
    assert {path.name: path.read_text() for path in file.parent.iterdir()} == {"r.jsonl": "mine"}


async def test_where_nothing_can_be_written_is_told(tmp_path: Path) -> None:
    """A folder, and a folder that is not there."""
    store = MemoryStore()
    await make_run(store)
    for path, told in [(tmp_path, "is a folder"), (tmp_path / "no" / "r.jsonl", "cannot be written")]:
        with pytest.raises(ConfigurationError, match=told):
            await runs.export_run(store, "r", path, overwrite=True)
    with pytest.raises(RunNotFound):
        await runs.export_run(store, "unknown", tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", ["counter", "item", "deleted"])
async def test_a_run_that_changes_meanwhile_is_not_exported(open_source: OpenStore, file: Path, change: str) -> None:
    """Pages of different moments are no run; what to do is told, and nothing is left."""

    class Changing:
        def __init__(self, store: Any) -> None:
            self._store = store

        def __getattr__(self, name: str) -> Any:
            return getattr(self._store, name)

        async def outputs(self, run_id: str, **options: Any) -> Any:
            found = await self._store.outputs(run_id, **options)
            if change == "counter":
                await self._store.increment("r", "mine")
            elif change == "item":
                await self._store.add_items("r", [NewItem(id="new", name="new", position=0)])
            elif options.get("after") is None:
                await self._store.delete_run("r")
            return found

    async with open_source() as store:
        await make_run(store)
        changing: Any = Changing(store)
        with pytest.raises(StoreError) as caught:
            await runs.export_run(changing, "r", file)
    assert caught.value.code == ("run_not_found" if change == "deleted" else "changed")
    assert change == "deleted" or "backup" in str(caught.value)
    assert not list(file.parent.glob("*.jsonl"))
    assert not list(file.parent.glob(".cardanalysis*"))


async def test_a_cancelled_export_leaves_nothing(file: Path) -> None:
    """Neither the file nor the one in the making is there."""
    store = MemoryStore()
    await make_run(store)

    class Endless:
        def __getattr__(self, name: str) -> Any:
            return getattr(store, name)

        async def events(self, *_arguments: Any, **_options: Any) -> Any:
            assert len(await to_thread.run_sync(os.listdir, file.parent)) == 1
            scope.cancel()
            await anyio.sleep_forever()

    endless: Any = Endless()
    with anyio.CancelScope() as scope:
        await runs.export_run(endless, "r", file)
    assert scope.cancelled_caught
    assert list(file.parent.iterdir()) == []


async def test_two_exports_to_one_place_do_not_mix(file: Path) -> None:
    """At the end the file is that of one of them, whole."""
    store = MemoryStore()
    await make_run(store)
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(lambda: runs.export_run(store, "r", file, overwrite=True))
    assert (await runs.import_run(MemoryStore(), file)).id == "r"
    assert [path.name for path in file.parent.iterdir()] == ["r.jsonl"]


# --- reading the file -----------------------------------------------------------------------------------------------


async def exported(file: Path) -> list[str]:
    """The lines of a whole export of 13 or more."""
    store = MemoryStore()
    await make_run(store)
    await runs.export_run(store, "r", file)
    return file.read_text(encoding="utf-8").splitlines(keepends=True)


async def refused(store: Store, file: Path) -> StoreError:
    """The error that an import raises, after which nothing is in the store."""
    with pytest.raises(StoreError) as caught:
        await runs.import_run(store, file)
    with pytest.raises(RunNotFound):
        await store.get_run("r")
    return caught.value


async def test_a_file_that_was_cut_off_is_refused_wherever_it_was(open_target: OpenStore, file: Path) -> None:
    """Between two lines and within each: the line is told, and nothing is in the store."""
    lines = await exported(file)
    async with open_target() as store:
        for number in range(len(lines)):
            for rest in ("", lines[number][: len(lines[number]) // 2]):
                file.write_text("".join([*lines[:number], rest]), encoding="utf-8")
                error = await refused(store, file)
                assert error.code == "invalid_export"
                assert f"Line {number + 1} " in str(error)


def edits(lines: list[str]) -> Iterator[tuple[str, list[str], int, str]]:
    """For a name: the lines of a changed file, the line that is wrong, and what is told of it."""
    end = len(lines)
    items = [number for number, line in enumerate(lines) if line.startswith('{"item"')]
    outputs = [number for number, line in enumerate(lines) if line.startswith('{"output"')]
    events = [number for number, line in enumerate(lines) if line.startswith('{"event"')]

    def without(number: int) -> list[str]:
        return [*lines[:number], *lines[number + 1 :]]

    def changed(number: int, old: str, new: str) -> list[str]:
        assert old in lines[number]
        return [*lines[:number], lines[number].replace(old, new, 1), *lines[number + 1 :]]

    def swapped(one: int, other: int) -> list[str]:
        found = list(lines)
        found[one], found[other] = found[other], found[one]
        return found

    yield "head", without(0), 1, "'cardanalysis' is expected"
    yield "run", without(1), 2, "a run is expected"
    yield "item", without(items[-1]), end - 1, "lines are missing"
    yield "item with outputs", without(items[0]), items[-1] + 1, "the item of the output is missing before it"
    yield "first output", without(outputs[0]), end - 1, "lines are missing"
    yield "event", without(events[3]), events[3] + 1, "event 4 is expected"
    yield "last event", without(events[-1]), end - 1, "lines are missing"
    yield "second run", [*lines[:2], lines[1], *lines[2:]], 3, "there is a second run"
    yield "same item", [*lines[:3], lines[2], *lines[3:]], 4, "the item is there already"
    yield "same output", [*lines[: outputs[0]], lines[outputs[0]], *lines[outputs[0] :]], outputs[0] + 2, "output 1"
    yield "second end", [*lines, lines[-1]], end, "something stands behind it"
    yield "late item", swapped(items[-1], outputs[0]), outputs[0] + 1, "comes too late"
    yield "late output", swapped(outputs[-1], events[0]), events[0] + 1, "comes too late"
    yield "order of events", swapped(events[1], events[2]), events[1] + 1, "event 2 is expected"
    yield "other run", changed(items[0], '"run_id":"r"', '"run_id":"x"'), items[0] + 1, "it belongs to another run"
    yield "other event", changed(events[0], '"run_id":"r"', '"run_id":"x"'), events[0] + 1, "another run"
    yield "status", changed(items[0], '"completed"', '"failed"'), end, "the run's counters are others"
    yield "kind", changed(outputs[0], '"kind":"cards"', '"kind":"cats"'), end, "the run's counters are others"
    yield "counter", changed(1, '"total":5', '"total":6'), end, "the run's counters are others"
    yield "last number", changed(1, '"last_event":', '"last_event":1'), end, "another number of events"
    yield "no id", changed(1, '"id":"r"', '"id":""'), 2, "the run has no usable id"
    yield "half id", changed(1, '"id":"r"', '"id":"\\ud800"'), 2, "the run has no usable id"
    yield "sum", changed(end - 1, '"items": 5', '"items": 4'), end, "lines are missing, or there are too many"
    yield "kind of end", [*lines[:-1], '{"end": 3}\n'], end, "'end' is expected"
    yield "bad status", changed(items[0], '"completed"', '"SECRET"'), items[0] + 1, "This is no Item"
    yield "no JSON", [*lines[:4], "SECRET\n", *lines[4:]], 5, "It is no JSON"
    yield "no record", [*lines[:4], '{"SECRET":{}}\n', *lines[4:]], 5, "It is none of"
    yield "format", changed(0, '"format": 1', '"format": "1"'), 1, "the format is none"
    yield "no format", changed(0, '"format": 1', '"format": 0'), 1, "the format is none"
    yield "another file", ["SECRET\n"], 1, "'cardanalysis' is expected"


async def test_a_file_that_was_changed_is_refused_by_its_line(open_target: OpenStore, file: Path) -> None:
    """Whatever was left out, put in, moved or altered: the line and the reason are told, and nothing is written."""
    lines = await exported(file)
    async with open_target() as store:
        for name, changed, number, told in edits(lines):
            file.write_text("".join(changed), encoding="utf-8")
            error = await refused(store, file)
            assert (name, error.code) == (name, "invalid_export")
            assert f"Line {number} of the export cannot be used: " in str(error), (name, str(error))
            assert told in str(error), (name, str(error))
            assert "SECRET" not in str(error)
        file.write_text("".join(lines), encoding="utf-8")
        assert (await runs.import_run(store, file)).id == "r"


async def test_what_is_no_text_is_refused_by_its_line(open_target: OpenStore, file: Path) -> None:
    """Bytes that are not UTF-8 far behind good lines; a file of another kind; an empty file."""
    lines = [line.encode() for line in await exported(file)]
    async with open_target() as store:
        file.write_bytes(b"".join([*lines[:9], b'{"event": "\xff"}\n', *lines[9:]]))
        assert "Line 10 of the export cannot be used: it is not UTF-8" in str(await refused(store, file))
        file.write_bytes(b"SQLite format 3\0\xff\xfe")
        assert "Line 1 of the export cannot be used: it is not UTF-8" in str(await refused(store, file))
        file.write_bytes(b"")
        assert "Line 1 of the export cannot be used: the file was cut off" in str(await refused(store, file))


async def test_a_number_that_the_store_cannot_keep_is_refused_by_its_line(tmp_path: Path, file: Path) -> None:
    """What only the store can tell is told by its line too."""
    lines = await exported(file)
    lines[3] = lines[3].replace('"size":', '"size":99999999999999999999')
    file.write_text("".join(lines), encoding="utf-8")
    async with SQLiteStore(tmp_path / "target.db") as store:
        error = await refused(store, file)
    assert error.code == "invalid_export"
    assert "Line 4 " in str(error)


async def test_a_file_of_a_newer_version_is_refused(open_target: OpenStore, file: Path) -> None:
    """The message says which format it is, and to upgrade."""
    lines = await exported(file)
    file.write_text("".join([lines[0].replace('"format": 1', '"format": 2'), *lines[1:]]), encoding="utf-8")
    async with open_target() as store:
        error = await refused(store, file)
    assert error.code == "too_new"
    assert "format 2" in str(error)
    assert "Upgrade" in str(error)


async def test_line_ends_of_another_system_are_no_change(file: Path) -> None:
    """A file that went through a program which writes CR LF can be read."""
    lines = await exported(file)
    file.write_bytes("".join(lines).replace("\n", "\r\n").encode())
    assert (await runs.import_run(MemoryStore(), file)).id == "r"


async def test_a_file_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    """A folder, and a file that is not there."""
    for path in (tmp_path, tmp_path / "nothing.jsonl"):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            await runs.import_run(MemoryStore(), path)
    with pytest.raises(ConfigurationError, match="run_id"):
        await runs.import_run(MemoryStore(), tmp_path, run_id="")


async def test_what_the_store_raises_is_raised(file: Path) -> None:
    """An error of the store is not taken for one of the file."""

    class Full(MemoryStore):
        async def restore_run(self, run: Run, records: Any) -> Run:
            raise StoreError("The disk is full.", code="full")

    await exported(file)
    with pytest.raises(StoreError) as caught:
        await runs.import_run(Full(), file)
    assert caught.value.code == "full"


async def test_files_are_read_and_written_off_the_event_loop(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Encoding and decoding happen in worker threads."""
    threads: set[int] = set()
    for name in ("encode", "decode"):
        original = getattr(export, name)

        def noted(value: Any, original: Any = original) -> Any:
            threads.add(threading.get_ident())
            return original(value)

        monkeypatch.setattr(export, name, noted)
    await exported(file)
    await runs.import_run(MemoryStore(), file)
    assert threads
    assert threading.get_ident() not in threads


async def test_what_editors_add_is_no_change(file: Path) -> None:
    """A byte order mark before the first line, and blank lines behind the last, do not make it another export."""
    lines = await exported(file)
    file.write_text("\ufeff" + "".join(lines) + "\n  \n", encoding="utf-8")
    assert (await runs.import_run(MemoryStore(), file)).id == "r"


async def test_an_export_does_not_replace_its_store(tmp_path: Path) -> None:
    """Asked to write over the very file that the run is kept in, it refuses, and the store is as it was."""
    path = tmp_path / "cards.db"
    async with SQLiteStore(path) as store:
        await store.create_run("r", kind="test", fingerprint="", asked={})
        (tmp_path / "link").symlink_to(path)
        for target in (path, tmp_path / "link"):
            with pytest.raises(ConfigurationError, match="the store itself"):
                await runs.export_run(store, "r", target, overwrite=True)
        assert await store.increment("r", "n") == 1
