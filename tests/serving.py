"""A real `edge-llama serve` for tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def serving(
    *arguments: str, log: str = "", under: str = "", **environment: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server on a free port, ready: its URL and its process.

    One thread: more of them wait for each other when tests share the CPUs. EDGE_LLAMA_PYTHON names
    the Python that has edge_llama, if that of the tests has not.

    Args:
        arguments: of `edge-llama serve`.
        log: where its stderr goes; a pipe, which must not fill up, without it.
        under: a command that starts it, such as `prlimit --nofile=64`.
        environment: more variables.
    """
    stderr = open(log, "w") if log else subprocess.PIPE  # noqa: PTH123, SIM115
    python = os.environ.get("EDGE_LLAMA_PYTHON", sys.executable)
    program = [*under.split(), python, "-m", "edge_llama", "serve"]
    process = subprocess.Popen(
        [*program, *arguments, "--port", "0", "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        ready = re.match(r"edge-llama is ready: (http://127\.0\.0\.1:\d+)$", line)
        assert ready, line or process.communicate()[1] or Path(log).read_text()
        yield ready[1], process
    finally:
        process.kill()
        process.communicate()
        if not isinstance(stderr, int):
            stderr.close()
