"""How a model wants a conversation written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from edge_llama.chat.messages import DEFAULT_OPTIONS, Message, TemplateOptions
from edge_llama.chat.template import llama3_template
from edge_llama.chat.template.calendar import Calendar
from edge_llama.chat.template.llama3_template import Llama3Template
from edge_llama.chat.tools.marked_form import MarkedForm
from edge_llama.chat.tools.tool import Tool
from edge_llama.engine.protocol.model_info import ModelInfo
from edge_llama.engine.protocol.prompt import Prompt
from edge_llama.errors import TemplateError
from edge_llama.settings.prompts import DEFAULT_PROMPTS, PromptSettings

LLAMA3_MARKS = ("<|start_header_id|>", "<|eot_id|>", "Cutting Knowledge Date: ", "Today Date: ")
"""Found together only in the templates of Llama 3.1, 3.2 and 3.3, which differ in the date."""


class ChatTemplate(Protocol):
    """Writes conversations."""

    @property
    def call_form(self) -> MarkedForm | None:
        """How the model calls tools; None is Llama 3's way."""
        ...

    def shows_tools(self) -> bool:
        """Whether the model is shown the tools that it has. May block for a moment."""
        ...

    def unknown_arguments(self, options: TemplateOptions) -> list[str]:
        """Names of what is asked for in `options` and not known to the template."""
        ...

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


def template_for(info: ModelInfo, settings: PromptSettings = DEFAULT_PROMPTS) -> ChatTemplate:
    """The chat template of a model: native for Llama 3.x, else the settings' or the GGUF's own.

    Raises:
        TemplateError: the model has no chat template, or one that cannot be compiled.
    """
    calendar = Calendar(settings.date)
    source = settings.chat_template or info.chat_template
    if info.control_tokens.keys() >= llama3_template.CONTROL_TOKENS and (
        not source or all(mark in source for mark in LLAMA3_MARKS)
    ):
        return Llama3Template(calendar, asks_date="strftime_now" in source)
    if not source:
        raise TemplateError(
            f"{info.name} has no chat template and is not a Llama 3 model, so it cannot chat. "
            "Take an instruct version of the model as a GGUF with a chat template."
        )
    from edge_llama.chat.template.jinja_template import JinjaTemplate

    if settings.chat_template:
        return JinjaTemplate(info, settings.chat_template, calendar=calendar)
    return JinjaTemplate(info, tool_source=info.tool_chat_template, calendar=calendar)
