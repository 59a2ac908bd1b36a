"""Loading an upload: find its format, check its size, read it, parse it."""

from __future__ import annotations

from anyio import to_thread
from attrs import field, frozen, validators

from .._documents import Document
from .._errors import DocumentError
from .._uploads import Upload
from ._formats import Limits, Source
from ._registry import choose


def load(upload: Upload, limits: Limits | None = None) -> Document:
    """Read and parse one upload. It reads a file and computes, so call it off the event loop.

    The format is told by the declared media type and the name's ending; an ending decides where the type is missing,
    ``application/octet-stream`` or ``text/plain``. Text is UTF-8 or UTF-16, else Windows-1252, and stays as it is in
    the file, line ends included; only a byte order mark is left out.

    Args:
        upload: What to load.
        limits: How large it may be; the default is that of `Limits`.

    Returns:
        The document; for every block, ``document.text[block.location.start : block.location.end] == block.text``.

    Raises:
        DocumentError: It cannot be loaded. The code is ``unknown_type``, ``too_large``, ``not_found``, ``empty``,
            ``undecodable``, ``malformed`` or ``changed``.
    """
    chosen, notes = choose(upload)
    most = chosen.max_bytes(limits or Limits())
    _check_size(upload.name, upload.size, most)
    data = upload.read()
    _check_size(upload.name, len(data), most)
    parsed = chosen.parse(Source.of(data, upload.name, limits))
    if not parsed.blocks:
        raise _empty(upload.name)
    return Document(
        upload_id=upload.id,
        name=upload.name,
        media_type=chosen.media_types[0],
        text=parsed.text,
        blocks=tuple(parsed.blocks),
        notes=notes + parsed.notes,
    )


@frozen(kw_only=True)
class DocumentLoader:
    """The loader that is used unless another one is given: `load` in a worker thread.

    Attributes:
        limits: How large uploads may be.
    """

    limits: Limits = field(factory=Limits, validator=validators.instance_of(Limits))

    async def load(self, upload: Upload, /) -> Document:
        """Read and parse one upload in a worker thread.

        When it is cancelled, it does not wait for the thread: that ends on its own, and its result is dropped.

        Raises:
            DocumentError: It cannot be loaded; see `load`.
        """
        return await to_thread.run_sync(load, upload, self.limits, abandon_on_cancel=True)


def _check_size(name: str, size: int, most: int) -> None:
    if size == 0:
        raise _empty(name)
    if size > most:
        raise DocumentError(
            name,
            f"it has {size:,} bytes and at most {most:,} are allowed",
            "Split it into parts, or raise the limit.",
            code="too_large",
        )


def _empty(name: str) -> DocumentError:
    return DocumentError(name, "it is empty", "Check that it was saved, or leave it out.", code="empty")
