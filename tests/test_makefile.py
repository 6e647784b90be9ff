"""The Makefile's targets as programs that others start and end."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.effort import PATIENCE

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_what_ends_make_run_ends_the_server(tmp_path: Path) -> None:
    server = tmp_path / "bin" / "edge-llama"
    server.parent.mkdir()
    server.write_text("#!/bin/sh\necho $$\nexec sleep 600\n")
    server.chmod(0o755)
    (tmp_path / ".installed").touch()
    command = ["make", "--silent", "run", f"VENV={tmp_path}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as make:
        assert make.stdout is not None
        process = psutil.Process(int(make.stdout.readline()))
        make.terminate()
        gone, alive = psutil.wait_procs([process], timeout=PATIENCE)
        for each in alive:
            each.kill()
        assert gone
