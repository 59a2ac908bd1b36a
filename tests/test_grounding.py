"""Quotes: found in the source letter by letter or after harmless folding, or rejected."""

# ruff: noqa: RUF001 - signs that look alike are what this is about

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from attrs import evolve
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cardanalysis._documents import Block, BlockKind, Document, Location
from cardanalysis._grounding import Grounding, normalize
from cardanalysis._models import Card, Evidence, RejectedQuote

relaxed = settings(max_examples=100, deadline=None)


def document(text: str) -> Document:
    """A document of one block, like a text file."""
    place = Location(name="brief.txt", start=0, end=len(text), line=1, end_line=text.count("\n") + 1)
    block = Block(kind=BlockKind.PARAGRAPH, text=text, location=place)
    return Document(upload_id="u", name="brief.txt", media_type="text/plain", text=text, blocks=[block])


def find(text: str, quote: str) -> Evidence | None:
    return Grounding(document(text)).find(quote)


def found(text: str, quote: str) -> tuple[str, str]:
    """The source's own wording of a quote that must be found, and how it was matched."""
    evidence = find(text, quote)
    assert evidence is not None
    assert evidence.quote == quote
    return text[evidence.location.start : evidence.location.end], evidence.match


NOTE = "Patient takes Naprosyn and prednisone for severe heart problems; prescribed high glucose control."


# -- letter by letter ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        (NOTE, "Naprosyn"),
        (NOTE, "prednisone"),
        (NOTE, "severe heart problems"),
        (NOTE, NOTE),
        ("Separated–by–en–dashes.", "Separated–by–en–dashes"),
        ("Take Napro-syn daily.", "Napro-syn"),
        ("Take Napro | syn daily.", "Napro | syn"),
        ("Take Ibuprofen 600mg daily.", "Ibuprofen 600mg"),
        ("The sign \u241f is text.", "sign \u241f is"),
        ("Ship it 🚀 today", "it 🚀 today"),
        ("🚀", "🚀"),
        ("Grüße aus Köln", "Grüße"),
        ("It costs 1,000.50 dollars.", "1,000.50"),
        ("Users can't log in.", "Users can't"),
        ("At 12:30 o'clock", "12:30 o'clock"),
        ("line one\r\nline two", "one\r\nline"),
        ("हिन्दी में लिखें", "हिन्दी में"),
        ("Ends here", "here"),
    ],
)
def test_a_quote_that_stands_in_the_source_is_exact(text: str, quote: str) -> None:
    """Letter by letter is exact, whatever the letters are, and the span holds the quote."""
    assert found(text, quote) == (quote, "exact")


def test_offsets_are_those_of_the_document() -> None:
    """The span counts code points from the start of the document's text."""
    evidence = find("🚀🚀 Naprosyn", "Naprosyn")
    assert evidence is not None
    assert (evidence.location.start, evidence.location.end) == (3, 11)


def test_a_repeated_quote_is_found_at_its_first_place() -> None:
    """The same quote has the same place each time it is asked for."""
    grounding = Grounding(document("Take aspirin in the morning. Take aspirin at night."))
    places = [grounding.find("aspirin") for _ in range(2)]
    assert places[0] == places[1]
    assert places[0] is not None
    assert places[0].location.start == 5


def test_a_place_inside_a_word_is_passed_over_for_a_later_one() -> None:
    """The first place counts at which the quote stands as whole words."""
    evidence = find("In 120 days, no: 20 days.", "20 days")
    assert evidence is not None
    assert evidence.location.start == 17


def test_quotes_need_not_come_in_the_order_of_the_source() -> None:
    """Each quote is looked up by itself; spans may overlap."""
    grounding = Grounding(document("He has high blood pressure and takes ibuprofen with aspirin."))
    for quote in ("aspirin", "ibuprofen", "blood pressure", "high blood"):
        evidence = grounding.find(quote)
        assert evidence is not None
        assert evidence.match == "exact"


