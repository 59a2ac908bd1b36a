"""The API's prompt cache: which part of a prompt is read from it, and which is written to it.

Pure but for what is cached: the time is an argument, in seconds of any clock that never goes back.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from attrs import frozen

from ._json import dumps, is_array
from ._prompts import count_characters, count_tokens, output_format

__all__ = ["NO_CACHE_USE", "CacheUse", "PromptCache"]

_LOOKBACK = 20
"""How many blocks before a breakpoint may end what is read there."""

_TTL_SECONDS = {"5m": 300.0, "1h": 3600.0}

_MIN_TOKENS = {
    **dict.fromkeys(("claude-opus-5", "claude-fable-5", "claude-mythos-5"), 512),
    "claude-opus-4-7": 2048,
    **dict.fromkeys(("claude-opus-4-6", "claude-opus-4-5", "claude-haiku-4-5"), 4096),
}
"""The shortest prefix that is cached, by model (public documentation, August 2026)."""

_USUAL_MIN_TOKENS = 1024
_UNCACHED_TYPES = ("thinking", "redacted_thinking")


_Entry = tuple[bytes, float]


@frozen(kw_only=True)
class CacheUse:
    """What one request has to do with the cache.

    Attributes:
        read: How many tokens are read from it.
        written_5m: How many are written to it to stay for five minutes.
        written_1h: How many are written to it to stay for an hour.
        found: The entries that are read: each key, and for how many seconds it stays.
        new: The entries that are written, in the same way.
        started_at: When the request came, from which the entries' time runs.
    """

    read: int = 0
    written_5m: int = 0
    written_1h: int = 0
    found: tuple[_Entry, ...] = ()
    new: tuple[_Entry, ...] = ()
    started_at: float = 0.0


NO_CACHE_USE = CacheUse()
"""Nothing is read and nothing written."""


@frozen
class _Place:
    """The end of a block: the prefix up to it.

    Attributes:
        key: Names the prefix and all that it depends on.
        tokens: How long the prefix is.
        ttl: How long it is to be cached, in seconds; 0 if there is no breakpoint.
    """

    key: bytes
    tokens: int
    ttl: float


class PromptCache:
    """What is cached.

    Args:
        min_tokens: The shortest prefix that is cached; None for what each model has.
    """

    def __init__(self, min_tokens: int | None = None) -> None:
        self._min_tokens = min_tokens
        self._entries: dict[bytes, tuple[float, float]] = {}
        """By key: until when it is cached, and for how long from each use."""

    def look_up(self, body: dict[str, Any], now: float) -> CacheUse:
        """What a request that comes now reads, and what it is to write.

        Args:
            body: The request's body, checked.
            now: The time.
        """
        if not _has_breakpoint(body):
            return NO_CACHE_USE
        least, places = self._least(body["model"]), list(_places(body))
        found = self._find(places, now)
        last = found[-1] if found else -1
        read = places[last].tokens if found else 0
        marked = [place for place in places[last + 1 :] if place.ttl and place.tokens >= least]
        written = dict.fromkeys(_TTL_SECONDS.values(), 0)
        for before, after in pairwise([_Place(b"", read, 0.0), *marked]):
            written[after.ttl] += after.tokens - before.tokens
        return CacheUse(
            read=read,
            written_5m=written[_TTL_SECONDS["5m"]],
            written_1h=written[_TTL_SECONDS["1h"]],
            found=tuple((places[index].key, self._entries[places[index].key][1]) for index in found),
            new=tuple((place.key, place.ttl) for place in marked),
            started_at=now,
        )

    def keep(self, use: CacheUse) -> None:
        """Keep what a request reads for another while; called when it is let in."""
        self._put(use.found, use.started_at)

    def write(self, use: CacheUse) -> None:
        """Write what a request is to write; called when its response begins."""
        self._put(use.new, use.started_at)

    def _put(self, entries: tuple[_Entry, ...], start: float) -> None:
        for key, ttl in entries:
            self._entries[key] = (max(self._until(key), start + ttl), ttl)

    def _until(self, key: bytes) -> float:
        return self._entries[key][0] if key in self._entries else -math.inf

    def _least(self, model: str) -> int:
        if self._min_tokens is not None:
            return self._min_tokens
        return next((least for name, least in _MIN_TOKENS.items() if _is_model(model, name)), _USUAL_MIN_TOKENS)

    def _find(self, places: list[_Place], now: float) -> list[int]:
        """The places that are cached, of those which a breakpoint looks back to, in order."""
        marked = [index for index, place in enumerate(places) if place.ttl]
        seen = {index for end in marked for index in range(max(0, end - _LOOKBACK + 1), end + 1)}
        return [index for index in sorted(seen) if now < self._until(places[index].key)]


def _is_model(model: str, name: str) -> bool:
    return model == name or (model.startswith(f"{name}-20") and model[len(name) + 1 :].isdigit())


def _has_breakpoint(body: dict[str, Any]) -> bool:
    return bool(body.get("cache_control")) or any(block.get("cache_control") for _, block in _blocks(body))


def _blocks(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every block of a prompt in the order of the cache, with the part of the prompt that it belongs to."""
    for tool in body.get("tools") or ():
        yield "tools", tool
    for block in _content(body.get("system") or ()):
        yield "system", block
    for index, message in enumerate(body["messages"]):
        for block in _content(message["content"]):
            yield f"{index} {message['role']}", block


def _content(content: object) -> Iterator[dict[str, Any]]:
    if isinstance(content, str):
        yield {"type": "text", "text": content}
    elif is_array(content):
        yield from content


def _places(body: dict[str, Any]) -> Iterator[_Place]:
    """The end of every block."""
    blocks, schema = list(_blocks(body)), output_format(body).get("schema")
    prefix = hashlib.blake2b(dumps(_settings(body)).encode(), digest_size=16)
    characters = len(dumps(schema)) if schema else 0
    automatic = _last_cacheable(blocks) if body.get("cache_control") else None
    for index, (part, block) in enumerate(blocks):
        bare = {name: value for name, value in block.items() if name != "cache_control"}
        prefix.update(f"\n{part} {dumps(bare)}".encode())
        characters += _tool_characters(block, first=index == 0) if part == "tools" else count_characters(block)
        control = block.get("cache_control") or (body["cache_control"] if index == automatic else None)
        ttl = _TTL_SECONDS[control.get("ttl", "5m")] if control else 0.0
        yield _Place(prefix.digest(), count_tokens(characters), ttl)


def _settings(body: dict[str, Any]) -> list[Any]:
    """What else a prefix depends on."""
    config: dict[str, Any] = body.get("output_config", {})
    return [body["model"], config.get("format"), config.get("effort"), body.get("thinking"), body.get("speed")]


def _tool_characters(tool: dict[str, Any], *, first: bool) -> int:
    """What a tool adds to the list of tools as JSON: itself with a comma, or with the brackets."""
    return len(dumps(tool)) + (2 if first else 1)


def _last_cacheable(blocks: list[tuple[str, dict[str, Any]]]) -> int | None:
    last = (index for index in range(len(blocks) - 1, -1, -1) if blocks[index][1].get("type") not in _UNCACHED_TYPES)
    return next(last, None)
