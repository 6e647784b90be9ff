"""What it costs those who are served that prompts are kept on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

from edge_llama.bench.load.load import one_after_the_other
from edge_llama.bench.load.stream import Stream
from edge_llama.bench.scenarios.quantity import Figure, Quantity, Unit
from edge_llama.bench.scenarios.scenarios import RESTART
from edge_llama.bench.targets.server import ServerTarget
from edge_llama.settings.engine import EngineSettings

PROMPTS, PROMPT_TOKENS, OUTPUT_TOKENS = 2, 260, 9
"""Of a run. A prompt is a full block, which is written while the answer to it is generated.

A run is short, so that the machine seldom changes its speed between the two of a pair. And nobody
reads while another one decodes: then the size of the steps would depend on what each server has
measured so far.
"""

PAIRS_SECONDS = 120.0
FEWEST_PAIRS, MOST_PAIRS = 2, 15

THROUGHPUT = Quantity("throughput_share", "tokens a second, kept / not kept", Unit.RATIO)
GAP = Quantity("gap_share", "gap between tokens, blocks written / not", Unit.RATIO)


@dataclass(frozen=True, slots=True)
class _Run:
    """What one server did."""

    throughput: float
    gap: float


async def measure_keeping(
    off: EngineSettings, on: EngineSettings, progress: Callable[[str], None], *, tuned: bool
) -> dict[Quantity, Figure]:
    """Ask two servers in turn, one of which keeps what it has read: A B, B A, A B…

    Each pair gives a ratio, for as many pairs as there is time.

    Raises:
        EdgeLlamaError: a server failed.
    """
    throughputs, gaps = [], []
    async with ServerTarget(off, tuned=tuned) as without, ServerTarget(on, tuned=tuned) as with_it:
        for server in (without, with_it):
            await server.run(one_after_the_other(1, PROMPT_TOKENS, OUTPUT_TOKENS), seed=-1)
        deadline = time.monotonic() + PAIRS_SECONDS
        for number in range(MOST_PAIRS):
            if number >= FEWEST_PAIRS and time.monotonic() > deadline:
                break
            progress(f"{RESTART}: kept and not kept, pair {number + 1}")
            order = (without, with_it) if number % 2 else (with_it, without)
            runs = {server: await _run(server, 1000 + number) for server in order}
            throughputs.append(runs[with_it].throughput / runs[without].throughput)
            gaps.append(runs[with_it].gap / runs[without].gap)
    return {THROUGHPUT: Figure(tuple(throughputs)), GAP: Figure(tuple(gaps))}


async def _run(server: ServerTarget, seed: int) -> _Run:
    streams = await server.run(one_after_the_other(PROMPTS, PROMPT_TOKENS, OUTPUT_TOKENS), seed)
    # What is still to be written must not disturb the other server.
    await server.all_saved()
    return _Run(_throughput(streams), mean(gap for stream in streams for gap in stream.gaps()))


def _throughput(streams: Sequence[Stream]) -> float:
    """Tokens a second, read and written."""
    tokens = sum(s.prompt_tokens - (s.cached_tokens or 0) + s.output_tokens for s in streams)
    return tokens / (streams[-1].end - streams[0].start)
