"""SamplingParams: how the next token is chosen."""

from __future__ import annotations

import math

import msgspec

from edge_llama.engine.protocol.kinds import see_kind
from edge_llama.errors import InvalidValue

MAX_SEED = 2**32 - 2
"""As in llama.cpp, whose seeds are 32 bits wide and the largest asks for a random one."""

MIN_TEMPERATURE = 1e-6
"""Below it sampling equals greedy, and logits divided by it would overflow."""


class SamplingParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the next token is chosen. The defaults are Llama 3.1's own (generation_config.json).

    Attributes:
        temperature: 0, and all below `MIN_TEMPERATURE`, is greedy.
        top_p: keep the most likely tokens whose probabilities add up to this.
        top_k: keep this many most likely tokens; 0 keeps all.
        min_p: drop tokens less likely than this share of the most likely one.
        repetition_penalty: divides the logits of tokens seen in prompt or output; 1 is off.
        frequency_penalty: subtracted once per occurrence in the output.
        presence_penalty: subtracted once from every token that occurs in the output.
        seed: the same seed, model and request give the same text; 0 to `MAX_SEED`, None is random.
        logit_bias: added to the logits, by token id.
        ignore_eos: never choose an end-of-generation token.
        min_tokens: choose none before this many tokens.

    Raises:
        InvalidValue: a number is out of range or not an integer; `param` names the field.
    """

    temperature: float = 0.6
    top_p: float = 0.9
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int | None = None
    logit_bias: dict[int, float] = {}
    ignore_eos: bool = False
    min_tokens: int = 0

    def __post_init__(self) -> None:
        _check("temperature", self.temperature, 0, 2)
        _check("top_p", self.top_p, 0, 1)
        _check_integer("top_k", self.top_k, 0, 2**31 - 1)
        _check("min_p", self.min_p, 0, 1)
        _check("repetition_penalty", self.repetition_penalty, 0.01, 100)
        _check("frequency_penalty", self.frequency_penalty, -2, 2)
        _check("presence_penalty", self.presence_penalty, -2, 2)
        if self.seed is not None:
            _check_integer("seed", self.seed, 0, MAX_SEED)
        _check_integer("min_tokens", self.min_tokens, 0, 2**31 - 1)
        see_kind("logit_bias", self.logit_bias, dict, "a dict from token ids to numbers")
        for token, bias in self.logit_bias.items():
            known = isinstance(token, int) and isinstance(bias, float | int)
            if not (known and 0 <= token < 2**31 and -100 <= bias <= 100):
                _check_integer("logit_bias", token, 0, 2**31 - 1)
                _check("logit_bias", bias, -100, 100)

    @property
    def greedy(self) -> bool:
        return self.temperature < MIN_TEMPERATURE

    @property
    def penalised(self) -> bool:
        return (
            self.repetition_penalty != 1
            or self.frequency_penalty != 0
            or self.presence_penalty != 0
        )

    def for_choice(self, index: int) -> SamplingParams:
        """The parameters of choice `index` of a request with several: only the seed differs."""
        if self.seed is None or index == 0:
            return self
        return msgspec.structs.replace(self, seed=(self.seed + index) % (MAX_SEED + 1))


def _check(param: str, value: float, low: float, high: float) -> None:
    if not isinstance(value, float | int):
        raise InvalidValue(f"{param} must be a number, not {value!r:.100}.", param=param)
    if not (math.isfinite(value) and low <= value <= high):
        raise InvalidValue(f"{param} must be between {low} and {high}, not {value}.", param=param)


def _check_integer(param: str, value: int, low: int, high: int) -> None:
    if not isinstance(value, int):
        raise InvalidValue(f"{param} must be an integer, not {value!r:.100}.", param=param)
    _check(param, value, low, high)
