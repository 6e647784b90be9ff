"""What the two processes say to each other: commands and events.

A frame on a pipe is a 4-byte little-endian length and that many bytes of MessagePack. The first
frame to the engine is `LoadModel`; everything after it is a `Command`. The engine answers `Ready`
or `LoadFailed`, then sends `Event`s.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from typing import TypeAlias

import msgspec

from edge_llama.engine.protocol.model_info import ModelInfo
from edge_llama.engine.protocol.output import Output
from edge_llama.engine.protocol.prompt import MAX_PROMPT_BYTES, Prompt
from edge_llama.engine.protocol.request import GenerationRequest
from edge_llama.engine.protocol.stats import EngineStats
from edge_llama.errors import ContextLengthExceeded, InvalidValue
from edge_llama.settings.engine import EngineSettings


class LoadModel(msgspec.Struct, frozen=True):
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
    except (msgspec.ValidationError, TypeError, OverflowError, UnicodeEncodeError) as error:
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


class StepOutputs(msgspec.Struct, frozen=True, tag="step", array_like=True):
    """All outputs of one step, in one message."""

    outputs: tuple[Output, ...]


class Stats(msgspec.Struct, frozen=True, tag="stats", array_like=True):
    id: int
    stats: EngineStats


Event: TypeAlias = Ready | LoadFailed | Accepted | Tokenized | Stats | Refused | StepOutputs
