"""How fast uploads become documents, beside the least that the standard library does with the same bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from functools import partial
from itertools import cycle, islice
from statistics import median

from measuring import Report, Table, cpu_seconds, ratio, take_turns

from cardanalysis import Upload
from cardanalysis.loading import load

_MEGABYTE = 1_000_000

_TEXT = """\
Megabytes a second of processor time, from bytes to a document with all its blocks and their locations. The yardstick
decodes the bytes, and splits text into lines or reads the rows with `csv.reader`."""

_SENTENCES = (
    "The system shall let an agent see all the orders of a customer on one page.\n",
    "Today the clerks retype every order by hand, which takes “two days” a week.\n",
    "An invoice that is not paid within 30 days must be shown to the accountant.\n",
)


def run(tiny: bool) -> Report:
    scale = _MEGABYTE // 1000 if tiny else _MEGABYTE
    cases: dict[str, tuple[Upload, Callable[[bytes], object]]] = {
        "plain text, 10 MB": (_upload(_paragraphs(), 10 * scale, "notes.txt"), _lines),
        "Markdown, 10 MB": (_upload(_sections(), 10 * scale, "brief.md"), _lines),
        "CSV, 20 MB": (_upload(_rows(), 20 * scale, "systems.csv"), _records),
    }
    rows = [[title, *_figures(upload, yardstick, 1 if tiny else 3)] for title, (upload, yardstick) in cases.items()]
    return Report("Loading", [_TEXT, Table(["upload", "blocks", "speed", "yardstick", "times its time"], rows)])


def _figures(upload: Upload, yardstick: Callable[[bytes], object], rounds: int) -> list[str]:
    data = upload.read()
    seconds = take_turns(
        {
            "ours": partial(cpu_seconds, partial(load, upload)),
            "yardstick": partial(cpu_seconds, partial(yardstick, data)),
        },
        rounds,
    )
    speeds = [f"{len(data) / _MEGABYTE / median(each):,.1f} MB/s" for each in seconds.values()]
    return [f"{len(load(upload).blocks):,}", *speeds, f"{ratio(seconds['ours'], seconds['yardstick']):.1f}"]


def _lines(data: bytes) -> list[str]:
    return data.decode().splitlines()


def _records(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


def _upload(pieces: Iterable[str], size: int, name: str) -> Upload:
    """Fill so many bytes, and end with a whole piece."""
    data = bytearray()
    for piece in pieces:
        if len(data) + len(encoded := piece.encode()) > size:
            break
        data += encoded
    return Upload.from_bytes(bytes(data), name)


def _paragraphs() -> Iterable[str]:
    return cycle(["".join(islice(cycle(_SENTENCES), length)) + "\n" for length in (3, 1, 5, 2)])


def _sections() -> Iterable[str]:
    goals = "- Orders arrive by themselves\n- Nobody retypes anything\n  - not even corrections\n\n"
    table = "| System | Owner |\n| --- | --- |\n| ERP | Finance |\n| Mail | IT |\n\n"
    return cycle(
        ["## 2.1 Orders\n\n", *islice(_paragraphs(), 4), "### Goals\n\n", goals, *islice(_paragraphs(), 2), table]
    )


def _rows() -> Iterable[str]:
    yield "id,name,city,since,amount,state,remark,active\n"
    yield from cycle(
        [
            "4711,Jane Doe,Berlin,2024-01-31,12.50,open,asked for a copy,yes\n",
            '4712,"Doe, John",Zürich,2023-11-05,980.00,paid,"said ""thanks"" twice",no\n',
            "4713,ACME Ltd,Oslo,2022-07-19,15.20,open,,yes\n",
        ]
    )
