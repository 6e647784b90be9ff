from __future__ import annotations

import email.utils
import importlib
import time
from collections.abc import Callable
from typing import Any

import huggingface_hub
import pytest

from edge_llama.errors import HubUnavailable, SettingsError, WeightsError
from edge_llama.weights.hub.http_get import Response, get, retry_after
from edge_llama.weights.hub.retry import Unsteady

URL = "https://hub.example/file"


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets huggingface-hub's session be answered by a function, whichever httpx it is built on."""
    session = type(huggingface_hub.get_session())
    httpx: Any = importlib.import_module(session.__module__.partition(".")[0])

    def answer(handler: Callable[[Any], tuple[int, dict[str, str]]]) -> None:
        def handle(request: Any) -> Any:
            status, headers = handler(request)
            return httpx.Response(status, headers=headers, content=iter([b"GGUF"]))

        client = httpx.Client(transport=httpx.MockTransport(handle))
        monkeypatch.setattr(huggingface_hub, "get_session", lambda: client)

    return answer


def ask(headers: dict[str, str] | None = None) -> bytes:
    def refusal(response: Response) -> WeightsError:
        return WeightsError(f"refused with {response.status_code}")

    with get(URL, headers or {}, 1.0, name="file", refusal=refusal) as response:
        return b"".join(response.iter_raw())


def test_a_redirect_to_another_host_goes_without_the_token(answer: Callable[..., None]) -> None:
    seen: list[tuple[str, str | None]] = []

    def handler(request: Any) -> tuple[int, dict[str, str]]:
        seen.append((request.url.host, request.headers.get("authorization")))
        hops = {"hub.example": "https://hub.example.evil/x", "hub.example.evil": ""}
        where = hops[request.url.host]
        return (302, {"Location": where}) if where else (200, {})

    answer(handler)
    assert ask({"authorization": "Bearer secret"}) == b"GGUF"
    assert seen == [("hub.example", "Bearer secret"), ("hub.example.evil", None)]


def test_https_does_not_become_http(answer: Callable[..., None]) -> None:
    def handler(request: Any) -> tuple[int, dict[str, str]]:
        if request.url.scheme == "http":
            return 302, {"Location": "https://hub.example/end"}
        return (200, {}) if request.url.path == "/end" else (302, {"Location": "http://x/y"})

    answer(handler)
    with pytest.raises(WeightsError, match="from https to http"):
        ask()


def test_a_signed_address_that_ran_out_is_asked_for_again(answer: Callable[..., None]) -> None:
    def handler(request: Any) -> tuple[int, dict[str, str]]:
        return (403, {}) if request.url.host == "cdn" else (302, {"Location": "https://cdn/x"})

    answer(handler)
    with pytest.raises(Unsteady, match="cdn answers with status 403"):
        ask()


def test_a_refusal_of_the_server_itself_is_final(answer: Callable[..., None]) -> None:
    answer(lambda request: (403, {}))
    with pytest.raises(WeightsError, match="refused with 403"):
        ask()


def test_a_body_that_is_compressed_all_the_same(answer: Callable[..., None]) -> None:
    answer(lambda request: (200, {"Content-Encoding": "gzip"}))
    with pytest.raises(Unsteady, match="compressed"):
        ask()


def test_redirects_without_end(answer: Callable[..., None]) -> None:
    answer(lambda request: (302, {"Location": URL}))
    with pytest.raises(Unsteady, match="cannot be reached"):
        ask()


def test_a_program_that_put_the_library_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubUnavailable, match="offline mode"):
        ask()


@pytest.mark.parametrize("proxy", ["gopher://127.0.0.1:1", "socks5://127.0.0.1:1"])
def test_proxy_settings_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    huggingface_hub.close_session()
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises((SettingsError, Unsteady), match=r"ALL_PROXY|cannot be reached"):
        ask()
    huggingface_hub.close_session()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": " 0 "}, 0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"ratelimit": '"api";r=0;t=55'}, 55),
        ({"ratelimit": '"api"'}, None),
    ],
)
def test_how_long_a_server_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_server_may_name_a_moment() -> None:
    moment = email.utils.formatdate(time.time() + 30, usegmt=True)
    assert retry_after({"retry-after": moment}) == pytest.approx(30, abs=2)
