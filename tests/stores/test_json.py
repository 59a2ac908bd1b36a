"""JSON text as the stores keep it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardanalysis import StoreError
from cardanalysis.stores import _json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(st.dictionaries(st.text(), VALUES, max_size=4))
def test_the_text_is_compact_json(value: dict[str, Any]) -> None:
    """The text is what json itself writes, without blanks and with every character as it is; and it is read back."""
    text = _json.dumps(value)
    assert text == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert _json.loads(text) == value


def test_it_does_not_need_the_inner_parts_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the interpreter has no such encoder, or another one, the text is the same."""
    value = {"a": [1, 2.5, None, {"ü": "\n"}], "b": (True, {})}
    with monkeypatch.context() as patched:
        patched.setitem(vars(json.encoder), "c_make_encoder", lambda: None)
        other = _json._make_encode()
        patched.delitem(vars(json.encoder), "c_make_encoder")
        none = _json._make_encode()
    assert other(value) == none(value) == _json.dumps(value)


def test_what_is_no_json_is_refused() -> None:
    """Numbers that are none, keys that are no text, other objects, and what contains itself."""
    endless: dict[str, Any] = {}
    endless["again"] = [endless]
    for value in ({"a": float("nan")}, {"a": [{1: "b"}]}, {"a": {2}}, endless):
        with pytest.raises(StoreError) as caught:
            _json.dumps(value)
        assert caught.value.code == "not_json"
