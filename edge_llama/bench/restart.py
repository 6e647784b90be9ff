"""How soon a prompt is answered after a restart that was answered before, and what that costs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from edge_llama.bench.busy import busy_share
from edge_llama.bench.comparison import WARM_UP, Result
from edge_llama.bench.load import concurrent, solo
from edge_llama.bench.quantity import Figure, Quantity, Unit
from edge_llama.bench.scenarios import APART, RESTART
from edge_llama.bench.server import ServerTarget
from edge_llama.bench.stream import throughput
from edge_llama.bench.target import SERVER
from edge_llama.config import CacheSettings, EngineSettings, KVType
from edge_llama.engine.blocks.folder import BlockFolder
from edge_llama.weights.memory_plan import KV_BYTES
from edge_llama.weights.model_shape import ModelShape

CTX_SIZE = 4096
PROMPT_TOKENS = 1000
CLIENTS = 4
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
THROUGHPUT_SHARE = Quantity("throughput_share", "output of 4 clients, kept / not kept", Unit.RATIO)


@dataclass(frozen=True, slots=True)
class _Run:
    """One restart."""

    cold: float
    warm: float
    after: float
    cached: int

    def values(self) -> dict[Quantity, float]:
        return {
            AFTER: self.after,
            COLD: self.cold,
            WARM: self.warm,
            OF_WARM: self.after / self.warm,
            SPEEDUP: self.cold / self.after,
            CACHED: self.cached,
        }


async def measure_restart(
    model: Path,
    threads: int | None,
    n_runs: int,
    progress: Callable[[str], None],
    plan: Callable[[EngineSettings], EngineSettings],
    *,
    tuned: bool = False,
) -> Result:
    """Ask a server, start it again, and ask the same.

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
        keeping = replace(settings, disk_cache=cache)
        runs = []
        for number in range(n_runs):
            progress(f"{RESTART}: run {number + 1} of {n_runs}")
            runs.append((await _restart(keeping, number, tuned=tuned)).values())
        share = _disk_share(Path(folder), ModelShape.of_file(model), kv_type)
        progress(f"{RESTART}: several clients")
        rates = await _throughput_shares(settings, keeping, n_runs, tuned=tuned)
    figures = {
        quantity: {SERVER: Figure(tuple(run[quantity] for run in runs))} for quantity in runs[0]
    }
    figures[DISK_SHARE] = {SERVER: Figure((share,))}
    figures[THROUGHPUT_SHARE] = {SERVER: Figure(rates)}
    return Result(RESTART, TITLE, figures, {}, max(busy, await busy_share()))


async def _restart(settings: EngineSettings, seed: int, *, tuned: bool) -> _Run:
    load = solo(PROMPT_TOKENS, 1)
    async with ServerTarget(settings, tuned=tuned) as server:
        await server.run(WARM_UP, seed=-1)
        cold = (await server.run(load, seed))[0].ttft
        warm = [(await server.run(load, seed))[0].ttft for _ in range(WARM_RUNS)]
    async with ServerTarget(settings, tuned=tuned) as server:
        await server.run(WARM_UP, seed=-2 - seed)
        after = (await server.run(load, seed))[0]
    return _Run(cold, median(warm), after.ttft, after.cached_tokens or 0)


def _disk_share(root: Path, shape: ModelShape, kv_type: KVType) -> float:
    """Bytes of the files over those that their tokens take in the KV cache."""
    entries = [entry for entry in BlockFolder(root, MAX_BYTES).entries() if entry.model]
    per_token = shape.kv_heads * (shape.key_length + shape.value_length) * KV_BYTES[kv_type]
    n_tokens = sum(entry.n_tokens for entry in entries)
    return sum(entry.size for entry in entries) / (n_tokens * per_token)


async def _throughput_shares(
    off: EngineSettings, on: EngineSettings, n_runs: int, *, tuned: bool
) -> tuple[float, ...]:
    """What several clients get with the cache on disk, over what they get without, in each run."""
    load = concurrent(CLIENTS, 235, 32, APART)
    async with ServerTarget(off, tuned=tuned) as without, ServerTarget(on, tuned=tuned) as with_it:
        for server in (without, with_it):
            await server.run(WARM_UP, seed=-1)
        shares = []
        for number in range(n_runs):
            # In turn, so that noise hits both alike.
            order = (without, with_it) if number % 2 else (with_it, without)
            rates = {server: throughput(await server.run(load, 1000 + number)) for server in order}
            shares.append(rates[with_it] / rates[without])
    return tuple(shares)
