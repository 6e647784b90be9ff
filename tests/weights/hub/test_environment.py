from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest

from edge_llama.errors import SettingsError
from edge_llama.weights.catalog.variant import Variant, WeightFile
from edge_llama.weights.hub.environment import (
    check_environment,
    endpoint_host,
    environment_faults,
    proxy_in_use,
    unusable,
)
from edge_llama.weights.hub.http_get import huggingface_hub as library
from edge_llama.weights.hub.hub import Hub

NOWHERE = "/nowhere/at/all"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_ENDPOINT", "http://[::1"),
        ("HF_ENDPOINT", "mirror.example"),
        ("HF_ENDPOINT", "ftp://mirror.example"),
        ("HF_ENDPOINT", "http://mirror.example:99999"),
        ("HF_ENDPOINT", "https:///x"),
        ("HF_ENDPOINT", "https://mirror.example/a b"),
        ("HTTPS_PROXY", "http://p:80:80"),
        ("HTTPS_PROXY", "htp://p:80"),
        ("https_proxy", "http://[::1"),
        ("HTTP_PROXY", "p:eighty"),
        ("ALL_PROXY", "gopher://p"),
        ("SSL_CERT_FILE", NOWHERE),
        ("SSL_CERT_FILE", __file__),
        ("SSL_CERT_FILE", str(Path(__file__).parent)),
        ("SSL_CERT_DIR", NOWHERE),
        ("HF_TOKEN", "hf_one\nhf_two"),
        ("HF_TOKEN", "hf_ü"),
        ("HUGGING_FACE_HUB_TOKEN", "Bearer hf_x"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "soon"),
        ("HF_HUB_ETAG_TIMEOUT", "1.5"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} ") as raised:
        check_environment({name: value})
    text = str(raised.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert any(word in text for word in ("Set", "Name", "Copy", "Unset"))


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"HF_ENDPOINT": "https://mirror.example/hub/", "HTTPS_PROXY": "proxy:3128"},
        {"http_proxy": "http://user:p%20w@[::1]:80", "NO_PROXY": "fd00::/8,localhost"},
        {"HF_TOKEN": "hf_x\n", "HF_HUB_DOWNLOAD_TIMEOUT": "30", "HF_ENDPOINT": ""},
    ],
)
def test_what_people_have_is_fine(environ: dict[str, str]) -> None:
    assert list(environment_faults(environ)) == []


def test_a_socks_proxy_wants_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"ALL_PROXY": "socks5h://127.0.0.1:1080"}
    monkeypatch.setitem(sys.modules, "socksio", None)
    with pytest.raises(SettingsError, match=r"ALL_PROXY names a SOCKS proxy.*pip install socksio"):
        check_environment(environ)
    there = SimpleNamespace(__spec__=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "socksio", there)
    check_environment(environ)


def test_neither_passwords_nor_tokens_are_told() -> None:
    environ = {"HTTPS_PROXY": "http://user:secret:80", "HF_TOKEN": "hf_secret hf_secret"}
    assert "secret" not in " ".join(environment_faults(environ))


def test_a_client_that_cannot_read_an_entry_of_no_proxy() -> None:
    class InvalidURL(Exception):
        """As httpx has it."""

    told = str(unusable(InvalidURL("Invalid port: ':'"), {"NO_PROXY": "fd00::/8"}))
    assert told.startswith("NO_PROXY has an entry")
    assert "update huggingface-hub" in told


def test_a_log_of_keys_that_cannot_be_written() -> None:
    error = FileNotFoundError(2, "No such file", NOWHERE)
    assert "SSLKEYLOGFILE" in str(unusable(error, {"SSLKEYLOGFILE": NOWHERE}))


def test_another_fault_names_what_the_client_reads() -> None:
    told = str(unusable(ValueError("odd"), {"https_proxy": "http://p"}))
    assert told == "The HTTP client cannot be used: odd. Look at HTTPS_PROXY."


def test_a_proxy_is_named_where_nothing_is_reached() -> None:
    assert proxy_in_use({}) is None
    assert proxy_in_use({"all_proxy": "http://p"}) == "all_proxy"


def test_the_host_of_a_mirror() -> None:
    assert endpoint_host({}) is None
    assert endpoint_host({"HF_ENDPOINT": "https://user:pw@mirror.example/x"}) == "mirror.example"
    assert endpoint_host({"HF_ENDPOINT": "http://[::1"}) == "not an address"


def test_a_client_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise RuntimeError("no client today")

    monkeypatch.setattr(huggingface_hub, "get_session", refuse)
    with pytest.raises(SettingsError, match="no client today"):
        library()


def test_the_hub_asks_nothing_of_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://[::1")
    variant = Variant("owner/repo", "Q8_0", (WeightFile("a.gguf"),))
    with pytest.raises(SettingsError, match="HF_ENDPOINT"):
        Hub().locate(variant)
