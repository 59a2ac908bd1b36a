"""Loading an upload, where it is read: here, or in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anyio import CapacityLimiter, get_cancelled_exc_class, to_thread
from anyio.lowlevel import RunVar
from attrs import field, frozen

from .._documents import Document
from .._uploads import Upload
from .._validators import flag, instance_of, one_of
from ._formats import Limits, Pages
from ._reading import Reading, check_size
from ._registry import FORMATS
from ._workers import Cancellation, workers


def load(upload: Upload, limits: Limits | None = None, *, pages: Pages = "auto", isolate: bool = True) -> Document:
    """Read and parse one upload. It reads a file and computes, so call it off the event loop.

    The format is told by the content, and where that does not tell, by the declared media type and the name's ending:
    an ending decides where the type is missing, ``application/octet-stream`` or ``text/plain``. Text is UTF-8 or
    UTF-16, else Windows-1252, and stays as it is in the file, line ends included; only a byte order mark is left out.

    Args:
        upload: What to load.
        limits: What it may hold, and what reading it may take; the default is that of `Limits`.
        pages: What becomes of the pages of a PDF file; see `DocumentLoader`.
        isolate: Whether formats whose parsers can be made to hang are read in a process of their own.

    Returns:
        The document; for every block, ``document.text[block.location.start : block.location.end] == block.text``.

    Raises:
        DocumentError: It cannot be loaded; its docstring has the codes.
    """
    return _load(Reading(upload, limits or Limits(), pages), isolate, Cancellation())


def _load(reading: Reading, isolate: bool, cancellation: Cancellation) -> Document:
    roomiest = max(FORMATS, key=lambda each: each.max_bytes(reading.limits))
    check_size(reading.upload.name, reading.upload.size, roomiest.max_bytes(reading.limits), roomiest.limit)
    if isolate and reading.is_archive():
        return workers.read(reading, cancellation)
    chosen, notes = reading.choose()
    if isolate and chosen.isolated:
        return workers.read(reading, cancellation)
    return reading.read_as(chosen, notes)


@frozen(kw_only=True)
class DocumentLoader:
    """The loader that is used unless another one is given: `load` in a worker thread.

    Attributes:
        limits: What uploads may hold, and what reading one may take.
        pages: Which pages of a PDF file the model looks at, as pages: with ``auto`` those whose text cannot be read,
            such as scans; with ``text`` none, which is cheaper: such pages are then left out, which is noted, and an
            upload counts as completed without them; with ``picture`` all, which is best for drawings.
        isolate: Whether formats whose parsers can be made to hang, or to take all memory, are read in a process of
            their own. Turn it off only where no process can be started; then `Limits.seconds` and
            `Limits.memory_bytes` do not hold.
    """

    limits: Limits = field(factory=Limits, validator=instance_of(Limits))
    pages: Pages = field(default="auto", validator=one_of("auto", "text", "picture"))
    isolate: bool = field(default=True, validator=flag)

    def describe(self) -> Mapping[str, Any]:
        """What the documents depend on."""
        return {"pages": self.pages}

    async def load(self, upload: Upload, /) -> Document:
        """Read and parse one upload in a worker thread.

        When it is cancelled, it does not wait for the thread: what is read in a process of its own ends at once, the
        rest on its own, and its result is dropped.

        Raises:
            DocumentError: It cannot be loaded; see `load`.
        """
        reading, cancellation = Reading(upload, self.limits, self.pages), Cancellation()
        try:
            return await to_thread.run_sync(
                _load, reading, self.isolate, cancellation, abandon_on_cancel=True, limiter=_limiter()
            )
        except get_cancelled_exc_class():
            cancellation.cancel()
            raise


_LIMITER: RunVar[CapacityLimiter] = RunVar("cardanalysis_loading")


def _limiter() -> CapacityLimiter:
    """Threads of our own: some wait long for a process, and the app's others must not wait with them."""
    limiter = _LIMITER.get(None)
    if limiter is None:
        limiter = CapacityLimiter(2 * workers.most)
        _LIMITER.set(limiter)
    return limiter
