"""The `logprobs` object of chat choices."""

from __future__ import annotations

from collections.abc import Iterable

from edge_llama.api.reply.shapes import ChoiceLogprobs, TokenLogprobOut, TopLogprob
from edge_llama.chat.logprobs import TokenLogprob


def chat_logprobs(tokens: Iterable[TokenLogprob]) -> ChoiceLogprobs:
    """OpenAI's `logprobs` object of a choice or of a chunk of it."""
    return {"content": logprob_entries(tokens), "refusal": None}


def logprob_entries(tokens: Iterable[TokenLogprob]) -> list[TokenLogprobOut]:
    """What it tells of each token."""
    return [_entry(token) for token in tokens]


def _entry(token: TokenLogprob) -> TokenLogprobOut:
    return {**_plain(token), "top_logprobs": [_plain(each) for each in token.top]}


def _plain(token: TokenLogprob) -> TopLogprob:
    """Part of a character is spelled as OpenAI does: `\\xf0\\x9f`."""
    text = token.text
    return {
        "token": "".join(f"\\x{byte:02x}" for byte in token.data) if text is None else text,
        "logprob": token.logprob,
        "bytes": list(token.data) or None,
    }
