"""ChatModel: a model one can talk to."""

from __future__ import annotations

import asyncio
from functools import cached_property

from edge_llama.chat.completion import ChatCompletion
from edge_llama.chat.engine import Engine, Generation
from edge_llama.chat.logprobs import TokenNames
from edge_llama.chat.messages import ChatRequest
from edge_llama.chat.template import ChatTemplate, template_for
from edge_llama.engine.messages import GenerationRequest, ModelInfo
from edge_llama.engine.prompt import Prompt, Text
from edge_llama.errors import InvalidValue
from edge_llama.text.output_decoder import OutputDecoder


class ChatModel:
    """An engine and the chat template of its model.

    Args:
        engine: runs the model; starting and stopping it is its owner's business.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._template: ChatTemplate | None = None
        self._building = asyncio.Lock()

    async def ready(self) -> ModelInfo:
        """Wait for the engine and build the chat template, so that no request has to.

        Raises:
            EngineStartError: the engine could not load the model.
            TemplateError: the model has no chat template that can be used.
        """
        await self._built_template()
        return self.engine.info

    async def start(self, request: ChatRequest) -> ChatCompletion:
        """Send a request to the engine. Everything that can be refused is refused here.

        Raises:
            RequestError: the request cannot be run; names the field.
            TemplateError: the model's chat template cannot be used, failed or ran into a limit.
            EngineError: the engine is not ready, or ended.
        """
        min_tokens = request.sampling.min_tokens
        decoders = [OutputDecoder(request.stop, min_tokens=min_tokens) for _ in range(request.n)]
        template = await self._built_template()
        prompt = await asyncio.to_thread(template.render, request.messages, request.tools)
        _check_unicode(prompt)
        generation = await self._submit(
            GenerationRequest(
                prompt=prompt,
                sampling=request.sampling,
                max_tokens=request.max_tokens,
                n=request.n,
                logprobs=request.logprobs,
                grammar=request.grammar,
                tier=request.tier,
                cache_domain=request.cache_domain,
                caller=request.caller,
            )
        )
        return ChatCompletion(generation, decoders, self._token_names)

    @cached_property
    def _token_names(self) -> TokenNames:
        return TokenNames(self.engine.info.control_tokens)

    async def _submit(self, request: GenerationRequest) -> Generation:
        try:
            return await self.engine.submit(request)
        except InvalidValue as error:
            if error.param != "prompt":
                raise
            # Whoever asks for a chat has not seen the prompt.
            raise InvalidValue(error.message, param="messages") from None

    async def _built_template(self) -> ChatTemplate:
        async with self._building:
            if self._template is None:
                info = await self.engine.ready()
                self._template = await asyncio.to_thread(template_for, info)
            return self._template


def _check_unicode(prompt: Prompt) -> None:
    for segment in prompt:
        if isinstance(segment, Text):
            try:
                segment.text.encode()
            except UnicodeEncodeError:
                raise InvalidValue(
                    "The messages have half of a surrogate pair, which is not Unicode text.",
                    param="messages",
                ) from None
