"""OutputDecoder: the bytes of a choice's tokens to its text."""

from __future__ import annotations

from collections.abc import Iterable

from edge_llama.text.detokenizer import StreamingDetokenizer
from edge_llama.text.stop_matcher import StopMatcher


class OutputDecoder:
    """Bytes in, text up to the first stop string out.

    Raises:
        InvalidValue: the stop strings cannot be used, see `StopMatcher`.
    """

    def __init__(self, stops: Iterable[str] = ()) -> None:
        self._detokenizer = StreamingDetokenizer()
        self._matcher = StopMatcher(stops)

    @property
    def matched(self) -> str | None:
        """The stop string that was found, None so far."""
        return self._matcher.matched

    def feed(self, data: bytes) -> str:
        """What may be passed on now; after a match, nothing."""
        return self._matcher.feed(self._detokenizer.feed(data))

    def flush(self) -> str:
        """What was held back, because the output ends here."""
        return self._matcher.feed(self._detokenizer.flush()) + self._matcher.flush()
