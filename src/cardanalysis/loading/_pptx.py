"""PowerPoint presentations: titles, text, tables, charts, diagrams, speaker notes and comments, slide by slide.

One slide at a time is in memory, read with the standard library only; pictures and recordings are not unpacked, but for
pictures on slides that hold nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from xml.etree.ElementTree import Element
from zipfile import ZipFile

from attrs import define, frozen

from .._documents import BlockKind, Media
from .._errors import DocumentError
from ._drawing import TRUE, alt_text, body_text, local, paragraph_text, read_chart, read_diagram, reference
from ._formats import Format, Parsed, Source
from ._images import fit
from ._package import BROKEN, Relationship, check_package, main_part, read_part, relationships, tree
from ._pptx_parts import read_authors, read_comments, read_notes, read_table
from ._pptx_shapes import (
    ASIDES,
    TITLES,
    Box,
    Template,
    box_of,
    has_bullet,
    in_order,
    placeholder_of,
    properties_of,
    shapes_in,
)
from ._writing import BlockWriter

_MAIN = "ppt/presentation.xml"
_USUAL_SIZE = (9_144_000, 6_858_000)  # of a slide, in EMU
_PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".webp")
_PICTURE_BYTES = 5_000_000
_MEDIA_SHARE = 5
"""All pictures to be looked at take at most this part of the memory, since they are handed on as a whole."""


def _parse(source: Source) -> Parsed:
    check_package(source, main=_MAIN)
    try:
        with source.open() as file, ZipFile(file) as archive:
            return _Deck(source, archive).read()
    except (*BROKEN, KeyError) as error:
        raise source.malformed("a part of it is missing, damaged or no XML") from error
    except RecursionError:
        raise source.malformed("shapes of it are nested too deep") from None


@define
class _Told:
    """What is told of a presentation in notes: how many of each were not read."""

    pictures: int = 0
    embedded: int = 0
    recordings: int = 0
    other: int = 0

    def notes(self) -> Iterator[str]:
        if self.pictures:
            yield f"Pictures without a description that were not read: {self.pictures}."
        if self.embedded:
            yield f"Embedded files that were not read: {self.embedded}."
        if self.recordings:
            yield f"Recordings that were not read: {self.recordings}."
        if self.other:
            yield f"Drawings of other kinds that were not read: {self.other}."


@frozen
class _Slide:
    """One slide.

    Attributes:
        number: Counted from 1.
        part: Where it is.
        root: Its XML.
        related: What it refers to.
    """

    number: int
    part: str
    root: Element
    related: Sequence[Relationship]

    @property
    def hidden(self) -> bool:
        """Whether it is left out when the presentation is shown."""
        return self.root.get("show", "1") not in TRUE

    def target(self, id_: str) -> str:
        """The part that an id refers to; empty if there is none."""
        found = (each.target for each in self.related if each.id == id_ and not each.external)
        return next(found, "") if id_ else ""

    def of_kind(self, kind: str) -> str:
        """The first part of a kind that it refers to; empty if there is none."""
        return next((each.target for each in self.related if each.kind == kind), "")


class _Deck:
    def __init__(self, source: Source, archive: ZipFile) -> None:
        self._source = source
        self._archive = archive
        self._writer = BlockWriter(source)
        self._told = _Told()
        part = main_part(archive, _MAIN) or _MAIN
        self._root = tree(archive, part)
        self._related = relationships(archive, part)
        self._authors = read_authors(archive, self._related)
        self._templates: dict[str, Template] = {}
        self._asides: set[str] = set()
        self._media_left = source.limits.memory_bytes // _MEDIA_SHARE
        size = self._root.find("{*}sldSz")
        self._size = _USUAL_SIZE if size is None else (int(size.get("cx", "0")), int(size.get("cy", "0")))

    def read(self) -> Parsed:
        ids = [reference(each, "id") for each in self._root.iterfind("{*}sldIdLst/{*}sldId")]
        if len(ids) > self._source.limits.pages:
            raise self._source.too_large(f"it has more than {self._source.limits.pages:,} slides", "pages")
        parts = {each.id: each.target for each in self._related}
        for number, id_ in enumerate(ids, 1):
            part = parts[id_]
            self._read_slide(_Slide(number, part, tree(self._archive, part), relationships(self._archive, part)))
        notes = list(self._told.notes())
        if any(each.kind == "vbaProject" for each in self._related):
            notes.append("Its macros were not read.")
        return self._writer.parsed(notes)

    def _read_slide(self, slide: _Slide) -> None:
        self._writer.label(f"[Slide {slide.number}{', hidden' if slide.hidden else ''}]")
        template = self._template(slide.of_kind("slideLayout"))
        writer = _SlideWriter(self._writer, self._archive, slide, template, self._told, self._asides)
        writer.write(slide.root.find("{*}cSld/{*}spTree"), self._size[1])
        self._write_pictures(slide, writer)
        notes = read_notes(self._archive, slide.related)
        if notes:
            self._writer.label("[Speaker notes]")
            self._writer.add(BlockKind.NOTE, notes, slide=slide.number, hidden=slide.hidden)
        for comment in read_comments(self._archive, slide.related, self._authors):
            self._writer.label(f"[Comment by {comment.author}]" if comment.author else "[Comment]")
            self._writer.add(BlockKind.NOTE, comment.text, slide=slide.number, hidden=slide.hidden)

    def _template(self, layout: str) -> Template:
        """The template of a layout, which many slides share."""
        found = self._templates.get(layout)
        if found is None:
            names = self._archive.NameToInfo
            related = relationships(self._archive, layout)
            master = next((each.target for each in related if each.kind == "slideMaster"), "")
            roots = (tree(self._archive, part) if part in names else None for part in (layout, master))
            found = self._templates[layout] = Template(*roots)
        return found

    def _write_pictures(self, slide: _Slide, writer: _SlideWriter) -> None:
        """Write pictures to be looked at where a slide holds nothing else; others are only described or counted."""
        largest = max((box.width * box.height for _, box in writer.pictures), default=0)
        for picture, box in writer.pictures:
            text = alt_text(properties_of(picture))
            alone = not writer.has_text and 2 * box.width * box.height >= largest
            media = self._media(slide, picture) if alone else None
            if media is None and not text:
                self._told.pictures += 1
                continue
            text = text or f"[Picture on slide {slide.number}]"
            self._writer.add(BlockKind.IMAGE, text, media=media, slide=slide.number, hidden=slide.hidden)

    def _media(self, slide: _Slide, picture: Element) -> Media | None:
        blip = picture.find("./{*}blipFill/{*}blip")
        part = "" if blip is None else slide.target(reference(blip, "embed"))
        info = self._archive.NameToInfo.get(part)
        if info is None or not part.lower().endswith(_PICTURE_ENDINGS):
            return None
        if info.file_size > min(_PICTURE_BYTES, self._media_left):
            return None
        try:
            media = fit(read_part(self._archive, part), self._source)
        except DocumentError:
            return None  # it is counted as not read
        self._media_left -= len(media.data)
        return media


class _SlideWriter:
    """Writes what stands on one slide.

    Args:
        writer: Where to.
        archive: Where its charts and diagrams are.
        slide: The slide.
        template: What its shapes inherit.
        told: Where to count what is not read.
        asides: Footers and dates that were written before.
    """

    def __init__(
        self, writer: BlockWriter, archive: ZipFile, slide: _Slide, template: Template, told: _Told, asides: set[str]
    ) -> None:
        self.pictures: list[tuple[Element, Box]] = []
        self.has_text = False
        self._writer = writer
        self._archive = archive
        self._slide = slide
        self._template = template
        self._told = told
        self._asides = asides

    def write(self, shapes: Element | None, height: int) -> None:
        """Write all shapes of a tree or group in the order in which they are read."""
        if shapes is None:
            return
        for shape in in_order(list(shapes_in(shapes)), self._template, height):
            kind = local(shape)
            if kind == "sp":
                self._write_shape(shape)
            elif kind == "grpSp":
                extent = shape.find("{*}grpSpPr/{*}xfrm/{*}chExt")
                self.write(shape, 0 if extent is None else int(extent.get("cy", "0")))
            elif kind == "graphicFrame":
                self._write_frame(shape)
            elif kind == "pic":
                self._take_picture(shape)
            elif kind == "contentPart":
                self._told.other += 1

    def _add(self, kind: BlockKind, text: str, *, level: int = 0) -> None:
        self.has_text = self.has_text or bool(text.strip())
        self._writer.add(kind, text, level=level, slide=self._slide.number, hidden=self._slide.hidden)

    def _write_shape(self, shape: Element) -> None:
        body, place = shape.find("{*}txBody"), placeholder_of(shape)
        if body is None:
            return
        if place is not None and place.kind in TITLES:
            self._add(BlockKind.HEADING, " ".join(body_text(body).split()), level=1)
        elif place is not None and place.kind in ASIDES:
            self._write_aside(place.kind, body_text(body))
        else:
            self._write_body(body, self._template.bullets(shape))

    def _write_aside(self, kind: str, text: str) -> None:
        """Write what stands on each slide once; its number not at all."""
        if kind != "sldNum" and text and text not in self._asides:
            self._asides.add(text)
            self._writer.add(BlockKind.PARAGRAPH, text, slide=self._slide.number, hidden=self._slide.hidden)

    def _write_body(self, body: Element, bullets: Mapping[int, bool]) -> None:
        for paragraph in body.iterfind("{*}p"):
            properties = paragraph.find("{*}pPr")
            level = 0 if properties is None else _level(properties)
            listed = None if properties is None else has_bullet(properties)
            if bullets.get(level, False) if listed is None else listed:
                self._add(BlockKind.LIST_ITEM, paragraph_text(paragraph), level=level + 1)
            else:
                self._add(BlockKind.PARAGRAPH, paragraph_text(paragraph))

    def _write_frame(self, frame: Element) -> None:
        data = frame.find("{*}graphic/{*}graphicData")
        content = None if data is None or not len(data) else data[0]
        kind = "" if content is None else local(content)
        if content is None:
            return
        if kind == "tbl":
            self._write_table(content)
        elif kind == "chart" and (part := self._slide.target(reference(content, "id"))):
            self._write_chart(part)
        elif kind == "relIds" and (part := self._slide.target(reference(content, "dm"))):
            for level, text in read_diagram(tree(self._archive, part)):
                self._add(BlockKind.LIST_ITEM, text, level=level)
        else:
            self._take_object(frame, embedded=content.find(".//{*}oleObj") is not None or kind == "oleObj")

    def _write_table(self, table: Element) -> None:
        rows, header = read_table(table)
        self._write_rows(rows, header=header)

    def _write_rows(self, rows: Sequence[Sequence[str]], *, header: bool) -> None:
        self.has_text = self.has_text or any(map(any, rows))
        names = tuple(rows[0]) if header else ()
        for number, row in enumerate(rows):
            first = header and not number
            columns = () if first else names[: len(row)] + ("",) * (len(row) - len(names)) if names else ()
            place = {"slide": self._slide.number, "hidden": self._slide.hidden}
            self._writer.add_row(row, header=first, columns=columns, **place)

    def _write_chart(self, part: str) -> None:
        if "chartEx" in part or part not in self._archive.NameToInfo:
            self._told.other += 1
            return
        chart = read_chart(tree(self._archive, part))
        self._writer.label("[Chart]")
        self._add(BlockKind.PARAGRAPH, chart.title)
        self._write_rows([chart.header, *chart.rows] if chart.rows else [], header=any(chart.header))

    def _take_object(self, frame: Element, *, embedded: bool) -> None:
        """Count what is not read, and write its description if it has one."""
        self._told.embedded += embedded
        self._told.other += not embedded
        self._add(BlockKind.IMAGE, alt_text(properties_of(frame)))

    def _take_picture(self, picture: Element) -> None:
        if (
            picture.find("./{*}nvPicPr/{*}nvPr/{*}videoFile") is not None
            or picture.find("./{*}nvPicPr/{*}nvPr/{*}audioFile") is not None
        ):
            self._told.recordings += 1
            self._add(BlockKind.IMAGE, alt_text(properties_of(picture)))
        else:
            place = placeholder_of(picture)
            box = box_of(picture) or (self._template.box(place) if place is not None else None)
            self.pictures.append((picture, box or Box(0, 0, 0, 0)))


def _level(properties: Element) -> int:
    level = properties.get("lvl", "0")
    return int(level) if level in set("012345678") else 0


FORMAT = Format(
    title="PowerPoint",
    media_types=(
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "application/vnd.ms-powerpoint.presentation.macroenabled.12",
        "application/vnd.openxmlformats-officedocument.presentationml.slideshow",
        "application/vnd.ms-powerpoint.slideshow.macroenabled.12",
        "application/vnd.openxmlformats-officedocument.presentationml.template",
        "application/vnd.ms-powerpoint.template.macroenabled.12",
    ),
    endings=(".pptx", ".pptm", ".ppsx", ".ppsm", ".potx", ".potm"),
    limit="slides_bytes",
    parse=_parse,
    isolated=True,
)
