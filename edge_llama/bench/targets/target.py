"""Target: whatever can be put under a load."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from edge_llama.bench.load.load import Load
from edge_llama.bench.load.stream import Stream

DEFAULTS, RAW, ENGINE, SERVER, URL = TARGETS = ("defaults", "raw", "engine", "server", "url")
"""The raw loop as llama.cpp runs by default, and as edge_llama runs; edge_llama; another server."""


class Target(AbstractAsyncContextManager[Any], Protocol):
    """Something that generates tokens; usable between entering and leaving it.

    Attributes:
        name: one of `TARGETS`.
    """

    name: str

    async def run(self, load: Load, seed: int) -> list[Stream]:
        """Put the load on it once. Prompts of different seeds have nothing in common.

        Raises:
            EdgeLlamaError: it failed.
        """
        ...
