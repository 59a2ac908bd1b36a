"""Markdown: the blocks of CommonMark that carry text, and GitHub's tables, by a scanner that keeps exact offsets.

It goes line by line and leaves inline markup as it is. It is not a renderer: what stands in a list item or a quote is
text of that item or quote, and indentation alone makes no code.
"""

from __future__ import annotations

import re

from .._documents import BlockKind
from ._decoding import decode
from ._formats import Format, Parsed, Source
from ._lines import Line, LineParser, OpenBlock, columns_of, is_rule, lines

_HEADING = re.compile(r"(#{1,6})(?:[ \t]+|$)")
_ITEM = re.compile(r"([-+*•]|\d{1,9}[.)])(?:[ \t]+|$)")
_FIRST_MARKS = frozenset(("-", "+", "*", "•", "1.", "1)"))
_FENCE = re.compile(r"`{3,}(?=[^`]*$)|~{3,}")
_QUOTE = re.compile(r"[ \t]*+(?:>[ \t]?+)++")
_COMMENT = re.compile(r"\s*<!--")
_PIPE = re.compile(r"(?<!\\)\|")
_DELIMITER_CELL = re.compile(r":?-+:?")
_METADATA = re.compile(r"(?:#|[A-Za-z_][\w .-]*:(?:\s|$))")


def _parse(source: Source) -> Parsed:
    decoded = decode(source)
    return Parsed(text=decoded.text, blocks=_MarkdownParser(source, decoded.text).parse(), notes=decoded.notes)


