"""What may be told of a foreign exception."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis._redaction import safe_message

DOCUMENT = "The merger of June must not be told\nto anybody but Ann, who signs the papers. It costs 20 million."


def test_a_harmless_message_is_told_with_its_type() -> None:
    """A message that holds neither key nor document is passed on behind the exception's type."""
    assert safe_message(ValueError("the model has no cards"), DOCUMENT) == "ValueError: the model has no cards"


def test_an_exception_without_a_message_is_told_by_its_type() -> None:
    """No message leaves the type alone, without a colon."""
    assert safe_message(TimeoutError(), DOCUMENT) == "TimeoutError"
    assert safe_message(ValueError(" \n "), DOCUMENT) == "ValueError"


@pytest.mark.parametrize("failure", [RuntimeError, RecursionError, UnicodeError])
def test_an_exception_whose_text_fails_is_told_by_its_type(failure: type[Exception]) -> None:
    """A str that raises does not hide which exception it was."""

    class Broken(Exception):
        def __str__(self) -> str:
            raise failure("no text for you")

    assert safe_message(Broken(), DOCUMENT).endswith("Broken")
    assert "no text" not in safe_message(Broken(), DOCUMENT)


def test_an_exception_whose_text_is_no_text_is_told_by_its_type() -> None:
    """A str that returns something else is one that fails."""

    class Odd(Exception):
        def __str__(self) -> str:
            return 5  # type: ignore[return-value]

    assert safe_message(Odd(), DOCUMENT).endswith("Odd")


def test_leaving_is_not_swallowed() -> None:
    """A KeyboardInterrupt that comes while the text is made goes on."""

    class Interrupted(Exception):
        def __str__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        safe_message(Interrupted(), DOCUMENT)


KEY = "s3cr3tvalue"


@pytest.mark.parametrize(
    "message",
    [
        f"invalid key sk-ant-api03-{KEY}-xyz",
        f"sk-{KEY}",
        f"(sk-{KEY})",
        f"Authorization: Bearer {KEY}",
        f"authorization={KEY}",
        f"Authorization: Basic {KEY}",
        f"Proxy-Authorization: Bearer {KEY}",
        f"{{'Authorization': 'Bearer {KEY}', 'accept': '*/*'}}",
        f'{{"authorization": "Bearer {KEY}"}}',
        f"headers [(b'authorization', b'Bearer {KEY}')]",
        f"bearer   {KEY}",
        f"x-api-key: {KEY}",
        f"X-API-Key:{KEY}",
        f"{{'x-api-key': '{KEY}'}}",
        f"headers [(b'x-api-key', b'{KEY}')]",
        f"api_key={KEY}",
        f"apikey = {KEY}",
        f"API key: {KEY}",
        f"AnthropicClient(api_key='{KEY}', timeout=5)",
        f"ANTHROPIC_API_KEY={KEY}",
        f"ANTHROPIC_AUTH_TOKEN={KEY}",
        f"https://example.org/v1?api_key={KEY}&page=2",
        f"access_token: {KEY}",
        f"client_secret={KEY}",
        f"postgres password={KEY} host=db",
        f"line one\nx-api-key:\n  {KEY}",
    ],
)
def test_keys_are_left_out(message: str) -> None:
    """What looks like a key or a password is replaced, in every form in which programs print it."""
    told = safe_message(RuntimeError(message), DOCUMENT)
    assert KEY not in told
    assert "[secret]" in told


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens: 300 is more than allowed",
        "input_tokens=5",
        "authorization failed",
        "the task-force was risk-averse",
        "no API key was given",
    ],
)
def test_words_that_only_sound_like_keys_stay(message: str) -> None:
    """A message that names no key is told whole."""
    assert safe_message(RuntimeError(message), DOCUMENT) == f"RuntimeError: {message}"


@pytest.mark.parametrize(
    "message",
    [
        DOCUMENT,
        "cannot parse: The merger of June must not be told",
        "at 'must not be told to anybody but Ann' in line 1",
        "must  not\tbe told\n\nto anybody but Ann",
        "merger of June",
        "'merger of June'",
        "told\nto anybody",
    ],
)
def test_a_message_that_quotes_the_document_is_left_out(message: str) -> None:
    """A run of the document's own words, whatever the white space in it, hides the message but not the type."""
    told = safe_message(ValueError(message), DOCUMENT)
    assert told == "ValueError (its message quotes the document)"


def test_a_key_error_of_several_words_quotes_the_document() -> None:
    """A KeyError shows its key in quotation marks; they do not hide that it is the document's."""
    assert safe_message(KeyError("June must not"), DOCUMENT) == "KeyError (its message quotes the document)"


@pytest.mark.parametrize("message", ["title", "merger", "'costs'", "20"])
def test_one_word_is_no_quote(message: str) -> None:
    """A single word, such as the name of a missing key, may be in a document by chance and is told."""
    assert safe_message(ValueError(message), DOCUMENT) == f"ValueError: {message}"


def test_an_empty_document_is_quoted_by_nothing() -> None:
    """Without a text every message can be told."""
    assert safe_message(ValueError("the model has no cards"), "") == "ValueError: the model has no cards"


def test_a_long_message_is_cut() -> None:
    """A message is cut at 300 characters behind the type."""
    told = safe_message(ValueError("x" * 10_000), DOCUMENT)
    assert told == "ValueError: " + "x" * 300


def test_a_quote_behind_the_cut_is_not_told() -> None:
    """What is cut off need not be looked at, since it is not told."""
    told = safe_message(ValueError("y" * 300 + DOCUMENT), DOCUMENT)
    assert told == "ValueError: " + "y" * 300


def test_a_key_is_left_out_before_the_cut() -> None:
    """No half of a key is left at the end of a message that is cut."""
    told = safe_message(ValueError("x " * 145 + "sk-ant-" + KEY * 5), DOCUMENT)
    assert KEY[:4] not in told


def test_a_message_stays_on_one_line() -> None:
    """White space is folded, so that one error is one line of a log."""
    assert safe_message(ValueError("one\n\n  two\tthree"), DOCUMENT) == "ValueError: one two three"


def test_half_a_surrogate_pair_can_be_stored() -> None:
    """A message that no file could hold becomes one that can."""
    assert safe_message(ValueError("\ud800 oops"), DOCUMENT) == "ValueError: ? oops"


words = st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta", "omega", "20", "é"]), min_size=12, max_size=40)


@settings(deadline=None)
@given(words, st.text(max_size=40), st.text(max_size=40), st.data())
def test_nineteen_characters_of_a_document_are_never_told(
    document: list[str], before: str, behind: str, data: st.DataObject
) -> None:
    """However a run of 19 characters of the document is wrapped, it does not come out."""
    text = " ".join(document)
    start = data.draw(st.integers(0, len(text) - 21))
    run = text[start : start + 21].strip()
    assert len(run) >= 19
    assert run not in safe_message(ValueError(before + run + behind), text)


@settings(deadline=None)
@given(st.text(), st.text())
def test_any_message_and_any_document_give_one_short_line(message: str, text: str) -> None:
    """Whatever an exception says, what is told begins with its type, is short and can be encoded."""
    told = safe_message(RuntimeError(message), text)
    assert told.startswith("RuntimeError")
    assert len(told) <= len("RuntimeError: ") + 300
    assert told.splitlines() == [told]
    assert told.encode()
