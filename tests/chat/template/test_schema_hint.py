from __future__ import annotations

import pytest

from edge_llama.chat.messages import ChatRequest, Message, Role
from edge_llama.chat.model import ChatModel
from edge_llama.chat.template.schema_hint import HINT, hinted
from edge_llama.engine.protocol.prompt import Text
from edge_llama.settings.prompts import PromptSettings
from tests.fakes import FakeEngine, Script

SYSTEM = Message(Role.SYSTEM, "Be brief.")
USER = Message(Role.USER, "Hello")
SCHEMA = '{"type": "object"}'


def test_it_stands_at_the_end_of_the_system_message() -> None:
    request = hinted(ChatRequest(messages=(SYSTEM, USER), schema_hint=SCHEMA))
    assert request.messages == (Message(Role.SYSTEM, f"Be brief.\n\n{HINT}\n{SCHEMA}"), USER)
    assert hinted(request) == request


def test_without_a_system_message_it_is_one() -> None:
    request = hinted(ChatRequest(messages=(USER,), schema_hint=SCHEMA))
    assert request.messages == (Message(Role.SYSTEM, f"{HINT}\n{SCHEMA}"), USER)


@pytest.mark.parametrize("schema", [None, '{"enum": ["' + "x" * 4096 + '"]}'])
def test_no_schema_and_a_long_one_are_not_told(schema: str | None) -> None:
    request = ChatRequest(messages=(USER,), schema_hint=schema)
    assert hinted(request) is request


@pytest.mark.parametrize("told", [True, False])
async def test_the_model_sees_it_unless_the_settings_say_no(told: bool) -> None:
    engine = FakeEngine(Script(["{}"]))
    model = ChatModel(engine, PromptSettings(schema_hint=told))
    request = ChatRequest(messages=(USER,), schema_hint=SCHEMA)
    async with await model.start(request) as completion:
        async for _ in completion:
            pass
    texts = [part.text for part in engine.submitted[0].prompt if isinstance(part, Text)]
    assert any(HINT in text for text in texts) is told
    assert sum(HINT in text for text in texts) == int(told)
