"""Loads the models whose paths stand on stdin, each in a process of its own, and tells how it went.

A line of stdout for each: `ok`, `refused`, or `died` with the number of the signal.
"""

from __future__ import annotations

import os
import resource
import signal
import sys

from edge_llama.config import EngineSettings
from edge_llama.engine import binding
from edge_llama.engine.loading import LoadedEngine
from edge_llama.engine.messages import GenerationRequest
from edge_llama.engine.prompt import Text
from edge_llama.errors import EdgeLlamaError

SECONDS = 20
MEMORY = 2**31


def load(path: str) -> int:
    """Exit code: 0 it loads and generates, 1 it is refused."""
    try:
        engine = LoadedEngine(EngineSettings(model=path, ctx_size=256, threads=1, parallel=1))
        request = GenerationRequest(prompt=(Text("a b"),), max_tokens=2)
        engine.core.add(engine.intake.accept(1, request))
        while engine.core.has_work:
            engine.core.step()
    except EdgeLlamaError:
        return 1
    return 0


def main() -> None:
    binding.init_backend()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.alarm(SECONDS)
            os._exit(load(line.rstrip("\n")))
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        print({0: "ok", 1: "refused"}.get(code, f"died {-code}"), flush=True)


if __name__ == "__main__":
    main()
