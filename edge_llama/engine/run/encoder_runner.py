"""EncoderRunner: computes the embeddings of whole texts."""

from __future__ import annotations

from edge_llama.engine.binding import Batch, Context, DecodeStatus
from edge_llama.engine.run.pooling import Pooler, Pooling


class EncoderRunner:
    """Runs texts through llama.cpp, all in one micro-batch.

    Args:
        context: of an encoder.
        batch_size: most tokens of a step.
        pooling: how embeddings are made.
    """

    def __init__(self, context: Context, batch_size: int, pooling: Pooling) -> None:
        self._context = context
        self._batch = Batch(batch_size)
        self._pooling = pooling

    def run(self, texts: list[list[int]]) -> tuple[DecodeStatus, list[bytes]]:
        """Embed token ids, of which no text has none.

        Returns:
            The status, and if it is OK the embedding of each text.

        Raises:
            DecodeError: llama.cpp reports a fault.
        """
        self._batch.clear()
        firsts = [
            self._batch.add(tokens, 0, seq_id, 0, embedded=True)
            for seq_id, tokens in enumerate(texts)
        ]
        status = self._context.decode(self._batch)
        # What has a KV cache all the same, such as a Llama that was made an encoder, needs it once.
        self._context.clear()
        if status is not DecodeStatus.OK:
            return status, []
        return status, [
            self._embedding(first, len(tokens)) for first, tokens in zip(firsts, texts, strict=True)
        ]

    def _embedding(self, first: int, n: int) -> bytes:
        pooler = Pooler(self._pooling)
        pooler.add(self._context.embeddings(first, n))
        return pooler.embedding()
