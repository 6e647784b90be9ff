"""Privacy: cases 21 to 24 of what must hold."""

from __future__ import annotations

import asyncio
import itertools
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from edge_llama.api.gate.key_file import add_key
from tests.abuse.alive import REFERENCE, WatchedServer, check_error, watched

SECRETS = {"key": "sk-canary-0-key", "token": "hf_canary-1-token", "prompt": "canary-2-prompt"}


def test_no_secret_is_shown_anywhere(tiny_gguf: Path) -> None:
    environment = {"EDGE_LLAMA_API_KEY": SECRETS["key"], "HF_TOKEN": SECRETS["token"]}
    arguments = (str(tiny_gguf), "--ctx-size", "4096", "--log-level", "debug")
    with (
        watched(*arguments, key=SECRETS["key"], environment=environment) as server,
        server.unharmed(),
    ):
        said = _provoke(server)
        for path in ("/health", "/health/ready", "/v1/models", "/metrics", "/openapi.json"):
            said += server.get(path).text
        family = [psutil.Process(server.process.pid), *server.engines]
        said += " ".join(word for process in family for word in process.cmdline())
        for engine in server.engines:
            said += " ".join(engine.environ().values())
        said += server.log
    assert "DEBUG" in said
    for name, secret in SECRETS.items():
        assert secret not in said, name


def _provoke(server: WatchedServer) -> str:
    """Send the secrets where they belong and where they do not; what errors say."""
    prompt = {"role": "user", "content": SECRETS["prompt"]}
    for stream in (False, True):
        assert server.post(server.body(messages=[prompt], stream=stream)).status_code == 200
    said = ""
    for fields in (
        {"messages": [prompt, {"role": "user", "content": [SECRETS["prompt"]]}]},
        {"messages": [prompt] * 3000},
        {"messages": [prompt], "stop": [SECRETS["prompt"], 5]},
        {"messages": [prompt], "temperature": SECRETS["prompt"]},
        {"messages": [prompt], "response_format": {"type": SECRETS["prompt"]}},
        {"messages": [prompt], SECRETS["prompt"]: SECRETS["prompt"]},
    ):
        said += _refusal(server.post(server.body() | fields))
    said += _refusal(server.post(b'{"' + SECRETS["prompt"].encode()))
    said += server.post(server.body(), path="/v1/" + SECRETS["prompt"]).text
    headers = {"Authorization": f"Bearer {SECRETS['key']}x"}
    return said + httpx.get(f"{server.url}/v1/models", headers=headers).text


def _refusal(reply: httpx.Response) -> str:
    return "" if reply.status_code == 200 else reply.text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_the_file_of_keys_is_for_its_owner_only(tmp_path: Path) -> None:
    key = add_key(tmp_path / "keys", "alice")
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o600
    assert key.removeprefix("sk-") not in (tmp_path / "keys").read_text()


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",
        *(pytest.param(it, marks=pytest.mark.abuse) for it in ("::", "192.0.2.7", "example.org")),
    ],
)
def test_an_open_door_needs_a_key(tiny_gguf: Path, host: str) -> None:
    command = [sys.executable, "-m", "edge_llama", "serve", str(tiny_gguf), "--host", host]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--insecure-no-key" in done.stderr


def test_foreign_names_and_pages_are_kept_out(server: WatchedServer) -> None:
    for path in ("/health", "/v1/models", "/nowhere"):
        check_error(httpx.get(server.url + path, headers={"Host": "evil.test"}), 421)
    for origin in ("https://evil.test", "null", server.url):
        headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        for reply in (
            httpx.get(f"{server.url}/v1/models", headers=headers),
            httpx.options(f"{server.url}/v1/chat/completions", headers=headers),
        ):
            assert not any("access-control" in name for name in reply.headers)
            assert "set-cookie" not in reply.headers


@pytest.fixture(scope="module")
def two_keys(
    tiny_gguf: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[WatchedServer, str, str]]:
    path = tmp_path_factory.mktemp("keys") / "keys"
    keys = [add_key(path, name) for name in ("alice", "bob")]
    with watched(
        str(tiny_gguf), "--ctx-size", "8192", "--api-key-file", str(path), key=keys[0]
    ) as server:
        yield server, keys[0], keys[1]


