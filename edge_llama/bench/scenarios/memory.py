"""How near a memory plan is to what a server takes once its context has been full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edge_llama.bench.load.load import TEMPLATE_TOKENS, concurrent, solo
from edge_llama.bench.machine.processes import resident_bytes
from edge_llama.bench.scenarios.comparison import Result
from edge_llama.bench.scenarios.quantity import Figure, Quantity, Unit
from edge_llama.bench.scenarios.scenarios import MEMORY
from edge_llama.bench.targets.server import ServerTarget
from edge_llama.bench.targets.target import SERVER
from edge_llama.settings.engine import EngineSettings
from edge_llama.weights.memory.memory_plan import MemoryPlan
from edge_llama.weights.memory.model_shape import ModelShape

CTX_SIZE = 4096
OUTPUT_TOKENS = 32
PROMPT_SHARE = 0.95
"""Of the context; how many tokens random words make is only known about."""


MEASURED = Quantity("measured", "memory, measured", Unit.BYTES)
PLANNED = Quantity("planned", "memory, planned", Unit.BYTES)
RATIO = Quantity("ratio", "measured / planned", Unit.RATIO)
ENGINE_MEMORY = Quantity("engine_memory", "of the engine", Unit.BYTES)
SERVER_MEMORY = Quantity("server_memory", "of the server", Unit.BYTES)
ENGINE_EXTRA = Quantity("engine_extra", "of the engine beyond weights and KV cache", Unit.BYTES)


@dataclass(frozen=True, slots=True)
class MemoryFigure:
    """One server after a long run.

    Attributes:
        plan: what was expected.
        engine: bytes resident in the engine's process.
        server: bytes resident in the server's process.
    """

    plan: MemoryPlan
    engine: int
    server: int

    @property
    def measured(self) -> int:
        """Bytes of both processes."""
        return self.engine + self.server

    @property
    def deviation(self) -> float:
        """The measured bytes over the planned ones, less one."""
        return self.measured / self.plan.total - 1

    def result(self) -> Result:
        """In the table with other scenarios."""
        plan = self.plan
        values = {
            MEASURED: self.measured,
            PLANNED: plan.total,
            RATIO: self.measured / plan.total,
            ENGINE_MEMORY: self.engine,
            SERVER_MEMORY: self.server,
            ENGINE_EXTRA: self.engine - plan.weights - plan.kv_cache,
        }
        return Result(
            MEMORY,
            f"a server whose {plan.ctx_size:,} tokens of context were full ({plan.kv_type})",
            {quantity: {SERVER: Figure((value,))} for quantity, value in values.items()},
            {},
        )


async def measure_memory(
    model: Path, threads: int | None, progress: Callable[[str], None], ctx_size: int = CTX_SIZE
) -> MemoryFigure:
    """Fill the context of a server with one long prompt, answer several at once, score one, and
    look.

    Args:
        progress: called with a line for people before each step.
        ctx_size: tokens of context, at most the model's own.

    Raises:
        EdgeLlamaError: the model cannot be read, or the server failed.
    """
    shape = ModelShape.of_file(model)
    settings = EngineSettings(
        model=str(model), ctx_size=min(ctx_size, shape.context_length), threads=threads
    )
    plan = MemoryPlan(shape, replace(settings, kv_type="f16", kv_layout="unified"))
    n_prompt = int((plan.ctx_size - TEMPLATE_TOKENS) * PROMPT_SHARE) - OUTPUT_TOKENS
    progress("starting server")
    async with ServerTarget(settings) as target:
        progress(f"memory: a prompt of {n_prompt:,} tokens")
        await target.run(solo(n_prompt, OUTPUT_TOKENS), seed=1)
        progress("memory: several streams")
        await target.run(concurrent(settings.parallel, 16, OUTPUT_TOKENS, apart=0), seed=2)
        progress("memory: a scored prompt")
        await target.score(settings.scored_tokens + 1)
        engine, server = resident_bytes(target.pid)
    return MemoryFigure(plan, engine, server)
