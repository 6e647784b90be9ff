"""Sampler: chooses the next token of one sequence."""

from __future__ import annotations

import math
import secrets
from collections.abc import Sequence

import numpy as np

from edge_llama.engine.binding import Context, SamplerChain, Vocab
from edge_llama.engine.constraint import Constraint
from edge_llama.engine.sampling import MAX_SEED, SamplingParams


class Sampler:
    """SamplingParams at work: llama.cpp's sampler chain, with the state of one sequence.

    The order is: constraint, bias, penalties, top-k, temperature, top-p, min-p. Temperature comes
    before top-p, as in Meta's reference code and OpenAI-compatible servers.

    Args:
        params: how to sample.
        vocab: the model's vocabulary.
        prompt: token ids that the repetition penalty counts as seen.
        window: most tokens that penalties look back on.
        constraint: what the output must look like.
    """

    def __init__(
        self,
        params: SamplingParams,
        vocab: Vocab,
        prompt: Sequence[int],
        window: int,
        constraint: Constraint | None = None,
    ) -> None:
        self._eos = vocab.eos
        self._constraint = constraint
        bias = dict(params.logit_bias)
        if params.ignore_eos:
            bias.update(dict.fromkeys(vocab.eog_tokens, -math.inf))
        penalties = (
            params.repetition_penalty != 1
            or params.frequency_penalty != 0
            or params.presence_penalty != 0
        )
        self._missing = params.min_tokens
        self._eog_tokens = np.array(sorted(vocab.eog_tokens), np.intp)
        self._chain: SamplerChain | None = None
        if params.greedy and not bias and not penalties:
            return
        chain = self._chain = SamplerChain()
        if bias:
            chain.add_logit_bias(vocab.n_tokens, bias)
        if params.repetition_penalty != 1:
            chain.add_penalties(
                vocab.n_tokens, window, repetition=params.repetition_penalty, seen=prompt
            )
        if params.frequency_penalty != 0 or params.presence_penalty != 0:
            chain.add_penalties(
                vocab.n_tokens,
                window,
                frequency=params.frequency_penalty,
                presence=params.presence_penalty,
            )
        if params.greedy:
            chain.add_greedy()
            return
        if params.top_k > 0:
            chain.add_top_k(params.top_k)
        chain.add_temperature(params.temperature)
        if params.top_p < 1:
            chain.add_top_p(params.top_p)
        if params.min_p > 0:
            chain.add_min_p(params.min_p)
        seed = params.seed if params.seed is not None else secrets.randbelow(MAX_SEED + 1)
        chain.add_distribution(seed)

    def sample(self, context: Context, index: int) -> int:
        """The next token, from the logits at batch index `index` of the last decode.

        With a constraint the logits are changed in place, and an output that is complete ends.

        Raises:
            ConstraintError: the constraint lets nothing follow.
        """
        logits = context.logits(index)
        if self._constraint is not None and not self._constraint.mask(logits):
            return self._eos
        if self._missing > 0:
            self._missing -= 1
            logits[self._eog_tokens] = -np.inf
        token = self._choose(context, index)
        if self._constraint is not None:
            if not self._constraint.allows(token):
                # Rounding may take the last token of all, which has no probability.
                token = int(np.argmax(logits))
            self._constraint.accept(token)
        return token

    def forced(self) -> list[int]:
        """The tokens that must follow, whatever the logits are; of a complete output, its end.

        Raises:
            ConstraintError: the constraint lets nothing follow.
        """
        if self._constraint is None:
            return []
        tokens = self._constraint.forced()
        self._missing -= len(tokens)
        if self._chain is not None:
            for token in tokens:
                self._chain.accept(token)
        return [*tokens, self._eos] if self._constraint.complete else tokens

    def _choose(self, context: Context, index: int) -> int:
        if self._chain is None:
            return int(np.argmax(context.logits(index)))
        return self._chain.sample(context, index)

    def close(self) -> None:
        if self._chain is not None:
            self._chain.close()
