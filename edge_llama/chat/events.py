"""What a running chat completion tells: a stream of events, and its usage at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from edge_llama.chat.logprobs import TokenLogprob
from edge_llama.engine.protocol.output import FinishReason, PromptRead


@dataclass(frozen=True, slots=True)
class Started:
    """The first token of a choice is there. Sent once per choice, lower indices first."""

    index: int


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of a choice; never empty, never half a character, never part of a stop string.

    `logprobs` has the tokens that begin in it, if they were asked for.
    """

    index: int
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """A choice ended.

    `stop` is the stop string that matched, if one did; `logprobs` has the tokens after the last
    text: an end-of-generation token.
    """

    index: int
    reason: FinishReason
    stop: str | None = None
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptScored:
    """The log-probabilities of the prompt's next tokens, if they were asked for.

    All tokens but the first have theirs before a choice starts.
    """

    logprobs: tuple[TokenLogprob, ...]


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """A choice calls a tool.

    Attributes:
        index: the choice.
        call: which of its calls, from 0.
        id: identifies the call in the conversation.
        name: the tool.
    """

    index: int
    call: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """More of the JSON text of a call's arguments; never empty."""

    index: int
    call: int
    arguments: str


ChoiceEvent: TypeAlias = Started | TextDelta | ToolCallStarted | ToolCallDelta | Finished
"""What one choice tells."""

ChatEvent: TypeAlias = PromptRead | PromptScored | ChoiceEvent


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts: the prompt once, the outputs of all choices added up."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens
