"""What comes out: cards with their evidence, and the runs, items and events that tell what happened.

All models are frozen, slotted and keyword-only. A wrong value raises a `ConfigurationError` that names the field. Times
are aware and in UTC, durations are seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

from attrs import evolve, field, frozen, validators

from ._context import UploadContext
from ._documents import Location
from ._errors import ConfigurationError
from ._status import RESERVED_COUNTERS, ItemStatus, RunStatus
from ._validators import (
    LIVE,
    choose,
    count,
    dollars,
    entries,
    every,
    instance_of,
    is_text,
    none_of,
    one_of,
    positive,
    some_text,
    texts,
    writable,
)
from ._work import ALONE, WorkContext

__all__ = [
    "Analysis",
    "AnalysisRequest",
    "Card",
    "Event",
    "Evidence",
    "Item",
    "ItemError",
    "NewItem",
    "NewOutput",
    "Output",
    "Priority",
    "RejectedQuote",
    "Renewal",
    "Run",
    "Usage",
]


class Priority(StrEnum):
    """How urgent a card is, where the document says so."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


def _priority(value: str | None) -> Priority | None:
    return choose(Priority, value, "priority")


@frozen(kw_only=True)
class Evidence:
    """A quote that stands in the source.

    Attributes:
        quote: As the analyzer gave it.
        location: Where it stands; ``document.text[location.start:location.end]`` is the source's own wording.
        match: ``exact``, or ``normalized`` where only white space, quotes, dashes, invisible characters, Unicode
            composition or case differ.
    """

    quote: str = field(validator=is_text, repr=False)
    location: Location = field(validator=instance_of(Location))
    match: str = field(default="exact", validator=one_of("exact", "normalized"))


@frozen(kw_only=True)
class RejectedQuote:
    """A quote that an analyzer gave and the source does not hold. It proves nothing and is kept only to be seen.

    Attributes:
        quote: As the analyzer gave it.
        reason: ``not_found``, ``empty``, or ``not_checkable`` where the card was read from a page or picture of which
            the text is not known.
    """

    quote: str = field(validator=is_text, repr=False)
    reason: str = field(validator=is_text)


def _evidence(value: Iterable[Evidence]) -> tuple[Evidence, ...]:
    return entries(value)


def _rejected(value: Iterable[RejectedQuote]) -> tuple[RejectedQuote, ...]:
    return entries(value)


def _locations(value: Iterable[Location]) -> tuple[Location, ...]:
    return entries(value)


@frozen(kw_only=True)
class Card:
    """One use case or requirement that a document asks for.

    A field that the document says nothing about is empty. The repr names the card and shows none of its text.

    Attributes:
        title: A short name.
        problem: The problem or opportunity.
        target_users: Who benefits.
        current_state: How it works now.
        desired_outcomes: What success looks like.
        constraints: Limits to respect.
        systems: Systems involved.
        priority: Where the document says so, else None.
        impact: The business impact.
        evidence: Quotes found in the source.
        rejected_quotes: Quotes that the source does not hold.
        quotes: Quotes as an analyzer gave them, not yet looked up. Grounding empties this: each becomes evidence or is
            rejected.
        id: Made of the upload and the card's place in it; set when the card is stored.
        pictures: The pages and pictures without text that it was read from. What it quotes from there cannot be
            checked.
        upload_id: The upload it came from; set when the card is stored.
        made_by: The model or analyzer that made it; ``outline`` marks a card made by rules.
    """

    title: str = field(validator=some_text, repr=False)
    problem: str = field(default="", validator=is_text, repr=False)
    target_users: tuple[str, ...] = field(default=(), converter=texts, validator=every(str), repr=False)
    current_state: str = field(default="", validator=is_text, repr=False)
    desired_outcomes: tuple[str, ...] = field(default=(), converter=texts, validator=every(str), repr=False)
    constraints: tuple[str, ...] = field(default=(), converter=texts, validator=every(str), repr=False)
    systems: tuple[str, ...] = field(default=(), converter=texts, validator=every(str), repr=False)
    priority: Priority | None = field(default=None, converter=_priority)
    impact: str = field(default="", validator=is_text, repr=False)
    evidence: tuple[Evidence, ...] = field(default=(), converter=_evidence, validator=every(Evidence), repr=False)
    rejected_quotes: tuple[RejectedQuote, ...] = field(
        default=(), converter=_rejected, validator=every(RejectedQuote), repr=False
    )
    quotes: tuple[str, ...] = field(default=(), converter=texts, validator=every(str), repr=False)
    pictures: tuple[Location, ...] = field(default=(), converter=_locations, validator=every(Location), repr=False)
    id: str = field(default="", validator=is_text)
    upload_id: str = field(default="", validator=is_text)
    made_by: str = field(default="", validator=is_text)


_NANO = 1_000_000_000


