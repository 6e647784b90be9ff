"""llama-server's own answers, as types; /openapi.json shows them."""

from __future__ import annotations

from typing import Any, Literal

from typing_extensions import NotRequired, TypedDict

from edge_llama.api.reply.shapes import PromptProgressOut, TimingsOut


class Probability(TypedDict):
    id: int
    token: str
    bytes: list[int]
    logprob: float


class TokenProbability(Probability):
    """A token of the output and the likeliest ones at its place."""

    top_logprobs: list[Probability]


class NativePart(TypedDict):
    """More of a text; `index` is the number of its prompt, and `id_slot` never means anything."""

    index: int
    content: str
    tokens: list[int]
    stop: Literal[False]
    id_slot: int
    tokens_predicted: int
    tokens_evaluated: int
    timings: NotRequired[TimingsOut]
    prompt_progress: NotRequired[PromptProgressOut]
    completion_probabilities: NotRequired[list[TokenProbability]]


class NativeCompletion(TypedDict):
    """A continuation that has ended. `tokens_cached` are those of the prompt that were not
    computed.
    """

    index: int
    content: str
    tokens: list[int]
    stop: Literal[True]
    id_slot: int
    model: str
    tokens_predicted: int
    tokens_evaluated: int
    tokens_cached: int
    generation_settings: dict[str, Any]
    prompt: str
    has_new_line: bool
    truncated: Literal[False]
    stop_type: Literal["eos", "limit", "word", "none"]
    stopping_word: str
    timings: NotRequired[TimingsOut]
    completion_probabilities: NotRequired[list[TokenProbability]]


class NativeEmbedding(TypedDict):
    """The vectors of a text: one."""

    index: int
    embedding: list[list[float]]


class TemplatedOut(TypedDict):
    prompt: str


class Modalities(TypedDict):
    vision: Literal[False]
    video: Literal[False]
    audio: Literal[False]


class DefaultSettings(TypedDict):
    params: dict[str, Any]
    n_ctx: int


class Props(TypedDict):
    """What there is to know of a model. `model_path` is the name of its file, without folders."""

    default_generation_settings: DefaultSettings
    total_slots: int
    model_alias: str
    model_path: str
    modalities: Modalities
    chat_template: str
    bos_token: str
    eos_token: str
    build_info: str
    is_sleeping: bool


class Slot(TypedDict):
    """A place for a sequence. What it computes is nobody else's business."""

    id: int
    n_ctx: int
    speculative: Literal[False]
    is_processing: bool


class Version(TypedDict):
    version: str
