from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.text.detokenizer import StreamingDetokenizer

SAMPLES = ["", "plain", "naïve café", "日本語", "👩‍👩‍👧‍👦 family", "\ufeffbom", "a\x00b"]


def decode(pieces: list[bytes]) -> list[str]:
    detokenizer = StreamingDetokenizer()
    return [*(detokenizer.feed(piece) for piece in pieces), detokenizer.flush()]


@pytest.mark.parametrize("text", SAMPLES)
def test_every_split_point_gives_the_same_text(text: str) -> None:
    data = text.encode()
    for cut in range(len(data) + 1):
        assert "".join(decode([data[:cut], data[cut:]])) == text


@pytest.mark.parametrize("text", SAMPLES)
def test_each_byte_gives_exactly_the_characters_that_are_whole(text: str) -> None:
    data = text.encode()
    detokenizer = StreamingDetokenizer()
    given_out = ""
    for length in range(1, len(data) + 1):
        given_out += detokenizer.feed(data[length - 1 : length])
        assert given_out == data[:length].decode("utf-8", "ignore")


@given(st.lists(st.binary(max_size=6)))
def test_any_bytes_in_any_pieces_decode_as_a_whole(pieces: list[bytes]) -> None:
    assert "".join(decode(pieces)) == b"".join(pieces).decode("utf-8", "replace")


def test_an_unfinished_character_becomes_a_replacement_at_the_end() -> None:
    assert decode([b"ok", "€".encode()[:2]]) == ["ok", "", "\ufffd"]


def test_invalid_bytes_do_not_hold_up_what_follows() -> None:
    assert decode([b"\xe2", b"(", b"\xff"]) == ["", "\ufffd(", "\ufffd", ""]


def test_flush_leaves_a_fresh_detokenizer() -> None:
    detokenizer = StreamingDetokenizer()
    detokenizer.feed(b"\xf0\x9f")
    assert detokenizer.flush() == "\ufffd"
    assert detokenizer.flush() == ""
    assert detokenizer.feed(b"x") == "x"
