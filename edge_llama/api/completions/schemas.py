"""CompletionRequest: the body of POST /v1/completions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import PlainValidator, model_validator
from typing_extensions import Self

from edge_llama.api.request.prompts import TextsIn, as_texts
from edge_llama.api.request.request_body import parse
from edge_llama.api.request.response_format import ResponseFormat
from edge_llama.api.request.sampling import (
    SampledRequest,
    TokenLimitOrZero,
    TopLogprobs,
    most_tokens,
)
from edge_llama.api.request.stream_options import StreamOptions
from edge_llama.api.request.unsupported import HARMLESS_VALUES, TOOLS
from edge_llama.api.request.validation import Count, Name, TextIn, invalid
from edge_llama.chat.infill import Infill
from edge_llama.chat.messages import TextOrIds, TextRequest
from edge_llama.engine.protocol.request import GenerationOptions
from edge_llama.errors import InvalidValue

MAX_CHOICES = 512
"""Most choices of all prompts of a request."""

_IMPLEMENTED = frozenset({"add_special_tokens", "best_of", "echo", "suffix"})
_HARMLESS_VALUES: dict[str, tuple[Any, ...]] = {
    **{name: values for name, values in HARMLESS_VALUES.items() if name not in _IMPLEMENTED},
    "max_completion_tokens": (),
    "messages": (),
    "top_logprobs": (0,),
    **TOOLS,
}


class CompletionRequest(SampledRequest):
    """OpenAI's completion request, with the extensions of the chat request.

    `add_special_tokens` is vLLM's: false takes a text without the token that begins every prompt.
    """

    harmless_values = _HARMLESS_VALUES

    model: Name
    prompt: Annotated[
        tuple[TextOrIds, ...], PlainValidator(as_texts, json_schema_input_type=TextsIn)
    ]
    add_special_tokens: bool = True
    max_tokens: TokenLimitOrZero = None
    n_predict: TokenLimitOrZero = None
    n: Count = 1
    best_of: Count | None = None
    echo: bool = False
    suffix: TextIn = ""
    logprobs: TopLogprobs | None = None
    response_format: ResponseFormat | None = None
    return_progress: bool = False
    stream: bool = False
    stream_options: StreamOptions | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise invalid("is only allowed when stream is true.", field="stream_options")
        if self.return_progress and not self.stream:
            raise invalid("is only allowed when stream is true.", field="return_progress")
        if self.best_of is not None and self.best_of < self.n:
            raise invalid("must be at least n.", field="best_of")
        if self.suffix and (self.echo or not all(isinstance(each, str) for each in self.prompt)):
            raise invalid("needs prompts that are texts, and no echo.", field="suffix")
        if self.candidates > self.n and self.stream:
            raise invalid("must be n when stream is true.", field="best_of")
        if len(self.prompt) * self.candidates > MAX_CHOICES:
            raise invalid(f"asks for more than {MAX_CHOICES} choices in all.", field="prompt")
        self.check_min_tokens(self.limit)
        return self

    @property
    def limit(self) -> int | None:
        """Most tokens of each choice; `n_predict` is llama-server's name of it."""
        return self.n_predict if self.max_tokens is None else self.max_tokens

    @property
    def candidates(self) -> int:
        """Choices that are made of each prompt; the best `n` of them are told."""
        return self.best_of or self.n

    def to_text_requests(self) -> list[TextRequest]:
        """The requests for each of its prompts, without HTTP and OpenAI.

        Raises:
            InvalidValue: a sampling parameter is out of range.
        """
        chooses = self.candidates > self.n
        form = None if self.response_format is None else self.response_format.to_grammar()
        request = TextRequest(
            prompt="",
            bos=self.add_special_tokens,
            options=GenerationOptions(
                sampling=self.sampling(),
                max_tokens=most_tokens(self.limit),
                n=self.candidates,
                grammar=self.form("response_format", form),
                logprobs=0 if chooses and self.logprobs is None else self.logprobs,
                prompt_logprobs=self.logprobs if self.echo else None,
                progress=self.return_progress,
                tier=self.tier,
            ),
            stop=tuple(self.stop),
        )
        return [replace(request, prompt=self._with_suffix(prompt)) for prompt in self.prompt]

    def _with_suffix(self, prompt: TextOrIds) -> TextOrIds | Infill:
        if self.suffix and isinstance(prompt, str):
            return Infill(prompt, self.suffix)
        return prompt


def parse_completion_request(body: Mapping[str, Any], *, max_n: int) -> CompletionRequest:
    """The validated request.

    Raises:
        RequestError: a parameter has a wrong value or is not supported; `param` names it.
    """
    request = parse(CompletionRequest, body)
    for name, value in (("n", request.n), ("best_of", request.candidates)):
        if value > max_n:
            raise InvalidValue(f"{name} must be at most {max_n}.", param=name)
    return request