def ask(server: WatchedServer, key: str, **fields: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {key}"}
    url = f"{server.url}/v1/chat/completions"
    return httpx.post(url, json=server.body(**fields), headers=headers, timeout=60)


@pytest.mark.abuse
def test_keys_are_guessed_in_vain_and_used_in_peace(
    two_keys: tuple[WatchedServer, str, str],
) -> None:
    server, key, _ = two_keys
    with server.unharmed():
        statuses = [ask(server, f"sk-guess-{number}").status_code for number in range(30)]
        assert statuses[:10] == [401] * 10
        assert set(statuses[15:]) == {429}
        assert ask(server, key).status_code == 200


def test_one_key_does_not_see_what_another_has_asked(
    two_keys: tuple[WatchedServer, str, str],
) -> None:
    server, alice, bob = two_keys
    with server.unharmed():
        messages = [{"role": "user", "content": "a secret plan " * 100}]

        def cached(key: str) -> int:
            usage = ask(server, key, messages=messages).json()["usage"]
            return int(usage["prompt_tokens_details"]["cached_tokens"])

        assert cached(alice) < 100
        assert cached(bob) == 0
        assert min(cached(alice), cached(bob)) > 300


def test_a_key_that_asks_much_does_not_starve_another(
    two_keys: tuple[WatchedServer, str, str],
) -> None:
    server, alice, bob = two_keys

    async def scene() -> tuple[int, int]:
        order = itertools.count()
        async with httpx.AsyncClient(timeout=60) as client:

            async def one(key: str) -> int:
                headers = {"Authorization": f"Bearer {key}"}
                url = f"{server.url}/v1/chat/completions"
                body = server.body(max_tokens=60, ignore_eos=True)
                assert (await client.post(url, json=body, headers=headers)).status_code == 200
                return next(order)

            many = [asyncio.create_task(one(alice)) for _ in range(40)]
            await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)
            place = await one(bob)
            await asyncio.gather(*many)
        return place, next(order)

    with server.unharmed():
        scenes = (asyncio.run(scene()) for _ in range(3))
        # This process may be held up between the first answer and the question of the other.
        place, count = next((each for each in scenes if each[0] < 30), (41, 41))
    assert count == 41
    assert place < 30


def test_users_do_not_hear_each_other(server: WatchedServer) -> None:
    _cross_talk(server, rounds=6)


@pytest.mark.abuse
@pytest.mark.timeout(400)
def test_users_do_not_hear_each_other_in_1000_rounds(tiny_gguf: Path) -> None:
    options = ("--ctx-size", "8192", "--parallel", "8")
    with watched(str(tiny_gguf), *options) as server, server.unharmed():
        _cross_talk(server, rounds=1000)


def _cross_talk(server: WatchedServer, rounds: int) -> None:
    """Eight users at once: half can only say their own letter, half are asked what alone has
    always the same answer."""
    letters = "ABCD"
    vocabulary = [(ord(letter) - ord("!"), letter) for letter in letters]
    forced = [
        server.body(max_tokens=8, ignore_eos=True, logit_bias={str(token): 100}, temperature=0)
        | {"messages": [{"role": "user", "content": f"I am {letter}."}]}
        for token, letter in vocabulary
    ]
    greedy = [
        server.body(max_tokens=8, **REFERENCE)
        | {"messages": [{"role": "user", "content": f"The secret of {letter} is " * 3}]}
        for letter in letters
    ]
    bodies = forced + greedy
    alone = [server.post(body).json()["choices"][0]["message"]["content"] for body in bodies]
    assert alone[:4] == [letter * 8 for letter in letters], alone

    async def user(client: httpx.AsyncClient, body: dict[str, Any], expected: str) -> None:
        for _ in range(rounds):
            reply = await client.post("/v1/chat/completions", json=body)
            assert reply.json()["choices"][0]["message"]["content"] == expected

    async def all_users() -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
            pairs = zip(bodies, alone, strict=True)
            await asyncio.gather(*(user(client, body, expected) for body, expected in pairs))

    asyncio.run(all_users())