class _MarkdownParser(LineParser):
    def __init__(self, source: Source, text: str) -> None:
        super().__init__(source, text)
        self._front_matter_end = _front_matter_end(text)
        self._fence = ""  # what opened the code block that the next line stands in
        self._in_comment = False
        self._in_quote = False
        self._columns: tuple[str, ...] | None = None  # of the table that the next line may continue

    def read(self, line: Line) -> None:
        if line.number <= self._front_matter_end:
            self._read_front_matter(line)
        elif self._fence:
            self._read_code(line)
        elif self._in_comment:
            self._read_comment(line, 0)
        elif line.blank:
            self.close()
        else:
            self._read_line(line)

    def close(self) -> None:
        """End the open block, and the table or quote that the last line stood in."""
        self._in_quote = False
        self._columns = None
        super().close()

    def _read_line(self, line: Line) -> None:
        body = line.body
        taken = (
            self._take_fence(body)
            or self._take_comment(line, body)
            or self._take_heading(line, body)
            or self._take_delimiter_row(body)
            or self._take_underline(body)
            or self._take_rule(body)
            or self._take_quote(line)
            or self._take_item(line, body)
            or self._take_row(line, body)
        )
        if not taken:
            self._take_text(line)

    def _put(self, kind: BlockKind, line: Line) -> None:
        """Add a line to the open block of a kind of which nothing else can be open."""
        if not line.blank:
            if self.open is None:
                self.begin(kind, line, start=line.start if kind is BlockKind.CODE else None)
            else:
                self.extend(self.open, line)

    # Blocks that are not Markdown inside: their lines are taken until their end.

    def _read_front_matter(self, line: Line) -> None:
        if line.number == self._front_matter_end:
            self.close()
        elif line.number > 1:
            self._put(BlockKind.NOTE, line)

    def _read_code(self, line: Line) -> None:
        body = line.body
        if len(body) >= len(self._fence) and not body.strip(self._fence[0]):
            self._fence = ""
            self.close()
        else:
            self._put(BlockKind.CODE, line)

    def _read_comment(self, line: Line, at: int) -> None:
        """Take what stands in comments from a place on, and what follows them as a line of its own."""
        text = line.text
        while True:
            end = text.find("-->", at)
            self._put(BlockKind.NOTE, line.cut(at, None if end < 0 else end))
            self._in_comment = end < 0
            if self._in_comment:
                return
            self.close()
            another = _COMMENT.match(text, end + 3)
            if another is None:
                break
            at = another.end()
        rest = line.cut(end + 3)
        if not rest.blank:
            self._read_line(rest)

    # One line at a time: each of these takes the line, or leaves it to the next.

    def _take_fence(self, body: str) -> bool:
        found = _FENCE.match(body)
        if found:
            self.close()
            self._fence = found[0]
        return bool(found)

    def _take_comment(self, line: Line, body: str) -> bool:
        found = body.startswith("<!--")
        if found:
            self.close()
            self._read_comment(line, line.indent + 4)
        return found

    def _take_heading(self, line: Line, body: str) -> bool:
        found = _HEADING.match(body)
        # Deeper than that it is most often a comment in indented code.
        if found is None or line.column > 3:
            return False
        self.close()
        self.end_list()
        start = line.first + found.end()
        end = start + len(_without_closing_marks(body[found.end() :]))
        self.add(BlockKind.HEADING, start, end, line, line, level=len(found[1]))
        return True

    def _take_delimiter_row(self, body: str) -> bool:
        """Take ``|---|---|``, which makes the line before it the header of a table."""
        block = self.open
        if block is None or "|" not in body or not _can_be_header(block) or self._in_quote:
            return False
        marks, header = _cells(body), _cells(block.last.body)
        if len(marks) != len(header) or not all(map(_DELIMITER_CELL.fullmatch, marks)):
            return False
        self._begin_table(block, header)
        return True

    def _begin_table(self, block: OpenBlock, header: tuple[str, ...]) -> None:
        row = block.last
        if block.before is None:
            self.open = None
        else:
            block.last = block.before
        self.close()
        named = any(header)
        if named:
            self.add(BlockKind.TABLE_HEADER, row.first, row.last, row, row, cells=header)
        self._columns = header if named else ()

    def _take_underline(self, body: str) -> bool:
        """Take ``===`` or ``---``, which makes the paragraph before it a heading."""
        block = self.open
        if block is None or block.kind is not BlockKind.PARAGRAPH or self._in_quote or body.strip(body[0]):
            return False
        if body[0] not in "=-":
            return False
        block.kind, block.level = BlockKind.HEADING, 1 if body[0] == "=" else 2
        self.close()
        self.end_list()
        return True

    def _take_rule(self, body: str) -> bool:
        found = is_rule(body, "-*_")
        if found:
            self.close()
        return found

    def _take_quote(self, line: Line) -> bool:
        found = _QUOTE.match(line.text)
        if found is None:
            return False
        inner = line.cut(found.end())
        if inner.blank:
            self.close()
        elif self.open is not None and self._in_quote:
            self.extend(self.open, inner)
        else:
            self.begin(BlockKind.PARAGRAPH, inner)
            self._in_quote = True
        return True

    def _take_item(self, line: Line, body: str) -> bool:
        found = _ITEM.match(body)
        if found is None:
            return False
        inner = line.cut(line.indent + found.end())
        in_paragraph = self.open is not None and self.open.kind is BlockKind.PARAGRAPH
        if in_paragraph and (found[1] not in _FIRST_MARKS or inner.blank):
            return False
        self.close()
        level = self.level_of_item(line)
        if not inner.blank and not self._take_fence(inner.body):
            self.begin(BlockKind.LIST_ITEM, inner, level=level)
        return True

    def _take_row(self, line: Line, body: str) -> bool:
        if self._columns is None or "|" not in body:
            return False
        cells = _cells(body)
        if any(cells):
            columns = columns_of(cells, self._columns)
            self.add(BlockKind.TABLE_ROW, line.first, line.last, line, line, cells=cells, columns=columns)
        return True

    def _take_text(self, line: Line) -> None:
        if self.open is None:
            self.begin_paragraph(line)
        else:
            self.extend(self.open, line)


def _front_matter_end(text: str) -> int:
    """The number of the line that closes the front matter, or 0 if there is none."""
    for line in lines(text):
        body = line.text.rstrip()
        if line.number == 1:
            if body != "---":
                return 0
        elif line.number == 2 and not _METADATA.match(line.text):
            return 0
        elif body in ("---", "..."):
            return line.number
    return 0


def _without_closing_marks(title: str) -> str:
    bare = title.rstrip("#")
    return bare.rstrip() if not bare or bare[-1] in " \t" else title


def _can_be_header(block: OpenBlock) -> bool:
    """Whether the block's last line may be the header of a table: not if that is the first of a list item."""
    return "|" in block.last.text and (block.kind is BlockKind.PARAGRAPH or block.before is not None)


def _cells(row: str) -> tuple[str, ...]:
    """The cells of a row, without the pipes at its ends; a pipe behind a backslash is text."""
    row = row.removeprefix("|")
    if row.endswith("|") and not row.endswith("\\|"):
        row = row[:-1]
    return tuple(cell.strip().replace("\\|", "|") for cell in _PIPE.split(row))


FORMAT = Format(
    title="Markdown",
    media_types=("text/markdown", "text/x-markdown"),
    endings=(".md", ".markdown"),
    limit="text_bytes",
    parse=_parse,
)
