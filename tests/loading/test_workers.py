"""Files that a parser could choke on are read in a process of their own, which may take only so much."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
from attrs import evolve

from cardanalysis._errors import DocumentError
from cardanalysis._uploads import Upload
from cardanalysis.loading import Limits, _loader
from cardanalysis.loading._reading import Reading
from cardanalysis.loading._workers import Cancellation, Workers, close_workers

ODD = """
    import os, sys, time
    from pathlib import Path
    from cardanalysis._errors import DocumentError
    from cardanalysis.loading._reading import Reading

    class Odd(Reading):
        def run(self):
            name = self.upload.name
            if name == "hang":
                begun = Path(self.upload.data.decode())
                begun.with_name("pid").write_text(str(os.getpid()))
                begun.touch()
                time.sleep(3600)
            if name == "eat":
                kept = []
                while True:
                    kept.append(bytearray(10_000_000))
            if name == "abort":
                os.abort()
            if name == "leave":
                os._exit(3)
            if name == "print":
                print("to standard output")
                os.write(1, b"and around it")
                os.write(2, b"and to standard error")
            if name == "pid":
                raise DocumentError(str(os.getpid()), "a", "b", code="c")
            return super().run()
"""


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Reading]:
    """Make a reading that does what its upload's name says; the process can import it, as it can what we can."""
    (tmp_path / "odd_reading.py").write_text(textwrap.dedent(ODD))
    monkeypatch.syspath_prepend(tmp_path)
    from odd_reading import Odd  # type: ignore[import-not-found]

    def make(name: str, data: bytes = b"# Title\n\nText", **limits: object) -> Reading:
        return Odd(Upload.from_bytes(data, name, "text/markdown"), Limits(**limits), "auto")

    return make


@pytest.fixture
def workers() -> Iterator[Workers]:
    pool = Workers(2)
    yield pool
    pool.close()


def code_of(workers: Workers, reading: Reading) -> str:
    with pytest.raises(DocumentError) as caught:
        workers.read(reading, Cancellation())
    assert caught.value.upload == reading.upload.name
    return caught.value.code


def test_the_document_is_the_same(workers: Workers) -> None:
    """What is read in another process is what is read in this one, however many blocks it has."""
    text = "\n\n".join(f"Paragraph {number}" for number in range(2_001))
    reading = Reading(Upload.from_text(text, "a.md"), Limits(), "auto")

    assert workers.read(reading, Cancellation()) == reading.run()


