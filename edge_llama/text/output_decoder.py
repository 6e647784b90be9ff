"""OutputDecoder: the bytes of a choice's tokens to its text."""

from __future__ import annotations

from collections.abc import Iterable

from edge_llama.text.detokenizer import StreamingDetokenizer
from edge_llama.text.stop_matcher import StopMatcher


class OutputDecoder:
    """Tokens' bytes in, text up to the first stop string out.

    Args:
        stops: strings that end the text.
        min_tokens: characters that are whole after so many tokens are not searched for them.

    Attributes:
        decoded: characters that are whole so far.
        released: characters that were passed on.

    Raises:
        InvalidValue: the stop strings cannot be used, see `StopMatcher`.
    """

    def __init__(self, stops: Iterable[str] = (), *, min_tokens: int = 0) -> None:
        self._detokenizer = StreamingDetokenizer()
        self._matcher = StopMatcher(stops)
        self._searching = True
        self._unsearched = min_tokens
        self.decoded = 0
        self.released = 0

    @property
    def matched(self) -> str | None:
        """The stop string that was found, None so far."""
        return self._matcher.matched

    def feed(self, data: bytes) -> str:
        """What may be passed on after one more token; after a match, nothing."""
        text = self._detokenizer.feed(data)
        self.decoded += len(text)
        if self._unsearched > 0:
            self._unsearched -= 1
        elif self._searching:
            text = self._matcher.feed(text)
        self.released += len(text)
        return text

    def pass_all(self) -> str:
        """Search for no stop string from now on; what was held back."""
        self._searching = False
        text = self._matcher.flush()
        self.released += len(text)
        return text

    def flush(self) -> str:
        """What was held back, because the output ends here."""
        last = self._detokenizer.flush()
        text = self._matcher.feed(last) + self._matcher.flush()
        self.decoded += len(last)
        self.released += len(text)
        return text
