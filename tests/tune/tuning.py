"""Stand-ins for tuning: step times by formula, no model, no process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from edge_llama.planning.tuned.candidate import Candidate
from edge_llama.tune.measurement import Measurement, Step, StepTimes
from edge_llama.tune.measurer import RuledOut
from edge_llama.tune.workload import BESIDE, SEQUENCE_DEPTH, Workload
from edge_llama.weights.memory.model_shape import ModelShape
from tests.weights.memory.shapes import LLAMA_8B

DEFAULT = Candidate(
    flash_attention=False, kv_type="f16", threads=4, threads_batch=8, micro_batch=256
)
FLASH = replace(DEFAULT, flash_attention=True)
Q8_0 = replace(FLASH, kv_type="q8_0")

SHAPE: ModelShape = LLAMA_8B
PROMPT = 512

Speed = Callable[[Candidate, Step], float]


def even(_: Candidate, step: Step) -> float:
    """Seconds of a step that costs 5 ms a token, however it is run."""
    return 0.005 * step.size


def measurement_of(candidate: Candidate, workload: Workload, seconds: Speed) -> Measurement:
    """What measuring a workload gives where steps take what `seconds` says."""
    steps = [Step(1, 1, depth) for depth in workload.decode]
    steps += [Step(1, size, depth) for depth in workload.decode for size in workload.sizes]
    steps += [Step(1, PROMPT, depth) for depth in workload.prefill]
    if n := workload.sequences:
        steps += [Step(n, size, n * SEQUENCE_DEPTH) for size in (n, n - 1 + BESIDE)]
    times = (StepTimes(step, (seconds(candidate, step),)) for step in steps)
    return Measurement(0.5, tuple(times))


class FakeMeasurer:
    """Measures by a formula.

    Attributes:
        measured: every candidate with its workload, in order.
        limits: the time limit of each.

    Args:
        seconds: of a step; may raise RuledOut.
    """

    def __init__(self, seconds: Speed = even) -> None:
        self.measured: list[tuple[Candidate, Workload]] = []
        self.limits: list[float] = []
        self._seconds = seconds

    @property
    def candidates(self) -> list[Candidate]:
        return [candidate for candidate, _ in self.measured]

    def measure(self, candidate: Candidate, workload: Workload, limit: float) -> Measurement:
        self.measured.append((candidate, workload))
        self.limits.append(limit)
        return measurement_of(candidate, workload, self._seconds)


def crash(*_: object) -> float:
    raise RuledOut("llama.cpp ran into an illegal instruction")
