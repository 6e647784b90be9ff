"""Pooling: how the embeddings of tokens become that of a text."""

from __future__ import annotations

import enum

import numpy as np
import numpy.typing as npt

from edge_llama.engine.binding import FloatArray


class Pooling(str, enum.Enum):
    """Which tokens count; the names are those of llama.cpp."""

    MEAN = "mean"
    CLS = "cls"
    LAST = "last"

    @classmethod
    def from_gguf(cls, value: str) -> Pooling | None:
        """What a GGUF's `pooling_type` stands for (`llama_pooling_type` in llama.h).

        The mean, if it says nothing or none; None is a model that ranks texts.
        """
        return {"2": cls.CLS, "3": cls.LAST, "4": None}.get(value, cls.MEAN)


class Pooler:
    """Takes the embeddings of a text's tokens in turn."""

    def __init__(self, pooling: Pooling) -> None:
        self._pooling = pooling
        self._pooled: npt.NDArray[np.float64] | None = None

    def add(self, rows: FloatArray) -> None:
        """The next tokens' embeddings: shape (n_tokens, n_embd), n_tokens > 0."""
        if self._pooling is Pooling.MEAN:
            total = rows.sum(axis=0, dtype=np.float64)
            self._pooled = total if self._pooled is None else self._pooled + total
        elif self._pooling is Pooling.LAST or self._pooled is None:
            self._pooled = rows[0 if self._pooling is Pooling.CLS else -1].astype(np.float64)

    def embedding(self) -> bytes:
        """The text's embedding, of length 1: n_embd little-endian float32."""
        assert self._pooled is not None, "a text has tokens"
        norm = float(np.linalg.norm(self._pooled))
        return (self._pooled / (norm or 1.0)).astype("<f4").tobytes()
