"""ModelRunner: computes a step and has it sampled."""

from __future__ import annotations

from typing import Protocol

from edge_llama.engine.binding import Batch, Context, DecodeStatus
from edge_llama.engine.run.pooling import Pooler, Pooling
from edge_llama.engine.sequence import Sequence
from edge_llama.engine.span import Sampled, Span


class Sampling(Protocol):
    """What chooses tokens; `SpanSampler` does."""

    def sample(self, span: Span, first: int) -> Sampled: ...

    def release(self, sequence: Sequence) -> None: ...


class ModelRunner:
    """Runs spans through llama.cpp.

    Args:
        context: the weights with their KV cache.
        sampling: chooses tokens by the context's logits.
        batch_size: most tokens of a step.
        pooling: how embeddings are made.
    """

    def __init__(
        self,
        context: Context,
        sampling: Sampling,
        batch_size: int,
        pooling: Pooling = Pooling.MEAN,
    ) -> None:
        self._context = context
        self._sampling = sampling
        self._batch = Batch(batch_size)
        self._pooling = pooling
        self._poolers: dict[Sequence, Pooler] = {}

    def run(self, spans: list[Span]) -> tuple[DecodeStatus, list[Sampled]]:
        """Compute the spans and sample their outputs.

        Returns:
            The status, and if it is OK for each span what was sampled.

        Raises:
            DecodeError: llama.cpp reports a fault.
        """
        self._batch.clear()
        outputs = [
            self._batch.add(
                span.tokens,
                span.start,
                span.seq_id,
                span.n_outputs,
                scored=span.scored,
                embedded=span.embedded,
            )
            for span in spans
        ]
        status = self._context.decode(self._batch)
        if status is not DecodeStatus.OK:
            return status, []
        sampled = [self._sample(span, index) for span, index in zip(spans, outputs, strict=True)]
        return status, sampled

    def release(self, sequence: Sequence) -> None:
        """Free what is held for a sequence that ended."""
        self._sampling.release(sequence)
        self._poolers.pop(sequence, None)

    def _sample(self, span: Span, first: int) -> Sampled:
        """Sample from a span whose first logits, or embeddings, are at batch index `first`."""
        sampled = self._sampling.sample(span, first)
        if span.embedded:
            self._embed(span, first, sampled)
        return sampled

    def _embed(self, span: Span, first: int, sampled: Sampled) -> None:
        """Pool the embeddings of a prompt's tokens; the last of them complete it."""
        sequence = span.sequence
        if span.start == 0:
            self._poolers[sequence] = Pooler(self._pooling)
        pooler = self._poolers[sequence]
        pooler.add(self._context.embeddings(first, len(span.tokens)))
        if span.start + len(span.tokens) == sequence.num_prompt:
            sampled.embedding = pooler.embedding()
