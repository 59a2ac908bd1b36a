"""A process that is killed loses nothing: the same script with the same run_id ends the run."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from cardanalysis import Run, RunStatus, SQLiteStore, load_run
from cardanalysis.testing import FakeMessagesAPI, RecordedRequest, Reply

UPLOADS = 24

SCRIPT = textwrap.dedent("""
    import sys
    import anyio, anthropic
    from cardanalysis import ClaudeAnalyzer, SQLiteStore, Upload, analyze_cards

    async def main(path, base_url, run_id):
        uploads = [Upload.from_text(f"Document <{n}> must be kept.", f"{n}.txt") for n in range(24)]
        async with anthropic.AsyncAnthropic(api_key="test-key", base_url=base_url, max_retries=0) as client:
            async with SQLiteStore(path) as store:
                run = await analyze_cards(uploads, store, 3, analyzer=ClaudeAnalyzer(client), run_id=run_id)
        print(run.status)

    anyio.run(main, *sys.argv[1:4], backend=sys.argv[4])
""")


def answer(request: RecordedRequest) -> Reply:
    """One card that quotes the document it was made from."""
    quote = f"Document <{number(request)}> must be kept."
    card = {
        "title": f"Keep {number(request)}",
        "problem": "",
        "target_users": [],
        "current_state": "",
        "desired_outcomes": [],
        "constraints": [],
        "systems": [],
        "priority": "unstated",
        "impact": "",
        "quotes": [quote],
    }
    return Reply.json({"cards": [card]})


def number(request: RecordedRequest) -> str:
    return request.text.rpartition("Document <")[2].partition(">")[0]


@pytest.fixture
def api() -> Iterator[FakeMessagesAPI]:
    with FakeMessagesAPI(latency=0.05, answer=answer) as api:
        yield api


@pytest.fixture(params=["asyncio", "trio"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def start(tmp_path: Path, api: FakeMessagesAPI, loop: str) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts the script on the one store; what still runs at the end of the test is killed."""
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        arguments = [sys.executable, "-c", SCRIPT, str(tmp_path / "cards.db"), api.base_url, "the-run", loop]
        started.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def read(path: Path) -> Run:
    async def main() -> Run:
        async with SQLiteStore(path) as store:
            run = await load_run(store, "the-run")
            events = await store.events(run.id)
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        return run

    return anyio.run(main)


def wait_for_requests(api: FakeMessagesAPI, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while len(api.requests) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"only {len(api.requests)} requests came"
        time.sleep(0.01)


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT], ids=lambda stop: stop.name)
def test_a_killed_run_ends_when_the_script_is_run_again(
    tmp_path: Path, api: FakeMessagesAPI, start: Callable[[], subprocess.Popen[str]], stop: signal.Signals
) -> None:
    """Every upload is in the store exactly once, and none that was finished is sent again; at once, without a lease."""
    path = tmp_path / "cards.db"
    process = start()
    wait_for_requests(api, UPLOADS // 2, process)
    process.send_signal(stop)
    process.communicate(timeout=60)

    stopped = read(path)
    finished = {card.title.removeprefix("Keep ") for card in stopped.cards}
    assert 0 < len(finished) < UPLOADS
    assert stopped.status == ("running" if stop is signal.SIGKILL else "cancelled")
    sent_before = len(api.requests)

    again = start()
    printed, errors = again.communicate(timeout=60)
    assert (printed, again.returncode) == ("succeeded\n", 0), errors
    sent_again = {number(request) for request in api.requests[sent_before:]}
    assert not sent_again & finished
    assert len(api.requests) - sent_before == UPLOADS - len(finished)

    run = read(path)
    assert run.status is RunStatus.SUCCEEDED
    assert Counter(card.title for card in run.cards) == {f"Keep {n}": 1 for n in range(UPLOADS)}
    assert all(card.evidence and not card.rejected_quotes for card in run.cards)
    assert dict(run.counters) == {"cards": UPLOADS, "completed": UPLOADS, "total": UPLOADS}
    assert {item.attempts for item in run.items} <= ({1} if stop is signal.SIGINT else {1, 2})


def test_two_processes_share_one_run(
    tmp_path: Path, api: FakeMessagesAPI, start: Callable[[], subprocess.Popen[str]]
) -> None:
    """The same script twice at once does each upload once, and both see the whole run succeed."""
    both = [start(), start()]
    for process in both:
        printed, errors = process.communicate(timeout=120)
        assert (printed, process.returncode) == ("succeeded\n", 0), errors
    assert Counter(number(request) for request in api.requests) == {str(n): 1 for n in range(UPLOADS)}
    assert dict(read(tmp_path / "cards.db").counters) == {"cards": UPLOADS, "completed": UPLOADS, "total": UPLOADS}
