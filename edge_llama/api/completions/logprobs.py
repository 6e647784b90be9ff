"""The `logprobs` object of text completions."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from typing import Any

from edge_llama.api.completions.running import Echo
from edge_llama.chat.logprobs import TokenLogprob


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

    def echo(self, echo: Echo, entries: Iterable[TokenLogprob]) -> dict[str, Any] | None:
        """Of a prompt, which `entries` has all tokens of but the first."""
        if self._n_top is None:
            return None
        first, *rest = echo.tokens
        told = self._empty()
        self._add(told, first.text, first.data, None)
        # Where the text does not begin with it, the first token begins every prompt.
        spelled = first.spelled.decode(errors="replace")
        self._advance(first.spelled if echo.text.startswith(spelled) else first.data)
        for token, entry in zip(rest, entries, strict=True):
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


def _top(entry: TokenLogprob) -> dict[str, float]:
    top: dict[str, float] = {}
    for each in (*entry.top, entry):
        top.setdefault(_name(each.text, each.data), each.logprob)
    return top


def _name(text: str | None, data: bytes) -> str:
    if text is None:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)
    return text
