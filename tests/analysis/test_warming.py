"""One request warms the prompt cache and the rest follow: the order itself, and through the real client."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio
import trio.testing
from anthropic import AsyncAnthropic
from anyio import wait_all_tasks_blocked
from anyio.lowlevel import checkpoint

from cardanalysis._clock import Clock
from cardanalysis._context import UploadContext
from cardanalysis._errors import CardAnalysisError
from cardanalysis._models import Analysis, AnalysisRequest
from cardanalysis.abc import Analyzer
from cardanalysis.analysis._retries import RetryPolicy
from cardanalysis.analysis._warming import CacheWarmer, least_cached
from cardanalysis.pacing import Pacer
from cardanalysis.testing import FakeMessagesAPI, RecordedRequest, Reply

sys.path.insert(0, str(Path(__file__).parent))

from claude_kit import KEY, ONE_CARD, analyzer, document

pytestmark = pytest.mark.anyio


class Time:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Crowd:
    """Tasks that take turns, and end when they are told to."""

    def __init__(self) -> None:
        self.time = Time()
        self.warmer = CacheWarmer(Clock(time=self.time))
        self.inside: dict[str, tuple[anyio.Event, Callable[[], None]]] = {}

    async def enter(self, name: str, key: str = "k") -> None:
        async with self.warmer.turn(key) as begun:
            over = anyio.Event()
            self.inside[name] = (over, begun)
            try:
                await over.wait()
            finally:
                del self.inside[name]

    async def begin(self, name: str) -> None:
        self.inside[name][1]()
        await wait_all_tasks_blocked()

    async def end(self, name: str) -> None:
        self.inside[name][0].set()
        await wait_all_tasks_blocked()

    async def end_all(self) -> None:
        while self.inside:
            for name in list(self.inside):
                await self.end(name)


async def test_the_rest_wait_until_the_first_answer_begins() -> None:
    """Not until its end; and other prefixes do not wait."""
    crowd = Crowd()
    async with anyio.create_task_group() as tasks:
        for name in ("a", "b", "c"):
            tasks.start_soon(crowd.enter, name)
            await wait_all_tasks_blocked()
        tasks.start_soon(crowd.enter, "other", "other key")
        await wait_all_tasks_blocked()
        assert set(crowd.inside) == {"a", "other"}
        assert not crowd.warmer.is_warm("k")
        await crowd.begin("a")
        assert set(crowd.inside) == {"a", "b", "c", "other"}
        assert crowd.warmer.is_warm("k")
        await crowd.end_all()


async def test_a_warmer_that_fails_lets_the_next_one_warm() -> None:
    """One after the other, never all at once."""
    crowd = Crowd()
    async with anyio.create_task_group() as tasks:
        for name in ("a", "b", "c"):
            tasks.start_soon(crowd.enter, name)
            await wait_all_tasks_blocked()
        await crowd.end("a")
        (second,) = crowd.inside
        await crowd.end(second)
        assert set(crowd.inside) == {"b", "c"} - {second}
        await crowd.end_all()


async def test_a_warmer_that_is_cancelled_lets_the_next_one_warm() -> None:
    """It leaves nobody waiting for ever, and so does one who is cancelled while it waits."""
    crowd = Crowd()
    async with anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as gone:
            gone.start_soon(crowd.enter, "a")
            await wait_all_tasks_blocked()
            gone.start_soon(crowd.enter, "b")
            tasks.start_soon(crowd.enter, "c")
            await wait_all_tasks_blocked()
            gone.cancel_scope.cancel()
        await wait_all_tasks_blocked()
        assert set(crowd.inside) == {"c"}
        await crowd.end_all()


async def test_after_five_minutes_it_is_cold_again() -> None:
    """Counted from the beginning of the last request that used it; then one goes alone again."""
    crowd = Crowd()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(crowd.enter, "a")
        await wait_all_tasks_blocked()
        await crowd.begin("a")
        crowd.time.now += 200
        tasks.start_soon(crowd.enter, "b")
        await wait_all_tasks_blocked()
        crowd.time.now += 150
        assert not crowd.warmer.is_warm("k")
        await crowd.begin("b")
        assert crowd.warmer.is_warm("k")
        crowd.time.now += 150
        assert not crowd.warmer.is_warm("k")
        tasks.start_soon(crowd.enter, "c")
        tasks.start_soon(crowd.enter, "d")
        await wait_all_tasks_blocked()
        assert len(set(crowd.inside) & {"c", "d"}) == 1
        await crowd.end_all()


async def test_an_answer_longer_than_the_entry_lives_blocks_nobody() -> None:
    """Where the first answer still comes when its entry is old, the next one warms; nothing spins."""
    crowd = Crowd()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(crowd.enter, "a")
        await wait_all_tasks_blocked()
        await crowd.begin("a")
        crowd.time.now += 301
        tasks.start_soon(crowd.enter, "b")
        tasks.start_soon(crowd.enter, "c")
        for _ in range(20):
            await checkpoint()
        (warming,) = set(crowd.inside) - {"a"}
        crowd.inside["a"][0].set()  # its end does not end the turn of the other one
        for _ in range(20):
            await checkpoint()
        assert set(crowd.inside) == {warming}
        await crowd.begin(warming)
        assert set(crowd.inside) == {"b", "c"}
        await crowd.end_all()


async def test_nobody_waits_for_what_is_not_cached() -> None:
    """Once an answer showed it, also those that are waiting go on."""
    crowd = Crowd()
    crowd.warmer.not_cached("k")
    async with anyio.create_task_group() as tasks:
        for name in ("a", "b"):
            tasks.start_soon(crowd.enter, name)
        await wait_all_tasks_blocked()
        assert set(crowd.inside) == {"a", "b"}
        await crowd.begin("a")
        assert not crowd.warmer.is_warm("k")
        await crowd.end_all()


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("claude-opus-5", 512),
        ("claude-opus-5-5", 1024),
        ("claude-opus-4-7", 2048),
        ("claude-opus-4-6", 4096),
        ("claude-haiku-4-5-20251001", 4096),
        ("claude-sonnet-5-5", 1024),
        ("something-else", 1024),
    ],
)
def test_the_shortest_prefix_depends_on_the_model(model: str, tokens: int) -> None:
    """As the public documentation lists it; 1,024 where it is not known."""
    assert least_cached(model) == tokens


# --- through the real client ------------------------------------------------------------------------------------------

LONG_PROMPT = "Write cards about what the document asks for. " * 200


async def ask_all(
    ready: Analyzer, count: int, *, context: UploadContext | None = None, shared: bool = False
) -> list[Analysis | CardAnalysisError]:
    results: list[Analysis | CardAnalysisError] = []

    async def one(number: int) -> None:
        request = AnalysisRequest(context=context, shared_context=shared)
        try:
            results.append(await ready.analyze(document(f"Document {number}", upload_id=f"u{number}"), request))
        except CardAnalysisError as error:
            results.append(error)

    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(one, number)
    return results


async def asked(api: FakeMessagesAPI, count: int = 5, *, how: dict[str, Any] | None = None, **settings: Any) -> Any:
    client = AsyncAnthropic(api_key=KEY, base_url=api.base_url)
    async with client, analyzer(client, **{"prompt": LONG_PROMPT, **settings}).open() as ready:
        return await ask_all(ready, count, **(how or {}))


def first(request: RecordedRequest) -> bool:
    return request.request_id == f"req_{1:024d}"


async def test_the_first_request_goes_alone_and_the_rest_read_what_it_wrote() -> None:
    """The prefix is paid for once, and the usage says what was read and written."""
    with FakeMessagesAPI(answer=Reply.json(ONE_CARD), latency=lambda request: 0.05 if first(request) else 0.0) as api:
        results = await asked(api)
    usages = [result.usage for result in results]
    (written,) = {usage.cache_write_tokens for usage in usages} - {0}
    assert sorted((usage.cache_write_tokens, usage.cache_read_tokens) for usage in usages) == [
        *[(0, written)] * 4,
        (written, 0),
    ]
    assert all(api.requests[0].arrived < request.arrived for request in api.requests[1:])


async def test_the_rest_start_when_the_answer_begins_and_not_at_its_end() -> None:
    """They overlap with the rest of the first answer."""
    slow = Reply.json(ONE_CARD).trickling(0.3)
    with FakeMessagesAPI(answer=lambda request: slow if first(request) else Reply.json(ONE_CARD)) as api:
        await asked(api)
    ended = api.requests[0].finished
    assert ended is not None
    assert all(request.arrived < ended for request in api.requests[1:])
    assert all((request.usage or {})["cache_read_input_tokens"] > 0 for request in api.requests[1:])


async def test_a_failed_first_request_lets_another_one_warm() -> None:
    """The others do not rush, and do not wait for ever."""
    with FakeMessagesAPI(answer=Reply.json(ONE_CARD)) as api:
        api.script(Reply.error(400).after(0.02), Reply.json(ONE_CARD).after(0.02))
        results = await asked(api, retry=RetryPolicy(attempts=1))
    assert sum(isinstance(result, CardAnalysisError) for result in results) == 1
    assert [(request.usage or {}).get("cache_read_input_tokens", 0) > 0 for request in api.requests] == [
        False,
        False,
        True,
        True,
        True,
    ]


@pytest.mark.parametrize("settings", [{"prompt": "Write cards."}, {"cache": False}])
async def test_nobody_waits_for_a_prefix_that_is_not_cached(settings: dict[str, Any]) -> None:
    """One that is too short, or is not to be cached: all requests are in flight at once."""
    with FakeMessagesAPI(answer=Reply.json(ONE_CARD), latency=0.1) as api:
        results = await asked(api, 4, **settings)
        assert api.max_in_flight == 4
    assert all(result.usage.cache_read_tokens == result.usage.cache_write_tokens == 0 for result in results)


async def test_a_prefix_that_turns_out_too_short_is_waited_for_once() -> None:
    """The estimate said that it is long enough, and the API's usage says that it is not."""
    with FakeMessagesAPI(answer=Reply.json(ONE_CARD), latency=0.05, min_cache_tokens=100_000) as api:
        client = AsyncAnthropic(api_key=KEY, base_url=api.base_url)
        async with client, analyzer(client, prompt=LONG_PROMPT).open() as ready:
            await ask_all(ready, 1)
            await ask_all(ready, 3)
        assert api.max_in_flight == 3


