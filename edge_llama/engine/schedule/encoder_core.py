"""EncoderCore: the step loop of a model that embeds texts and does nothing else."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Protocol

import msgspec

from edge_llama.engine.binding import DecodeError, DecodeStatus
from edge_llama.engine.protocol.output import FinishReason, Output
from edge_llama.engine.protocol.stats import EngineStats
from edge_llama.engine.schedule.waiting import WaitingQueue
from edge_llama.engine.sequence import Sequence, SequenceStatus


class Encoder(Protocol):
    """What the core needs of `EncoderRunner`."""

    def run(self, texts: list[list[int]]) -> tuple[DecodeStatus, list[bytes]]: ...


class EncoderCore:
    """Each step embeds those that are first in the queue, as many as fit into it.

    Every token attends to all others of its text, so a text is computed at once, and nothing of it
    serves another one.

    Args:
        runner: computes the step.
        max_texts: most texts of a step.
        max_tokens: most tokens of several texts together; a longer text has a step of its own.
    """

    def __init__(self, runner: Encoder, *, max_texts: int, max_tokens: int) -> None:
        self.waiting = WaitingQueue()
        self.prefilling: int | None = None
        """As in `EngineCore`: the request that has the current step for itself."""
        self.idle = True
        self._runner = runner
        self._max_texts = max_texts
        self._max_tokens = max_tokens
        self._counts = EngineStats()

    @property
    def has_work(self) -> bool:
        return bool(self.waiting)

    def stats(self) -> EngineStats:
        """What was done up to the last step; may be called from any thread."""
        return msgspec.structs.replace(self._counts)

    def add(self, sequences: Collection[Sequence]) -> None:
        for sequence in sequences:
            self.waiting.add(sequence)

    def abort(self, id: int, index: int | None = None) -> list[Output]:
        """End choices of a request; their last outputs."""
        ended = [each for each in self.waiting if each.id == id and index in (None, each.index)]
        return [self._finish(sequence, FinishReason.ABORT) for sequence in ended]

    def pause(self, id: int, paused: bool) -> None:
        """A text has one output, so there is nothing to hold back."""

    def step(self) -> list[Output]:
        """Embed the next texts; nothing if that was interrupted: they still wait then.

        Raises:
            DecodeError: llama.cpp reports a fault.
        """
        texts = self._next()
        self.idle = not texts
        self.prefilling = texts[0].id if len(texts) == 1 else None
        self._count(running=len(texts))
        outputs = self._compute(texts) if texts else []
        self._count(running=0)
        return outputs

    def save_all(self, timeout: float) -> None:
        """Nothing is kept of a text."""

    def _next(self) -> list[Sequence]:
        texts: list[Sequence] = []
        room = self._max_tokens
        for sequence in self.waiting:
            room -= sequence.num_prompt
            if texts and (room < 0 or len(texts) == self._max_texts):
                break
            texts.append(sequence)
        return texts

    def _compute(self, texts: list[Sequence]) -> list[Output]:
        began = time.perf_counter()
        for sequence in texts:
            sequence.admitted = sequence.admitted or began
        status, embeddings = self._runner.run([sequence.token_ids for sequence in texts])
        if status is DecodeStatus.ABORTED:
            return []
        if status is not DecodeStatus.OK:
            raise DecodeError(f"llama.cpp cannot embed {len(texts)} texts: {status.name}")
        self._counts.prompt_tokens += sum(sequence.num_prompt for sequence in texts)
        return [
            self._finish(sequence, FinishReason.LENGTH, embedding)
            for sequence, embedding in zip(texts, embeddings, strict=True)
        ]

    def _finish(self, sequence: Sequence, reason: FinishReason, embedding: bytes = b"") -> Output:
        self.waiting.remove(sequence)
        sequence.status = SequenceStatus.FINISHED
        sequence.finish_reason = reason
        return Output(
            id=sequence.id,
            index=sequence.index,
            tokens=(),
            pieces=(),
            timings=sequence.timings(),
            finish=reason,
            embedding=embedding,
        )

    def _count(self, running: int) -> None:
        self._counts.running = running
        self._counts.waiting = len(self.waiting) - running
