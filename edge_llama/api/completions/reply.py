"""OpenAI's text completions: the whole object and its chunks."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_llama.api.completions.logprobs import LogprobsWriter
from edge_llama.api.completions.running import RunningPrompt, total_usage
from edge_llama.api.completions.schemas import CompletionRequest
from edge_llama.api.registry import ServedModel
from edge_llama.api.schemas import StreamOptions
from edge_llama.api.sse import DONE, error_frame, frame
from edge_llama.api.unique_id import unique_id
from edge_llama.api.usage import progress_field, timings_field, usage_object
from edge_llama.chat.events import ChatEvent, Finished, PromptRead, Started, TextDelta
from edge_llama.chat.logprobs import TokenLogprob
from edge_llama.chat.merge import merge

Prompts = tuple[RunningPrompt, ...]


@dataclass(slots=True)
class _Choice:
    """One choice, when it is whole."""

    text: list[str] = field(default_factory=list)
    entries: list[TokenLogprob] = field(default_factory=list)
    finish: Finished | None = None

    @property
    def likelihood(self) -> float:
        """The mean log-probability of its tokens, by which OpenAI ranks choices."""
        return sum(entry.logprob for entry in self.entries) / max(1, len(self.entries))


class CompletionsReply:
    """The answer as `text_completion`, or as its chunks.

    Choices are numbered through: `n` of the first prompt, then those of the second.
    """

    def __init__(self, asked: CompletionRequest, model: ServedModel) -> None:
        self._asked = asked
        self._model = model

    async def whole(self, prompts: Prompts) -> dict[str, Any]:
        """The `text_completion` object, when all choices are finished."""
        made = [[_Choice() for _ in range(self._asked.candidates)] for _ in prompts]
        async for number, event in merge([prompt.completion for prompt in prompts]):
            match event:
                case TextDelta(index, text, entries):
                    made[number][index].text.append(text)
                    made[number][index].entries += entries
                case Finished(index):
                    made[number][index].entries += event.logprobs
                    made[number][index].finish = event
        choices = [
            self._whole_choice(prompt, choice)
            for prompt, candidates in zip(prompts, made, strict=True)
            for choice in self._best(candidates)
        ]
        numbered = [{"index": index} | choice for index, choice in enumerate(choices)]
        return self._head() | {"choices": numbered} | self._usage(prompts) | self._timings(prompts)

    async def stream(self, prompts: Prompts) -> AsyncIterator[bytes]:
        """The frames of a streamed reply, `[DONE]` included."""
        asked = self._asked
        options = asked.stream_options or StreamOptions()
        head = self._head()
        writers = [LogprobsWriter(asked.logprobs) for _ in range(len(prompts) * asked.n)]
        running = len(writers)
        async for number, event in merge([prompt.completion for prompt in prompts]):
            extra = self._usage(prompts) if options.continuous_usage_stats else {}
            if isinstance(event, PromptRead):
                progress = progress_field(event)
                if len(prompts) > 1:
                    progress["prompt_progress"]["prompt"] = number
                yield frame(head | {"choices": []} | progress)
                continue
            index = number * asked.n + event.index
            if isinstance(event, Finished):
                running -= 1
                if not running and not options.include_usage:
                    extra |= self._timings(prompts)
            choice = self._chunk_choice(prompts[number], event, writers[index])
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

    def _best(self, candidates: Sequence[_Choice]) -> Sequence[_Choice]:
        if len(candidates) == self._asked.n:
            return candidates
        return sorted(candidates, key=lambda choice: -choice.likelihood)[: self._asked.n]

    def _whole_choice(self, prompt: RunningPrompt, choice: _Choice) -> dict[str, Any]:
        assert choice.finish is not None
        writer = LogprobsWriter(self._asked.logprobs)
        text = "".join(choice.text)
        if prompt.echo is None:
            logprobs = writer.output(choice.entries)
        else:
            text = prompt.echo.text + text
            logprobs = _joined(
                writer.echo(prompt.echo, prompt.completion.prompt_logprobs),
                writer.output(choice.entries),
            )
        return _choice_object(text, logprobs, choice.finish)

    def _chunk_choice(
        self,
        prompt: RunningPrompt,
        event: ChatEvent,
        writer: LogprobsWriter,
    ) -> dict[str, Any] | None:
        match event:
            case Started():
                if prompt.echo is None:
                    return None
                entries = prompt.completion.prompt_logprobs
                return _choice_object(prompt.echo.text, writer.echo(prompt.echo, entries))
            case TextDelta():
                return _choice_object(event.text, writer.output(event.logprobs))
            case Finished():
                return _choice_object("", writer.output(event.logprobs), event)
            case _:
                return None

    def _usage(self, prompts: Prompts) -> dict[str, Any]:
        return {"usage": usage_object(total_usage(prompts))}

    def _timings(self, prompts: Prompts) -> dict[str, Any]:
        if len(prompts) > 1:
            return {}
        return timings_field(prompts[0].completion, self._asked.candidates)


def _choice_object(
    text: str, logprobs: dict[str, Any] | None, finish: Finished | None = None
) -> dict[str, Any]:
    choice = {
        "text": text,
        "logprobs": logprobs,
        "finish_reason": None if finish is None else finish.reason.value,
    }
    return choice if finish is None else choice | {"stop_reason": finish.stop}


def _joined(first: dict[str, Any] | None, second: dict[str, Any] | None) -> dict[str, Any] | None:
    if first is None or second is None:
        return None
    return {name: first[name] and first[name] + second[name] for name in first}
