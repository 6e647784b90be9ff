"""How soon a prompt is answered after a restart that was answered before."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

from edge_llama.bench.load.load import solo
from edge_llama.bench.machine.busy import busy_share
from edge_llama.bench.scenarios.comparison import WARM_UP, Result
from edge_llama.bench.scenarios.keeping import measure_keeping
from edge_llama.bench.scenarios.quantity import Figure, Quantity, Unit
from edge_llama.bench.scenarios.scenarios import RESTART
from edge_llama.bench.targets.server import ServerTarget
from edge_llama.bench.targets.target import SERVER
from edge_llama.engine.blocks.folder import BlockFolder
from edge_llama.settings.engine import CacheSettings, EngineSettings, KVType
from edge_llama.weights.memory.memory_plan import KV_BYTES
from edge_llama.weights.memory.model_shape import ModelShape

CTX_SIZE = 4096
PROMPT_TOKENS = 1000
WARM_RUNS = 3
MAX_BYTES = 10**10

TITLE = f"a prompt of {PROMPT_TOKENS:,} tokens again, after a restart"

AFTER = Quantity("restart_ttft", "first token after a restart, model loaded", Unit.SECONDS)
COLD = Quantity("cold_ttft", "first token, the first time", Unit.SECONDS)
WARM = Quantity("warm_ttft", "first token, prompt in memory", Unit.SECONDS)
OF_WARM = Quantity("of_warm", "after a restart / in memory", Unit.RATIO)
SPEEDUP = Quantity("speedup", "the first time / after a restart", Unit.RATIO)
CACHED = Quantity("cached_tokens", "tokens from the disk", Unit.TOKENS)
DISK_SHARE = Quantity("disk_share", "bytes on disk / bytes of KV", Unit.RATIO)


async def measure_restart(
    model: Path,
    threads: int | None,
    n_runs: int,
    progress: Callable[[str], None],
    plan: Callable[[EngineSettings], EngineSettings],
    *,
    tuned: bool = False,
) -> Result:
    """Ask a server, start it again, and ask the same; then ask one that keeps nothing in turn.

    Args:
        model: what it serves.
        threads: of its engine; None chooses.
        progress: called with a line for people before each run.
        plan: fills in the settings what a server would.
        tuned: let it run the model as `edge-llama tune` found best.

    Raises:
        EdgeLlamaError: it did not start, or failed.
    """
    settings = EngineSettings(model=str(model), ctx_size=CTX_SIZE, threads=threads)
    kv_type: KVType = plan(settings).kv_type or "f16"
    busy = await busy_share()
    with tempfile.TemporaryDirectory(prefix="edge-llama-restart-") as folder:
        cache = CacheSettings(folder=folder, max_bytes=MAX_BYTES)
        kept = replace(settings, disk_cache=cache)
        figures = await _restarts(kept, n_runs, progress, tuned=tuned)
        share = _disk_share(Path(folder), ModelShape.of_file(model), kv_type)
        figures[DISK_SHARE] = Figure((share,))
        figures |= await measure_keeping(settings, kept, progress, tuned=tuned)
    by_target = {quantity: {SERVER: figure} for quantity, figure in figures.items()}
    return Result(RESTART, TITLE, by_target, {}, max(busy, await busy_share()))


async def _restarts(
    settings: EngineSettings, n_runs: int, progress: Callable[[str], None], *, tuned: bool
) -> dict[Quantity, Figure]:
    """Each server is asked what the one before was asked last, then something new."""
    load = solo(PROMPT_TOKENS, 1)
    cold, warm, after, cached = [], [], [], []
    for number in range(n_runs + 1):
        progress(f"{RESTART}: server {number + 1} of {n_runs + 1}")
        async with ServerTarget(settings, tuned=tuned) as server:
            await server.run(WARM_UP, seed=-1 - number)
            if number:
                [again] = await server.run(load, number - 1)
                after.append(again.ttft)
                cached.append(float(again.cached_tokens or 0))
            if number < n_runs:
                cold.append((await server.run(load, number))[0].ttft)
                times = [(await server.run(load, number))[0].ttft for _ in range(WARM_RUNS)]
                warm.append(median(times))
                await server.all_saved()
    return {
        AFTER: Figure(tuple(after)),
        COLD: Figure(tuple(cold)),
        WARM: Figure(tuple(warm)),
        OF_WARM: _ratios(after, warm),
        SPEEDUP: _ratios(cold, after),
        CACHED: Figure(tuple(cached)),
    }


def _ratios(values: list[float], others: list[float]) -> Figure:
    return Figure(tuple(value / other for value, other in zip(values, others, strict=True)))


def _disk_share(root: Path, shape: ModelShape, kv_type: KVType) -> float:
    """Bytes of the files over those that their tokens take in the KV cache."""
    entries = [entry for entry in BlockFolder(root, MAX_BYTES).entries() if entry.model]
    per_token = shape.kv_heads * (shape.key_length + shape.value_length) * KV_BYTES[kv_type]
    n_tokens = sum(entry.n_tokens for entry in entries)
    return sum(entry.size for entry in entries) / (n_tokens * per_token)
