"""A run as text for a terminal. Pure, but for `Progress`, which writes what it is told."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Final, TextIO

from ._models import Card, Event, Item, ItemError, Run
from ._status import ItemStatus

__all__ = ["Progress", "cards_table", "in_flags", "summary"]

_RANKS = {"high": 0, "medium": 1, "low": 2}


class Progress:
    """Writes a line for each upload that got its outcome, request that failed, and batch that began or ended.

    Args:
        stream: Where to write.
        total: How many uploads there are.
    """

    def __init__(self, stream: TextIO, total: int) -> None:
        self._stream = stream
        self._total = total
        self._done = 0
        self._names: dict[str | None, str] = {}
        self._batches: dict[str, str] = {}

    def __call__(self, event: Event) -> None:
        """Take one event of the run."""
        line = self._line(event)
        if line:
            print(_shown(line), file=self._stream, flush=True)

    def _line(self, event: Event) -> str:
        match event.type:
            case "item_status":
                return self._moved(event)
            case "attempt_failed":
                return f"  {self._names.get(event.item_id, 'a request')}: {_failed_attempt(event)}"
            case "batch_submitted":
                batch_id = self._batches[event.data["submission"]] = event.data["batch_id"]
                return f"  batch {batch_id} submitted"
            case "batch_ended":
                batch_id = self._batches.pop(event.data["submission"], "of an earlier call")
                return f"  batch {batch_id} ended{_outcomes(event)}"
            case _:
                return ""

    def _moved(self, event: Event) -> str:
        name = event.data["name"]
        if not ItemStatus(event.data["to"]).is_terminal:
            self._names[event.item_id] = name
            return ""
        self._names.pop(event.item_id, None)
        self._done += 1
        return f"[{self._done}/{max(self._total, self._done)}] {event.data['to']:<9} {name}{_detail(event)}"


def _failed_attempt(event: Event) -> str:
    """What failed, and whether and when it is tried again: after a pause of its own, or one that all wait out."""
    data = event.data
    failed = f"attempt {data['attempt']} failed ({data.get('code', 'unknown')})"
    if not data["again"]:
        reason = data.get("reason", "not_retryable")
        return f"{failed}, not tried again" + ("" if reason == "not_retryable" else f" ({reason})")
    wait = data["wait_seconds"] or data.get("retry_after")
    return f"{failed}, again in {wait:.1f} s" if wait else f"{failed}, again when the API takes more"


def _outcomes(event: Event) -> str:
    counts = [f"{number} {name}" for name, number in event.data["counts"].items() if number]
    return f": {', '.join(counts)}" if counts else ""


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


def in_flags(message: str) -> str:
    """An error's message with the names of the command's options in place of the function's arguments."""
    for argument, option in _FLAGS.items():
        message = message.replace(argument, option)
    return message


_FLAGS: Final = {"make the same call": "run the same command", "max_cost": "--max-cost"}
_RETRY: Final = ("retry_failed=True", "--retry-failed")
_AGAIN: Final = "Pass --retry-failed with it, since a part was read."


def summary(run: Run, *, compare: bool = True) -> str:
    """What a run came to, in a few lines.

    Args:
        run: The run with its items.
        compare: Whether to say how long it would have taken one upload after the other. In batches all wait at once.
    """
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
    lines.append(_time(run, compare=compare))
    return "\n".join(lines)


def _reason(item: Item, error: ItemError) -> str:
    reason = error.message.removeprefix(f"{item.name}: ")
    return f"{in_flags(reason)} {_AGAIN}" if error.code == "max_cost" else reason.replace(*_RETRY)


def _cost(cost: float | None) -> str:
    return "cost unknown" if cost is None else f"${cost:,.4f}"


def _time(run: Run, *, compare: bool) -> str:
    """How long the last call took, and how long its uploads would have taken one after the other."""
    if run.started_at is None or run.finished_at is None:
        return "Time: not finished"
    seconds = max(0.0, (run.finished_at - run.started_at).total_seconds())
    alone = sum(_worked(item) for item in run.items if item.started_at and item.started_at >= run.started_at)
    if not alone:
        return "Nothing was left to do."
    if alone < 1.0 or not seconds or not compare:  # too little to tell a speedup from the overhead
        return f"Time: {seconds:.1f} s"
    return f"Time: {seconds:.1f} s, {alone / seconds:.1f}x as fast as one after the other ({alone:.1f} s)"


def _worked(item: Item) -> float:
    return item.duration_seconds or 0.0


def _shown(text: str) -> str:
    """A text without characters that a terminal obeys instead of showing them."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
