"""Uploads as items of a run: in which order, under which ids, and which of them are copies."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext, suppress
from inspect import isasyncgen
from typing import cast

from anyio import to_thread
from attrs import evolve

from ._arguments import check_upload
from ._errors import DocumentError, ItemNotFound
from ._jobs import Entry
from ._models import NewItem
from ._status import ItemStatus
from ._uploads import Upload
from .abc import Store

__all__ = ["entries_of", "to_retry"]

_INLINE = 65_536
"""Bytes up to which a digest is quicker than a hop to a worker thread."""
_BATCH_UPLOADS = 64
_BATCH_BYTES = 67_108_864

_Seen = dict[str, dict[str | None, tuple[int, str]]]
"""For each content and each media type it came with: how often, and the id of its item."""


async def entries_of(uploads: Iterable[Upload] | AsyncIterable[Upload]) -> AsyncGenerator[list[Entry[Upload]], None]:
    """The uploads as items of the run: a list in batches with the largest first, an iterator one by one."""
    seen: _Seen = {}
    async with aclosing(_batches(uploads)) as batches:
        async for batch in batches:
            yield [await _entry(position, upload, seen) for position, upload in batch]


async def to_retry(
    store: Store, run_id: str, batches: AsyncGenerator[list[Entry[Upload]], None]
) -> AsyncGenerator[list[Entry[Upload]], None]:
    """Of the entries those of the run that have no whole result, in their old places."""
    async with aclosing(batches):
        async for batch in batches:
            chosen: list[Entry[Upload]] = []
            for entry in batch:
                with suppress(ItemNotFound):
                    item = await store.get_item(run_id, entry.new.id)
                    if item.status not in (ItemStatus.COMPLETED, ItemStatus.SKIPPED):
                        chosen.append(evolve(entry, new=evolve(entry.new, position=item.position)))
            if chosen:
                yield chosen


def _kind(upload: Upload) -> str:
    """What the item is: an upload, and of which type where its name does not tell that."""
    told = Upload.from_bytes(b"", upload.name).media_type
    if upload.media_type == told or (upload.media_type == "text/plain" and told is None):
        return "upload"
    return f"upload as {upload.media_type}"


async def _entry(position: int, upload: Upload, seen: _Seen) -> Entry[Upload]:
    upload_id = await _id_of(upload)
    copies = seen.setdefault(upload_id, {})
    # The same content as another type is another document, such as a table that was given as text before.
    known = copies.get(upload.media_type)
    number = sum(count for count, _ in copies.values()) + 1
    item_id = upload_id if number == 1 else f"{upload_id}~{number}"
    copies[upload.media_type] = (1, item_id) if known is None else (known[0] + 1, known[1])
    new = NewItem(id=item_id, name=upload.name, position=position, size=upload.size, kind=_kind(upload))
    skip = None if known is None else {"reason": "duplicate", "same_as": known[1]}
    return Entry(new=new, payload=upload, skip=skip)


async def _batches(uploads: Iterable[Upload] | AsyncIterable[Upload]) -> AsyncGenerator[list[tuple[int, Upload]], None]:
    if isinstance(uploads, AsyncIterable):
        position = 0
        async with _closing(uploads):
            async for upload in uploads:
                check_upload(upload)
                yield [(position, upload)]
                position += 1
    elif isinstance(uploads, Sequence):
        for batch in _largest_first(uploads):
            yield batch
    else:
        for position, upload in enumerate(uploads):
            check_upload(upload)
            yield [(position, upload)]


def _closing(uploads: AsyncIterable[Upload]) -> AbstractAsyncContextManager[object]:
    """Closes a generator that is left before its end; nobody else can."""
    return aclosing(cast("AsyncGenerator[Upload, None]", uploads)) if isasyncgen(uploads) else nullcontext()


def _largest_first(uploads: Sequence[Upload]) -> Iterable[list[tuple[int, Upload]]]:
    """Batches small enough that finding out their ids does not keep the first upload waiting."""
    batch: list[tuple[int, Upload]] = []
    size = 0
    for place in sorted(enumerate(uploads), key=lambda place: -place[1].size):
        if batch and (len(batch) == _BATCH_UPLOADS or size + place[1].size > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(place)
        size += place[1].size
    if batch:
        yield batch


async def _id_of(upload: Upload) -> str:
    try:
        if upload.data is not None and upload.size <= _INLINE:
            return upload.id
        return await to_thread.run_sync(lambda: upload.id)
    except DocumentError:
        # It needs an item all the same, to say why it failed; loading meets the same error again.
        return hashlib.sha256(f"unreadable\0{upload.path}\0{upload.name}".encode()).hexdigest()[:32]
