"""Mail: headers, the fuller body, and attachments, whatever mail programs made of them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import SMTP

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis._documents import Document
from cardanalysis._errors import DocumentError
from cardanalysis.loading import _mail
from cardanalysis.loading._formats import Limits, Parsed, Source

Read = Callable[..., Document]


def mail(body: str = "Hello", *, subject: str = "Slots") -> EmailMessage:
    message = EmailMessage(policy=SMTP)
    message["From"] = "Ann Müller <ann@example.org>"
    message["To"] = "desk@example.org, bob@example.org"
    message["Subject"] = subject
    message["Date"] = "Mon, 01 Jan 2024 10:00:00 +0000"
    message["Message-ID"] = "<1@example.org>"
    message.set_content(body)
    return message


def attach(message: EmailMessage, data: bytes, name: str, media_type: str = "application/octet-stream") -> EmailMessage:
    maintype, subtype = media_type.split("/")
    message.add_attachment(data, maintype=maintype, subtype=subtype, filename=name)
    return message


def parse(message: EmailMessage | bytes, limits: Limits | None = None) -> Parsed:
    data = message if isinstance(message, bytes) else message.as_bytes()
    return _mail.FORMAT.parse(Source.of(data, "mail.eml", limits))


def texts(message: EmailMessage | bytes) -> list[str]:
    """The texts of all blocks behind subject and headers."""
    return [each.text for each in parse(message).blocks][2:]


def places(message: EmailMessage) -> list[str]:
    return [str(each.location) for each in parse(message).blocks]


# -- headers and bodies --------------------------------------------------------------------------------------------


def test_a_mail_is_read_in_its_order(read: Read) -> None:
    """The subject is a heading, the other headers a note; then comes the text, its quotes too."""
    document = read(mail("Hello,\n\nthe slot is full.\n\n> When?\n> Now?\n>\n> Ann\n").as_bytes(), "mail.eml")
    assert [(str(each.kind), each.text) for each in document.blocks] == [
        ("heading", "Slots"),
        (
            "note",
            """From: Ann Müller <ann@example.org>
To: desk@example.org, bob@example.org
Date: Mon, 01 Jan 2024 10:00:00 +0000""",
        ),
        ("paragraph", "Hello,"),
        ("paragraph", "the slot is full."),
        ("paragraph", "> When?\n> Now?"),
        ("paragraph", "> Ann"),
    ]
    assert [each.location.paragraph for each in document.blocks] == [1, 2, 3, 4, 5, 6]
    assert document.media_type == "message/rfc822"


def test_a_mail_is_known_by_its_content(read: Read) -> None:
    """A mail without an ending is a mail."""
    assert read(mail().as_bytes(), "mail").blocks[0].text == "Slots"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"=?utf-8?q?Gr=C3=B6=C3=9Fe?=", "Größe"),
        (b"=?iso-8859-1?Q?Gr=F6=DFe?= =?utf-8?B?IOKCrA==?=", "Größe €"),
        (b"=?unknown?q?Gr=C3=B6=C3=9Fe?=", "Größe"),
        (b"=?utf-8?b?!!!?= x", None),
        ("Größe".encode(), "Größe"),
        ("Größe".encode("cp1252"), "Größe"),
        (b"folded\r\n\tline", "folded line"),
        (b"=?utf-8?q?", "=?utf-8?q?"),
    ],
)
def test_a_header_is_decoded(header: bytes, expected: str | None) -> None:
    """Headers are read in every way in which programs write them, also in wrong ones."""
    blocks = parse(b"From: a@b\r\nSubject: " + header + b"\r\n\r\nx").blocks
    assert blocks[0].text == expected or expected is None


def test_a_mail_without_a_subject_is_read() -> None:
    """Its text is what matters."""
    assert [each.text for each in parse(b"From: a@b\n\nx").blocks] == ["From: a@b", "x"]


def test_the_plain_text_is_read_where_html_says_the_same() -> None:
    """Most mails hold their text twice."""
    message = mail("The slot is full.")
    message.add_alternative("<p>The slot is <b>full</b>.</p>", subtype="html")
    assert texts(message) == ["The slot is full."]
    assert parse(message).notes == ()


@pytest.mark.parametrize("plain", ["", "Your program cannot show this mail."])
def test_the_fuller_body_is_read(plain: str) -> None:
    """Plain text that only says that there is HTML is not the mail, which a note tells."""
    message = mail(plain)
    message.add_alternative(f"<h1>Rules</h1><ul><li>one</ul><p>{'more words ' * 50}</p>", subtype="html")
    parsed = parse(message)
    assert [str(each.kind) for each in parsed.blocks[2:]] == ["heading", "list_item", "paragraph"]
    assert parsed.notes == ("Its HTML was read, which says more than its plain text.",)


def test_a_mail_of_html_alone_is_read() -> None:
    """Its structure is kept, and its title, which is often a template's name, left out."""
    message = mail()
    message.set_content("<title>template-7</title><h2>Rules</h2><p>One</p>", subtype="html")
    assert texts(message) == ["Rules", "One"]


