"""SpanSampler: from the logits of a span to what was sampled from it."""

from __future__ import annotations

import logging
from typing import Protocol

from edge_llama.engine.binding import FloatArray, Vocab
from edge_llama.engine.constraint import ConstraintError
from edge_llama.engine.sample.logprobs import LogProbabilities
from edge_llama.engine.sample.sampler import Sampler
from edge_llama.engine.sequence import Sequence
from edge_llama.engine.span import Sampled, Span

logger = logging.getLogger("edge_llama.engine")


class Logits(Protocol):
    """What it needs of `binding.Context`."""

    def logits(self, index: int) -> FloatArray: ...


class SpanSampler:
    """Samples from spans that were decoded; keeps a sampler for each sequence meanwhile.

    Args:
        vocab: the model's vocabulary.
        context: where the logits are.
    """

    def __init__(self, vocab: Vocab, context: Logits) -> None:
        self._vocab = vocab
        self._context = context
        self._samplers: dict[Sequence, Sampler] = {}

    def sample(self, span: Span, first: int) -> Sampled:
        """What follows a span whose first logits are at batch index `first`: a token per output,
        ending after the first that differs from the draft fed at the next position.
        """
        sampled = Sampled()
        if span.scored:
            self._score(span, first, sampled)
        if span.n_outputs:
            self._sample(span, first + span.n_logits - span.n_outputs, sampled)
        return sampled

    def release(self, sequence: Sequence) -> None:
        """Free what is held for a sequence that ended."""
        self._samplers.pop(sequence, None)

    def _sample(self, span: Span, first: int, sampled: Sampled) -> None:
        sequence = span.sequence
        sampler = self._sampler(sequence)
        jumps = sequence.logprobs is None
        drafts = span.tokens[len(span.tokens) - span.n_outputs + 1 :]
        try:
            if jumps and not sequence.num_output and (forced := sampler.forced()):
                sampled.tokens, sampled.forced = forced[:1], forced[1:]
                return
            for offset in range(span.n_outputs):
                self._sample_one(sequence, sampler, first + offset, sampled)
                if offset < len(drafts) and sampled.tokens[-1] != drafts[offset]:
                    break
            if jumps:
                sampled.forced = sampler.forced()
        except ConstraintError as error:
            logger.warning("An output is cut off, since nothing may follow: %s", error)
            sampled.stuck = True

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

    def _sampler(self, sequence: Sequence) -> Sampler:
        sampler = self._samplers.get(sequence)
        if sampler is None:
            prompt = sequence.token_ids[: sequence.num_prompt]
            sampler = Sampler(sequence.sampling, self._vocab, prompt, sequence.constraint)
            self._samplers[sequence] = sampler
        return sampler
