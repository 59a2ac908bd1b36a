"""Mail: its headers, the fuller of its bodies, and its attachments, each read as the format that it has.

An attachment's blocks are placed in it: ``mail.eml/brief.docx, paragraph 3``. What cannot be read of a mail is told in
a note, as the mail may well make sense without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from email import message_from_binary_file, policy
from email.errors import CloseBoundaryNotFoundDefect, InvalidBase64CharactersDefect, InvalidBase64LengthDefect
from io import BytesIO
from typing import Any, cast

from attrs import evolve

from .._documents import Block, BlockKind
from .._errors import DocumentError
from .._uploads import Upload
from ._formats import Format, Parsed, Source
from ._html import write_html
from ._mail_parts import Part, body_text, content_of_part, header, name_of
from ._writing import BlockWriter

__all__ = ["FORMAT"]

_MOST_NESTED = 5
_MOST_NOTES = 100
_SMALL_PICTURE_BYTES = 3_000
"""Smaller pictures in mails are logos, lines and counters of readers."""

_SIGNATURES = frozenset({"application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature"})
_TNEF = b"\x78\x9f\x3e\x22"
_DAMAGED = (InvalidBase64CharactersDefect, InvalidBase64LengthDefect)


def _parse(source: Source) -> Parsed:
    with source.open() as file:
        try:
            mail = message_from_binary_file(file, policy=policy.compat32)
            reader = _MailReader(source)
            reader.read(mail, source.name, depth=0)
        except RecursionError:
            raise source.malformed("its parts are nested too deeply") from None
    return reader.parsed()


class _MailReader:
    """Reads a mail and the mails in it."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._sections: list[Parsed] = []
        self._notes: dict[str, None] = {}  # in their order, each once
        self._attachments = 0
        self._titles: Counter[str] = Counter()
        self._small_pictures = 0
        self._untold = 0

    def read(self, mail: Part, name: str, *, depth: int) -> None:
        """Read a mail, and then what is attached to it."""
        if not mail.keys():
            raise self._source.malformed("it has no headers, as mails do")
        if depth == 0 and _is_encrypted(mail):
            remedy = "Open it in the mail program that has the key, and save what it shows."
            raise DocumentError(self._source.name, "its content is encrypted", remedy, code="encrypted")
        for container in filter(Part.is_multipart, mail.walk()):
            for note in _trouble(container):
                self._note(note)
        writer = BlockWriter(evolve(self._source, name=name))
        _write_headers(writer, mail)
        self._sections.append(writer.parsed())
        attached: list[Part] = []
        for bodies in _bodies(mail, attached):
            self._read_body(bodies, name)
        for part in attached:
            self._attachments += 1
            if self._attachments > self._source.limits.members:
                self._note(f"It has more than {self._source.limits.members:,} attachments; the others were not read.")
                return
            self._read_attachment(part, name, depth)

    def parsed(self) -> Parsed:
        """All that was read."""
        if self._small_pictures:
            self._note(f"Pictures of less than 3 kB, which were not read: {self._small_pictures:,}.")
        if self._untold:
            self._notes[f"There are {self._untold:,} more notes of this kind."] = None
        return _joined(self._sections, tuple(self._notes))

    def _note(self, note: str) -> None:
        if len(self._notes) < _MOST_NOTES:
            self._notes[note] = None
        elif note not in self._notes:
            self._untold += 1

    # -- Bodies

    def _read_body(self, bodies: list[Part], name: str) -> None:
        """Read one of several bodies that say the same: plain text, unless another says much more."""
        read = [(part, self._body(part, name, only=len(bodies) == 1)) for part in bodies]
        if not read:
            return
        chosen, body = read[0]
        for part, other in read[1:]:
            words, most = len(body.text.split()), len(other.text.split())
            if most > words * 1.5 + 20 or not words:
                self._note(f"Its {_title(part)} was read, which says more than its {_title(chosen)}.")
                chosen, body = part, other
        for note in (*_trouble(chosen), *body.notes):
            self._note(note)
        self._sections.append(evolve(body, notes=()))

    def _body(self, part: Part, name: str, *, only: bool) -> Parsed:
        """Read a body; HTML that cannot be read matters less where it is not the only one."""
        source = evolve(self._source, name=name)
        writer, decoded = BlockWriter(source), body_text(part)
        if len(decoded.text) > source.limits.text_bytes:
            raise source.too_large(f"its text has more than {source.limits.text_bytes:,} characters", "text_bytes")
        if part.get_content_type() == "text/html":
            try:
                return writer.parsed(decoded.notes + write_html(writer, decoded.text, title=False))
            except (DocumentError, ModuleNotFoundError) as error:
                if only:
                    raise
                self._note(_unread_html(error))
                return Parsed(text="", blocks=[])
        for number, paragraph in enumerate(_paragraphs(decoded.text), start=1):
            writer.add(BlockKind.PARAGRAPH, paragraph, paragraph=number)
        return writer.parsed(decoded.notes)

    # -- Attachments

    def _read_attachment(self, part: Part, mail: str, depth: int) -> None:
        title = self._title_of(part)
        name = f"{mail}/{title}"
        label = BlockWriter(self._source)
        label.label(f"[Attachment {title}]")
        self._sections.append(label.parsed())
        before = len(self._sections)
        try:
            self._read_content(part, name, depth)
        except DocumentError as error:
            del self._sections[before - 1 :]
            self._note(f"The attachment {title} was not read ({error.code}): {error.problem}. {error.remedy}")
        if len(self._sections) == before:
            del self._sections[before - 1 :]

    def _title_of(self, part: Part) -> str:
        """What an attachment is called; of those with one name, the second is told apart by its number."""
        title = name_of(part, self._attachments)
        self._titles[title] += 1
        return title if self._titles[title] == 1 else f"{title} ({self._titles[title]})"

    def _read_content(self, part: Part, name: str, depth: int) -> None:
        # The registry holds this format too, so at the top they would import each other.
        from ._reading import Reading

        if part.get_content_type() == "message/rfc822" and part.is_multipart():
            self._read_mail(cast("list[Part]", part.get_payload())[0], name, depth)
            return
        data, media_type = content_of_part(part), part.get_content_type()
        if media_type.startswith("image/") and len(data) < _SMALL_PICTURE_BYTES:
            self._small_pictures += 1
            return
        self._refuse_tnef(data, name)
        reading = Reading(Upload.from_bytes(data, name, media_type), self._source.limits, self._source.pages)
        chosen, notes = reading.choose()
        if chosen is FORMAT:
            self._read_mail(message_from_binary_file(BytesIO(data), policy=policy.compat32), name, depth)
            return
        document = reading.read_as(chosen, notes)
        title = name.rpartition("/")[2]
        for note in (*_trouble(part), *document.notes):
            self._note(f"{title}: {note}")
        self._sections.append(Parsed(text=document.text, blocks=list(document.blocks)))

    def _read_mail(self, mail: Part, name: str, depth: int) -> None:
        if depth >= _MOST_NESTED:
            problem = f"mails are nested more than {_MOST_NESTED} deep"
            raise DocumentError(name, problem, "Hand in the inner ones by themselves.", code="too_large")
        self.read(mail, name, depth=depth + 1)

    def _refuse_tnef(self, data: bytes, name: str) -> None:
        if data.startswith(_TNEF):
            remedy = "Ask the sender for a mail in HTML or plain text, or open it in Outlook and save what it holds."
            raise DocumentError(name, "it is Outlook's own format (winmail.dat)", remedy, code="unknown_type")


