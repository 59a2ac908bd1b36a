"""What goes in: uploads as the caller hands them in, and what is known about them beyond their content.

All models are frozen, slotted and keyword-only. A wrong value raises a `ConfigurationError` that names the field. Sizes
are bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import mimetypes
import os
import stat
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

from attrs import field, frozen, validators

from ._context import UploadContext
from ._errors import DocumentError, InvalidValue
from ._folders import files_in, members_of, open_member
from ._validators import count, instance_of, is_text, some_text, writable

__all__ = ["Upload"]


_PIECE = 1 << 18
"""Bytes that are read at a time."""


@frozen(kw_only=True)
class Upload:
    """A document as the caller hands it in.

    Make one with `from_text`, `from_bytes` or `from_path`, or many with `from_folder` or `from_zip`. There is no
    ``from_url``: which addresses may be asked, with whose credentials, which redirects may be followed, and what a site
    allows robots, is for an application to decide; a library that fetches what it is told can be made to ask a private
    network (server-side request forgery). Fetch it, and pass it with its media type to `from_bytes`.

    Attributes:
        name: What people call it; shown in progress, errors and evidence.
        media_type: The declared or guessed media type, such as ``text/csv``; None if the name tells nothing.
        size: Bytes; of a member of an archive, as the archive declares.
        context: What is known about it beyond its text.
        data: The bytes, or None for an upload that is read from `path` when its turn comes.
        path: The file, or None.
        modified_ns: When the file was last modified, as it was seen when the upload was made; None without a file.
        member: The name of the member that this is, if `data` or `path` is a zip archive; else None.
        root: The folder that no link may lead out of; None for any file.
    """

    name: str = field(converter=writable, validator=some_text)
    media_type: str | None = field(default=None, validator=validators.optional(is_text))
    size: int = field(validator=count)
    context: UploadContext | None = field(default=None, validator=validators.optional(instance_of(UploadContext)))
    data: bytes | None = field(default=None, validator=validators.optional(instance_of(bytes)), repr=False)
    path: Path | None = field(default=None, validator=validators.optional(instance_of(Path)), repr=False)
    modified_ns: int | None = field(default=None, repr=False)
    member: str | None = field(default=None, validator=validators.optional(is_text), repr=False)
    root: Path | None = field(default=None, validator=validators.optional(instance_of(Path)), repr=False)

    @classmethod
    def from_text(
        cls, text: str, name: str, *, media_type: str | None = None, context: UploadContext | None = None
    ) -> Upload:
        """Make an upload from text.

        Args:
            text: The document.
            name: What to call it; its ending (``.md``, ``.csv``) tells the format, plain text without one.
            media_type: The format, where the name does not tell it.
            context: What is known beyond the text.

        Raises:
            DocumentError: The text holds half of a surrogate pair, so it cannot be encoded.
            ConfigurationError: It is no text.
        """
        _check_content(text, str, "text", "Upload.from_bytes takes bytes")
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise DocumentError(
                name,
                f"character {error.start} is half of a surrogate pair and no text",
                "Decode the source with errors='replace', or pass its bytes to Upload.from_bytes.",
                code="undecodable",
            ) from None
        media_type = media_type or _media_type_of(name) or "text/plain"
        return cls(name=name, media_type=media_type, size=len(data), context=context, data=data)

    @classmethod
    def from_bytes(
        cls, data: bytes, name: str, media_type: str | None = None, *, context: UploadContext | None = None
    ) -> Upload:
        """Make an upload from bytes.

        Args:
            data: The document's content.
            name: What to call it; its ending tells the format where `media_type` is None.
            media_type: Such as ``text/markdown``.
            context: What is known beyond the content.

        Raises:
            ConfigurationError: It is neither bytes nor a buffer of bytes.
        """
        # bytes(5) would be five zeros.
        _check_content(data, (bytes, bytearray, memoryview), "bytes", "Upload.from_text takes text")
        data = bytes(data)
        return cls(name=name, media_type=media_type or _media_type_of(name), size=len(data), context=context, data=data)

    @classmethod
    def from_path(cls, path: str | os.PathLike[str], *, context: UploadContext | None = None) -> Upload:
        """Make an upload from a file. Only its size is looked up now; it is read when its turn comes.

        Args:
            path: The file.
            context: What is known beyond the content.

        Raises:
            DocumentError: There is no such file, it is a folder, or its folder cannot be looked into.
        """
        path = Path(path)
        found = _regular(path)
        return cls(
            name=_name_of(path),
            media_type=_media_type_of(path.name),
            size=found.st_size,
            context=context,
            path=path,
            modified_ns=found.st_mtime_ns,
        )

    @classmethod
    def from_folder(
        cls,
        folder: str | os.PathLike[str],
        glob: str = "**/*",
        *,
        ignore: Iterable[str] = (),
        context: UploadContext | None = None,
    ) -> list[Upload]:
        """Make an upload from each file of a folder and of the folders in it.

        It looks through them at once, so call it off the event loop if the folder is large or on a network. The files
        are read when their turn comes: one that cannot be read, or is a link that leads out of the folder, is in the
        list, and loading it says why. Hidden files and folders are left out, and what Office and the system leave
        behind (``~$*``, ``Thumbs.db``, ``desktop.ini``, ``__MACOSX``), links to folders, pipes and devices.

        Args:
            folder: The folder.
            glob: Which files: ``**/*.docx`` for those of any folder in it, ``*.docx`` for its own. Capitals do not
                count, on any system.
            ignore: Patterns of files and folders to leave out: by their name (``drafts``, ``*.tmp``), or with a slash
                by their path (``2019/*.pdf``).
            context: What is known about all of them beyond their content.

        Returns:
            The uploads in the order of their paths, by which they are named, such as ``sub/brief.docx``; none if no
            file is asked for.

        Raises:
            DocumentError: There is no such folder, or it cannot be looked into.
        """
        found = files_in(Path(folder), glob, ignore)
        root = Path(folder).resolve()
        return [cls._from_listed(name, path, context, root) for name, path in found]

    @classmethod
    def _from_listed(cls, name: str, path: Path, context: UploadContext | None, root: Path) -> Upload:
        name = os.fsencode(name).decode(errors="replace")
        try:
            found = _regular(path)
        except DocumentError:  # reading it will tell; its size is not known, and none would count as empty
            return cls(name=name, media_type=_media_type_of(name), size=1, context=context, path=path, root=root)
        return cls(
            name=name,
            media_type=_media_type_of(name),
            size=found.st_size,
            context=context,
            path=path,
            modified_ns=found.st_mtime_ns,
            root=root,
        )

    @classmethod
    def from_zip(
        cls,
        archive: str | os.PathLike[str] | bytes,
        name: str | None = None,
        *,
        glob: str = "**/*",
        ignore: Iterable[str] = (),
        context: UploadContext | None = None,
        members: int = 10_000,
        archive_bytes: int = 500_000_000,
        expanded_bytes: int = 1_000_000_000,
    ) -> list[Upload]:
        """Make an upload from each file in a zip archive.

        It reads the list of members and unpacks nothing, so that a hostile archive costs nothing here; still call it
        off the event loop if the file is on a network. A member is unpacked when its turn comes: one that is damaged,
        protected with a password, a link, packed more tightly than documents are, or named so that it would leave the
        archive is in the list, and loading it says so. What is left out of folders is left out here too.

        Args:
            archive: The archive's path or content.
            name: What to call it; the file's name, or ``archive.zip`` for content.
            glob: Which members; see `from_folder`.
            ignore: Which to leave out; see `from_folder`.
            context: What is known about all of them beyond their content.
            members: How many it may have.
            archive_bytes: How large it may be.
            expanded_bytes: What the members that are asked for may come to when they are unpacked, as they declare.

        Returns:
            The uploads in the order of their paths, by which they are named, such as ``pile.zip/sub/brief.docx``; none
            if no member is asked for.

        Raises:
            DocumentError: There is no such file, or it is no zip archive, or it is larger than allowed; the code is
                ``not_found``, ``empty``, ``malformed`` or ``too_large``.
        """
        path = None if isinstance(archive, bytes) else Path(archive)
        whole = cls.from_bytes(archive, name or "archive.zip") if isinstance(archive, bytes) else cls.from_path(archive)
        name = name or whole.name
        with whole.open() as file:
            listed = members_of(
                file,
                name,
                glob,
                ignore,
                members=members,
                archive_bytes=archive_bytes,
                expanded_bytes=expanded_bytes,
                in_memory=path is None,
            )
        if any(each.key == "[Content_Types].xml" for each in listed):
            remedy = "Pass it to Upload.from_path or Upload.from_bytes."
            raise DocumentError(name, "it is an Office file and no archive of documents", remedy, code="malformed")
        return [
            cls(
                name=f"{name}/{each.name}",
                media_type=_media_type_of(each.name),
                size=each.size,
                context=context,
                data=each.data,
                path=path,
                modified_ns=whole.modified_ns,
                member=each.key,
            )
            for each in listed
        ]

    def read(self) -> bytes:
        """Return the content. For an upload that is not in memory this reads a file, so call it off the event loop.

        Raises:
            DocumentError: The file is gone, cannot be read, or was changed since this upload was made; or the member of
                the archive is damaged, protected with a password, or none that may be read.
        """
        with self.open() as file:
            return file.read()

    @cached_property
    def id(self) -> str:
        """32 hexadecimal digits made from the content, and from the context if there is one.

        The same content has the same id whatever its name or place. The first use reads a file, so call it off the
        event loop for uploads that are not in memory.

        Raises:
            DocumentError: See `read`.
        """
        with self.open() as file:
            digest = hashlib.sha256()
            while piece := file.read(_PIECE):
                digest.update(piece)
        if self.context is not None:
            digest.update(b"\0context\0" + json.dumps(self.context.to_dict(), sort_keys=True).encode())
        return digest.hexdigest()[:32]

    @contextmanager
    def open(self) -> Generator[BinaryIO, None, None]:
        """The content as a file, so that a large one need not be in memory to be known by its digest.

        Raises:
            DocumentError: See `read`.
        """
        with self._open_whole() as file:
            if self.member is None:
                yield file
                return
            place = None if self.path is None else (self.path, self.modified_ns or 0)
            with open_member(file, self.member, self.name, self.size, place) as content:
                yield content

    @contextmanager
    def _open_whole(self) -> Generator[BinaryIO, None, None]:
        """What `data` or `path` holds: the content, or the archive that it is in."""
        if self.data is not None:
            yield io.BytesIO(self.data)
            return
        if self.path is None:
            raise DocumentError(self.name, "it has neither data nor a path", "Use Upload.from_*.", code="not_found")
        try:
            self._check_inside(self.path)
            if self.modified_ns is not None:
                _regular(self.path)  # a pipe in its place would be waited for without end
            with self.path.open("rb") as file:
                self._check_unchanged(os.fstat(file.fileno()))
                yield file
        except OSError as error:
            raise _unreadable(self.name, self.path, error) from error

    def _check_inside(self, path: Path) -> None:
        # Looked at each time: a link may be put there after the folder was listed.
        if self.root is not None and not path.resolve().is_relative_to(self.root):
            remedy = "Hand in the file itself, if it is meant."
            raise DocumentError(self.name, "it is a link that leads out of its folder", remedy, code="unsafe")

    def _check_unchanged(self, now: os.stat_result) -> None:
        """Of an archive the time tells; what it says of the member is compared when that is read."""
        size = now.st_size if self.member is not None else self.size
        if self.modified_ns is not None and (now.st_mtime_ns, now.st_size) != (self.modified_ns, size):
            remedy = "Make the upload again when nobody writes to the file."
            raise DocumentError(self.name, "the file was changed meanwhile", remedy, code="changed")


