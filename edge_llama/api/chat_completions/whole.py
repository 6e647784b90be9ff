"""OpenAI's whole chat completion, made from chat events."""

from __future__ import annotations

from edge_llama.api.chat_completions.finish_reason import finish_reason
from edge_llama.api.chat_completions.head import ReplyHead
from edge_llama.api.chat_completions.shapes import (
    ChatCompletionChoice,
    ChatCompletionMessage,
    ChatCompletionOut,
    ToolCallOut,
)
from edge_llama.api.http.written_list import WrittenList
from edge_llama.api.reply.logprobs import logprob_entries
from edge_llama.api.reply.shapes import TokenLogprobOut
from edge_llama.api.reply.usage import timed, usage_object
from edge_llama.chat.completion import ChatCompletion
from edge_llama.chat.events import (
    ChoiceEvent,
    Finished,
    PromptScored,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from edge_llama.engine.protocol.output import PromptRead


async def whole_completion(
    completion: ChatCompletion,
    head: ReplyHead,
    *,
    n: int,
    logprobs: bool = False,
    legacy: bool = False,
) -> ChatCompletionOut:
    """The `chat.completion` object, when all choices are finished."""
    answers = [_Answer(logprobs=logprobs, legacy=legacy) for _ in range(n)]
    async for event in completion:
        if not isinstance(event, (PromptRead, PromptScored)):
            answers[event.index].add(event)
    choices = [answer.choice(index) for index, answer in enumerate(answers)]
    return head.completion(choices, usage_object(completion.usage), timed(completion, n))


class _Answer:
    """The events of one choice, added up.

    Args:
        logprobs: whether log-probabilities are told.
        legacy: calls are told as `function_call`, the old way.
    """

    def __init__(self, *, logprobs: bool, legacy: bool) -> None:
        self._legacy = legacy
        self._logprobs: WrittenList[TokenLogprobOut] | None = WrittenList() if logprobs else None
        self._texts: list[str] = []
        self._calls: list[ToolCallOut] = []
        self._finished: Finished | None = None

    def add(self, event: ChoiceEvent) -> None:
        match event:
            case TextDelta():
                self._texts.append(event.text)
                if self._logprobs is not None:
                    self._logprobs.add(logprob_entries(event.logprobs))
            case ToolCallStarted():
                self._calls.append(
                    {
                        "id": event.id,
                        "type": "function",
                        "function": {"name": event.name, "arguments": ""},
                    }
                )
            case ToolCallDelta():
                self._calls[event.call]["function"]["arguments"] += event.arguments
            case Finished():
                self._finished = event

    def choice(self, index: int) -> ChatCompletionChoice:
        """The choice, when it is finished."""
        assert self._finished is not None
        logprobs = self._logprobs
        return {
            "index": index,
            "message": self._message(),
            "logprobs": None if logprobs is None else {"content": logprobs, "refusal": None},
            "finish_reason": finish_reason(self._finished, legacy=self._legacy),
        }

    def _message(self) -> ChatCompletionMessage:
        content = "".join(self._texts) if self._texts or not self._calls else None
        message: ChatCompletionMessage = {"role": "assistant", "content": content, "refusal": None}
        if self._calls and self._legacy:
            message["function_call"] = self._calls[0]["function"]
        elif self._calls:
            message["tool_calls"] = self._calls
        return message
