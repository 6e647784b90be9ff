"""The running completions of one request: one for each of its prompts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from edge_llama.api.reply.begun import Begun
from edge_llama.chat.completion import ChatCompletion
from edge_llama.chat.events import Usage
from edge_llama.chat.infill import Infill
from edge_llama.chat.messages import TextRequest
from edge_llama.chat.model import ChatModel
from edge_llama.chat.tokens import TokenRow
from edge_llama.errors import InvalidValue
from edge_llama.pool.registry import ModelRegistry, ServedModel

MAX_ECHOED_LOGPROBS = 2**20
"""Of all tokens of all prompts of a request together: some 30 MB of JSON."""


@dataclass(frozen=True, slots=True)
class Echo:
    """A prompt as it is told with its continuation.

    Attributes:
        text: of the prompt.
        tokens: of the prompt, with the token that begins every prompt.
    """

    text: str
    tokens: TokenRow


@dataclass(frozen=True, slots=True)
class RunningPrompt:
    """One prompt of a request; `echo` if the prompt is told too."""

    completion: ChatCompletion
    echo: Echo | None


@asynccontextmanager
async def running(
    registry: ModelRegistry, model: ServedModel, texts: Sequence[TextRequest], *, echo: bool
) -> AsyncIterator[Begun[tuple[RunningPrompt, ...]]]:
    """The accepted request. Its model stays loaded until this is left.

    Raises:
        RequestError: one of the prompts was refused; the others are given up.
        EngineError: the engine is not ready, or ended.
    """
    async with registry.pool.use(model.pooled) as chat, AsyncExitStack() as stack:
        echoes = [await _echo(chat, text) for text in texts] if echo else [None] * len(texts)
        _check_scores(texts, echoes)
        prompts = []
        for text, echoed in zip(texts, echoes, strict=True):
            completion = await chat.complete(text)
            await stack.enter_async_context(completion)
            prompts.append(RunningPrompt(completion, echoed))
        yield Begun(tuple(prompts))


async def _echo(chat: ChatModel, asked: TextRequest) -> Echo:
    prompt = asked.prompt
    assert not isinstance(prompt, Infill)
    tokens = await chat.tokenize(prompt, bos=asked.bos)
    return Echo(prompt if isinstance(prompt, str) else "".join(tokens.texts()), tokens)


def _check_scores(texts: Sequence[TextRequest], echoes: Sequence[Echo | None]) -> None:
    told = sum(
        len(echo.tokens) * max(1, text.options.prompt_logprobs)
        for text, echo in zip(texts, echoes, strict=True)
        if echo is not None and text.options.prompt_logprobs is not None
    )
    if told > MAX_ECHOED_LOGPROBS:
        raise InvalidValue(
            f"logprobs asks for {told} log-probabilities of tokens of the prompts; at most "
            f"{MAX_ECHOED_LOGPROBS} are told in one request. Ask for fewer of each token, or send "
            "the prompts in several requests.",
            param="logprobs",
        )


def total_usage(prompts: tuple[RunningPrompt, ...]) -> Usage:
    """Tokens so far, of all prompts together."""
    usages = [prompt.completion.usage for prompt in prompts]
    return Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        completion_tokens=sum(usage.completion_tokens for usage in usages),
        cached_tokens=sum(usage.cached_tokens for usage in usages),
    )
