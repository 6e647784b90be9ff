"""The map by which the vocabularies of T5 and XLM-R rewrite a text before they split it.

Format: a length, a double array (XCDA) of so many bytes, and texts that end with a NUL. A walk goes
from unit to unit by the bytes of the text: https://github.com/s-yata/darts-clone
"""

from __future__ import annotations

import sys
from array import array

MAX_BYTES = 1 << 21
"""Sentencepiece's own maps have up to 247,165."""

_LENGTH_BYTES = 4
_UNIT_BYTES = 4
_IS_VALUE = 1 << 31
_HAS_LEAF = 1 << 8


def is_closed(charsmap: bytes) -> bool:
    """Whether no text leads out of `charsmap`, where llama.cpp would end the process."""
    size = int.from_bytes(charsmap[:_LENGTH_BYTES], "little")
    texts = charsmap[_LENGTH_BYTES + size :]
    if not texts.endswith(b"\0"):
        return False
    count = size // _UNIT_BYTES
    units = array("I", charsmap[_LENGTH_BYTES : _LENGTH_BYTES + count * _UNIT_BYTES])
    if sys.byteorder == "big":
        units.byteswap()
    for place, unit in enumerate(units):
        if unit & _IS_VALUE and place:  # no walk passes here; all begin at the first unit
            continue
        block = place ^ _step(unit)
        if block | 0xFF >= count:  # a byte leads from there to any of its 256
            return False
        if unit & _HAS_LEAF and units[block] & ~_IS_VALUE >= len(texts):
            return False
    return count > 0


def _step(unit: int) -> int:
    return (unit >> 10) << ((unit & (1 << 9)) >> 6)
