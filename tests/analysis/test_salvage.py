"""What is saved of an answer that was cut: the whole cards, and nothing else."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardanalysis.analysis._answers import parse_cards
from cardanalysis.analysis._salvage import salvage

CARD: dict[str, Any] = {
    "quotes": ["Clerks retype every order.", "by 1 March"],
    "title": "Import orders",
    "problem": "",
    "target_users": ["clerks"],
    "current_state": "By hand.",
    "desired_outcomes": [],
    "constraints": [],
    "systems": ["SAP"],
    "priority": "high",
    "impact": "",
}
HARD = CARD | {
    "title": '}]}, {"cards": [{ \\" \\\\ 🚀 \ud83d',
    "problem": 'He said: "{[,]}"\n\t\x00',
    "systems": ["\\", '"'],
}

texts = st.text(st.sampled_from('ab{}[],:"\\ \n\u00e9🚀\ud83d\u2028'), max_size=4)
lists = st.lists(texts, max_size=1)
cards = st.fixed_dictionaries(
    {name: lists if isinstance(value, list) else texts for name, value in CARD.items()}
    | {"title": texts.filter(str.strip), "priority": st.sampled_from(["high", "Medium", "unstated"])}
)


def answer(*cards: dict[str, Any], indent: int | None = None, ascii_only: bool = True) -> str:
    return json.dumps({"cards": list(cards)}, indent=indent, ensure_ascii=ascii_only)


def ends_of(text: str, cards: list[dict[str, Any]], **style: Any) -> list[int]:
    """Where each card of an answer ends, told from the answers with fewer cards and not by a scanner."""
    tail = len("]}") if style["indent"] is None else len("\n" + " " * style["indent"] + "]\n}")
    ends = [len(answer(*cards[: count + 1], **style)) - tail for count in range(len(cards))]
    assert all(text[end - 1] == "}" for end in ends)
    return ends


@settings(max_examples=60)
@given(st.lists(cards, max_size=3), st.sampled_from([None, 0, 2]), st.booleans())
def test_every_prefix_gives_the_cards_that_are_whole_in_it(
    cards: list[dict[str, Any]], indent: int | None, ascii_only: bool
) -> None:
    """Wherever an answer is cut, its first cards up to the cut are taken, and not one of which the end is missing."""
    style = {"indent": indent, "ascii_only": ascii_only}
    text = answer(*cards, **style)
    ends = ends_of(text, cards, **style)
    for cut in range(len(text) + 1):
        found = salvage(text[:cut])
        assert list(found.cards) == cards[: sum(end <= cut for end in ends)]
        assert found.complete == (cut == len(text))
        assert found.invalid == 0


def test_strings_that_look_like_json_are_text() -> None:
    """Braces, quotes, escapes and halves of surrogate pairs inside a string end nothing."""
    text = answer(HARD, CARD, HARD)
    assert salvage(text).cards == (HARD, CARD, HARD)
    assert salvage(text[:-3]).cards == (HARD, CARD)


@settings(max_examples=50)
@given(st.lists(cards, max_size=3))
def test_a_whole_answer_gives_what_parsing_gives(cards: list[dict[str, Any]]) -> None:
    """Nothing of a whole answer is lost by salvaging it."""
    text = answer(*cards, indent=1)
    found = salvage(f" \n{text}\r\n ")
    assert found.complete
    assert len(found.cards) == len(parse_cards(text, made_by="m"))


@pytest.mark.parametrize("text", ["", " ", "{", '{"ca', '{"cards"', '{"cards":', '{"cards": ', '{"cards": ['])
def test_an_answer_cut_before_its_first_card_gives_none(text: str) -> None:
    """There may be nothing to save."""
    found = salvage(text)
    assert (found.cards, found.complete, found.invalid) == ((), False, 0)


def test_an_answer_without_cards_can_be_complete() -> None:
    """A document that asks for nothing has a whole answer."""
    assert salvage(' {"cards" : [ ] } ').complete


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "[]",
        "Sorry, I cannot do that.",
        f"[{json.dumps(CARD)}]",
        '{"cards": {}}',
        '{"cards": [1, 2]}',
        '{"cards": [null]}',
        '{"items": []}',
        '{"cards": []} and more',
        '{"cards": [],}',
        '{"cards": [], "cards": []}',
    ],
)
def test_what_is_no_answer_is_not_complete(text: str) -> None:
    """Other values, and text around an answer, are not taken for a whole answer."""
    assert not salvage(text).complete
    assert salvage(text).cards == ()


@pytest.mark.parametrize(
    "broken",
    [
        {},
        CARD | {"title": " \n"},
        CARD | {"priority": "urgent"},
        CARD | {"quotes": "Clerks"},
        CARD | {"quotes": [1]},
        CARD | {"more": ""},
        {name: value for name, value in CARD.items() if name != "impact"},
    ],
)
def test_a_card_that_breaks_the_schema_is_counted_and_left_out(broken: dict[str, Any]) -> None:
    """The other cards of the answer are good, and how many are not is told."""
    found = salvage(answer(CARD, broken, CARD)[:-1])
    assert (found.cards, found.complete, found.invalid) == ((CARD, CARD), False, 1)


@pytest.mark.parametrize("between", ["", ";", ",,", ", 3,", ", null,", "] ,"])
def test_reading_stops_where_the_list_is_broken(between: str) -> None:
    """What follows broken JSON is not guessed at."""
    card = json.dumps(CARD)
    found = salvage(f'{{"cards": [{card}{between}{card}]}}')
    assert found.cards == (CARD,)
    assert not found.complete


@pytest.mark.parametrize(
    "bomb", ["[" * 200_000, '{"a":' * 200_000, "{" * 200_000, " " * 200_000, '"' + "\\u12" * 9, "9" * 200_000, "{},"]
)
def test_a_hostile_end_costs_no_card(bomb: str) -> None:
    """Deep nesting, long numbers and broken escapes end the reading; the cards before them stay."""
    start = answer(CARD)[:-2]
    for hostile in (f"{start}, {bomb}", f'{start}, {{"quotes": [{bomb}'):
        assert salvage(hostile).cards == (CARD,)


def test_the_repr_holds_no_text() -> None:
    """What a model wrote does not get into logs by a repr."""
    assert "Clerks" not in repr(salvage(answer(CARD)))


def test_each_card_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is gone through once, so that a long answer takes no more than its length."""
    places: list[tuple[int, int]] = []

    class Counting(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
            value, end = super().raw_decode(s, idx)
            places.append((idx, end))
            return value, end

    monkeypatch.setattr("cardanalysis.analysis._salvage._DECODER", Counting())
    assert len(salvage(answer(*[CARD] * 50)).cards) == 50
    assert len(places) == 51
    assert all(end <= start for (_, end), (start, _) in pairwise(places))
