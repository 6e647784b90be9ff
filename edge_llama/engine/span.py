"""What a step computes, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_llama.engine.protocol.output import ScoredToken
from edge_llama.engine.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Span:
    """The tokens of one sequence in one step.

    Attributes:
        sequence: whose tokens.
        start: position of the first.
        tokens: one or more; a prompt's chunk, or the last output and drafts after it.
        n_outputs: from how many of the last ones a token is sampled: 0 inside a prompt, 1 at its
            end and when decoding, 1 + drafts when speculating.
        seq_id: llama.cpp's id of the sequence in this step.
        scored: all tokens give logits, for the log-probabilities of those that follow them.
        embedded: all tokens give embeddings.
    """

    sequence: Sequence
    start: int
    tokens: list[int]
    n_outputs: int
    seq_id: int
    scored: bool = False
    embedded: bool = False

    @property
    def n_logits(self) -> int:
        """How many of the last tokens give logits."""
        return len(self.tokens) if self.scored else self.n_outputs


@dataclass(slots=True)
class Sampled:
    """What was sampled from a span, and then what its sequence took of that.

    Attributes:
        tokens: one per output of the span, or fewer where a draft was not accepted; then all that
            the sequence took, forced ones included.
        forced: tokens that must follow these; none where log-probabilities are asked for.
        stuck: nothing may follow these.
        logprobs: one entry per token, if the sequence asks for them.
        prompt_logprobs: one for each token of the prompt that follows one of a scored span.
        embedding: of a prompt that is embedded, when it is whole.
    """

    tokens: list[int] = field(default_factory=list)
    forced: list[int] = field(default_factory=list)
    stuck: bool = False
    logprobs: list[ScoredToken] = field(default_factory=list)
    prompt_logprobs: list[ScoredToken] = field(default_factory=list)
    embedding: bytes = b""
