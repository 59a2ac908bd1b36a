"""How fast quotes are looked up in their source."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

from measuring import Report, Table, cpu_seconds, ratio, take_turns

from cardanalysis import Block, BlockKind, Card, Document, Location
from cardanalysis._grounding import Grounding

_QUOTES = 100
_QUOTE_WORDS = 12
_WORDS = ("the", "system", "clerk", "must", "not", "approve", "within", "20", "days", "“quoted”", "résumé", "e-mail")

_TEXT = """\
{quotes} quotes of {words} words against one document of {characters:,} characters, in processor time and with all
that is prepared for the document. The yardstick is `str.find` of the same quotes. Only a quote that does not stand
there letter by letter has the document folded (white space, quotation marks, dashes, case), once for all quotes."""


def run(tiny: bool) -> Report:
    document = _document(20_000 if tiny else 1_000_000)
    quotes = _quotes(document.text)
    sets = {
        "all stand there exactly": quotes,
        "all are normalized": [quote.replace(" ", "  ").upper() for quote in quotes],
        "none stands there": [f"{quote} nowhere" for quote in quotes],
    }
    rows = [[title, *_figures(document, quotes, 1 if tiny else 5)] for title, quotes in sets.items()]
    text = _TEXT.format(quotes=_QUOTES, words=_QUOTE_WORDS, characters=len(document.text))
    return Report("Grounding", [text, Table(["quotes", "found", "time", "`str.find`", "times its time"], rows)])


def _figures(document: Document, quotes: Sequence[str], rounds: int) -> list[str]:
    ways: dict[str, Callable[[], object]] = {
        "ours": partial(_ground, document, quotes),
        "find": lambda: [document.text.find(quote) for quote in quotes],
    }
    seconds = take_turns({name: partial(cpu_seconds, way) for name, way in ways.items()}, rounds)
    found = len(_ground(document, quotes).evidence)
    times = [f"{median(each) * 1000:.1f} ms" for each in seconds.values()]
    return [str(found), *times, f"{ratio(seconds['ours'], seconds['find']):.1f}"]


def _ground(document: Document, quotes: Sequence[str]) -> Card:
    return Grounding(document).ground(Card(title="Import orders", quotes=quotes))


def _document(characters: int) -> Document:
    """Random words in paragraphs of about a hundred, a block each."""
    source = random.Random(0)
    blocks: list[Block] = []
    texts: list[str] = []
    length = 0
    while length < characters:
        text = " ".join(source.choices(_WORDS, k=100))
        location = Location(name="brief.txt", start=length, end=length + len(text))
        blocks.append(Block(kind=BlockKind.PARAGRAPH, text=text, location=location))
        texts.append(text)
        length += len(text) + 1
    return Document(upload_id="upload", name="brief.txt", media_type="text/plain", text="\n".join(texts), blocks=blocks)


def _quotes(text: str) -> list[str]:
    """Spread over the whole text, each within one paragraph."""
    paragraphs = text.split("\n")
    chosen = [paragraphs[number * len(paragraphs) // _QUOTES] for number in range(_QUOTES)]
    return [" ".join(paragraph.split(" ")[20 : 20 + _QUOTE_WORDS]) for paragraph in chosen]
