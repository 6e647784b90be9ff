"""SampledRequest: what requests of all APIs say about how tokens are chosen."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, FailFast, Field, PlainValidator

from edge_llama.api.request.guided import GuidedRequest
from edge_llama.api.request.validation import (
    INT64_MAX,
    Count,
    Integer,
    Integral,
    JSONObject,
    Number,
    TextIn,
    invalid,
    without_nul,
)
from edge_llama.chat.grammar.client_grammar import client_grammar
from edge_llama.engine.protocol.grammar import Grammar, Regex
from edge_llama.engine.protocol.request import MAX_LOGPROBS, ServiceTier
from edge_llama.engine.protocol.sampling_params import MAX_SEED, SamplingParams
from edge_llama.errors import InvalidValue
from edge_llama.settings.server import ContextOverflow

MAX_STOPS = 256
MAX_BIASES = 16_384
"""Enough to ban the tokens of a script, such as Chinese; all can take 0.1 s to check."""
MAX_OUTPUT_TOKENS = 2**31 - 1

_TOKEN_ID = re.compile(r"0|[1-9][0-9]{0,8}")


def _as_list(value: Any) -> Any:
    """Without empty strings, which stop nothing."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        return [
            without_nul(text) if isinstance(text, str) else text for text in value if text != ""
        ]
    raise invalid("must be a string or a list of strings.")


def _usable_stop(text: str) -> str:
    if not text:
        raise invalid("must not be empty.")
    return without_nul(text)


def _token_biases(value: Any) -> dict[int, float]:
    """Of an object, or of llama.cpp's list of pairs, in which false bans a token."""
    if value is False:
        return {}
    if isinstance(value, list):
        value = dict(map(_bias_pair, value))
    if not isinstance(value, dict):
        raise invalid('must be an object such as {"1234": -100}.')
    if len(value) > MAX_BIASES:
        raise invalid(
            f"must have at most {MAX_BIASES} entries. To rule out more, tell with regex or "
            "grammar what the answer is made of."
        )
    return {_token_id(key): _bias(bias) for key, bias in value.items() if bias is not None}


def _bias_pair(pair: Any) -> tuple[str, Any]:
    if not isinstance(pair, list) or len(pair) != 2 or type(pair[0]) is not int:
        raise invalid("must have pairs of a token id and a number, such as [1234, -100].")
    return str(pair[0]), -100 if pair[1] is False else pair[1]


def _token_id(key: str) -> int:
    if not _TOKEN_ID.fullmatch(key):
        raise invalid('must have token ids as keys, such as "1234".')
    return int(key)


def _bias(value: Any) -> float:
    if type(value) not in (int, float) or not -100 <= value <= 100:
        raise invalid("must have numbers from -100 to 100 as values.")
    return float(value)


TokenId = Annotated[str, Field(pattern="^(0|[1-9][0-9]{0,8})$")]
Bias = Annotated[float, Field(ge=-100, le=100)]


def _range(low: float, high: float) -> Any:
    """For the documentation; `SamplingParams` checks it."""
    return Field(json_schema_extra={"minimum": low, "maximum": high})


Stop = Annotated[str, AfterValidator(_usable_stop), Field(json_schema_extra={"minLength": 1})]


def _no_limit(value: Any) -> Any:
    """LM Studio's, llama.cpp's and Ollama's way to ask for as much as there is room for."""
    return None if value in (-1, -2) else value


def _off_if(*values: float) -> BeforeValidator:
    """For a parameter that other servers take these values of for none at all."""
    return BeforeValidator(lambda value: None if value in values else value)


RANDOM_SEEDS = (-1, 2**32 - 1)
"""llama.cpp's, of signed and of unsigned numbers, for another seed each time."""


Amount = Annotated[int, Field(ge=0, le=INT64_MAX), Integral]
TopLogprobs = Annotated[int, Field(ge=0, le=MAX_LOGPROBS), Integral]
TokenLimit = Annotated[
    Count | None, BeforeValidator(_no_limit, json_schema_input_type=Count | Literal[-1, -2] | None)
]
TokenLimitOrZero = Annotated[
    Amount | None,
    BeforeValidator(_no_limit, json_schema_input_type=Amount | Literal[-1, -2] | None),
]


Penalty = Annotated[
    Annotated[Number, Field(ge=0.01, le=100)] | None,
    BeforeValidator(
        lambda value: None if value == 0 else value,
        json_schema_input_type=Annotated[float, Field(ge=0.01, le=100)] | Literal[0] | None,
    ),
]


