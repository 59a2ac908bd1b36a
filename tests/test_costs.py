"""What an analysis would cost: the requests that the run would make, counted and priced without making them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from cardanalysis import (
    Analysis,
    AnalysisRequest,
    AnalyzerError,
    ClaudeAnalyzer,
    ConfigurationError,
    Document,
    MemoryStore,
    OutlineAnalyzer,
    RunStopped,
    Upload,
    UploadContext,
    analyze_cards,
)
from cardanalysis.analysis import Price, PriceTable
from cardanalysis.analysis._estimates import estimate_tokens, likely_output_tokens, most_input_tokens, worst_case
from cardanalysis.costs import CostEstimate, Estimating, estimate_cost
from cardanalysis.testing import FakeMessagesAPI

pytest_plugins = ["cardanalysis.testing.fixtures"]

TODAY = date(2026, 11, 24)
PRICES = PriceTable(
    [
        Price(
            model="m", effective_from=date(2026, 1, 1),
            input=1, cache_write_5m=1.25, cache_write_1h=2, cache_read=0.1, output=5,
        )
    ]
)  # fmt: skip


class Priced:
    """An analyzer whose requests are known: one for each paragraph of a document."""

    name = "priced"

    def __init__(self, model: str = "m") -> None:
        self.model = model
        self.prices = PRICES
        self.seen: list[AnalysisRequest] = []
        self.counted: list[str] = []

    @property
    def today(self) -> Callable[[], date]:
        return lambda: TODAY

    def request_params(self, document: Document, request: AnalysisRequest, /) -> Sequence[Mapping[str, Any]]:
        self.seen.append(request)
        return [
            {"model": self.model, "max_tokens": 1000, "messages": [{"role": "user", "content": part}]}
            for part in document.text.split("\n\n")
        ]

    async def count_tokens(self, document: Document, request: AnalysisRequest, /) -> int:
        self.counted.append(document.name)
        if "bad" in document.name:
            raise AnalyzerError("The document is too long for the model.", code="context_window_exceeded")
        return 1000

    async def analyze(self, document: Document, request: AnalysisRequest, /) -> Analysis:
        raise AssertionError("nothing is to be analyzed")


def text(content: str, name: str = "a.txt", **options: Any) -> Upload:
    return Upload.from_text(content, name, **options)


# -- with a stand-in -----------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_an_estimate_adds_up_over_uploads_and_requests() -> None:
    """Tokens, cost and worst cost are those of all requests together."""
    estimate = await estimate_cost([text("one\n\ntwo"), text("three", "b.txt")], analyzer=Priced(), max_cards=3)
    requests = [
        {"model": "m", "max_tokens": 1000, "messages": [{"role": "user", "content": part}]}
        for part in ("one", "two", "three")
    ]
    inputs = sum(map(estimate_tokens, requests))
    outputs = sum(likely_output_tokens(params, max_cards=3) for params in requests)
    worst = sum(worst_case(PRICES, "m", most_input_tokens(each), 1000, on=TODAY) or 0 for each in requests)
    assert estimate == CostEstimate(
        uploads=2, duplicates=0, requests=3, input_tokens=inputs, output_tokens=outputs,
        cost=pytest.approx((inputs * 1 + outputs * 5) / 1e6), worst_cost=pytest.approx(worst), exact=False, failed=(),
    )  # fmt: skip


@pytest.mark.anyio
async def test_a_copy_is_counted_once() -> None:
    """The run skips a second copy of the same content, whatever its name; so does the estimate."""
    estimate = await estimate_cost([text("same"), text("same", "b.txt"), text("other", "c.txt")], analyzer=Priced())
    assert (estimate.uploads, estimate.duplicates, estimate.requests) == (2, 1, 2)


@pytest.mark.anyio
async def test_an_upload_that_cannot_be_read_is_listed(tmp_path: Path) -> None:
    """It is told by name, in the caller's order, and the others are estimated."""
    path = tmp_path / "gone.txt"
    path.write_text("soon gone")
    gone = Upload.from_path(path)
    path.unlink()
    estimate = await estimate_cost([text("", "empty.txt"), text("one"), gone], analyzer=Priced())
    assert estimate.uploads == 1
    assert [name for name, _ in estimate.failed] == ["empty.txt", "gone.txt"]
    assert "it is empty" in estimate.failed[0][1]


class Broken:
    async def load(self, upload: Upload, /) -> Document:
        raise ZeroDivisionError(upload.name)


@pytest.mark.anyio
async def test_a_loader_that_raises_something_else_fails_that_upload() -> None:
    """As in a run, its error names the kind only."""
    estimate = await estimate_cost([text("one")], analyzer=Priced(), loader=Broken())
    assert estimate.failed == (
        ("a.txt", "a.txt: it could not be loaded (ZeroDivisionError). Check that it is not damaged."),
    )


