"""StreamingDetokenizer: bytes of tokens to text."""

from __future__ import annotations

import codecs


class StreamingDetokenizer:
    """UTF-8 in pieces of any size to text, whole characters only.

    A character that is split over pieces is held back until it is whole. Invalid bytes become
    U+FFFD, just as `bytes.decode("utf-8", "replace")` of all pieces together has it.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> str:
        """The characters that `data` completes."""
        return self._decoder.decode(data)

    def flush(self) -> str:
        """What is left at the end: nothing, or U+FFFD for a character that was never finished."""
        text = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return text
