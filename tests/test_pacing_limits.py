"""What is decided about rate limits, with the time by argument: headers, buckets, the window, pauses, the mean use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cardanalysis._buckets import RESOURCES, Bucket, Estimates, Pause, Window
from cardanalysis._rate_limits import Limit, Sent, Told, adapted_total, model_family, read_home, read_limits


def headers(**told: tuple[Any, Any]) -> dict[str, str]:
    """Headers from ``input_tokens=(limit, remaining)``; None leaves one out."""
    found: dict[str, str] = {}
    for name, (limit, remaining) in told.items():
        prefix = f"anthropic-ratelimit-{name.replace('_', '-')}"
        found |= {f"{prefix}-limit": limit} if limit is not None else {}
        found |= {f"{prefix}-remaining": remaining} if remaining is not None else {}
    return {name: str(value) for name, value in found.items()}


def limit_with(now: float = 0.0, **told: tuple[Any, Any]) -> Limit:
    """A limit that an answer told of, which used nothing."""
    limit = Limit()
    limit.failed(limit.send(0, 0, now), headers(**told), now)
    return limit


def level(limit: Limit, name: str, now: float) -> float:
    return limit.buckets[name].refill(now)


# --- models and headers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("claude-opus-4-8", "claude-opus-4"),
        ("claude-opus-4-5-20251101", "claude-opus-4"),
        ("claude-opus-4", "claude-opus-4"),
        ("claude-opus-5-5", "claude-opus-5-5"),
        ("claude-sonnet-4-6", "claude-sonnet-4"),
        ("claude-fable-5-2", "claude-fable-5"),
        ("claude-fable-5", "claude-fable-5"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("claude-opus-40", "claude-opus-40"),
        ("", ""),
    ],
)
def test_models_that_share_a_limit_are_one_family(model: str, family: str) -> None:
    """Opus 4.x, Sonnet 4.x and Fable 5.x share; every other model has its own limit, whichever snapshot."""
    assert model_family(model) == family


def test_limits_are_read_from_headers() -> None:
    """Each of the four resources is told of by itself, whole or in part."""
    told = headers(requests=(50, 49), input_tokens=(" 10 ", None), tokens=(None, 0))
    assert read_limits(told) == {"requests": Told(50, 49), "input-tokens": Told(10, None), "tokens": Told(None, 0)}


@pytest.mark.parametrize(
    "junk", ["", "nan", "inf", "-1", "1e3", "0x10", "1_000", "\uff11\uff10", "9" * 16, "10.5", "ten", None, 7]
)
def test_junk_in_headers_counts_as_not_told(junk: object) -> None:
    """A number that no limit can be is ignored, not believed and not raised about."""
    told: Mapping[str, Any] = {"anthropic-ratelimit-requests-limit": junk, "anthropic-ratelimit-tokens-remaining": junk}
    assert read_limits(told) == {}


def test_a_limit_of_nothing_is_not_believed() -> None:
    """A bucket of size 0 would never let a request go."""
    assert read_limits(headers(requests=(0, 0))) == {"requests": Told(None, 0)}
    assert limit_with(requests=(0, 0)).buckets == {}


def test_a_limit_belongs_to_the_workspace_or_else_the_organization() -> None:
    """The narrowest owner that the headers name is whose limit it is."""
    organization, workspace = {"anthropic-organization-id": "o"}, {"anthropic-workspace-id": "w"}
    assert read_home(organization | workspace) == read_home(workspace)
    assert read_home(organization) not in (None, read_home({"anthropic-workspace-id": "o"}))
    assert read_home({}) is read_home({"anthropic-workspace-id": ""}) is None
    assert read_home({"anthropic-workspace-id": "x" * 1000}) is None


@given(st.dictionaries(st.sampled_from([*headers(**dict.fromkeys(RESOURCES, (1, 1)))]), st.text(max_size=20)))
@settings(max_examples=100)
def test_no_headers_break_anything(told: dict[str, str]) -> None:
    """Whatever a header says, the limit stays one that lets a request go in finite time."""
    limit = Limit()
    limit.answered(limit.send(10, 10, 0), told, 10, 10, 0)
    assert 0 <= limit.delay(10, 10, 0) < math.inf


# --- buckets --------------------------------------------------------------------------------------------------------


def test_an_unknown_limit_limits_nothing() -> None:
    """Before the first answer there is nothing to wait for."""
    assert Limit().delay(10**9, 10**9, 0) == 0


def test_a_bucket_is_refilled_continuously() -> None:
    """A minute's worth flows in per minute, and not more than it holds."""
    bucket = Bucket(60, 0, 100)
    assert bucket.delay(30, 100) == 30
    assert bucket.refill(115) == 15
    assert bucket.delay(30, 115) == 15
    assert bucket.refill(1e6) == 60