def test_an_exact_place_goes_before_an_earlier_folded_one() -> None:
    """Where the wording stands letter by letter, that place is taken."""
    text = "ASPIRIN is a name. Take Aspirin."
    evidence = find(text, "Aspirin")
    assert evidence is not None
    assert (evidence.location.start, evidence.match) == (24, "exact")


# -- after folding -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "quote", "wording"),
    [
        pytest.param("Take NAPROSYN now", "naprosyn", "NAPROSYN", id="case"),
        pytest.param("Take Naprosyn now", "NAPROSYN", "Naprosyn", id="case of the quote"),
        pytest.param("Große Straße", "GROSSE STRASSE", "Große Straße", id="sharp s"),
        pytest.param("Όλος ο κόσμος", "ΌΛΟΣ Ο ΚΌΣΜΟΣ", "Όλος ο κόσμος", id="final sigma"),
        pytest.param("İstanbul office", "i̇stanbul OFFICE", "İstanbul office", id="dotted capital i"),
        pytest.param("within\n  20 \t days of", "within 20 days", "within\n  20 \t days", id="white space"),
        pytest.param("within 20 days", "within\n20\r\ndays", "within 20 days", id="white space of the quote"),
        pytest.param("within\r\n20 days", "within 20 days", "within\r\n20 days", id="CRLF"),
        pytest.param("within\u00a020\u202fdays", "within 20 days", "within\u00a020\u202fdays", id="hard spaces"),
        pytest.param("within 20 days", "  within 20 days\n", "within 20 days", id="space around the quote"),
        pytest.param("“Approve” it’s", '"Approve" it\'s', "“Approve” it’s", id="curly quotes"),
        pytest.param('"Approve" it\'s', "„Approve“ it‘s", '"Approve" it\'s', id="curly quotes of the quote"),
        pytest.param("«Valider» l’offre", '"Valider" l\'offre', "«Valider» l’offre", id="guillemets"),
        pytest.param("10–20 days — at most", "10-20 days - at most", "10–20 days — at most", id="dashes"),
        pytest.param("at −5 °C", "at -5 °C", "at −5 °C", id="minus sign"),
        pytest.param("the ﬁnal oﬃce ﬂoor", "the final office floor", "the ﬁnal oﬃce ﬂoor", id="ligatures"),
        pytest.param("require\u00adments", "requirements", "require\u00adments", id="soft hyphen"),
        pytest.param("requirements", "require\u00adments", "requirements", id="soft hyphen of the quote"),
        pytest.param(
            "zero\u200bwidth \u200b space", "zerowidth space", "zero\u200bwidth \u200b space", id="zero width"
        ),
        pytest.param("\ufeffTitle here", "title here", "Title here", id="byte order mark"),
        pytest.param("\u202bshalom\u202c 1", "Shalom 1", "shalom\u202c 1", id="direction"),
        pytest.param("✔\ufe0f Done", "✔ Done", "✔\ufe0f Done", id="emoji style"),
        pytest.param("Wait… then go", "wait... then", "Wait… then", id="ellipsis"),
        pytest.param("cafe\u0301 noir", "café noir", "cafe\u0301 noir", id="NFD source"),
        pytest.param("café noir", "cafe\u0301 noir", "café noir", id="NFD quote"),
        pytest.param("Vi\u00ea\u0323t Nam", "Vi\u1ec7t Nam", "Vi\u00ea\u0323t Nam", id="half composed"),
        pytest.param("\u1112\u1161\u11ab글 문서", "한글 문서", "\u1112\u1161\u11ab글 문서", id="Hangul letters"),
        pytest.param("か\u3099くせい", "がくせい", "か\u3099くせい", id="voiced kana"),
        pytest.param("5 \u212b wide", "5 Å wide", "5 \u212b wide", id="Angstrom sign"),
    ],
)
def test_what_does_not_change_the_meaning_is_folded(text: str, quote: str, wording: str) -> None:
    """Folding finds the quote, and the span is the source's own wording, whole characters only."""
    assert found(text, quote) == (wording, "normalized")


