from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.effort import PATIENCE
from tests.gguf_factory import write_tiny_gguf

ENGINE = """
import asyncio, sys
from edge_llama.settings.engine import EngineSettings
from edge_llama.engine.client.async_engine import AsyncEngine
async def main():
    async with AsyncEngine(EngineSettings(model=sys.argv[1], ctx_size=256)) as engine:
        print(engine.pid, flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""
TEMPLATE = """
import time
from edge_llama.chat.template.jinja_process import JinjaProcess
process = JinjaProcess("", "", "")
print(process._child._process.pid, flush=True)
time.sleep(600)
"""
STOPPED = pytest.param(
    True, marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children")
)


@pytest.mark.parametrize("program", [ENGINE, TEMPLATE], ids=["engine", "template"])
@pytest.mark.parametrize("stopped", [False, STOPPED])
def test_a_child_goes_when_its_parent_is_killed(
    program: str, stopped: bool, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", program, str(write_tiny_gguf(tmp_path / "tiny.gguf"))]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        if stopped:
            child.suspend()
        parent.kill()
        try:
            assert psutil.wait_procs([child], PATIENCE)[1] == []
        finally:
            with suppress(psutil.NoSuchProcess):
                child.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_signals_for_the_parent_do_nothing_to_a_child() -> None:
    program = (
        "import os, signal; from edge_llama.process.child import live_with_parent\n"
        "live_with_parent()\n"
        "for number in map(int, os.sys.argv[1:]): os.kill(os.getpid(), number)\n"
        "print('alive')"
    )
    numbers = [str(int(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    done = subprocess.run(
        [sys.executable, "-c", program, *numbers], capture_output=True, text=True, check=True
    )
    assert done.stdout == "alive\n"
