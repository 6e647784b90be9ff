from __future__ import annotations

import struct
from collections.abc import Mapping

import pytest

from edge_llama.weights.gguf.charsmap import is_closed

UNITS = 512
LEAF, VALUE = 1 << 8, 1 << 31
TEXTS = b"A\0bc\0"


def unit(label: int, place: int, to: int, *, leaf: bool = False) -> int:
    """A unit at `place` that is reached by the byte `label` and leads to the block of `to`."""
    return (place ^ to) << 10 | LEAF * leaf | label


def charsmap(units: Mapping[int, int], texts: bytes = TEXTS, count: int = UNITS) -> bytes:
    # A unit that nothing leads to, as darts-clone leaves it.
    array = [units.get(place, 0) for place in range(count)]
    return struct.pack(f"<I{count}I", 4 * count, *array) + texts


# From the root, the byte "a" leads to 0x161, which means the text at 2.
WORKING = {0: unit(0, 0, 0x100), 0x161: unit(0x61, 0x161, 0x180, leaf=True), 0x180: VALUE | 2}


def test_a_whole_one() -> None:
    assert is_closed(charsmap(WORKING))


@pytest.mark.parametrize(
    "broken",
    [
        charsmap(WORKING | {0: unit(0, 0, 0x200)}),
        charsmap(WORKING | {0: VALUE | unit(0, 0, 0x200)}),
        charsmap(WORKING | {0x161: unit(0x61, 0x161, 0x3FF)}),
        charsmap(WORKING | {0x161: 0x61 | 1 << 9 | 7 << 10}),  # steps of 256
        charsmap(WORKING | {0x180: VALUE | len(TEXTS)}),
        charsmap(WORKING, TEXTS[:-1]),
        charsmap(WORKING, b""),
        charsmap(WORKING, count=UNITS - 1),
        charsmap({}, count=0),
        charsmap(WORKING)[:1000],
        b"\0\0",
        b"",
    ],
)
def test_one_that_leads_out_of_itself(broken: bytes) -> None:
    assert not is_closed(broken)
