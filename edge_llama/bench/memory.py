"""How near a memory plan is to what a server takes once its context has been full."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_llama.bench.scenarios import CONTEXT_RESERVE, Metric, Scenario
from edge_llama.bench.server import ServerTarget
from edge_llama.config import EngineSettings
from edge_llama.weights.memory_plan import MemoryPlan, format_size
from edge_llama.weights.model_shape import ModelShape

MEMORY = "memory"
"""How `--scenario` calls it."""

CTX_SIZE = 4096
OUTPUT_TOKENS = 32
PROMPT_SHARE = 0.95
"""Of the context; how many tokens random words make is only known about."""


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

    def __str__(self) -> str:
        plan = self.plan
        return (
            f"memory with {plan.ctx_size:,} tokens of context: planned {format_size(plan.total)} "
            f"(weights {format_size(plan.weights)}, KV cache {format_size(plan.kv_cache)}, "
            f"compute {format_size(plan.compute)}, processes {format_size(plan.process)}), "
            f"measured {format_size(self.measured)} (engine {format_size(self.engine)}, "
            f"server {format_size(self.server)}): {self.deviation:+.1%}"
        )

    def as_json(self) -> dict[str, Any]:
        """For programs; sizes in bytes."""
        plan = self.plan
        return {
            "ctx_size": plan.ctx_size,
            "kv_type": plan.kv_type,
            "planned": {
                "weights": plan.weights,
                "kv_cache": plan.kv_cache,
                "compute": plan.compute,
                "process": plan.process,
                "total": plan.total,
            },
            "measured": {"engine": self.engine, "server": self.server, "total": self.measured},
            "deviation": self.deviation,
        }


async def measure_memory(
    model: Path, threads: int | None, progress: Callable[[str], None], ctx_size: int = CTX_SIZE
) -> MemoryFigure:
    """Fill the context of a server with one long prompt, answer several at once, and look.

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
    plan = _plan(shape, settings)
    n_prompt = int((plan.ctx_size - CONTEXT_RESERVE) * PROMPT_SHARE) - OUTPUT_TOKENS
    progress("starting server")
    async with ServerTarget(settings) as target:
        progress(f"memory: a prompt of {n_prompt:,} tokens")
        await target.run(Scenario("", Metric.PREFILL, 1, n_prompt, OUTPUT_TOKENS), seed=1)
        progress("memory: several streams")
        await target.run(
            Scenario("", Metric.THROUGHPUT, settings.parallel, 16, OUTPUT_TOKENS), seed=2
        )
        engine, server = _resident(target.pid)
    return MemoryFigure(plan, engine, server)


def _plan(shape: ModelShape, settings: EngineSettings) -> MemoryPlan:
    """What the engine takes with these settings."""
    return MemoryPlan(
        shape=shape,
        ctx_size=settings.ctx_size or shape.context_length,
        parallel=settings.parallel,
        cached_sequences=settings.cached_sequences,
        micro_batch=settings.micro_batch,
        kv_type=settings.kv_type,
    )


def _resident(pid: int) -> tuple[int, int]:
    """Bytes of the children of a process, and of itself."""
    import psutil

    server = psutil.Process(pid)
    children = server.children(recursive=True)
    return sum(child.memory_info().rss for child in children), server.memory_info().rss
