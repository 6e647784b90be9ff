"""The child process that measures one candidate: a `Job` on stdin, a `Measurement` on stdout.

llama.cpp may end the process, or hang; then only the candidate is lost.

A long context is not read but copied: what a prompt left in the KV cache is put into more cells of
the same sequence, and a step attends to those as to any others.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec

from edge_llama.engine import binding
from edge_llama.engine.worker.loading import open_context, open_model
from edge_llama.errors import EdgeLlamaError
from edge_llama.settings.engine import EngineSettings
from edge_llama.tune.measurement import Measurement, Step, StepTimes
from edge_llama.tune.workload import (
    BATCH_SIZE,
    BESIDE,
    PROMPTS,
    ROOM,
    SEQUENCE_DEPTH,
    Workload,
    longest_prompt,
)

TOKEN = 5
"""What all prompts consist of: a step costs the same whatever it says."""

MOST_TRIES = 7
FEWEST_TRIES = 2
ENOUGH_SECONDS = 0.4
"""A step is measured for so many seconds, as often as the bounds above allow."""

BRICK = min(PROMPTS)
"""Tokens that are copied at once."""

LONGEST_STEP_IN_TOKENS = 6
"""Steps that take longer than so many generated tokens, and than `Workload.longest_step`, are left
out of the cost table."""


@dataclass(frozen=True, slots=True)
class Job:
    """What the child is to do.

    Attributes:
        settings: the model and all of a candidate; context and sequences are the probe's own.
    """

    settings: EngineSettings
    workload: Workload


class Probe:
    """A model in memory, and a context whose content does not matter.

    Raises:
        ModelFileError: it cannot be loaded, or not within this machine's memory.
    """

    def __init__(self, job: Job) -> None:
        settings = replace(
            job.settings,
            ctx_size=job.workload.cells,
            parallel=max(1, job.workload.sequences),
            cached_sequences=1,
            batch_size=BATCH_SIZE,
        )
        start = time.perf_counter()
        self._model = open_model(settings)
        self._load = time.perf_counter() - start
        # With streams nothing but several sequences is different, and they cannot be filled so.
        self._settings = settings
        self._context = open_context(replace(settings, kv_layout="unified"), self._model)
        self._batch = binding.Batch(BATCH_SIZE)
        self._workload = job.workload
        self._scratch = settings.parallel
        self._times: dict[Step, tuple[float, ...]] = {}

    def run(self) -> Measurement:
        """Measure all of the workload."""
        workload = self._workload
        prompt = self._longest_prompt()
        for depth in sorted({*workload.decode, *workload.prefill}):
            self._fill(0, depth)
            if depth in workload.decode:
                self._measure(Step(1, 1, depth))
                for size in self._sizes(prompt, depth):
                    self._measure(Step(1, size, depth))
            if depth in workload.prefill:
                # Far into the context prompts are slow, and half as many tokens tell as much.
                self._measure(Step(1, max(BRICK, prompt // 2) if depth else prompt, depth))
            self._context.remove(0)
        if n := workload.sequences:
            self._fill_all(n)
            for size in (n, n - 1 + BESIDE):
                self._measure(Step(n, size, n * SEQUENCE_DEPTH))
        return Measurement(self._load, tuple(StepTimes(*each) for each in self._times.items()))

    def _longest_prompt(self) -> int:
        """Tokens of the prompts that are read; keeps a brick of them to fill the context with."""
        brick = Step(1, BRICK, 0)
        self._compute(brick)  # reads the weights from the disk
        self._context.remove(0)
        rate = BRICK / self._compute(brick)
        self._state = self._context.save_sequence(0)
        self._context.remove(0)
        return longest_prompt(rate, self._workload.prefill_seconds)

    def _sizes(self, prompt: int, depth: int) -> Iterator[int]:
        """Sizes for the cost table, as long as they are such as a stream would wait for."""
        for size in self._workload.sizes:
            if size >= prompt:
                return
            yield size
            token = self._times[Step(1, 1, depth)][0]
            limit = max(self._workload.longest_step, LONGEST_STEP_IN_TOKENS * token)
            if min(self._times[Step(1, size, depth)]) > limit:
                return

    def _fill(self, seq_id: int, depth: int) -> None:
        """Give a sequence so many tokens of context."""
        for start in range(0, depth, BRICK):
            self._restore(self._scratch, self._state)
            self._context.copy(self._scratch, seq_id, 0, min(BRICK, depth - start))
            self._context.remove(self._scratch)

    def _fill_all(self, n: int) -> None:
        """Give each of `n` sequences their context, in the layout that is measured."""
        if self._settings.kv_layout != "streams":
            for seq_id in range(n):
                self._fill(seq_id, SEQUENCE_DEPTH)
            return
        self._fill(0, SEQUENCE_DEPTH)
        state = self._context.save_sequence(0)
        self._context.close()
        streams = replace(self._settings, ctx_size=SEQUENCE_DEPTH + ROOM)
        self._context = open_context(streams, self._model)
        for seq_id in range(n):
            self._restore(seq_id, state)

    def _restore(self, seq_id: int, state: binding.ByteArray) -> None:
        if not self._context.restore_sequence(seq_id, state):
            raise binding.DecodeError("llama.cpp does not take back the state it gave")

    def _measure(self, step: Step) -> None:
        """Repeat a step, each time from the same context."""
        samples: list[float] = []
        start = self._context.length(0)
        while len(samples) < FEWEST_TRIES or (
            len(samples) < MOST_TRIES and sum(samples) < ENOUGH_SECONDS
        ):
            samples.append(self._compute(step))
            for seq_id in range(step.sequences):
                self._context.remove(seq_id, start)
        self._times[step] = tuple(samples)

    def _compute(self, step: Step) -> float:
        """Run a step; the seconds that it took."""
        self._batch.clear()
        last = step.sequences - 1
        for seq_id in range(step.sequences):
            tokens = [TOKEN] * (step.size - last if seq_id == last else 1)
            self._batch.add(tokens, self._context.length(seq_id), seq_id, n_outputs=1)
        start = time.perf_counter()
        status = self._context.decode(self._batch)
        seconds = time.perf_counter() - start
        if status is not binding.DecodeStatus.OK:
            raise binding.DecodeError(f"llama_decode returned {status.name}")
        return seconds


def main() -> None:
    """Entry of the child. Exit code 1: it cannot be measured; stderr ends with why."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    answer = os.dup(1)
    os.dup2(2, 1)  # stray prints of native code go to stderr
    binding.init_backend()
    try:
        measurement = Probe(job).run()
    except (EdgeLlamaError, binding.DecodeError) as error:
        sys.exit(str(error))
    with os.fdopen(answer, "wb") as stream:
        stream.write(msgspec.json.encode(measurement))


if __name__ == "__main__":
    main()
