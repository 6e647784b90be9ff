from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_llama.chat.tools.json_end import JSONEnd

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('{}[]"\\ aé'),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.text('{}[]"\\ aé', max_size=9), children, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=50)
@given(st.dictionaries(st.text('{}[]"\\ a'), VALUES), st.text(), st.booleans(), st.data())
def test_the_end_is_found_at_every_split(
    value: dict[str, Any], rest: str, ascii: bool, data: st.DataObject
) -> None:
    text = json.dumps(value, ensure_ascii=ascii)
    cut = data.draw(st.integers(0, len(text) - 1))
    finder = JSONEnd()
    assert finder.feed(text[:cut]) is None
    assert finder.feed(text[cut:] + rest) == len(text) - cut
