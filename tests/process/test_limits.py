from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from edge_llama.process.limits import threads_start, told_limits


def test_threads_that_start_are_gone_afterwards() -> None:
    before = threading.active_count()
    assert threads_start(5)
    assert threading.active_count() == before


def test_a_system_that_refuses_threads_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()
    start = threading.Thread.start

    def refuse_later(thread: threading.Thread) -> None:
        if threading.active_count() > before + 2:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse_later)
    assert not threads_start(5)
    assert threading.active_count() == before


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limits")
def test_limits_are_told_as_a_shell_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    limits: dict[int, int] = {resource.RLIMIT_NPROC: 20, resource.RLIMIT_AS: 2048 * 1024}

    def getrlimit(kind: int) -> tuple[int, Any]:
        return limits[kind], resource.RLIM_INFINITY

    monkeypatch.setattr(resource, "getrlimit", getrlimit)
    assert told_limits() == (
        "20 processes and threads of this user (`ulimit -u`) and 2048 KiB of address space "
        "(`ulimit -v`)"
    )
    limits.update(dict.fromkeys(limits, resource.RLIM_INFINITY))
    assert told_limits() == ""