@pytest.mark.parametrize("text", ["Wait…", "the …end", "Straße…"])
def test_a_character_is_not_cut(text: str) -> None:
    """An ellipsis in the source is three dots or none, never one of them."""
    for quote in ("wait.", "wait..", ".end", "..end", "strasse."):
        assert find(text, quote) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x² + 1", "x2 + 1"),
        ("½ cup", "1/2 cup"),
        ("① first", "1 first"),
        ("H₂O", "H2O"),
        ("™", "tm"),
        ("٣ days", "3 days"),
    ],
)
def test_compatible_characters_are_not_the_same(one: str, other: str) -> None:
    """A raised digit is no digit, so compatibility forms are left as they are."""
    assert find(one, other) is None
    assert find(other, one) is None


# -- rejected ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        pytest.param(NOTE, "aspirin", id="absent"),
        pytest.param(NOTE, "warfarin coumadin anticoagulant", id="absent words"),
        pytest.param(NOTE, "severe heart problems complications", id="more than there is"),
        pytest.param(NOTE, "high blood pressure", id="begins as in the source"),
        pytest.param(NOTE, "only matched control", id="ends as in the source"),
        pytest.param(NOTE, "prednisone and Naprosyn", id="reordered"),
        pytest.param(NOTE, "Naprosyn for severe", id="gapped"),
        pytest.param(NOTE, "Patient ... prednisone", id="with an ellipsis"),
        pytest.param("metformin hydrochloride tablet", "metformins hydrochlorides tablets", id="plural"),
        pytest.param("Approval within 20 days.", "Approval within 21 days", id="altered number"),
        pytest.param("Approval within 20 days.", "Approval within 2 0 days", id="split number"),
        pytest.param("Approval within 2 0 days.", "Approval within 20 days", id="joined number"),
        pytest.param("It must not be deleted.", "It must be deleted", id="negation left out"),
        pytest.param("It must be deleted.", "It must not be deleted", id="negation put in"),
        pytest.param("Users can't log in.", "Users can log in", id="negation by apostrophe"),
        pytest.param("It costs 1.5 million", "It costs 15 million", id="decimal point left out"),
        pytest.param("resume the work", "résumé the work", id="accents put in"),
        pytest.param("", "anything", id="empty source"),
        pytest.param("", "", id="both empty"),
        pytest.param(NOTE, "", id="empty"),
        pytest.param(NOTE, " \n\t\u00a0", id="white space only"),
        pytest.param(NOTE + "\u200b", "\u200b", id="invisible only"),
    ],
)
def test_what_does_not_stand_in_the_source_is_not_found(text: str, quote: str) -> None:
    """No near match is taken for a quote."""
    assert find(text, quote) is None


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("Naprosyn", "Napro"),
        ("Naprosyn", "prosyn"),
        ("120 days", "20 days"),
        ("in 200", "in 20"),
        ("1,000 users", "000 users"),
        ("1,000 users", "1"),
        ("2.5 tons", "5 tons"),
        ("2.5 tons", "2"),
        ("2.5 tons", "2."),
        ("1'000 francs", "1"),
        ("1’000 francs", "000 francs"),
        ("-20 degrees", "20 degrees"),
        ("at -20 degrees", "20 degrees"),
        ("(−20 degrees)", "20 degrees"),
        ("users can't", "users can"),
        ("users can’t", "users can"),
        ("the users' and user's", "user"),
        ("café", "caf"),
        ("cafe\u0301", "cafe"),
        ("cafe\u0301s", "cafe\u0301"),
        ("inter\u00adnational", "inter"),
        ("inter\u00adnational", "national"),
        ("inter\u200d\u00adnational", "national"),
        ("oﬃce", "o"),
        ("sta\ufb00", "staf"),
        ("हिन्दी", "हि"),
        ("हिन्दी", "ह"),
        ("か\u3099", "か"),
        ("600mg", "600"),
        ("२०० दिन", "०० दिन"),
    ],
)
def test_a_quote_does_not_begin_or_end_inside_a_word(text: str, quote: str) -> None:
    """A part of a word, of a number or of a character is something else than the whole."""
    assert find(text, quote) is None
    assert find(text.upper(), quote.lower()) is None


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("10-20 days", "20 days"),
        ("10–20 days", "20 days"),
        ("Item 3.", "Item 3"),
        ("3, 5 and 7", "5"),
        ("- 20 users", "20 users"),
        ("the user's own", "own"),
        ("l'utilisateur doit", "utilisateur doit"),
        ("'users' is a word", "users"),
        ("(users)", "users"),
        ("“users”", "users"),
        ("users: two", "users"),
        ("e-mail", "mail"),
        ("the users' data", "the users"),
        ("a…b", "b"),
    ],
)
def test_signs_that_belong_to_no_number_end_a_word(text: str, quote: str) -> None:
    """Punctuation around a word or number is where a quote may begin and end."""
    assert found(text, quote) == (quote, "exact")


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("系统必须记录所有审批。", "必须记录所有审批"),
        ("システムは承認を記録する", "承認を記録する"),
        ("ระบบต้องบันทึกการอนุมัติ", "ต้องบันทึก"),
        ("第20条", "20"),
    ],
)
def test_scripts_without_spaces_may_be_quoted_anywhere(text: str, quote: str) -> None:
    """Where no space ends a word, a quote may begin and end at any character."""
    assert found(text, quote) == (quote, "exact")


