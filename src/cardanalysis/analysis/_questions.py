"""From a document to the request that asks about it. Everything here is pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field

from .._documents import Document
from .._models import AnalysisRequest
from ._answers import CARDS_SCHEMA
from ._asking import Prefix, Question
from ._estimates import bytes_of, estimate_tokens, estimate_tokens_of_bytes, most_input_tokens
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
        texts = [*document_texts(document.name, _excerpt(document, part)), task_text(max_cards, found)]
        if rejected is not None:
            texts.append(repair_text(*rejected))
        content = [_block(text) for text in texts]
        if shared:
            content.insert(0, _block(shared, cached=self.cache and request.shared_context))
        params = self._params(content)
        size = bytes_of(content)
        return Question(
            params=params,
            tokens=estimate_tokens_of_bytes(self._fixed_bytes + size),
            most_tokens=self._most_fixed_tokens + size,
            prefix=self._prefix(shared if request.shared_context else ""),
        )

    def _params(self, content: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = {"format": {"type": "json_schema", "schema": CARDS_SCHEMA}}
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


def _excerpt(document: Document, part: Part) -> Excerpt:
    length = len(document.text)
    whole = part.start == 0 and part.end == length
    return Excerpt(
        text=part.text_of(document),
        place=None if whole else (part.start, part.end, length),
        headings=part.headings,
        table_header=part.table_header,
    )
