"""A message put together from the server-sent events of a stream. Everything here is pure.

The SDK's own helper builds a checked object for every event; this one keeps what is used. The events are those of the
public documentation (platform.claude.com/docs/en/build-with-claude/streaming, August 2026).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ._prices import TokenCounts
from ._replies import token_counts
from ._schema import is_object

__all__ = ["MessageStream"]

_CHARACTERS_PER_TOKEN = 3
"""For output of which the API did not tell the count any more: rather too many tokens than too few."""


class MessageStream:
    """The message of one stream, as far as it has come.

    Attributes:
        begun: Whether the message has begun.
        error: The API's error in mid-stream, as its JSON object; None if there is none.
    """

    def __init__(self) -> None:
        self.begun = False
        self.error: Mapping[str, Any] | None = None
        self._rest = b""
        self._message: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._texts: list[str] = []
        self._characters = 0
        self._counted = False
        self._text_blocks: set[int] = set()
        self._blocks = 0
        self._whole = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes, cut anywhere."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            # Each event's data is one line that also names the event's type.
            if line.startswith(b"data:"):
                self._take(line[5:])

    def message(self) -> Mapping[str, Any] | None:
        """The message, or None if the stream did not tell all of it."""
        if not self._whole:
            return None
        # One without any block is told from one of nothing but thinking: a refusal is billed unless it has none.
        content = [{"type": "text", "text": "".join(self._texts)}] if self._blocks else []
        return {**self._message, "content": content, "usage": self._usage}

    def tokens(self) -> TokenCounts | None:
        """What was used so far; None if the stream did not tell. Output that was not counted is guessed."""
        if not self.begun:
            return None
        usage = dict(self._usage)
        if not self._counted:
            usage["output_tokens"] = max(1, self._characters // _CHARACTERS_PER_TOKEN)
        return token_counts(usage)

    def _take(self, data: bytes) -> None:
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            return
        if not is_object(event):
            return
        match event.get("type"):
            case "content_block_delta":
                self._delta(event)
            case "message_start":
                self._start(event.get("message"))
            case "content_block_start":
                self._block(event)
            case "message_delta":
                self._end(event)
            case "message_stop":
                self._whole = self.begun
            case "error":
                error = event.get("error")
                self.error = error if is_object(error) else {}
            case _:
                pass  # pings, and whatever comes to be added

    def _start(self, message: object) -> None:
        if not is_object(message):
            return
        self.begun = True
        self._message = dict(message)
        usage = message.get("usage")
        self._usage = dict(usage) if is_object(usage) else {}

    def _block(self, event: Mapping[str, Any]) -> None:
        block, index = event.get("content_block"), event.get("index")
        if not is_object(block):
            return
        self._blocks += 1
        if block.get("type") == "text" and isinstance(index, int):
            self._text_blocks.add(index)
            self._add(block.get("text"))

    def _delta(self, event: Mapping[str, Any]) -> None:
        delta, index = event.get("delta"), event.get("index")
        if not is_object(delta):
            return
        if delta.get("type") == "text_delta" and isinstance(index, int) and index in self._text_blocks:
            self._add(delta.get("text"))
        elif delta.get("type") == "thinking_delta":
            self._characters += len(str(delta.get("thinking")))

    def _add(self, text: object) -> None:
        if isinstance(text, str) and text:
            self._texts.append(text)
            self._characters += len(text)

    def _end(self, event: Mapping[str, Any]) -> None:
        delta, usage = event.get("delta"), event.get("usage")
        if is_object(delta):
            self._message |= delta
        if is_object(usage):
            # Its counts are totals; what it leaves out stays as the beginning told it.
            self._usage |= {name: value for name, value in usage.items() if value is not None}
            self._counted = "output_tokens" in usage
