"""Stand-ins for llama.cpp: a memory that checks its use, and a runner with a rule for tokens."""

from __future__ import annotations

import numpy as np

from edge_llama.engine.binding import DecodeStatus
from edge_llama.engine.kv.kv_cache import ByteArray
from edge_llama.engine.protocol.output import ScoredToken
from edge_llama.engine.sequence import Sequence
from edge_llama.engine.span import Sampled, Span

N_VOCAB = 50
EOG = 0


def next_token(tokens: list[int]) -> int:
    """What the fake model says after these tokens: depends on all of them, never ends."""
    return 1 + hash(tuple(tokens)) % (N_VOCAB - 1)


HOLE = -1


class FakeMemory:
    """llama.cpp's memory with a unified KV cache.

    Holds the tokens of each sequence, as the KV cache holds their keys and values.

    A HOLE is a position that was removed from the middle of a sequence.
    """

    def __init__(self) -> None:
        self.tokens: dict[int, list[int]] = {}

    def remove(self, seq_id: int, start: int = 0, end: int = -1) -> None:
        held = self.tokens.setdefault(seq_id, [])
        if end in (-1, len(held)):
            del held[start:]
        else:
            assert start < end < len(held)
            held[start:end] = [HOLE] * (end - start)

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        held = self.tokens.setdefault(target, [])
        assert len(self.tokens[source]) >= end > start
        assert len(held) >= start
        assert set(held[start:end]) <= {HOLE}
        held[start:end] = self.tokens[source][start:end]
        assert HOLE not in held

    def length(self, seq_id: int) -> int:
        return len(self.tokens.get(seq_id, ()))

    def save_sequence(self, seq_id: int, into: ByteArray | None = None) -> ByteArray:
        return np.asarray(self.tokens[seq_id], np.int32).view(np.uint8)

    def restore_sequence(self, seq_id: int, state: ByteArray) -> bool:
        self.tokens[seq_id] = state.view(np.int32).tolist()
        return True


class FakeStreams(FakeMemory):
    """llama.cpp's memory with streams, which copies only all of one."""

    def remove(self, seq_id: int, start: int = 0, end: int = -1) -> None:
        assert end == -1, "a hole in a stream"
        super().remove(seq_id, start)

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        assert (start, end) == (0, -1), "llama.cpp aborts"
        assert source != target
        self.tokens[target] = list(self.tokens[source])


class FakeRunner:
    """Computes spans over a FakeMemory; what it samples shows whether the KV was right.

    Args:
        memory: shared with the KV cache under test.
        statuses: of the next steps; OK when they run out.
    """

    def __init__(self, memory: FakeMemory, statuses: list[DecodeStatus] | None = None) -> None:
        self._memory = memory
        self.statuses = statuses or []
        self.steps: list[list[Span]] = []
        self.released: list[Sequence] = []

    def run(self, spans: list[Span]) -> tuple[DecodeStatus, list[Sampled]]:
        self.steps.append(spans)
        status = self.statuses.pop(0) if self.statuses else DecodeStatus.OK
        if status is not DecodeStatus.OK:
            return status, []
        return status, [self._run(span) for span in spans]

    def release(self, sequence: Sequence) -> None:
        self.released.append(sequence)

    def _run(self, span: Span) -> Sampled:
        held = self._memory.tokens.setdefault(span.seq_id, [])
        assert len(held) == span.start, "a span does not continue its sequence"
        held += span.tokens
        assert held == span.sequence.token_ids[: len(held)], "another sequence's KV"
        sampled = Sampled([next_token(held)] if span.n_outputs else [])
        if span.scored:
            following = span.sequence.token_ids[span.start + 1 : span.sequence.num_prompt]
            for position, token in enumerate(following[: len(span.tokens)], span.start + 1):
                sampled.prompt_logprobs.append(ScoredToken(token, b"", -float(position)))
        return sampled
