"""Tools with the templates of other families, through ChatModel."""

from __future__ import annotations

import dataclasses

import pytest

from edge_llama.chat.events import TextDelta, ToolCallDelta, ToolCallStarted
from edge_llama.chat.messages import ChatRequest, Message, Role, TemplateOptions, ToolCall
from edge_llama.chat.model import ChatModel
from edge_llama.chat.tools.tool import CallMode, Tool, ToolChoice
from edge_llama.engine.protocol.grammar import TriggeredCFG
from edge_llama.engine.protocol.prompt import Control, Prompt, Text
from edge_llama.errors import UnsupportedParameter
from edge_llama.settings.prompts import PromptSettings
from tests.fakes import FakeEngine, Script, model_info

TOLD = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
PLAIN = f"{TOLD}{{{{ enable_thinking }}}}"
HERMES = f"{{% if tools %}}<tool_call>{{{{ tools | tojson }}}}{{% endif %}}{TOLD}"
ADD = Tool({"type": "function", "function": {"name": "add", "strict": True, "parameters": {}}})
HELLO = (Message(Role.USER, "Hello"),)
REQUEST = ChatRequest(messages=HELLO, tools=(ADD,))


def engine(*pieces: str, template: str = PLAIN, tool_template: str = "") -> FakeEngine:
    info = model_info(chat_template=template, control_tokens={"<|im_end|>": 1})
    info = type(info)(
        **{
            **{name: getattr(info, name) for name in info.__struct_fields__},
            "tool_chat_template": tool_template,
        }
    )
    return FakeEngine(Script(pieces or ("Hi",)), info=info)


def text_of(prompt: Prompt) -> str:
    return "".join(s.token if isinstance(s, Control) else getattr(s, "text", "") for s in prompt)


async def events(model: ChatModel, request: ChatRequest) -> tuple[str, str, str, tuple[str, ...]]:
    """Content, names of the tools that were called, their arguments, and what was not used."""
    content = names = arguments = ""
    async with await model.start(request) as completion:
        async for event in completion:
            if isinstance(event, TextDelta):
                content += event.text
            elif isinstance(event, ToolCallStarted):
                names += event.name
            elif isinstance(event, ToolCallDelta):
                arguments += event.arguments
    return content, names, arguments, completion.unused


async def test_calls_have_the_form_that_the_template_shows() -> None:
    fake = engine("Su", 're.<tool_call>\n{"name": "add", "arg', 'uments": {"a": 1}}\n</tool_call>')
    fake = engine(*fake.scripts[0].pieces, template=HERMES)  # type: ignore[arg-type]
    got = await events(ChatModel(fake), REQUEST)
    assert got == ("Sure.", "add", '{"a": 1}', ())
    [asked] = fake.submitted
    assert isinstance(asked.options.grammar, TriggeredCFG)
    assert "<tool_call>" in asked.options.grammar.text
    assert '"strict": true' in text_of(asked.prompt)


async def test_the_template_for_tools_is_taken_where_there_is_one() -> None:
    fake = engine(template=PLAIN, tool_template=HERMES)
    await events(ChatModel(fake), REQUEST)
    await events(ChatModel(fake), dataclasses.replace(REQUEST, tools=()))
    with_tools, without = fake.submitted
    assert text_of(with_tools.prompt).startswith('<tool_call>[{"type"')
    assert text_of(without.prompt) == "[user]Hello"


async def test_a_template_that_shows_no_tools() -> None:
    fake = engine()
    content, _, _, unused = await events(ChatModel(fake), REQUEST)
    assert (content, unused) == ("Hi", ("tools",))
    assert fake.submitted[0].options.grammar is None
    for strict in (
        dataclasses.replace(REQUEST, tool_choice=ToolChoice(CallMode.REQUIRED)),
        dataclasses.replace(REQUEST, strict=True),
    ):
        with pytest.raises(UnsupportedParameter, match="`tools_prompt`"):
            await ChatModel(fake).start(strict)


async def test_tools_in_the_system_message() -> None:
    call = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
    fake = engine(call)
    model = ChatModel(fake, PromptSettings(tools_prompt=True))
    messages = (
        Message(Role.SYSTEM, "Be brief."),
        *HELLO,
        Message(Role.ASSISTANT, "", (ToolCall("add", '{"a": 1}', "1"),)),
        Message(Role.TOOL, "2", tool_call_id="1"),
    )
    got = await events(model, dataclasses.replace(REQUEST, messages=messages))
    assert got == ("", "add", '{"a": 1}', ())
    text = text_of(fake.submitted[0].prompt)
    assert text.startswith("[system]Be brief.\n\n# Tools")
    assert '"name": "add"' in text
    assert text.endswith(f"[user]Hello[assistant]{call}[user]<tool_response>\n2\n</tool_response>")
    required = dataclasses.replace(REQUEST, tool_choice=ToolChoice(CallMode.REQUIRED))
    assert (await events(model, required))[1] == "add"


async def test_arguments_of_templates() -> None:
    fake = engine()
    others = {"enable_thinking": "<|im_end|>", "colour": "red"}
    asked = ChatRequest(messages=HELLO, template=TemplateOptions(others=others))
    *_, unused = await events(ChatModel(fake), asked)
    assert unused == ("chat_template_kwargs.colour",)
    prompt = fake.submitted[0].prompt
    assert text_of(prompt) == "[user]Hello<|im_end|>"
    assert not any(isinstance(segment, Control) for segment in prompt)
    assert prompt[-1] == Text("[user]Hello<|im_end|>")
    with pytest.raises(UnsupportedParameter) as caught:
        await ChatModel(fake).start(dataclasses.replace(asked, strict=True))
    assert caught.value.param == "chat_template_kwargs.colour"


async def test_another_template_in_the_place_of_the_models_own() -> None:
    fake = engine()
    await events(
        ChatModel(fake, PromptSettings(chat_template="<{{ messages[0].content }}>")),
        ChatRequest(messages=HELLO),
    )
    assert text_of(fake.submitted[0].prompt) == "<Hello>"
