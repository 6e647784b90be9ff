"""ChatModel: a model one can talk to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property

import msgspec

from edge_llama.chat.choice import Choice
from edge_llama.chat.completion import ChatCompletion
from edge_llama.chat.embedding import Embedding
from edge_llama.chat.engine import Engine, OutputStream
from edge_llama.chat.infill import Infill, infill_prompt
from edge_llama.chat.logprobs import TokenNames
from edge_llama.chat.messages import AnswerRequest, ChatRequest, Role, TextOrIds, TextRequest
from edge_llama.chat.meter import UsageMeter
from edge_llama.chat.overflow import Dropped, fit
from edge_llama.chat.template.prefix import shared_prefix
from edge_llama.chat.template.schema_hint import hinted
from edge_llama.chat.template.template import ChatTemplate, template_for
from edge_llama.chat.template.text_prompt import TextPrompts
from edge_llama.chat.template.told_tools import told_tools
from edge_llama.chat.tokens import TokenRow
from edge_llama.chat.tools.marked_form import HERMES
from edge_llama.chat.tools.tool import CallMode, Tool
from edge_llama.chat.tools.tool_calls import CallParser
from edge_llama.chat.tools.tool_parameters import Effort, ToolParameters
from edge_llama.chat.tools.tool_syntax import ToolSyntax
from edge_llama.engine.protocol.grammar import JSONSchema
from edge_llama.engine.protocol.kinds import see_kind
from edge_llama.engine.protocol.model_info import ModelInfo
from edge_llama.engine.protocol.prompt import Prompt, Text, Tokens
from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest, ServiceTier
from edge_llama.errors import (
    InvalidValue,
    RequestError,
    SettingsError,
    TemplateError,
    UnsupportedParameter,
)
from edge_llama.settings.prompts import DEFAULT_PROMPTS, PromptSettings
from edge_llama.text.output_decoder import OutputDecoder

_EFFORTS = (Effort.FULL, Effort.PLAIN, Effort.OBJECTS)

logger = logging.getLogger(__name__)


class ChatModel:
    """An engine and the chat template of its model, if it has one.

    Args:
        engine: runs the model; starting and stopping it is its owner's business.
        prompts: how conversations are written.
    """

    def __init__(self, engine: Engine, prompts: PromptSettings = DEFAULT_PROMPTS) -> None:
        if not callable(getattr(engine, "submit", None)):
            raise SettingsError(f"ChatModel takes an AsyncEngine, not {engine!r:.100}.")
        self.engine = engine
        self._prompts = prompts
        self._template: ChatTemplate | None = None
        self._building = asyncio.Lock()

    async def ready(self) -> ModelInfo:
        """Wait for the engine and build the chat template, so that no request has to.

        Raises:
            EngineStartError: the engine could not load the model.
            TemplateError: the model has no chat template that can be used.
            InvalidValue: it only embeds texts.
        """
        await self._built_template()
        return self.engine.info

    async def loaded(self) -> ModelInfo:
        """As `ready`, but a model without a usable chat template is welcome too: it completes and
        embeds texts.

        Raises:
            EngineStartError: the engine could not load the model.
        """
        info = await self.engine.ready()
        if not info.encoder:
            try:
                await self._built_template(info)
            except TemplateError as error:
                logger.warning("%s It completes and embeds texts.", error)
        return info

    async def start(self, request: ChatRequest) -> ChatCompletion:
        """Send a request to the engine. Everything that can be refused is refused here.

        Raises:
            RequestError: the request cannot be run; names the field.
            TemplateError: the model's chat template cannot be used, failed or ran into a limit.
            EngineError: the engine is not ready, or ended.
        """
        _see_request(request, ChatRequest)
        # Whoever asks for a chat has not seen the prompt.
        with _naming("messages"):
            dropped = None
            if request.overflow == "truncate_oldest":
                await self.engine.ready()
                request, dropped = await fit(request, self.engine.info.n_ctx, self.count)
            template = await self._built_template()
            request, unused = await self._usable(request, template)
            prompt = await self._chat_prompt(request)
            if request.calls_tools:
                completion = await self._call(prompt, request, template, dropped)
            else:
                completion = await self._run(prompt, request, dropped=dropped)
            completion.unused = (*unused, *completion.unused)
            return completion

    async def _usable(
        self, request: ChatRequest, template: ChatTemplate
    ) -> tuple[ChatRequest, list[str]]:
        """What the model's template can write of a request, and the paths of the rest.

        Raises:
            UnsupportedParameter: the request is strict, or demands what is left out.
        """
        _see_that_it_can_go_on(request)
        request = hinted(request) if self._prompts.schema_hint else request
        unused = [f"chat_template_kwargs.{n}" for n in template.unknown_arguments(request.template)]
        if unused and request.strict:
            raise UnsupportedParameter(
                f"{unused[0]} is not known to this model's chat template. Leave it out.",
                param=unused[0],
            )
        if not request.offered_tools or await asyncio.to_thread(template.shows_tools):
            return request, unused
        if self._prompts.tools_prompt:
            return told_tools(request), unused
        if request.strict or request.tool_choice.mode is CallMode.REQUIRED:
            raise UnsupportedParameter(
                "This model's chat template shows it no tools. Leave them out, or have the server "
                "show them in the system message (`tools_prompt`).",
                param="tools",
            )
        return replace(request, tools=()), [*unused, "tools"]

    async def _call(
        self,
        prompt: Prompt,
        request: ChatRequest,
        template: ChatTemplate,
        dropped: Dropped | None,
    ) -> ChatCompletion:
        """Run a request that has tools. What does not compile of their schemas is tried again with
        less of them."""
        form = request.options.grammar
        if form is not None and not isinstance(form, JSONSchema):
            raise InvalidValue(f"{form.param} and tools exclude each other.", param=form.param)
        syntax = ToolSyntax(
            HERMES if request.told_tools else template.call_form,
            self.engine.info.control_tokens,
            request.tools,
            request.template.builtin_tools or (),
        )
        efforts = (Effort.STRICT,) if request.strict else _EFFORTS
        for effort in efforts:
            parameters = ToolParameters(effort)
            grammar = syntax.grammar(request.tool_choice, form, parameters)
            options = msgspec.structs.replace(request.options, grammar=grammar)
            asked = replace(request, options=options)
            parsers = [syntax.parser() for _ in range(options.n)]
            try:
                completion = await self._run(prompt, asked, parsers, dropped=dropped)
            except InvalidValue as error:
                if error.param != grammar.param or effort is efforts[-1]:
                    raise
            else:
                completion.unused = tuple(parameters.left_out)
                return completion
        raise AssertionError("the last effort returns or raises")

    async def complete(self, request: TextRequest) -> ChatCompletion:
        """Continue a text. Everything that can be refused is refused here.

        Raises:
            RequestError: the request cannot be run; names the field.
            EngineError: the engine is not ready, or ended.
        """
        _see_request(request, TextRequest)
        _check_generates(await self.engine.ready())
        if isinstance(request.prompt, Infill):
            prompt = infill_prompt(self.engine.info, request.prompt)
        else:
            prompt = self._text_prompt(request.prompt, request.bos)
        with _naming("prompt"):
            return await self._run(prompt, request)

    async def embed(
        self,
        text: TextOrIds,
        *,
        tier: ServiceTier = ServiceTier.DEFAULT,
        caller: str = "",
        meter: UsageMeter | None = None,
    ) -> Embedding:
        """The embedding of a text, or of token ids, which are taken as they are.

        Raises:
            RequestError: it cannot be embedded.
            EngineError: the engine is not ready, or ended.
        """
        await self.engine.ready()
        with _naming("input"):
            generation = await self._submit(
                GenerationRequest(
                    prompt=self._embedded_text(text)
                    if isinstance(text, str)
                    else self._text_prompts.mixed(text),
                    options=GenerationOptions(max_tokens=0, tier=tier, caller=caller),
                    embeds=True,
                ),
                meter,
            )
        try:
            output = await generation.__anext__()
        finally:
            generation.abort()
        return Embedding(output.embedding, generation.prompt_tokens)

    def _embedded_text(self, text: str) -> Prompt:
        begin, end = self.engine.info.text_frame
        return (Tokens(begin), Text(text), Tokens(end))

    async def tokenize(
        self, prompt: TextOrIds, *, bos: bool = True, field: str = "prompt"
    ) -> TokenRow:
        """The tokens of a text or of token ids, as a `TextRequest` is charged for them.

        Raises:
            InvalidValue: there is no token of such an id; names `field`.
            EngineError: the engine is not ready, or ended.
        """
        await self.engine.ready()
        with _naming(field):
            return await self._tokens(self._text_prompt(prompt, bos))

    async def tokenize_chat(self, request: ChatRequest) -> TokenRow:
        """The tokens that a `ChatRequest` is charged for.

        Raises:
            InvalidValue: the conversation cannot be written; names the field.
            TemplateError: the model's chat template cannot be used, failed or ran into a limit.
            EngineError: the engine is not ready, or ended.
        """
        with _naming("messages"):
            return await self._tokens(await self._chat_prompt(request))

    async def _tokens(self, prompt: Prompt) -> TokenRow:
        tokenized = await self.engine.tokenize(prompt)
        return TokenRow(tokenized.tokens, tokenized.pieces, self._token_names)

    async def written(self, request: ChatRequest) -> str:
        """The prompt of a chat, its control tokens spelled out. Raises as `tokenize_chat` does."""
        with _naming("messages"):
            prompt = await self._chat_prompt(request)
        return "".join(
            segment.text if isinstance(segment, Text) else segment.token
            for segment in prompt
            if not isinstance(segment, Tokens)
        )

    async def count(self, request: ChatRequest) -> int:
        """How many tokens `tokenize_chat` would give. Raises as that does."""
        with _naming("messages"):
            prompt = await self._chat_prompt(request)
            return len((await self.engine.tokenize(prompt)).tokens)

    async def _run(
        self,
        prompt: Prompt,
        request: AnswerRequest,
        parsers: Sequence[CallParser] = (),
        *,
        dropped: Dropped | None = None,
    ) -> ChatCompletion:
        options = request.options
        min_tokens = options.sampling.min_tokens
        choices = [
            Choice(
                index,
                OutputDecoder(request.stop, min_tokens=min_tokens),
                self._token_names,
                parser,
            )
            for index, parser in enumerate(parsers or [None] * options.n)
        ]
        asked = GenerationRequest(prompt=prompt, options=options)
        generation = await self._submit(asked, request.meter)
        scored = options.prompt_logprobs is not None
        return ChatCompletion(
            generation, choices, self._token_names, dropped=dropped, scored=scored
        )

    async def _submit(self, asked: GenerationRequest, meter: UsageMeter | None) -> OutputStream:
        generation = await self.engine.submit(asked)
        if meter is None:
            return generation
        most, n = asked.options.max_tokens, asked.options.n
        if most is not None:
            most = min(most, self.engine.info.n_ctx - generation.prompt_tokens)
        try:
            return meter.metered(generation, n=n, max_tokens=most)
        except BaseException:
            generation.abort()
            raise

    async def _chat_prompt(self, request: ChatRequest) -> Prompt:
        _see_request(request, ChatRequest)
        template = await self._built_template()
        request, _ = await self._usable(request, template)
        prompt = await asyncio.to_thread(
            template.render, request.messages, request.offered_tools, request.template
        )
        _check_unicode(prompt)
        return prompt

    def _text_prompt(self, prompt: TextOrIds, bos: bool) -> Prompt:
        if not isinstance(prompt, str):
            return self._text_prompts.mixed(prompt, bos=bos)
        if self.engine.info.encoder:
            return self._embedded_text(prompt) if bos else (Text(prompt),)
        return self._text_prompts.prompt(prompt, bos=bos)

    @cached_property
    def _text_prompts(self) -> TextPrompts:
        return TextPrompts(self.engine.info)

    async def prefix(self, system: str, tools: Sequence[Tool] = ()) -> Prompt:
        """What all prompts with this system message and these tools begin with.

        Raises:
            InvalidValue: they cannot be written in the model's format.
            TemplateError: the model's chat template cannot be used, failed or ran into a limit.
        """
        template = await self._built_template()
        prefix = await asyncio.to_thread(shared_prefix, template, system, tools)
        _check_unicode(prefix)
        return prefix

    @cached_property
    def _token_names(self) -> TokenNames:
        return TokenNames(self.engine.info.control_tokens)

    async def _built_template(self, info: ModelInfo | None = None) -> ChatTemplate:
        async with self._building:
            if self._template is None:
                info = info or await self.engine.ready()
                _check_generates(info)
                self._template = await asyncio.to_thread(template_for, info, self._prompts)
            return self._template


def _see_that_it_can_go_on(request: ChatRequest) -> None:
    if not request.template.continues:
        return
    last = request.messages[-1]
    if last.role is not Role.ASSISTANT or last.tool_calls or not last.content.strip():
        raise InvalidValue(
            "Only a text of the assistant at the end of the conversation can be continued.",
            param="messages",
        )
    if request.options.grammar is not None:
        raise InvalidValue(
            "A text that is continued cannot be held to a form, which it has begun already. Leave "
            "out the form, or the assistant's text at the end.",
            param=request.options.grammar.param,
        )


@contextmanager
def _naming(field: str) -> Iterator[None]:
    """Errors in the prompt name the field that it came from."""
    try:
        yield
    except RequestError as error:
        if error.param in ("prompt", "messages"):
            error.param = field
        raise


def _see_request(request: object, kind: type[AnswerRequest]) -> None:
    see_kind("request", request, kind, f"a {kind.__name__}")


def _check_generates(info: ModelInfo) -> None:
    if info.encoder:
        raise InvalidValue(
            f"{info.name} embeds texts and cannot continue them. Send them to /v1/embeddings, or "
            "ask for another model.",
            param="model",
        )


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
