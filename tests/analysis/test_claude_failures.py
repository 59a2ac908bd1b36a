"""From statuses, causes and stop reasons to errors."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardanalysis._errors import AnalyzerError, ConfigurationError
from cardanalysis._models import Usage
from cardanalysis.analysis._failures import StatusFailure, explain_cause, explain_status, explain_stop, no_api_key
from cardanalysis.analysis._prices import TokenCounts
from cardanalysis.analysis._replies import Reply

LIMITS = "You have reached your specified API usage limits. You will regain access on 2026-12-01."
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
    """The others go on, and the answered request is counted, without cost."""
    error = explain_status(StatusFailure(status=status, kind="some_error", request_id="req_7"))
    assert isinstance(error, AnalyzerError)
    assert (error.code, error.usage) == (code, Usage(requests=1))
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
    error = explain_cause(cause)
    assert isinstance(error, ConfigurationError)
    assert error.code == "client_setup"
    assert hint in str(error)
    assert "secret" not in str(error)


@pytest.mark.parametrize("cause", [ConnectError(SECRET), OSError(SECRET), None])
def test_other_causes_are_faults_of_the_network(cause: Exception | None) -> None:
    """A document whose request broke may be tried again."""
    error = explain_cause(cause)
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
    assert explain_stop(reply(reason), max_tokens=9, usage=Usage(), request_id=None) is None


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
def test_what_is_no_whole_answer_fails_with_its_cost(got: Reply, code: str, words: str) -> None:
    """The error says what to do, gives the request id and carries the usage, and has nothing of the answer."""
    usage = Usage(requests=1, output_tokens=5, cost=0.1)
    error = explain_stop(got, max_tokens=9, usage=usage, request_id="req_1")
    assert error is not None
    assert (error.code, error.usage) == (code, usage)
    assert words in str(error)
    assert str(error).endswith(" (request req_1)")
    assert "secret" not in str(error)


def test_a_missing_key_names_the_way_out() -> None:
    """The message names the variable and the analyzer that needs no key."""
    error = no_api_key()
    assert error.code == "no_api_key"
    assert "ANTHROPIC_API_KEY" in str(error)
    assert "OutlineAnalyzer" in str(error)
