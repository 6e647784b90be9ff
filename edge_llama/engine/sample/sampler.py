"""Sampler: chooses the next token of one sequence."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

import numpy as np

from edge_llama.engine.binding import FloatArray, Vocab
from edge_llama.engine.constraint import Constraint, ConstraintError
from edge_llama.engine.protocol.sampling_params import MAX_SEED, SamplingParams
from edge_llama.engine.sample.penalties import Penalties
from edge_llama.engine.sample.truncated_softmax import TruncatedSoftmax


class Sampler:
    """SamplingParams at work, with the state of one sequence.

    The order is: constraint, bias, penalties, top-k, temperature, top-p, min-p. Temperature comes
    before top-p, as in Meta's reference code and OpenAI-compatible servers.

    Args:
        params: how to sample.
        vocab: the model's vocabulary.
        prompt: token ids that the repetition penalty counts as seen.
        constraint: what the output must look like.
    """

    def __init__(
        self,
        params: SamplingParams,
        vocab: Vocab,
        prompt: Iterable[int] = (),
        constraint: Constraint | None = None,
    ) -> None:
        self._eos = vocab.eos
        self._eog_tokens = np.array(sorted(vocab.eog_tokens), np.intp)
        self._ignore_eos = params.ignore_eos
        self._missing = params.min_tokens
        self._constraint = constraint
        self._biased = np.array(list(params.logit_bias), np.intp)
        self._bias = np.array(list(params.logit_bias.values()), np.float32)
        self._penalties = Penalties(params, prompt) if params.penalised else None
        self._softmax: TruncatedSoftmax | None = None
        if not params.greedy:
            self._softmax = TruncatedSoftmax(
                vocab.n_tokens,
                temperature=params.temperature,
                top_k=params.top_k,
                top_p=params.top_p,
                min_p=params.min_p,
                seed=secrets.randbelow(MAX_SEED + 1) if params.seed is None else params.seed,
            )

    def sample(self, logits: FloatArray) -> int:
        """The next token. An output that is complete ends.

        Args:
            logits: shape (n_vocab,); they are changed in place.

        Raises:
            ConstraintError: the constraint lets nothing follow.
        """
        if self._constraint is not None and not self._constraint.mask(logits):
            return self._eos
        if self._ignore_eos or self._missing > 0:
            self._missing -= 1
            logits[self._eog_tokens] = -np.inf
        logits[self._biased] += self._bias
        if self._penalties is not None:
            self._penalties.apply(logits)
        token = self._draw(logits)
        while self._constraint is not None and not self._constraint.accept(token):
            logits[token] = -np.inf
            token = self._draw(logits)
        if self._penalties is not None:
            self._penalties.accept(token)
        return token

    def _draw(self, logits: FloatArray) -> int:
        token = int(np.argmax(logits)) if self._softmax is None else self._softmax.draw(logits)
        if self._constraint is not None and logits[token] == -np.inf:
            raise ConstraintError("no token is left")
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
        if self._penalties is not None:
            for token in tokens:
                self._penalties.accept(token)
        return [*tokens, self._eos] if self._constraint.complete else tokens
