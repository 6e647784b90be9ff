"""Intake: checks a request and makes its sequences, before any work is done."""

from __future__ import annotations

from typing import Protocol

from edge_llama.engine.constraint import Constraint
from edge_llama.engine.protocol.grammar import Grammar
from edge_llama.engine.protocol.prompt import Control, Prompt, Text
from edge_llama.engine.protocol.request import MAX_LOGPROBS, GenerationRequest
from edge_llama.engine.run.pooling import Pooling
from edge_llama.engine.sequence import Sequence
from edge_llama.errors import ContextLengthExceeded, InvalidValue


class Tokenizer(Protocol):
    """What the intake needs of `binding.Vocab`."""

    n_tokens: int
    control_tokens: dict[str, int]

    def tokenize(self, text: str) -> list[int]: ...


class Compiler(Protocol):
    """What the intake needs of `ConstraintCompiler`."""

    def compile(self, grammar: Grammar) -> Constraint: ...


class Intake:
    """Turns requests into sequences; refuses what the engine cannot or must not run.

    Args:
        vocab: the model's vocabulary.
        n_ctx: tokens of context.
        compiler: makes constraints.
        max_tokens: most tokens of output, whatever a request asks for; None is what fits.
        pooling: how embeddings are made; None if the model makes none.
        generates: it can continue texts.
    """

    def __init__(
        self,
        vocab: Tokenizer,
        n_ctx: int,
        compiler: Compiler,
        max_tokens: int | None = None,
        pooling: Pooling | None = Pooling.MEAN,
        *,
        generates: bool = True,
    ) -> None:
        self._vocab = vocab
        self._n_ctx = n_ctx
        self._compiler = compiler
        self._max_tokens = max_tokens
        self._pooling = pooling
        self._generates = generates

    def read(self, request: GenerationRequest) -> list[int]:
        """The token ids of a request's prompt, when all but its grammar is found to be in order.

        Raises:
            InvalidValue: a field cannot be used with this model.
            ContextLengthExceeded: the prompt leaves no room for a token of output.
        """
        options = request.options
        if options.n < 1:
            raise InvalidValue("n must be at least 1.", param="n")
        if options.max_tokens is not None and options.max_tokens < 0:
            raise InvalidValue("max_tokens must be at least 0.", param="max_tokens")
        if not request.embeds and not self._generates:
            raise InvalidValue("This model embeds texts, it cannot continue them.", param="model")
        if request.embeds and self._pooling is None:
            raise InvalidValue("This model ranks texts, it does not embed them.", param="model")
        if request.embeds and options.max_tokens != 0:
            raise InvalidValue("An embedding needs max_tokens 0.", param="max_tokens")
        _check_logprobs(options.logprobs, "logprobs")
        _check_logprobs(options.prompt_logprobs, "prompt_logprobs")
        for token in options.sampling.logit_bias:
            self._check_token(token, "logit_bias")
        token_ids = self.tokenize(request.prompt)
        if not token_ids:
            raise InvalidValue("The prompt is empty.", param="prompt")
        if len(token_ids) + (options.max_tokens != 0) > self._n_ctx:
            raise ContextLengthExceeded(self._n_ctx, len(token_ids))
        return token_ids

    def sequences(
        self, id: int, request: GenerationRequest, token_ids: list[int], arrived: float
    ) -> list[Sequence]:
        """The sequences of a request that was read; its grammar is compiled, which may take long.

        Raises:
            InvalidValue: the grammar cannot be used.
        """
        options = request.options
        wanted = [options.max_tokens, self._max_tokens, self._n_ctx - len(token_ids)]
        max_tokens = min(limit for limit in wanted if limit is not None)
        constraint = None
        if options.grammar is not None:
            constraint = self._compiler.compile(options.grammar)
        return [
            Sequence(
                id=id,
                index=index,
                request=request,
                token_ids=list(token_ids),
                num_prompt=len(token_ids),
                max_length=len(token_ids) + max_tokens,
                sampling=options.sampling.for_choice(index),
                constraint=constraint and constraint.copy(),
                arrived=arrived,
            )
            for index in range(options.n)
        ]

    def tokenize(self, prompt: Prompt) -> list[int]:
        """Its token ids.

        Raises:
            InvalidValue: the vocabulary has no such control token, or no token of such an id.
        """
        token_ids: list[int] = []
        for segment in prompt:
            if isinstance(segment, Text):
                token_ids += self._vocab.tokenize(segment.text)
            elif isinstance(segment, Control):
                token_ids.append(self._control(segment.token))
            else:
                for token in segment.ids:
                    self._check_token(token, "prompt")
                token_ids += segment.ids
        return token_ids

    def _control(self, spelling: str) -> int:
        try:
            return self._vocab.control_tokens[spelling]
        except KeyError:
            raise InvalidValue(
                f"This model has no control token {spelling}.", param="prompt"
            ) from None

    def _check_token(self, token: int, param: str) -> None:
        if not 0 <= token < self._vocab.n_tokens:
            raise InvalidValue(
                f"{token} is not a token id of this model; they are 0 to "
                f"{self._vocab.n_tokens - 1}.",
                param=param,
            )


def _check_logprobs(n: int | None, param: str) -> None:
    if n is not None and not 0 <= n <= MAX_LOGPROBS:
        raise InvalidValue(f"{param} must be 0 to {MAX_LOGPROBS}.", param=param)
