"""What only another server could use is left out, and named."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from edge_llama.api.request.ignored import IGNORED_HEADER
from edge_llama.engine.protocol.request import GenerationRequest
from edge_llama.errors import InvalidValue
from edge_llama.settings.server import ServerSettings
from tests.api.conftest import client_for
from tests.fakes import FakeEngine, FakeGeneration

HELLO = [{"role": "user", "content": "Hello"}]
ADD = {"name": "add", "parameters": {"type": "object"}}
CHAT: dict[str, Any] = {"model": "demo", "messages": HELLO}
RESPONSE: dict[str, Any] = {"model": "demo", "input": "Hello"}
MESSAGE: dict[str, Any] = {"model": "demo", "messages": HELLO, "max_tokens": 5}


async def ask(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> httpx.Response:
    return await client.post(f"/v1{path}", json=body)


@pytest.mark.parametrize(
    ("path", "body", "ours", "foreign"),
    [
        ("/chat/completions", CHAT, {"type": "function", "function": ADD}, "custom"),
        ("/responses", RESPONSE, {"type": "function", **ADD}, "web_search"),
        ("/responses", RESPONSE, {"type": "function", **ADD}, "file_search"),
        ("/responses", RESPONSE, {"type": "function", **ADD}, "mcp"),
        ("/responses", RESPONSE, {"type": "function", **ADD}, "custom"),
        ("/messages", MESSAGE, {"name": "add", "input_schema": {}}, "web_search_20250305"),
        ("/messages", MESSAGE, {"name": "add", "input_schema": {}}, "bash_20250124"),
    ],
)
async def test_tools_that_others_run(
    client: httpx.AsyncClient,
    engine: FakeEngine,
    path: str,
    body: dict[str, Any],
    ours: dict[str, Any],
    foreign: str,
) -> None:
    tools = [{"type": foreign, "name": "x"}, ours]
    answer = await ask(client, path, body | {"tools": tools})
    assert answer.status_code == 200, answer.text
    assert answer.headers[IGNORED_HEADER] == f"tools[].{foreign}"
    await ask(client, path, body | {"tools": [ours]})
    first, second = engine.submitted
    assert first.prompt == second.prompt
    alone = await ask(client, path, body | {"tools": tools[:1]})
    assert alone.status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "choice"),
    [
        ("/chat/completions", CHAT, "required"),
        ("/responses", RESPONSE, {"type": "web_search"}),
        ("/responses", RESPONSE, "required"),
        ("/messages", MESSAGE, {"type": "any"}),
        ("/messages", MESSAGE, {"type": "tool", "name": "web_search"}),
    ],
)
async def test_they_cannot_be_demanded(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], choice: Any
) -> None:
    tools = [{"type": "web_search", "name": "web_search"}]
    refused = await ask(client, path, body | {"tools": tools, "tool_choice": choice})
    assert refused.status_code == 400
    assert "tool_choice" in refused.json()["error"]["message"]


async def test_what_they_leave_in_a_conversation(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    items = [
        {"role": "user", "content": "What is new?"},
        {"type": "reasoning", "summary": []},
        {"type": "web_search_call", "id": "ws_1", "status": "completed"},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Much."}]},
        {"role": "user", "content": "Go on."},
    ]
    answer = await ask(client, "/responses", RESPONSE | {"input": items})
    assert answer.status_code == 200, answer.text
    assert answer.headers[IGNORED_HEADER] == "input[].web_search_call"
    turns = [
        {"role": "user", "content": "What is new?"},
        {
            "role": "assistant",
            "content": [
                {"type": "server_tool_use", "id": "1", "name": "web_search", "input": {}},
                {"type": "web_search_tool_result", "tool_use_id": "1", "content": []},
                {"type": "text", "text": "Much."},
            ],
        },
        {"role": "user", "content": "Go on."},
    ]
    answer = await ask(client, "/messages", MESSAGE | {"messages": turns})
    assert answer.status_code == 200, answer.text
    assert answer.headers[IGNORED_HEADER] == (
        "messages[].content[].server_tool_use,messages[].content[].web_search_tool_result"
    )
    first, second = engine.submitted
    assert first.prompt == second.prompt


async def test_a_strict_server_refuses_them() -> None:
    client = client_for(FakeEngine(), ServerSettings(strict=True))
    refused = await ask(client, "/responses", RESPONSE | {"tools": [{"type": "web_search"}]})
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "tools[].web_search"


@pytest.mark.parametrize(
    "choice", [{"type": "auto"}, {"type": "none"}, {"type": "required"}, {"type": "any"}, "any"]
)
async def test_a_choice_may_be_written_as_an_object(client: httpx.AsyncClient, choice: Any) -> None:
    chat = CHAT | {"tools": [{"type": "function", "function": ADD}], "tool_choice": choice}
    response = RESPONSE | {"tools": [{"type": "function", **ADD}], "tool_choice": choice}
    message = MESSAGE | {"tools": [{"name": "add", "input_schema": {}}], "tool_choice": choice}
    for path, body in (
        ("/chat/completions", chat),
        ("/responses", response),
        ("/messages", message),
    ):
        answer = await ask(client, path, body)
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("cut", ['{"', '{"a": [1, ', ""])
async def test_a_call_that_was_cut_off_may_be_sent_back(
    client: httpx.AsyncClient, engine: FakeEngine, cut: str
) -> None:
    function = {"name": "add", "arguments": cut}
    chat = [
        *HELLO,
        {
            "role": "assistant",
            "tool_calls": [{"id": "1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "1", "content": []},
    ]
    items = [
        *HELLO,
        {"type": "function_call", "call_id": "1", **function},
        {"type": "function_call_output", "call_id": "1", "output": ""},
    ]
    use = {"type": "tool_use", "id": "1", "name": "add", "input": cut}
    result = {"type": "tool_result", "tool_use_id": "1"}
    turns = [
        *HELLO,
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [result]},
    ]
    for path, body in (
        ("/chat/completions", CHAT | {"messages": chat}),
        ("/responses", RESPONSE | {"input": items}),
        ("/messages", MESSAGE | {"messages": turns}),
    ):
        answer = await ask(client, path, body)
        assert answer.status_code == 200, answer.text
    first, *others = [request.prompt for request in engine.submitted]
    assert others == [first, first]


async def test_a_format_needs_no_name(client: httpx.AsyncClient) -> None:
    form = {"type": "json_schema", "json_schema": {"schema": {"type": "object"}}}
    answer = await ask(client, "/chat/completions", CHAT | {"response_format": form})
    assert answer.status_code == 200, answer.text


ODD = {
    "type": "object",
    "properties": {
        "user": {"type": "STRING", "pattern": "^(?!root$)", "description": "x" * 2001},
        "tags": {"type": "array", "uniqueItems": True},
    },
}
UNENFORCED = ["properties.user.pattern", "properties.tags.uniqueItems"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "body", "tool", "place"),
    [
        (
            "/chat/completions",
            CHAT,
            {"type": "function", "function": {"name": "f", "parameters": ODD}},
            "tools[0].function.parameters",
        ),
        (
            "/responses",
            RESPONSE,
            {"type": "function", "name": "f", "parameters": ODD},
            "tools[0].parameters",
        ),
        ("/messages", MESSAGE, {"name": "f", "input_schema": ODD}, "tools[0].input_schema"),
    ],
)
async def test_a_schema_that_cannot_be_enforced_whole(
    path: str, body: dict[str, Any], tool: dict[str, Any], place: str, stream: bool
) -> None:
    engine = FakeEngine()
    asked = body | {"tools": [tool], "stream": stream}
    answer = await ask(client_for(engine), path, asked)
    assert answer.status_code == 200, answer.text
    assert answer.headers[IGNORED_HEADER] == ",".join(f"{place}.{name}" for name in UNENFORCED)
    shown = "".join(str(segment) for segment in engine.submitted[0].prompt)
    assert "(?!root$)" in shown
    assert "x" * 2001 in shown
    strict = await ask(client_for(FakeEngine(), ServerSettings(strict=True)), path, asked)
    assert strict.status_code == 400
    assert strict.json()["error"]["message"].startswith(place)


async def test_a_strict_function_is_enforced_whole_or_refused(client: httpx.AsyncClient) -> None:
    function = {"name": "f", "parameters": ODD, "strict": True}
    asked = CHAT | {"tools": [{"type": "function", "function": function}]}
    refused = await ask(client, "/chat/completions", asked)
    assert refused.status_code == 400
    param = "tools[0].function.parameters.properties.tags.uniqueItems"
    assert refused.json()["error"]["param"] == param


class Picky(FakeEngine):
    """Compiles no grammar that has one of these words."""

    def __init__(self, *words: str) -> None:
        super().__init__()
        self._words = words

    async def submit(self, request: GenerationRequest) -> FakeGeneration:
        assert request.options.grammar is not None
        if any(word in request.options.grammar.text for word in self._words):
            raise InvalidValue("tools cannot be used: too long.", param="tools")
        return await super().submit(request)


@pytest.mark.parametrize(
    ("words", "ignored"),
    [
        (["oneOf"], "tools[0].function.parameters.properties.a.pattern"),
        (["oneOf", "properties"], "tools[0].function.parameters"),
        (["name"], None),
    ],
)
async def test_what_does_not_compile_is_tried_with_less_of_it(
    words: list[str], ignored: str | None
) -> None:
    parts = {"a": {"type": "string", "pattern": "^a+$"}, "b": {"oneOf": [{"type": "string"}]}}
    function = {"name": "f", "parameters": {"type": "object", "properties": parts}}
    asked = CHAT | {"tools": [{"type": "function", "function": function}]}
    answer = await ask(client_for(Picky(*words)), "/chat/completions", asked)
    assert answer.status_code == (400 if ignored is None else 200), answer.text
    assert answer.headers.get(IGNORED_HEADER) == ignored
