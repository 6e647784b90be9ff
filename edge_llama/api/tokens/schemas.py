"""TokenizeRequest and DetokenizeRequest: the bodies of POST /tokenize and /detokenize."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator
from typing_extensions import Self

from edge_llama.api.chat_completions.schemas import Messages
from edge_llama.api.request.prompts import OnePrompt, TokenIds
from edge_llama.api.request.request_body import RequestBody
from edge_llama.api.request.tools import (
    TemplateArguments,
    TemplateArgumentsField,
    ToolChoiceIn,
    Tools,
    as_tool,
    check_tools,
    functions_of,
)
from edge_llama.api.request.validation import Name, invalid, missing
from edge_llama.chat.messages import ChatRequest
from edge_llama.chat.model import ChatModel
from edge_llama.chat.tokens import TokenRow
from edge_llama.chat.tools.tool import ToolChoice

_HARMLESS_VALUES: dict[str, tuple[Any, ...]] = {
    "add_generation_prompt": (True,),
    "chat_template": (),
    "continue_final_message": (False,),
    "parse_special": (True,),
}


class TemplatedRequest(RequestBody):
    """A conversation with its tools, as far as the prompt depends on them."""

    harmless_values = _HARMLESS_VALUES

    model: Name | None = None
    messages: Messages = Field(default_factory=list)
    tools: Tools = Field(default_factory=list)
    tool_choice: ToolChoiceIn = ToolChoice()
    chat_template_kwargs: TemplateArgumentsField = TemplateArguments()

    def conversation(self) -> ChatRequest:
        """The conversation without HTTP.

        Raises:
            InvalidValue: tools and choice do not fit together.
        """
        tools = tuple(map(as_tool, functions_of(self.tools)))
        template = self.chat_template_kwargs.to_options()
        check_tools(tools, self.tool_choice, template.builtin_tools or ())
        return ChatRequest(
            messages=tuple(message.to_message() for message in self.messages),
            tools=tools,
            tool_choice=self.tool_choice,
            template=template,
        )


class TokenizeRequest(TemplatedRequest):
    """A text (vLLM's `prompt` or llama.cpp's `content`) or vLLM's `messages`, with their tools.

    A `prompt` gets the token that begins every prompt unless it asks for none, a `content` only if
    it asks for it; token ids and conversations are taken as they are.
    """

    prompt: OnePrompt | None = None
    content: OnePrompt | None = None
    add_special_tokens: bool = True
    add_special: bool = False
    return_token_strs: bool = False
    with_pieces: bool = False

    @model_validator(mode="after")
    def _has_one_text(self) -> Self:
        texts = ("prompt", "content", "messages")
        given = [name for name in texts if name in self.model_fields_set]
        if not given:
            raise missing("prompt")
        if len(given) > 1:
            raise invalid(
                "cannot be there twice: take prompt, content or messages.", field=given[1]
            )
        return self

    async def tokens(self, chat: ChatModel) -> TokenRow:
        """The tokens of what is asked for."""
        if self.messages:
            return await chat.tokenize_chat(self.conversation())
        if self.prompt is not None:
            return await chat.tokenize(self.prompt, bos=self.add_special_tokens)
        assert self.content is not None
        return await chat.tokenize(self.content, bos=self.add_special, field="content")


class DetokenizeRequest(RequestBody):
    """Token ids."""

    model: Name | None = None
    tokens: TokenIds