def test_a_request_waits_for_what_it_needs() -> None:
    """It goes when every bucket holds enough, and not before."""
    limit = limit_with(requests=(60, 30), input_tokens=(60_000, 10_500), output_tokens=(60_000, 60_000))
    assert limit.delay(10_000, 100, 0) == 0
    assert limit.delay(20_000, 100, 0) == pytest.approx(10)
    limit.send(10_000, 100, 0)
    assert limit.delay(10_000, 100, 0) == pytest.approx(10)


def test_what_was_taken_is_corrected_by_what_was_used() -> None:
    """After an answer the bucket lacks what was really used, whatever the estimate was."""
    limit = limit_with(input_tokens=(600_000, 300_500), output_tokens=(600_000, 300_500))
    sent = limit.send(50_000, 20_000, 0)
    assert (level(limit, "input-tokens", 0), level(limit, "output-tokens", 0)) == (250_000, 280_000)
    limit.answered(sent, {}, 60_000, 1_000, 0)
    assert (level(limit, "input-tokens", 0), level(limit, "output-tokens", 0)) == (240_000, 299_000)


@pytest.mark.parametrize("outcome", ["failed", "refused", "lost"])
def test_what_was_not_used_is_given_back(outcome: str) -> None:
    """An error gives all back; if nothing is known, the input and the request stay taken."""
    limit = limit_with(requests=(60, 30), input_tokens=(600_000, 300_500), output_tokens=(600_000, 300_500))
    sent = limit.send(50_000, 20_000, 0)
    if outcome == "lost":
        limit.lost(sent, 0)
    elif outcome == "failed":
        limit.failed(sent, {}, 0)
    else:
        limit.refused(sent, {}, 5, 0.5, 0)
    kept = outcome == "lost"
    assert level(limit, "requests", 0) == 30 - kept
    assert level(limit, "input-tokens", 0) == 300_000 - 50_000 * kept
    assert level(limit, "output-tokens", 0) == 300_000
    assert limit.in_flight == 0


def test_use_by_others_is_seen() -> None:
    """The level never stays above what the API says remains; what was missing is kept in reserve for the others."""
    limit = limit_with(input_tokens=(600_000, 300_500))
    sent = limit.send(0, 0, 0)
    limit.answered(sent, headers(input_tokens=(600_000, 280_500)), 0, 0, 0)
    assert level(limit, "input-tokens", 0) == 280_000
    assert limit.buckets["input-tokens"].reserve == 20_000
    assert limit.delay(260_000, 0, 0) == 0
    assert limit.delay(270_000, 0, 0) == pytest.approx(1)
    assert limit.buckets["input-tokens"].refill(180) == 600_000
    assert limit.buckets["input-tokens"].reserve == pytest.approx(10_000)


def test_a_level_that_is_too_low_is_raised() -> None:
    """What the API says remains is there, but for what is still in flight."""
    limit = limit_with(requests=(600, 0), input_tokens=(600_000, 0))
    first, second = limit.send(0, 0, 0), limit.send(10_000, 0, 0)
    limit.answered(first, headers(requests=(600, 500), input_tokens=(600_000, 500_500)), 0, 0, 0)
    assert level(limit, "requests", 0) == 499
    assert level(limit, "input-tokens", 0) == 490_000
    limit.lost(second, 0)


