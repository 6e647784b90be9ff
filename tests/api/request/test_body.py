from __future__ import annotations

import asyncio
import json
import logging
import threading
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_llama.api.errors import InvalidJson
from edge_llama.api.request import request_body
from edge_llama.api.request.body import MAX_DEPTH, parse_object
from edge_llama.settings.server import Limits, ServerSettings
from tests.api.asgi_call import AsgiCall
from tests.api.conftest import app_for, client_for
from tests.effort import PATIENCE, at_most
from tests.fakes import FakeEngine

PATH = "/v1/chat/completions"
BAD_BODIES = {
    "empty": b"",
    "truncated": b'{"messages": [',
    "scalar": b"5",
    "string": b'"text"',
    "null": b"null",
    "list": b"[]",
    "trailing bytes": b"{} x",
    "two objects": b"{}{}",
    "byte order mark": b"\xef\xbb\xbf{}",
    "invalid UTF-8": b'{"model": "\xff"}',
    "overlong UTF-8": b'{"model": "\xc0\x80"}',
    "lone surrogate": b'{"model": "\\ud800"}',
    "lone low surrogate": b'{"model": "\\udc00"}',
    "lone surrogate in a key": b'{"\\ud800": 1}',
    "encoded surrogate": b'{"model": "\xed\xa0\x80"}',
    "raw NUL": b'{"model": "\x00"}',
    "NUL at the end": b"{}\x00",
    "nested lists": b"[" * 100_000,
    "closed nested lists": b"[" * 100_000 + b"]" * 100_000,
    "nested objects": b'{"a":' * 100_000,
    "NaN": b'{"temperature": NaN}',
    "Infinity": b'{"temperature": Infinity}',
    "-Infinity": b'{"temperature": -Infinity}',
    "1e999": b'{"temperature": 1e999}',
    "5,000 digits": b'{"seed": ' + b"9" * 5000 + b"}",
    "2 MB of digits": b'{"top_p": 0.' + b"3" * 2_000_000 + b"}",
    "2 MB of objects": b'{"messages": [' + b"{}," * 600_000 + b"{}]}",
    "2 MB of integers": b'{"stop": [' + b"1," * 900_000 + b"1]}",
    "2 MB of lists": b'{"messages": [' + b"[]," * 600_000 + b"[]]}",
    "2 MB of keys": b'{"metadata": {' + b",".join(b'"%d":1' % n for n in range(190_000)) + b"}}",
    "2 MB of the same key": b'{"model": "demo"' + b',"a":1' * 340_000 + b"}",
    "the same key twice": b'{"model": "demo", "model": "demo"}',
    "the same key twice, escaped": b'{"messages": [{"a": 1, "\\u0061": 1}]}',
    "single quotes": b"{'model': 'demo'}",
    "comment": b"{} // done",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
async def test_a_malformed_body_is_a_quick_400(client: httpx.AsyncClient, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    await client.post(PATH, content=b"{}", headers=headers)  # what is made once is not counted
    with at_most(150):
        response = await client.post(PATH, content=body, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_json"
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert len(response.content) < 500


USERS = [{"role": "user", "content": "Hi"}]
NOT_A_REQUEST = {
    "many fields": {f"field{number}": 1 for number in range(60_000)},
    "many numbers of 399 digits": {"metadata": [int("9" * 399)] * 5000, "messages": 5},
    "a list of the wrong type": {"input": "Hi", "include": [1] * 262_000},
    "many biases": {"messages": USERS, "logit_bias": dict.fromkeys(map(str, range(60_000)), 1)},
    "many functions": {"messages": USERS, "functions": [{"name": "f"}] * 9_900},
    "many tools": {"messages": USERS, "tools": [{"function": {"name": "f"}}] * 4_900},
    "a bad last message": {"messages": [*(USERS * 3_000), 5]},
}


@pytest.mark.parametrize("fields", NOT_A_REQUEST.values(), ids=NOT_A_REQUEST)
async def test_a_large_body_that_is_no_request_is_a_quick_400(
    client: httpx.AsyncClient, fields: dict[str, Any]
) -> None:
    path = "/v1/responses" if "input" in fields else PATH
    content = json.dumps({"model": "demo"} | fields).encode()
    headers = {"Content-Type": "application/json"}
    await client.post(path, content=b"{}", headers=headers)
    with at_most(150):
        response = await client.post(path, content=content, headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "invalid_value"


@pytest.mark.parametrize(("size", "thread"), [(1_000, "MainThread"), (100_000, "parser_0")])
async def test_large_bodies_are_parsed_beside_the_event_loop(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, size: int, thread: str
) -> None:
    parsed_by = []

    def parse(body: bytes) -> dict[str, Any]:
        parsed_by.append(threading.current_thread().name)
        return parse_object(body)

    monkeypatch.setattr(request_body, "parse_object", parse)
    body = {"model": "demo", "messages": USERS, "metadata": "x" * size}
    assert (await client.post(PATH, json=body)).status_code == 200
    assert parsed_by == [thread]


async def test_a_large_body_whose_client_left_is_not_parsed(
    engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = threading.Event()
    parsed: list[bytes] = []
    monkeypatch.setattr(request_body, "parse_object", parsed.append)
    request_body._parser.submit(ahead.wait, PATIENCE)
    call = AsgiCall(app_for(engine), body=[b" " * 100_000])
    await asyncio.sleep(0.05)
    call.disconnect()
    await call.finished()
    ahead.set()
    request_body._parser.submit(lambda: None).result(PATIENCE)
    assert parsed == []


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_the_depth_is_bounded_alike_everywhere() -> None:
    parse_object(nested(MAX_DEPTH))
    with pytest.raises(InvalidJson, match="nested too deeply"):
        parse_object(nested(MAX_DEPTH + 1))


NAMES = st.text(st.sampled_from(':,"\\{[a1 '), max_size=4)
VALUES = st.recursive(
    st.none() | st.integers() | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
)


@given(value=st.dictionaries(NAMES, VALUES, max_size=4), ascii=st.booleans())
def test_no_text_is_taken_for_a_key(value: dict[str, Any], ascii: bool) -> None:
    assert parse_object(json.dumps(value, ensure_ascii=ascii).encode()) == value


@given(value=st.dictionaries(NAMES, VALUES, min_size=1, max_size=4), within=st.booleans())
def test_a_key_twice_is_found_among_any_others(value: dict[str, Any], within: bool) -> None:
    name, entry = next(iter(value.items()))
    twice = f"{json.dumps(value)[:-1]},{json.dumps(name)}:{json.dumps(entry)}}}"
    with pytest.raises(InvalidJson, match="same key twice"):
        parse_object((f'{{":":[{twice}]}}' if within else twice).encode())


def test_pairs_of_surrogates_and_large_numbers_are_read() -> None:
    assert parse_object(b'{"a": "\\ud83d\\ude00", "b": 9223372036854775808}') == {
        "a": "😀",
        "b": 2**63,
    }


def test_what_looks_large_may_stand_in_a_text() -> None:
    text = '\\"{[,' * 20_000 + "," * 300_000 + "9" * 20_000
    assert parse_object(json.dumps({"a": [text], text: 1}).encode()) == {"a": [text], text: 1}


async def test_a_request_has_a_bounded_number_of_fields(client: httpx.AsyncClient) -> None:
    many = {f"field{number}": 1 for number in range(257)}
    top = await client.post(PATH, json={"model": "demo"} | many)
    nested = await client.post(PATH, json={"model": "demo", "messages": [many]})
    for response, said in (
        (top, "The body must have at most 256 fields."),
        (nested, "messages[0] must have at most 256 fields."),
    ):
        assert response.status_code == 400
        assert response.json()["error"]["message"] == said


def test_the_reason_is_told() -> None:
    with pytest.raises(InvalidJson, match="same key twice"):
        parse_object(b'{"a": {"b": 1, "b": 2}}')
    with pytest.raises(InvalidJson, match="more than 10000 objects"):
        parse_object(b'{"a": [' + b"{}," * 10_000 + b"{}]}")
    with pytest.raises(InvalidJson, match="more than 400 digits"):
        parse_object(b'{"a": -1.' + b"9" * 401 + b"}")
    with pytest.raises(InvalidJson, match="something follows the object"):
        parse_object(b"{} x")
    with pytest.raises(InvalidJson, match="nested too deeply"):
        parse_object(b'{"a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}")
    with pytest.raises(InvalidJson, match="must be a JSON object"):
        parse_object(b"[]")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/x+json",
    ],
)
async def test_json_content_types_are_read(client: httpx.AsyncClient, content_type: str) -> None:
    response = await client.post(PATH, content=b"[]", headers={"Content-Type": content_type})
    assert response.status_code == 400


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "text/plain"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": "json"},
    ],
)
async def test_another_content_type_is_415(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    response = await client.post(PATH, content=b'{"model": "demo"}', headers=headers)
    assert response.status_code == 415
    assert "Content-Type: application/json" in response.json()["error"]["message"]


async def test_a_declared_length_over_the_limit_is_refused_unread(engine: FakeEngine) -> None:
    for length in (b"1001", b"9" * 5000):
        app = app_for(engine, ServerSettings(limits=Limits(max_body_bytes=1000)))
        call = AsgiCall(app, body=[b"x" * 1001], headers=[(b"content-length", length)])
        await call.finished()
        assert call.status == 413
        assert call.received == 0
        assert call.headers["connection"] == "close"


async def test_a_chunked_body_over_the_limit_is_cut_off(engine: FakeEngine) -> None:
    app = app_for(engine, ServerSettings(limits=Limits(max_body_bytes=1000)))
    call = AsgiCall(app, body=[b"x" * 600] * 100)
    await call.finished()
    assert call.status == 413
    assert call.received == 1200
    assert b"larger than 1.00 kB." in call.body


async def test_a_body_of_the_limit_is_read(engine: FakeEngine) -> None:
    app = app_for(engine, ServerSettings(limits=Limits(max_body_bytes=1000)))
    call = AsgiCall(app, body=[b" " * 400, b" " * 598, b"[]"])
    await call.finished()
    assert call.status == 400


async def test_a_client_that_leaves_amid_its_body_is_let_go(engine: FakeEngine) -> None:
    call = AsgiCall(app_for(engine), body=[])
    call.disconnect()
    await call.finished()
    assert engine.submitted == []


def test_the_limit_is_two_mebibytes() -> None:
    assert Limits().max_body_bytes == 2 * 1024 * 1024


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate, gzip", "zstd"])
async def test_a_compressed_body_is_415(client: httpx.AsyncClient, encoding: str) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    response = await client.post(PATH, content=b"{}", headers=headers)
    assert response.status_code == 415
    assert response.json()["error"]["message"] == "Send the body uncompressed."


async def test_identity_is_no_compression(client: httpx.AsyncClient) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "identity"}
    assert (await client.post(PATH, content=b"[]", headers=headers)).status_code == 400


@pytest.mark.parametrize("log_prompts", [False, True])
async def test_only_a_setting_of_its_own_logs_what_users_say(
    engine: FakeEngine, log_prompts: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    client = client_for(engine, ServerSettings(log_prompts=log_prompts))
    body = {"model": "demo", "messages": [{"role": "user", "content": "canary\nline"}]}
    assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
    said = [record.getMessage() for record in caplog.records if "canary" in record.getMessage()]
    assert len(said) == log_prompts
    assert all("\n" not in line for line in said)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"a": "\\ud83d"}', "it has half of a surrogate pair. Send whole characters."),
        (b'{"a": "\\ud83d', "it has half of a surrogate pair. Send whole characters."),
        (b'{"a": "\\ude00x"}', "it has half of a surrogate pair. Send whole characters."),
        (b'{"a": "\xed\xa0\x80"}', "it has half of a surrogate pair. Send whole characters."),
        (b'{"a": "\\ud83d\\ude00"', "it ends too early."),
        (b"", "it ends too early."),
        (b'{"a": "\xe2\x28\xa1"}', "it is not UTF-8."),
        (b"{} x", "something follows the object (byte 4)."),
        (b"{'a': 1}", "a key is not in double quotes (byte 1)."),
        (b'{"a": 01}', "a number is not written as JSON has them (byte 7)."),
        (b'{"a": "\\x"}', "a backslash is followed by a character that has no meaning there (b"),
        (b'{"a": "\\uZZ"}', "\\u must be followed by four hexadecimal digits (byte 10)."),
        (b'{"a": 1 "b": 2}', "a sign is missing, such as a comma, a colon or a bracket (byte 8)."),
        (b'{"a": tru}', "a character cannot stand where it is (byte 10)."),
    ],
)
def test_a_fault_is_told_in_words_of_ours(body: bytes, said: str) -> None:
    with pytest.raises(InvalidJson) as caught:
        parse_object(body)
    assert caught.value.message.startswith(f"The body is not valid JSON: {said}")
