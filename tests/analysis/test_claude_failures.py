"""From statuses, causes and stop reasons to errors."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardanalysis._errors import AnalyzerError, CardAnalysisError, ConfigurationError
from cardanalysis.analysis._failures import (
    StatusFailure,
    explain_cause,
    explain_stop,
    invalid_response,
    no_api_key,
    status_failure,
    timed_out,
)
from cardanalysis.analysis._prices import TokenCounts
from cardanalysis.analysis._replies import Reply
from cardanalysis.analysis._transport import Failure, FailureKind

LIMITS = "You have reached your specified API usage limits. You will regain access on 2026-12-01."
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def told(failure: StatusFailure, headers: Mapping[str, str] | None = None) -> Failure:
    return status_failure(failure, headers or {}, now=NOW)


def explain_status(failure: StatusFailure) -> CardAnalysisError:
    return told(failure).error


CREDIT = "Your credit balance is too low to access the Anthropic API."


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (StatusFailure(status=401, kind="authentication_error"), "authentication"),
        (StatusFailure(status=401), "authentication"),
        (StatusFailure(status=402, kind="billing_error"), "billing"),
        (StatusFailure(status=403, kind="permission_error"), "permission"),
        (StatusFailure(status=400, kind="invalid_request_error", error_code="organization_on_hold"), "permission"),
        (StatusFailure(status=400, kind="invalid_request_error", message=LIMITS), "billing"),
        (StatusFailure(status=400, kind="invalid_request_error", message=CREDIT), "billing"),
        (StatusFailure(status=403, kind="billing_error"), "billing"),
        (StatusFailure(status=429, kind="rate_limit_error", error_code="enforced_spend_limit_reached"), "billing"),
        (StatusFailure(status=429, kind="rate_limit_error", error_code="contract_spend_limit_reached"), "billing"),
        (StatusFailure(status=404, kind="not_found_error", model="claude-x"), "unknown_model"),
        (StatusFailure(status=404), "client_setup"),
    ],
)
def test_what_would_fail_every_document_stops_the_run(failure: StatusFailure, code: str) -> None:
    """No retry mends these, so they are configuration errors."""
    error = explain_status(failure)
    assert isinstance(error, ConfigurationError)
    assert error.code == code


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (307, "invalid_request"),
        (400, "invalid_request"),
        (408, "request_timed_out"),
        (409, "invalid_request"),
        (413, "too_large"),
        (422, "invalid_request"),
        (429, "rate_limited"),
        (500, "api_unavailable"),
        (503, "api_unavailable"),
        (504, "api_unavailable"),
        (529, "api_unavailable"),
    ],
)
def test_what_fails_one_document_is_an_analyzer_error(status: int, code: str) -> None:
    """The others go on."""
    error = explain_status(StatusFailure(status=status, kind="some_error", request_id="req_7"))
    assert isinstance(error, AnalyzerError)
    assert (error.code, error.usage) == (code, None)
    assert f"(status {status}, some_error, request req_7). " in str(error)


def test_a_prompt_that_is_too_long_is_known() -> None:
    """The API says it with a plain invalid_request_error; its code here is that of the stop reason alike."""
    failure = StatusFailure(
        status=400, kind="invalid_request_error", message="prompt is too long: 3 tokens > 2 maximum"
    )
    error = explain_status(failure)
    assert isinstance(error, AnalyzerError)
    assert error.code == "context_window_exceeded"


def test_an_unknown_model_is_named() -> None:
    """The message says which model, and how to choose another."""
    error = explain_status(StatusFailure(status=404, kind="not_found_error", model="claude-x", request_id="req_1"))
    assert "'claude-x'" in str(error)
    assert "ClaudeAnalyzer(model=...)" in str(error)
    assert "request req_1" in str(error)


def test_the_api_explains_a_refused_request() -> None:
    """A short explanation that has nothing of the document is passed on, on one line."""
    message = "max_tokens: 99999 >\n 64000, which is the most."
    error = explain_status(StatusFailure(status=400, message=message, private=["Clerks retype orders."]))
    assert "refused the request: max_tokens: 99999 > 64000, which is the most (status 400)" in str(error)


@pytest.mark.parametrize(
    "message", ["x" * 201, "", "text: 'Clerks retype every order' is bad", "RETYPE  EVERY ORDER by", "every order b"]
)
def test_an_explanation_with_text_of_the_document_is_kept_back(message: str) -> None:
    """No document text comes into a message by way of the API, whatever its case or white space."""
    private = ["names only", "Clerks retype\nevery order by hand."]
    error = explain_status(StatusFailure(status=400, message=message, private=private))
    assert "The API refused the request (status 400)" in str(error)


@given(st.text("abcdef \n", min_size=40, max_size=120), st.data())
def test_no_run_of_fifteen_characters_gets_through(text: str, data: st.DataObject) -> None:
    """Wherever in the document and in the explanation such a run stands, it is found."""
    line = " ".join(text.split())
    if len(line) < 15:
        return
    start = data.draw(st.integers(0, len(line) - 15))
    message = data.draw(st.text("xyz", max_size=20)) + line[start : start + 15] + data.draw(st.text("xyz", max_size=20))
    error = explain_status(StatusFailure(status=400, message=message, private=[text]))
    assert "The API refused the request (status 400)" in str(error)


@pytest.mark.parametrize("field", ["kind", "error_code", "request_id"])
def test_only_plain_words_of_the_answer_are_shown(field: str) -> None:
    """What a server sends as a kind, code or id is shown only if it is a short word."""
    failure: Any = StatusFailure(status=500, **{field: "<script>\n"})  # type: ignore[arg-type]
    assert "script" not in str(explain_status(failure))


class LocalProtocolError(Exception):
    """As the HTTP library names it."""


class UnsupportedProtocol(Exception):
    """As the HTTP library names it."""


class ConnectError(Exception):
    """As the HTTP library names it."""


SECRET = "Illegal header value b'Bearer sk-secret'"


@pytest.mark.parametrize(
    ("cause", "hint"),
    [
        (LocalProtocolError(SECRET), "API key"),
        (UnsupportedProtocol(SECRET), "ANTHROPIC_BASE_URL"),
        (RuntimeError(SECRET), "event loop"),
    ],
)
def test_faults_of_the_set_up_are_told_from_faults_of_the_network(cause: Exception, hint: str) -> None:
    """The SDK reports them as connection errors too; their text, which can hold the key, is not repeated."""
    error = explain_cause(cause).error
    assert isinstance(error, ConfigurationError)
    assert error.code == "client_setup"
    assert hint in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("cause", [ConnectError(SECRET), OSError(SECRET), None])
def test_other_causes_are_faults_of_the_network(cause: Exception | None) -> None:
    """A document whose request broke may be tried again."""
    error = explain_cause(cause).error
    assert isinstance(error, AnalyzerError)
    assert (error.code, error.usage) == ("connection_failed", None)
    assert "secret" not in str(error)


def reply(stop_reason: str | None, refusal: str | None = None) -> Reply:
    return Reply(
        text="secret", stop_reason=stop_reason, refusal=refusal, model="m", tokens=TokenCounts(), price_factor=1.0
    )


@pytest.mark.parametrize("reason", ["end_turn", "stop_sequence"])
def test_a_whole_answer_is_no_failure(reason: str) -> None:
    """These stop reasons mean that the model was done."""
    assert explain_stop(reply(reason), max_tokens=9, request_id=None) is None


@pytest.mark.parametrize(
    ("got", "code", "words"),
    [
        (reply("max_tokens"), "truncated", "cut at 9 tokens"),
        (reply("refusal", "bio"), "refused", "category: bio"),
        (reply("refusal"), "refused", "category: none given"),
        (reply("model_context_window_exceeded"), "context_window_exceeded", "Split it"),
        (reply("tool_use"), "invalid_response", "unexpected reason (tool_use)"),
        (reply(None), "invalid_response", "has no stop reason"),
    ],
)
def test_what_is_no_whole_answer_fails(got: Reply, code: str, words: str) -> None:
    """The error says what to do, gives the request id, and has nothing of the answer."""
    error = explain_stop(got, max_tokens=9, request_id="req_1")
    assert error is not None
    assert (error.code, error.usage) == (code, None)
    assert words in str(error)
    assert str(error).endswith(" (request req_1)")
    assert "secret" not in str(error)


def test_a_missing_key_names_the_way_out() -> None:
    """The message names the variable and the analyzer that needs no key."""
    error = no_api_key()
    assert error.code == "no_api_key"
    assert "ANTHROPIC_API_KEY" in str(error)
    assert "OutlineAnalyzer" in str(error)


# --- what a failure means for the next attempt ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, FailureKind.FINAL),
        (401, FailureKind.FINAL),
        (404, FailureKind.FINAL),
        (408, FailureKind.TRANSIENT),
        (409, FailureKind.TRANSIENT),
        (413, FailureKind.TOO_LONG),
        (422, FailureKind.FINAL),
        (429, FailureKind.RATE_LIMIT),
        (500, FailureKind.TRANSIENT),
        (502, FailureKind.TRANSIENT),
        (503, FailureKind.TRANSIENT),
        (529, FailureKind.OVERLOAD),
    ],
)
def test_the_status_tells_whether_to_ask_again(status: int, kind: FailureKind) -> None:
    """As the SDK retries, with rate limits and overload apart; an error status costs nothing."""
    failure = told(StatusFailure(status=status))
    assert (failure.kind, failure.status, failure.unbilled) == (kind, status, True)


@pytest.mark.parametrize(
    ("status", "advice", "kind"),
    [
        (500, "false", FailureKind.FINAL),
        (429, "False", FailureKind.FINAL),
        (529, "false", FailureKind.FINAL),
        (400, "true", FailureKind.TRANSIENT),
        (422, "TRUE", FailureKind.TRANSIENT),
        (429, "true", FailureKind.RATE_LIMIT),
        (529, "true", FailureKind.OVERLOAD),
        (500, "perhaps", FailureKind.TRANSIENT),
        (413, "true", FailureKind.TOO_LONG),
        (413, "false", FailureKind.TOO_LONG),
        (401, "true", FailureKind.FINAL),
    ],
)
def test_the_advice_of_the_api_goes_first(status: int, advice: str, kind: FailureKind) -> None:
    """Its header overrules the status, but a wrong key stays wrong, and what is too long is cut."""
    assert told(StatusFailure(status=status), {"x-should-retry": advice}).kind is kind


def test_a_spend_limit_is_not_waited_out() -> None:
    """It comes as a 429, and no waiting mends it."""
    told_ = told(StatusFailure(status=429, kind="rate_limit_error", error_code="enforced_spend_limit_reached"))
    assert told_.kind is FailureKind.FINAL


def test_a_prompt_that_is_too_long_may_be_cut() -> None:
    """It is no ordinary 400."""
    assert told(StatusFailure(status=400, message="Prompt is too long: 3 > 2")).kind is FailureKind.TOO_LONG


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": " 7 "}, 7.0),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "-inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "1e400"}, None),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "junk", "retry-after": "9"}, 9.0),
        ({"retry-after-ms": "nan", "retry-after": "9"}, 9.0),
        ({"retry-after": format_datetime(NOW.replace(minute=1), usegmt=True)}, 60.0),
        ({"retry-after": "Tue, 24 Nov 2026 13:00:30 +0100"}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 12:00:30 -0000"}, 30.0),
        ({"retry-after": "Tue, 24 Nov 2026 11:00:00 GMT"}, None),
        ({"retry-after": "Tue, 99 Nov 2026 11:00:00 GMT"}, None),
        ({"retry-after": "Tue, 24 Nov 99999999999999999999 11:00:00 GMT"}, None),
        ({"retry-after": "Tue, 24 Nov 2026 12:00:30 +99999999999999999999"}, None),
    ],
)
def test_the_wait_that_the_api_asks_for_is_read(headers: dict[str, str], seconds: float | None) -> None:
    """Milliseconds, seconds or a date; anything else asks for nothing."""
    assert told(StatusFailure(status=500), headers).retry_after == seconds


@given(st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,22} Nov [0-9]{1,22} 1[0-9]:00:00 [+-][0-9]{1,22}"))
def test_any_header_is_read_or_passed_over(value: str) -> None:
    """Whatever it says, there is a positive wait or none."""
    seconds = told(StatusFailure(status=500), {"retry-after": value, "retry-after-ms": value}).retry_after
    assert seconds is None or 0 < seconds < float("inf")


class ReadTimeout(Exception):
    """As the HTTP library names it."""


@pytest.mark.parametrize(
    ("cause", "unbilled"), [(ConnectError(), True), (ReadTimeout(), False), (OSError(), False), (None, False)]
)
def test_what_was_never_sent_is_known_to_be_free(cause: Exception | None, unbilled: bool) -> None:
    """Of any other connection that broke it is not known whether it is billed."""
    failure = explain_cause(cause)
    assert (failure.kind, failure.unbilled) == (FailureKind.TRANSIENT, unbilled)


def test_a_timeout_may_have_been_billed() -> None:
    """Unless there was no connection yet."""
    assert not timed_out().unbilled
    assert timed_out(before_sending=True).unbilled
    assert timed_out().kind is FailureKind.TRANSIENT


def test_an_answer_that_cannot_be_read_keeps_what_it_told() -> None:
    """Its tokens, and its request id if that is a word."""
    failure = invalid_response("No.", "req_1", TokenCounts(input=3))
    assert (failure.request_id, failure.tokens, str(failure.error)) == (
        "req_1",
        TokenCounts(input=3),
        "No. (request req_1)",
    )
    assert invalid_response("No.", "<b>").request_id is None
