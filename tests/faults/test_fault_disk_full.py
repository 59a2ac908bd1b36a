"""A disk that is really full: the run stops with a typed error, loses nothing, and ends when there is room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_kit import Notes, check_file, check_finished, completed, count_of

UPLOADS = 30
PADDING = 20_000
"""Characters of each of three cards: 1.8 MB in all."""
WARNINGS = ("its end could not be recorded", "was not handed back", "could not be renewed")
"""What may be told on a disk without room."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    point = tmp_path / "disk"
    point.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(point)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode:
        pytest.skip(f"this user may not mount a file system: {mounted.stderr.strip()}")
    yield point
    subprocess.run(["umount", "--lazy", str(point)], check=True, timeout=60)


def check_stopped(path: Path, notes: Notes) -> set[str]:
    """What was acknowledged is there, in a file that is whole."""
    done = completed(path, copy_to=notes.path.with_name("copied"))
    assert done >= set(notes.of("acknowledged"))
    assert 0 < len(done) < UPLOADS
    return done


def check_end(path: Path, notes: Notes, done: set[str]) -> None:
    """Everything was done in the end, and what was done before only once."""
    check_finished(path, UPLOADS)
    calls = count_of(notes.of("call"))
    assert {calls[name] for name in done} == {1}


def test_a_run_on_a_full_disk_goes_on_when_there_is_room(
    children: Any, disk: Path, tmp_path: Path, backend: str
) -> None:
    """With no room left the code is full; nothing acknowledged is lost, and with room the same call ends the run."""
    path, notes = disk / "cards.db", Notes(tmp_path / "notes")
    options = {"backend": backend, "count": UPLOADS, "limit": 3, "padding": PADDING, "notes": notes.path}
    for _ in range(2):  # as long as there is no room, trying again does no harm either
        assert children.start("analyze", path=path, **options).rest(*WARNINGS) == ["error full"]
        done = check_stopped(path, notes)
        assert len(notes.of("call")) <= len(done) + 2 * 3 * 2
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True, timeout=60)
    check_file(path)
    assert children.start("analyze", path=path, **options).rest() == ["ended succeeded"]
    check_end(path, notes, done)


def test_a_run_whose_file_may_not_grow_goes_on_when_it_may(children: Any, path: Path, backend: str) -> None:
    """At the largest size that a process may write the disk reports errors; without that limit the run ends."""
    notes = Notes(path.with_suffix(".notes"))
    options = {"backend": backend, "count": UPLOADS, "limit": 3, "padding": PADDING, "notes": notes.path}
    (said,) = children.start("analyze", path=path, most_bytes=1_000_000, **options).rest(*WARNINGS)
    assert said in ("error full", "error io_error", "error commit_unknown")
    done = check_stopped(path, notes)
    assert children.start("analyze", path=path, **options).rest() == ["ended succeeded"]
    check_end(path, notes, done)
