"""ModelRunner: computes a step and samples from it."""

from __future__ import annotations

import logging

from edge_llama.engine.binding import Batch, Context, DecodeStatus, Model
from edge_llama.engine.constraint import ConstraintError
from edge_llama.engine.logprobs import LogProbabilities
from edge_llama.engine.pooling import Pooler, Pooling
from edge_llama.engine.sampler import Sampler
from edge_llama.engine.sequence import Sequence
from edge_llama.engine.step import Sampled, Span

logger = logging.getLogger("edge_llama.engine")


class ModelRunner:
    """Runs spans through llama.cpp.

    Args:
        model: the weights.
        context: their KV cache.
        batch_size: most tokens of a step.
        pooling: how embeddings are made.
    """

    def __init__(
        self,
        model: Model,
        context: Context,
        batch_size: int,
        pooling: Pooling = Pooling.MEAN,
    ) -> None:
        self._vocab = model.vocab
        self._context = context
        self._batch = Batch(batch_size)
        self._samplers: dict[Sequence, Sampler] = {}
        self._pooling = pooling
        self._poolers: dict[Sequence, Pooler] = {}

    def run(self, spans: list[Span]) -> tuple[DecodeStatus, list[Sampled]]:
        """Compute the spans and sample their outputs.

        Returns:
            The status, and if it is OK for each span what was sampled: a token per output, ending
            after the first that differs from the draft fed at the next position.

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
        """Free what sampling holds for a sequence that ended."""
        self._samplers.pop(sequence, None)
        self._poolers.pop(sequence, None)

    def _sample(self, span: Span, first: int) -> Sampled:
        """Sample from a span whose first logits are at batch index `first`."""
        sampled = Sampled()
        if span.scored:
            self._score(span, first, sampled)
        if span.embedded:
            self._embed(span, first, sampled)
        if not span.n_outputs:
            return sampled
        first += span.n_logits - span.n_outputs
        sequence = span.sequence
        sampler = self._sampler(sequence)
        jumps = sequence.logprobs is None
        drafts = span.tokens[len(span.tokens) - span.n_outputs + 1 :]
        try:
            if jumps and not sequence.num_output and (forced := sampler.forced()):
                sampled.tokens, sampled.forced = forced[:1], forced[1:]
                return sampled
            for offset in range(span.n_outputs):
                self._sample_one(sequence, sampler, first + offset, sampled)
                if offset < len(drafts) and sampled.tokens[-1] != drafts[offset]:
                    break
            if jumps:
                sampled.forced = sampler.forced()
        except ConstraintError as error:
            logger.warning("An output is cut off, since nothing may follow: %s", error)
            sampled.stuck = True
        return sampled

    def _sample_one(
        self, sequence: Sequence, sampler: Sampler, index: int, sampled: Sampled
    ) -> None:
        logits = self._context.logits(index)
        if sequence.logprobs is None:
            sampled.tokens.append(sampler.sample(logits))
            return
        # Before the sampler, which changes logits in place.
        probabilities = LogProbabilities(logits)
        token = sampler.sample(logits)
        sampled.tokens.append(token)
        sampled.logprobs.append(probabilities.entry(token, sequence.logprobs, self._vocab))

    def _score(self, span: Span, first: int, sampled: Sampled) -> None:
        """Tell what the logits of each token say of the next token of the prompt."""
        sequence = span.sequence
        following = sequence.token_ids[span.start + 1 : sequence.num_prompt][: len(span.tokens)]
        for index, token in enumerate(following, first):
            probabilities = LogProbabilities(self._context.logits(index))
            entry = probabilities.entry(token, sequence.prompt_logprobs or 0, self._vocab)
            sampled.prompt_logprobs.append(entry)

    def _embed(self, span: Span, first: int, sampled: Sampled) -> None:
        """Pool the embeddings of a prompt's tokens; the last of them complete it."""
        sequence = span.sequence
        if span.start == 0:
            self._poolers[sequence] = Pooler(self._pooling)
        pooler = self._poolers[sequence]
        pooler.add(self._context.embeddings(first, len(span.tokens)))
        if span.start + len(span.tokens) == sequence.num_prompt:
            sampled.embedding = pooler.embedding()

    def _sampler(self, sequence: Sequence) -> Sampler:
        sampler = self._samplers.get(sequence)
        if sampler is None:
            prompt = sequence.token_ids[: sequence.num_prompt]
            sampler = Sampler(sequence.sampling, self._vocab, prompt, sequence.constraint)
            self._samplers[sequence] = sampler
        return sampler
