"""Sound text, tables as text, web pages and mail."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP

from .facts import GERMAN, ITEMS, LANGUAGES, STATEMENTS, TABLE, Fact, Good, facts_of


def plain_text() -> Good:
    lines = [*STATEMENTS, *LANGUAGES]
    return Good(name="notes.txt", data="\n\n".join(lines).encode(), facts=tuple(facts_of(lines)))


def windows_text() -> Good:
    lines = [GERMAN, "Der Preis beträgt 5 € – „netto“.", *STATEMENTS]  # noqa: RUF001
    return Good(name="notes-1252.txt", data="\r\n\r\n".join(lines).encode("cp1252"), facts=tuple(facts_of(lines)))


def utf16_text() -> Good:
    lines = [*LANGUAGES, *STATEMENTS]
    return Good(name="notes-16.txt", data="\r\n\r\n".join(lines).encode("utf-16"), facts=tuple(facts_of(lines)))


def markdown() -> Good:
    rows = [f"| {' | '.join(row)} |" for row in (TABLE[0], ("---",) * 3, *TABLE[1:])]
    parts = ["# Order portal", STATEMENTS[0], "## Goals", "\n".join(f"- {item}" for item in ITEMS), "\n".join(rows)]
    facts = [
        Fact("Order portal", block={"kind": "heading", "level": 1}),
        Fact(STATEMENTS[0], block={"kind": "paragraph"}),
        Fact("Goals", block={"kind": "heading", "level": 2}),
        *(Fact(item, block={"kind": "list_item"}) for item in ITEMS),
        *(Fact(row[1]) for row in TABLE),
        *facts_of(LANGUAGES),
    ]
    return Good(name="brief.md", data="\n\n".join([*parts, *LANGUAGES]).encode(), facts=tuple(facts))


def semicolons() -> Good:
    rows = [("Kunde", "Ort", "Bemerkung"), ("Müller & Söhne", "Zürich", GERMAN), ("Doe; John", "Oslo", STATEMENTS[1])]
    lines = [";".join(f'"{cell}"' for cell in row) for row in rows]
    facts = [Fact(cell, block={"cells": row}) for row in rows for cell in row]
    return Good(name="kunden.csv", data="\r\n".join(lines).encode("cp1252"), facts=tuple(facts))


def tabs() -> Good:
    rows = [("Id", "Text"), *((str(number), text) for number, text in enumerate(LANGUAGES, 1))]
    facts = [Fact(row[1], block={"cells": row}) for row in rows]
    return Good(name="texts.tsv", data="\n".join("\t".join(row) for row in rows).encode(), facts=tuple(facts))


# -- Web pages and mail


def web_page() -> Good:
    items = "".join(f"<li>{item}</li>" for item in ITEMS)
    rows = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in TABLE[1:])
    head = "".join(f"<th>{cell}</th>" for cell in TABLE[0])
    page = f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Order portal</title>
<style>p {{ color: red }} /* secretstyle */</style><script>var secretscript = "<p>no</p>";</script></head>
<body><h1>Order <em>portal</em></h1><p>{STATEMENTS[0]}</p>
<h2>Goals</h2><ul>{items}</ul>
<p>The price is 5&nbsp;&euro; &lt;net&gt; &amp; M&uuml;ller<br>pays it.</p>
<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>
{"".join(f"<p>{each}</p>" for each in LANGUAGES)}<!-- secretcomment --></body></html>"""
    facts = [
        Fact("Order portal", block={"kind": "heading", "level": 1}),
        Fact(STATEMENTS[0], block={"kind": "paragraph"}),
        Fact("Goals", block={"kind": "heading", "level": 2}),
        *(Fact(item, block={"kind": "list_item"}) for item in ITEMS),
        Fact("5 € <net> & Müller"),
        *(Fact(row[1], block={"cells": row}) for row in TABLE),
        *facts_of(LANGUAGES),
    ]
    absent = ("secretstyle", "secretscript", "secretcomment")
    return Good(name="page.html", data=page.encode(), facts=tuple(facts), absent=absent)


def old_web_page() -> Good:
    """No document type, unclosed elements, a table for layout, and an encoding of its own."""
    page = f"""<html><head><meta http-equiv=content-type content="text/html; charset=windows-1252"><title>x</title>
<body bgcolor=white><center><table width=90%><tr><td><font size=5>Übersicht</font><p>{GERMAN}
<p>{STATEMENTS[1]}<ol><li>{ITEMS[0]}<li>{ITEMS[1]}</ol></table></center>"""
    texts = ["Übersicht", GERMAN, STATEMENTS[1], ITEMS[0], ITEMS[1]]
    return Good(name="alt.htm", data=page.encode("cp1252"), facts=tuple(facts_of(texts)))


def _mail(subject: str) -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = "Jürgen Müller <j.mueller@example.com>"
    mail["To"] = "Team <team@example.com>"
    mail["Date"] = "Mon, 01 Jul 2024 10:00:00 +0200"
    mail["Message-ID"] = "<1@example.com>"
    mail["Subject"] = subject
    return mail


def plain_mail() -> Good:
    mail = _mail("Größe der Aufträge")
    texts = [*STATEMENTS[:3], *LANGUAGES]
    mail.set_content("\n\n".join(texts))
    facts = [Fact("Größe der Aufträge"), Fact("Jürgen Müller"), *facts_of(texts)]
    return Good(name="plain.eml", data=mail.as_bytes(), facts=tuple(facts))


def html_mail() -> Good:
    """Text and HTML that say the same, and an attachment."""
    mail = _mail("Re: Order portal")
    mail.set_content("\n\n".join(STATEMENTS[:3]))
    mail.add_alternative("".join(f"<p>{each}</p>" for each in STATEMENTS[:3]), subtype="html")
    mail.add_attachment("Attached words stand here.", filename="more.txt")
    for number, part in enumerate(mail.walk()):
        if part.is_multipart():
            part.set_boundary(f"part-{number}")
    facts = [Fact("Re: Order portal"), *facts_of(STATEMENTS[:3])]
    return Good(name="html.eml", data=mail.as_bytes(), facts=tuple(facts))


def mail_of(texts: Sequence[str]) -> bytes:
    """A mail of these paragraphs."""
    mail = _mail("Order portal")
    mail.set_content("\n\n".join(texts))
    return mail.as_bytes()
