from __future__ import annotations

import asyncio

import pytest

from edge_llama.chat.events import PromptScored, Started, TextDelta
from edge_llama.chat.messages import ChatRequest, Message, Role, TextRequest
from edge_llama.chat.model import ChatModel
from edge_llama.chat.template.llama3_template import Llama3Template
from edge_llama.chat.tools.tool import Tool, ToolChoice
from edge_llama.chat.tools.tool_grammar import tool_grammar
from edge_llama.engine.client.async_engine import EngineState
from edge_llama.engine.protocol.prompt import Text
from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest
from edge_llama.engine.protocol.sampling_params import SamplingParams
from edge_llama.errors import (
    ContextLengthExceeded,
    EngineUnavailable,
    InvalidValue,
    TemplateError,
)
from tests.fakes import FakeEngine, Script, model_info

HI = (Message(Role.USER, "Hi"),)


async def test_a_request_reaches_the_engine_rendered() -> None:
    engine = FakeEngine()
    tools = (Tool({"type": "function", "function": {"name": "now"}}),)
    sampling = SamplingParams(temperature=0, seed=7)
    await ChatModel(engine).start(
        ChatRequest(
            messages=HI,
            options=GenerationOptions(sampling=sampling, max_tokens=9, n=3),
            tools=tools,
        )
    )
    assert engine.submitted == [
        GenerationRequest(
            prompt=Llama3Template().render(HI, tools),
            options=GenerationOptions(
                sampling=sampling, max_tokens=9, n=3, grammar=tool_grammar(tools, ToolChoice())
            ),
        )
    ]


async def test_a_model_is_ready_when_its_template_is_built() -> None:
    engine = FakeEngine()
    assert await ChatModel(engine).ready() == engine.info


async def test_a_model_that_cannot_chat_is_refused_before_the_first_request() -> None:
    engine = FakeEngine(info=model_info(control_tokens={}))
    with pytest.raises(TemplateError, match="no chat template"):
        await ChatModel(engine).ready()


async def test_a_refusal_of_the_engine_is_raised_at_the_start() -> None:
    engine = FakeEngine(Script(refuse=ContextLengthExceeded(2048, 3000)))
    with pytest.raises(ContextLengthExceeded, match="maximum context length is 2048 tokens"):
        await ChatModel(engine).start(ChatRequest(messages=HI))


async def test_an_engine_that_is_down_is_raised_at_the_start() -> None:
    engine = FakeEngine(state=EngineState.RESTARTING)
    with pytest.raises(EngineUnavailable):
        await ChatModel(engine).start(ChatRequest(messages=HI))


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (ChatRequest(messages=()), "messages"),
        (ChatRequest(messages=HI, stop=("a", "")), "stop"),
        (ChatRequest(messages=(Message(Role.USER, "\ud800"),)), "messages"),
    ],
)
async def test_what_cannot_be_run_never_reaches_the_engine(
    request_: ChatRequest, param: str
) -> None:
    engine = FakeEngine()
    with pytest.raises(InvalidValue) as caught:
        await ChatModel(engine).start(request_)
    assert caught.value.param == param
    assert engine.submitted == []


async def test_a_slow_template_does_not_stop_the_event_loop() -> None:
    source = (
        "{% if messages[0].content == 'slow' %}{% for a in range(99999) %}"
        "{% for b in range(99999) %}{% endfor %}{% endfor %}{% endif %}{{ messages[0].content }}"
    )
    engine = FakeEngine(info=model_info(chat_template=source, bos_token=""))
    model = ChatModel(engine)
    await model.start(ChatRequest(messages=HI))
    slow = asyncio.create_task(model.start(ChatRequest(messages=(Message(Role.USER, "slow"),))))
    ticks = 0
    while not slow.done():
        await asyncio.sleep(0.01)
        ticks += 1
    with pytest.raises(TemplateError, match="limits"):
        await slow
    assert ticks > 20
    assert engine.submitted[0].prompt == (Text("Hi"),)


async def test_a_prompt_that_the_engine_refuses_is_told_as_messages() -> None:
    engine = FakeEngine(Script(refuse=InvalidValue("It is too odd.", param="prompt")))
    with pytest.raises(InvalidValue, match="too odd") as caught:
        await ChatModel(engine).start(ChatRequest(messages=HI))
    assert (caught.value.param, caught.value.code) == ("messages", "invalid_value")


async def test_another_refusal_of_the_engine_keeps_its_field() -> None:
    engine = FakeEngine(Script(refuse=InvalidValue("It is unknown.", param="logit_bias")))
    with pytest.raises(InvalidValue) as caught:
        await ChatModel(engine).start(ChatRequest(messages=HI))
    assert caught.value.param == "logit_bias"


async def test_a_model_without_a_template_completes_and_embeds_texts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = FakeEngine(Script(["x"]), info=model_info(control_tokens={}, bos_token=""))
    model = ChatModel(engine)
    assert await model.loaded() is engine.info
    assert "It completes and embeds texts." in caplog.text
    completion = await model.complete(TextRequest(prompt="a"))
    assert [event.text async for event in completion if isinstance(event, TextDelta)] == ["x"]
    assert (await model.embed("a")).dimensions == 4
    with pytest.raises(TemplateError):
        await model.start(ChatRequest(messages=(Message(Role.USER, "Hi"),)))


async def test_the_log_probabilities_of_a_prompt_come_first() -> None:
    model = ChatModel(FakeEngine(Script(choices=[["a"], ["b"]])))
    request = TextRequest(prompt=(72, 105, 33), options=GenerationOptions(n=2, prompt_logprobs=1))
    completion = await model.complete(request)
    events = [await anext(completion)]
    assert completion._early == []  # what was told is not kept
    events += [event async for event in completion]
    first = events.index(Started(0))
    scored = [event for event in events if isinstance(event, PromptScored)]
    assert events[:first] == scored
    assert [entry.text for event in scored for entry in event.logprobs] == ["i", "!"]
