"""How a model wants a conversation written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edge_llama.chat.messages import DEFAULT_OPTIONS, Message, TemplateOptions
from edge_llama.chat.template import llama3_template
from edge_llama.chat.template.llama3_template import Llama3Template
from edge_llama.chat.tools.tool import Tool
from edge_llama.engine.protocol.model_info import ModelInfo
from edge_llama.engine.protocol.prompt import Prompt
from edge_llama.errors import TemplateError

LLAMA3_MARKS = ("<|start_header_id|>", "<|eot_id|>", "Cutting Knowledge Date: ", "Today Date: ")
"""Found together only in the templates of Llama 3.1, 3.2 and 3.3, which differ in the date."""


class ChatTemplate(Protocol):
    """Writes conversations."""

    def render(
        self,
        messages: Sequence[Message],
        tools: Sequence[Tool] = (),
        options: TemplateOptions = DEFAULT_OPTIONS,
    ) -> Prompt:
        """The prompt, up to and with the header of the assistant's turn.

        Raises:
            InvalidValue: the conversation cannot be written; names the field.
            TemplateError: the template failed or ran into a limit.
        """
        ...


def template_for(info: ModelInfo) -> ChatTemplate:
    """The chat template of a model: native for Llama 3.x, else the GGUF's own.

    Raises:
        TemplateError: the model has no chat template, or one that cannot be compiled.
    """
    if info.control_tokens.keys() >= llama3_template.CONTROL_TOKENS and (
        not info.chat_template or all(mark in info.chat_template for mark in LLAMA3_MARKS)
    ):
        return Llama3Template()
    if not info.chat_template:
        raise TemplateError(
            f"{info.name} has no chat template and is not a Llama 3 model, so it cannot chat. "
            "Take an instruct version of the model as a GGUF with a chat template."
        )
    from edge_llama.chat.template.jinja_template import JinjaTemplate

    return JinjaTemplate(info)