@pytest.mark.parametrize(
    ("charset", "data", "expected"),
    [
        ("utf-8", "Größe".encode(), "Größe"),
        ("iso-8859-1", "Größe – x".encode("cp1252"), "Größe – x"),  # noqa: RUF001
        ("us-ascii", "Größe".encode(), "Größe"),
        ("us-ascii", "Größe".encode("cp1252"), "Größe"),
        ("no-such", "Größe".encode(), "Größe"),
        ("rot13", b"abc", "abc"),
        ("utf-8", b"a\xffb", "a\ufffdb"),
        ("koi8-r", "заказ".encode("koi8-r"), "заказ"),
    ],
)
@pytest.mark.parametrize("encoding", ["8bit", "base64", "no-such"])
def test_a_body_is_decoded(charset: str, data: bytes, expected: str, encoding: str) -> None:
    """Whatever a mail declares, its text is read."""
    import base64

    head = f"From: a@b\nSubject: s\nContent-Type: text/plain; charset={charset}\nContent-Transfer-Encoding: {encoding}"
    body = base64.b64encode(data) if encoding == "base64" else data
    assert texts(head.encode() + b"\n\n" + body) == [expected]


def test_guesses_are_told() -> None:
    """Text that is not as declared is read with a note."""
    head = b"From: a@b\nSubject: s\nContent-Type: text/plain; charset={}\n\n"
    assert "Windows-1252" in parse(head.replace(b"{}", b"us-ascii") + b"Gr\xf6\xdfe").notes[0]
    assert "not known" in parse(head.replace(b"{}", b"no-such") + b"x").notes[0]
    assert "not valid UTF-8" in parse(head.replace(b"{}", b"utf-8") + b"a\xffb").notes[0]


def test_flowed_lines_are_joined() -> None:
    """Lines that a program broke are one again (RFC 3676), within one depth of quotes."""
    head = b"From: a@b\nSubject: s\nContent-Type: text/plain; format=flowed\n\n"
    assert texts(head + b"The slot \nis full. \n> When \n> now?\n-- \nAnn") == [
        "The slot is full.\n> When now?\n--\nAnn",
    ]


# -- attachments ---------------------------------------------------------------------------------------------------


def docx() -> bytes:
    import docx as library

    document = library.Document()
    document.add_heading("Brief")
    document.add_paragraph("The desk checks.")
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def test_attachments_are_read_in_their_formats(read: Read) -> None:
    """Each has its place in the mail's name, and a line before it that names it."""
    message = attach(attach(mail(), docx(), "brief.docx"), b"System,Load\nA,7\n", "load.csv", "text/csv")
    document = read(message.as_bytes(), "mail.eml")
    assert [(str(each.kind), each.text, str(each.location)) for each in document.blocks[3:]] == [
        ("heading", "Brief", "mail.eml/brief.docx, paragraph 1"),
        ("paragraph", "The desk checks.", "mail.eml/brief.docx, paragraph 2"),
        ("table_header", "System,Load", "mail.eml/load.csv, line 1"),
        ("table_row", "A,7", "mail.eml/load.csv, line 2"),
    ]
    assert "\n\n[Attachment brief.docx]\nBrief\n\n" in document.text
    assert "\n\n[Attachment load.csv]\nSystem,Load\n" in document.text