def test_a_file_is_found_from_another_folder(workers: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path means what it meant to whoever made the upload, also if a process was started before."""
    workers.read(Reading(Upload.from_text("x", "a.md"), Limits(), "auto"), Cancellation())
    (tmp_path / "b.md").write_text("Here")
    monkeypatch.chdir(tmp_path)

    document = workers.read(Reading(Upload.from_path("b.md"), Limits(), "auto"), Cancellation())

    assert document.text == "Here"


def test_errors_are_the_same(workers: Workers) -> None:
    """An upload that cannot be read raises the same error as in this process."""
    reading = Reading(Upload.from_bytes(b" \n", "a.md"), Limits(), "auto")
    with pytest.raises(DocumentError) as here:
        reading.run()
    with pytest.raises(DocumentError) as there:
        workers.read(reading, Cancellation())

    assert str(there.value) == str(here.value)
    assert there.value.code == here.value.code == "empty"


def test_what_takes_too_long_is_ended(workers: Workers, odd: Callable[..., Reading], tmp_path: Path) -> None:
    """A parser that hangs is ended, and the next upload is read."""
    reading = odd("hang", os.fsencode(tmp_path / "begun"), seconds=0.5)

    assert code_of(workers, reading) == "timeout"
    assert workers.read(odd("a.md"), Cancellation()).text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
def test_what_takes_too_much_memory_is_ended(workers: Workers, odd: Callable[..., Reading]) -> None:
    """A parser that eats memory is stopped at the limit, and the next upload is read."""
    assert code_of(workers, odd("eat", memory_bytes=100_000_000)) == "memory"
    assert workers.read(odd("a.md"), Cancellation()).text


@pytest.mark.parametrize("way", ["abort", "leave"])
def test_a_parser_that_dies_takes_only_its_upload(workers: Workers, odd: Callable[..., Reading], way: str) -> None:
    """A crash in a parser's own code is the error of that upload."""
    assert code_of(workers, odd(way)) == "crashed"
    assert workers.read(odd("a.md"), Cancellation()).text


def test_what_a_parser_prints_is_dropped(
    workers: Workers, odd: Callable[..., Reading], capfd: pytest.CaptureFixture[str]
) -> None:
    """Messages of a parser neither disturb the answer nor reach the terminal."""
    assert workers.read(odd("print"), Cancellation()).text.startswith("# Title")
    assert capfd.readouterr() == ("", "")


def pid_of(workers: Workers, odd: Callable[..., Reading]) -> str:
    with pytest.raises(DocumentError) as caught:
        workers.read(odd("pid"), Cancellation())
    return caught.value.upload


def test_a_process_is_used_again(workers: Workers, odd: Callable[..., Reading]) -> None:
    """One process reads many uploads, but is replaced in time, so that what leaks in it does not add up."""
    first = [pid_of(workers, odd) for _ in range(100)]

    assert len(set(first)) == 1
    assert pid_of(workers, odd) not in first


def test_a_process_that_went_away_is_replaced(workers: Workers, odd: Callable[..., Reading]) -> None:
    """An idle process that somebody ended is no trouble."""
    (worker,) = [workers._idle[0] for _ in [pid_of(workers, odd)]]
    worker.process.kill()
    worker.process.wait()

    assert workers.read(odd("a.md"), Cancellation()).text


def test_closing_ends_the_processes(workers: Workers, odd: Callable[..., Reading]) -> None:
    """Nothing is left after closing, and the next upload starts a process again."""
    pid_of(workers, odd)
    process = workers._idle[0].process
    workers.close()

    assert process.returncode is not None
    assert workers.read(odd("a.md"), Cancellation()).text


def test_a_fork_leaves_the_processes_to_its_parent(workers: Workers, odd: Callable[..., Reading]) -> None:
    """A forked process does not talk into its parent's pipes."""
    first = pid_of(workers, odd)
    kept = list(workers._idle)
    workers.forget()

    assert pid_of(workers, odd) != first
    for worker in kept:
        worker.end()


def test_cancelling_ends_the_process(workers: Workers, odd: Callable[..., Reading], tmp_path: Path) -> None:
    """A reading that nobody waits for any more is ended at once, from another thread."""
    begun, cancellation = tmp_path / "begun", Cancellation()
    errors: list[DocumentError] = []

    def read() -> None:
        try:
            workers.read(odd("hang", os.fsencode(begun)), cancellation)
        except DocumentError as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    while thread.is_alive() and not begun.exists():
        threading.Event().wait(0.01)
    cancellation.cancel()
    thread.join()

    assert errors
    assert not workers._idle


def test_cancelled_before_it_began(workers: Workers, odd: Callable[..., Reading]) -> None:
    """What is cancelled while it waits for a process is not read."""
    cancellation = Cancellation()
    cancellation.cancel()

    with pytest.raises(DocumentError):
        workers.read(odd("hang", b"/nowhere"), cancellation)


@pytest.mark.anyio
async def test_cancelling_a_loader_ends_the_process(odd: Callable[..., Reading], tmp_path: Path) -> None:
    """A task that is cancelled while its upload is read leaves no process that goes on reading."""
    begun, reading = tmp_path / "begun", odd("hang", b"")
    reading = evolve(reading, upload=evolve(reading.upload, data=os.fsencode(begun)))
    seen: list[Cancellation] = []
    close_workers()  # those that were started before cannot import what this test has

    def load_odd(_reading: Reading, _isolate: bool, cancellation: Cancellation) -> object:
        seen.append(cancellation)
        return _loader.workers.read(reading, cancellation)

    original, _loader._load = _loader._load, load_odd
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_loader.DocumentLoader().load, reading.upload)
            while not begun.exists():  # noqa: ASYNC110 - another process makes it
                await anyio.sleep(0.01)
            tasks.cancel_scope.cancel()
    finally:
        _loader._load = original

    assert seen[0].cancelled


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    """A script that calls from its top level is not run again by the process that reads."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
            from pathlib import Path
            from cardanalysis import Upload
            from cardanalysis.loading import Limits, _loader
            from cardanalysis.loading._reading import Reading
            from cardanalysis.loading._workers import Cancellation, workers
            print(workers.read(Reading(Upload.from_text("Hello", "a.md"), Limits(), "auto"), Cancellation()).text)
        """)
    )

    done = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True)

    assert done.stdout == "Hello\n"
    assert done.stderr == ""


