from __future__ import annotations

import sys

import pytest

from edge_llama.engine.client import build
from edge_llama.engine.client.build import read_build
from edge_llama.errors import EngineStartError


def child(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let this run in place of the child that asks llama.cpp."""
    monkeypatch.setattr(build, "module_command", lambda _: [sys.executable, "-c", code])


def test_the_installed_llama_cpp_tells_what_it_was_built_for() -> None:
    assert "CPU : " in read_build().system_info
    assert " = 1 | " in read_build().system_info


def test_what_the_library_prints_itself_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, 'print(\'noise\'); print(\'{"system_info": "CPU : ", "gpu": true}\')')
    assert read_build() == build.Build("CPU : ", gpu=True)


@pytest.mark.skipif(sys.platform == "win32", reason="has no signals")
def test_an_illegal_instruction_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, "import os, signal; os.kill(os.getpid(), signal.SIGILL)")
    with pytest.raises(EngineStartError, match="illegal instruction"):
        read_build()


def test_a_library_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, "raise OSError('libgomp.so.1: cannot open shared object file')")
    with pytest.raises(EngineStartError, match=r"cannot be loaded: OSError: libgomp\.so\.1"):
        read_build()


def test_a_library_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    child(monkeypatch, "import time; time.sleep(60)")
    with pytest.raises(EngineStartError, match=r"within 0\.2 s"):
        read_build(timeout=0.2)
