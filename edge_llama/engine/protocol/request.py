"""GenerationRequest: a prompt and what is asked of its continuation."""

from __future__ import annotations

import enum
from typing import get_args

import msgspec

from edge_llama.engine.protocol.grammar import Grammar
from edge_llama.engine.protocol.kinds import see_kind
from edge_llama.engine.protocol.prompt import Prompt, Segment
from edge_llama.engine.protocol.sampling_params import SamplingParams


class ServiceTier(str, enum.Enum):
    """How urgent a request is: FLEX is work in the background, which yields to all others."""

    DEFAULT = "default"
    FLEX = "flex"


MAX_LOGPROBS = 20
"""Most alternatives that are told for a token."""


class GenerationOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked of a continuation, whatever the prompt is. A request has one such object from
    where it is made to where it is computed.

    Attributes:
        sampling: how tokens are chosen.
        max_tokens: most tokens of output; None is what is left of the context, 0 only reads the
            prompt.
        n: how many continuations; they share the prompt's prefill.
        grammar: the form that the output must have.
        logprobs: tell the log-probability of every output token, and of this many most likely
            ones at its place, 0 to `MAX_LOGPROBS`; None tells nothing.
        prompt_logprobs: the same for the tokens of the prompt but its first; the prompt is then
            read anew, whatever is cached.
        progress: tell how far the prompt is read, and how many are before it while it waits.
        tier: how urgent it is.
        cache_domain: KV is shared only between requests of the same domain.
        caller: whose it is; callers take turns in the queue.

    Raises:
        InvalidValue: a field has a value of another kind; `param` names it.
    """

    sampling: SamplingParams = SamplingParams()
    max_tokens: int | None = None
    n: int = 1
    grammar: Grammar | None = None
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    progress: bool = False
    tier: ServiceTier = ServiceTier.DEFAULT
    cache_domain: str = ""
    caller: str = ""

    def __post_init__(self) -> None:
        see_kind("sampling", self.sampling, SamplingParams, "a SamplingParams")
        see_kind("n", self.n, int, "an integer")
        for field in ("max_tokens", "logprobs", "prompt_logprobs"):
            if (value := getattr(self, field)) is not None:
                see_kind(field, value, int, "an integer or None")
        if self.grammar is not None:
            see_kind(
                "grammar",
                self.grammar,
                get_args(Grammar),
                "a JSONSchema, CFG or Regex, such as json_schema_grammar makes of a schema",
            )
        see_kind("tier", self.tier, ServiceTier, "a ServiceTier")


class GenerationRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A prompt and what is asked of its continuation.

    Attributes:
        prompt: segments; tokenized by the engine.
        options: what is asked.
        embeds: give the prompt's embedding instead of a continuation; needs `max_tokens` 0.

    Raises:
        InvalidValue: `prompt` or `options` is of another kind.
    """

    prompt: Prompt
    options: GenerationOptions = GenerationOptions()
    embeds: bool = False

    def __post_init__(self) -> None:
        see_kind("prompt", self.prompt, tuple, "a tuple of Text, Control and Tokens")
        for segment in self.prompt:
            see_kind("prompt", segment, get_args(Segment), "a tuple of Text, Control and Tokens")
        see_kind("options", self.options, GenerationOptions, "a GenerationOptions")
