"""Target: whatever can be put under a load."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from edge_llama.bench.scenarios import Scenario, Stream


class Target(AbstractAsyncContextManager[Any], Protocol):
    """Something that generates tokens; usable between entering and leaving it.

    Attributes:
        name: how the table names it.
    """

    name: str

    async def run(self, scenario: Scenario, seed: int) -> list[Stream]:
        """Put the load on it once. Prompts of different seeds have nothing in common.

        Raises:
            EdgeLlamaError: it failed.
        """
        ...