def test_requests_that_ended_meanwhile_are_not_given_back_by_old_headers() -> None:
    """A stream's headers may be from before what other requests used since."""
    limit = limit_with(input_tokens=(600_000, 600_000))
    stream = limit.send(0, 0, 0)
    for _ in range(4):
        limit.answered(limit.send(50_000, 0, 0), {}, 50_000, 0, 0)
    limit.answered(stream, headers(input_tokens=(600_000, 600_000)), 0, 0, 0)
    assert level(limit, "input-tokens", 0) <= 400_000


def test_rounding_is_taken_to_the_safe_side() -> None:
    """Tokens are told in thousands; 500 of what is told may not be there, unless 500 are much."""
    large, small = limit_with(input_tokens=(100_000, 3_000)), limit_with(input_tokens=(2_000, 1_000))
    assert level(large, "input-tokens", 0) == 2_500
    sent = small.send(0, 0, 0)
    small.buckets["input-tokens"].level = 1_400
    small.answered(sent, headers(input_tokens=(2_000, 1_000)), 0, 0, 0)
    assert level(small, "input-tokens", 0) == 1_400


def test_a_changed_limit_holds_at_once() -> None:
    """A workspace's limit may be raised or lowered while requests run."""
    limit = limit_with(requests=(100, 100))
    limit.failed(limit.send(0, 0, 0), headers(requests=(10, 10)), 0)
    assert (level(limit, "requests", 0), limit.buckets["requests"].capacity) == (10, 10)
    limit.failed(limit.send(0, 0, 0), headers(requests=(1000, None)), 0)
    assert limit.buckets["requests"].capacity == 1000
    limit.failed(limit.send(0, 0, 0), headers(requests=(None, 900)), 0)
    assert 890 <= level(limit, "requests", 0) <= 900


def test_more_than_a_bucket_holds_goes_alone_when_it_is_full() -> None:
    """Such a request waits for the end of all others and for a full bucket, and then goes."""
    limit = limit_with(input_tokens=(60_000, 60_000))
    other = limit.send(1_000, 0, 0)
    assert limit.delay(100_000, 0, 0) == math.inf
    limit.answered(other, {}, 1_000, 0, 0)
    assert limit.delay(100_000, 0, 0) == pytest.approx(1.5)
    assert limit.delay(100_000, 0, 1.5) == pytest.approx(0)
    limit.send(100_000, 0, 1.5)
    assert limit.delay(1_000, 0, 1.5) == pytest.approx(41)


def test_output_that_is_still_to_come_does_not_flow_in_twice() -> None:
    """The API's bucket cannot hold more than its size, even while it does not know of output in flight yet."""
    limit = limit_with(output_tokens=(100_000, 100_000))
    sent = limit.send(0, 40_000, 0)
    assert level(limit, "output-tokens", 1000) == 60_000
    limit.answered(sent, {}, 0, 40_000, 1000)
    assert level(limit, "output-tokens", 1000) == 60_000
    assert level(limit, "output-tokens", 1006) == 70_000


# --- the window -----------------------------------------------------------------------------------------------------


def test_few_requests_are_sent_at_first() -> None:
    """Eight are in flight at most before anything succeeded; each success then lets two go."""
    limit = Limit()
    sent = [limit.send(1, 1, 0) for _ in range(8)]
    assert limit.delay(1, 1, 0) == math.inf
    limit.answered(sent.pop(), {}, 1, 1, 0)
    sent += [limit.send(1, 1, 0), limit.send(1, 1, 0)]
    assert limit.in_flight == 9
    assert limit.delay(1, 1, 0) == math.inf


def test_an_unused_window_does_not_grow() -> None:
    """What was never in flight at once is no proof that it would be well."""
    window = Window()
    for _ in range(100):
        window.succeeded(1)
    assert window.size == 8
    for _ in range(100):
        window.succeeded(50)
    assert window.size == 101  # as soon as it is twice what is used


def test_after_a_pause_the_window_is_half_and_grows_to_what_it_was() -> None:
    """It grows by one per success up to the old size, and by one per windowful beyond."""
    window = Window(size=40)
    window.overloaded(30, again=False)
    assert (window.size, window.threshold) == (15, 40)
    for _ in range(25):
        window.succeeded(1000)
    assert window.size == 40
    for _ in range(40):
        window.succeeded(1000)
    assert 40.9 < window.size < 41.1