@frozen(kw_only=True)
class Usage:
    """What something cost. Usages add up with ``+``.

    Attributes:
        requests: Requests made, failed ones included, but for those for which no connection came about.
        input_tokens: Fresh input tokens, neither read from nor written to the prompt cache.
        output_tokens: Tokens produced, thinking included.
        cache_read_tokens: Input tokens read from the prompt cache.
        cache_write_tokens: Input tokens written to the prompt cache.
        cost: US dollars, or None where the price of any part is unknown.
    """

    requests: int = field(default=0, validator=count)
    input_tokens: int = field(default=0, validator=count)
    output_tokens: int = field(default=0, validator=count)
    cache_read_tokens: int = field(default=0, validator=count)
    cache_write_tokens: int = field(default=0, validator=count)
    cost: float | None = field(default=0.0, validator=dollars)

    def __add__(self, other: Usage) -> Usage:
        mine, theirs = self.cost_nano, other.cost_nano
        return Usage(
            requests=self.requests + other.requests,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            cost=None if mine is None or theirs is None else (mine + theirs) / _NANO,
        )

    def without(self, part: Usage) -> Usage:
        """What is left of a sum without one of its parts."""
        mine, theirs = self.cost_nano, part.cost_nano or 0
        return Usage(
            requests=max(0, self.requests - part.requests),
            input_tokens=max(0, self.input_tokens - part.input_tokens),
            output_tokens=max(0, self.output_tokens - part.output_tokens),
            cache_read_tokens=max(0, self.cache_read_tokens - part.cache_read_tokens),
            cache_write_tokens=max(0, self.cache_write_tokens - part.cache_write_tokens),
            cost=None if mine is None else max(0, mine - theirs) / _NANO,
        )

    @property
    def cost_nano(self) -> int | None:
        """The cost in billionths of a dollar, in which sums are exact whatever their order."""
        return None if self.cost is None else round(self.cost * _NANO)


@frozen(kw_only=True)
class ItemError:
    """Why an item has no whole result.

    Attributes:
        code: A stable word for programs.
        message: What happened and what to do, for people.
    """

    code: str = field(validator=is_text)
    message: str = field(converter=writable, validator=is_text)


@frozen(kw_only=True)
class AnalysisRequest:
    """What is asked of an analyzer for one document.

    Attributes:
        max_cards: The most cards wanted, at least 1.
        context: What is known about the document beyond its text.
        shared_context: Whether other documents of the run have the same context, so that a prompt cache may hold it.
        work: The run around it, for analyzers that wait, spend or have something to tell.
    """

    max_cards: int = field(default=20, validator=positive)
    context: UploadContext | None = field(default=None, validator=validators.optional(instance_of(UploadContext)))
    shared_context: bool = False
    work: WorkContext = field(default=ALONE, eq=False, repr=False, metadata=LIVE)


def _cards(value: Iterable[Card]) -> tuple[Card, ...]:
    return entries(value)


@frozen(kw_only=True)
class Analysis:
    """What an analyzer found in one document.

    Attributes:
        cards: At most ``request.max_cards``; their quotes are checked against the document afterwards.
        usage: What it cost.
        notes: What a person should know, such as cards left out because there were too many. No document text.
        missing: What part of the document could not be analyzed, and why; the upload is then *partial*.
        coverage: Which share of the document could be analyzed, from 0 to 1; 1 only if nothing is missing.
        requests: The API's ids of the requests that the cards come from.
    """

    cards: tuple[Card, ...] = field(converter=_cards, validator=every(Card))
    usage: Usage = field(factory=Usage, validator=instance_of(Usage))
    notes: tuple[str, ...] = field(default=(), converter=texts, validator=every(str))
    missing: ItemError | None = field(default=None, validator=validators.optional(instance_of(ItemError)))
    coverage: float = field(default=1.0, validator=[validators.ge(0), validators.le(1)])
    requests: tuple[str, ...] = field(default=(), converter=texts, validator=every(str))


@frozen(kw_only=True)
class NewItem:
    """A unit of work to be added to a run.

    Attributes:
        id: Unique in the run.
        name: What people call it.
        position: Its place in the caller's order, from 0.
        kind: What it is, such as ``upload``.
        size: Its weight for progress, such as bytes.
    """

    id: str = field(validator=some_text)
    name: str = field(validator=is_text)
    position: int = field(validator=count)
    kind: str = field(default="upload", validator=is_text)
    size: int = field(default=0, validator=count)


