"""What was read of a long document is kept, so that neither a crash nor a retry pays for it again."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from anthropic import AsyncAnthropic

from cardanalysis import ClaudeAnalyzer, ItemStatus, MemoryStore, Run, RunStatus, Upload, Usage, analyze_cards
from cardanalysis.analysis import BatchOptions, RetryPolicy
from cardanalysis.stores.sqlite import SQLiteStore
from cardanalysis.testing import FakeMessagesAPI, RecordedRequest, Reply

sys.path.insert(0, str(Path(__file__).parent))

from claude_kit import CARD, KEY

pytestmark = pytest.mark.anyio

PARTS = 12
SECTIONS = [
    f"# Section {n:02}\n\nThe team of section {n:02} wants thing {n} done by machine. {'They wait for it. ' * 20}\n\n"
    for n in range(1, PARTS + 1)
]
UPLOAD = Upload.from_text("".join(SECTIONS), "long.md")
INPUT_TOKENS = 250
"""So that each section is a part."""


@pytest.fixture
def api() -> Iterator[FakeMessagesAPI]:
    with FakeMessagesAPI() as api:
        yield api


def section_of(request: RecordedRequest) -> int:
    """The one section that a request asks about."""
    (section,) = (n for n in range(1, PARTS + 1) if f"The team of section {n:02} wants" in request.text)
    return section


def found(request: RecordedRequest) -> Reply:
    n = section_of(request)
    quote = f"The team of section {n:02} wants thing {n} done by machine."
    return Reply.json({"cards": [CARD | {"title": f"Thing {n}", "quotes": [quote]}]})


async def run_it(api: FakeMessagesAPI, store: Any, **options: Any) -> Run:
    options = {"max_input_tokens": INPUT_TOKENS, "retry": RetryPolicy(attempts=1)} | options
    how = {
        name: options.pop(name) for name in ("retry_failed", "accept_changes", "max_cost", "mode") if name in options
    }
    async with AsyncAnthropic(api_key=KEY, base_url=api.base_url, max_retries=0) as client:
        return await analyze_cards(
            [UPLOAD], store, analyzer=ClaudeAnalyzer(client=client, **options), run_id="r", **how
        )


def titles(run: Run) -> list[str]:
    return [card.title for card in run.cards]


ALL = [f"Thing {n}" for n in range(1, PARTS + 1)]


@pytest.fixture(params=["memory", "sqlite"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Any]:
    """Give the same store each time it is opened."""
    memory = MemoryStore()
    return lambda: memory if request.param == "memory" else SQLiteStore(tmp_path / "cards.db")


async def test_a_crash_at_part_9_pays_for_8_parts_once(api: FakeMessagesAPI, make_store: Callable[[], Any]) -> None:
    """Each part is in the store when the next one is asked for, with what it cost; what is left is all that is done."""
    with anyio.CancelScope() as scope:

        def answer(request: RecordedRequest) -> Reply:
            return found(request) if section_of(request) < 9 else Reply.stalled()

        api.answer = answer
        async with make_store() as store, anyio.create_task_group() as tasks:

            async def stop() -> None:
                while len(api.requests) < 9:  # noqa: ASYNC110 - another thread makes them
                    await anyio.sleep(0.01)
                scope.cancel()

            tasks.start_soon(stop)
            await run_it(api, store)
    async with make_store() as store:
        interrupted = await store.get_item("r", UPLOAD.id)
        assert interrupted.usage.requests >= 8
        asked = len(api.requests)
        api.answer = found
        run = await run_it(api, store)
    assert run.status is RunStatus.SUCCEEDED
    assert titles(run) == ALL
    assert [section_of(request) for request in api.requests[asked:]] == [9, 10, 11, 12]
    assert run.usage == run.items[0].usage
    assert run.usage.requests == len(api.requests)


async def test_a_retry_reads_only_what_is_missing(api: FakeMessagesAPI, make_store: Callable[[], Any]) -> None:
    """A partial document says which parts are missing and how much was read; a retry asks for those alone."""
    api.answer = lambda request: Reply.refusal() if section_of(request) in (3, 7) else found(request)
    async with make_store() as store:
        run = await run_it(api, store)
        (item,) = run.items
        assert item.status is ItemStatus.PARTIAL
        assert item.error is not None
        assert "Not read: line" in item.error.message
        assert "83 % of" in item.error.message
        events = [event for event in await store.events("r") if event.data.get("to") == "partial"]
        assert 0.82 < events[0].data["coverage"] < 0.85
        assert titles(run) == [title for title in ALL if title not in ("Thing 3", "Thing 7")]
        first = len(api.requests)

        api.answer = found
        run = await run_it(api, store, retry_failed=True)
        assert await store.checkpoints("r", UPLOAD.id) == {}
    assert run.status is RunStatus.SUCCEEDED
    assert titles(run) == ALL
    assert [section_of(request) for request in api.requests[first:]] == [3, 7]
    assert run.items[0].usage.requests == len(api.requests)


async def test_what_was_asked_otherwise_is_asked_again(api: FakeMessagesAPI) -> None:
    """A part that was read with other settings is no part of the new result."""
    store = MemoryStore()
    api.answer = lambda request: Reply.refusal() if section_of(request) == 12 else found(request)
    await run_it(api, store)
    first = len(api.requests)
    api.answer = found

    run = await run_it(api, store, retry_failed=True, accept_changes=True, prompt="Write cards.")

    assert titles(run) == ALL
    assert len(api.requests) - first == PARTS


async def test_caching_otherwise_asks_nothing_again(api: FakeMessagesAPI) -> None:
    """Whether requests are marked for the prompt cache changes no answer, and so nothing of what is kept."""
    store = MemoryStore()
    api.answer = lambda request: Reply.refusal() if section_of(request) == 12 else found(request)
    await run_it(api, store)
    first = len(api.requests)
    api.answer = found

    run = await run_it(api, store, retry_failed=True, cache=False)

    assert titles(run) == ALL
    assert len(api.requests) - first == 1


async def test_a_part_that_was_too_long_is_not_asked_again(api: FakeMessagesAPI) -> None:
    """That it has to be read in halves is known after an interruption, and its halves are kept as well."""
    store = MemoryStore()

    def answer(request: RecordedRequest) -> Reply:
        if all(f"section {n:02} wants" in request.text for n in (1, 2)):
            return Reply.error(400, message="prompt is too long: 201000 tokens > 200000 maximum")
        numbers = [n for n in range(1, PARTS + 1) if f"The team of section {n:02} wants" in request.text]
        if 12 in numbers and not fixed:
            return Reply.refusal()
        return Reply.json({"cards": [CARD | {"title": f"Thing {n}", "quotes": []} for n in numbers]})

    fixed: list[bool] = []
    api.answer = answer
    await run_it(api, store, max_input_tokens=4 * INPUT_TOKENS)
    first = len(api.requests)
    fixed.append(True)

    run = await run_it(api, store, max_input_tokens=4 * INPUT_TOKENS, retry_failed=True)

    assert run.status is RunStatus.SUCCEEDED
    assert sorted(titles(run), key=lambda title: int(title.split()[1])) == ALL
    assert len(api.requests) - first == 1


async def test_a_store_without_checkpoints_starts_anew(api: FakeMessagesAPI) -> None:
    """Nothing is kept then, and everything is still right."""

    class Plain(MemoryStore):
        save_checkpoint = checkpoints = None  # type: ignore[assignment]

    store = Plain()
    api.answer = lambda request: Reply.refusal() if section_of(request) == 2 else found(request)
    await run_it(api, store)
    first = len(api.requests)
    api.answer = found

    run = await run_it(api, store, retry_failed=True)

    assert titles(run) == ALL
    assert len(api.requests) - first == PARTS
    assert run.usage.requests == len(api.requests)


async def test_a_document_in_one_part_keeps_nothing(api: FakeMessagesAPI) -> None:
    """What is read at once is done with its outcome, and costs no write more."""
    store = MemoryStore()
    api.answer = lambda _request: Reply.json({"cards": [CARD]})
    async with AsyncAnthropic(api_key=KEY, base_url=api.base_url, max_retries=0) as client:
        run = await analyze_cards(
            [Upload.from_text("Short", "a.md")], store, analyzer=ClaudeAnalyzer(client=client), run_id="r"
        )

    assert run.usage != Usage()
    assert "checkpoint" not in [event.type for event in await store.events("r")]


WORKER = """
import sys
import anyio
from anthropic import AsyncAnthropic
from cardanalysis import ClaudeAnalyzer, SQLiteStore, Upload, analyze_cards

