"""The running completions of one request: one for each of its prompts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from edge_llama.api.registry import ModelRegistry, ServedModel
from edge_llama.chat.completion import ChatCompletion
from edge_llama.chat.events import Usage
from edge_llama.chat.messages import TextRequest
from edge_llama.chat.model import ChatModel
from edge_llama.chat.tokens import TokenRow


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
) -> AsyncIterator[tuple[RunningPrompt, ...]]:
    """The accepted request. Its model stays loaded until this is left.

    Raises:
        RequestError: one of the prompts was refused; the others are given up.
        EngineError: the engine is not ready, or ended.
    """
    async with registry.pool.use(model.pooled) as chat, AsyncExitStack() as stack:
        prompts = []
        for text in texts:
            echoed = await _echo(chat, text) if echo else None
            completion = await chat.complete(text)
            await stack.enter_async_context(completion)
            prompts.append(RunningPrompt(completion, echoed))
        yield tuple(prompts)


async def _echo(chat: ChatModel, asked: TextRequest) -> Echo:
    prompt = asked.prompt
    tokens = await chat.tokenize(prompt, bos=asked.bos)
    return Echo(prompt if isinstance(prompt, str) else "".join(tokens.texts()), tokens)


def total_usage(prompts: tuple[RunningPrompt, ...]) -> Usage:
    """Tokens so far, of all prompts together."""
    usages = [prompt.completion.usage for prompt in prompts]
    return Usage(
        prompt_tokens=sum(usage.prompt_tokens for usage in usages),
        completion_tokens=sum(usage.completion_tokens for usage in usages),
        cached_tokens=sum(usage.cached_tokens for usage in usages),
    )
