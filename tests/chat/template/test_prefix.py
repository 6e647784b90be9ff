from __future__ import annotations

from edge_llama.chat.messages import Message, Role
from edge_llama.chat.template.llama3_template import Llama3Template
from edge_llama.chat.template.prefix import shared_prefix
from edge_llama.chat.tools.tool import Tool
from edge_llama.engine.protocol.prompt import Prompt, Text

TOOL = Tool({"type": "function", "function": {"name": "time"}})


def begins_with(prompt: Prompt, prefix: Prompt) -> bool:
    *whole, last = prefix
    n = len(whole)
    other = prompt[n]
    if isinstance(last, Text) and isinstance(other, Text):
        return list(prompt[:n]) == whole and other.text.startswith(last.text)
    return prompt[: n + 1] == prefix


def test_every_conversation_begins_with_it() -> None:
    template = Llama3Template()
    for tools in ((), (TOOL,)):
        prefix = shared_prefix(template, "Be kind.", tools)
        for text in ("Hello!", "What?", "How are you, and what time is it?"):
            messages = (Message(Role.SYSTEM, "Be kind."), Message(Role.USER, text))
            assert begins_with(template.render(messages, tools), prefix)


def test_it_goes_up_to_what_the_user_says() -> None:
    prefix = shared_prefix(Llama3Template(), "Be kind.", (TOOL,))
    assert isinstance(prefix[-1], Text)
    assert "time" in prefix[-1].text
    plain = shared_prefix(Llama3Template(), "Be kind.", ())
    assert plain[-1] == Text("\n\n")


def test_without_a_system_message() -> None:
    assert shared_prefix(Llama3Template(), "", ())