def test_where_no_process_can_be_started(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    """An app that is frozen, or has no Python to start, is told what to do instead."""
    reading = Reading(Upload.from_text("x", "a.md"), Limits(), "auto")
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/no/such/python")
        assert code_of(workers, reading) == "no_process"
    with monkeypatch.context() as patched:
        patched.setattr(sys, "frozen", True, raising=False)
        with pytest.raises(DocumentError, match="isolate=False"):
            workers.read(reading, Cancellation())


def test_an_upload_of_a_class_of_ones_own(workers: Workers) -> None:
    """What only the caller can import is read here and parsed there."""

    class Mine(Upload):
        pass

    mine = Mine(name="a.md", media_type="text/markdown", size=5, data=b"Hello")
    assert workers.read(Reading(mine, Limits(), "auto"), Cancellation()).text == "Hello"


def test_a_process_that_ends_itself_is_no_fault_of_the_upload(workers: Workers, odd: Callable[..., Reading]) -> None:
    """A process that was idle for so long that it goes just when it is needed is replaced."""
    pid_of(workers, odd)
    process = workers._idle[0].process
    assert process.stdin is not None
    process.stdin.close()  # it leaves by itself, as after a minute
    process.wait()
    process.stdin = Path(os.devnull).open("wb")  # noqa: SIM115 - closed with the process
    process.poll = lambda: None  # type: ignore[method-assign]  # nobody has noticed yet

    assert workers.read(odd("a.md"), Cancellation()).text.startswith("# Title")


@pytest.mark.anyio
async def test_waiting_for_a_process_keeps_no_other_thread_waiting(odd: Callable[..., Reading], tmp_path: Path) -> None:
    """However many uploads wait to be read, an app's other work in threads goes on."""
    begun = tmp_path / "begun"
    reading = odd("hang", os.fsencode(begun), seconds=30)
    close_workers()
    loader = _loader.DocumentLoader()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_loader, "_load", lambda _reading, _isolate, c: _loader.workers.read(reading, c))
        async with anyio.create_task_group() as tasks:
            for _ in range(60):
                tasks.start_soon(loader.load, reading.upload)
            while not begun.exists():  # noqa: ASYNC110 - another process makes it
                await anyio.sleep(0.01)
            with anyio.fail_after(20):
                assert await anyio.to_thread.run_sync(lambda: "done") == "done"
            tasks.cancel_scope.cancel()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc to look into")
def test_a_process_does_not_outlive_its_parent(odd: Callable[..., Reading], tmp_path: Path) -> None:
    """A parser that hangs is ended at its limit also when the one that waited for it was killed."""
    begun = tmp_path / "begun"
    script = f"""
        import os, sys
        sys.path.insert(0, {str(tmp_path)!r})
        from odd_reading import Odd
        from cardanalysis import Upload
        from cardanalysis.loading import Limits, _loader
        from cardanalysis.loading._workers import Cancellation, workers
        print("ready", flush=True)
        upload = Upload.from_bytes({os.fsencode(begun)!r}, "hang")
        workers.read(Odd(upload, Limits(seconds=1.0), "auto"), Cancellation())
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent:
        while not begun.exists():
            threading.Event().wait(0.01)
        parent.kill()
        pid = int((tmp_path / "pid").read_text())
        parent.wait()
    for _ in range(2_000):
        if not Path(f"/proc/{pid}").exists():
            return
        threading.Event().wait(0.01)
    pytest.fail("It is still there.")