@pytest.mark.parametrize(
    ("text", "quote"), [("二十日以内", "十日以内"), ("承認", "未承認"), ("系统必须记录", "系统不记录")]
)
def test_scripts_without_spaces_are_no_less_strict(text: str, quote: str) -> None:
    """Numbers are not cut there either, and every character must be there."""
    assert find(text, quote) is None


# -- cards ---------------------------------------------------------------------------------------------------------


def test_quotes_become_evidence_or_are_rejected() -> None:
    """Grounding a card empties its quotes: each is evidence or rejected with a reason, in order; all else stays."""
    card = Card(title="t", impact="i", quotes=["Naprosyn", "aspirin", "PREDNISONE", "  "])
    grounded = Grounding(document(NOTE)).ground(card)
    assert grounded.quotes == ()
    assert [(each.quote, each.match) for each in grounded.evidence] == [
        ("Naprosyn", "exact"),
        ("PREDNISONE", "normalized"),
    ]
    assert grounded.rejected_quotes == (
        RejectedQuote(quote="aspirin", reason="not_found"),
        RejectedQuote(quote="  ", reason="empty"),
    )
    assert evolve(grounded, evidence=(), rejected_quotes=(), quotes=card.quotes) == card


def test_grounding_twice_changes_nothing() -> None:
    """What is grounded stays grounded."""
    grounding = Grounding(document(NOTE))
    once = grounding.ground(Card(title="t", quotes=["Naprosyn", "PREDNISONE", "aspirin"]))
    assert grounding.ground(once) == once


def evidence_at(start: int, end: int, quote: str, match: str = "exact", **place: Any) -> Evidence:
    return Evidence(quote=quote, location=Location(name="brief.txt", start=start, end=end, **place), match=match)


@pytest.mark.parametrize(
    "given_evidence",
    [
        evidence_at(14, 22, "Naprosyn", page=3),
        evidence_at(14, 22, "NAPROSYN", "normalized"),
        evidence_at(14, 22, "Naprosyn", "normalized"),
        evidence_at(0, len(NOTE), NOTE),
    ],
)
def test_evidence_that_stands_is_kept_as_it_is(given_evidence: Evidence) -> None:
    """An analyzer that knows where its quotes stand keeps its own places, as with a page that only it knows."""
    grounded = Grounding(document(NOTE)).ground(Card(title="t", evidence=[given_evidence]))
    assert grounded.evidence == (given_evidence,)
    assert grounded.rejected_quotes == ()


