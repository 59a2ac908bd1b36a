"""Files that are meant to harm: each gets its error, or is read as it should be, and nothing else happens."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cardanalysis import Document, DocumentError, ItemStatus, MemoryStore, Upload, analyze_cards
from cardanalysis.analysis import OutlineAnalyzer
from cardanalysis.loading import Limits, load
from cardanalysis.loading._workers import close_workers, workers

from .corpus.good import GOOD
from .corpus.hostile import Hostile, files

LINUX = sys.platform == "linux"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module", params=files())
def hostile(request: pytest.FixtureRequest) -> Hostile:
    return files()[request.param]


WARMERS = ("word_brief", "slides", "workbook", "report", "png", "web_page", "html_mail")


class Memory:
    """What the processes take that read files: they are used again, so what one keeps is counted against the next."""

    def __init__(self) -> None:
        self._bases: dict[int, int] = {}

    def watch(self) -> None:
        """Have a process that has read a file of each format, so that its parsers are imported, and note what it takes.

        Writing 5 to ``clear_refs`` lets the peak begin anew.
        """
        for name in () if self._taken("VmRSS").keys() & self._bases.keys() else WARMERS:
            good = GOOD[name]()
            load(Upload.from_bytes(good.data, good.name))
        for process, taken in self._taken("VmRSS").items():
            self._bases.setdefault(process, taken)
            Path(f"/proc/{process}/clear_refs").write_text("5")

    def peak(self) -> int:
        """The most that any of them took since then beyond what it took at first; of one that is gone it is unknown."""
        return max((peak - self._bases.get(process, peak) for process, peak in self._taken("VmHWM").items()), default=0)

    def _taken(self, field: str) -> dict[int, int]:
        found: dict[int, int] = {}
        for process in [worker.process.pid for worker in workers._idle if worker.alive]:
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
            found[process] = int(dict(line.split(":", 1) for line in lines)[field].split()[0]) * 1024
        return found


@pytest.fixture(scope="module")
def memory() -> Iterator[Memory]:
    close_workers()
    yield Memory()
    close_workers()


def test_it_gets_its_error_or_is_read(hostile: Hostile, memory: Memory) -> None:
    """Loading raises a document error of the right kind, or gives what can be read, with a note where one is due.

    The process that read it has not taken more than the limit beyond what it took at first, unless it is gone.
    """
    if LINUX:
        memory.watch()

    outcome = outcome_of(Upload.from_bytes(hostile.data, hostile.name))

    if isinstance(outcome, DocumentError):
        assert outcome.upload == hostile.name
        assert outcome.code in hostile.codes, str(outcome)
    else:
        assert hostile.text is not None, outcome.text[:200]
        assert hostile.text in outcome.text
        assert outcome.notes or not hostile.noted
    if LINUX:
        assert memory.peak() <= 1.1 * Limits().memory_bytes  # files that are mapped are not limited


def outcome_of(upload: Upload) -> Document | DocumentError:
    try:
        return load(upload)
    except DocumentError as error:
        return error


def test_there_are_enough_of_them() -> None:
    """The corpus has the 40 files on which the well-known parsers were measured, and as many again."""
    assert len(files()) >= 80


@pytest.mark.anyio
async def test_a_run_survives_all_of_them() -> None:
    """In one run over all of them, and a sound file, exactly what can be read is completed; each other one failed."""
    good = GOOD["word_brief"]()
    chosen = {name: hostile for name, hostile in files().items() if is_decided(hostile)}
    uploads = [Upload.from_bytes(hostile.data, name) for name, hostile in chosen.items()]
    half = len(uploads) // 2
    uploads.insert(half, Upload.from_bytes(good.data, good.name))

    run = await analyze_cards(uploads, MemoryStore(), analyzer=OutlineAnalyzer())

    expected = {good.name} | {name for name, hostile in chosen.items() if hostile.text is not None}
    failed = {item.name: item.error and item.error.code for item in run.items if item.status is ItemStatus.FAILED}
    pictures = {name for name, code in failed.items() if code == "no_text"}  # they were read, but rules need text
    assert {item.name for item in run.items if item.status is ItemStatus.COMPLETED} == expected - pictures
    assert failed.keys() == (chosen.keys() - expected) | pictures
    close_workers()


def is_decided(hostile: Hostile) -> bool:
    """Whether it is certain what becomes of a file, and it takes no long time: until memory is at its end."""
    small = len(hostile.data) < MEGABYTE
    return small and not (hostile.text and hostile.codes) and "memory" not in hostile.codes


# -- Paths


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    """A named pipe, from which reading would wait for ever, is refused when its upload is made."""
    os.mkfifo(tmp_path / "pipe.txt")

    assert code_of(tmp_path / "pipe.txt") == "not_found"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there are no device files")
def test_a_device_is_no_file() -> None:
    """A device file, which has no end, is refused when its upload is made."""
    assert code_of(Path("/dev/zero")) == "not_found"


def test_a_file_that_became_a_pipe(tmp_path: Path) -> None:
    """What was a file when its upload was made, and is a folder when it is read, is refused."""
    path = tmp_path / "a.txt"
    path.write_text("Hello")
    upload = Upload.from_path(path)
    path.unlink()
    path.mkdir()

    with pytest.raises(DocumentError) as caught:
        load(upload)
    assert caught.value.code in {"not_found", "changed"}


@pytest.mark.parametrize("name", ["a\0b.txt", "", "no/such/file.txt", "x" * 5000])
def test_a_path_that_is_none(name: str, tmp_path: Path) -> None:
    """A path that names no file is refused."""
    assert code_of(tmp_path / name) == "not_found"


def code_of(path: Path) -> str:
    with pytest.raises(DocumentError) as caught:
        Upload.from_path(path)
    return caught.value.code
