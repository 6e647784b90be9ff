from __future__ import annotations

import io
import itertools

from hypothesis import given
from hypothesis import strategies as st

from edge_llama.engine.protocol.frames import FrameDecoder, encode_frame, read_frame

Payloads = st.lists(st.binary(max_size=40), max_size=6)


@given(Payloads, st.lists(st.integers(0, 300), max_size=8))
def test_any_portions_give_the_same_frames(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(encode_frame, payloads))
    borders = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    decoder = FrameDecoder()
    decoded = []
    for start, end in itertools.pairwise(borders):
        decoded += list(decoder.feed(stream[start:end]))
    assert decoded == payloads


@given(Payloads)
def test_a_blocking_reader_gets_the_same_frames(payloads: list[bytes]) -> None:
    stream = io.BytesIO(b"".join(map(encode_frame, payloads)))
    assert [read_frame(stream) for _ in payloads] == payloads
    assert read_frame(stream) is None


def test_a_frame_cut_off_by_the_end_is_none() -> None:
    frame = encode_frame(b"hello")
    for end in range(len(frame)):
        assert read_frame(io.BytesIO(frame[:end])) is None