async def test_what_all_documents_share_is_cached_with_the_instructions() -> None:
    """The context of the run is marked; one that is a document's own is not."""
    context = UploadContext(notes="They mean web orders. " * 90)
    with FakeMessagesAPI(answer=Reply.json(ONE_CARD)) as api:
        shared = await asked(api, 3, how={"context": context, "shared": True})
        own = await asked(api, 3, how={"context": context, "shared": False}, model="claude-opus-5-5")
    read = max(result.usage.cache_read_tokens for result in shared)
    assert read > max(result.usage.cache_read_tokens for result in own) + 300
    marked = [
        [bool(block.get("cache_control")) for block in api.requests[n].body["messages"][0]["content"]] for n in (0, 3)
    ]
    assert marked == [[True, False, False], [False, False, False]]


async def test_a_cache_that_grew_old_is_warmed_by_one_again() -> None:
    """After five minutes of the clock, which the fake shares."""
    time = Time()
    with FakeMessagesAPI(answer=Reply.json(ONE_CARD), latency=0.02, clock=time) as api:
        client = AsyncAnthropic(api_key=KEY, base_url=api.base_url)
        claude = analyzer(client, prompt=LONG_PROMPT, pacer=Pacer(clock=Clock(time=time)))
        async with client, claude.open() as ready:
            await ask_all(ready, 3)
            time.now += 299
            await ask_all(ready, 2)
            time.now += 301
            await ask_all(ready, 3)
    written = [(request.usage or {})["cache_creation_input_tokens"] > 0 for request in api.requests]
    assert written == [True, False, False, False, False, True, False, False]


def test_a_first_answer_that_is_long_in_coming_is_not_waited_for() -> None:
    """After some seconds the others go too, and write the prefix once more each; nobody takes another's place."""

    async def main() -> list[float]:
        warmer = CacheWarmer(Clock(time=anyio.current_time))
        started: list[float] = []
        begun = anyio.current_time()

        async def ask(takes: float) -> None:
            async with warmer.turn("prefix") as warm:
                started.append(anyio.current_time() - begun)
                await anyio.sleep(takes)
                warm()

        async with anyio.create_task_group() as tasks:
            for takes in (60.0, 1.0, 1.0):
                tasks.start_soon(ask, takes)
                await anyio.wait_all_tasks_blocked()
        return started

    clock = trio.testing.MockClock(rate=0, autojump_threshold=0)
    started = trio.run(main, clock=clock)
    assert started == pytest.approx([0, 5, 5])