def _write_headers(writer: BlockWriter, mail: Part) -> None:
    writer.add(BlockKind.HEADING, header(mail, "Subject"), level=1, paragraph=1)
    told = ((name, header(mail, name)) for name in ("From", "To", "Cc", "Date"))
    lines = "\n".join(f"{name}: {value}" for name, value in told if value)
    writer.add(BlockKind.NOTE, lines, paragraph=len(writer.blocks) + 1)


def _bodies(part: Part, attached: list[Part]) -> Iterator[list[Part]]:
    """Give the bodies of a mail in their order, each as a list of those that say the same; note what is attached."""
    kind = part.get_content_type()
    if _is_attached(part, kind):
        if kind not in _SIGNATURES:
            attached.append(part)
    elif not part.is_multipart() or kind == "message/delivery-status":
        yield [part]
    elif kind == "multipart/alternative":
        inner = [body for each in _parts(part) for bodies in _bodies(each, attached) for body in bodies]
        yield sorted(inner, key=lambda each: each.get_content_type() != "text/plain")
    else:
        for each in _parts(part):
            yield from _bodies(each, attached)


def _parts(part: Part) -> list[Part]:
    return cast("list[Part]", part.get_payload())


def _is_attached(part: Part, kind: str) -> bool:
    if kind == "message/rfc822":
        return True
    if part.is_multipart():
        return not kind.startswith(("multipart/", "message/"))
    if kind.startswith("multipart/"):  # it declares no boundary, and its content is what it was sent as: text
        return False
    if part.get_content_disposition() == "attachment" or kind not in ("text/plain", "text/html"):
        return kind not in ("message/delivery-status", "text/rfc822-headers")
    return bool(part.get_filename()) and part.get_content_disposition() is not None


