"""A tiny encoder with random weights: its GGUF, and what it computes, in plain numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from edge_llama.bench.synthetic.blocks import Floats, WeightFormat
from edge_llama.bench.synthetic.gguf_writer import HeaderValue, Tensor, write_gguf

Vector = npt.NDArray[np.float32]
Rows = npt.NDArray[np.float64]

PAD, UNK, CLS, SEP, MASK = range(5)
NORMAL, UNKNOWN, CONTROL = 1, 2, 3  # llama_token_type
POOLINGS = {"mean": 1, "cls": 2, "last": 3, "rank": 4}

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ("the", "sea", "is", "blue", "sky", "one", "two", "three")
VOCABULARY = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *(f"▁{word}" for word in WORDS),
    *(f"▁{letter}" for letter in LETTERS + ".,!?"),
    *LETTERS,
)
"""WordPiece as GGUFs have it: what begins a word has a mark, what goes on with it has none."""


class TinyEncoder:
    """BERT, or nomic-bert, which turns queries and keys by their positions and has a gate.

    Args:
        architecture: `bert` or `nomic-bert`.
        n_ctx: positions it is made for.
        seed: other weights for another one.
    """

    def __init__(
        self,
        architecture: str = "bert",
        *,
        n_layer: int = 2,
        n_embd: int = 64,
        n_head: int = 2,
        n_ctx: int = 512,
        seed: int = 1,
    ) -> None:
        self.architecture = architecture
        self.n_layer, self.n_embd, self.n_head, self.n_ctx = n_layer, n_embd, n_head, n_ctx
        self._random = np.random.default_rng(seed)
        self.weights = self._make_weights()

    def write(
        self,
        path: Path,
        *,
        pooling: Literal["mean", "cls", "last", "rank"] = "mean",
        metadata: Mapping[str, HeaderValue] | None = None,
    ) -> Path:
        """Write it as a GGUF; returns `path`."""
        kind = self.architecture
        entries: dict[str, HeaderValue] = {
            "general.architecture": kind,
            "general.name": f"tiny {kind}",
            "general.file_type": 0,
            f"{kind}.block_count": self.n_layer,
            f"{kind}.context_length": self.n_ctx,
            f"{kind}.embedding_length": self.n_embd,
            f"{kind}.feed_forward_length": 2 * self.n_embd,
            f"{kind}.attention.head_count": self.n_head,
            f"{kind}.attention.layer_norm_epsilon": 1e-12,
            f"{kind}.attention.causal": False,
            f"{kind}.pooling_type": POOLINGS[pooling],
            f"{kind}.rope.freq_base": 1000.0,
            "tokenizer.ggml.model": "bert",
            "tokenizer.ggml.pre": "default",
            "tokenizer.ggml.tokens": VOCABULARY,
            "tokenizer.ggml.token_type": [
                UNKNOWN if token == UNK else CONTROL if token <= MASK else NORMAL
                for token in range(len(VOCABULARY))
            ],
            "tokenizer.ggml.token_type_count": 2,
            "tokenizer.ggml.bos_token_id": CLS,
            "tokenizer.ggml.seperator_token_id": SEP,
            "tokenizer.ggml.unknown_token_id": UNK,
            "tokenizer.ggml.padding_token_id": PAD,
            "tokenizer.ggml.mask_token_id": MASK,
        }
        tensors = [_tensor(name, weights) for name, weights in self.weights.items()]
        write_gguf(path, entries | dict(metadata or {}), tensors)
        return path

    def embed(self, tokens: Sequence[int], pooling: str = "mean") -> Vector:
        """The embedding of token ids, of length 1."""
        rows = self._rows(np.array(tokens))
        pooled = {"mean": rows.mean(axis=0), "cls": rows[0], "last": rows[-1]}[pooling]
        vector: Vector = (pooled / np.linalg.norm(pooled)).astype(np.float32)
        return vector

    def _rows(self, tokens: npt.NDArray[np.int64]) -> Rows:
        """What the last layer has for each token."""
        w = self.weights
        x = w["token_embd.weight"][tokens] + w["token_types.weight"][0]
        if self.architecture == "bert":
            x = x + w["position_embd.weight"][: len(tokens)]
        x = self._norm(x, "token_embd_norm")
        for layer in range(self.n_layer):
            block = f"blk.{layer}"
            x = self._norm(x + self._attention(x, block), f"{block}.attn_output_norm")
            x = self._norm(x + self._feed_forward(x, block), f"{block}.layer_output_norm")
        return x

    def _attention(self, x: Rows, block: str) -> Rows:
        def heads(name: str) -> Rows:
            rows = self._linear(x, f"{block}.attn_{name}").reshape(len(x), self.n_head, -1)
            split: Rows = rows.transpose(1, 0, 2)
            return split

        q, k, v = heads("q"), heads("k"), heads("v")
        if self.architecture == "nomic-bert":
            q, k = _turned(q), _turned(k)
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        mixed = (shares @ v).transpose(1, 0, 2).reshape(len(x), -1)
        return self._linear(mixed, f"{block}.attn_output")

    def _feed_forward(self, x: Rows, block: str) -> Rows:
        up = self._linear(x, f"{block}.ffn_up")
        if self.architecture == "bert":
            hidden = _gelu(up)
        else:
            gate = self._linear(x, f"{block}.ffn_gate")
            hidden = up * gate / (1 + np.exp(-gate))
        return self._linear(hidden, f"{block}.ffn_down")

    def _linear(self, x: Rows, name: str) -> Rows:
        rows: Rows = x @ self.weights[f"{name}.weight"].T + self.weights.get(f"{name}.bias", 0)
        return rows

    def _norm(self, x: Rows, name: str) -> Rows:
        centred = x - x.mean(axis=-1, keepdims=True)
        scaled: Rows = centred / centred.std(axis=-1, keepdims=True)
        return scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def _make_weights(self) -> dict[str, Rows]:
        n, n_ff, biased = self.n_embd, 2 * self.n_embd, self.architecture == "bert"
        weights = {
            "token_embd.weight": self._noise(len(VOCABULARY), n),
            "token_types.weight": self._noise(2, n),
        }
        if self.architecture == "bert":
            weights["position_embd.weight"] = self._noise(self.n_ctx, n)

        def norm(name: str) -> None:
            weights[f"{name}.weight"] = 1 + 0.1 * self._noise(n)
            weights[f"{name}.bias"] = 0.1 * self._noise(n)

        def linear(name: str, rows: int, columns: int) -> None:
            weights[f"{name}.weight"] = self._noise(rows, columns) * 2 / np.sqrt(columns)
            if biased:
                weights[f"{name}.bias"] = 0.1 * self._noise(rows)

        norm("token_embd_norm")
        for layer in range(self.n_layer):
            block = f"blk.{layer}"
            for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
                linear(f"{block}.{name}", n, n)
            norm(f"{block}.attn_output_norm")
            linear(f"{block}.ffn_up", n_ff, n)
            linear(f"{block}.ffn_down", n, n_ff)
            if not biased:
                linear(f"{block}.ffn_gate", n_ff, n)
            norm(f"{block}.layer_output_norm")
        return weights

    def _noise(self, *shape: int) -> Rows:
        # As the file has them.
        return self._random.standard_normal(shape).astype(np.float32).astype(np.float64)


def tokens_of(*words: str) -> list[int]:
    """A text of `WORDS` as the vocabulary has it, begun and ended."""
    return [CLS, *(VOCABULARY.index(f"▁{word}") for word in words), SEP]


def _turned(heads: Rows) -> Rows:
    """RoPE as GPT-NeoX has it: the first half of a head's numbers with the second."""
    half = heads.shape[-1] // 2
    angles = np.arange(heads.shape[1])[:, None] * 1000.0 ** -(np.arange(half) / half)
    first, second = heads[..., :half], heads[..., half:]
    cos, sin = np.cos(angles), np.sin(angles)
    return np.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)


def _gelu(x: Rows) -> Rows:
    """The approximation that ggml computes."""
    result: Rows = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return result


def _tensor(name: str, weights: Rows) -> Tensor:
    return Tensor(name, weights.shape, WeightFormat.F32, _chunks(weights))


def _chunks(weights: Rows) -> Callable[[], Iterator[Floats]]:
    return lambda: iter([weights.astype(np.float32)])