@pytest.mark.anyio
async def test_an_unknown_price_makes_the_cost_unknown() -> None:
    """Tokens are told all the same."""
    estimate = await estimate_cost([text("one")], analyzer=Priced("n"))
    assert (estimate.requests, estimate.cost, estimate.worst_cost) == (1, None, None)
    assert estimate.input_tokens > 0


@pytest.mark.anyio
async def test_a_batch_costs_half() -> None:
    """Its worst case is not less: that is what the run puts aside for it."""
    direct = await estimate_cost([text("one")], analyzer=Priced())
    batch = await estimate_cost([text("one")], analyzer=Priced(), mode="batch")
    assert direct.cost is not None
    assert batch.cost == pytest.approx(direct.cost / 2)
    assert batch.worst_cost == direct.worst_cost


@pytest.mark.anyio
async def test_nothing_costs_nothing() -> None:
    """Without uploads there are no requests."""
    estimate = await estimate_cost([], analyzer=Priced())
    assert (estimate.uploads, estimate.requests, estimate.cost, estimate.worst_cost) == (0, 0, 0.0, 0.0)


@pytest.mark.anyio
@pytest.mark.parametrize("exact", [False, True])
async def test_the_rules_cost_nothing(exact: bool) -> None:
    """Rules cost nothing; what cannot be read is found all the same."""
    estimate = await estimate_cost([text("# A\n"), text("", "b.txt")], analyzer=OutlineAnalyzer(), exact=exact)
    assert (estimate.uploads, estimate.requests, estimate.cost, len(estimate.failed)) == (1, 0, 0.0, 1)
    assert not estimate.exact


class Wrapped:
    """An analyzer around another one, of which nobody knows the requests."""

    name = "wrapped"

    def __init__(self, inner: Any) -> None:
        self.analyze = inner.analyze


@pytest.mark.anyio
@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("inner", [Priced(), OutlineAnalyzer()], ids=["priced", "rules"])
async def test_what_an_unknown_analyzer_costs_is_unknown(inner: object, exact: bool) -> None:
    """It is never taken for free; uploads are counted all the same, and none of them costs nothing."""
    estimate = await estimate_cost([text("# A\n"), text("", "b.txt")], analyzer=Wrapped(inner), exact=exact)
    assert (estimate.cost, estimate.worst_cost, estimate.exact) == (None, None, False)
    assert (estimate.uploads, estimate.requests, len(estimate.failed)) == (1, 0, 1)
    assert (await estimate_cost([], analyzer=Wrapped(inner))).cost == 0


@pytest.mark.anyio
async def test_the_context_is_that_of_the_run() -> None:
    """An upload's own context takes the place of the common one, which alone is shared."""
    common, own = UploadContext(notes="common"), UploadContext(notes="own")
    analyzer = Priced()
    await estimate_cost(
        [text("one"), text("two", "b.txt", context=own)], analyzer=analyzer, context=common, max_cards=7, limit=1
    )
    told = {request.context: request.shared_context for request in analyzer.seen}
    assert told == {common: True, own: False}
    assert {request.max_cards for request in analyzer.seen} == {7}


@pytest.mark.anyio
async def test_exact_input_comes_from_the_analyzer() -> None:
    """The sum of a document's requests is what was counted, and one that cannot be counted is listed."""
    analyzer = Priced()
    uploads = [text("one\n\ntwo"), text("three", "b.txt"), text("four", "bad.txt")]
    estimate = await estimate_cost(uploads, analyzer=analyzer, exact=True)
    assert sorted(analyzer.counted) == ["a.txt", "b.txt", "bad.txt"]
    assert (estimate.input_tokens, estimate.uploads, estimate.requests, estimate.exact) == (2000, 2, 3, True)
    assert estimate.failed == (("bad.txt", "The document is too long for the model."),)


