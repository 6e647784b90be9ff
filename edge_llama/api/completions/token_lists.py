"""TokenLists and WrittenTokenLists: the lists of `logprobs`, with an entry for each token."""

from __future__ import annotations

from dataclasses import dataclass

from edge_llama.api.completions.shapes import CompletionLogprobs
from edge_llama.api.http.written_list import WrittenList
from edge_llama.chat.logprobs import TokenLogprob


class TokenLists:
    """What is told of a few tokens.

    Args:
        with_top: whether the likeliest tokens are told; if not, that list is null.
    """

    def __init__(self, *, with_top: bool) -> None:
        self.tokens: list[str] = []
        self.token_logprobs: list[float | None] = []
        self.top_logprobs: list[dict[str, float] | None] | None = [] if with_top else None
        self.text_offset: list[int] = []

    def add(self, name: str, entry: TokenLogprob | None, offset: int) -> None:
        """Tell of one more; the first of a prompt has no log-probability."""
        self.tokens.append(name)
        self.token_logprobs.append(None if entry is None else entry.logprob)
        self.text_offset.append(offset)
        if self.top_logprobs is not None:
            self.top_logprobs.append(None if entry is None else _top(entry))

    def shape(self) -> CompletionLogprobs:
        return {
            "tokens": self.tokens,
            "token_logprobs": self.token_logprobs,
            "top_logprobs": self.top_logprobs,
            "text_offset": self.text_offset,
        }


@dataclass(frozen=True, slots=True)
class WrittenTokenLists:
    """What is told of all tokens, as JSON that is written while they come."""

    tokens: WrittenList[str]
    token_logprobs: WrittenList[float | None]
    top_logprobs: WrittenList[dict[str, float] | None] | None
    text_offset: WrittenList[int]

    @classmethod
    def empty(cls, *, with_top: bool) -> WrittenTokenLists:
        return cls(WrittenList(), WrittenList(), WrittenList() if with_top else None, WrittenList())

    def add(self, lists: TokenLists) -> None:
        self.tokens.add(lists.tokens)
        self.token_logprobs.add(lists.token_logprobs)
        if self.top_logprobs is not None and lists.top_logprobs is not None:
            self.top_logprobs.add(lists.top_logprobs)
        self.text_offset.add(lists.text_offset)

    def copy(self) -> WrittenTokenLists:
        """Others with the same entries, which grow by themselves."""
        return WrittenTokenLists(
            self.tokens.copy(),
            self.token_logprobs.copy(),
            None if self.top_logprobs is None else self.top_logprobs.copy(),
            self.text_offset.copy(),
        )

    def shape(self) -> CompletionLogprobs:
        return {
            "tokens": self.tokens,
            "token_logprobs": self.token_logprobs,
            "top_logprobs": self.top_logprobs,
            "text_offset": self.text_offset,
        }


def token_name(text: str | None, data: bytes) -> str:
    """A token; part of a character is spelled `bytes:\\xf0\\x9f`, as OpenAI does."""
    if text is None:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)
    return text


def _top(entry: TokenLogprob) -> dict[str, float]:
    top: dict[str, float] = {}
    for each in (*entry.top, entry):
        top.setdefault(token_name(each.text, each.data), each.logprob)
    return top
