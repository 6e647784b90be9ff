"""What it costs those who are served that prompts are kept on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from edge_llama.bench.load import beside_a_stream
from edge_llama.bench.quantity import Figure, Quantity, Unit
from edge_llama.bench.scenarios import RESTART
from edge_llama.bench.server import ServerTarget
from edge_llama.bench.stream import Stream
from edge_llama.config import EngineSettings

PROMPTS, PROMPT_TOKENS, OUTPUT_TOKENS = 2, 260, 6
"""Of a run: a full block of each, and so short that the machine seldom changes its speed between
the two runs of a pair.
"""

PAIRS_SECONDS = 120.0
FEWEST_PAIRS, MOST_PAIRS = 2, 15

STEP_TOKENS = 64
NO_LIMIT = 3600.0
"""Most tokens of a step, and seconds that it may take: so both servers read prompts in the same
steps, whatever each has found out about their cost.
"""

THROUGHPUT = Quantity("throughput_share", "tokens a second, kept / not kept", Unit.RATIO)
GAP = Quantity("gap_share", "longest gap of a running stream, kept / not kept", Unit.RATIO)


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
    off, on = (replace(each, batch_size=STEP_TOKENS, max_stall=NO_LIMIT) for each in (off, on))
    throughputs, gaps = [], []
    async with ServerTarget(off, tuned=tuned) as without, ServerTarget(on, tuned=tuned) as with_it:
        for server in (without, with_it):
            await server.run(beside_a_stream(1, PROMPT_TOKENS, OUTPUT_TOKENS), seed=-1)
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
    streams = await server.run(beside_a_stream(PROMPTS, PROMPT_TOKENS, OUTPUT_TOKENS), seed)
    # What is still to be written must not disturb the other server.
    await server.all_saved()
    return _Run(_throughput(streams), _gap(streams))


def _throughput(streams: Sequence[Stream]) -> float:
    """Tokens a second of all, read and written, while prompts come."""
    running, *prompts = streams
    start, end = prompts[0].start, prompts[-1].end
    tokens = sum(p.prompt_tokens - (p.cached_tokens or 0) + p.output_tokens for p in prompts)
    tokens += len([time for time in running.times if start < time <= end])
    return tokens / (end - start)


def _gap(streams: Sequence[Stream]) -> float:
    """The longest gap while a prompt is there; the median of the prompts."""
    running, *prompts = streams
    return median(max(running.gaps(p.start, p.end), default=0.0) for p in prompts)
