"""Whose process has ended, and of whom that cannot be known."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cardanalysis import _owner
from cardanalysis._owner import is_dead, new_owner

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="elsewhere nobody is known to be dead")

SCRIPT = "from cardanalysis._owner import new_owner; print(new_owner(), flush=True); input()"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    """A process that tells its owner's name and waits."""
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def name_of(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().rstrip("\n")


def changed(owner: str, place: int, part: str) -> str:
    parts = owner.split("|")
    parts[place] = part
    return "|".join(parts)


def test_no_two_owners_are_the_same() -> None:
    """Workers of one process have different names."""
    assert len({new_owner() for _ in range(100)}) == 100


def test_this_process_is_not_dead() -> None:
    """Whoever asks is alive."""
    assert not is_dead(new_owner())


def test_a_process_is_dead_when_it_was_killed(child: subprocess.Popen[str]) -> None:
    """A living process is not dead; a killed one is, also as a zombie that its parent has not yet waited for."""
    owner = name_of(child)
    assert not is_dead(owner)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
    assert Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    assert is_dead(owner)
    child.wait(60)
    assert is_dead(owner)


def test_a_process_that_ended_by_itself_is_dead(child: subprocess.Popen[str]) -> None:
    """An ordinary end counts like a violent one."""
    owner = name_of(child)
    child.communicate("\n", timeout=60)
    assert is_dead(owner)


def test_a_process_of_the_same_number_is_another(child: subprocess.Popen[str]) -> None:
    """When a process id is used again, the start time tells that the owner is dead."""
    assert is_dead(changed(name_of(child), 4, "1"))


@pytest.mark.parametrize("place", [0, 1, 2], ids=["host", "boot", "namespace"])
def test_a_process_elsewhere_is_never_called_dead(child: subprocess.Popen[str], place: int) -> None:
    """On another host, after another boot and in another process namespace nothing can be known."""
    owner = name_of(child)
    child.kill()
    child.wait(60)
    assert is_dead(owner)
    assert not is_dead(changed(owner, place, "another"))


def test_a_hidden_process_is_not_called_dead(child: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A living process that /proc hides, as that of another user may be, is not dead; one that is gone is."""
    owner = name_of(child)
    monkeypatch.setattr(_owner, "_started", lambda pid: None)
    assert not is_dead(owner)
    monkeypatch.setattr(os, "kill", refuse)
    assert not is_dead(owner)
    monkeypatch.undo()
    child.kill()
    child.wait(60)
    monkeypatch.setattr(_owner, "_started", lambda pid: None)
    assert is_dead(owner)


def refuse(pid: int, sign: int) -> None:
    raise PermissionError(pid, sign)


def test_nothing_is_known_without_proc(child: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /proc cannot be read owners have names all the same, and nobody is called dead."""
    other = name_of(child)
    monkeypatch.setattr(_owner, "_BOOT_ID", Path("/nowhere"))
    _owner._machine.cache_clear()
    try:
        owner = new_owner()
        assert owner != new_owner()
        child.kill()
        child.wait(60)
        assert [is_dead(owner), is_dead(changed(owner, 4, "1")), is_dead(other)] == [False, False, False]
    finally:
        _owner._machine.cache_clear()


def test_an_owner_without_a_start_time_is_not_called_dead() -> None:
    """A name that was made where the start time could not be read proves nothing."""
    assert not is_dead(changed(new_owner(), 4, "unknown"))


def test_a_bar_in_the_hosts_name_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Odd host names make owners of six parts like others."""
    monkeypatch.setattr(_owner, "_machine", lambda: ("a|b", "boot", "pid"))
    owner = new_owner()
    assert owner.split("|")[0] == "a_b"
    assert not is_dead(owner)


@given(st.text() | st.lists(st.text(), min_size=6, max_size=6).map("|".join))
@example("")
@example("|||||")
@example("w1")
def test_any_text_may_be_an_owner(owner: str) -> None:
    """Names that were made by others are never called dead and raise nothing."""
    assert not is_dead(owner)


@given(st.integers(min_value=0).map(str) | st.sampled_from(["-1", "x", "", "٣", "1.5", str(2**64)]))
def test_any_process_number_may_be_asked_for(number: str) -> None:
    """A number that no process can have raises nothing."""
    assert is_dead(changed(new_owner(), 3, number)) in (True, False)
