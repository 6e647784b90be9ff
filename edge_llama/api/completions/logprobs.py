"""The `logprobs` object of text completions."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator

from edge_llama.api.completions.running import Echo
from edge_llama.api.completions.shapes import CompletionLogprobs
from edge_llama.api.completions.token_lists import TokenLists, WrittenTokenLists, token_name
from edge_llama.chat.logprobs import TokenLogprob
from edge_llama.chat.tokens import Token


class LogprobsWriter:
    """Writes OpenAI's `logprobs` of one choice: lists with an entry per token.

    `top_logprobs` has the token itself besides the most likely ones; it is null if none of those
    were asked for.

    Args:
        n_top: most likely tokens to tell; None writes null instead of objects.
    """

    def __init__(self, n_top: int | None) -> None:
        self._n_top = n_top
        self._offset = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def copy(self) -> LogprobsWriter:
        """Another that goes on where this one is."""
        copied = LogprobsWriter(self._n_top)
        copied._offset = self._offset
        copied._decoder.setstate(self._decoder.getstate())
        return copied

    def begin(self, token: Token, text: str) -> TokenLists | None:
        """Of the first token of a prompt of this text."""
        if self._n_top is None:
            return None
        told = TokenLists(with_top=bool(self._n_top))
        told.add(token_name(token.text, token.data), None, self._offset)
        # Where the text does not begin with it, the first token begins every prompt.
        spelled = token.spelled.decode(errors="replace")
        self._advance(token.spelled if text.startswith(spelled) else token.data)
        return told

    def prompt(self, tokens: Iterator[Token], entries: Iterable[TokenLogprob]) -> TokenLists | None:
        """Of the next tokens of the prompt, which are taken from `tokens`."""
        if self._n_top is None:
            return None
        told = TokenLists(with_top=bool(self._n_top))
        for entry in entries:
            token = next(tokens)
            told.add(token_name(token.text, token.data), entry, self._offset)
            self._advance(token.spelled)
        return told

    def output(self, entries: Iterable[TokenLogprob]) -> TokenLists | None:
        """Of the next tokens of the output."""
        if self._n_top is None:
            return None
        told = TokenLists(with_top=bool(self._n_top))
        for entry in entries:
            told.add(token_name(entry.text, entry.data), entry, self._offset)
            self._advance(entry.data)
        return told

    def _advance(self, data: bytes) -> None:
        self._offset += len(self._decoder.decode(data))


class WrittenLogprobs:
    """The same of all tokens that are told: of a prompt, if it is echoed, and of what follows it.

    Args:
        n_top: as for `LogprobsWriter`.
        echo: the prompt, if it is told.

    Attributes:
        writer: where it is.
    """

    def __init__(self, n_top: int | None, echo: Echo | None) -> None:
        self.writer = LogprobsWriter(n_top)
        self._lists = None if n_top is None else WrittenTokenLists.empty(with_top=bool(n_top))
        self._prompt: Iterator[Token] = iter(())
        if echo is not None:
            self._prompt = iter(echo.tokens)
            self._add(self.writer.begin(next(self._prompt), echo.text))

    def copy(self) -> WrittenLogprobs:
        """Another that goes on where this one is, behind the prompt."""
        copied = WrittenLogprobs(None, None)
        copied.writer = self.writer.copy()
        copied._lists = None if self._lists is None else self._lists.copy()
        return copied

    def read(self, entries: Iterable[TokenLogprob]) -> None:
        """Add the next tokens of the prompt."""
        self._add(self.writer.prompt(self._prompt, entries))

    def add(self, entries: Iterable[TokenLogprob]) -> None:
        """Add the next tokens of the output."""
        self._add(self.writer.output(entries))

    def shape(self) -> CompletionLogprobs | None:
        """What is told so far."""
        return None if self._lists is None else self._lists.shape()

    def _add(self, told: TokenLists | None) -> None:
        if self._lists is not None and told is not None:
            self._lists.add(told)
