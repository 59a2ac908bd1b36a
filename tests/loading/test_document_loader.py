"""The loader of the engine: the same as load, in a worker thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import anyio.from_thread
import pytest

from cardanalysis._documents import Document
from cardanalysis._errors import ConfigurationError, DocumentError
from cardanalysis._uploads import Upload
from cardanalysis.abc import Loader
from cardanalysis.loading import DocumentLoader, Limits, load

pytestmark = pytest.mark.anyio


class _WatchedPath(type(Path())):
    """A path that calls back when it is opened."""

    def open(self, *args, **kwargs):
        self.on_open()
        return super().open(*args, **kwargs)


def _watched(folder: Path, on_open: Callable[[], object]) -> Upload:
    (folder / "a.md").write_bytes(b"# Title\n")
    path = _WatchedPath(folder / "a.md")
    path.on_open = on_open
    return Upload(name="a.md", media_type="text/markdown", size=8, path=path)


async def test_it_loads_as_load_does():
    """The loader gives the same document as the function."""
    upload = Upload.from_text("# Title\n\nText", "a.md")
    loader: Loader = DocumentLoader()

    document = await loader.load(upload)

    assert isinstance(document, Document)
    assert document == load(upload)


async def test_it_reads_off_the_event_loop(tmp_path):
    """Files are read in another thread than the event loop's."""
    threads: list[int] = []

    await DocumentLoader().load(_watched(tmp_path, lambda: threads.append(threading.get_ident())))

    assert threads
    assert threading.get_ident() not in threads


async def test_errors_reach_the_caller():
    """An upload that cannot be loaded raises its document error."""
    with pytest.raises(DocumentError, match="empty"):
        await DocumentLoader().load(Upload.from_bytes(b"", "a.md"))


async def test_limits_are_its_own():
    """Each loader has its limits."""
    with pytest.raises(DocumentError, match="at most 3"):
        await DocumentLoader(limits=Limits(text_bytes=3)).load(Upload.from_text("four", "a.txt"))


async def test_limits_must_be_limits():
    """Anything but limits is refused when the loader is made."""
    with pytest.raises(ConfigurationError, match="limits"):
        DocumentLoader(limits=3)


async def test_many_uploads_at_once():
    """One loader serves any number of tasks."""
    loaded: dict[str, Document] = {}

    async def load_one(name: str) -> None:
        loaded[name] = await DocumentLoader().load(Upload.from_text(f"# {name}", name))

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(load_one, f"{number}.md")

    assert {name: document.blocks[0].text for name, document in loaded.items()} == {name: name for name in loaded}
    assert len(loaded) == 20


async def test_cancelling_does_not_wait_for_the_disk(tmp_path):
    """A read that hangs does not keep its caller from being cancelled."""
    reading, go_on, read = anyio.Event(), threading.Event(), threading.Event()

    def hang() -> None:
        anyio.from_thread.run_sync(reading.set)
        go_on.wait(30)
        read.set()

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(DocumentLoader().load, _watched(tmp_path, hang))
            await reading.wait()
            tasks.cancel_scope.cancel()
    assert not read.is_set()
    go_on.set()
    assert await anyio.to_thread.run_sync(read.wait, 20)
