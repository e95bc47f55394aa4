"""JSON of every shape, with texts that no database can hold and without."""

from typing import Any

from hypothesis import strategies as st

_numbers = st.decimals(allow_nan=False, allow_infinity=False)
_odd = st.sampled_from(["\0", "a\0b", chr(0xD800), f"a{chr(0xDC80)}", "\ufffd"])
_storable = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)

any_text: st.SearchStrategy[str] = _storable | _odd


def _json(texts: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    return st.recursive(
        st.none() | st.booleans() | st.integers() | _numbers | texts,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
        max_leaves=8,
    )


any_json = _json(any_text)
storable_json = _json(_storable)