def _is_encrypted(mail: Part) -> bool:
    kind = mail.get_content_type()
    smime = kind in ("application/pkcs7-mime", "application/x-pkcs7-mime")
    return kind == "multipart/encrypted" or (smime and mail.get_param("smime-type", "") != "signed-data")


def _trouble(part: Part) -> Iterator[str]:
    """What a person should know about how a part was sent."""
    defects = cast("list[Any]", part.defects)
    if any(isinstance(each, CloseBoundaryNotFoundDefect) for each in defects):
        yield "It ends in the middle; what follows is missing."
    if any(isinstance(each, _DAMAGED) for each in defects):
        yield "Some of it was damaged when it was sent (base64)."


def _unread_html(error: DocumentError | ModuleNotFoundError) -> str:
    if isinstance(error, DocumentError):
        return f"Its HTML was not read ({error.code}): {error.problem}. {error.remedy}"
    return 'Its HTML was not read (missing_extra). Install what reads it with pip install "cardanalysis[documents]".'


def _title(part: Part) -> str:
    return "HTML" if part.get_content_type() == "text/html" else "plain text"


def _paragraphs(text: str) -> Iterator[str]:
    """Pieces of text between blank lines; within a quote, a line of nothing but its marks is blank."""
    lines: list[str] = []
    for line in text.split("\n"):
        if line.strip(" \t>"):
            lines.append(line.rstrip())
        elif lines:
            yield "\n".join(lines)
            lines = []
    if lines:
        yield "\n".join(lines)


def _joined(sections: list[Parsed], notes: tuple[str, ...]) -> Parsed:
    """Put texts one behind the other, and their blocks where they then stand.

    The paragraphs of a mail are counted through all of its own sections.
    """
    pieces: list[str] = []
    blocks: list[Block] = []
    counts: dict[str, int] = {}
    length = 0
    labelled = False
    for section in sections:
        if not section.text:
            continue
        gap = _gap(pieces[-1], labelled) if pieces else ""
        labelled = not section.blocks
        pieces += gap, section.text
        length += len(gap)
        blocks += _moved(section.blocks, length, counts)
        length += len(section.text)
    return Parsed(text="".join(pieces), blocks=blocks, notes=notes)


def _gap(before: str, labelled: bool) -> str:
    """What divides a section from the one before it; what has a label stands in the line below that."""
    if labelled:
        return ""
    return "\n" if before.endswith("\n") else "\n\n"


def _moved(blocks: list[Block], by: int, counts: dict[str, int]) -> list[Block]:
    moved: list[Block] = []
    before = dict(counts)
    for block in blocks:
        place = block.location
        number = place.paragraph
        if number is not None:
            number += before.get(place.name, 0)
            counts[place.name] = max(counts.get(place.name, 0), number)
        place = evolve(place, start=place.start + by, end=place.end + by, paragraph=number)
        moved.append(evolve(block, location=place))
    return moved


FORMAT = Format(
    title="mail",
    media_types=("message/rfc822",),
    endings=(".eml",),
    limit="document_bytes",
    parse=_parse,
    isolated=True,
)
