from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from edge_llama.chat.infill import Infill, infill_prompt
from edge_llama.engine.protocol.model_info import FillTokens
from edge_llama.engine.protocol.prompt import Control, Text, Tokens
from edge_llama.errors import InvalidValue
from tests.api.conftest import client_for
from tests.fakes import FakeEngine, Script, model_info

HELLO = Script(pieces=("Hel", "lo", "\n"))
FILL = FillTokens(prefix=1, suffix=2, middle=3, repository=4, file=5)


async def post(path: str, **body: Any) -> Any:
    response = await client_for(FakeEngine(HELLO)).post(path, json=body)
    assert response.status_code == 200, response.text
    return response


@pytest.mark.parametrize("path", ["/completion", "/completions"])
async def test_a_whole_continuation(path: str) -> None:
    told = (await post(path, prompt="Hi", n_predict=5, seed=7, return_tokens=True)).json()
    assert told["content"] == "Hello\n"
    assert told["stop"] is True
    assert told["stop_type"] == "eos"
    assert told["has_new_line"] is True
    assert told["prompt"] == "Hi"
    assert len(told["tokens"]) == told["tokens_predicted"]
    settings = told["generation_settings"]
    assert (settings["n_predict"], settings["seed"], settings["stream"]) == (5, 7, False)
    assert told["timings"]["predicted_n"] == told["tokens_predicted"]


async def test_a_stream_says_the_same_in_parts() -> None:
    response = await post("/completion", prompt="Hi", stream=True)
    parts = [json.loads(line[6:]) for line in response.text.split("\n\n") if line]
    assert "".join(part["content"] for part in parts) == "Hello\n"
    assert [part["stop"] for part in parts] == [False] * (len(parts) - 1) + [True]
    assert all(part["tokens"] for part in parts[:-1])
    assert "[DONE]" not in response.text


async def test_several_prompts_get_a_list_and_what_is_asked_for() -> None:
    prompts = [[1, 2], "Hi", {"prompt_string": "Ho"}]
    fields = ["content", "generation_settings/n_predict", "nothing"]
    told = (await post("/completion", prompt=prompts, response_fields=fields, max_tokens=3)).json()
    assert told == [{"content": "Hello\n", "generation_settings/n_predict": 3}] * 3


async def test_ids_and_texts_may_be_one_prompt() -> None:
    engine = FakeEngine(HELLO)
    await client_for(engine).post("/completion", json={"prompt": [1, 2, "Hi", 3]})
    assert engine.submitted[-1].prompt == (Tokens((1, 2)), Text("Hi"), Tokens((3,)))


async def test_slots_to_choose_are_named_as_ignored() -> None:
    response = await post("/completion", prompt="Hi", id_slot=0, cache_prompt=True)
    assert response.headers["X-Edge-Llama-Ignored"] == "id_slot,cache_prompt"


async def test_pictures_are_refused() -> None:
    prompt = {"prompt_string": "Hi", "multimodal_data": ["AAAA"]}
    response = await client_for(FakeEngine()).post("/completion", json={"prompt": prompt})
    assert response.status_code == 400
    assert "reads text only" in response.json()["error"]["message"]


def test_the_prompt_of_an_infill() -> None:
    info = msgspec.structs.replace(model_info(), fill=FILL)
    asked = Infill("before", "after", "be", (("a.h", "x"),))
    assert infill_prompt(info, asked) == (
        Tokens((4,)),
        Text("myproject\n"),
        Tokens((5,)),
        Text("a.h\nx"),
        Tokens((5,)),
        Text("filename\n"),
        Control("<|begin_of_text|>"),
        Tokens((1,)),
        Text("beforebe"),
        Tokens((2,)),
        Text("after"),
        Tokens((3,)),
    )
    assert Text("") not in infill_prompt(info, replace(asked, prefix="", begun=""))
    with pytest.raises(InvalidValue, match="cannot fill in the middle"):
        infill_prompt(model_info(), asked)


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/infill", {"input_prefix": "a", "input_suffix": "b"}),
        ("/v1/completions", {"prompt": "a", "suffix": "b"}),
    ],
)
async def test_a_model_without_its_tokens_cannot_fill_in(path: str, fields: Any) -> None:
    response = await client_for(FakeEngine()).post(path, json=fields)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] in ("suffix", "input_suffix")
    assert "cannot fill in the middle" in error["message"]


@pytest.mark.parametrize("extra", [{}, {"filename": "ok"}, {"filename": 1, "text": "a"}])
async def test_other_files_need_texts(extra: Any) -> None:
    body = {"input_prefix": "a", "input_suffix": "b", "input_extra": [extra]}
    response = await client_for(FakeEngine()).post("/infill", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["param"].startswith("input_extra[0].")