class SampledRequest(GuidedRequest):
    """The parameters that all APIs share: OpenAI's, llama.cpp's and vLLM's.

    `repeat_penalty` is another name of `repetition_penalty`. Integers may be written as 5.0. Of the
    service tiers only `flex` makes a difference.
    """

    temperature: Annotated[Number, _range(0, 2)] | None = None
    top_p: Annotated[Number, _range(0, 1)] | None = None
    top_k: Annotated[Integer, _range(-1, 2**31 - 1)] | None = None
    min_p: Annotated[Number, _range(0, 1)] | None = None
    frequency_penalty: Annotated[Number, _range(-2, 2)] | None = None
    presence_penalty: Annotated[Number, _range(-2, 2)] | None = None
    repetition_penalty: Annotated[Penalty, _range(0.01, 100)] = None
    repeat_penalty: Penalty = None
    seed: Annotated[Integer | None, _off_if(*RANDOM_SEEDS)] = None
    logit_bias: (
        Annotated[
            dict[int, float],
            PlainValidator(
                _token_biases,
                json_schema_input_type=Annotated[
                    dict[TokenId, Bias | None], Field(max_length=MAX_BIASES)
                ]
                | Annotated[list[tuple[int, Bias | Literal[False]]], Field(max_length=MAX_BIASES)]
                | Literal[False],
            ),
        ]
        | None
    ) = None
    ignore_eos: bool | None = None
    min_tokens: Amount = 0
    stop: Annotated[
        list[str],
        FailFast(),
        Field(max_length=MAX_STOPS),
        BeforeValidator(_as_list, json_schema_input_type=str | list[str]),
    ] = Field(default_factory=list)
    grammar: TextIn | None = None
    regex: TextIn | None = None
    service_tier: Any = None

    @property
    def tier(self) -> ServiceTier:
        return ServiceTier.FLEX if self.service_tier == "flex" else ServiceTier.DEFAULT

    def sampling(self) -> SamplingParams:
        """How tokens are chosen: each parameter is a field of the same name.

        Raises:
            InvalidValue: a parameter is out of range.
        """
        given: dict[str, Any] = {
            name: getattr(self, name) for name in SamplingParams.__struct_fields__
        } | {
            "top_k": 0 if self.top_k == -1 else self.top_k,
            "repetition_penalty": self._repetition_penalty(),
            "seed": None if self.seed is None else self.seed % (MAX_SEED + 1),
            "min_tokens": min(self.min_tokens, MAX_OUTPUT_TOKENS),
        }
        return SamplingParams(**{name: value for name, value in given.items() if value is not None})

    def form(self, name: str = "", grammar: Grammar | None = None) -> Grammar | None:
        """What the answer must look like, if a field tells.

        Args:
            name: a further field that tells.
            grammar: what it tells.

        Raises:
            InvalidValue: two fields tell.
        """
        told = {
            name: grammar,
            "grammar": client_grammar(self.grammar, param="grammar") if self.grammar else None,
            "regex": Regex(self.regex, "regex") if self.regex else None,
            **dict(self.guided()),
        }
        given = {name: grammar for name, grammar in told.items() if grammar is not None}
        if len(given) > 1:
            first, second, *_ = given
            raise InvalidValue(f"{first} and {second} exclude each other.", param=second)
        return next(iter(given.values()), None)

    def check_min_tokens(self, limit: int | None) -> None:
        """For a validator: `min_tokens` must not exceed the most tokens of the answer."""
        if limit is not None and self.min_tokens > limit:
            raise invalid("must not exceed the most tokens of the answer.", field="min_tokens")

    def _repetition_penalty(self) -> float | None:
        return self.repeat_penalty if self.repetition_penalty is None else self.repetition_penalty


class ConversationRequest(SampledRequest):
    """The parameters of all APIs that take conversations.

    `context_overflow` tells what becomes of one that is too long: it is refused, or loses its
    oldest turns. Without `schema_hint` the model is not told the schema that its answer is held to.
    """

    context_overflow: ContextOverflow | None = None
    schema_hint: bool = True

    def told_schema(self, schema: JSONObject | None) -> str | None:
        """The schema of the answer as the model is told it; None tells none.

        Args:
            schema: of the API's own field.
        """
        schema = self.guided_schema() if schema is None else schema
        if not schema or not self.schema_hint:
            return None
        return json.dumps(schema, ensure_ascii=False)


def most_tokens(asked: int | None) -> int | None:
    """`asked` as the engine takes it: no context is as long as its largest number."""
    return None if asked is None else min(asked, MAX_OUTPUT_TOKENS)
