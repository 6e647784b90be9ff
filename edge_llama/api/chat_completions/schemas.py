"""ChatCompletionRequest: the body of POST /v1/chat/completions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from pydantic import FailFast, Field, model_validator
from typing_extensions import Self

from edge_llama.api.chat_completions.messages import ChatMessage
from edge_llama.api.request.content import MAX_MESSAGES
from edge_llama.api.request.request_body import parse
from edge_llama.api.request.response_format import ResponseFormat
from edge_llama.api.request.sampling import (
    ConversationRequest,
    TokenLimit,
    TopLogprobs,
    most_tokens,
)
from edge_llama.api.request.stream_options import StreamOptions
from edge_llama.api.request.tools import (
    MAX_TOOLS,
    FunctionDefinition,
    TemplateArguments,
    TemplateArgumentsField,
    ToolChoiceIn,
    Tools,
    as_tool,
    check_tools,
    functions_of,
)
from edge_llama.api.request.validation import Count, JSONObject, Name, invalid
from edge_llama.chat.messages import ChatRequest
from edge_llama.chat.tools.tool import ToolChoice
from edge_llama.engine.protocol.grammar import Grammar
from edge_llama.engine.protocol.request import GenerationOptions
from edge_llama.errors import InvalidValue

Messages = Annotated[list[ChatMessage], FailFast(), Field(min_length=1, max_length=MAX_MESSAGES)]


class ChatCompletionRequest(ConversationRequest):
    """OpenAI's chat request, with the sampling parameters of llama.cpp and vLLM."""

    model: Name
    messages: Messages
    max_completion_tokens: TokenLimit = None
    max_tokens: TokenLimit = None
    n_predict: TokenLimit = None
    n: Count = 1
    logprobs: bool = False
    top_logprobs: TopLogprobs | None = None
    response_format: ResponseFormat | None = None
    return_progress: bool = False
    tools: Tools = Field(default_factory=list)
    tool_choice: ToolChoiceIn = ToolChoice()
    parallel_tool_calls: bool = True
    functions: Annotated[list[FunctionDefinition], FailFast(), Field(max_length=MAX_TOOLS)] = Field(
        default_factory=list
    )
    function_call: ToolChoiceIn = ToolChoice()
    chat_template_kwargs: TemplateArgumentsField = TemplateArguments()
    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.top_logprobs and not self.logprobs:
            raise invalid("is only allowed when logprobs is true.", field="top_logprobs")
        if self.stream_options is not None and not self.stream:
            raise invalid("is only allowed when stream is true.", field="stream_options")
        if self.return_progress and not self.stream:
            raise invalid("is only allowed when stream is true.", field="return_progress")
        self.check_min_tokens(self._max_tokens())
        if self.continue_final_message and self.add_generation_prompt:
            raise invalid(
                "must be false to continue the last message.", field="add_generation_prompt"
            )
        if self.tools and self.functions:
            raise invalid("are the old name of tools; give one of the two.", field="functions")
        return self

    def to_chat_request(self) -> ChatRequest:
        """The request without HTTP and OpenAI.

        Raises:
            RequestError: parameters are out of range, or do not fit together.
        """
        tools = tuple(map(as_tool, functions_of(self.tools) + self.functions))
        choice = self._tool_choice()
        template = replace(self.chat_template_kwargs.to_options(), continues=self._continues())
        check_tools(tools, choice, template.builtin_tools or ())
        return ChatRequest(
            messages=tuple(message.to_message() for message in self.messages),
            tools=tools,
            tool_choice=choice,
            template=template,
            options=GenerationOptions(
                sampling=self.sampling(),
                max_tokens=self._max_tokens(),
                n=self.n,
                grammar=self.form("response_format", self._response_format()),
                logprobs=(self.top_logprobs or 0) if self.logprobs else None,
                progress=self.return_progress,
                tier=self.tier,
            ),
            stop=tuple(self.stop),
            overflow=self.context_overflow,
            schema_hint=self.told_schema(self._schema()),
        )

    def _tool_choice(self) -> ToolChoice:
        if self.functions:
            return replace(self.function_call, parallel=False)
        parallel = self.tool_choice.parallel and self.parallel_tool_calls
        return replace(self.tool_choice, parallel=parallel)

    def _response_format(self) -> Grammar | None:
        return None if self.response_format is None else self.response_format.to_grammar()

    def _continues(self) -> bool:
        """Whether the answer goes on with the last message: as llama-server has it, one of the
        assistant is continued unless the request says otherwise; vLLM asks for it.
        """
        if self.continue_final_message is not None:
            return self.continue_final_message
        last = self.messages[-1]
        begun = last.role == "assistant" and any(text.strip() for text in last.content)
        free = not (last.tool_calls or last.function_call or self.tools or self._formed())
        return begun and free and self.add_generation_prompt is not True

    def _formed(self) -> bool:
        return self.form("response_format", self._response_format()) is not None

    def _schema(self) -> JSONObject | None:
        return None if self.response_format is None else self.response_format.told

    def _max_tokens(self) -> int | None:
        return most_tokens(self.max_completion_tokens or self.max_tokens or self.n_predict)


def parse_chat_request(body: Mapping[str, Any], *, max_n: int) -> ChatCompletionRequest:
    """The validated request.

    Raises:
        RequestError: a parameter has a wrong value or is not supported; `param` names it.
    """
    request = parse(ChatCompletionRequest, body)
    if request.n > max_n:
        raise InvalidValue(f"n must be at most {max_n}.", param="n")
    return request
