"""HTML: what a page shows becomes blocks, whatever its markup is like."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis._documents import Block, BlockKind, Document
from cardanalysis._errors import DocumentError
from cardanalysis.loading import _html
from cardanalysis.loading._formats import Limits, Source

Read = Callable[..., Document]


def parse(page: str | bytes, limits: Limits | None = None) -> list[Block]:
    """The blocks of a page, read in this process."""
    data = page.encode() if isinstance(page, str) else page
    return _html.FORMAT.parse(Source.of(data, "page.html", limits)).blocks


def texts(page: str | bytes) -> list[str]:
    return [block.text for block in parse(page)]


def notes(page: str) -> tuple[str, ...]:
    return _html.FORMAT.parse(Source.of(page.encode(), "page.html")).notes


# -- structure -----------------------------------------------------------------------------------------------------


def test_a_page_is_read_in_its_order(read: Read) -> None:
    """Headings with their levels, paragraphs, list items with theirs, quotes and code come in the order of reading."""
    page = """<!doctype html><html><head><title>Plan</title></head><body><h1>Plan</h1><p>First.</p>
        <ul><li>one<ul><li>deep</li></ul></li><li>two</li></ul><h3>Sub</h3><blockquote>Said.</blockquote>
        <pre>a\n  b</pre></body></html>"""
    document = read(page, "page.html")
    assert [(str(each.kind), each.level, each.text) for each in document.blocks] == [
        ("heading", 1, "Plan"),
        ("paragraph", 0, "First."),
        ("list_item", 1, "one"),
        ("list_item", 2, "deep"),
        ("list_item", 1, "two"),
        ("heading", 3, "Sub"),
        ("paragraph", 0, "Said."),
        ("code", 0, "a\n  b"),
    ]
    assert document.media_type == "text/html"
    assert [each.location.paragraph for each in document.blocks] == list(range(1, 9))
    assert str(document.blocks[1].location) == "page.html, paragraph 2"


@pytest.mark.parametrize("name", ["page.html", "PAGE.HTM", "page.xhtml", "page"])
def test_a_page_is_known_by_its_name_or_content(read: Read, name: str) -> None:
    """Pages of every ending are read, and those without one by what they begin with."""
    assert read("<!doctype html><p>Text", name).blocks[0].text == "Text"


def test_a_fragment_is_a_page(read: Read) -> None:
    """What a wiki exports need not have a head or body."""
    assert read("<p>One<p>Two", "part.html").text == "One\n\nTwo"


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<title>Plan</title><h1>Plan</h1>", ["Plan"]),
        ("<title> The \n Plan </title><h1>The <b>Plan</b></h1>", ["The Plan"]),
        ("<title>Plan</title><h1>Other</h1>", ["Plan", "Other"]),
        ("<title>Plan</title><h2>Plan</h2>", ["Plan", "Plan"]),
        ("<title> </title><p>x", ["x"]),
    ],
)
def test_the_title_is_a_heading_unless_an_h1_says_the_same(page: str, expected: list[str]) -> None:
    """The title comes first, and once."""
    assert texts(page) == expected
    assert parse(page)[0].level == (0 if expected == ["x"] else 1)


def test_white_space_is_as_browsers_show_it() -> None:
    """Runs of it are one space, also across elements; a line break is kept, a non-breaking space is no white space."""
    assert texts("<p> a \n\t<b> b</b>c&nbsp;d<br> e <br>f </p>") == ["a bc\xa0d\ne\nf"]


def test_two_line_breaks_divide_paragraphs() -> None:
    """Mail programs and old editors write paragraphs so."""
    assert texts("<div>one<br>still one<br><br>two</div>") == ["one\nstill one", "two"]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("", ["1. a", "2. b", "9. c", "10. d"]),
        ("start=4", ["4. a", "5. b", "9. c", "10. d"]),
        ("type=a", ["a. a", "b. b", "i. c", "j. d"]),
        ("type=I", ["I. a", "II. b", "IX. c", "X. d"]),
        ("start=x", ["1. a", "2. b", "9. c", "10. d"]),
    ],
)
def test_ordered_items_have_the_numbers_that_readers_see(attributes: str, expected: list[str]) -> None:
    """People refer to items by them."""
    assert texts(f"<ol {attributes}><li>a<li><p>b</p><li value=9>c<li>d</ol>") == expected


def test_an_item_has_its_number_once() -> None:
    """What else is in an item is of its level, without a number."""
    assert [(each.level, each.text) for each in parse("<ol><li><p>a</p><p>b</p></ol>")] == [(1, "1. a"), (1, "b")]


def test_definitions_stand_below_their_terms() -> None:
    """A definition list is a list of terms, each with its definitions one level deeper."""
    blocks = parse("<dl><dt>ETA<dd>Time of arrival<dd>Not of departure</dl>")
    assert [(str(each.kind), each.level) for each in blocks] == [("list_item", 1), ("list_item", 2), ("list_item", 2)]


def test_details_are_read() -> None:
    """What a reader can open is content."""
    assert texts("<details><summary>More</summary><p>Inside</p></details>") == ["More", "Inside"]


def test_a_form_shows_its_labels_and_values() -> None:
    """Labels, values, ticks and choices are read; passwords and hidden fields are not."""
    page = """<form><label>Name <input value=Ann></label><label><input type=checkbox checked> Fast</label>
        <input type=password value=secret><input type=hidden value=token><select><option>Low<option selected>High
        </select><textarea>one\ntwo</textarea><input placeholder="Your mail"></form>"""
    assert texts(page) == ["Name Ann [x] Fast", "Low", "[x] High", "one\ntwo", "Your mail"]


def test_quotes_and_powers_keep_their_meaning() -> None:
    """Browsers put quotes around q; ten to the power of six is not a hundred and six."""
    assert texts("<p><q>Yes</q> 10<sup>6</sup> m<sup>2</sup>") == ["\u201cYes\u201d 10^6 m2"]


# -- tables --------------------------------------------------------------------------------------------------------


def rows(page: str) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    return [(str(each.kind).removeprefix("table_"), each.cells, each.columns) for each in parse(page)]


def test_a_table_is_read_row_by_row() -> None:
    """A header names the columns of the rows below; the caption stands before."""
    page = "<table><caption>Load</caption><thead><tr><th>A<th>B<tbody><tr><td>1<td>2<tr><td>3</table>"
    assert rows(page) == [
        ("paragraph", (), ()),
        ("header", ("A", "B"), ()),
        ("row", ("1", "2"), ("A", "B")),
        ("row", ("3",), ("A",)),
    ]


def test_cells_that_span_are_told_once() -> None:
    """A cell that spans columns or rows keeps the others in their columns, and is not repeated."""
    page = """<table><tr><th rowspan=2>System<th colspan=2>Load<tr><th>min<th>max
        <tr><td rowspan=2>A<td>1<td>2<tr><td>3<td>4</table>"""
    names = ("System", "Load min", "Load max")
    assert rows(page) == [
        ("header", ("System", "Load", ""), ()),
        ("header", ("", "min", "max"), ()),
        ("row", ("A", "1", "2"), names),
        ("row", ("", "3", "4"), names),
    ]


@pytest.mark.parametrize("span", ["0", "x", "-1", "", "1.5", "99999999999999999999"])
def test_a_wrong_span_does_no_harm(span: str) -> None:
    """Spans that are no numbers count as one; huge ones end with the table."""
    cells = [cells for _, cells, _ in rows(f'<table><tr><td rowspan="{span}">a<td>1<tr><td>b<td>2<td>3</table>')]
    assert [cell for row in cells for cell in row if cell] == ["a", "1", "b", "2", "3"]


def test_a_first_row_of_names_is_a_header() -> None:
    """Many tables mark no header."""
    assert [kind for kind, _, _ in rows("<table><tr><td>Name<td>Age<tr><td>Ann<td>7</table>")] == ["header", "row"]
    assert [kind for kind, _, _ in rows("<table><tr><td>Ann<td>7<tr><td>Bob<td>8</table>")] == ["row", "row"]


def test_row_headers_are_no_header() -> None:
    """A column of th cells names rows."""
    assert rows("<table><tr><th>Name<td>Ann<tr><th>Age<td>7</table>") == [
        ("row", ("Name", "Ann"), ()),
        ("row", ("Age", "7"), ()),
    ]


def test_a_cell_keeps_its_lines() -> None:
    """Paragraphs and items of a cell are its lines; in the text the row is one line."""
    (row,) = parse("<table><tr><td><p>a</p><p>b</p><td><ul><li>x<li>y</ul></table>")
    assert (row.cells, row.text) == (("a\nb", "x\ny"), "a b | x y")


@pytest.mark.parametrize(
    "page",
    [
        "<table><tr><td><h2>A</h2><p>b</p><td>c</table>",
        "<table role=presentation><tr><td>A<td>b</table>",
        "<table><tr><td>A<tr><td>b</table>",
        "<table><tr><td>A<td><table role=none><tr><td>b</table></table>",
    ],
)
def test_a_table_that_lays_out_the_page_is_no_table(page: str) -> None:
    """Its cells are read as what is in them."""
    assert BlockKind.TABLE_ROW not in {each.kind for each in parse(page)}
    assert texts(page)[0] == "A"


# -- what is not seen ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attribute", ["hidden", "style='color:red; DISPLAY : none'", "style=visibility:hidden"])
@pytest.mark.parametrize("tag", ["p", "div", "span"])
def test_hidden_text_is_kept_and_marked(attribute: str, tag: str) -> None:
    """It is behind what is seen around it, which reads as if it were not there."""
    seen, hidden = sorted(parse(f"<div>Seen <{tag} {attribute}>gone</{tag}></div>"), key=lambda each: each.hidden)
    assert (seen.text, seen.hidden, hidden.text, hidden.hidden) == ("Seen", False, "gone", True)


def test_what_is_hidden_from_screen_readers_alone_is_seen() -> None:
    """Browsers show it as any other text."""
    assert [(each.text, each.hidden) for each in parse("<p>a <b aria-hidden=true>b</b></p>")] == [("a b", False)]


def test_hidden_text_does_not_divide_a_sentence() -> None:
    """A paragraph with a hidden word in it is one paragraph."""
    assert texts("<p>The desk <span hidden>secretly</span> checks.</p>") == ["The desk checks.", "secretly"]


def test_hidden_text_has_a_label() -> None:
    """A reader of the text alone knows that it is hidden."""
    parsed = _html.FORMAT.parse(Source.of(b"<p>a<div hidden><p>b<p>c</div><p>d", "page.html"))
    assert parsed.text == "a\n\n[Hidden text]\nb\n\nc\n\nd"
    assert [each.hidden for each in parsed.blocks] == [False, True, True, False]


def test_hidden_rows_and_cells_are_marked() -> None:
    """A hidden row is a row; a hidden cell is none, and its text comes behind the table."""
    page = "<table><tr><td>a<td>1<tr hidden><td>b<td>2<tr><td>c<td style='display:none'>gone<td>3</table>"
    assert [(each.text, each.hidden) for each in parse(page)] == [
        ("a | 1", False),
        ("b | 2", True),
        ("c | 3", False),
        ("gone", True),
    ]


def test_what_is_struck_out_no_longer_holds() -> None:
    """The text reads as it does without it; it is kept behind, marked."""
    parsed = _html.FORMAT.parse(Source.of(b"<p>Within <del>4</del> <ins>2</ins> hours.", "page.html"))
    assert parsed.text == "Within 2 hours.\n\n[Struck out]\n4"


@pytest.mark.parametrize("tag", ["script", "style", "template", "noscript", "svg"])
def test_what_is_no_text_is_left_out(tag: str) -> None:
    """Scripts and the like are not read, and neither are comments."""
    assert texts(f"<p>a<{tag}>gone</{tag}>b<!-- gone -->") == ["ab"]


@pytest.mark.parametrize(
    ("page", "note"),
    [
        ("<img src=x>", "Pictures without a description, which were not read: 1."),
        ("<svg></svg><svg></svg>", "Drawings (SVG) without a description, which were not read: 2."),
        ("<iframe src=x></iframe>", "Embedded recordings, pages or objects, which were not read: 1."),
        ("<template>x</template>", "Templates, which only scripts show and which were not read: 1."),
        ("<noscript>x</noscript>", "Parts for browsers without scripts, which were not read: 1."),
    ],
)
def test_what_is_left_out_is_told(page: str, note: str) -> None:
    """Nothing that a reader might miss goes without a note."""
    assert notes(f"<p>x</p>{page}") == (note,)


def test_decoration_is_not_told() -> None:
    """Pictures that are declared as decoration, or count readers, are no loss."""
    assert notes("<p>x<img alt='' src=a><img src=b width=1 height=1><!-- c --><script>d</script>") == ()


def test_a_picture_is_what_it_is_described_as() -> None:
    """A description is a block behind the paragraph, and in a cell a part of the row."""
    page = "<p>Press <img alt=Save> now.</p><svg aria-label='Flow'></svg><table><tr><td>ok<td><img alt=Yes></table>"
    assert [(str(each.kind), each.text) for each in parse(page)] == [
        ("paragraph", "Press now."),
        ("image", "Save"),
        ("image", "Flow"),
        ("table_row", "ok | Yes"),
    ]


# -- bytes ---------------------------------------------------------------------------------------------------------

GERMAN = "<p>Größe – 5 €</p>"  # noqa: RUF001 - the dash is not in every encoding
PLAIN = "<p>Größe - 5 €</p>"
META = "<meta charset={}>"


@pytest.mark.parametrize(
    "page",
    [
        GERMAN.encode(),
        GERMAN.encode("utf-8-sig"),
        GERMAN.encode("utf-16"),
        (META.format("utf-8") + GERMAN).encode(),
        (META.format("ISO-8859-1") + GERMAN).encode("cp1252"),
        (META.format("'windows-1252'") + GERMAN).encode("cp1252"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=iso-8859-15">' + PLAIN).encode("iso-8859-15"),
        ('<?xml version="1.0" encoding="iso-8859-15"?>' + PLAIN).encode("iso-8859-15"),
        (META.format("utf-16") + GERMAN).encode(),
        (META.format("utf-7") + GERMAN).encode(),
        (META.format("rot13") + GERMAN).encode(),
        ("<!--" + META.format("koi8-r") + "-->" + GERMAN).encode(),
    ],
)
def test_the_encoding_is_that_which_browsers_take(page: bytes) -> None:
    """By the byte order mark, else as declared, with the names that browsers know; nothing else has codecs run."""
    assert texts(page)[0].replace("\u2013", "-") == "Größe - 5 €"


@pytest.mark.parametrize(
    ("label", "text"), [("shift_jis", "注文"), ("gb2312", "订单"), ("koi8-r", "заказ"), ("big5", "訂單")]
)
def test_pages_from_everywhere_are_read(label: str, text: str) -> None:
    """Declared encodings of Asia and eastern Europe are known."""
    assert texts(META.format(label).encode() + f"<p>{text}".encode(label)) == [text]


def test_what_cannot_be_decoded_is_told(read: Read) -> None:
    """A page with some damaged bytes is read, with a note."""
    document = read("<!doctype html><p>Größe ü ö ä ".encode() + b"\xff x", "page.html")
    assert document.blocks[0].text == "Größe ü ö ä \ufffd x"
    assert any("not valid UTF-8" in note for note in document.notes)


def test_binary_content_is_refused() -> None:
    """NUL bytes are in no page."""
    with pytest.raises(DocumentError) as caught:
        parse(b"<!doctype html><p>a\0b")
    assert caught.value.code == "unknown_type"


# -- tag soup ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("<p>a<p>b</b></i></div>c", ["a", "bc"]),
        ("<b><p>a</b>b</p>c", ["ab", "c"]),
        ("<table>lost<tr><td>a<td>b</table>", ["lost", "a | b"]),
        ("a < b & c &amp; &copy &unknown; &#8364;", ["a < b & c & © &unknown; €"]),
        ("<p>a<p", ["a"]),
        ("<p title='>' class=\">\">a", ["a"]),
        ("<P>a</P><UL><LI>b</UL>", ["a", "b"]),
        ("<h1>a<h2>b", ["a", "b"]),
        ("<select><p>a<option>b</select>", ["a", "b"]),
        ("</p>a</br>b", ["a\nb"]),
    ],
)
def test_markup_is_mended_as_browsers_mend_it(page: str, expected: list[str]) -> None:
    """Text is where browsers show it, whatever is not closed or nested wrongly."""
    assert texts(page) == expected


XHTML = '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/>{}</head><body>{}</body></html>'


def test_xhtml_is_read_as_it_is_meant() -> None:
    """Elements without content end where they begin, also those that would swallow the page in HTML; CDATA is text."""
    page = XHTML.format('<script src="a"/><style/>', '<p>a<a id="x"/>b</p><div/><p><![CDATA[x < y & z]]><br/>c</p>')
    assert texts(page) == ["ab", "x < y & z\nc"]


# -- hostile pages -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", ["div", "b", "span", "table", "ul"])
def test_deep_nesting_is_refused(tag: str) -> None:
    """A tree of 100,000 levels, which takes minutes to build, is not built."""
    with pytest.raises(DocumentError, match="stand in each other") as caught:
        parse(f"<{tag}>" * 100_000 + "x")
    assert caught.value.code == "malformed"


def test_nesting_that_browsers_show_is_read() -> None:
    """Deep pages are read without recursion, and so are long ones of elements that nobody closed."""
    assert texts("<div>" * 4_000 + "x") == ["x"]
    assert len(texts("<ul>" + "<li>x" * 20_000)) == 20_000
    assert parse("<ul><li>" * 2_000 + "x")[0].level == 2_000


@pytest.mark.parametrize(("limit", "page"), [("rows", "<tr><td>a<td>b" * 20), ("cells", "<tr><td colspan=1000>a<td>b")])
def test_large_tables_are_refused(limit: str, page: str) -> None:
    """Rows and cells are counted, those that a span only declares too."""
    with pytest.raises(DocumentError, match=f"Limits.{limit}") as caught:
        parse(f"<table>{page}</table>", Limits(**{limit: 10}))
    assert caught.value.code == "too_large"


def test_a_page_that_scripts_write_says_so() -> None:
    """A page without text of its own is not just empty."""
    with pytest.raises(DocumentError, match="scripts fetch it") as caught:
        parse("<div id=root></div><script src=app.js></script>")
    assert caught.value.code == "empty"


@pytest.mark.parametrize(
    "page",
    [
        "<a " * 300_000,
        "<a '" * 100_000,
        "<![CDATA[" * 100_000,
        "<!--" * 100_000,
        "<p style='" + "; " * 300_000,
        "&" * 300_000,
    ],
)
@pytest.mark.parametrize("start", ["<!doctype html>", "<?xml version='1.0'?><html>"])
def test_unfinished_markup_ends_in_time(start: str, page: str) -> None:
    """What is opened again and again is read, or refused, in time that grows with its length: the test ends."""
    with contextlib.suppress(DocumentError):
        assert len(parse(start + page)) <= 1


TAGS = """
<p> </p> <div> </div> <b> </b> <ul> <ol> <li> </li> </ul> <table> <caption> <thead> <tr> <td> <th> </td> </tr> </table>
<h1> </h1> <br> <pre> </pre> <select> <option> <textarea> <title> <hidden <span> <img> <svg> <template> <del> </del>
<dl> <dd> <details> <sup> <q> </q> <input> & word 10
"""
WITH_ATTRIBUTES = ["<p hidden>", "<td colspan=3 rowspan=2>", "<tr hidden>", "<td hidden>", "<img alt=x>", " ", "\n"]
PIECES = st.lists(st.sampled_from([*TAGS.split(), *WITH_ATTRIBUTES]), max_size=40)


@settings(max_examples=300, deadline=None)
@given(PIECES)
def test_any_markup_gives_blocks_that_are_slices(pieces: list[str]) -> None:
    """Whatever stands where, the text has each block where its location says, in order, and nothing is raised."""
    parsed = _html.FORMAT.parse(Source.of("".join(pieces).encode(), "page.html"))
    end = 0
    for block in parsed.blocks:
        assert block.location.start >= end
        end = block.location.end
        assert parsed.text[block.location.start : end] == block.text
        assert len(block.columns) in (0, len(block.cells))


WORDS = st.lists(st.text("abc", min_size=1, max_size=5), min_size=1, max_size=20)


@settings(max_examples=100, deadline=None)
@given(WORDS, st.data())
def test_no_word_is_lost(words: list[str], data: st.DataObject) -> None:
    """Whatever visible or hidden element a word stands in, it is in some block."""
    tags = st.sampled_from(["p", "span", "li", "td", "h2", "pre", "b hidden", "div hidden", "del", "option", "caption"])
    page = "".join(f"<{tag}>{word}</{tag.split()[0]}> " for word in words for tag in [data.draw(tags)])
    found = " ".join(texts(page))
    assert sorted("".join(found.split())) == sorted("".join(words))