class Opened(Priced):
    """One that is opened for a run, and counts with what it opened."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = Priced()
        self.opened = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Priced]:
        self.opened += 1
        yield self.ready


@pytest.mark.anyio
async def test_an_analyzer_is_opened_once_to_count() -> None:
    """Connections are shared by all counts; without counting nothing is opened."""
    analyzer = Opened()
    await estimate_cost([text("one"), text("two", "b.txt")], analyzer=analyzer)
    assert analyzer.opened == 0
    await estimate_cost([text("one"), text("two", "b.txt")], analyzer=analyzer, exact=True)
    assert (analyzer.opened, len(analyzer.ready.counted), analyzer.counted) == (1, 2, [])


class Slow:
    """A loader that knows how many documents it is asked for at once."""

    def __init__(self) -> None:
        self.now = self.most = self.loaded = 0

    async def load(self, upload: Upload, /) -> Document:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        self.now -= 1
        self.loaded += 1
        return Document(upload_id=upload.id, name=upload.name, media_type="text/plain", text="x", blocks=())


@pytest.mark.anyio
async def test_an_iterator_is_read_as_it_is_worked_on() -> None:
    """At most `limit` documents are in work, and no more is taken from the iterator than that and one."""
    loader, taken = Slow(), 0

    def uploads() -> Iterator[Upload]:
        nonlocal taken
        for number in range(50):
            taken += 1
            assert taken - loader.loaded <= 4
            yield text(str(number), f"{number}.txt")

    estimate = await estimate_cost(uploads(), analyzer=Priced(), loader=loader, limit=3)
    assert (estimate.uploads, loader.most) == (50, 3)


@pytest.mark.anyio
async def test_an_async_iterator_and_a_limiter_will_do() -> None:
    """Whatever a run takes, an estimate takes."""

    async def uploads() -> AsyncIterator[Upload]:
        yield text("one")
        yield text("two", "b.txt")

    limiter = anyio.CapacityLimiter(1)
    estimate = await estimate_cost(uploads(), analyzer=Priced(), limit=limiter)
    assert estimate.uploads == 2
    assert limiter.borrowed_tokens == 0


@pytest.mark.anyio
async def test_what_the_iterator_raises_comes_out_as_it_is() -> None:
    """Neither in a group nor changed, and what was in work is given up."""

    def uploads() -> Iterator[Upload]:
        yield text("one")
        raise KeyError("no more")

    with pytest.raises(KeyError, match="no more"):
        await estimate_cost(uploads(), analyzer=Priced(), loader=Slow())


@pytest.mark.anyio
@pytest.mark.parametrize(
    "options",
    [{"limit": 0}, {"mode": "cheap"}, {"max_cards": 0}, {"analyzer": Priced}, {"loader": 3}, {"analyzer": object()}],
)
async def test_wrong_arguments_are_told(options: dict[str, Any]) -> None:
    """As for a run, before anything is read."""
    with pytest.raises(ConfigurationError):
        await estimate_cost([text("one")], **({"analyzer": Priced()} | options))
    with pytest.raises(ConfigurationError):
        await estimate_cost("a.txt", analyzer=Priced())  # type: ignore[arg-type]


def test_importing_the_module_loads_no_sdk() -> None:
    """The SDK takes most of a second; only who estimates for Claude waits for it."""
    code = "import cardanalysis.costs, sys; sys.exit('anthropic' in sys.modules)"
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0


# -- with Claude ---------------------------------------------------------------------------------------------------


def test_claude_can_be_estimated() -> None:
    """The analyzer has what an estimate needs."""
    assert isinstance(ClaudeAnalyzer(), Estimating)
    assert not isinstance(OutlineAnalyzer(), Estimating)


@pytest.mark.anyio
async def test_an_estimate_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made up offline."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    estimate = await estimate_cost([text("We need a portal.")])
    assert estimate.requests == 1
    assert estimate.cost is not None
    assert estimate.worst_cost is not None
    assert 0 < estimate.cost < estimate.worst_cost


@pytest.mark.anyio
async def test_an_exact_count_is_that_of_the_request_that_is_made(fake_messages_api: FakeMessagesAPI) -> None:
    """The endpoint counts the very same request, so the run then uses just so many input tokens."""
    uploads = [text("We need a portal.\n" * 20), text("The clerks type everything twice.\n", "b.txt")]
    context = UploadContext(business_domain="insurance")
    estimate = await estimate_cost(uploads, context=context, exact=True)
    counting = [request.body for request in fake_messages_api.requests]
    run = await analyze_cards(uploads, MemoryStore(), context=context)
    made = [request.body for request in fake_messages_api.requests[len(counting) :]]
    usage = run.usage
    assert estimate.exact
    assert estimate.input_tokens == usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    for key in ("system", "output_config", "model"):
        assert [body[key] for body in counting] == [body[key] for body in made]
    assert len(counting) == len(made) == estimate.requests == 2
    assert usage.cost is not None
    assert estimate.worst_cost is not None
    assert usage.cost <= estimate.worst_cost


@pytest.mark.anyio
async def test_the_worst_cost_is_ceiling_enough(fake_messages_api: FakeMessagesAPI) -> None:
    """A run with it as its ceiling has all its requests under way at once; with less than one of them, none."""
    uploads = [text(f"We need portal {number}.", f"{number}.txt") for number in range(5)]
    estimate = await estimate_cost(uploads)
    assert estimate.worst_cost is not None
    run = await analyze_cards(uploads, MemoryStore(), 5, max_cost=estimate.worst_cost)
    assert run.counters["completed"] == 5
    made = len(fake_messages_api.requests)
    with pytest.raises(RunStopped):
        await analyze_cards(uploads, MemoryStore(), 5, max_cost=estimate.worst_cost / 6)
    assert len(fake_messages_api.requests) == made == 5


@pytest.mark.anyio
async def test_a_wrong_key_is_told_when_counting(fake_messages_api: FakeMessagesAPI) -> None:
    """What would stop the run stops an exact estimate."""
    with FakeMessagesAPI(api_keys=["right"]) as api, pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANTHROPIC_BASE_URL", api.base_url)
        with pytest.raises(ConfigurationError) as caught:
            await estimate_cost([text("one")], exact=True)
    assert caught.value.code == "authentication"
