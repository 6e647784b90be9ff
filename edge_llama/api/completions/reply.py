"""OpenAI's text completions: the whole object and its chunks."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from edge_llama.api.completions.logprobs import LogprobsWriter, WrittenLogprobs
from edge_llama.api.completions.running import Echo, RunningPrompt, total_usage
from edge_llama.api.completions.schemas import CompletionRequest
from edge_llama.api.completions.shapes import Completion, CompletionChoice, CompletionLogprobs
from edge_llama.api.completions.token_lists import TokenLists
from edge_llama.api.http.sse import DONE, error_frame, frame
from edge_llama.api.reply.shapes import Extras, PromptProgressOut, Timed
from edge_llama.api.reply.unique_id import unique_id
from edge_llama.api.reply.usage import progress_object, timed, usage_object
from edge_llama.api.request.stream_options import StreamOptions
from edge_llama.chat.events import ChoiceEvent, Finished, PromptScored, Started, TextDelta
from edge_llama.chat.logprobs import TokenLogprob
from edge_llama.chat.merge import merge
from edge_llama.engine.protocol.output import PromptRead
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

    async def whole(self, prompts: Prompts) -> Completion:
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
        numbered = [_whole(index, choice) for index, choice in enumerate(choices)]
        extra: Extras = {**self._usage(prompts), **self._timed(prompts)}
        return {**self._empty(), "choices": numbered, **extra}

    async def stream(self, prompts: Prompts) -> AsyncGenerator[bytes, None]:
        """The frames of a streamed reply, `[DONE]` included."""
        asked = self._asked
        options = asked.stream_options or StreamOptions()
        empty = self._empty()
        echoes = self._echoes(prompts)
        writers: dict[int, LogprobsWriter] = {}
        running = len(prompts) * asked.n
        async for number, event in merge([prompt.completion for prompt in prompts]):
            if isinstance(event, PromptRead):
                yield _frame(empty, [], {"prompt_progress": _progress(event, number, prompts)})
                continue
            if isinstance(event, PromptScored):
                echoes[number].read(event.logprobs)
                continue
            extra: Extras = self._usage(prompts) if options.continuous_usage_stats else {}
            index = number * asked.n + event.index
            if isinstance(event, Started):
                writers[index] = echoes[number].writer.copy()
            if isinstance(event, Finished):
                running -= 1
                if not running and not options.include_usage:
                    extra = {**extra, **self._timed(prompts)}
            choice = _part(index, prompts[number].echo, echoes[number], event, writers[index])
            if choice is not None:
                yield _frame(empty, [choice], extra)
        if options.include_usage:
            yield _frame(empty, [], {**self._usage(prompts), **self._timed(prompts)})
        yield DONE

    def failure(self, error: Exception) -> bytes:
        return error_frame(error)

    def _empty(self) -> Completion:
        """The object, or a chunk of it, without choices."""
        return {
            "id": unique_id("cmpl", "-"),
            "object": "text_completion",
            "created": int(time.time()),
            "model": self._asked.model,
            "system_fingerprint": self._model.fingerprint,
            "choices": [],
        }

    def _echoes(self, prompts: Prompts) -> list[WrittenLogprobs]:
        """What the choices of each prompt begin with, once the prompt is read."""
        return [WrittenLogprobs(self._asked.logprobs, prompt.echo) for prompt in prompts]

    def _best(self, candidates: Sequence[_Choice]) -> Sequence[_Choice]:
        if len(candidates) == self._asked.n:
            return candidates
        return sorted(candidates, key=lambda choice: -choice.likelihood)[: self._asked.n]

    def _usage(self, prompts: Prompts) -> Extras:
        return {"usage": usage_object(total_usage(prompts))}

    def _timed(self, prompts: Prompts) -> Timed:
        return timed(prompts[0].completion, self._asked.candidates) if len(prompts) == 1 else {}


def _frame(empty: Completion, choices: list[CompletionChoice], extra: Extras) -> bytes:
    chunk: Completion = {**empty, "choices": choices, **extra}
    return frame(chunk)


def _progress(event: PromptRead, number: int, prompts: Prompts) -> PromptProgressOut:
    progress = progress_object(event)
    if len(prompts) > 1:
        progress["prompt"] = number
    return progress


def _whole(index: int, choice: _Choice) -> CompletionChoice:
    assert choice.finish is not None
    return _choice_object(index, "".join(choice.text), choice.logprobs.shape(), choice.finish)


def _part(
    index: int,
    echo: Echo | None,
    echoed: WrittenLogprobs,
    event: ChoiceEvent,
    writer: LogprobsWriter,
) -> CompletionChoice | None:
    match event:
        case Started():
            return None if echo is None else _choice_object(index, echo.text, echoed.shape())
        case TextDelta():
            return _choice_object(index, event.text, _shape(writer.output(event.logprobs)))
        case Finished():
            return _choice_object(index, "", _shape(writer.output(event.logprobs)), event)
        case _:
            return None


def _shape(lists: TokenLists | None) -> CompletionLogprobs | None:
    return None if lists is None else lists.shape()


def _choice_object(
    index: int, text: str, logprobs: CompletionLogprobs | None, finish: Finished | None = None
) -> CompletionChoice:
    choice: CompletionChoice = {
        "index": index,
        "text": text,
        "logprobs": logprobs,
        "finish_reason": None if finish is None else finish.reason.value,
    }
    if finish is not None:
        choice["stop_reason"] = finish.stop
    return choice
