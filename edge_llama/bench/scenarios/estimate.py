"""What a model will do that is not downloaded: a few of its layers, measured and scaled up.

A step costs the same for every layer, and something once, for embedding and output:

    seconds(n) = once + n · per layer        two numbers of layers tell both
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median
from typing import TypeAlias

from edge_llama.bench.load.load import solo
from edge_llama.bench.machine.busy import busy_share
from edge_llama.bench.scenarios.comparison import WARM_UP, Result
from edge_llama.bench.scenarios.quantity import Figure, Quantity, Unit
from edge_llama.bench.scenarios.scenarios import MIN_CTX_SIZE
from edge_llama.bench.synthetic.synthetic import QUANTIZATIONS, file_size, shape_of, synthetic_model
from edge_llama.bench.targets.raw import RawTarget
from edge_llama.bench.targets.target import RAW, Target
from edge_llama.errors import SettingsError
from edge_llama.settings.engine import EngineSettings

ESTIMATE = "estimate"
"""The name of the scenario, and of the target of its figures."""

PROMPT_TOKENS = 512
DECODED = 48

Step: TypeAlias = dict[str, float]
"""Seconds a token, by the key of what is done with it."""

DECODE = Quantity("decode", "decode", Unit.TOKENS_PER_SECOND)
PREFILL = Quantity("prefill", "prefill", Unit.TOKENS_PER_SECOND)
WEIGHTS = Quantity("weights", "memory for the weights", Unit.BYTES)


def layer_counts(name: str, layers: int) -> tuple[int, int]:
    """How many layers the two measured models have.

    In all of these numbers, as in the whole models, Q4_K_M gives half of the layers more bits.

    Raises:
        SettingsError: there is no such shape, or so many layers tell nothing about it.
    """
    whole = shape_of(name).n_layer
    if layers % 4 or not 4 <= layers < whole:
        raise SettingsError(
            f"--layers must be a multiple of 4 below the {whole} layers of {name}, not {layers}."
        )
    return max(2, layers // 8 * 4), layers


async def estimate(
    name: str,
    quantization: str,
    layers: int,
    n_runs: int,
    progress: Callable[[str], None],
    *,
    threads: int | None = None,
    cache_dir: Path | None = None,
    check: bool = False,
) -> Result:
    """Write models of the shape with a few layers, measure them in turn, and scale.

    Args:
        progress: called with a line for people before each step.
        check: write and measure the whole shape too, so that the estimate can be held against it.

    Raises:
        SettingsError: no such shape, quantization or number of layers, or they cannot be written.
        EdgeLlamaError: they cannot be run.
    """
    counts, shape = layer_counts(name, layers), shape_of(name)
    targets = []
    for count in (*counts, None) if check else counts:
        progress(f"writing {count or shape.n_layer} layers of {name}")
        path = synthetic_model(name, cache_dir, quantization=quantization, n_layer=count)
        targets.append(RawTarget(_settings(path, threads)))
    busy: list[float] = []
    steps: list[tuple[Step, ...]] = []
    async with AsyncExitStack() as stack:
        for target in targets:
            await stack.enter_async_context(target)
            await target.run(WARM_UP, seed=0)
        for number in range(n_runs):
            progress(f"{ESTIMATE}: run {number + 1} of {n_runs}")
            busy.append(await busy_share())
            steps.append(tuple([await _measure(target, number) for target in targets]))
    weights = file_size(shape, QUANTIZATIONS[quantization])
    return Result(
        ESTIMATE,
        f"{name} {quantization}, from {counts[0]} and {counts[1]} of {shape.n_layer} layers",
        {
            DECODE: _row(steps, DECODE.key, counts, shape.n_layer),
            PREFILL: _row(steps, PREFILL.key, counts, shape.n_layer),
            WEIGHTS: {ESTIMATE: Figure((float(weights),))},
        },
        {},
        max(busy),
    )


def scaled(counts: tuple[int, int], seconds: tuple[float, float], n_layer: int) -> float:
    """Seconds of `n_layer` layers, from those of two smaller numbers of layers.

    What noise makes cheaper than the layers that were measured costs at least as much as those.
    """
    per_layer = (seconds[1] - seconds[0]) / (counts[1] - counts[0])
    return max(seconds[1] + (n_layer - counts[1]) * per_layer, *seconds)


async def _measure(target: Target, seed: int) -> Step:
    (answer,) = await target.run(solo(16, DECODED), 2 * seed + 1)
    (prompt,) = await target.run(solo(PROMPT_TOKENS, 1), 2 * seed + 2)
    return {DECODE.key: median(answer.gaps()), PREFILL.key: prompt.ttft / PROMPT_TOKENS}


def _row(
    steps: Sequence[tuple[Step, ...]], key: str, counts: tuple[int, int], n_layer: int
) -> dict[str, Figure]:
    """Tokens per second of the whole shape, where it was measured, and as estimated."""
    rates = [1 / scaled(counts, (few[key], more[key]), n_layer) for few, more, *_ in steps]
    whole = [1 / step[key] for _, _, *measured in steps for step in measured]
    row = {RAW: Figure(tuple(whole))} if whole else {}
    return row | {ESTIMATE: Figure(tuple(rates))}


def _settings(path: Path, threads: int | None) -> EngineSettings:
    return EngineSettings(
        model=str(path), ctx_size=MIN_CTX_SIZE, parallel=1, threads=threads, cached_sequences=0
    )