@pytest.mark.parametrize(
    ("given_evidence", "reason"),
    [
        pytest.param(evidence_at(13, 21, "Naprosyn"), "not_found", id="off by one"),
        pytest.param(evidence_at(0, 8, "Naprosyn"), "not_found", id="elsewhere"),
        pytest.param(evidence_at(14, 22, "NAPROSYN"), "not_found", id="not exact"),
        pytest.param(evidence_at(14, 19, "Napro"), "not_found", id="ends inside a word"),
        pytest.param(evidence_at(16, 22, "prosyn"), "not_found", id="begins inside a word"),
        pytest.param(evidence_at(16, 22, "prosyn", "normalized"), "not_found", id="inside a word, folded"),
        pytest.param(evidence_at(14, 22, "aspirin", "normalized"), "not_found", id="another word"),
        pytest.param(evidence_at(900, 908, "Naprosyn"), "not_found", id="behind the end"),
        pytest.param(evidence_at(len(NOTE) - 8, len(NOTE) + 5, "control."), "not_found", id="over the end"),
        pytest.param(evidence_at(14, 14, ""), "empty", id="empty"),
        pytest.param(evidence_at(7, 8, " "), "empty", id="white space"),
    ],
)
def test_evidence_with_a_wrong_span_is_rejected(given_evidence: Evidence, reason: str) -> None:
    """An analyzer's own evidence is checked by the same rules as a quote that was looked up."""
    grounded = Grounding(document(NOTE)).ground(Card(title="t", evidence=[given_evidence]))
    assert grounded.evidence == ()
    assert grounded.rejected_quotes == (RejectedQuote(quote=given_evidence.quote, reason=reason),)


def test_rejected_quotes_are_added_to_those_there_are() -> None:
    """What an analyzer rejected itself stays, in front."""
    before = RejectedQuote(quote="x", reason="not_found")
    grounded = Grounding(document(NOTE)).ground(Card(title="t", quotes=["aspirin"], rejected_quotes=[before]))
    assert grounded.rejected_quotes == (before, RejectedQuote(quote="aspirin", reason="not_found"))


# -- locations -----------------------------------------------------------------------------------------------------


def blocks_of(*parts: tuple[str, dict[str, Any]]) -> Document:
    """A document of several blocks with a blank line between them."""
    text, blocks = "", []
    for part, place in parts:
        location = Location(name="deck", start=len(text), end=len(text) + len(part), **place)
        blocks.append(Block(kind=BlockKind.PARAGRAPH, text=part, location=location))
        text += part + "\n\n"
    return Document(upload_id="u", name="deck", media_type="m", text=text, blocks=blocks)


def test_a_location_takes_its_blocks_page_slide_or_cells() -> None:
    """A quote's place has the page, slide or sheet of the block it begins in, and its own offsets."""
    deck = blocks_of(
        ("One page", {"page": 4}), ("One slide", {"slide": 5}), ("A row", {"sheet": "Costs", "cells": "A3:F3"})
    )
    grounding = Grounding(deck)
    for quote, expected in (("page", "deck, page 4"), ("slide", "deck, slide 5"), ("row", "deck, Costs!A3:F3")):
        evidence = grounding.find(quote)
        assert evidence is not None
        assert str(evidence.location) == expected
        assert deck.text[evidence.location.start : evidence.location.end] == quote


def test_a_quote_over_two_blocks_begins_in_the_first() -> None:
    """A quote may go over the border of two blocks; its place is that of its start."""
    evidence = Grounding(blocks_of(("first", {"page": 1}), ("second", {"page": 2}))).find("first second")
    assert evidence is not None
    assert (evidence.location.page, evidence.match) == (1, "normalized")


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_for_every_line_end(line_end: str) -> None:
    """The first and last line of a quote are right within a block of many lines, and counted from the block's own."""
    text = line_end.join(["zero", "one", "two two", "three"])
    block_place = {"line": 10, "end_line": 13}
    grounding = Grounding(blocks_of(("before", {"line": 7, "end_line": 7}), (text, block_place)))
    for quote, lines in (
        ("zero", (10, 10)),
        ("two two", (12, 12)),
        (f"one{line_end}two two", (11, 12)),
        ("ONE TWO", (11, 12)),
        (f"{line_end}two", (11, 12)),  # a line end belongs to the line before
        (f"three{line_end}", (13, 13)),
        (text, (10, 13)),
    ):
        evidence = grounding.find(quote)
        assert evidence is not None, quote
        assert (evidence.location.line, evidence.location.end_line) == lines, quote


