"""llama-server's own completions: the whole object and its parts."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any, Literal

from edge_llama.api.completions.running import RunningPrompt
from edge_llama.api.http.sse import error_frame, frame
from edge_llama.api.llama_server.generation_settings import generation_settings
from edge_llama.api.llama_server.schemas import ContinuedRequest
from edge_llama.api.llama_server.shapes import (
    NativeCompletion,
    NativePart,
    Probability,
    TokenProbability,
)
from edge_llama.api.reply.usage import progress_object, timed
from edge_llama.chat.events import Finished, TextDelta
from edge_llama.chat.logprobs import TokenLogprob
from edge_llama.chat.merge import merge
from edge_llama.chat.messages import TextRequest
from edge_llama.engine.protocol.output import FinishReason, PromptRead
from edge_llama.pool.registry import ServedModel

Prompts = tuple[RunningPrompt, ...]
StopType = Literal["eos", "limit", "word", "none"]

NO_SLOT = -1

_STOP_TYPES: dict[FinishReason, StopType] = {
    FinishReason.STOP: "eos",
    FinishReason.LENGTH: "limit",
}


class _Continuation:
    """What one prompt has got so far."""

    def __init__(self, index: int, prompt: RunningPrompt) -> None:
        self.index = index
        self.completion = prompt.completion
        self.texts: list[str] = []
        self.probabilities: list[TokenProbability] = []
        self.told = 0

    def next_tokens(self) -> list[int]:
        """Those that were not told yet."""
        ids = self.completion.token_ids(0, self.told)
        self.told += len(ids)
        return ids


class NativeReply:
    """The answer as llama-server has it, whole or in parts; a list of them for several prompts.

    Shapes: https://github.com/ggml-org/llama.cpp/tree/master/tools/server#result-json
    """

    def __init__(
        self, asked: ContinuedRequest, texts: Sequence[TextRequest], model: ServedModel
    ) -> None:
        self._asked = asked
        self._texts = texts
        self._model = model

    async def whole(self, prompts: Prompts) -> object:
        ended: dict[int, object] = {}
        running = [_Continuation(index, prompt) for index, prompt in enumerate(prompts)]
        async for index, event in merge([prompt.completion for prompt in prompts]):
            one = running[index]
            if isinstance(event, TextDelta):
                one.texts.append(event.text)
                one.probabilities += _probabilities(event.logprobs)
            elif isinstance(event, Finished):
                one.probabilities += _probabilities(event.logprobs)
                ended[index] = self._selected(self._end(one, event))
        return ended[0] if len(prompts) == 1 else [ended[index] for index in range(len(prompts))]

    async def stream(self, prompts: Prompts) -> AsyncGenerator[bytes, None]:
        running = [_Continuation(index, prompt) for index, prompt in enumerate(prompts)]
        async for index, event in merge([prompt.completion for prompt in prompts]):
            one = running[index]
            if isinstance(event, PromptRead):
                part = self._part(one, "")
                part["prompt_progress"] = progress_object(event)
                yield frame(part)
            elif isinstance(event, TextDelta):
                one.texts.append(event.text)
                part = self._part(one, event.text)
                if event.logprobs:
                    part["completion_probabilities"] = _probabilities(event.logprobs)
                yield frame(part)
            elif isinstance(event, Finished):
                yield frame({**self._selected(self._end(one, event))})

    def failure(self, error: Exception) -> bytes:
        return error_frame(error)

    def _part(self, one: _Continuation, text: str) -> NativePart:
        usage = one.completion.usage
        part: NativePart = {
            "index": one.index,
            "content": text,
            "tokens": one.next_tokens(),
            "stop": False,
            "id_slot": NO_SLOT,
            "tokens_predicted": usage.completion_tokens,
            "tokens_evaluated": usage.prompt_tokens,
        }
        times = timed(one.completion, 1)
        if self._asked.timings_per_token and "timings" in times:
            part["timings"] = times["timings"]
        return part

    def _end(self, one: _Continuation, event: Finished) -> NativeCompletion:
        asked, usage = self._asked, one.completion.usage
        text, prompt = "".join(one.texts), self._texts[one.index].prompt
        told: NativeCompletion = {
            "index": one.index,
            "content": "" if asked.stream else text,
            "tokens": one.next_tokens() if asked.return_tokens and not asked.stream else [],
            "stop": True,
            "id_slot": NO_SLOT,
            "model": self._model.id,
            "tokens_predicted": usage.completion_tokens,
            "tokens_evaluated": usage.prompt_tokens,
            "tokens_cached": usage.cached_tokens,
            "generation_settings": generation_settings(self._texts[one.index], stream=asked.stream),
            "prompt": prompt if isinstance(prompt, str) else "",
            "has_new_line": "\n" in text,
            "truncated": False,
            "stop_type": "word" if event.stop else _STOP_TYPES.get(event.reason, "none"),
            "stopping_word": event.stop or "",
        }
        times = timed(one.completion, 1)
        if "timings" in times:
            told["timings"] = times["timings"]
        if asked.n_probs and not asked.stream:
            told["completion_probabilities"] = one.probabilities
        return told

    def _selected(self, told: NativeCompletion) -> dict[str, Any]:
        """What `response_fields` asks for: paths into the answer, such as
        `generation_settings/seed`.
        """
        if not self._asked.response_fields:
            return {**told}
        found = {}
        for path in self._asked.response_fields:
            value: Any = told
            for key in path.split("/"):
                value = value.get(key) if isinstance(value, dict) else None
            if value is not None:
                found[path] = value
        return found


def _probabilities(tokens: Iterable[TokenLogprob]) -> list[TokenProbability]:
    return [{**_plain(token), "top_logprobs": [*map(_plain, token.top)]} for token in tokens]


def _plain(token: TokenLogprob) -> Probability:
    return {
        "id": token.id,
        "token": token.data.decode(errors="replace") if token.text is None else token.text,
        "bytes": list(token.data),
        "logprob": token.logprob,
    }
