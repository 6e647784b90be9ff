"""OpenAI's text completions: the whole object and its chunks."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_llama.api.completions.logprobs import LogprobsWriter, WrittenLogprobs
from edge_llama.api.completions.running import Echo, RunningPrompt, total_usage
from edge_llama.api.completions.schemas import CompletionRequest
from edge_llama.api.http.sse import DONE, error_frame, frame
from edge_llama.api.reply.unique_id import unique_id
from edge_llama.api.reply.usage import progress_field, timings_field, usage_object
from edge_llama.api.request.stream_options import StreamOptions
from edge_llama.chat.events import (
    ChoiceEvent,
    Finished,
    PromptRead,
    PromptScored,
    Started,
    TextDelta,
)
from edge_llama.chat.logprobs import TokenLogprob
from edge_llama.chat.merge import merge
from edge_llama.pool.registry import ServedModel

Prompts = tuple[RunningPrompt, ...]


@dataclass(slots=True)
class _Choice:
    """One choice, until it is whole."""

    logprobs: WrittenLogprobs
    text: list[str]
    finish: Finished | None = None
    _tokens: int = 0
    _likelihoods: float = 0.0

    def add(self, entries: Sequence[TokenLogprob], text: str = "") -> None:
        self.text.append(text)
        self.logprobs.add(entries)
        self._tokens += len(entries)
        self._likelihoods += sum(entry.logprob for entry in entries)

    @property
    def likelihood(self) -> float:
        """The mean log-probability of its tokens, by which OpenAI ranks choices."""
        return self._likelihoods / max(1, self._tokens)


class CompletionsReply:
    """The answer as `text_completion`, or as its chunks.

    Choices are numbered through: `n` of the first prompt, then those of the second.
    """

    def __init__(self, asked: CompletionRequest, model: ServedModel) -> None:
        self._asked = asked
        self._model = model

    async def whole(self, prompts: Prompts) -> dict[str, Any]:
        """The `text_completion` object, when all choices are finished."""
        echoes = self._echoes(prompts)
        made: list[list[_Choice]] = [[] for _ in prompts]
        async for number, event in merge([prompt.completion for prompt in prompts]):
            match event:
                case PromptScored(entries):
                    echoes[number].read(entries)
                case Started():
                    echo = prompts[number].echo
                    text = [] if echo is None else [echo.text]
                    made[number].append(_Choice(echoes[number].copy(), text))
                case TextDelta(index, text, entries):
                    made[number][index].add(entries, text)
                case Finished(index):
                    made[number][index].add(event.logprobs)
                    made[number][index].finish = event
        choices = [choice for candidates in made for choice in self._best(candidates)]
        numbered = [{"index": index} | _whole(choice) for index, choice in enumerate(choices)]
        return self._head() | {"choices": numbered} | self._usage(prompts) | self._timings(prompts)

    async def stream(self, prompts: Prompts) -> AsyncIterator[bytes]:
        """The frames of a streamed reply, `[DONE]` included."""
        asked = self._asked
        options = asked.stream_options or StreamOptions()
        head = self._head()
        echoes = self._echoes(prompts)
        writers: dict[int, LogprobsWriter] = {}
        running = len(prompts) * asked.n
        async for number, event in merge([prompt.completion for prompt in prompts]):
            extra = self._usage(prompts) if options.continuous_usage_stats else {}
            if isinstance(event, PromptRead):
                progress = progress_field(event)
                if len(prompts) > 1:
                    progress["prompt_progress"]["prompt"] = number
                yield frame(head | {"choices": []} | progress)
                continue
            if isinstance(event, PromptScored):
                echoes[number].read(event.logprobs)
                continue
            index = number * asked.n + event.index
            if isinstance(event, Started):
                writers[index] = echoes[number].writer.copy()
            if isinstance(event, Finished):
                running -= 1
                if not running and not options.include_usage:
                    extra |= self._timings(prompts)
            choice = _chunk(prompts[number].echo, echoes[number], event, writers[index])
            if choice is not None:
                yield frame(head | {"choices": [{"index": index} | choice]} | extra)
        if options.include_usage:
            extra = self._usage(prompts) | self._timings(prompts)
            yield frame(head | {"choices": []} | extra)
        yield DONE

    def failure(self, error: Exception) -> bytes:
        return error_frame(error)

    def _head(self) -> dict[str, Any]:
        return {
            "id": unique_id("cmpl", "-"),
            "object": "text_completion",
            "created": int(time.time()),
            "model": self._asked.model,
            "system_fingerprint": self._model.fingerprint,
        }

    def _echoes(self, prompts: Prompts) -> list[WrittenLogprobs]:
        """What the choices of each prompt begin with, once the prompt is read."""
        return [WrittenLogprobs(self._asked.logprobs, prompt.echo) for prompt in prompts]

    def _best(self, candidates: Sequence[_Choice]) -> Sequence[_Choice]:
        if len(candidates) == self._asked.n:
            return candidates
        return sorted(candidates, key=lambda choice: -choice.likelihood)[: self._asked.n]

    def _usage(self, prompts: Prompts) -> dict[str, Any]:
        return {"usage": usage_object(total_usage(prompts))}

    def _timings(self, prompts: Prompts) -> dict[str, Any]:
        if len(prompts) > 1:
            return {}
        return timings_field(prompts[0].completion, self._asked.candidates)


def _whole(choice: _Choice) -> dict[str, Any]:
    assert choice.finish is not None
    return _choice_object("".join(choice.text), choice.logprobs.lists, choice.finish)


def _chunk(
    echo: Echo | None, echoed: WrittenLogprobs, event: ChoiceEvent, writer: LogprobsWriter
) -> dict[str, Any] | None:
    match event:
        case Started():
            return None if echo is None else _choice_object(echo.text, echoed.lists)
        case TextDelta():
            return _choice_object(event.text, writer.output(event.logprobs))
        case Finished():
            return _choice_object("", writer.output(event.logprobs), event)
        case _:
            return None


def _choice_object(
    text: str, logprobs: Mapping[str, Any] | None, finish: Finished | None = None
) -> dict[str, Any]:
    choice = {
        "text": text,
        "logprobs": logprobs,
        "finish_reason": None if finish is None else finish.reason.value,
    }
    return choice if finish is None else choice | {"stop_reason": finish.stop}