def test_a_line_end_is_not_cut() -> None:
    """A quote that begins with the second half of a CRLF stands on the line behind it."""
    evidence = find("one\r\ntwo", "\ntwo")
    assert evidence is not None
    assert (evidence.location.start, evidence.location.line, evidence.location.end_line) == (5, 2, 2)


def test_a_block_without_lines_gives_none() -> None:
    """Where lines mean nothing, as on a page, none are made up."""
    evidence = Grounding(blocks_of(("One page\nof text", {"page": 4}))).find("of text")
    assert evidence is not None
    assert (evidence.location.line, evidence.location.end_line) == (None, None)


def test_text_before_the_first_block_has_a_plain_place() -> None:
    """Text that no block holds is found all the same, with offsets only."""
    deck = Document(upload_id="u", name="deck", media_type="m", text="Loose text", blocks=[])
    evidence = Grounding(deck).find("Loose")
    assert evidence is not None
    assert evidence.location == Location(name="deck", start=0, end=5)


def test_many_blocks_are_told_apart() -> None:
    """The right one of a thousand blocks is found for the first and the last character of each."""
    deck = blocks_of(*((f"word{n} end{n}", {"page": n}) for n in range(1, 1001)))
    grounding = Grounding(deck)
    for n in (1, 2, 500, 999, 1000):
        for quote in (f"word{n}", f"end{n}"):
            evidence = grounding.find(quote)
            assert evidence is not None
            assert evidence.location.page == n


# -- for every text ------------------------------------------------------------------------------------------------

WORDS = (
    "must", "not", "Approve", "20", "1,000.5", "-7", "can't", "it’s", "e-mail", "Straße", "café", "cafe\u0301", "İ",
    "Vi\u00ea\u0323t", "ﬁnal", "sta\ufb00", "soft\u00adhyphen", "zero\u200bwidth", "हिन्दी", "한글",
    "文書", "が", "か\u3099", "🚀", "👩\u200d💻", "✔\ufe0f", "x²", "(a)", "“b”", "…", "A", "ΌΛΟΣ",
)  # fmt: skip
GAPS = (" ", "  ", "\n", "\r\n", "\t", "\u00a0", ", ", ". ", " – ", "; ", "\n\n")


@st.composite
def quoted(draw: st.DrawFn) -> tuple[str, str]:
    """A text and whole words of it."""
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8))
    gaps = draw(st.lists(st.sampled_from(GAPS), min_size=len(words) - 1, max_size=len(words) - 1))
    pieces = [piece for pair in zip(words, [*gaps, ""], strict=True) for piece in pair]
    first = draw(st.integers(0, len(words) - 1))
    last = draw(st.integers(first, len(words) - 1))
    return "".join(pieces), "".join(pieces[2 * first : 2 * last + 1])


def holds(text: str, quote: str, evidence: Evidence | None) -> bool:
    """The invariant of everything that is accepted."""
    if evidence is None:
        return True
    source = text[evidence.location.start : evidence.location.end]
    return normalize(source) == normalize(quote) != "" and (evidence.match == "normalized" or source == quote)


@relaxed
@given(quoted())
def test_whole_words_of_a_text_are_found(case: tuple[str, str]) -> None:
    """Any whole words, taken out of a text as they are, are found exactly."""
    text, quote = case
    assert found(text, quote) == (quote, "exact")


def disguises() -> st.SearchStrategy[Any]:
    return st.sampled_from(
        [
            str.upper,
            str.lower,
            lambda quote: unicodedata.normalize("NFC", quote),
            lambda quote: unicodedata.normalize("NFD", quote),
            lambda quote: " ".join(quote.split()),
            lambda quote: quote.replace(" ", "\r\n  "),
            lambda quote: f"\n{quote} ",
            lambda quote: quote.replace("'", "’").replace("-", "\u2011"),
            lambda quote: quote.replace("’", "'").replace("“", '"').replace("”", "„").replace("–", "-"),
            lambda quote: "\u00ad".join(quote),
            lambda quote: quote.replace("ﬁ", "fi").replace("…", "..."),
        ]
    )


