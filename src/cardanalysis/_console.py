"""A run as text for a terminal. Pure, but for `Progress`, which writes what it is told."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TextIO

from ._models import Card, Event, Item, ItemError, Run
from ._status import ItemStatus

__all__ = ["Progress", "cards_table", "summary"]

_RANKS = {"high": 0, "medium": 1, "low": 2}


class Progress:
    """Writes one line for each upload that got its outcome.

    Args:
        stream: Where to write.
        total: How many uploads there are.
    """

    def __init__(self, stream: TextIO, total: int) -> None:
        self._stream = stream
        self._total = total
        self._done = 0

    def __call__(self, event: Event) -> None:
        """Take one event of the run."""
        if event.type == "item_status" and ItemStatus(event.data["to"]).is_terminal:
            self._done += 1
            count = f"[{self._done}/{max(self._total, self._done)}]"
            line = f"{count} {event.data['to']:<9} {_shown(event.data['name'])}{_detail(event)}"
            print(line, file=self._stream, flush=True)


def _detail(event: Event) -> str:
    cards = event.data.get("outputs", {}).get("cards")
    earlier = " of an earlier run" if "reused_from" in event.data else ""
    return "" if cards is None else f" ({_count(cards, 'card')}{earlier})"


def cards_table(cards: Iterable[Card], names: dict[str, str], *, width: int = 100) -> str:
    """The cards as a table, the most urgent first, with where each was found.

    Args:
        cards: What to show.
        names: Names of the uploads by their ids.
        width: Columns of the terminal, at least 40.
    """
    rows = [(str(card.priority or ""), _shown(card.title), _shown(_source(card, names))) for card in cards]
    if not rows:
        return "No cards."
    rows.sort(key=lambda row: _RANKS.get(row[0], 3))
    source = min(max(len(row[2]) for row in rows), max(12, width // 3))
    title = max(12, width - source - 12)
    lines = [f"{'priority':<8}  {'title':<{title}}  source", f"{'-' * 8}  {'-' * title}  {'-' * source}"]
    for urgency, name, place in rows:
        short = textwrap.shorten(name, title, placeholder=" …")
        lines.append(f"{urgency:<8}  {short:<{title}}  {textwrap.shorten(place, source, placeholder='…')}".rstrip())
    return "\n".join(lines)


def _source(card: Card, names: dict[str, str]) -> str:
    return str(card.evidence[0].location) if card.evidence else names.get(card.upload_id, "")


def summary(run: Run) -> str:
    """What a run came to, in a few lines."""
    counters, usage = run.counters, run.usage
    parts = [f"{counters[status]} {status}" for status in ItemStatus if counters[status]]
    lines = [
        f"Run {run.id}: {run.status}",
        f"Uploads: {counters['total']} ({', '.join(parts) or 'none'})",
        f"Cards: {counters['cards']}",
    ]
    lines += [_shown(f"  {item.status} {item.name}: {_reason(item, item.error)}") for item in run.items if item.error]
    tokens = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    lines.append(f"Requests: {usage.requests}, tokens: {tokens:,} in, {usage.output_tokens:,} out, {_cost(usage.cost)}")
    lines.append(_time(run))
    return "\n".join(lines)


def _reason(item: Item, error: ItemError) -> str:
    return error.message.removeprefix(f"{item.name}: ")


def _cost(cost: float | None) -> str:
    return "cost unknown" if cost is None else f"${cost:,.4f}"


def _time(run: Run) -> str:
    """How long the last call took, and how long its uploads would have taken one after the other."""
    if run.started_at is None or run.finished_at is None:
        return "Time: not finished"
    seconds = max(0.0, (run.finished_at - run.started_at).total_seconds())
    alone = sum(_worked(item) for item in run.items if item.started_at and item.started_at >= run.started_at)
    if not alone:
        return "Nothing was left to do."
    if alone < 1.0 or not seconds:  # too little to tell a speedup from the overhead
        return f"Time: {seconds:.1f} s"
    return f"Time: {seconds:.1f} s, {alone / seconds:.1f}x as fast as one after the other ({alone:.1f} s)"


def _worked(item: Item) -> float:
    return item.duration_seconds or 0.0


def _shown(text: str) -> str:
    """A text without characters that a terminal obeys instead of showing them."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