@frozen(kw_only=True)
class Item:
    """One unit of a run as the store has it.

    Attributes:
        run_id: Its run.
        id: Unique in the run; in card analysis the upload's id.
        kind: What it is, such as ``upload``.
        name: What people call it.
        position: Its place in the caller's order, from 0.
        size: Its weight for progress.
        status: Where it stands.
        version: Rises by one with every change.
        attempts: How often it was claimed and not handed back unused.
        token: The fencing token of the newest claim; rises with every claim and never falls.
        owner: The worker that holds it, or None.
        lease_until: Until when it is held, in seconds of the store's clock; None if nobody holds it.
        error: Why it has no whole result.
        usage: What all its attempts cost.
        created_at: When it was added.
        started_at: When the newest attempt began.
        finished_at: When it got its outcome.
    """

    run_id: str
    id: str
    kind: str
    name: str
    position: int
    size: int = 0
    status: ItemStatus = ItemStatus.PENDING
    version: int = 1
    attempts: int = 0
    token: int = 0
    owner: str | None = None
    lease_until: float | None = None
    error: ItemError | None = None
    usage: Usage = field(factory=Usage)
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def duration_seconds(self) -> float | None:
        """How long the newest attempt took, or None while there is no outcome."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


@frozen(kw_only=True)
class NewOutput:
    """One result of an item, to be stored.

    Attributes:
        kind: The collection it belongs to, such as ``cards``; also the name of the run's counter that counts it, so
            not the name of an item's status nor ``total``.
        data: JSON values.
    """

    kind: str = field(validator=[some_text, none_of(RESERVED_COUNTERS)])
    data: Mapping[str, Any] = field(repr=False)


@frozen(kw_only=True)
class Output:
    """One result of an item as the store has it.

    Attributes:
        item_id: The item it came from.
        position: The item's place in the caller's order.
        index: Its place among the item's results, from 0.
        kind: The collection it belongs to, such as ``cards``.
        data: JSON values.
    """

    item_id: str
    position: int
    index: int
    kind: str
    data: Mapping[str, Any] = field(repr=False)


@frozen(kw_only=True)
class Renewal:
    """What a worker learns when it renews its leases.

    Attributes:
        held: The items it still holds; work on any other must stop, since its result would be refused.
        stop: Whether the run was cancelled meanwhile, so that the worker should hand its items back.
    """

    held: frozenset[str]
    stop: bool = False


@frozen(kw_only=True)
class Event:
    """One line of a run's append-only log.

    Attributes:
        run_id: Its run.
        sequence: 1, 2, 3 … without a gap.
        type: What happened, such as ``item_status``.
        time: When.
        item_id: The item it is about, or None.
        data: JSON values; never document text.
    """

    run_id: str
    sequence: int
    type: str
    time: datetime
    item_id: str | None = None
    data: Mapping[str, Any] = field(factory=dict[str, Any])


def _counters(value: Mapping[str, int]) -> Mapping[str, int]:
    """Plain names, nothing for zeros, and 0 for every name that is missing."""
    return Counter({str(name): count for name, count in sorted(value.items()) if count})


@frozen(kw_only=True)
class Run:
    """One durable piece of work over many items.

    Attributes:
        id: Give it to the same function again to resume.
        kind: What it does, such as ``analyze_cards``.
        status: Where it stands.
        version: Rises with every change of the run, its items or its counters.
        counters: ``total``, ``cards`` and the number of items in each status; with a ``max_cost`` also
            ``committed_nano_dollars``: what is spent or put aside of it, in billionths of a dollar. Asking for a name
            that is not there gives 0.
        usage: What all attempts of all items cost.
        asked: What was asked: analyzer, model, prompt version, options, context.
        fingerprint: A digest of `asked`.
        error: Why the run stopped before its end, or None.
        last_event: The sequence number of its newest event; 0 before the first.
        created_at: When it was created.
        started_at: When it last began or was resumed.
        finished_at: When it last came to an end.
        heartbeat_at: When a worker last gave a sign of life: when it began, claimed an item or renewed its leases.
    """

    id: str
    kind: str
    status: RunStatus = RunStatus.QUEUED
    version: int = 1
    counters: Mapping[str, int] = field(factory=dict[str, int], converter=_counters)
    usage: Usage = field(factory=Usage)
    asked: Mapping[str, Any] = field(factory=dict[str, Any], repr=False)
    fingerprint: str = ""
    error: str | None = None
    last_event: int = 0
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    heartbeat_at: datetime | None = None
    _items: tuple[Item, ...] | None = field(default=None, repr=False)
    _cards: tuple[Card, ...] | None = field(default=None, repr=False)

    @property
    def items(self) -> tuple[Item, ...]:
        """The items in the caller's order.

        Raises:
            ConfigurationError: This run was read without them.
        """
        if self._items is None:
            raise self._not_collected("items", "store.items(run.id)")
        return self._items

    @property
    def cards(self) -> tuple[Card, ...]:
        """The cards, in the caller's order of uploads and within one in the analyzer's order.

        Raises:
            ConfigurationError: This run was read without them.
        """
        if self._cards is None:
            raise self._not_collected("cards", "store.outputs(run.id)")
        return self._cards

    def with_results(self, items: Iterable[Item], cards: Iterable[Card]) -> Run:
        """Return this run holding its items and cards."""
        return evolve(self, items=tuple(items), cards=tuple(cards))

    def _not_collected(self, what: str, by_page: str) -> ConfigurationError:
        return ConfigurationError(
            f"This Run was read without its {what}. Use await load_run(store, run.id), or page through {by_page}.",
            code="not_collected",
        )
