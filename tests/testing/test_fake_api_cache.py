"""The fake Messages API's prompt cache."""

from __future__ import annotations

from typing import Any

import anthropic
import anyio
import pytest
from anyio import to_thread
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis.testing import FakeMessagesAPI, RateLimits, Reply
from cardanalysis.testing._prompt_cache import CacheUse, PromptCache
from cardanalysis.testing._prompts import count_input_tokens
from cardanalysis.testing._request_checks import check_body
from cardanalysis.testing._routes import RequestRefused

FIVE_MINUTES: dict[str, Any] = {"type": "ephemeral"}
AN_HOUR: dict[str, Any] = {"type": "ephemeral", "ttl": "1h"}


def text(length: int, control: dict[str, Any] | None = None, letter: str = "x") -> dict[str, Any]:
    """A text block of so many tokens."""
    marked = {} if control is None else {"cache_control": control}
    return {"type": "text", "text": letter * (4 * length), **marked}


def ask(*content: dict[str, Any], system: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"model": "claude-x", "max_tokens": 10, **more}
    body["messages"] = [{"role": "user", "content": list(content)}]
    return body if system is None else body | {"system": system}


def counts(use: CacheUse) -> tuple[int, int, int]:
    return use.read, use.written_5m, use.written_1h


def use(cache: PromptCache, body: dict[str, Any], now: float = 0.0) -> tuple[int, int, int]:
    """What a request reads and writes, whose response begins at once."""
    found = cache.look_up(body, now)
    cache.keep(found)
    cache.write(found)
    return counts(found)


def test_the_second_request_reads_what_the_first_wrote() -> None:
    """A prefix that ends at a breakpoint is written once, then read; the rest is neither."""
    cache = PromptCache()
    assert use(cache, ask(text(2000, FIVE_MINUTES), text(50))) == (0, 2000, 0)
    assert use(cache, ask(text(2000, FIVE_MINUTES), text(70, letter="y"))) == (2000, 0, 0)
    assert use(cache, ask(text(2000, FIVE_MINUTES, letter="y"), text(50))) == (0, 2000, 0)
    assert use(cache, ask(text(2000), text(50))) == (0, 0, 0)


def test_nothing_is_there_before_a_response_has_begun() -> None:
    """Requests that come before the first response each write."""
    cache, body = PromptCache(), ask(text(2000, FIVE_MINUTES))
    first, second = cache.look_up(body, 0.0), cache.look_up(body, 0.0)
    assert counts(first) == counts(second) == (0, 2000, 0)
    cache.write(first)
    assert cache.look_up(body, 0.0).read == 2000


@pytest.mark.parametrize(
    ("control", "ttl"), [(FIVE_MINUTES, 300), (FIVE_MINUTES | {"ttl": "5m"}, 300), (AN_HOUR, 3600)]
)
def test_time_runs_from_the_start_of_a_request_and_anew_with_each_hit(control: dict[str, Any], ttl: float) -> None:
    """An entry is gone its time after the start of the request that wrote or last read it."""
    cache, body = PromptCache(), ask(text(2000, control))
    written = cache.look_up(body, 100.0)
    cache.write(written)  # the response began whenever it did
    assert use(cache, body, 100.0 + ttl - 1)[0] == 2000
    assert use(cache, body, 100.0 + 2 * ttl - 2)[0] == 2000
    cache.write(written)  # a late response of the first request takes nothing away
    assert cache.look_up(body, 100.0 + 3 * ttl - 3).read == 2000  # a request that is not let in keeps nothing
    assert use(cache, body, 100.0 + 3 * ttl - 2)[0] == 0


def test_a_hit_keeps_the_shorter_prefixes_too() -> None:
    """Reading a long prefix keeps the shorter ones within it that were written."""
    cache = PromptCache()
    both = ask(text(1500, FIVE_MINUTES), system=[text(2000, FIVE_MINUTES)])
    use(cache, both)
    use(cache, both, 200.0)
    assert use(cache, ask(text(9), system=[text(2000, FIVE_MINUTES)]), 400.0)[0] == 2000


