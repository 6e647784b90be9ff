"""A real `edge-llama serve` for tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server on a free port, ready: its URL and its process.

    One thread: more of them wait for each other when tests share the CPUs. EDGE_LLAMA_PYTHON names
    the Python that has edge_llama, if that of the tests has not.
    """
    python = os.environ.get("EDGE_LLAMA_PYTHON", sys.executable)
    process = subprocess.Popen(
        [python, "-m", "edge_llama", "serve", *arguments, "--port", "0", "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        ready = re.match(r"edge-llama is ready: (http://127\.0\.0\.1:\d+)$", line)
        assert ready, line or process.communicate()[1]
        yield ready[1], process
    finally:
        process.kill()
        process.communicate()
