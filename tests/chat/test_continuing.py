"""Answers that go on with a text of the assistant."""

from __future__ import annotations

from typing import Any

import pytest

from edge_llama.api.anthropic.schemas import MessagesRequest
from edge_llama.api.chat_completions.schemas import ChatCompletionRequest
from edge_llama.api.request.request_body import parse
from edge_llama.chat.messages import ChatRequest, Message, Role, TemplateOptions
from edge_llama.chat.model import ChatModel
from edge_llama.engine.protocol.grammar import Regex
from edge_llama.engine.protocol.prompt import Control, Prompt
from edge_llama.engine.protocol.request import GenerationOptions
from edge_llama.errors import InvalidValue, RequestError
from tests.fakes import FakeEngine, Script, model_info

CHATML = (
    "{% for m in messages %}"
    "<|im_start|>{{ m.role }}\n{{ m.content | trim }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GO_ON = TemplateOptions(continues=True)


def text_of(prompt: Prompt) -> str:
    return "".join(s.token if isinstance(s, Control) else getattr(s, "text", "") for s in prompt)


async def prompt_of(request: ChatRequest, template: str = "") -> str:
    control = {"<|im_start|>": 1, "<|im_end|>": 2}
    info = model_info(chat_template=template, control_tokens=control) if template else model_info()
    engine = FakeEngine(Script(["!"]), info=info)
    async with await ChatModel(engine).start(request):
        return text_of(engine.submitted[0].prompt)


def conversation(last: str, **fields: Any) -> ChatRequest:
    messages = (Message(Role.USER, "Count."), Message(Role.ASSISTANT, last))
    return ChatRequest(messages=messages, template=GO_ON, **fields)


@pytest.mark.parametrize("last", ["One, two,", "One, two, ", "<|eot_id|> <|im_end|> ["])
async def test_the_last_text_is_not_ended(last: str) -> None:
    llama = await prompt_of(conversation(last))
    assert llama.endswith(f"<|start_header_id|>assistant<|end_header_id|>\n\n{last}")
    chatml = await prompt_of(conversation(last), CHATML)
    assert chatml.endswith(f"<|im_start|>assistant\n{last}")


async def test_text_that_was_said_before_is_no_end() -> None:
    messages = (
        Message(Role.ASSISTANT, "Yes"),
        Message(Role.USER, "Yes"),
        Message(Role.ASSISTANT, "Yes"),
    )
    request = ChatRequest(messages=messages, template=GO_ON)
    assert (await prompt_of(request, CHATML)).count("Yes") == 3


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (ChatRequest(messages=(Message(Role.USER, "Hi"),), template=GO_ON), "messages"),
        (conversation("  "), "messages"),
        (conversation("a", options=GenerationOptions(grammar=Regex("a", "regex"))), "regex"),
    ],
)
async def test_what_cannot_be_continued_is_refused(request_: ChatRequest, param: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        await prompt_of(request_)
    assert caught.value.param == param


async def test_a_template_that_changes_the_text_is_told() -> None:
    with pytest.raises(InvalidValue, match="changes the text of the last message"):
        await prompt_of(
            conversation("One"), "{% for m in messages %}{{ m.content | upper }}{% endfor %}"
        )


def asked(**fields: Any) -> bool:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "One"}]
    body = {"model": "demo", "messages": messages, **fields}
    return parse(ChatCompletionRequest, body).to_chat_request().template.continues


def test_which_requests_continue() -> None:
    assert asked()
    assert asked(continue_final_message=True)
    assert asked(continue_final_message=True, add_generation_prompt=False)
    assert not asked(continue_final_message=False)
    assert not asked(add_generation_prompt=True)
    assert not asked(response_format={"type": "json_object"})
    assert not asked(messages=[{"role": "user", "content": "Hi"}])
    assert not asked(messages=[{"role": "user", "content": "Hi"}, {"role": "assistant"}])
    with pytest.raises(RequestError, match="add_generation_prompt"):
        asked(continue_final_message=True, add_generation_prompt=True)
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "One"}]
    body = {"model": "demo", "messages": turns, "max_tokens": 5}
    assert parse(MessagesRequest, body).to_chat_request().template.continues
