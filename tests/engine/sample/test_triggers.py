from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge_llama.engine.protocol.grammar import Trigger
from edge_llama.engine.sample.triggers import START, Triggers

TEXTS = st.text("ab", min_size=1, max_size=4)


def found(triggers: Triggers, pieces: list[bytes]) -> tuple[Trigger | None, bytes]:
    """The first trigger in a text that comes in pieces, and the text before it and with it."""
    begun, before = START, b""
    for piece in pieces:
        begun, trigger, rest = triggers.read(begun, piece)
        before += piece
        if trigger is not None:
            return trigger, before.removesuffix(rest)
    return None, before


@given(
    st.dictionaries(TEXTS, st.booleans(), max_size=4),
    st.text("abc", max_size=12),
    st.lists(st.integers(0, 12), max_size=4),
)
def test_the_first_trigger_is_found_however_the_text_is_cut(
    texts: dict[str, bool], text: str, cuts: list[int]
) -> None:
    triggers = [Trigger(written, written, at_start) for written, at_start in texts.items()]
    ends = [
        (text.index(each.written) + len(each.written), -len(each.written), each)
        for each in triggers
        if (text.startswith(each.written) if each.at_start else each.written in text)
    ]
    places = [0, *sorted(cut for cut in cuts if cut <= len(text)), len(text)]
    pieces = [text[a:b].encode() for a, b in pairwise(places)]
    trigger, before = found(Triggers(triggers), pieces)
    if ends:
        end, _, first = min(ends, key=lambda each: each[:2])
        assert (trigger, before) == (first, text[:end].encode())
    else:
        assert (trigger, before) == (None, text.encode())


def test_a_trigger_may_begin_within_another() -> None:
    triggers = Triggers([Trigger("abab!", ""), Trigger("ba?", "")])
    assert found(triggers, [b"ab", b"aba", b"b!"])[1] == b"ababab!"
    assert found(triggers, [b"abab", b"a?b"])[1] == b"ababa?"


def test_what_is_only_begun_at_the_start_is_forgotten() -> None:
    triggers = Triggers([Trigger("ab", "", at_start=True)])
    assert found(triggers, [b"a", b"b"])[0] is not None
    assert found(triggers, [b"x", b"ab"])[0] is None
    assert triggers.read(START, b"x")[0] == (b".",)
