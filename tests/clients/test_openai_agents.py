"""openai-agents, over Responses (its default) and over chat."""

from __future__ import annotations

from typing import Any

import openai
import pydantic
import pytest

from tests.clients.prompts import CAPITAL, CAPITAL_ANSWER, GREETING, PERSON, WEATHER

agents = pytest.importorskip("agents", reason="make test-clients installs it")


class Person(pydantic.BaseModel):
    name: str
    age: int


@pytest.fixture(params=["OpenAIResponsesModel", "OpenAIChatCompletionsModel"])
def options(request: pytest.FixtureRequest, base_url: str) -> dict[str, Any]:
    agents.set_tracing_disabled(True)
    client = openai.AsyncOpenAI(base_url=base_url, api_key="none", max_retries=0)
    return {
        "name": "Assistant",
        "model": getattr(agents, request.param)(model="demo", openai_client=client),
        "model_settings": agents.ModelSettings(temperature=0),
    }


async def test_run(options: dict[str, Any]) -> None:
    agent = agents.Agent(**options, instructions="You are helpful.")
    assert (await agents.Runner.run(agent, CAPITAL)).final_output == CAPITAL_ANSWER


async def test_stream(options: dict[str, Any]) -> None:
    result = agents.Runner.run_streamed(agents.Agent(**options), "Hello!")
    deltas = [
        event.data.delta
        async for event in result.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    assert "".join(deltas) == result.final_output == GREETING


async def test_a_tool_is_called_and_answered_from(options: dict[str, Any]) -> None:
    cities = []

    def get_weather(city: str) -> str:
        """Get the current weather for a city"""
        cities.append(city)
        return '{"temperature": 18}'

    agent = agents.Agent(**options, tools=[agents.function_tool(get_weather)])
    result = await agents.Runner.run(agent, WEATHER)
    assert cities == ["Paris"]
    assert "18" in result.final_output


async def test_structured_output(options: dict[str, Any]) -> None:
    agent = agents.Agent(**options, output_type=Person)
    assert (await agents.Runner.run(agent, PERSON)).final_output == Person(name="Paula", age=34)
