"""From a document to the request that asks about it. Everything here is pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from .._documents import Document, Media
from .._models import AnalysisRequest
from ._answers import CARDS_SCHEMA, PICTURE_CARDS_SCHEMA
from ._asking import Prefix, Question
from ._estimates import (
    MOST_TOKENS_A_PICTURE,
    TOKENS_A_PICTURE,
    bytes_of,
    estimate_tokens,
    estimate_tokens_of_bytes,
    most_input_tokens,
)
from ._media import media_block, pictures_in
from ._parts import Part
from ._prompts import Excerpt, context_text, document_texts, repair_text, task_text
from ._warming import least_cached

__all__ = ["Questions"]

_CACHED = {"type": "ephemeral"}


@define(kw_only=True, eq=False)
class Questions:
    """Makes the requests of one analyzer. What many of them begin with comes first, for the prompt cache.

    Attributes:
        model: The model to ask.
        max_tokens: The most tokens of an answer.
        prompt: The instructions.
        thinking: The API's ``thinking`` option; None to leave it out.
        effort: The API's ``effort`` option; None to leave it out.
        cache: Whether to mark what comes first for the prompt cache.
    """

    model: str
    max_tokens: int
    prompt: str = field(repr=False)
    thinking: Mapping[str, Any] | None
    effort: str | None
    cache: bool
    _prefixes: dict[str, Prefix] = field(factory=dict[str, Prefix], init=False, repr=False)
    _fixed_bytes: int = field(init=False, repr=False)
    _most_fixed_tokens: int = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        without_content = self._params([])
        self._fixed_bytes = bytes_of(without_content)
        self._most_fixed_tokens = most_input_tokens(without_content)

    def about(
        self,
        document: Document,
        request: AnalysisRequest,
        part: Part,
        *,
        max_cards: int,
        found: Sequence[str] = (),
        rejected: tuple[str, str] | None = None,
    ) -> Question:
        """Ask for the cards of a part of a document.

        Args:
            document: The document.
            request: What is known about it.
            part: The part.
            max_cards: The most cards wanted.
            found: The titles of cards that are there already.
            rejected: An answer that does not fit the schema, and why.
        """
        shared = context_text(request.context)
        pictures = [block.media for block in pictures_in(document, part.start, part.end) if block.media is not None]
        content = _with_pictures(document_texts(document.name, _excerpt(document, part)), pictures)
        content.append(_block(task_text(max_cards, found, pictures=len(pictures))))
        if rejected is not None:
            content.append(_block(repair_text(*rejected)))
        if shared:
            content.insert(0, _block(shared, cached=self.cache and request.shared_context))
        params = self._params(content, PICTURE_CARDS_SCHEMA if pictures else CARDS_SCHEMA)
        size = bytes_of(content)
        return Question(
            params=params,
            tokens=estimate_tokens_of_bytes(self._fixed_bytes + size) + TOKENS_A_PICTURE * len(pictures),
            most_tokens=self._most_fixed_tokens + size + MOST_TOKENS_A_PICTURE * len(pictures),
            prefix=self._prefix(shared if request.shared_context else ""),
        )

    def key(self, document: Document, request: AnalysisRequest, part: Part, *, max_cards: int) -> str:
        """Tell the question about a part from every other one, without making it."""
        excerpt = _excerpt(document, part)
        # Whether it is marked for the prompt cache is no matter.
        thinking = None if self.thinking is None else dict(self.thinking)
        asked = [self.model, self.max_tokens, self.prompt, thinking, self.effort]
        about = [document.upload_id, document.name, context_text(request.context), max_cards, asked]
        text = json.dumps([about, excerpt.text, excerpt.place, list(excerpt.headings), list(excerpt.pictures)])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def _params(self, content: list[dict[str, Any]], schema: Mapping[str, Any] = CARDS_SCHEMA) -> dict[str, Any]:
        output: dict[str, Any] = {"format": {"type": "json_schema", "schema": schema}}
        if self.effort is not None:
            output["effort"] = self.effort
        params: dict[str, Any] = {
            "model": self.model,
            "max_tokens": self.max_tokens,
            "system": [_block(self.prompt, cached=self.cache)],
            "messages": [{"role": "user", "content": content}],
            "output_config": output,
        }
        if self.thinking is not None:
            params["thinking"] = dict(self.thinking)
        return params

    def _prefix(self, shared: str) -> Prefix:
        prefix = self._prefixes.get(shared)
        if prefix is None:
            text = self.prompt + shared
            tokens = estimate_tokens(text)
            prefix = self._prefixes[shared] = Prefix(
                key=hashlib.sha256(f"{self.model}\0{text}".encode(errors="replace")).hexdigest(),
                tokens=tokens,
                worthwhile=self.cache and tokens >= least_cached(self.model),
            )
        return prefix


def _block(text: str, *, cached: bool = False) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": text}
    if cached:
        block["cache_control"] = dict(_CACHED)
    return block


def _with_pictures(texts: Sequence[str], pictures: Sequence[Media]) -> list[dict[str, Any]]:
    """The content blocks of texts, of which the last ones have the pictures between them."""
    content = [_block(text) for text in texts]
    first = len(texts) - len(pictures)
    for place in reversed(range(len(pictures))):
        content.insert(first + place, media_block(pictures[place]))
    return content


def _excerpt(document: Document, part: Part) -> Excerpt:
    length = len(document.text)
    whole = part.start == 0 and part.end == length
    return Excerpt(
        text=part.text_of(document),
        place=None if whole else (part.start, part.end, length),
        headings=part.headings,
        table_header=part.table_header,
        before=part.before,
        pictures=[block.location.end - part.start for block in pictures_in(document, part.start, part.end)],
    )
