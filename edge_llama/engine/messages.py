"""What the API process and the engine process say to each other.

A frame on a pipe is a 4-byte little-endian length and that many bytes of MessagePack. The first
frame to the engine is `Load`; everything after it is a `Command`. The engine answers `Ready` or
`LoadFailed`, then sends `Event`s.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Callable, Iterable
from typing import TypeAlias

import msgspec

from edge_llama.config import EngineSettings
from edge_llama.engine.grammar import Grammar
from edge_llama.engine.prompt import MAX_PROMPT_BYTES, Prompt
from edge_llama.engine.sampling import SamplingParams
from edge_llama.engine.stats import EngineStats
from edge_llama.errors import ContextLengthExceeded, InvalidValue


class FinishReason(str, enum.Enum):
    """Why a sequence ended. Of those that stopped, only a chat knows which called tools."""

    STOP = "stop"
    LENGTH = "length"
    ABORT = "abort"
    TOOL_CALLS = "tool_calls"


class ServiceTier(str, enum.Enum):
    """How urgent a request is: FLEX is work in the background, which yields to all others."""

    DEFAULT = "default"
    FLEX = "flex"


MAX_LOGPROBS = 20
"""Most alternatives that are told for a token."""


class GenerationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt and how to continue it.

    Attributes:
        prompt: segments; tokenized by the engine.
        sampling: how tokens are chosen.
        max_tokens: most tokens of output; None is what is left of the context, 0 only reads the
            prompt.
        n: how many continuations; they share the prompt's prefill.
        logprobs: tell the log-probability of every output token, and of this many most likely
            ones at its place, 0 to `MAX_LOGPROBS`; None tells nothing.
        prompt_logprobs: the same for the tokens of the prompt but its first; the prompt is then
            read anew, whatever is cached.
        progress: tell how far the prompt is read, and how many are before it while it waits.
        embeds: give the prompt's embedding instead of a continuation; needs `max_tokens` 0.
        grammar: the form that the output must have.
        tier: how urgent it is.
        cache_domain: KV is shared only between requests of the same domain.
        caller: whose it is; callers take turns in the queue.
    """

    prompt: Prompt
    sampling: SamplingParams = SamplingParams()
    max_tokens: int | None = None
    n: int = 1
    logprobs: int | None = None
    prompt_logprobs: int | None = None
    progress: bool = False
    embeds: bool = False
    grammar: Grammar | None = None
    tier: ServiceTier = ServiceTier.DEFAULT
    cache_domain: str = ""
    caller: str = ""


class ModelInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine knows of the loaded model.

    Attributes:
        name: the GGUF's `general.name`, or the file's stem.
        architecture: the GGUF's `general.architecture`, e.g. `llama`.
        description: llama.cpp's own, e.g. `llama 8B Q4_K - Medium`.
        quantization: e.g. `Q4_K_M`.
        n_params: parameters.
        size_bytes: bytes of all tensors.
        n_ctx: tokens of context the engine was started with.
        n_ctx_train: tokens of context the model was trained for.
        n_vocab: entries of the vocabulary.
        bos_token: spelling of the token that begins every prompt, empty if none does.
        eos_token: spelling of the end-of-sequence token, empty if there is none.
        control_tokens: ids by spelling.
        chat_template: the GGUF's Jinja template, empty if it has none.
        n_embd: numbers of an embedding.
        text_frame: token ids before and after a text of which an embedding is made.
        encoder: it embeds texts and cannot continue them.
    """

    name: str
    architecture: str
    description: str
    quantization: str
    n_params: int
    size_bytes: int
    n_ctx: int
    n_ctx_train: int
    n_vocab: int
    bos_token: str
    eos_token: str
    control_tokens: dict[str, int]
    chat_template: str
    n_embd: int
    text_frame: tuple[tuple[int, ...], tuple[int, ...]]
    encoder: bool


class Timings(msgspec.Struct, frozen=True, array_like=True):
    """Where a sequence's time went, in milliseconds.

    Attributes:
        queue_ms: from arrival to admission.
        prompt_ms: from admission to the first token.
        predicted_ms: from the first token to the last.
    """

    queue_ms: float
    prompt_ms: float
    predicted_ms: float


class Load(msgspec.Struct, frozen=True):
    """The first frame to the engine."""

    settings: EngineSettings


class Submit(msgspec.Struct, frozen=True, tag="submit", array_like=True):
    id: int
    request: GenerationRequest


class Abort(msgspec.Struct, frozen=True, tag="abort", array_like=True):
    """Stop one choice, or with `index` None all choices, of a request."""

    id: int
    index: int | None = None


class Pause(msgspec.Struct, frozen=True, tag="pause", array_like=True):
    """Compute a request no further, for its outputs are not taken; or go on with it."""

    id: int
    paused: bool


class Tokenize(msgspec.Struct, frozen=True, tag="tokenize", array_like=True):
    """Ask for the tokens of a prompt; nothing is run."""

    id: int
    prompt: Prompt


class GetStats(msgspec.Struct, frozen=True, tag="get_stats", array_like=True):
    """Ask what was done so far."""

    id: int


Command: TypeAlias = Submit | Abort | Pause | Tokenize | GetStats


def check_command(command: Command) -> None:
    """See that a command can cross the pipe as it is: types and sizes of all fields.

    Raises:
        InvalidValue: a field has a value that its type does not allow, or the prompt is larger
            than any context.
    """
    try:
        encoded = msgspec.msgpack.encode(command)
        msgspec.msgpack.decode(encoded, type=type(command))
    except (msgspec.ValidationError, OverflowError, UnicodeEncodeError) as error:
        raise InvalidValue(f"The request cannot be sent to the engine: {error}.") from None
    if len(encoded) > MAX_PROMPT_BYTES:
        raise InvalidValue(
            f"The prompt has {len(encoded)} bytes; at most {MAX_PROMPT_BYTES} are possible.",
            param="prompt",
        )


class Ready(msgspec.Struct, frozen=True, tag="ready", array_like=True):
    info: ModelInfo


class LoadFailed(msgspec.Struct, frozen=True, tag="load_failed", array_like=True):
    message: str


class Accepted(msgspec.Struct, frozen=True, tag="accepted", array_like=True):
    id: int
    prompt_tokens: int


class Tokenized(msgspec.Struct, frozen=True, tag="tokenized", array_like=True):
    """The answer to `Tokenize`, which may have millions of tokens: made to be read in no time.

    Attributes:
        id: of the question.
        packed: the token ids, each in the four bytes of this machine's int32.
        pieces: the bytes of each different token; control tokens have none.
    """

    id: int
    packed: bytes
    pieces: dict[int, bytes]

    @classmethod
    def of(cls, id: int, tokens: Iterable[int], piece: Callable[[int], bytes]) -> Tokenized:
        packed = array("i", tokens)
        return cls(id, packed.tobytes(), {token: piece(token) for token in set(packed)})

    @property
    def tokens(self) -> memoryview[int]:
        """The token ids."""
        return memoryview(self.packed).cast("i")


Refusal: TypeAlias = InvalidValue | ContextLengthExceeded
"""Why a request is refused."""


class Refused(msgspec.Struct, frozen=True, tag="refused", array_like=True):
    """The request was refused before any work; carries the error across the pipe."""

    id: int
    message: str
    param: str | None = None
    n_ctx: int = 0
    prompt_tokens: int = 0

    @classmethod
    def of(cls, id: int, error: Refusal) -> Refused:
        if isinstance(error, ContextLengthExceeded):
            return cls(id, error.message, error.param, error.n_ctx, error.prompt_tokens)
        return cls(id, error.message, error.param)

    def error(self) -> Refusal:
        if self.n_ctx:
            return ContextLengthExceeded(self.n_ctx, self.prompt_tokens)
        return InvalidValue(self.message, param=self.param)


class TokenLogprob(msgspec.Struct, frozen=True, array_like=True):
    """A token and the model's log-probability of it, before bias, penalties and temperature.

    Attributes:
        token: its id.
        piece: its bytes; empty for control tokens.
        logprob: natural logarithm.
        top: the most likely tokens at its place, best first, if they were asked for.
    """

    token: int
    piece: bytes
    logprob: float
    top: tuple[TokenLogprob, ...] = ()


class PromptProgress(msgspec.Struct, frozen=True, array_like=True):
    """How far a prompt is read.

    Attributes:
        total: its tokens.
        cached: how many of them were taken from the KV cache.
        processed: how many of them are in the KV cache now, cached ones included.
        milliseconds: since it began to be read.
        ahead: sequences that are before it in the queue; None once it is being read.
    """

    total: int
    cached: int
    processed: int
    milliseconds: float
    ahead: int | None = None


class Output(msgspec.Struct, frozen=True, array_like=True):
    """What one step gave one sequence.

    Attributes:
        id: the request.
        index: the choice.
        tokens: new token ids, an end-of-generation token included.
        pieces: their bytes; empty for control tokens.
        cached_tokens: prompt tokens that were taken from the KV cache.
        finish: set in the last output of a sequence.
        timings: so far.
        logprobs: one entry per token, if they were asked for.
        prompt_logprobs: of the prompt's next tokens, if they were asked for; only of choice 0.
        progress: if it was asked for, until the first token; only of choice 0.
        embedding: with `finish`, if it was asked for: little-endian float32, of length 1.
    """

    id: int
    index: int
    tokens: tuple[int, ...]
    pieces: tuple[bytes, ...]
    timings: Timings
    cached_tokens: int = 0
    finish: FinishReason | None = None
    logprobs: tuple[TokenLogprob, ...] = ()
    prompt_logprobs: tuple[TokenLogprob, ...] = ()
    progress: PromptProgress | None = None
    embedding: bytes = b""


class Step(msgspec.Struct, frozen=True, tag="step", array_like=True):
    """All outputs of one step, in one message."""

    outputs: tuple[Output, ...]


class Stats(msgspec.Struct, frozen=True, tag="stats", array_like=True):
    id: int
    stats: EngineStats


Event: TypeAlias = Ready | LoadFailed | Accepted | Tokenized | Stats | Refused | Step