def test_later_breakpoints_are_written_and_the_longest_is_read() -> None:
    """Of several breakpoints the last that is cached is read, and those after it are written, each for its time."""
    cache = PromptCache()
    assert use(cache, ask(text(1500, FIVE_MINUTES), system=[text(2000, AN_HOUR)])) == (0, 1500, 2000)
    assert use(cache, ask(text(1500, FIVE_MINUTES), system=[text(2000, AN_HOUR)])) == (3500, 0, 0)
    other = ask(text(10, FIVE_MINUTES, letter="y"), system=[text(2000, AN_HOUR)])
    assert use(cache, other) == (2000, 10, 0)


def test_growing_talks_are_read_up_to_twenty_blocks_back() -> None:
    """What an earlier request wrote is found when its end is fewer than 20 blocks before a breakpoint."""
    cache, start = PromptCache(), text(2000)
    assert use(cache, ask(start, cache_control=FIVE_MINUTES)) == (0, 2000, 0)
    assert use(cache, ask(start, *[text(1)] * 19, cache_control=FIVE_MINUTES)) == (2000, 19, 0)
    assert use(cache, ask(start, *[text(1, letter="y")] * 20, cache_control=FIVE_MINUTES)) == (0, 2020, 0)


def test_the_top_level_marks_the_last_block() -> None:
    """cache_control at the top marks the last block that can be cached, so thinking is passed over."""
    cache = PromptCache()
    body = ask(text(2000), cache_control=AN_HOUR)
    body["messages"].append({"role": "assistant", "content": [text(5), {"type": "thinking", "thinking": "t"}]})
    assert use(cache, body) == (0, 0, 2005)
    plain = {"model": "claude-x", "max_tokens": 1, "messages": [{"role": "user", "content": "x" * 8000}]}
    assert use(cache, plain | {"cache_control": AN_HOUR}) == (0, 0, 2000)
    assert use(cache, ask(text(2000, FIVE_MINUTES))) == (2000, 0, 0)  # a string is a block of text


@pytest.mark.parametrize(
    "change",
    [
        {"model": "claude-y"},
        {"output_config": {"effort": "low"}},
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "string"}}}},
        {"thinking": {"type": "disabled"}},
        {"tools": [{"name": "t", "input_schema": {}}]},
        {"system": [text(1, letter="z")]},
        {"speed": "fast"},
    ],
)
def test_what_a_prefix_depends_on(change: dict[str, Any]) -> None:
    """Another model, schema, effort, thinking, speed, tool or system prompt is another prefix."""
    cache, body = PromptCache(), ask(text(2000, FIVE_MINUTES))
    use(cache, body)
    assert use(cache, body | change)[0] == 0
    assert use(cache, body | change)[0] >= 2000
    assert use(cache, body | {"max_tokens": 77, "metadata": {"user_id": "u"}})[0] == 2000


@pytest.mark.parametrize(
    ("model", "least"),
    [
        ("claude-opus-5", 512),
        ("claude-fable-5", 512),
        ("claude-opus-4-8", 1024),
        ("claude-sonnet-5", 1024),
        ("claude-opus-4-7", 2048),
        ("claude-opus-4-5-20251101", 4096),
        ("claude-haiku-4-5-20251001", 4096),
        ("claude-haiku-4-5", 4096),
        ("claude-opus-5-5", 1024),
        ("claude-of-tomorrow", 1024),
    ],
)
def test_short_prefixes_are_not_cached(model: str, least: int) -> None:
    """Each model has a shortest prefix that is cached; what is shorter is silently not. One may be given instead."""
    assert use(PromptCache(), ask(text(least, FIVE_MINUTES), model=model)) == (0, least, 0)
    assert use(PromptCache(), ask(text(least - 1, FIVE_MINUTES), model=model)) == (0, 0, 0)
    assert use(PromptCache(min_tokens=5), ask(text(5, FIVE_MINUTES), model=model)) == (0, 5, 0)


