"""All sound documents, as teams have them, made by the writers that others use; the same bytes come out each time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .facts import Good
from .office_files import languages_deck, slides, word_brief, word_changes, workbook
from .page_files import chinese_pdf, columns, image, report
from .text_files import (
    html_mail,
    markdown,
    old_web_page,
    plain_mail,
    plain_text,
    semicolons,
    tabs,
    utf16_text,
    web_page,
    windows_text,
)

GOOD: Mapping[str, Callable[[], Good]] = {
    "plain_text": plain_text,
    "windows_text": windows_text,
    "utf16_text": utf16_text,
    "markdown": markdown,
    "semicolons": semicolons,
    "tabs": tabs,
    "web_page": web_page,
    "old_web_page": old_web_page,
    "plain_mail": plain_mail,
    "html_mail": html_mail,
    "word_brief": word_brief,
    "word_changes": word_changes,
    "slides": slides,
    "languages_deck": languages_deck,
    "workbook": workbook,
    "report": report,
    "columns": columns,
    "chinese_pdf": chinese_pdf,
    **{kind: image(kind) for kind in ("png", "jpeg", "webp", "gif")},
}
"""What makes each document."""
