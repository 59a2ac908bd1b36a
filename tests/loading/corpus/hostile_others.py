"""Text, tables, web pages, mail and archives that are meant to harm."""

from __future__ import annotations

import gzip
from email.message import EmailMessage
from email.policy import SMTP

from .archives import member, zipped
from .hostile import UNREADABLE, read, refused
from .hostile_office import word

SENTENCE = "The system shall keep all orders."


# -- Text


@read("overrides.txt", "\u202efdp.eciovni\u202c")
def overrides() -> bytes:
    """A text that reads otherwise than it is: it is kept as it is, so that quotes are exact."""
    return f"Open the file \u202efdp.eciovni\u202c now. {SENTENCE}".encode()


@read("long_line.txt", SENTENCE)
def long_line() -> bytes:
    return (SENTENCE + " ").encode() * 200_000


@read("blank_lines.txt", SENTENCE)
def blank_lines() -> bytes:
    return SENTENCE.encode() + b"\n" * 1_000_000 + SENTENCE.encode()


@refused("blank.txt", "empty")
def blank() -> bytes:
    return b" \r\n\t" * 1000


@refused("mark_only.txt", "empty")
def mark_only() -> bytes:
    return b"\xef\xbb\xbf"


@refused("program.txt", *UNREADABLE)
def program() -> bytes:
    return b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 40


@read("nested.md", "deep", "malformed", "too_large")
def nested_markdown() -> bytes:
    return b">" * 50_000 + b" deep\n\n" + b"[" * 50_000 + b"\n\n" + b"- " * 20_000 + b"x\n"


@refused("huge.txt", "too_large")
def huge_text() -> bytes:
    return b"a " * 6_000_000


# -- Tables


@read("nul.csv", "Berlin", "malformed", "unknown_type")
def nul_table() -> bytes:
    return b"id,city\n1,Ber\0lin\n2,Berlin\n"


@read("huge_cell.csv", SENTENCE)
def huge_cell() -> bytes:
    return b"id,text\n1,%s\n2,%s\n" % (b"abc " * 5_000_000, SENTENCE.encode())


@refused("unclosed.csv", "malformed")
def unclosed_quote() -> bytes:
    return b'id,text\n1,"' + b"abc,\n" * 200_000


@refused("rows.csv", "too_large")
def many_rows() -> bytes:
    return b"id,x\n" + b"1,2\n" * 501_000


@refused("columns.csv", "too_large")
def many_cells() -> bytes:
    return b"," * 6_000_000 + b"x\n" + b"1,2\n"


@read("formulas.csv", "=HYPERLINK")
def formulas() -> bytes:
    return b'id,text\n1,"=HYPERLINK(""http://example.com"")"\n2,b\n'


# -- Web pages


@read("deep.html", SENTENCE, "malformed", "too_large")
def deep_page() -> bytes:
    depth = 100_000
    return b"<!doctype html><body>" + b"<div>" * depth + SENTENCE.encode() + b"</div>" * depth


@read("deep_lists.html", SENTENCE, "malformed", "too_large")
def deep_lists() -> bytes:
    depth = 20_000
    return b"<!doctype html><body>" + b"<ul><li>" * depth + SENTENCE.encode()


@read("huge_table.html", SENTENCE, "too_large", "memory")
def huge_table() -> bytes:
    row = f"<tr><td>{SENTENCE}</td><td>1</td><td>2</td></tr>".encode()
    return b"<!doctype html><table>" + row * (9_000_000 // len(row)) + b"</table>"


@read("spans.html", SENTENCE, "too_large")
def spans() -> bytes:
    """Cells that say to be as wide and high as can be."""
    cell = f'<td colspan="1000000000" rowspan="65534">{SENTENCE}</td>'
    return f"<!doctype html><table>{f'<tr>{cell}{cell}</tr>' * 200}</table>".encode()


@refused("script_only.html", "empty")
def script_only() -> bytes:
    return b"<!doctype html><title></title><script>document.write('x')</script><style>p{}</style>"


@read("html_as.txt", SENTENCE, noted=True)
def page_as_text() -> bytes:
    return f"<!DOCTYPE html><html><body><p>{SENTENCE}</p></body></html>".encode()


@read("entities.html", SENTENCE)
def page_entities() -> bytes:
    """A document type with entities, as in XML: HTML has none, so nothing is expanded."""
    return b'<!doctype html [<!ENTITY e "haha">]><html><body><p>&e;&e;</p><p>%s</p></body></html>' % SENTENCE.encode()


# -- Mail


def _mail() -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"], mail["Subject"] = "a@example.com", "b@example.com", "Orders"
    mail["Message-ID"] = "<1@example.com>"
    return mail


@read("parts_10k.eml", SENTENCE, "too_large")
def many_parts() -> bytes:
    head = b"Message-ID: <1@example.com>\r\nFrom: a@example.com\r\nMIME-Version: 1.0\r\nSubject: Orders\r\n"
    head += b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n'
    part = f"--b\r\nContent-Type: text/plain\r\n\r\n{SENTENCE}\r\n".encode()
    return head + part * 10_000 + b"--b--\r\n"


@read("nested_100.eml", "Orders", "too_large", "malformed")
def nested_mail() -> bytes:
    mail = _mail()
    mail.set_content(SENTENCE)
    text = mail.as_bytes()
    head = b"Message-ID: <1@example.com>\r\nFrom: a@example.com\r\nMIME-Version: 1.0\r\nSubject: Orders\r\n"
    for _ in range(100):
        text = head + b"Content-Type: message/rfc822\r\n\r\n" + text
    return text


@read("nested_parts.eml", "Orders", "too_large", "malformed")
def nested_parts() -> bytes:
    """5,000 parts in each other: the standard library's parser recurses."""
    head = b"Message-ID: <1@example.com>\r\nFrom: a@example.com\r\nMIME-Version: 1.0\r\nSubject: Orders\r\n"
    parts = [b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(5_000)]
    return head + b"".join(parts) + b"Content-Type: text/plain\r\n\r\n" + SENTENCE.encode()


@read("bad_headers.eml", SENTENCE)
def bad_headers() -> bytes:
    head = b"Message-ID: <1@example.com>\r\nReceived: x\r\nFrom: =?utf-8?q?=ff=fe?= <\xff\xfe>\r\nDate: never\r\n"
    head += b"Subject: =?no-such-charset?b?!!!?=\r\nContent-Type: text/plain; charset=no-such\r\n\r\n"
    return head + SENTENCE.encode()


@read("bomb_attached.eml", SENTENCE, noted=True)
def bomb_attached() -> bytes:
    mail = _mail()
    mail.set_content(SENTENCE)
    bomb = member("word/document.xml", (b"a" * (1 << 20), 300))
    mail.add_attachment(word(document=bomb), maintype="application", subtype="octet-stream", filename="bomb.docx")
    mail.set_boundary("part")
    return mail.as_bytes()


# -- Archives


@refused("packed.tar.gz", "unknown_type")
def packed() -> bytes:
    return gzip.compress(SENTENCE.encode(), mtime=0)


@refused("documents.zip", "unknown_type")
def plain_archive() -> bytes:
    """An archive is no document: each of its members is one."""
    return zipped({"a.txt": SENTENCE.encode(), "b.md": b"# B"})


@refused("empty.zip", "empty")
def empty_archive() -> bytes:
    return zipped({})
