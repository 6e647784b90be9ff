"""EngineCore: schedule, run, postprocess."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Protocol

from edge_llama.engine.binding import DecodeError, DecodeStatus
from edge_llama.engine.protocol.output import Output
from edge_llama.engine.protocol.stats import EngineStats
from edge_llama.engine.schedule.scheduler import Scheduler
from edge_llama.engine.sequence import Sequence
from edge_llama.engine.span import Sampled, Span

SAVE_POLL = 0.005
"""Seconds between two looks whether another block can be written."""


class Runner(Protocol):
    """What the core needs of `ModelRunner`."""

    def run(self, spans: list[Span]) -> tuple[DecodeStatus, list[Sampled]]: ...

    def release(self, sequence: Sequence) -> None: ...


class EngineCore:
    """One model's step loop, free of threads and pipes.

    Args:
        scheduler: decides what a step computes.
        runner: computes it.
        piece: the bytes of a token.
    """

    def __init__(self, scheduler: Scheduler, runner: Runner, piece: Callable[[int], bytes]) -> None:
        self.scheduler = scheduler
        self.prefilling: int | None = None
        """The request whose prompt fills the current step alone: its abort may interrupt the step.

        A step that others share goes on, so that nobody's abort costs another request its work.
        """
        self.idle = True
        """The last step found nothing to do: so it stays until something is added, or comes from
        the disk.
        """
        self._runner = runner
        self._piece = piece

    @property
    def has_work(self) -> bool:
        return self.scheduler.has_work

    def stats(self) -> EngineStats:
        """What was done up to the last step; may be called from any thread."""
        return self.scheduler.stats()

    def add(self, sequences: Collection[Sequence]) -> None:
        for sequence in sequences:
            self.scheduler.add(sequence)

    def abort(self, id: int, index: int | None = None) -> list[Output]:
        """End choices of a request; their last outputs."""
        return [self._output(sequence, Sampled()) for sequence in self.scheduler.abort(id, index)]

    def pause(self, id: int, paused: bool) -> None:
        """Have a request wait, or go on."""
        self.scheduler.pause(id, paused)

    def step(self) -> list[Output]:
        """Compute one step and tell what it gave; nothing if it was interrupted.

        Raises:
            DecodeError: llama.cpp reports a fault.
        """
        spans = self.scheduler.schedule()
        self.prefilling = _only_prefill(spans)
        began = time.perf_counter()
        outputs = self._compute(spans) if spans else []
        saved = self.scheduler.save(time.perf_counter() - began)
        self.idle = not spans and not saved
        self.scheduler.observe()
        return outputs

    def save_all(self, timeout: float) -> None:
        """End everything and save what is not on disk yet, for so many seconds at most."""
        self.scheduler.abort_all()
        deadline = time.perf_counter() + timeout
        while time.perf_counter() < deadline and self.scheduler.n_unsaved:
            if not self.scheduler.save(0.0):
                time.sleep(SAVE_POLL)
        self.scheduler.close(max(0.0, deadline - time.perf_counter()))

    def _compute(self, spans: list[Span]) -> list[Output]:
        began = time.perf_counter()
        status, sampled = self._runner.run(spans)
        if status is not DecodeStatus.OK:
            self._recover(status, spans)
            return []
        self.scheduler.record(spans, time.perf_counter() - began)
        told = self.scheduler.postprocess(spans, sampled)
        told += [(sequence, Sampled()) for sequence in self.scheduler.moved_on()]
        return [self._output(sequence, taken) for sequence, taken in told]

    def _recover(self, status: DecodeStatus, spans: list[Span]) -> None:
        self.scheduler.rollback(spans)
        if status is DecodeStatus.NO_SLOT and not self.scheduler.relieve():
            raise DecodeError("llama.cpp finds no room in an empty KV cache")

    def _output(self, sequence: Sequence, taken: Sampled) -> Output:
        reason = sequence.finish_reason
        reads = sequence.progress and sequence.num_output <= len(taken.tokens)
        if reason is not None:
            self._runner.release(sequence)
        return Output(
            id=sequence.id,
            index=sequence.index,
            tokens=tuple(taken.tokens),
            pieces=tuple(self._piece(token) for token in taken.tokens),
            timings=sequence.timings(),
            cached_tokens=sequence.num_cached or 0,
            finish=reason,
            logprobs=tuple(taken.logprobs),
            prompt_logprobs=tuple(taken.prompt_logprobs),
            progress=sequence.prompt_progress() if reads else None,
            embedding=taken.embedding,
        )


def _only_prefill(spans: list[Span]) -> int | None:
    ids = {span.sequence.id for span in spans}
    return ids.pop() if len(ids) == 1 and any(len(span.tokens) > 1 for span in spans) else None
