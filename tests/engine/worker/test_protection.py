from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from edge_llama.engine.client.async_engine import AsyncEngine
from edge_llama.engine.worker.protection import OOM_SCORE
from edge_llama.settings.engine import EngineSettings


def oom_score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels have no such limits")
async def test_the_kernel_limits_the_engine_and_ends_it_first(
    tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_LLAMA_API_KEY", "sk-canary")
    settings = EngineSettings(model=str(tiny_gguf), ctx_size=256, threads=1, memory_limit=10**9)
    async with AsyncEngine(settings) as engine:
        process = psutil.Process(engine.pid)
        soft, _ = process.rlimit(psutil.RLIMIT_DATA)
        assert 10**9 < soft < 5 * 10**9
        assert oom_score(process.pid) == OOM_SCORE
        assert "sk-canary" not in "".join(process.environ().values())