def _regular(path: Path) -> os.stat_result:
    """Look at a file that must be a regular one."""
    try:
        found = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise _unreadable(_name_of(path), path, error) from error
    if not stat.S_ISREG(found.st_mode):
        problem = "it is a folder" if stat.S_ISDIR(found.st_mode) else "it is no regular file"
        raise DocumentError(_name_of(path), problem, "Give the path of a file.", code="not_found")
    return found


def _check_content(value: object, kind: type | tuple[type, ...], what: str, otherwise: str) -> None:
    if not isinstance(value, kind):
        raise InvalidValue(f"An upload's content must be {what} here, not {type(value).__name__}. {otherwise}.")


def _name_of(path: Path) -> str:
    """A file's name as text that can be encoded, whatever bytes it has on disk."""
    return os.fsencode(path.name or path).decode(errors="replace")


def _unreadable(name: str, path: Path, error: OSError | ValueError) -> DocumentError:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        problem, remedy = "there is no such file", f"Check the path {str(path)!r}."
    else:
        reason = error.strerror if isinstance(error, OSError) else error
        problem, remedy = f"it cannot be read ({reason})", "Check the file and its rights."
    return DocumentError(name, problem, remedy, code="not_found")


_OFFICE = "application/vnd.openxmlformats-officedocument"
_MACROS = "application/vnd.ms-{}.macroEnabled.12"
_MEDIA_TYPES = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".txt": "text/plain",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".tab": "text/tab-separated-values",
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "application/xhtml+xml",
    ".eml": "message/rfc822",
    ".pdf": "application/pdf",
    ".docx": f"{_OFFICE}.wordprocessingml.document",
    ".docm": _MACROS.format("word.document"),
    ".pptx": f"{_OFFICE}.presentationml.presentation",
    ".pptm": _MACROS.format("powerpoint.presentation"),
    ".xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    ".xlsm": _MACROS.format("excel.sheet"),
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".zip": "application/zip",
}
"""Those that are read, and archives: platforms disagree on many, and some know none."""


def _media_type_of(name: object) -> str | None:
    """Guess a media type from a name. A compressed file is not of the type of what it holds."""
    if not isinstance(name, str):
        return None  # the field's validator says so
    fixed = _MEDIA_TYPES.get(Path(name).suffix.lower())
    if fixed is not None:
        return fixed
    guessed, compression = mimetypes.guess_type(name)
    return None if compression else guessed