def test_the_window_never_closes() -> None:
    """However often the API refuses, one request may be in flight."""
    window = Window(size=4)
    for again in (False, True, True):
        window.overloaded(1, again=again)
    assert (window.size, window.threshold) == (1, 4)


# --- pauses ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.5, 1, 90, 7200])
def test_a_pause_is_as_long_as_the_api_asks(seconds: float) -> None:
    """No shorter, no longer, and for everyone who shares the limit."""
    limit = Limit()
    limit.refused(limit.send(1, 1, 0), {}, seconds, 0.5, 10)
    assert limit.delay(1, 1, 10) == seconds
    assert limit.delay(1, 1, 10 + seconds) == 0


def test_refusals_of_what_was_sent_before_belong_to_one_pause() -> None:
    """They may lengthen it, but the window shrinks once."""
    limit = Limit(window=Window(size=100))
    sent = [limit.send(1, 1, 0) for _ in range(40)]
    assert [limit.refused(each, {}, 5, 0.5, at) for at, each in enumerate(sent)] == [True, *[False] * 39]
    assert limit.window.size == 20
    assert limit.pause.until == 39 + 5
    limit.refused(limit.send(1, 1, 44), {}, 1, 0.5, 45)
    assert limit.window.size == 1


def test_a_shorter_wish_does_not_shorten_a_pause() -> None:
    """The longest of what was asked for holds."""
    pause = Pause()
    mark = pause.mark
    for seconds in (60, 1):
        pause.refused(mark, seconds, 0.5, 0)
    assert pause.until == 60


