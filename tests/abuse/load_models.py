"""Loads the models whose paths stand on stdin, each in a process of its own, and tells how it went.

A line of stdout for each: `ok`, `refused`, `raised` with the name of an error that is no refusal,
or `died` with the number of the signal.
"""

from __future__ import annotations

import os
import resource
import signal
import sys

from edge_llama.engine import binding
from edge_llama.engine.protocol.prompt import Text
from edge_llama.engine.protocol.request import GenerationOptions, GenerationRequest
from edge_llama.engine.worker.loading import LoadedEngine
from edge_llama.errors import EdgeLlamaError
from edge_llama.settings.engine import EngineSettings

SECONDS = 20
MEMORY = 2**31


def load(path: str) -> str:
    try:
        settings = EngineSettings(model=path, ctx_size=256, threads=1, parallel=1)
        engine = LoadedEngine(settings, on_progress=lambda: None)
        request = GenerationRequest(prompt=(Text("a b"),), options=GenerationOptions(max_tokens=2))
        token_ids = engine.intake.read(request)
        engine.core.add(engine.intake.sequences(1, request, token_ids, arrived=0.0))
        while engine.core.has_work:
            engine.core.step()
    except EdgeLlamaError:
        return "refused"
    except Exception as error:
        return f"raised {type(error).__name__}"
    return "ok"


def main() -> None:
    binding.init_backend()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.alarm(SECONDS)
            print(load(line.rstrip("\n")), flush=True)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if code := os.waitstatus_to_exitcode(status):
            print(f"died {-code}", flush=True)


if __name__ == "__main__":
    main()
