"""Plain text: paragraphs, lists, and the headings that can be told from prose with confidence."""

from __future__ import annotations

import re

from .._documents import BlockKind
from ._decoding import decode
from ._formats import Format, Parsed, Source
from ._lines import Line, LineParser, OpenBlock, is_rule

_ITEM = re.compile(r"([-*•◦▪‣●○\u2013]|\d{1,3}\.|\(?(?:\d{1,3}|[a-z]|[ivx]{2,5})\))[ \t\xa0]+(?=\S)")
# What may begin a list in the middle of a paragraph. A wrapped line may well begin with "12. " or a dash.
_FIRST_MARKS = frozenset("-*•◦▪‣●○1ai")

_RULES = "=-~_*#"
_UNDERLINES = {"=": 1, "-": 2, "~": 3}
_LONGEST_HEADING = 80
# No leading zeros: "12.03. Meeting" is a date.
_NUMBERED = re.compile(r"([1-9]\d?(?:\.(?:0|[1-9]\d?)){1,5})\.?[ \t]+([^\W\d_])")
_SENTENCE_ENDS = (".", ",", ";", "!", "?")


def _parse(source: Source) -> Parsed:
    decoded = decode(source)
    return Parsed(text=decoded.text, blocks=_PlainParser(source, decoded.text).parse(), notes=decoded.notes)


class _PlainParser(LineParser):
    def read(self, line: Line) -> None:
        if line.blank:
            self.close()
        elif is_rule(line.body, _RULES):
            self._rule(line)
        elif not self._item(line):
            self._text(line)

    def close(self) -> None:
        """End the open block; a paragraph of one line may turn out to be a heading."""
        block = self.open
        if block is not None and block.kind is BlockKind.PARAGRAPH and block.first is block.last:
            level = _heading_level(block.last.body)
            if level:
                block.kind, block.level = BlockKind.HEADING, level
        super().close()

    def _rule(self, line: Line) -> None:
        """Take a rule: it underlines a heading, or divides."""
        block = self.open
        level = _UNDERLINES.get(line.body[0], 0)
        if block is not None and level and _can_be_underlined(block):
            block.kind, block.level = BlockKind.HEADING, level
            block.start = block.first.first  # with the number, where it had been taken for that of an item
        self.close()
        self.end_list()

    def _item(self, line: Line) -> bool:
        found = _ITEM.match(line.text, line.indent)
        if found is None:
            return False
        in_paragraph = self.open is not None and self.open.kind is BlockKind.PARAGRAPH
        if in_paragraph and found[1].strip("(.)") not in _FIRST_MARKS:
            return False
        self.begin(BlockKind.LIST_ITEM, line, level=self.level_of_item(line), start=line.start + found.end())
        return True

    def _text(self, line: Line) -> None:
        if self.open is None:
            self.begin_paragraph(line)
        else:
            self.extend(self.open, line)


def _can_be_underlined(block: OpenBlock) -> bool:
    body = block.first.body
    if block.first is not block.last or len(body) > _LONGEST_HEADING:
        return False
    return block.kind is BlockKind.PARAGRAPH or body[0].isdigit()


def _heading_level(body: str) -> int:
    """The level of a heading by the look of a line that stands alone, or 0."""
    if len(body) > _LONGEST_HEADING or body.endswith(_SENTENCE_ENDS):
        return 0
    numbered = _NUMBERED.match(body)
    if numbered and not numbered[2].islower():
        return numbered[1].count(".") + 1
    letters = sum(map(str.isalpha, body))
    return 1 if body.isupper() and letters > 2 and letters * 2 > len(body) else 0


FORMAT = Format(
    title="plain text",
    media_types=("text/plain",),
    endings=(".txt", ".text"),
    limit="text_bytes",
    parse=_parse,
)
