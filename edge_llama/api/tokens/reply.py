"""What is told of tokens: as JSON that is written piece by piece, as it may be long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import msgspec

from edge_llama.api.tokens.schemas import TokenizeRequest
from edge_llama.api.tokens.shapes import TokenizerInfo, TokenPiece
from edge_llama.chat.tokens import Token, TokenRow
from edge_llama.engine.protocol.model_info import ModelInfo

_Write: TypeAlias = Callable[[Token], bytes]
"""Writes a token as JSON."""


def tokenized(tokens: TokenRow, asked: TokenizeRequest, n_ctx: int) -> Iterator[bytes]:
    """The JSON of `TokenizedOut`, piece by piece."""
    yield b'{"count":%d,"max_model_len":%d,"tokens":' % (len(tokens), n_ctx)
    yield from _list(tokens, _piece if asked.with_pieces else _id)
    yield b',"token_strs":'
    if asked.return_token_strs:
        yield from _list(tokens, _text)
    else:
        yield b"null"
    yield b"}"


def _list(tokens: TokenRow, write: _Write) -> Iterator[bytes]:
    before = b"["
    for part in tokens.parts():
        written = {token.id: write(token) for token in part.kinds()}
        yield before + b",".join(map(written.__getitem__, part.ids))
        before = b","
    yield b"]" if len(tokens) else b"[]"


def _id(token: Token) -> bytes:
    return b"%d" % token.id


def _text(token: Token) -> bytes:
    return msgspec.json.encode(token.spelled.decode(errors="replace"))


def _piece(token: Token) -> bytes:
    piece: TokenPiece = {
        "id": token.id,
        "piece": list(token.data) if token.text is None else token.text,
    }
    return msgspec.json.encode(piece)


def detokenized(tokens: TokenRow) -> Iterator[bytes]:
    """The JSON of `DetokenizedOut`, piece by piece."""
    for before in (b'{"prompt":"', b'","content":"'):
        yield before
        for text in tokens.texts():
            yield msgspec.json.encode(text)[1:-1]
    yield b'"}'


def tokenizer_object(info: ModelInfo) -> TokenizerInfo:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": info.bos_token or None,
        "eos_token": info.eos_token or None,
        "add_bos_token": bool(info.bos_token),
        "chat_template": info.chat_template or None,
        "model_max_length": info.n_ctx,
        "vocab_size": info.n_vocab,
        "special_tokens": info.control_tokens,
    }