@pytest.mark.parametrize(
    ("data", "name", "code"),
    [
        (b"PK\x03\x04rest", "brief.docx", "malformed"),
        (b"\x7fELF" + bytes(100), "tool", "unknown_type"),
        (b"\x78\x9f\x3e\x22rest", "winmail.dat", "unknown_type"),
        (b"", "none.txt", "empty"),
        (b"a\0b", "x.txt", "unknown_type"),
    ],
)
def test_an_attachment_that_cannot_be_read_is_told(data: bytes, name: str, code: str) -> None:
    """The mail is read, and a note names the attachment, the code and what to do; no label is left behind."""
    parsed = parse(attach(attach(mail(), data, name), b"Text", "notes.txt", "text/plain"))
    (note,) = parsed.notes
    assert note.startswith(f"The attachment {name} was not read ({code}): ")
    assert note.count(". ") >= 1
    assert f"[Attachment {name}]" not in parsed.text
    assert parsed.blocks[-1].text == "Text"


def test_an_archive_is_told_with_what_to_do() -> None:
    """Archives in mails are not unpacked."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "x")
    assert "Upload.from_zip" in parse(attach(mail(), file.getvalue(), "pile.zip")).notes[0]


def test_small_pictures_are_told_by_their_number() -> None:
    """Logos and counters of readers need not be looked at one by one."""
    message = mail()
    for number in range(3):
        attach(message, b"\x89PNG\r\n\x1a\n", f"logo{number}.png", "image/png")
    assert parse(message).notes == ("Pictures of less than 3 kB, which were not read: 3.",)


def test_a_mail_in_a_mail_is_read() -> None:
    """Forwarded mails are read with their attachments, however they were attached."""
    inner = attach(mail("Inner", subject="Fwd"), b"# H", "x.md")
    outer = mail("Outer")
    outer.add_attachment(inner)
    attach(outer, inner.as_bytes(), "saved.eml")
    assert [place for place in places(outer) if place.endswith(("paragraph 1", "line 1"))] == [
        "mail.eml, paragraph 1",
        "mail.eml/attachment 1.eml, paragraph 1",
        "mail.eml/attachment 1.eml/x.md, line 1",
        "mail.eml/saved.eml, paragraph 1",
        "mail.eml/saved.eml/x.md (2), line 1",
    ]


def nested(levels: int) -> EmailMessage:
    message = mail("level 0")
    for level in range(1, levels + 1):
        outer = mail(f"level {level}")
        outer.add_attachment(message)
        message = outer
    return message


def test_mails_are_nested_five_deep() -> None:
    """Deeper ones are told."""
    assert parse(nested(5)).notes == ()
    assert "level 0" in texts(nested(5))
    assert "level 0" not in texts(nested(6))
    assert "(too_large)" in parse(nested(6)).notes[0]


def test_endless_nesting_is_refused() -> None:
    """Parts in parts without end are an error of the file, not of the program."""
    data = b"From: a@b\nSubject: s\n" + b"Content-Type: message/rfc822\n\n" * 20_000 + b"\nx"
    with pytest.raises(DocumentError, match="nested too deeply") as caught:
        parse(data)
    assert caught.value.code == "malformed"


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("../../etc/notes.md", "notes.md"),
        ("C:\\Users\\ann\\notes.md", "notes.md"),
        ("..", "attachment 1"),
        ("", "attachment 1"),
        ("Größe.md", "Größe.md"),
        ("a\u202edm.exe.md", "adm.exe.md"),
        ("x" * 500 + ".md", "x" * 197 + ".md"),
    ],
)
def test_a_name_is_only_a_name(written: str, shown: str) -> None:
    """What an attachment is called has no folder, nothing that hides its ending, and an end."""
    message = attach(mail(), b"Text of it", written, "text/markdown")
    assert places(message)[-1] == f"mail.eml/{shown}, line 1"


def test_the_number_of_attachments_is_bound() -> None:
    """Beyond the limit they are told."""
    message = mail()
    for number in range(4):
        attach(message, b"x", f"{number}.txt", "text/plain")
    parsed = parse(message, Limits(members=2))
    assert [each.location.name for each in parsed.blocks[3:]] == ["mail.eml/0.txt", "mail.eml/1.txt"]
    assert parsed.notes == ("It has more than 2 attachments; the others were not read.",)


def test_notes_are_bound() -> None:
    """A thousand bad attachments make no thousand notes."""
    message = mail()
    for number in range(1000):
        attach(message, b"\x7fELF", f"{number}")
    notes = parse(message).notes
    assert len(notes) == 101
    assert notes[-1] == "There are 900 more notes of this kind."


def test_an_attachments_own_limits_hold() -> None:
    """An attachment is no larger than an upload of its format may be."""
    message = attach(mail(), b"a,b\n" + b"1,2\n" * 20, "t.csv", "text/csv")
    assert "(too_large)" in parse(message, Limits(rows=10)).notes[0]
    assert "(too_large)" in parse(message, Limits(table_bytes=10)).notes[0]


# -- broken mails --------------------------------------------------------------------------------------------------


def test_what_is_no_mail_is_refused() -> None:
    """Text without headers is called what it is."""
    with pytest.raises(DocumentError, match="no headers") as caught:
        parse(b"\nJust text")
    assert caught.value.code == "malformed"


@pytest.mark.parametrize(
    "kind", ["multipart/encrypted; boundary=x", "application/pkcs7-mime; smime-type=enveloped-data"]
)
def test_an_encrypted_mail_is_refused(kind: str) -> None:
    """There is nothing to read in it."""
    with pytest.raises(DocumentError) as caught:
        parse(f"From: a@b\nContent-Type: {kind}\n\n--x\n\nabc\n--x--\n".encode())
    assert caught.value.code == "encrypted"


def test_a_signature_is_no_attachment() -> None:
    """A signed mail is read as if it were not signed."""
    message = attach(mail("Signed"), b"abc", "smime.p7s", "application/pkcs7-signature")
    assert texts(message) == ["Signed"]
    assert parse(message).notes == ()


def test_a_cut_mail_is_read_and_told() -> None:
    """What is there is read; that something is missing is told."""
    data = attach(mail("Hello"), b"# Notes\n\n" + b"word " * 1000, "notes.md").as_bytes()
    parsed = parse(data[: len(data) // 2])
    assert parsed.blocks[2].text == "Hello"
    assert "It ends in the middle; what follows is missing." in parsed.notes


def test_a_report_on_delivery_is_read() -> None:
    """The fields that say why a mail did not arrive are text."""
    data = (
        b"From: a@b\nSubject: s\nContent-Type: multipart/report; boundary=x\n\n--x\n\nIt failed.\n"
        b"--x\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\nStatus: 5.1.1\n\n--x--\n"
    )
    assert texts(data) == ["It failed.", "Reporting-MTA: dns; mx", "Status: 5.1.1"]


def test_html_that_cannot_be_read_is_told() -> None:
    """Its mail is read all the same."""
    message = mail("Plain")
    message.add_alternative("<div>" * 100_000, subtype="html")
    message["X-Other"] = "x"
    assert texts(message) == ["Plain"]


HEADERS = st.dictionaries(
    st.sampled_from(["From", "Subject", "Content-Type", "Content-Transfer-Encoding", "Content-Disposition", "Date"]),
    st.sampled_from(
        ["multipart/mixed; boundary=b", "multipart/alternative; boundary=b", "text/html; charset=x", "message/rfc822"]
    )
    | st.sampled_from(
        ["base64", "quoted-printable", "attachment; filename*=x'y", "attachment; filename=a.md", "=?x?q?="]
    )
    | st.text(st.characters(exclude_characters="\r\n"), max_size=20),
    min_size=1,
)
BODIES = st.lists(
    st.sampled_from(["--b\n", "--b--\n", "\n", "Content-Type: text/html\n\n", "<p>x", "abc=\n", "=E9", "YQ=="])
)


@settings(max_examples=300, deadline=None)
@given(HEADERS, BODIES)
def test_any_mail_is_read_or_refused(headers: dict[str, str], body: list[str]) -> None:
    """Whatever a mail is made of, its blocks are slices of its text in order, or there is a DocumentError."""
    head = "".join(f"{name}: {value}\n" for name, value in headers.items())
    try:
        parsed = parse((head + "\n" + "".join(body)).encode(errors="replace"))
    except DocumentError:
        return
    end = 0
    for block in parsed.blocks:
        assert block.location.start >= end
        end = block.location.end
        assert parsed.text[block.location.start : end] == block.text
