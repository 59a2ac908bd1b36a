"""What a request says: its texts, its output schema, and how many tokens it is taken for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ._json import dumps, is_array, is_object

__all__ = ["characters_of", "count_characters", "count_input_tokens", "count_tokens", "output_format", "user_text"]

_CHARACTERS_PER_TOKEN = 4
_MEDIA_CHARACTERS = 6_400
"""What an image or a document that is not text counts for, whatever its size: 1,600 tokens."""

_MEDIA_SOURCES = ("base64", "url", "file")
_TEXT_KEYS = ("title", "context", "text", "source", "data", "content")


def count_tokens(characters: int) -> int:
    """The number of tokens that some characters are taken for: a quarter, rounded up."""
    return -(-characters // _CHARACTERS_PER_TOKEN)


def characters_of(tokens: int) -> int:
    """The number of characters that some tokens are at most."""
    return tokens * _CHARACTERS_PER_TOKEN


def count_input_tokens(body: object) -> int:
    """The number of tokens that a request's prompt is taken for.

    A quarter, rounded up, of the characters of: the texts of system and messages, and the tools and the output schema
    as compact JSON. An image, or a document that is not text, counts for 1,600 tokens.
    """
    if not is_object(body):
        return 0
    prompt = [body.get("system"), body.get("messages")]
    characters = count_characters(prompt)
    schema = output_format(body).get("schema")
    return count_tokens(characters + sum(len(dumps(extra)) for extra in (body.get("tools"), schema) if extra))


def count_characters(content: object) -> int:
    """The number of characters of a string, a block, a message or a list of them; media count as if they had some."""
    return sum(_MEDIA_CHARACTERS if part is None else len(part) for part in _parts(content))


def output_format(body: dict[str, Any]) -> dict[str, Any]:
    """The request's ``output_config.format``, or an empty one."""
    config = body.get("output_config")
    asked = config.get("format") if is_object(config) else None
    return asked if is_object(asked) else {}


def user_text(body: object) -> str:
    """Every text of the user's messages, joined by line breaks; the empty string if there is none."""
    messages = body.get("messages") if is_object(body) else None
    if not is_array(messages):
        return ""
    users = [message for message in messages if is_object(message) and message.get("role") == "user"]
    return "\n".join(part for part in _parts(users) if part is not None)


def _parts(content: object) -> Iterator[str | None]:
    """The texts of a string, a block, a message or a list of them, in order; None for each image or file."""
    if isinstance(content, str):
        yield content
    elif is_array(content):
        for part in content:
            yield from _parts(part)
    elif is_object(content):
        if content.get("type") in _MEDIA_SOURCES:
            yield None
            return
        for key in _TEXT_KEYS:
            if key in content:
                yield from _parts(content[key])