async def main(document, store, url, tokens):
    async with SQLiteStore(store) as opened, AsyncAnthropic(api_key="sk-ant-x", base_url=url, max_retries=0) as client:
        analyzer = ClaudeAnalyzer(client=client, max_input_tokens=int(tokens))
        await analyze_cards([Upload.from_path(document)], opened, analyzer=analyzer, run_id="r")

anyio.run(main, *sys.argv[1:])
"""


async def test_a_killed_process_pays_for_8_of_12_parts_once(api: FakeMessagesAPI, tmp_path: Path) -> None:
    """A process that is killed while it waits for part 9 leaves 8 parts in the file, and nobody asks for them again."""
    document, file = tmp_path / "long.md", tmp_path / "cards.db"
    document.write_bytes(UPLOAD.read())
    api.answer = lambda request: found(request) if section_of(request) < 9 else Reply.stalled()
    command = [sys.executable, "-c", WORKER, str(document), str(file), api.base_url, str(INPUT_TOKENS)]
    process = await anyio.open_process(command, stdout=None, stderr=None)
    with anyio.fail_after(60):
        while len(api.requests) < 9:  # noqa: ASYNC110 - another process makes them
            await anyio.sleep(0.01)
    process.kill()
    await process.wait()
    await process.aclose()

    api.answer = found
    async with SQLiteStore(file) as store:
        assert len(await store.checkpoints("r", UPLOAD.id)) == 8
        run = await run_it(api, store)

    assert titles(run) == ALL
    assert [section_of(request) for request in api.requests[9:]] == [9, 10, 11, 12]
    assert run.usage.requests == 12


async def test_parts_that_were_read_in_batches_are_kept_too(api: FakeMessagesAPI) -> None:
    """Each part is counted once, whoever told its cost, and a retry makes a batch of the missing ones alone."""
    store = MemoryStore()
    quick = BatchOptions(linger_seconds=0.05, poll_seconds=0.01, longest_poll_seconds=0.05)
    how = {"mode": "batch", "batches": quick}
    api.answer = lambda request: Reply.refusal() if section_of(request) in (3, 7) else found(request)
    assert (await run_it(api, store, **how)).usage.requests == PARTS
    api.answer = found

    run = await run_it(api, store, retry_failed=True, **how)

    assert titles(run) == ALL
    assert run.usage == run.items[0].usage
    assert run.usage.requests == PARTS + 2
