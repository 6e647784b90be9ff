"""ChatCompletionRequest: the body of POST /v1/chat/completions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    FailFast,
    Field,
    PlainValidator,
    model_validator,
)
from typing_extensions import Self

from edge_llama.api.message_schemas import ChatMessage
from edge_llama.api.unsupported import refuse_unsupported
from edge_llama.api.validation import (
    Count,
    Integer,
    Name,
    Number,
    Schema,
    invalid,
    validate,
    without_nul,
)
from edge_llama.chat.messages import ChatRequest
from edge_llama.engine.messages import MAX_LOGPROBS, ServiceTier
from edge_llama.engine.sampling import MAX_SEED, SamplingParams
from edge_llama.errors import InvalidValue

MAX_MESSAGES = 30_000
"""More cannot fit: a message has at least five tokens, the longest context 131,072."""
MAX_STOPS = 256
MAX_OUTPUT_TOKENS = 2**31 - 1

_TOKEN_ID = re.compile(r"0|[1-9][0-9]{0,8}")


def _as_list(value: Any) -> Any:
    if isinstance(value, str):
        return [_usable_stop(value)]
    if isinstance(value, list):
        return value
    raise invalid("must be a string or a list of strings.")


def _usable_stop(text: str) -> str:
    if not text:
        raise invalid("must not be empty.")
    return without_nul(text)


def _token_biases(value: Any) -> dict[int, float]:
    if not isinstance(value, dict):
        raise invalid('must be an object such as {"1234": -100}.')
    return {_token_id(key): _bias(bias) for key, bias in value.items() if bias is not None}


def _token_id(key: str) -> int:
    if not _TOKEN_ID.fullmatch(key):
        raise invalid('must have token ids as keys, such as "1234".')
    return int(key)


def _bias(value: Any) -> float:
    if type(value) not in (int, float) or not -100 <= value <= 100:
        raise invalid("must have numbers from -100 to 100 as values.")
    return float(value)


class StreamOptions(Schema):
    """What a stream tells besides the text.

    `include_usage` is OpenAI's last chunk, `continuous_usage_stats` vLLM's usage in every chunk.
    """

    include_usage: bool = False
    continuous_usage_stats: bool = False


class ChatCompletionRequest(Schema):
    """OpenAI's chat request, with the sampling parameters of llama.cpp and vLLM.

    `repeat_penalty` is another name of `repetition_penalty`. Integers may be written as 5.0. Of the
    service tiers only `flex` makes a difference.
    """

    model: Name
    messages: Annotated[list[ChatMessage], FailFast(), Field(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: Count | None = None
    max_tokens: Count | None = None
    temperature: Number | None = None
    top_p: Number | None = None
    top_k: Integer | None = None
    min_p: Number | None = None
    frequency_penalty: Number | None = None
    presence_penalty: Number | None = None
    repetition_penalty: Number | None = None
    repeat_penalty: Annotated[Number, Field(ge=0.01, le=100)] | None = None
    seed: Integer | None = None
    logit_bias: Annotated[dict[int, float], PlainValidator(_token_biases)] | None = None
    ignore_eos: bool | None = None
    min_tokens: Annotated[Integer, Field(ge=0)] = 0
    logprobs: bool = False
    top_logprobs: Annotated[Integer, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    stop: Annotated[
        list[Annotated[str, AfterValidator(_usable_stop)]],
        FailFast(),
        Field(max_length=MAX_STOPS),
        BeforeValidator(_as_list),
    ] = Field(default_factory=list)
    n: Count = 1
    stream: bool = False
    stream_options: StreamOptions | None = None
    service_tier: Any = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.top_logprobs and not self.logprobs:
            raise invalid("is only allowed when logprobs is true.", field="top_logprobs")
        if self.stream_options is not None and not self.stream:
            raise invalid("is only allowed when stream is true.", field="stream_options")
        limit = self._max_tokens()
        if limit is not None and self.min_tokens > limit:
            raise invalid("must not exceed the most tokens of the answer.", field="min_tokens")
        return self

    def to_chat_request(self) -> ChatRequest:
        """The request without HTTP and OpenAI.

        Raises:
            InvalidValue: a sampling parameter is out of range.
        """
        return ChatRequest(
            messages=tuple(message.to_message() for message in self.messages),
            sampling=self._sampling(),
            max_tokens=self._max_tokens(),
            n=self.n,
            stop=tuple(self.stop),
            logprobs=(self.top_logprobs or 0) if self.logprobs else None,
            tier=ServiceTier.FLEX if self.service_tier == "flex" else ServiceTier.DEFAULT,
        )

    def _max_tokens(self) -> int | None:
        asked = self.max_completion_tokens or self.max_tokens
        return None if asked is None else min(asked, MAX_OUTPUT_TOKENS)

    def _sampling(self) -> SamplingParams:
        given: dict[str, Any] = {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": 0 if self.top_k == -1 else self.top_k,
            "min_p": self.min_p,
            "frequency_penalty": self.frequency_penalty,
            "presence_penalty": self.presence_penalty,
            "repetition_penalty": self._repetition_penalty(),
            "seed": None if self.seed is None else self.seed % (MAX_SEED + 1),
            "logit_bias": self.logit_bias,
            "ignore_eos": self.ignore_eos,
            "min_tokens": min(self.min_tokens, MAX_OUTPUT_TOKENS),
        }
        return SamplingParams(**{name: value for name, value in given.items() if value is not None})

    def _repetition_penalty(self) -> float | None:
        return self.repeat_penalty if self.repetition_penalty is None else self.repetition_penalty


def parse_chat_request(body: Mapping[str, Any], *, max_n: int) -> ChatCompletionRequest:
    """The validated request.

    Raises:
        RequestError: a parameter has a wrong value or is not supported; `param` names it.
    """
    refuse_unsupported(body)
    request = validate(ChatCompletionRequest, body)
    if request.n > max_n:
        raise InvalidValue(f"n must be at most {max_n}.", param="n")
    return request
