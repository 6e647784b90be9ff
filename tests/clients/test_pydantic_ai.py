"""pydantic-ai, over chat and over Responses."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

from tests.clients.prompts import CAPITAL, CAPITAL_ANSWER, GREETING, PERSON, WEATHER

pydantic_ai = pytest.importorskip("pydantic_ai", reason="make test-clients installs it")
models = pytest.importorskip("pydantic_ai.models.openai", reason="make test-clients installs it")
providers = pytest.importorskip(
    "pydantic_ai.providers.openai", reason="make test-clients installs it"
)


class Person(pydantic.BaseModel):
    name: str
    age: int


@pytest.fixture(params=["OpenAIChatModel", "OpenAIResponsesModel"])
def model(request: pytest.FixtureRequest, base_url: str) -> Any:
    provider = providers.OpenAIProvider(base_url=base_url, api_key="none")
    return getattr(models, request.param)("demo", provider=provider, settings={"temperature": 0.0})


async def test_run(model: Any) -> None:
    result = await pydantic_ai.Agent(model, instructions="You are helpful.").run(CAPITAL)
    assert result.output == CAPITAL_ANSWER


async def test_stream(model: Any) -> None:
    async with pydantic_ai.Agent(model).run_stream("Hello!") as result:
        deltas = [delta async for delta in result.stream_text(delta=True, debounce_by=None)]
    assert len(deltas) > 1
    assert "".join(deltas) == GREETING


async def test_a_tool_is_called_and_answered_from(model: Any) -> None:
    cities = []

    def get_weather(city: str) -> dict[str, int]:
        """Get the current weather for a city"""
        cities.append(city)
        return {"temperature": 18}

    result = await pydantic_ai.Agent(model, tools=[get_weather]).run(WEATHER)
    assert cities == ["Paris"]
    assert "18" in result.output


async def test_structured_output(model: Any) -> None:
    agent = pydantic_ai.Agent(model, output_type=pydantic_ai.NativeOutput(Person))
    assert (await agent.run(PERSON)).output == Person(name="Paula", age=34)


async def test_structured_output_by_a_tool(model: Any) -> None:
    agent = pydantic_ai.Agent(model, output_type=Person)
    assert (await agent.run(PERSON)).output == Person(name="Paula", age=34)