def test_tools_and_schema_come_first() -> None:
    """Tools and the schema are part of the prefix, so that nothing is left over after the last block."""
    schema = {"type": "object", "additionalProperties": False}
    body = ask(
        text(2000, FIVE_MINUTES),
        tools=[{"name": "a", "cache_control": FIVE_MINUTES}, {"name": "b"}],
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert sum(use(PromptCache(), body)) == count_input_tokens(body)


BLOCKS = st.lists(st.tuples(st.integers(1, 40), st.sampled_from([None, "5m"])), min_size=1, max_size=6)


@given(BLOCKS, BLOCKS, st.lists(st.integers(0, 2), min_size=1, max_size=6))
@settings(max_examples=100)
def test_the_parts_never_exceed_the_prompt(
    one: list[tuple[int, str | None]], other: list[tuple[int, str | None]], order: list[int]
) -> None:
    """Whatever is asked in whatever order, what is read and written is no more than the prompt; a repeat only reads."""
    cache = PromptCache(min_tokens=1)
    for index in order:
        blocks = (one, other, [*one, *other])[index]
        body = ask(*(text(size, {"type": "ephemeral", "ttl": ttl} if ttl else None) for size, ttl in blocks))
        first, again = use(cache, body), use(cache, body)
        assert sum(first) <= count_input_tokens(body)
        assert again == (sum(first), 0, 0)


def test_an_hour_must_come_before_five_minutes() -> None:
    """A longer time after a shorter one is refused, and so are five breakpoints."""
    headers = {"content-type": "application/json"}
    check_body(headers, ask(text(5, AN_HOUR), text(5, FIVE_MINUTES), cache_control=FIVE_MINUTES))
    with pytest.raises(RequestRefused, match="must not come after"):
        check_body(headers, ask(text(5, FIVE_MINUTES), text(5, AN_HOUR)))
    with pytest.raises(RequestRefused, match="must not come after"):
        check_body(headers, ask(text(5, FIVE_MINUTES), cache_control=AN_HOUR))
    with pytest.raises(RequestRefused, match="maximum of 4"):
        check_body(headers, ask(*[text(5, FIVE_MINUTES)] * 5))


# --- over the wire ----------------------------------------------------------------------------------------------------


def client(api: FakeMessagesAPI, **options: Any) -> anthropic.AsyncAnthropic:
    return anthropic.AsyncAnthropic(**{"api_key": "test-key", "base_url": api.base_url, "max_retries": 0, **options})


BODY = ask(text(2000, AN_HOUR), text(1000, FIVE_MINUTES), text(7), model="claude-sonnet-5-5")


@pytest.mark.anyio
@pytest.mark.parametrize("stream", [False, True])
async def test_usage_adds_up(stream: bool) -> None:
    """What was written, by its time, what was read and the rest are the whole prompt, streamed or not."""
    async with FakeMessagesAPI() as api, client(api) as claude:
        usages = []
        for _ in range(2):
            if stream:
                async with claude.messages.stream(**BODY) as events:
                    usages.append((await events.get_final_message()).usage)
            else:
                usages.append((await claude.messages.create(**BODY)).usage)
        written, read = usages
    assert (written.input_tokens, written.cache_creation_input_tokens, written.cache_read_input_tokens) == (7, 3000, 0)
    assert written.cache_creation is not None
    assert written.cache_creation.ephemeral_1h_input_tokens == 2000
    assert written.cache_creation.ephemeral_5m_input_tokens == 1000
    assert (read.input_tokens, read.cache_creation_input_tokens, read.cache_read_input_tokens) == (7, 0, 3000)
    reported = api.requests[1].usage
    assert reported is not None
    assert reported["cache_read_input_tokens"] == 3000


@pytest.mark.anyio
@pytest.mark.filterwarnings("ignore:Async generator 'anthropic:ResourceWarning")  # the SDK's, under trio
async def test_an_entry_is_there_when_the_first_response_begins() -> None:
    """While the first response is held back others write too; once a slow one has begun, they read."""
    async with FakeMessagesAPI() as api, client(api) as claude, anyio.create_task_group() as tasks:
        api.script(Reply.default().after(3600), Reply.stalled(after_events=1))
        tasks.start_soon(lambda: claude.messages.create(**BODY))
        await to_thread.run_sync(api.wait_for_requests, 1)
        async with await claude.messages.create(**BODY, stream=True) as stream:
            begun = await anext(aiter(stream))
            assert begun.type == "message_start"
            assert begun.message.usage.cache_creation_input_tokens == 3000
            third = await claude.messages.create(**BODY)
        assert third.usage.cache_read_input_tokens == 3000
        tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_what_fails_is_not_cached() -> None:
    """Errors and responses that never begin write nothing."""
    async with FakeMessagesAPI() as api, client(api) as claude:
        api.script(Reply.overloaded(), Reply.dropped(), Reply.html())
        for _ in range(2):
            with pytest.raises(anthropic.APIError):
                await claude.messages.create(**BODY)
        with pytest.raises(anthropic.InternalServerError):
            await claude.messages.create(**BODY)
        assert (await claude.messages.create(**BODY)).usage.cache_read_input_tokens == 0


@pytest.mark.anyio
async def test_a_replys_own_usage_wins() -> None:
    """A reply that tells what was read is reported so, and the prefix is cached all the same."""
    usage = {"cache_read_input_tokens": 11}
    async with FakeMessagesAPI() as api, client(api) as claude:
        api.script(Reply.text("x", usage=usage))
        told = (await claude.messages.create(**BODY)).usage
        assert (told.cache_read_input_tokens, told.cache_creation_input_tokens, told.input_tokens) == (11, 0, 2996)
        assert (await claude.messages.create(**BODY)).usage.cache_read_input_tokens == 3000


@pytest.mark.anyio
async def test_what_is_read_is_free_of_the_input_limit() -> None:
    """With room for one prompt a minute, repeats pass as long as they read it from the cache."""
    limits = RateLimits(input_tokens_per_minute=3100)
    async with FakeMessagesAPI(limits=limits, clock=lambda: 0.0) as api, client(api) as claude:
        for _ in range(5):
            await claude.messages.create(**BODY)
        with pytest.raises(anthropic.RateLimitError, match="input tokens"):
            await claude.messages.create(**BODY | {"thinking": {"type": "disabled"}})


@pytest.mark.anyio
async def test_what_a_reply_says_was_read_is_free_too() -> None:
    """The estimate of the input is corrected by what a reply reports, down to nothing."""
    limits = RateLimits(input_tokens_per_minute=4000)
    everything = {"cache_read_input_tokens": 3007}
    async with FakeMessagesAPI(limits=limits, clock=lambda: 0.0, min_cache_tokens=9999) as api, client(api) as claude:
        api.answer = Reply.text("x", usage=everything)
        for _ in range(5):
            message = await claude.messages.create(**BODY)
            assert message.usage.input_tokens == 0


@pytest.mark.anyio
async def test_the_cache_goes_by_the_apis_clock() -> None:
    """After the time by the API's clock an entry is gone, and a shorter prefix can be made to count."""
    now = 0.0
    async with FakeMessagesAPI(clock=lambda: now, min_cache_tokens=1) as api, client(api) as claude:
        body = ask(text(3, FIVE_MINUTES))
        reads = []
        for time in (0.0, 299.0, 598.0, 898.0):
            now = time
            reads.append((await claude.messages.create(**body)).usage.cache_read_input_tokens)
    assert reads == [0, 3, 3, 0]
