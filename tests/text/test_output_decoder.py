from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edge_llama.text.output_decoder import OutputDecoder


def run(pieces: list[bytes], stops: list[str]) -> tuple[str, str | None]:
    decoder = OutputDecoder(stops)
    text = "".join([*(decoder.feed(piece) for piece in pieces), decoder.flush()])
    return text, decoder.matched


@given(st.text(alphabet="aé👍", max_size=12), st.lists(st.text("aé👍", min_size=1, max_size=3)))
def test_every_split_of_the_bytes_gives_the_same_text(text: str, stops: list[str]) -> None:
    data = text.encode()
    expected = run([data], stops)
    assert run([data[at : at + 1] for at in range(len(data))], stops) == expected
    for cut in range(len(data) + 1):
        assert run([data[:cut], data[cut:]], stops) == expected


def test_a_stop_string_of_split_characters_is_found() -> None:
    data = "über 日本".encode()
    assert run([data[at : at + 1] for at in range(len(data))], ["日本"]) == ("über ", "日本")


def test_a_stop_string_that_ends_with_the_flush_is_found() -> None:
    assert run([b"a", b"\xe2\x82"], ["\ufffd"]) == ("a", "\ufffd")
