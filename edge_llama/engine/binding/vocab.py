"""Vocab: text to token ids and back."""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp


class Vocab:
    """A model's vocabulary: text to token ids and back. Safe to use from any thread."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self.n_tokens = int(llama_cpp.llama_vocab_n_tokens(handle))
        self.bos = int(llama_cpp.llama_vocab_bos(handle))
        self.add_bos = bool(llama_cpp.llama_vocab_get_add_bos(handle))
        self.eos = int(llama_cpp.llama_vocab_eos(handle))
        ids = range(self.n_tokens)
        self.control_tokens = {
            self.spelling(token): token
            for token in ids
            if llama_cpp.llama_vocab_is_control(handle, token)
        }
        self.eog_tokens = frozenset(
            token for token in ids if llama_cpp.llama_vocab_is_eog(handle, token)
        )
        self._pieces: list[bytes | None] = [None] * self.n_tokens

    @property
    def handle(self) -> Any:
        return self._handle

    @property
    def frame(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The tokens before and after a whole text: `[CLS]` and `[SEP]` of a WordPiece vocabulary,
        else those that begin and end a sequence, as far as the GGUF wants them.
        """
        begin, end = self.bos, self.eos
        if llama_cpp.llama_vocab_type(self._handle) == llama_cpp.LLAMA_VOCAB_TYPE_WPM:
            end = int(llama_cpp.llama_vocab_sep(self._handle))
        else:
            begin = begin if self.add_bos else -1
            end = end if llama_cpp.llama_vocab_get_add_eos(self._handle) else -1
        return (begin,) * (begin >= 0), (end,) * (end >= 0)

    @property
    def fill_tokens(self) -> dict[str, int | None]:
        """The tokens around the parts of a text whose middle is asked for, as far as the GGUF names
        them or llama.cpp knows their spelling.
        """
        ids = {
            "prefix": llama_cpp.llama_vocab_fim_pre(self._handle),
            "suffix": llama_cpp.llama_vocab_fim_suf(self._handle),
            "middle": llama_cpp.llama_vocab_fim_mid(self._handle),
            "repository": llama_cpp.llama_vocab_fim_rep(self._handle),
            "file": llama_cpp.llama_vocab_fim_sep(self._handle),
        }
        return {name: None if token < 0 else int(token) for name, token in ids.items()}

    @property
    def tokenize_address(self) -> int | None:
        """Where `llama_tokenize` is, for native code that calls it."""
        return ctypes.cast(llama_cpp.llama_cpp._lib.llama_tokenize, ctypes.c_void_p).value

    def spelling(self, token: int) -> str:
        """How the vocabulary spells a token; empty if there is no such token."""
        if not 0 <= token < self.n_tokens:
            return ""
        text: bytes = llama_cpp.llama_vocab_get_text(self._handle, token)
        return text.decode("utf-8", errors="replace")

    def tokenize(self, text: str) -> list[int]:
        """Token ids of ordinary text; nothing in it is taken for a control token.

        What a vocabulary marks as USER_DEFINED, which Llama's does not, is still one token.
        """
        if not text:
            return []
        data = text.encode("utf-8")
        size = len(data) + 16
        ids = (ctypes.c_int32 * size)()
        n = llama_cpp.llama_tokenize(self._handle, data, len(data), ids, size, False, False)
        if n < 0:
            ids = (ctypes.c_int32 * -n)()
            n = llama_cpp.llama_tokenize(self._handle, data, len(data), ids, -n, False, False)
        return list(ids[:n])

    def piece(self, token: int) -> bytes:
        """The bytes that a token stands for; empty for control tokens."""
        piece = self._pieces[token]
        if piece is None:
            piece = self._pieces[token] = self.read_piece(token)
        return piece

    def read_piece(self, token: int) -> bytes:
        """As `piece`, but does not keep it."""
        size = 64
        while True:
            buffer = ctypes.create_string_buffer(size)
            n = llama_cpp.llama_token_to_piece(self._handle, token, buffer, size, 0, False)
            if n >= 0:
                return buffer.raw[:n]
            size = -n