def test_without_a_wish_the_pause_is_drawn_and_grows() -> None:
    """Full jitter: evenly between nothing and a bound that doubles up to a minute, until something succeeds."""
    pause, bounds = Pause(), list[float]()
    for _ in range(100):
        pause.until = -math.inf
        pause.refused(pause.mark, None, 1.0, 0)
        bounds.append(pause.until)
    assert bounds[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert set(bounds[8:]) == {60}
    pause.refused(pause.mark, None, 0.25, 1000)
    assert pause.until == 1000 + 15
    pause.succeeded(object())
    assert pause.in_a_row == 101
    pause.succeeded(pause.mark)
    assert pause.in_a_row == 0


@pytest.mark.parametrize("junk", [math.nan, math.inf, -1.0, 0.0])
def test_a_wish_that_makes_no_sense_is_none(junk: float) -> None:
    """Then the pause is drawn."""
    pause = Pause()
    pause.refused(pause.mark, junk, 0.5, 0)
    assert pause.until == 0.5


# --- what requests use ----------------------------------------------------------------------------------------------


def test_estimates_learn_from_answers() -> None:
    """Input is scaled by how wrong estimates were; output is the average, and never above what is allowed."""
    estimates = Estimates()
    assert estimates.amounts(1_000, 16_000)["output-tokens"] == 16_000
    for _ in range(100):
        estimates.learn(1_000, 1_500, 400)
    assert estimates.factor == pytest.approx(1.5)
    assert estimates.amounts(2_000, 16_000) == pytest.approx(
        {"requests": 1, "input-tokens": 3_000, "output-tokens": 400, "tokens": 3_400}
    )
    assert estimates.amounts(1_000, 100)["output-tokens"] == 100
    for _ in range(100):
        estimates.learn(1_000, 500, 400)
    assert estimates.factor == pytest.approx(0.5, rel=0.05)


def test_estimates_of_nothing_teach_nothing() -> None:
    """A request without an estimate, and a negative one, leave the factor as it is."""
    estimates = Estimates()
    estimates.learn(0, 100, 1)
    estimates.learn(-5, 100, 1)
    assert estimates.factor == 1
    assert estimates.amounts(-5, -5)["tokens"] == 0


# --- two limits that are one ----------------------------------------------------------------------------------------


def test_two_limits_become_one() -> None:
    """What either knows, and what is in flight with either, holds for both."""
    one, other = limit_with(requests=(60, 30)), limit_with(input_tokens=(600_000, 300_500))
    mine, theirs = one.send(1_000, 0, 0), other.send(2_000, 0, 0)
    other.refused(other.send(0, 0, 0), {}, 7, 0.5, 0)
    one.absorb(other)
    assert one.in_flight == 2
    assert level(one, "requests", 0) == 28
    assert level(one, "input-tokens", 0) == 297_000
    assert one.delay(0, 0, 0) == 7
    one.answered(mine, {}, 1_000, 0, 7)
    one.answered(theirs, {}, 0, 0, 7)
    assert level(one, "input-tokens", 7) == pytest.approx(299_000 + 7 * 10_000)
    assert one.in_flight == 0


# --- limiters of concurrency ----------------------------------------------------------------------------------------


@given(
    st.one_of(st.integers(0, 10_000), st.just(math.inf)),
    st.integers(1, 100),
    st.integers(0, 100),
    st.booleans(),
    st.integers(0, 10**6),
)
@settings(max_examples=100)
def test_a_limiter_stays_within_its_bounds(total: float, minimum: int, more: int, grow: bool, pauses: int) -> None:
    """Whatever happens, and whatever size somebody else set; and it shrinks with pauses only."""
    size = adapted_total(total, minimum, minimum + more, grow=grow, pauses=pauses)
    assert minimum <= size <= minimum + more
    if minimum <= total <= minimum + more:
        expected = total + grow if not pauses else total // 2 ** min(pauses, 64)
        assert size == max(minimum, min(minimum + more, expected))


# --- anything at all ------------------------------------------------------------------------------------------------


class AnyLife(RuleBasedStateMachine):
    """A limit to which anything happens in any order."""

    @initialize()
    def begin(self) -> None:
        self.limit, self.now, self.flying = Limit(), 0.0, list[Sent]()

    told = st.builds(
        lambda names, capacity, share: headers(**{name: (capacity, int(capacity * share)) for name in names}),
        st.sets(st.sampled_from(RESOURCES)),
        st.integers(1, 10**7),
        st.floats(0, 2),
    )

    @rule(input_tokens=st.integers(0, 10**6), output_tokens=st.integers(0, 10**5))
    def send(self, input_tokens: int, output_tokens: int) -> None:
        if self.limit.delay(input_tokens, output_tokens, self.now) == 0:
            self.flying.append(self.limit.send(input_tokens, output_tokens, self.now))

    @precondition(lambda self: self.flying)
    @rule(
        told=told,
        data=st.data(),
        used=st.integers(0, 10**6),
        outcome=st.sampled_from(["began", "ok", "429", "400", "?"]),
    )
    def end(self, told: dict[str, str], data: st.DataObject, used: int, outcome: str) -> None:
        sent = self.flying[data.draw(st.integers(0, len(self.flying) - 1))]
        if outcome == "began":
            self.limit.began(sent, told, self.now)
            return
        self.flying.remove(sent)
        if outcome == "ok":
            self.limit.answered(sent, told, used, used // 10, self.now)
        elif outcome == "429":
            self.limit.refused(sent, told, data.draw(st.none() | st.floats(0, 1e5)), 0.5, self.now)
        elif outcome == "400":
            self.limit.failed(sent, told, self.now)
        else:
            self.limit.lost(sent, self.now)

    @rule(seconds=st.floats(0, 1e4))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def books_are_kept(self) -> None:
        """What is in flight is known, and no bucket holds more than it can."""
        if not hasattr(self, "limit"):
            return
        assert self.limit.in_flight == len(self.flying)
        for name, bucket in self.limit.buckets.items():
            expected = sum(sent.amounts[name] for sent in self.flying)
            assert self.limit._outstanding[name] == pytest.approx(expected, abs=1e-3)
            assert bucket.refill(self.now) <= bucket.capacity
            assert 0 <= bucket.reserve <= 10**6
        assert self.limit.window.size >= 1

    @invariant()
    def nothing_hangs(self) -> None:
        """With nothing in flight, a request of any size goes after the time that is said."""
        if hasattr(self, "limit") and not self.flying:
            limit = deepcopy(self.limit)
            wait = limit.delay(5 * 10**6, 5 * 10**6, self.now)
            assert wait < math.inf
            later = self.now + wait
            assert limit.delay(5 * 10**6, 5 * 10**6, later) <= 1e-6 * max(1, later)


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