@relaxed
@given(quoted(), st.lists(disguises(), min_size=1, max_size=3))
def test_disguised_whole_words_are_found(case: tuple[str, str], changes: list[Any]) -> None:
    """Whole words are found whatever was done to their case, spaces, signs, composition or invisible characters."""
    text, quote = case
    for change in changes:
        quote = change(quote)
    assume(normalize(quote) == normalize(case[1]))  # not all of Unicode comes back from capitals
    evidence = find(text, quote)
    assert evidence is not None
    assert holds(text, quote, evidence)


@relaxed
@given(quoted(), st.data())
def test_an_altered_letter_or_digit_is_noticed(case: tuple[str, str], data: st.DataObject) -> None:
    """A quote with one letter or digit changed to another is rejected, unless the changed one stands elsewhere."""
    text, quote = case
    places = [place for place, character in enumerate(quote) if character.isalnum()]
    assume(places)
    place = data.draw(st.sampled_from(places))
    other = data.draw(st.sampled_from("abz019éß文"))
    assume(normalize(other) != normalize(quote[place]))
    altered = quote[:place] + other + quote[place + 1 :]
    assert normalize(altered) != normalize(quote)
    evidence = find(text, altered)
    assert holds(text, altered, evidence)
    if normalize(altered) not in normalize(text):
        assert evidence is None


pieces = st.lists(
    st.sampled_from([*WORDS, *GAPS, "a", "b", "1", "'", ".", "-", "\u0301", "\u00ad", "\r", "≠"]) | st.characters(),
    max_size=8,
).map("".join)


@relaxed
@given(pieces, pieces, st.data())
def test_what_is_accepted_stands_in_the_source(text: str, other: str, data: st.DataObject) -> None:
    """For any text and any quote, also one cut out anywhere, an accepted span folds to what the quote folds to."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    for quote in (other, text[start:end], text[start:end].swapcase(), normalize(text[start:end])):
        assert holds(text, quote, find(text, quote))


@relaxed
@given(pieces)
def test_a_text_quotes_itself(text: str) -> None:
    """A whole text is found in itself, unless nothing of it can be seen."""
    evidence = find(text, text)
    assert (evidence is None) == (normalize(text) == "")


@relaxed
@given(pieces)
def test_folding_is_done_once(text: str) -> None:
    """A folded text folds to itself."""
    assert normalize(normalize(text)) == normalize(text)


@relaxed
@given(st.text())
def test_canonically_equal_texts_fold_alike(text: str) -> None:
    """All forms in which Unicode calls a text the same are the same here."""
    for form in ("NFC", "NFD"):
        assert normalize(unicodedata.normalize(form, text)) == normalize(text)


@relaxed
@given(pieces, pieces)
def test_a_grounded_card_holds_only_what_stands(text: str, quote: str) -> None:
    """Every quote of a card ends as evidence or rejected, never both, never neither."""
    grounded = Grounding(document(text)).ground(Card(title="t", quotes=[quote]))
    assert len(grounded.evidence) + len(grounded.rejected_quotes) == 1
    assert all(holds(text, quote, evidence) for evidence in grounded.evidence)


def test_a_megabyte_is_no_trouble() -> None:
    """Quotes at the start, the end and nowhere in a megabyte of text are told apart."""
    text = "“First” words. " + "The system – résumé – must not wait 20 days.\r\n" * 22_000 + "Last words."
    grounding = Grounding(document(text))
    for quote, match in (('"first"', "normalized"), ("Last words", "exact"), ("LAST WORDS.", "normalized")):
        evidence = grounding.find(quote)
        assert evidence is not None
        assert evidence.match == match
        assert holds(text, quote, evidence)
    assert grounding.find("must wait 20 days") is None
    assert grounding.find("s") is None
