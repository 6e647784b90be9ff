"""How the installed llama.cpp was built, asked in a process of its own.

Loading a library that was built for another CPU can end the process that loads it.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass

from edge_llama.engine.client.process import describe_exit
from edge_llama.errors import EngineStartError
from edge_llama.process.child import module_command

TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Build:
    """The installed llama.cpp.

    Attributes:
        system_info: its own words, with the instruction sets that it was built for.
        gpu: it can use a GPU, which is Metal on a Mac.
    """

    system_info: str
    gpu: bool


def read_build(timeout: float = TIMEOUT) -> Build:
    """Ask llama.cpp.

    Args:
        timeout: seconds to wait for its answer.

    Raises:
        EngineStartError: it cannot be loaded on this machine; the text says why.
    """
    try:
        done = subprocess.run(
            module_command("edge_llama.engine.binding"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise EngineStartError(f"llama.cpp did not load within {timeout:g} s.") from None
    if done.returncode == 0:
        return Build(**json.loads(done.stdout.splitlines()[-1]))
    if done.returncode == 1:  # Python's, for an exception
        cause = done.stderr.strip().splitlines()[-1:] or ["it does not say why"]
        raise EngineStartError(f"llama.cpp cannot be loaded: {cause[0]}")
    raise EngineStartError(describe_exit(done.returncode))
