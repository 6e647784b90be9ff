"""A made-up vocabulary with the structure of Llama 3's: byte-level BPE, then control tokens."""

from __future__ import annotations

import string
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from edge_llama.bench.synthetic.gguf_writer import HeaderValue

CONTROL_TOKENS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>",
    "<|reserved_special_token_2|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
)
"""Llama 3.1's, in the order of their ids, the first of which is 128,000 in the real vocabulary."""

FIRST_RESERVED = 3
N_BYTES = 256

NORMAL, CONTROL = 1, 3
"""llama.cpp's token types."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens in the order of their ids, and the merges that make the longer ones.

    Attributes:
        text: byte-level spellings: the 256 bytes, then one token for each merge.
        merges: pairs of spellings, separated by a space, the first merge first.
        control: spellings of the control tokens, which follow the text tokens.
    """

    text: tuple[str, ...]
    merges: tuple[str, ...]
    control: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.text) + len(self.control)

    def id_of(self, control: str) -> int:
        """The id of a control token."""
        return len(self.text) + self.control.index(control)

    def metadata(self) -> dict[str, HeaderValue]:
        """The `tokenizer.ggml` entries of a GGUF, as Llama 3.1's own files have them."""
        return {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": "llama-bpe",
            "tokenizer.ggml.tokens": [*self.text, *self.control],
            "tokenizer.ggml.token_type": [NORMAL] * len(self.text) + [CONTROL] * len(self.control),
            "tokenizer.ggml.merges": self.merges,
            "tokenizer.ggml.bos_token_id": self.id_of("<|begin_of_text|>"),
            "tokenizer.ggml.eos_token_id": self.id_of("<|eot_id|>"),
            "tokenizer.ggml.eot_token_id": self.id_of("<|eot_id|>"),
            "tokenizer.ggml.eom_token_id": self.id_of("<|eom_id|>"),
        }


def synthetic_vocabulary(n_vocab: int, n_control: int = len(CONTROL_TOKENS)) -> Vocabulary:
    """A vocabulary of `n_vocab` entries, the last `n_control` of them control tokens.

    Raises:
        ValueError: there is no room for the 256 bytes and Llama 3.1's control tokens.
    """
    n_merges = n_vocab - n_control - N_BYTES
    if n_merges < 1 or n_control < len(CONTROL_TOKENS):
        raise ValueError(f"{n_vocab} entries with {n_control} control tokens are too few")
    pairs = list(islice(_pairs(), n_merges))
    n_reserved = n_control - len(CONTROL_TOKENS)
    reserved = (f"<|reserved_special_token_{FIRST_RESERVED + i}|>" for i in range(n_reserved))
    return Vocabulary(
        text=(*byte_spellings(), *(left + right for left, right in pairs)),
        merges=tuple(f"{left} {right}" for left, right in pairs),
        control=(*CONTROL_TOKENS, *reserved),
    )


def byte_spellings() -> tuple[str, ...]:
    """GPT-2's spellings of the 256 bytes, in its order: printable bytes first, as themselves."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = range(0x100, 0x100 + N_BYTES - len(printable))
    return tuple(map(chr, [*printable, *others]))


def _pairs() -> Iterator[tuple[str, str]]:
    """Merges of endless made-up words, shorter ones first, those with a leading space first."""
    queue = deque(["\u0120", *string.ascii_lowercase])
    while True:
        left = queue.popleft()
        for right in string.ascii_lowercase:
            queue.append(left + right)
            yield left, right
