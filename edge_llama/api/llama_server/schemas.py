"""The bodies of llama-server's own routes."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from pydantic import FailFast, Field, PlainValidator, model_validator
from typing_extensions import Self

from edge_llama.api.embeddings.schemas import EmbeddingRequest
from edge_llama.api.request.prompts import TextsIn, as_texts
from edge_llama.api.request.sampling import (
    SampledRequest,
    TokenLimitOrZero,
    TopLogprobs,
    most_tokens,
)
from edge_llama.api.request.unsupported import HARMLESS_VALUES, TOOLS
from edge_llama.api.request.validation import (
    JSONObject,
    Name,
    Schema,
    TextIn,
    invalid,
    missing,
    unsupported,
)
from edge_llama.api.tokens.schemas import TemplatedRequest
from edge_llama.chat.grammar.json_schema import json_schema_grammar
from edge_llama.chat.infill import Infill
from edge_llama.chat.messages import TextOrIds, TextRequest
from edge_llama.engine.protocol.request import GenerationOptions

MAX_PROMPTS = 512
MAX_RESPONSE_FIELDS = 256
MAX_FILES = 1024

_IMPLEMENTED = frozenset({"json_schema", "n_probs"})
_HARMLESS_VALUES: dict[str, tuple[Any, ...]] = {
    **{name: values for name, values in HARMLESS_VALUES.items() if name not in _IMPLEMENTED},
    "messages": (),
    "n": (1,),
    "n_cmpl": (1,),
    "post_sampling_probs": (False,),
    **TOOLS,
}


def _plain_prompt(value: Any) -> Any:
    """llama-server writes a prompt with pictures as an object, and so one without, too."""
    if not isinstance(value, dict):
        return value
    if value.get("multimodal_data"):
        raise unsupported("has multimodal_data, but this model reads text only. Leave it out.")
    if not isinstance(value.get("prompt_string"), str):
        raise missing("prompt_string")
    return value["prompt_string"]


def _prompts(value: Any) -> tuple[TextOrIds, ...]:
    value = _plain_prompt(value)
    return as_texts([_plain_prompt(each) for each in value] if isinstance(value, list) else value)


class ContinuedRequest(SampledRequest):
    """What a request says about its answer, and not about its prompt.

    `n_predict` and `max_tokens` are the same. Without a model it is the first that is served.
    """

    harmless_values = _HARMLESS_VALUES

    model: Name | None = None
    n_predict: TokenLimitOrZero = None
    max_tokens: TokenLimitOrZero = None
    n_probs: TopLogprobs = 0
    json_schema: JSONObject | None = None
    return_tokens: bool = False
    return_progress: bool = False
    timings_per_token: bool = False
    response_fields: Annotated[list[TextIn], FailFast(), Field(max_length=MAX_RESPONSE_FIELDS)] = (
        Field(default_factory=list)
    )
    stream: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        self.check_min_tokens(self.limit)
        return self

    @property
    def limit(self) -> int | None:
        """Most tokens of the answer."""
        return self.max_tokens if self.n_predict is None else self.n_predict

    def text_request(self, prompt: TextOrIds | Infill) -> TextRequest:
        """The request for a prompt, without HTTP and llama-server.

        Raises:
            InvalidValue: a sampling parameter is out of range, or the schema cannot be used.
        """
        schema = self.json_schema
        form = json_schema_grammar(schema, param="json_schema") if schema else None
        return TextRequest(
            prompt=prompt,
            options=GenerationOptions(
                sampling=self.sampling(),
                max_tokens=most_tokens(self.limit),
                grammar=self.form("json_schema", form),
                logprobs=self.n_probs or None,
                progress=self.return_progress and self.stream,
                tier=self.tier,
            ),
            stop=tuple(self.stop),
        )


class NativeCompletionRequest(ContinuedRequest):
    """llama-server's own request for continuations of texts.

    Fields: https://github.com/ggml-org/llama.cpp/tree/master/tools/server#post-completion
    """

    prompt: Annotated[
        tuple[TextOrIds, ...], PlainValidator(_prompts, json_schema_input_type=TextsIn)
    ]

    @model_validator(mode="after")
    def _has_few_prompts(self) -> Self:
        if len(self.prompt) > MAX_PROMPTS:
            raise invalid(f"must have at most {MAX_PROMPTS} prompts.", field="prompt")
        return self

    def to_text_requests(self) -> list[TextRequest]:
        """The requests for each of its prompts. Raises as `text_request`."""
        request = self.text_request("")
        return [replace(request, prompt=prompt) for prompt in self.prompt]


class OtherFile(Schema):
    """A file that says more about the text."""

    filename: TextIn = "tmp"
    text: TextIn


class InfillRequest(ContinuedRequest):
    """llama-server's request for the middle of a text; `prompt` is how it begins."""

    input_prefix: TextIn
    input_suffix: TextIn
    input_extra: Annotated[list[OtherFile], FailFast(), Field(max_length=MAX_FILES)] = Field(
        default_factory=list
    )
    prompt: TextIn = ""

    def to_text_requests(self) -> list[TextRequest]:
        """The request. Raises as `text_request`."""
        files = tuple((file.filename, file.text) for file in self.input_extra)
        infill = Infill(
            self.input_prefix, self.input_suffix, self.prompt, files, field="input_suffix"
        )
        return [self.text_request(infill)]


class NativeEmbeddingRequest(EmbeddingRequest):
    """llama-server's own request for embeddings: `content` is another name of `input`."""

    @model_validator(mode="before")
    @classmethod
    def _content_is_input(cls, value: Any) -> Any:
        if isinstance(value, dict) and "input" not in value and "content" in value:
            return {"input" if key == "content" else key: each for key, each in value.items()}
        return value


class TemplateRequest(TemplatedRequest):
    """A conversation whose prompt is asked for."""

    @model_validator(mode="after")
    def _has_messages(self) -> Self:
        if not self.messages:
            raise missing("messages")
        return self
