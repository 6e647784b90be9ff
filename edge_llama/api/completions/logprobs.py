"""The `logprobs` object of text completions."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from typing import Any

from edge_llama.api.completions.running import Echo
from edge_llama.api.http.written_list import WrittenList
from edge_llama.chat.logprobs import TokenLogprob
from edge_llama.chat.tokens import Token


class LogprobsWriter:
    """Writes OpenAI's `logprobs` of one choice: lists with an entry per token.

    Part of a character is spelled `bytes:\\xf0\\x9f`, as OpenAI does. `top_logprobs` has the token
    itself besides the most likely ones; it is null if none of those were asked for.

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

    def begin(self, token: Token, text: str) -> dict[str, Any] | None:
        """Of the first token of a prompt of this text."""
        if self._n_top is None:
            return None
        told = self._empty()
        self._add(told, token.text, token.data, None)
        # Where the text does not begin with it, the first token begins every prompt.
        spelled = token.spelled.decode(errors="replace")
        self._advance(token.spelled if text.startswith(spelled) else token.data)
        return told

    def prompt(
        self, tokens: Iterator[Token], entries: Iterable[TokenLogprob]
    ) -> dict[str, Any] | None:
        """Of the next tokens of the prompt, which are taken from `tokens`."""
        if self._n_top is None:
            return None
        told = self._empty()
        for entry in entries:
            token = next(tokens)
            self._add(told, token.text, token.data, entry)
            self._advance(token.spelled)
        return told

    def output(self, entries: Iterable[TokenLogprob]) -> dict[str, Any] | None:
        """Of the next tokens of the output."""
        if self._n_top is None:
            return None
        told = self._empty()
        for entry in entries:
            self._add(told, entry.text, entry.data, entry)
            self._advance(entry.data)
        return told

    def _empty(self) -> dict[str, Any]:
        told: dict[str, Any] = {"tokens": [], "token_logprobs": []}
        return told | {"top_logprobs": [] if self._n_top else None, "text_offset": []}

    def _add(
        self, told: dict[str, Any], text: str | None, data: bytes, entry: TokenLogprob | None
    ) -> None:
        told["tokens"].append(_name(text, data))
        told["token_logprobs"].append(entry and entry.logprob)
        told["text_offset"].append(self._offset)
        if told["top_logprobs"] is not None:
            told["top_logprobs"].append(entry and _top(entry))

    def _advance(self, data: bytes) -> None:
        self._offset += len(self._decoder.decode(data))


class WrittenLogprobs:
    """The same of all tokens that are told: of a prompt, if it is echoed, and of what follows it.

    Args:
        n_top: as for `LogprobsWriter`.
        echo: the prompt, if it is told.

    Attributes:
        writer: where it is.
        lists: what is told so far; None is null.
    """

    def __init__(self, n_top: int | None, echo: Echo | None) -> None:
        self.writer = LogprobsWriter(n_top)
        self.lists = _growing(self.writer.output(()))
        self._prompt: Iterator[Token] = iter(())
        if echo is not None:
            self._prompt = iter(echo.tokens)
            self._add(self.writer.begin(next(self._prompt), echo.text))

    def copy(self) -> WrittenLogprobs:
        """Another that goes on where this one is, behind the prompt."""
        copied = WrittenLogprobs(None, None)
        copied.writer = self.writer.copy()
        if self.lists is not None:
            copied.lists = {name: each and each.copy() for name, each in self.lists.items()}
        return copied

    def read(self, entries: Iterable[TokenLogprob]) -> None:
        """Add the next tokens of the prompt."""
        self._add(self.writer.prompt(self._prompt, entries))

    def add(self, entries: Iterable[TokenLogprob]) -> None:
        """Add the next tokens of the output."""
        self._add(self.writer.output(entries))

    def _add(self, told: dict[str, Any] | None) -> None:
        for name, written in (self.lists or {}).items():
            if told is not None and written is not None:
                written.add(told[name])


def _growing(told: dict[str, Any] | None) -> dict[str, WrittenList | None] | None:
    if told is None:
        return None
    return {name: None if entries is None else WrittenList() for name, entries in told.items()}


def _top(entry: TokenLogprob) -> dict[str, float]:
    top: dict[str, float] = {}
    for each in (*entry.top, entry):
        top.setdefault(_name(each.text, each.data), each.logprob)
    return top


def _name(text: str | None, data: bytes) -> str:
    if text is None:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)
    return text
