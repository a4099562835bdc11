"""Forms as the SDK writes them, read back."""

from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe._encode import _api_encode

from tests.support.sdk_schema import SchemaMismatch, decode_form


def test_a_form_decodes_into_maps_and_lists() -> None:
    body = b"line_items[0][price_data][currency]=eur&line_items[1][quantity]=2&a=&metadata[0]=x%26y"
    assert decode_form(body) == {
        "line_items": [{"price_data": {"currency": "eur"}}, {"quantity": "2"}],
        "a": "",
        "metadata": {"0": "x&y"},
    }
    assert decode_form(b"") == {}


@pytest.mark.parametrize(
    "body", [b"a[]=1", b"a[0=1", b"[a]=1", b"a=1&a=2", b"a=1&a[b]=2", b"a[1]=1"]
)
def test_a_malformed_form_fails(body: bytes) -> None:
    with pytest.raises(SchemaMismatch):
        decode_form(body)


NAMES = st.from_regex(r"[a-z_]{1,8}", fullmatch=True).filter(lambda name: name != "metadata")
TREES = st.dictionaries(
    NAMES,
    st.recursive(
        st.text(max_size=5),
        lambda inner: (
            st.lists(inner, min_size=1, max_size=12)
            | st.dictionaries(NAMES, inner, min_size=1, max_size=3)
        ),
        max_leaves=15,
    ),
)


@given(TREES)
def test_whatever_the_sdk_encodes_decodes_to_itself(tree: dict[str, Any]) -> None:
    assert decode_form(urlencode(list(_api_encode(tree))).encode()) == tree
