"""How fast files of each format are read, in how much memory, beside other converters; and whether the loop waits.

Other converters are compared if they are installed: ``pip install "markitdown[docx,pptx,xlsx,pdf]" kreuzberg``.
"""

from __future__ import annotations

import gc
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import cycle, islice
from pathlib import Path
from statistics import quantiles

import anyio
from measuring import Report, Table

from cardanalysis import MemoryStore, Upload, analyze_cards
from cardanalysis.analysis import OutlineAnalyzer
from cardanalysis.loading._workers import close_workers

sys.path.insert(0, str(Path(__file__).parents[1] / "loading"))

from corpus.large import LARGE
from corpus.mixed import mixed

_TEXT = """\
Each converter reads one file of each format, with 5,000 paragraphs of 0.5 MB, in a process of its own that has read a
small one before. Speed is megabytes of that text for each second of processor time; memory is the most that the
process took beyond what it took before; words are the share of those written that are in the text that comes out. Ours
is measured in that process itself, not in one more that isolates it."""

_BEATS = """\
The longest time for which the event loop did not run a task that sleeps for one millisecond again and again, while
`analyze_cards` reads {files} mixed files, sound and hostile ones, four at once, with `OutlineAnalyzer`; and what it is
while nothing else runs."""

_CONVERTERS = {"ours": "cardanalysis", "MarkItDown": "markitdown", "Kreuzberg": "kreuzberg"}
_READER = Path(__file__).with_name("format_reader.py")
_IDLE_SECONDS = 3.0


def run(tiny: bool) -> Report:
    rows = list(_rows(tiny))
    header = ["format, converter", "speed", "memory", "words"]
    parts: list[str | Table] = [_TEXT, Table(header, rows)]
    files = 20 if tiny else 500
    blocks = [[f"{backend}, {what}", *_longest(backend, count)] for backend, what, count in _loops(files)]
    parts += [_BEATS.format(files=files), Table(["event loop", "longest", "99.9 %", "beats"], blocks)]
    return Report("Formats", parts)


def _rows(tiny: bool) -> Iterator[Sequence[str]]:
    with tempfile.TemporaryDirectory() as folder:
        for ending, make in LARGE.items():
            paragraphs = list(islice(cycle(_paragraphs()), 50 if tiny else 5_000))
            file, small = Path(folder, f"large{ending}"), Path(folder, f"small{ending}")
            file.write_bytes(make(paragraphs))
            small.write_bytes(make(paragraphs[:20]))
            size = sum(len(each.encode()) for each in paragraphs)
            for title, package in _CONVERTERS.items():
                yield [f"{ending}, {title}", *_figures(package, small, file, paragraphs, size)]


def _figures(package: str, small: Path, file: Path, paragraphs: Sequence[str], size: int) -> Sequence[str]:
    if not _is_installed(package):
        return "not installed", "-", "-"
    done = subprocess.run(
        [sys.executable, str(_READER), package, str(small), str(file)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return "fails", "-", "-"
    found = json.loads(done.stdout.splitlines()[-1])
    written, read = (Counter(re.findall(r"\w+", each)) for each in (" ".join(paragraphs), found["text"]))
    words = 1 - (written - read).total() / written.total()
    return f"{size / 1e6 / found['seconds']:,.2f} MB/s", f"{found['megabytes']:,.0f} MB", f"{words:.1%}"


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _paragraphs() -> Sequence[str]:
    subjects = ("agent", "clerk", "manager", "customer", "accountant", "auditor", "team lead")
    things = ("order", "invoice", "address", "delivery", "contract", "reminder", "report", "price list", "offer")
    return [
        f"The system shall let the {who} see each {what} of the last {number} days, with its state and its history."
        for number, (who, what) in enumerate((who, what) for who in subjects for what in things)
    ]


# -- The event loop


def _loops(files: int) -> Iterator[tuple[str, str, int]]:
    for backend in ("asyncio", "trio"):
        yield backend, f"{files} files", files
        yield backend, "nothing else", 0


def _longest(backend: str, files: int) -> Sequence[str]:
    uploads = [Upload.from_bytes(data, name) for name, data in mixed(files)] if files else []
    gc.collect()
    gc.freeze()  # what makes the files is no part of it, and would be looked through again and again
    beats = anyio.run(_beats, uploads, backend=backend)
    close_workers()
    milliseconds = sorted(1000 * each for each in beats)
    late = quantiles(milliseconds, n=1000, method="inclusive")[-1]
    return f"{milliseconds[-1]:.1f} ms", f"{late:.1f} ms", f"{len(beats):,}"


async def _beats(uploads: Sequence[Upload]) -> list[float]:
    """How much later than after its millisecond each beat came."""
    beats: list[float] = []

    async def beat() -> None:
        while True:
            start = time.perf_counter()
            await anyio.sleep(0.001)
            beats.append(time.perf_counter() - start - 0.001)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(beat)
        if uploads:
            await analyze_cards(uploads, MemoryStore(), analyzer=OutlineAnalyzer(), limit=4)
        else:
            await anyio.sleep(_IDLE_SECONDS)
        tasks.cancel_scope.cancel()
    return beats
