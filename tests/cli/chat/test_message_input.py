from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from edge_llama.cli.chat import message_input
from edge_llama.cli.chat.message_input import check_arguments, read_all, whole_message
from edge_llama.errors import SettingsError


def give(monkeypatch: pytest.MonkeyPatch, data: bytes, *, tty: bool = False) -> None:
    stdin = SimpleNamespace(isatty=lambda: tty, buffer=io.BytesIO(data))
    monkeypatch.setattr(sys, "stdin", stdin)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("Grüße\nzwei\n".encode(), "Grüße\nzwei\n"),
        ("\ufeffone\r\ntwo".encode(), "one\ntwo"),
        ("one".encode("utf-16"), "one"),
        (b"", ""),
    ],
)
def test_text_is_read_whole(data: bytes, text: str) -> None:
    assert read_all(io.BytesIO(data)) == text


@pytest.mark.parametrize("data", [b"a\0b", bytes(range(256))])
def test_binary_data_is_refused(data: bytes) -> None:
    with pytest.raises(SettingsError, match=r"binary data\. Convert it to UTF-8"):
        read_all(io.BytesIO(data))


def test_endless_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message_input, "MOST_BYTES", 1000)
    with pytest.raises(SettingsError, match="stdin has more than"):
        read_all(io.BytesIO(b"x" * 1001))


def test_a_pipe_comes_after_the_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, b"one\ntwo\n")
    assert whole_message("Summarise:", lines=False) == "Summarise:\n\none\ntwo"
    give(monkeypatch, b"")
    assert whole_message("Summarise:", lines=False) == "Summarise:"


def test_a_person_has_a_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, b"", tty=True)
    assert whole_message(None, lines=False) is None
    assert whole_message("Hello!", lines=False) == "Hello!"


def test_what_is_no_message_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    give(monkeypatch, b" \n")
    with pytest.raises(SettingsError, match="stdin is empty"):
        whole_message(None, lines=False)
    with pytest.raises(SettingsError, match="PROMPT is empty"):
        whole_message(" ", lines=False)


def test_lines_and_a_prompt_exclude_each_other() -> None:
    with pytest.raises(SettingsError, match="exclude each other"):
        check_arguments("demo", "Hello!", lines=True)


def test_a_prompt_in_the_place_of_the_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="edge-llama chat demo 'Say hello'"):
        check_arguments("Say hello", None, lines=False)
    spaced = tmp_path / "my model.gguf"
    spaced.touch()
    check_arguments(str(spaced), None, lines=False)
