from __future__ import annotations

import pytest

from edge_llama.chat.messages import Message, Role
from edge_llama.chat.template.jinja_template import JinjaTemplate
from edge_llama.chat.template.llama3_template import Llama3Template
from edge_llama.chat.template.template import LLAMA3_MARKS, template_for
from edge_llama.engine.protocol.prompt import Control, Text
from edge_llama.errors import TemplateError
from tests.fakes import model_info

HI = [Message(Role.USER, "Hi")]


def test_llama_3_without_a_template_is_native() -> None:
    assert isinstance(template_for(model_info()), Llama3Template)


def test_llama_3_with_its_own_template_is_native() -> None:
    info = model_info(chat_template="…".join(LLAMA3_MARKS))
    assert isinstance(template_for(info), Llama3Template)


def test_another_format_with_llama_3_tokens_is_rendered_as_written() -> None:
    template = template_for(
        model_info(chat_template="<|start_header_id|>{{ messages[0].content }}")
    )
    assert isinstance(template, JinjaTemplate)
    assert template.render(HI) == (
        Control("<|begin_of_text|>"),
        Control("<|start_header_id|>"),
        Text("Hi"),
    )


def test_a_model_without_the_tokens_is_rendered_as_written() -> None:
    info = model_info(
        control_tokens={"<s>": 1}, bos_token="<s>", chat_template="…".join(LLAMA3_MARKS)
    )
    assert isinstance(template_for(info), JinjaTemplate)


def test_a_model_that_cannot_chat_is_refused() -> None:
    with pytest.raises(TemplateError, match="instruct version"):
        template_for(model_info(control_tokens={"<s>": 1}))


def test_a_broken_template_is_refused_when_the_model_is_loaded() -> None:
    with pytest.raises(TemplateError, match="line 1"):
        template_for(model_info(chat_template="{% for %}"))
